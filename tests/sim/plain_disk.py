"""A disk in memory, whose unsynced writes a crash may lose or cut, and a journal writer that is stepped by hand."""

from __future__ import annotations

from pathlib import Path
from random import Random

from gateway.core.state import State
from gateway.journal.errors import JournalStopped
from gateway.journal.files import Bytes, Mode
from gateway.journal.recovery import Recovered
from gateway.journal.segment import (
    _FORMAT,
    _HEADER,
    _MAGIC,
    FIRST_POSITION,
    HEADER_BYTES,
    PAGE_BYTES,
    Mark,
    pack_mark,
    segment_name,
    split_position,
)
from hotpath.frame import checksum
from tests.sim.faults import Faults

SEGMENT_BYTES = 1 << 20
SECTOR = 512


class PlainFile:
    """What reads see, what is safe, and the writes between them."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.safe = bytearray()
        self.unsynced: list[tuple[int, bytes]] = []

    def size(self) -> int:
        return len(self.data)

    def pread(self, size: int, offset: int) -> bytes:
        return bytes(self.data[offset : offset + size])

    def pwrite(self, data: Bytes, offset: int) -> int:
        put(self.data, bytes(data), offset)
        self.unsynced.append((offset, bytes(data)))
        return len(data)

    def sync(self) -> None:
        for offset, data in self.unsynced:
            put(self.safe, data, offset)
        self.unsynced.clear()

    def close(self) -> None:
        """Nothing is held."""

    def crash(self, draw: Random, lose: float) -> None:
        """Of the unsynced writes, some sectors reach the disk."""
        for offset, data in self.unsynced:
            if draw.random() < lose:
                data = data[: draw.randrange(len(data) + 1) // SECTOR * SECTOR]
            put(self.safe, data, offset)
        self.unsynced.clear()
        self.data = bytearray(self.safe)


def put(into: bytearray, data: bytes, offset: int) -> None:
    if len(into) < offset:
        into.extend(bytes(offset - len(into)))
    into[offset : offset + len(data)] = data


class PlainDisk:
    """`gateway.journal.files.Files` in memory; names are safe at once."""

    def __init__(self, faults: Faults, draw: Random) -> None:
        self.files: dict[Path, PlainFile] = {}
        self._faults = faults
        self._draw = draw

    def names(self, folder: Path) -> list[str]:
        return [path.name for path in self.files if path.parent == folder]

    def read(self, path: Path, limit: int | None = None) -> bytearray:
        return bytearray(self.open(path).data[:limit])

    def open(self, path: Path, mode: Mode = "read") -> PlainFile:
        if mode == "create":
            self.files[path] = PlainFile()
        if path not in self.files:
            raise FileNotFoundError(2, "no such file", str(path))
        return self.files[path]

    def rename(self, old: Path, new: Path) -> None:
        self.files[new] = self.files.pop(old)

    def unlink(self, path: Path) -> None:
        del self.files[path]

    def make_folder(self, folder: Path) -> None:
        """Folders are there."""

    def sync_folder(self, folder: Path) -> None:
        """Names are safe."""

    def lock(self, folder: Path) -> PlainFile:
        return PlainFile()

    def crash(self) -> None:
        """The node is gone: what was not synced may be lost."""
        lose = self._faults.strength("disk.lose")
        if lose and any(file.unsynced for file in self.files.values()):
            self._faults.count("disk.lose")
        for file in self.files.values():
            file.crash(self._draw, lose)


class PlainWriter:
    """The journal's writer without threads: `submit` queues, `write` hands it to the disk, `sync` makes it durable."""

    run_bytes_max = 1 << 16
    is_low = False
    failed = 0
    failed_op = ""

    def __init__(self, disk: PlainDisk, folder: Path, state: State, recovered: Recovered) -> None:
        number, offset = split_position(recovered.next_position)
        path = folder / segment_name(number)
        self._file = disk.files.get(path) or disk.open(path, "create")
        self.position = recovered.next_position
        self.durable_seq = self.last_seq = recovered.last_seq
        self._queue: list[tuple[int, bytes]] = []
        self._marks = 1000 * state.epoch  # above those that a recovery makes
        self.is_closed = False
        if recovered.next_position == FIRST_POSITION and offset == PAGE_BYTES and not recovered.history_id:
            fields = (_MAGIC, _FORMAT, number, recovered.last_seq + 1, SEGMENT_BYTES, state.history, state.epoch)
            head = _HEADER.pack(*fields, bytes(32), 0)
            self._file.pwrite(bytes(SEGMENT_BYTES), 0)
            self._file.pwrite(head[: HEADER_BYTES - 4] + checksum(head[: HEADER_BYTES - 4]).to_bytes(4, "little"), 0)
            self._file.sync()

    @property
    def has_work(self) -> bool:
        return bool(self._queue or self._file.unsynced)

    def submit(self, blob: memoryview, last_seq: int) -> int:
        if self.is_closed:
            raise JournalStopped(0, "close")
        position = self.position
        self._queue.append((position & 0xFFFFFFFF, bytes(blob)))
        self.position += len(blob)
        self.last_seq = last_seq
        return position

    def write(self) -> int:
        """Hand over what is queued; the last sequence of it."""
        for offset, data in self._queue:
            self._file.pwrite(data, offset)
        self._queue.clear()
        return self.last_seq

    def sync(self, last_seq: int) -> None:
        """What was handed over is on disk, and a mark says so at the next sync."""
        self._file.sync()
        self.durable_seq = last_seq

    def close(self) -> None:
        """Drain, sync, and mark the end as clean."""
        self.is_closed = True
        self.sync(self.write())
        offset, mark = pack_mark(Mark(self.position & 0xFFFFFFFF, self.last_seq, self._marks, True, True))
        self._file.pwrite(mark, offset)
        self._file.sync()
