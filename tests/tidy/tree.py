"""The files of the project as the tidy rules see them: path relative to the root, and text."""

import functools
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SKIP = {".git", ".venv", "build", "dist", "node_modules", ".hypothesis", "var", "evidence"}
PACKAGES = ("hotpath", "risk", "brokers", "recon", "gateway", "services")
CORE = ("hotpath/", "risk/", "gateway/core", "gateway/apply")  # the functional core, by path prefix


@dataclass(frozen=True, slots=True)
class Source:
    path: str
    text: str

    @property
    def suffix(self) -> str:
        return Path(self.path).suffix

    @property
    def is_core(self) -> bool:
        return self.path.startswith(CORE)

    @property
    def is_product(self) -> bool:
        return self.path.startswith(("sdk/src/", *(f"{package}/" for package in PACKAGES)))


def _paths() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode == 0:
        return sorted(listed.stdout.splitlines())
    walked = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return sorted(str(path) for path in walked if not SKIP & set(path.parts))


@functools.cache
def sources(*suffixes: str) -> tuple[Source, ...]:
    """All text files, or those with one of `suffixes` (with the dot)."""
    found = []
    for path in _paths():
        file = ROOT / path
        if (suffixes and file.suffix not in suffixes) or not file.is_file():
            continue
        try:
            found.append(Source(path, file.read_text(encoding="utf-8")))
        except UnicodeDecodeError:
            continue  # a picture or another binary: no rule speaks about it
    return tuple(found)
