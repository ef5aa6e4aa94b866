"""Smoke test of installed wheels, run from a folder that is not the project: every module imports, the command answers.

Says by which path each package was found, so that the tree can never stand in for what was installed.
"""

import importlib
import importlib.metadata
import importlib.util
import pkgutil
import subprocess
import sys
from pathlib import Path

PACKAGES = ("hotpath", "risk", "brokers", "recon", "gateway", "backstay")
TREE = Path(__file__).resolve().parents[1]


def import_everything(package: str) -> list[str]:
    root = importlib.import_module(package)
    where = Path(str(root.__file__)).parent
    if where == TREE / package or TREE / "sdk" in where.parents:
        return [f"{package} came from the tree: {where}"]
    wrong = []
    for module in pkgutil.walk_packages([str(where)], f"{package}."):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            wrong.append(f"{module.name}: {error}")
    if not (where / "py.typed").is_file():
        wrong.append(f"{package}: py.typed is missing")
    return wrong


def check_command() -> list[str]:
    entry = [point for point in importlib.metadata.entry_points(group="console_scripts") if point.name == "backstay"]
    if not entry:
        return ["no command backstay"]
    if importlib.util.find_spec(entry[0].module) is None:
        return [f"the command's module {entry[0].module} is not in the wheel"]
    run = subprocess.run([Path(sys.executable).parent / "backstay", "--help"], capture_output=True, text=True)
    return [] if run.returncode == 0 else [f"backstay --help: exit {run.returncode}\n{run.stderr}"]


def check_no_plants() -> list[str]:
    """Planted bugs are for tests: no wheel may have them."""
    where = Path(str(importlib.import_module("hotpath").__file__)).parents[1]
    files = [file for package in PACKAGES[:5] for file in (where / package).rglob("*.so")]
    planted = [f"{file.name} has planted bugs" for file in files if b"planted_bug" in file.read_bytes()]
    return planted + (["the wheel has planted bugs"] if importlib.import_module("gateway.plants").PLANTED else [])


def main() -> int:
    wrong = [line for package in PACKAGES for line in import_everything(package)]
    strangers = {"tests", "benchmarks", "deploy", "scripts"} & set(importlib.metadata.packages_distributions())
    wrong += [f"{name} is in a wheel" for name in sorted(strangers)]
    wrong += check_command()
    wrong += check_no_plants()
    print("\n".join(wrong) or f"{len(PACKAGES)} packages import from the wheels, the command answers")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
