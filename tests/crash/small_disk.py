"""A file system of a few megabytes at a folder, seen by the processes that are started into it and by nobody else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

WAYS = (("--mount",), ("--user", "--map-root-user", "--mount"))  # with the right to mount, or as a user of its own
MOUNT = 'mount -t tmpfs -o "size=$0" small "$1" && echo mounted && exec cat'  # cat: until our end of the pipe is closed


class SmallDisk:
    """Use as a context manager. Skips where the machine forbids both ways to mount one."""

    def __init__(self, folder: Path, size_kib: int) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._size = f"{size_kib}k"
        self._way: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        said = ""
        for way in WAYS:
            argv = ["unshare", *way, "sh", "-c", MOUNT, self._size, str(self._folder)]
            self._holder = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            assert self._holder.stdout is not None and self._holder.stderr is not None
            if self._holder.stdout.readline() == "mounted\n":
                self._way = way
                return self
            said = self._holder.communicate()[1].strip()
        if os.environ.get("CI"):
            pytest.fail(f"CI must be able to mount a tmpfs: {said}")
        pytest.skip(f"no full disk without the right to mount a tmpfs: {said}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.communicate()  # closes its input: it ends, and the file system with the last process in it

    def prefix(self) -> list[str]:
        """Put before a command that is to see it."""
        user = ["--user", "--preserve-credentials"] if "--user" in self._way else []
        return ["nsenter", f"--target={self._holder.pid}", "--mount", *user, f"--wd={Path.cwd()}"]

    def resize(self, size_kib: int) -> None:
        """Make room."""
        subprocess.run(
            [*self.prefix(), "mount", "-o", f"remount,size={size_kib}k", str(self._folder)], check=True
        )  # fmt: skip

    def free_bytes(self) -> int:
        """Room that is left."""
        told = subprocess.run(
            [*self.prefix(), "stat", "-f", "-c", "%a %S", str(self._folder)], check=True, capture_output=True, text=True
        )
        blocks, size = told.stdout.split()
        return int(blocks) * int(size)
