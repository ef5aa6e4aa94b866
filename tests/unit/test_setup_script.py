"""The set-up names what a machine lacks and how to get it, before it touches anything."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHELL_TOOLS = ("bash", "cat", "dirname")
BARE_PYTHON = """#!/bin/bash
case "$*" in
    *ensurepip*|*Python.h*) exit 1 ;;
    --version) echo "Python 3.11.2" ;;
esac
"""
OLD_PYTHON = "#!/bin/bash\nexit 1\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder with the set-up script and a bin/ that is all the PATH there is."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts/setup.sh", tmp_path / "scripts/setup.sh")
    for tool in SHELL_TOOLS:
        found = shutil.which(tool)
        assert found
        (tmp_path / "bin" / tool).symlink_to(found)
    return tmp_path


def set_up(machine: Path, system: str = "linux-gnu", **tools: str) -> subprocess.CompletedProcess[str]:
    for name, text in tools.items():
        (machine / "bin" / name).write_text(text, encoding="utf-8")
        (machine / "bin" / name).chmod(0o755)
    return subprocess.run(
        [machine / "bin/bash", machine / "scripts/setup.sh"],
        env={"PATH": str(machine / "bin"), "OSTYPE": system},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_empty_machine_is_told_of_python_and_compiler_at_once(machine: Path) -> None:
    run = set_up(machine)
    assert run.returncode == 1
    for said in ("Python 3.11 or newer", "C++17 compiler", "apt-get install g++", "dnf install"):
        assert said in run.stderr
    assert not (machine / ".venv").exists()


def test_a_machine_without_linux_is_told_so(machine: Path) -> None:
    run = set_up(machine, system="darwin23")
    assert (run.returncode, "runs on Linux" in run.stderr) == (1, True)


def test_old_python_counts_as_none(machine: Path) -> None:
    assert "Python 3.11 or newer" in set_up(machine, python3=OLD_PYTHON).stderr


def test_python_without_venv_and_headers_names_their_packages(machine: Path) -> None:
    run = set_up(machine, python3=BARE_PYTHON, **{"g++": "#!/bin/bash\n"})
    assert run.returncode == 1
    assert "apt-get install python3-venv" in run.stderr
    assert "apt-get install python3-dev" in run.stderr
    assert "compiler" not in run.stderr
