"""What ``backstay journal verify|dump|stats`` answers: reads only, also while a writer is at work."""

import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.journal.errors import JournalCorrupt
from gateway.journal.files import SYSTEM, Files
from gateway.journal.reader import JournalReader
from gateway.journal.recovery import Progress, Recovered, recover
from gateway.journal.segment import PAGE_BYTES, parse_header, segment_name, segment_numbers
from hotpath.frame import FRAME_ALIGN_BYTES, FRAME_HEADER_BYTES, scan

_FRAME = struct.Struct("<IIQqIHBBQ")

Render = Callable[[int, int, memoryview], object]  # kind, version, payload -> something that JSON can say


@dataclass(frozen=True, slots=True)
class Corruption:
    """Where the journal stops being sound although sound data follow."""

    file: str
    offset: int
    seq: int
    what: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The result of a full check. With ``corruption`` the counts are those of the sound prefix."""

    is_sound: bool
    history_id: str
    first_seq: int
    last_seq: int
    frames: int
    frame_bytes: int
    segments: int
    epoch: int
    kinds: dict[int, int]
    torn_tail_bytes: int
    synced_bytes_lost: int
    is_clean: bool
    corruption: Corruption | None


@dataclass(frozen=True, slots=True)
class KindStats:
    """How many records of one kind, and their bytes with headers and padding."""

    records: int
    frame_bytes: int


@dataclass(frozen=True, slots=True)
class SegmentStats:
    """One segment: what it holds and when it was written."""

    segment_no: int
    first_seq: int
    last_seq: int
    records: int
    used_bytes: int
    file_bytes: int
    first_wall_ns: int
    last_wall_ns: int


@dataclass(frozen=True, slots=True)
class StatsReport:
    """Totals by kind and by segment."""

    kinds: dict[int, KindStats]
    segments: tuple[SegmentStats, ...]
    records: int
    frame_bytes: int
    file_bytes: int
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class DumpedRecord:
    """One record; ``payload`` is what the caller's renderer made of it."""

    position: int
    seq: int
    wall_ns: int
    epoch: int
    kind: int
    version: int
    continues: bool
    payload: object


def verify(
    directory: str | os.PathLike[str], *, progress: Progress | None = None, files: Files = SYSTEM
) -> VerifyReport:
    """Check everything that start-up checks. Raises OSError when the files cannot be read."""
    path = Path(directory)
    try:
        found = recover(path, repair=False, progress=progress, files=files)
    except JournalCorrupt as error:
        return _corrupt(path, error, files)
    kinds: dict[int, int] = {}
    frame_bytes = 0
    for block in found.blocks():
        frame_bytes += len(block.data)
        _count_kinds(block.data, kinds)
    return VerifyReport(
        is_sound=True,
        history_id=found.history_id.hex(),
        first_seq=found.first_seq,
        last_seq=found.last_seq,
        frames=found.frames,
        frame_bytes=frame_bytes,
        segments=len(found.segments),
        epoch=found.epoch,
        kinds=dict(sorted(kinds.items())),
        torn_tail_bytes=found.truncated_bytes,
        synced_bytes_lost=found.synced_bytes_lost,
        is_clean=found.is_clean,
        corruption=None,
    )


def dump(
    directory: str | os.PathLike[str],
    render: Render,
    *,
    first_seq: int = 0,
    last_seq: int | None = None,
    files: Files = SYSTEM,
) -> Iterator[DumpedRecord]:
    """Records in order, from ``first_seq`` (0: the oldest) to ``last_seq``. Raises JournalCorrupt at damage."""
    with JournalReader(directory, durable_only=False, files=files) as reader:
        for block in reader.blocks(reader.find(first_seq) if first_seq else None):
            for at, header in _headers(block.data):
                length, _, seq, wall_ns, epoch, kind, version, flags, _ = header
                if last_seq is not None and seq > last_seq:
                    return
                payload = render(kind, version, block.data[at + FRAME_HEADER_BYTES : at + length])
                yield DumpedRecord(block.position + at, seq, wall_ns, epoch, kind, version, bool(flags & 1), payload)


