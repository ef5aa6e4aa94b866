"""The files port: what the journal's Python code asks of a file system, so that a simulated disk can be one.

The native writer speaks to the kernel itself; run stepped (writer.pyx), it speaks to this port too.
Every method raises OSError, as the system would.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Literal, Protocol

Bytes = bytes | bytearray | memoryview
Mode = Literal["read", "write", "create"]  # create: made anew and empty, whatever was there; write: it must be there
_FLAGS = {"read": os.O_RDONLY, "write": os.O_RDWR, "create": os.O_RDWR | os.O_CREAT | os.O_TRUNC}


class Held(Protocol):
    """What lasts until it is let go."""

    def close(self) -> None: ...


class File(Held, Protocol):
    """An open file. There is no position in it: each call names its offset."""

    def size(self) -> int:
        """Bytes in the file."""
        ...

    def pread(self, size: int, offset: int) -> bytes:
        """At most ``size`` bytes; fewer at the end of the file."""
        ...

    def pwrite(self, data: Bytes, offset: int) -> int:
        """How many bytes were taken, which may be fewer than there are. None of them is on disk before ``sync``."""
        ...

    def sync(self) -> None:
        """Content and size are on disk when it returns. A failure is final: what was written may be lost, silently."""
        ...


class Files(Protocol):
    """A file system. A name made, moved or removed is on disk once its folder was synced."""

    def names(self, folder: Path) -> list[str]:
        """Names in a folder, in no order."""
        ...

    def read(self, path: Path, limit: int | None = None) -> bytearray:
        """The file's bytes, up to ``limit``."""
        ...

    def open(self, path: Path, mode: Mode = "read") -> File: ...

    def rename(self, old: Path, new: Path) -> None:
        """Takes the place of what was called ``new``: there is one or the other at any moment."""
        ...

    def unlink(self, path: Path) -> None: ...

    def make_folder(self, folder: Path) -> None:
        """The folder and those above it that are missing; all of them are on disk when it returns."""
        ...

    def sync_folder(self, folder: Path) -> None: ...

    def lock(self, folder: Path) -> Held:
        """The one lock of a folder, let go by ``close`` or the end of the process. BlockingIOError: another has it."""
        ...


class TimedFiles(Files, Protocol):
    """Files on virtual time: what a stepped writer works on."""

    def take_ns(self) -> int:
        """How long the operations since the last call took."""
        ...


class SystemFile:
    """An open file of the machine."""

    __slots__ = ("_fd",)

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def pread(self, size: int, offset: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def pwrite(self, data: Bytes, offset: int) -> int:
        return os.pwrite(self._fd, data, offset)

    def sync(self) -> None:
        os.fsync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1


class SystemFiles:
    """The machine's file system."""

    __slots__ = ()

    def names(self, folder: Path) -> list[str]:
        return os.listdir(folder)

    def read(self, path: Path, limit: int | None = None) -> bytearray:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            data = bytearray(size if limit is None else min(size, limit))
            view = memoryview(data)
            at = 0
            while at < len(data) and (count := file.readinto(view[at:])):
                at += count
        return data

    def open(self, path: Path, mode: Mode = "read") -> SystemFile:
        return SystemFile(os.open(path, _FLAGS[mode] | os.O_CLOEXEC, 0o644))

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def make_folder(self, folder: Path) -> None:
        missing = [path for path in (folder, *folder.parents) if not path.is_dir()]
        deepest = missing[-1].parent if missing else folder
        with suppress(PermissionError):  # not ours, so not made by us
            self.sync_folder(deepest.parent)  # a process that was killed may have made it and no more
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            self.sync_folder(path.parent)

    def sync_folder(self, folder: Path) -> None:
        held = self._folder(folder)
        try:
            held.sync()
        finally:
            held.close()

    def lock(self, folder: Path) -> Held:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise
        return SystemFile(fd)

    def _folder(self, folder: Path) -> SystemFile:
        return SystemFile(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))


SYSTEM = SystemFiles()


def write_all(file: File, data: memoryview, offset: int) -> None:
    """All of it: a short write is continued."""
    at = 0
    while at < len(data):
        at += file.pwrite(data[at:], offset + at)
