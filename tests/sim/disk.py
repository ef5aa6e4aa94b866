"""The simulated disk: what a machine keeps of its files over a crash, and every way in which a disk fails.

A write is in the cache until its file is synced: a power failure keeps, of each 512-byte sector, any of the versions
that it had since the last sync, whole, torn or with a flipped bit. A name made, moved or removed is in the cache until
its folder is synced. After a failed sync the cache shows what was written, and no later sync brings it to the disk.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from gateway.journal.files import Bytes, Mode

SECTOR_BYTES = 512
KINDS = ("read", "open", "write", "sync", "rename", "unlink", "make_folder", "sync_folder")


class PowerLost(BaseException):
    """The machine stopped at this operation; no handler of the product may take it for an error."""


@dataclass(slots=True)
class DiskFaults:
    """Rates are chances of one operation; times are ns. ``budget_bytes``: size of the disk, None without a bound."""

    error_rate: float = 0.0
    full_rate: float = 0.0  # of writes and new files: no room
    is_persistent: bool = False  # from the first error on, every write and sync fails
    short_rate: float = 0.0
    slow_rate: float = 0.0
    slow_ns_max: int = 500_000_000
    write_ns: int = 5_000
    sync_ns: int = 160_000
    torn_rate: float = 0.1
    flip_rate: float = 0.1
    budget_bytes: int | None = None
    keep_share: float | None = None  # of what is not synced, how much a crash keeps; None: drawn


@dataclass(slots=True, eq=False)
class Inode:
    """One file: what the disk has, what the cache shows, and the writes in between, oldest first."""

    durable: bytearray = field(default_factory=bytearray)
    cache: bytearray = field(default_factory=bytearray)
    dirty: list[tuple[int, bytes]] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Folder:
    """Names in a folder, and the changes since its last sync: (old name or None, new name or None, what)."""

    durable: dict[str, Inode | Folder] = field(default_factory=dict)
    cache: dict[str, Inode | Folder] = field(default_factory=dict)
    dirty: list[tuple[str | None, str | None, Inode | Folder]] = field(default_factory=list)


class SimDisk:
    """Survives its processes and its crashes. ``rng`` decides every fault and everything that a crash keeps."""

    def __init__(self, rng: Random, faults: DiskFaults | None = None) -> None:
        self.rng = rng
        self.faults = faults or DiskFaults()
        self.root = Folder()
        self.locks: dict[Path, SimFiles] = {}
        self.operations = 0
        self.injected: Counter[str] = Counter()
        self.took_ns = 0
        self.used_bytes = 0
        self.generation = 0  # of processes: a dead one's handles do nothing more
        self.is_broken = False
        self.crash_at = 0  # number of the operation at which the power fails; 0: none
        self.error_at = 0
        self.error = errno.EIO
        self.on_operation: Callable[[str, Path], None] | None = None

    def files(self) -> SimFiles:
        """The files as a new process sees them."""
        return SimFiles(self)

    def kill(self) -> None:
        """The process ends, the machine goes on: what is in the cache stays there."""
        self.generation += 1
        self.locks.clear()

    def crash(self) -> None:
        """The power fails: of what was not synced any part is there afterwards, and nothing else changes."""
        self.kill()
        self.injected["crash"] += 1
        self._settle(self.root)
        self.used_bytes = self._size(self.root)

    def strikes(self) -> dict[str, int]:
        """How often each fault of the catalogue took effect."""
        count = self.injected
        errors = sum(number for kind, number in count.items() if kind.endswith(" error"))
        found = {
            "disk.error": errors, "disk.full": count["full"], "disk.short": count["short write"],
            "disk.slow": count["slow"], "disk.lose": count["crash"],
        }  # fmt: skip
        return {name: number for name, number in found.items() if number}

    def heal(self) -> None:
        """No more faults."""
        self.faults = DiskFaults()
        self.is_broken = False
        self.crash_at = self.error_at = 0

    # --- one operation ------------------------------------------------------------------------------------------------

    def begin(self, kind: str, path: Path) -> None:
        """Count it, and let it fail if it is to fail; what it takes is added up."""
        self.operations += 1
        if self.on_operation is not None:
            self.on_operation(kind, path)
        if self.operations == self.crash_at:
            self.generation += 1
            raise PowerLost(f"operation {self.operations}: {kind} {path}")
        faults = self.faults
        if self.operations == self.error_at:
            self._fail(kind, path, self.error)
        if faults.error_rate and self.rng.random() < faults.error_rate:
            self._fail(kind, path, errno.EIO)
        if faults.full_rate and kind in ("open", "write") and self.rng.random() < faults.full_rate:
            self._fail(kind, path, errno.ENOSPC)
        if self.is_broken and kind not in ("read", "open"):
            self._fail(kind, path, errno.EIO)
        self.took_ns += faults.sync_ns if kind in ("sync", "sync_folder") else faults.write_ns
        if faults.slow_rate and self.rng.random() < faults.slow_rate:
            self.injected["slow"] += 1
            self.took_ns += self.rng.randrange(faults.slow_ns_max)

    def _fail(self, kind: str, path: Path, number: int) -> None:
        self.injected["full" if number == errno.ENOSPC else f"{kind} error"] += 1
        self.is_broken = self.is_broken or self.faults.is_persistent
        raise OSError(number, os.strerror(number), str(path))

    def folder(self, path: Path) -> Folder:
        """What the cache has under a path."""
        at: Inode | Folder = self.root
        for name in path.parts[1:]:
            found = at.cache.get(name) if isinstance(at, Folder) else None
            if found is None:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
            at = found
        if not isinstance(at, Folder):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
        return at

    def inode(self, path: Path) -> Inode:
        found = self.folder(path.parent).cache.get(path.name)
        if not isinstance(found, Inode):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        return found

    def write(self, inode: Inode, data: bytes, offset: int) -> int:
        """Into the cache; how many bytes were taken."""
        faults = self.faults
        if faults.short_rate and len(data) > 1 and self.rng.random() < faults.short_rate:
            self.injected["short write"] += 1
            data = data[: self.rng.randrange(1, len(data))]
        grows = offset + len(data) - len(inode.cache)
        if grows > 0:
            if faults.budget_bytes is not None and self.used_bytes + grows > faults.budget_bytes:
                self.injected["full"] += 1
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.used_bytes += grows
            inode.cache.extend(bytes(grows))
        inode.cache[offset : offset + len(data)] = data
        inode.dirty.append((offset, data))
        return len(data)

    def sync(self, inode: Inode) -> None:
        durable = inode.durable
        for offset, data in inode.dirty:
            if offset > len(durable):
                durable.extend(bytes(offset - len(durable)))
            durable[offset : offset + len(data)] = data
        inode.dirty.clear()

    # --- what a crash keeps -------------------------------------------------------------------------------------------

    def lose_some(self, inode: Inode) -> None:
        """Part of the unsynced writes gets to the disk; the rest never will. The cache still shows all of it."""
        sectors: dict[int, list[bytes]] = {}
        shown = bytearray(inode.durable)
        for offset, data in inode.dirty:
            if offset + len(data) > len(shown):
                shown.extend(bytes(offset + len(data) - len(shown)))
            shown[offset : offset + len(data)] = data
            for at in range(offset - offset % SECTOR_BYTES, offset + len(data), SECTOR_BYTES):
                sectors.setdefault(at, []).append(bytes(shown[at : at + SECTOR_BYTES]))
        rng = self.rng
        share = self._share(0.0, 0.1, 0.5, 0.9, 1.0)
        for at, versions in sectors.items():
            if rng.random() < share:
                self._put_sector(inode.durable, at, rng.choice(versions))
        if len(inode.durable) < len(shown) and rng.random() < 0.5:
            inode.durable.extend(bytes(len(shown) - len(inode.durable)))  # the size got there, the content did not
        inode.dirty.clear()

    def _share(self, *drawn: float) -> float:
        fixed = self.faults.keep_share
        return self.rng.choice(drawn) if fixed is None else fixed

    def _put_sector(self, durable: bytearray, at: int, version: bytes) -> None:
        rng, faults = self.rng, self.faults
        before = bytes(durable[at : at + len(version)]).ljust(len(version), b"\0")
        if rng.random() < faults.torn_rate:
            self.injected["torn sector"] += 1
            cut = rng.randrange(len(version) + 1)
            version = version[:cut] + before[cut:]
        elif version != before and rng.random() < faults.flip_rate:
            self.injected["flipped bit"] += 1
            flipped = bytearray(version)
            changed = [at for at, byte in enumerate(version) if byte != before[at]]  # what was synced stays sound
            flipped[rng.choice(changed)] ^= 1 << rng.randrange(8)
            version = bytes(flipped)
        if at > len(durable):
            durable.extend(bytes(at - len(durable)))
        durable[at : at + len(version)] = version

    def _settle(self, folder: Folder) -> None:
        rng = self.rng
        share = self._share(0.0, 0.5, 1.0)
        for old, new, what in folder.dirty:
            if rng.random() >= share:
                self.injected["lost name"] += 1
                continue
            if old is not None and folder.durable.get(old) is what:
                del folder.durable[old]
            if new is not None:
                folder.durable[new] = what
        folder.dirty.clear()
        folder.cache = dict(folder.durable)
        for entry in folder.cache.values():
            if isinstance(entry, Folder):
                self._settle(entry)
            else:
                self.lose_some(entry)
                entry.cache = bytearray(entry.durable)

    def _size(self, folder: Folder) -> int:
        entries = folder.cache.values()
        return sum(self._size(entry) if isinstance(entry, Folder) else len(entry.cache) for entry in entries)


class SimFile:
    """An open file of one process."""

    __slots__ = ("_files", "_inode", "_path")

    def __init__(self, files: SimFiles, path: Path, inode: Inode) -> None:
        self._files = files
        self._path = path
        self._inode = inode

    def size(self) -> int:
        return len(self._inode.cache)

    def pread(self, size: int, offset: int) -> bytes:
        self._files.begin("read", self._path)
        return bytes(self._inode.cache[offset : offset + size])

    def pwrite(self, data: Bytes, offset: int) -> int:
        disk = self._files.begin("write", self._path)
        return disk.write(self._inode, bytes(data), offset) if len(data) else 0

    def sync(self) -> None:
        disk = self._files.disk
        try:
            self._files.begin("sync", self._path)
        except OSError:
            disk.lose_some(self._inode)
            raise
        disk.sync(self._inode)

    def close(self) -> None:
        """Nothing is lost by it: closing syncs nothing."""


class SimLock:
    """The lock of a folder."""

    def __init__(self, files: SimFiles, folder: Path) -> None:
        self._files = files
        self._folder = folder

    def close(self) -> None:
        if self._files.disk.locks.get(self._folder) is self._files:
            del self._files.disk.locks[self._folder]


class SimFiles:
    """The files port over a SimDisk, for one process: once that is dead, its every call is PowerLost again."""

    def __init__(self, disk: SimDisk) -> None:
        self.disk = disk
        self._generation = disk.generation

    def begin(self, kind: str, path: Path) -> SimDisk:
        if self._generation != self.disk.generation:
            raise PowerLost(f"{kind} {path} by a process that is gone")
        self.disk.begin(kind, path)
        return self.disk

    def take_ns(self) -> int:
        took, self.disk.took_ns = self.disk.took_ns, 0
        return took

    def names(self, folder: Path) -> list[str]:
        return sorted(self.begin("read", folder).folder(folder).cache)

    def read(self, path: Path, limit: int | None = None) -> bytearray:
        inode = self.begin("read", path).inode(path)
        return bytearray(inode.cache if limit is None else inode.cache[:limit])

    def open(self, path: Path, mode: Mode = "read") -> SimFile:
        disk = self.begin("open", path)
        if mode != "create":
            return SimFile(self, path, disk.inode(path))
        folder, inode = disk.folder(path.parent), Inode()
        if isinstance(old := folder.cache.get(path.name), Inode):
            disk.used_bytes -= len(old.cache)
        folder.cache[path.name] = inode
        folder.dirty.append((None, path.name, inode))
        return SimFile(self, path, inode)

    def rename(self, old: Path, new: Path) -> None:
        disk = self.begin("rename", old)
        folder, inode = disk.folder(old.parent), disk.inode(old)
        if isinstance(replaced := folder.cache.get(new.name), Inode):
            disk.used_bytes -= len(replaced.cache)
        del folder.cache[old.name]
        folder.cache[new.name] = inode
        folder.dirty.append((old.name, new.name, inode))

    def unlink(self, path: Path) -> None:
        disk = self.begin("unlink", path)
        inode, folder = disk.inode(path), disk.folder(path.parent)
        del folder.cache[path.name]
        folder.dirty.append((path.name, None, inode))
        disk.used_bytes -= len(inode.cache)

    def make_folder(self, folder: Path) -> None:
        at = self.disk.root
        for name in folder.parts[1:]:
            disk = self.begin("make_folder", folder)
            found = at.cache.get(name)
            if found is None:
                found = at.cache[name] = Folder()
                at.dirty.append((None, name, found))
            if not isinstance(found, Folder):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
            self._sync_names(disk, at)
            at = found

    def sync_folder(self, folder: Path) -> None:
        disk = self.begin("sync_folder", folder)
        self._sync_names(disk, disk.folder(folder))

    def lock(self, folder: Path) -> SimLock:
        disk = self.begin("open", folder)
        disk.folder(folder)
        if folder in disk.locks:
            raise BlockingIOError(errno.EWOULDBLOCK, os.strerror(errno.EWOULDBLOCK), str(folder))
        disk.locks[folder] = self
        return SimLock(self, folder)

    @staticmethod
    def _sync_names(disk: SimDisk, folder: Folder) -> None:
        folder.durable = dict(folder.cache)
        folder.dirty.clear()