def stats(directory: str | os.PathLike[str], *, progress: Progress | None = None, files: Files = SYSTEM) -> StatsReport:
    """Sizes and counts of a sound journal. Raises JournalCorrupt when it is not sound: verify says more."""
    path = Path(directory)
    found = recover(path, repair=False, progress=progress, files=files)
    kinds: dict[int, tuple[int, int]] = {}
    payload_bytes = 0
    segments = []
    walls = _wall_ranges(found, kinds)
    for used in found.segments:
        number = used.header.segment_no
        first_wall_ns, last_wall_ns, payload = walls.get(number, (0, 0, 0))
        payload_bytes += payload
        file_bytes = _size(files, path / segment_name(number))
        segments.append(
            SegmentStats(
                segment_no=number,
                first_seq=used.header.first_seq,
                last_seq=used.last_seq,
                records=used.frames,
                used_bytes=used.end - PAGE_BYTES,
                file_bytes=file_bytes,
                first_wall_ns=first_wall_ns,
                last_wall_ns=last_wall_ns,
            )
        )
    return StatsReport(
        kinds={kind: KindStats(*counts) for kind, counts in sorted(kinds.items())},
        segments=tuple(segments),
        records=found.frames,
        frame_bytes=sum(segment.used_bytes for segment in segments),
        file_bytes=sum(_size(files, path / segment_name(number)) for number in segment_numbers(path, files)),
        payload_bytes=payload_bytes,
    )


def _size(files: Files, path: Path) -> int:
    file = files.open(path)
    try:
        return file.size()
    finally:
        file.close()


def _wall_ranges(found: Recovered, kinds: dict[int, tuple[int, int]]) -> dict[int, tuple[int, int, int]]:
    """(first wall_ns, last wall_ns, payload bytes) by segment; fills the counts by kind on the way."""
    walls = {}
    for block in found.blocks():
        first_wall_ns = last_wall_ns = payload_bytes = 0
        for at, header in _headers(block.data):
            length, wall_ns, kind = header[0], header[3], header[5]
            first_wall_ns = wall_ns if at == 0 else first_wall_ns
            last_wall_ns = wall_ns
            payload_bytes += length - FRAME_HEADER_BYTES
            records, frame_bytes = kinds.get(kind, (0, 0))
            kinds[kind] = (records + 1, frame_bytes + _padded(length))
        walls[block.position >> 32] = (first_wall_ns, last_wall_ns, payload_bytes)
    return walls


def _corrupt(path: Path, error: JournalCorrupt, files: Files) -> VerifyReport:
    """Counts of the sound prefix: whole segments before the damaged one, and its frames up to the damage."""
    kinds: dict[int, int] = {}
    frames = frame_bytes = segments = epoch = first_seq = last_seq = 0
    history_id = b""
    for number in segment_numbers(path, files):
        data = files.read(path / segment_name(number))
        header = parse_header(data)
        is_damaged = str(path / segment_name(number)) == error.file
        if header is None or (is_damaged and error.offset < PAGE_BYTES):
            break
        history_id, first_seq = header.history_id, first_seq or header.first_seq
        found = scan(data, PAGE_BYTES, min(len(data), error.offset) if is_damaged else len(data), header.first_seq - 1)
        _count_kinds(memoryview(data)[PAGE_BYTES : found.end], kinds)
        frames, frame_bytes, segments = frames + found.frames, frame_bytes + found.end - PAGE_BYTES, segments + 1
        epoch, last_seq = max(epoch, found.epoch), found.last_seq
        if is_damaged:
            break
    return VerifyReport(
        is_sound=False,
        history_id=history_id.hex(),
        first_seq=first_seq,
        last_seq=last_seq,
        frames=frames,
        frame_bytes=frame_bytes,
        segments=segments,
        epoch=epoch,
        kinds=dict(sorted(kinds.items())),
        torn_tail_bytes=0,
        synced_bytes_lost=0,
        is_clean=False,
        corruption=Corruption(error.file, error.offset, error.seq, error.what),
    )


def _count_kinds(data: memoryview, kinds: dict[int, int]) -> None:
    for _, header in _headers(data):
        kinds[header[5]] = kinds.get(header[5], 0) + 1


def _headers(data: memoryview) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Offset and header fields of each frame of a validated run."""
    at = 0
    while at < len(data):
        header = _FRAME.unpack_from(data, at)
        yield at, header
        at += _padded(header[0])


def _padded(length: int) -> int:
    return (length + FRAME_ALIGN_BYTES - 1) // FRAME_ALIGN_BYTES * FRAME_ALIGN_BYTES
