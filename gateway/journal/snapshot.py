"""The snapshot store: ``DIR/snapshots/SEQ.snap``, each the core's whole state after SEQ, so that start-up stays short.

A snapshot is never the truth, only a shortcut: a damaged one is passed over and reported, and an older one serves.
"""

import hashlib
import os
import re
import struct
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.journal.errors import JournalError
from gateway.journal.files import SYSTEM, Files, write_all
from gateway.journal.recovery import Progress, Recovered, recover
from hotpath.frame import checksum

_HEADER = struct.Struct("<8sIIQQ16sQ32sI4x")  # magic, version, 0, seq, position, history, length, digest, crc
_COVERED_BYTES = _HEADER.size - 8
_MAGIC = b"BKSTSNP\n"
_VERSION = 3
_NAME = re.compile(r"(\d{20})\.snap")
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state after ``seq``; replay goes on at ``position``. The content belongs to the core."""

    seq: int
    position: int
    history_id: bytes
    content: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """A snapshot that could not be used, and why."""

    path: Path
    why: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The newest usable snapshot (None: replay from the beginning) and those that were passed over."""

    snapshot: Snapshot | None
    refused: tuple[Refused, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """What start-up goes on from."""

    snapshot: Snapshot | None
    recovered: Recovered
    refused: tuple[Refused, ...]


class SnapshotStore:
    """Snapshots of one journal. ``keep`` of them stay; the older are removed when a new one is safely written."""

    def __init__(self, journal_dir: str | os.PathLike[str], *, keep: int = 3, files: Files = SYSTEM) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1: {keep}")
        self._directory = Path(journal_dir) / "snapshots"
        self._keep = keep
        self._files = files

    def write(self, snapshot: Snapshot) -> Path:
        """Write and sync under another name, rename, sync the folder: all of it is there or none. Waits for the disk.

        Write it only when ``seq`` is durable in the journal: a snapshot must not know more than the journal.
        """
        path = self._directory / f"{snapshot.seq:020d}.snap"
        temporary = path.with_suffix(".tmp")
        try:
            self._files.make_folder(self._directory)
            self._fill(temporary, snapshot)
            self._files.rename(temporary, path)
            self._files.sync_folder(self._directory)
            for old in self.paths()[self._keep :]:
                self._remove(old)
        except OSError as error:
            with suppress(OSError):  # what it leaves is passed over by every start, and written over
                self._files.unlink(temporary)
            raise JournalError(f"snapshot not written: seq={snapshot.seq}: {error.strerror}") from error
        return path

    def _fill(self, path: Path, snapshot: Snapshot) -> None:
        file = self._files.open(path, "create")
        try:
            header = _pack_header(snapshot)
            write_all(file, memoryview(header), 0)
            write_all(file, memoryview(snapshot.content), len(header))
            file.sync()
        finally:
            file.close()

    def _remove(self, path: Path) -> None:
        with suppress(FileNotFoundError):  # the gateway and the snapshot worker both clean up
            self._files.unlink(path)

    def paths(self) -> list[Path]:
        """Snapshot files, newest first."""
        try:
            names = self._files.names(self._directory)
        except FileNotFoundError:
            return []
        return [self._directory / name for name in sorted(names, reverse=True) if _NAME.fullmatch(name)]

    def load(self, *, history_id: bytes | None = None, last_seq: int | None = None) -> Loaded:
        """The newest sound snapshot; of this history and not ahead of the journal's ``last_seq`` if these are given."""
        refused: list[Refused] = []
        for path in self.paths():
            found = _read(path, self._files)
            if isinstance(found, Snapshot) and history_id is not None and found.history_id != history_id:
                found = "a snapshot of another history"
            elif isinstance(found, Snapshot) and last_seq is not None and found.seq > last_seq:
                found = f"ahead of the journal: seq {found.seq} after {last_seq}"
            if isinstance(found, Snapshot):
                return Loaded(found, tuple(refused))
            refused.append(Refused(path, found))
        return Loaded(None, tuple(refused))


def restore(
    journal_dir: str | os.PathLike[str], *, progress: Progress | None = None, files: Files = SYSTEM
) -> Restored:
    """Start-up in one call: the newest usable snapshot and the recovered journal behind it.

    Apply ``snapshot.content`` (or begin empty), then ``recovered.blocks(snapshot.position)``. Raises as ``recover``.
    """
    store = SnapshotStore(journal_dir, files=files)
    newest = store.load().snapshot
    since = newest.position if newest is not None else 0
    recovered = recover(journal_dir, since=since, progress=progress, files=files)
    loaded = store.load(history_id=recovered.history_id, last_seq=recovered.last_seq)
    if newest is not None and (loaded.snapshot is None or loaded.snapshot.seq != newest.seq):
        whole = recover(journal_dir, progress=progress, files=files)  # the shortcut was wrong: check what it left out
        cut, lost, is_clean = recovered.truncated_bytes, recovered.synced_bytes_lost, recovered.is_clean
        recovered = replace(whole, truncated_bytes=cut, synced_bytes_lost=lost, is_clean=is_clean)
    return Restored(loaded.snapshot, recovered, loaded.refused)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()


def _pack_header(snapshot: Snapshot) -> bytes:
    fields = (snapshot.seq, snapshot.position, snapshot.history_id, len(snapshot.content), _digest(snapshot.content))
    covered = _HEADER.pack(_MAGIC, _VERSION, 0, *fields, 0)[:_COVERED_BYTES]
    return covered + struct.pack("<I4x", checksum(covered))


def _read(path: Path, files: Files) -> Snapshot | str:
    """The snapshot, or why it cannot be used."""
    try:
        data = memoryview(files.read(path))
    except OSError as error:
        return f"not readable: {error.strerror}"
    if len(data) < _HEADER.size:
        return f"cut at {len(data)} bytes"
    magic, version, _, seq, position, history_id, length, digest, crc = _HEADER.unpack_from(data)
    if magic != _MAGIC or crc != checksum(bytes(data[:_COVERED_BYTES])) or any(data[_HEADER.size - 4 : _HEADER.size]):
        return "damaged header"
    if version != _VERSION:
        return f"version {version} is not known"
    content = bytes(data[_HEADER.size :])
    if len(content) != length or _digest(content) != digest:
        return "damaged content"
    if path.name != f"{seq:020d}.snap":
        return f"the header says seq {seq}"
    return Snapshot(seq, position, history_id, content)
