"""A process that writes a file by the calls of its arguments, so that a test can see what the file layer makes of them.

`write TEXT OFFSET`, `sync`, `create NAME`, `open NAME`, `rename OLD NEW`, `unlink NAME`, `mkdir NAME`, `folder NAME`
(sync of it), `past NAME TEXT` (a write that the layer cannot see). Says the result of each, or its errno, on a line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path


class Calls:
    """The calls; `write` and `sync` are of the file that was opened last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1

    def create(self, name: str) -> int:
        self._file = os.open(self._folder / name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        return 0

    def open(self, name: str) -> int:
        self._file = os.open(self._folder / name, os.O_RDWR)
        return 0

    def write(self, text: str, offset: str) -> int:
        return os.pwrite(self._file, text.encode(), int(offset))

    def sync(self) -> int:
        os.fdatasync(self._file)
        return 0

    def rename(self, old: str, new: str) -> int:
        (self._folder / old).rename(self._folder / new)
        return 0

    def unlink(self, name: str) -> int:
        (self._folder / name).unlink()
        return 0

    def mkdir(self, name: str) -> int:
        (self._folder / name).mkdir()
        return 0

    def folder(self, name: str) -> int:
        handle = os.open(self._folder / name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        return 0

    def past(self, name: str, text: str) -> int:
        with (self._folder / name).open("r+b", buffering=0) as file:
            return file.write(text.encode())


def main() -> None:
    calls = Calls(Path(sys.argv[1]))
    for line in sys.argv[2:]:
        name, *arguments = line.split()
        call: Callable[..., int] = getattr(calls, name)
        try:
            print(call(*arguments), flush=True)
        except OSError as error:
            print(-(error.errno or 0), flush=True)


if __name__ == "__main__":
    main()
