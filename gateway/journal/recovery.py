"""Reads a journal from disk at start-up: validates all of it, cuts a torn tail durably, refuses damage before it.

Two passes: ``recover`` checks CRC, seq, epoch, atomic groups, header and hash chain of every segment and repairs the
tail before the first append can happen; ``Recovered.blocks`` then reads the sound frames again, in large runs.
Reading is plain ``read``, not a mapping: a failing disk becomes an OSError here and not a SIGBUS.

Bad with a sound frame behind it is damage, unless it lies past what the writer's mark says was synced: unsynced blocks
may reach the disk in any order, so a crash may leave a hole in the last commits, which nobody was told of.
"""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from gateway.journal.errors import JournalCorrupt, JournalError
from gateway.journal.files import SYSTEM, Files, write_all
from gateway.journal.segment import (
    CHAIN_BYTES,
    FIRST_POSITION,
    HEADER_BYTES,
    PAGE_BYTES,
    Mark,
    SegmentHeader,
    join_position,
    pack_mark,
    parse_header,
    parse_mark,
    segment_name,
    segment_numbers,
    split_position,
)
from gateway.plants import PLANTED, is_on, reach
from hotpath.frame import (
    FRAME_ALIGN_BYTES,
    SCAN_BAD,
    SCAN_END,
    SCAN_EPOCH,
    SCAN_SEQ,
    Scan,
    find_frame,
    find_seq,
    first_nonzero,
    scan,
)

_WHY = {SCAN_END: "bytes after the end", SCAN_BAD: "bad frame", SCAN_SEQ: "seq gap", SCAN_EPOCH: "epoch went back"}


Progress = Callable[[int, int], None]


class Block(NamedTuple):
    """A run of whole, sound frames. ``position`` is that of its first byte, ``next_position`` where to go on."""

    data: memoryview
    position: int
    next_position: int
    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True)
class SegmentRange:
    """The sound part of one used segment; ``end`` 0: only its header was checked."""

    header: SegmentHeader
    end: int
    last_seq: int
    frames: int


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the disk holds. An empty journal has history_id b"", last_seq 0 and next_position FIRST_POSITION.

    ``truncated_bytes`` were cut from the tail; of these ``synced_bytes_lost`` had been on disk by the writer's mark:
    more than a crash explains, so somebody should be told.
    """

    directory: Path
    history_id: bytes
    epoch: int
    first_seq: int
    last_seq: int
    next_position: int
    frames: int
    segments: tuple[SegmentRange, ...]
    truncated_bytes: int
    synced_bytes_lost: int
    is_clean: bool
    files: Files = SYSTEM

    def blocks(self, position: int = 0) -> Iterator[Block]:
        """Runs of frames from ``position`` (0: the first) to the end, one a segment, validated as they are read."""
        from_segment, from_offset = split_position(position)
        for used in self.segments:
            number = used.header.segment_no
            if number < from_segment:
                continue
            start = max(PAGE_BYTES, from_offset) if number == from_segment else PAGE_BYTES
            if 0 < used.end <= start:
                continue
            path = self.directory / segment_name(number)
            data = self.files.read(path, used.end or None)
            checked = scan(data, start, len(data))
            if not checked.frames and used.end == 0:
                continue
            if checked.last_seq != used.last_seq or used.end not in (0, checked.end):
                raise JournalCorrupt(
                    str(path), checked.end, checked.last_seq + 1, "not what the segments around it say"
                )
            view = memoryview(data)[start : checked.end]
            first_seq = used.last_seq - checked.frames + 1
            yield Block(
                view, join_position(number, start), join_position(number, checked.end), first_seq, used.last_seq
            )

    def find(self, seq: int) -> int:
        """Position of the frame ``seq``; next_position when seq is last_seq + 1."""
        if seq == self.last_seq + 1:
            return self.next_position
        for used in self.segments:
            if used.header.first_seq <= seq <= used.last_seq:
                number = used.header.segment_no
                data = self.files.read(self.directory / segment_name(number), used.end or None)
                return join_position(number, find_seq(data, PAGE_BYTES, len(data), seq))
        raise JournalError(f"seq {seq} is not in the journal: {self.first_seq}..{self.last_seq}")


def recover(
    directory: str | os.PathLike[str],
    *,
    repair: bool = True,
    since: int = 0,
    progress: Progress | None = None,
    files: Files = SYSTEM,
) -> Recovered:
    """Validate the journal in ``directory``; with ``repair`` cut a torn tail and make what stays durable.

    ``since`` is a position that a snapshot covers: segments before the one that holds it are checked by header only.
    ``progress`` is told segments done and segments in all.
    Raises JournalCorrupt (damage that is not a torn tail) and JournalError (a writer is at work; not a journal).
    """
    path = Path(directory)
    with _locked(path, repair, files):
        numbers = segment_numbers(path, files)
        if numbers and numbers != list(range(numbers[0], numbers[-1] + 1)):
            missing = next(number for number in range(numbers[0], numbers[-1]) if number not in numbers)
            raise JournalCorrupt(str(path / segment_name(missing)), 0, 0, "missing segment")
        headers = _used_headers(path, numbers, repair, files)
        if not headers:
            return Recovered(path, b"", 0, 1, 0, FIRST_POSITION, 0, (), 0, 0, True, files)
        return _validate(path, headers, repair, split_position(since)[0], progress, files)


@contextmanager
def _locked(path: Path, repair: bool, files: Files) -> Iterator[None]:
    """The writer holds this lock for its life: a repair under a live writer would cut what it is about to append."""
    if not repair:
        yield
        return
    try:
        held = files.lock(path)
    except BlockingIOError:
        raise JournalError(f"journal in use by another process: {path}") from None
    try:
        yield
    finally:
        held.close()


def _used_headers(path: Path, numbers: list[int], repair: bool, files: Files) -> list[SegmentHeader]:
    """Headers of the used segments; those after them were prepared: untouched, or torn before their first frame."""
    headers: list[SegmentHeader] = []
    seen_unused = None
    for number in numbers:
        file = path / segment_name(number)
        header = parse_header(files.read(file, PAGE_BYTES))
        if header is not None:
            if seen_unused is not None:
                raise JournalCorrupt(
                    str(path / segment_name(seen_unused)), 0, header.first_seq, "damaged segment header"
                )
            headers.append(header)
            continue
        seen_unused = seen_unused or number
        data = files.read(file)
        if first_nonzero(data, min(HEADER_BYTES, len(data)), len(data)) != len(data):
            raise JournalCorrupt(str(file), 0, 0, "damaged segment header")
        if repair and first_nonzero(data, 0, len(data)) != len(data):
            _overwrite(files, file, [(0, memoryview(bytes(HEADER_BYTES)))])  # torn while its header was being written
    if repair and not headers:  # no frame was ever written: begin anew, whatever size these files have
        for number in numbers:
            files.unlink(path / segment_name(number))
        files.sync_folder(path)
    return headers


def _validate(
    path: Path,
    headers: list[SegmentHeader],
    repair: bool,
    since_segment: int,
    progress: Progress | None,
    files: Files,
) -> Recovered:
    ranges: list[SegmentRange] = []
    epoch, chain = headers[0].epoch, None  # older segments may have been trimmed: the first chain meets nothing
    for header, following in zip(headers, [*headers[1:], None], strict=True):
        file = path / segment_name(headers[0].segment_no + len(ranges))
        _check_header(file, header, headers[0], ranges, chain, epoch)
        if following is not None and header.segment_no < since_segment:
            frames = following.first_seq - header.first_seq
            ranges.append(SegmentRange(header, 0, following.first_seq - 1, frames))
            chain, epoch = None, following.epoch
            continue
        data = files.read(file)
        data.extend(bytes(max(0, PAGE_BYTES - len(data))))
        found = scan(data, PAGE_BYTES, len(data), header.first_seq - 1, header.epoch)
        if following is None:
            tail = _settle_tail(files if repair else None, file, data, found, header)
        else:
            _refuse_unless_sealed(file, data, found)
            chain = _digest(data, found.end)
        epoch = found.epoch
        ranges.append(SegmentRange(header, found.whole_end, found.whole_last_seq, found.whole_frames))
        if progress is not None:
            progress(len(ranges), len(headers))
    return Recovered(
        directory=path,
        history_id=headers[0].history_id,
        epoch=epoch,
        first_seq=headers[0].first_seq,
        last_seq=ranges[-1].last_seq,
        next_position=join_position(headers[-1].segment_no, tail.end),
        frames=sum(used.frames for used in ranges),
        segments=tuple(ranges),
        truncated_bytes=tail.truncated_bytes,
        synced_bytes_lost=tail.synced_bytes_lost,
        is_clean=tail.is_clean,
        files=files,
    )


def _check_header(
    file: Path,
    header: SegmentHeader,
    first: SegmentHeader,
    before: list[SegmentRange],
    chain: bytes | None,
    epoch: int,
) -> None:
    want_seq = before[-1].last_seq + 1 if before else header.first_seq
    if header.segment_no != first.segment_no + len(before) or segment_name(header.segment_no) != file.name:
        raise JournalCorrupt(str(file), 0, want_seq, f"the header says segment {header.segment_no}")
    if header.history_id != first.history_id:
        raise JournalCorrupt(str(file), 0, want_seq, "a segment of another history")
    if header.first_seq != want_seq:
        raise JournalCorrupt(str(file), 0, want_seq, f"seq gap: the segment begins at {header.first_seq}")
    if chain is not None and header.chain != chain:
        raise JournalCorrupt(str(file), 0, want_seq, "broken hash chain: the segment before was changed")
    if header.epoch < epoch:
        raise JournalCorrupt(str(file), 0, want_seq, f"epoch went back from {epoch} to {header.epoch}")


def _refuse_unless_sealed(file: Path, data: bytearray, found: Scan) -> None:
    """A segment with a successor was whole on disk before that one began."""
    if found.code != SCAN_END or first_nonzero(data, found.end, len(data)) != len(data):
        raise JournalCorrupt(str(file), found.end, found.last_seq + 1, _WHY.get(found.code, "damaged"))
    if found.whole_end != found.end:
        raise JournalCorrupt(
            str(file), found.whole_end, found.whole_last_seq + 1, "atomic group open at a segment's end"
        )


def _digest(data: bytearray, end: int) -> bytes:
    view = memoryview(data)
    digest = hashlib.blake2b(view[:HEADER_BYTES], digest_size=CHAIN_BYTES)
    digest.update(view[PAGE_BYTES:end])
    return digest.digest()


class _Tail(NamedTuple):
    end: int
    truncated_bytes: int
    synced_bytes_lost: int
    is_clean: bool


def _settle_tail(files: Files | None, file: Path, data: bytearray, found: Scan, header: SegmentHeader) -> _Tail:
    """Decide what the end of the last used segment is worth; with ``files`` repair it: make the disk say the same."""
    mark = parse_mark(data)
    synced_end = mark.end if mark is not None and mark.is_synced else PAGE_BYTES
    has_junk = found.code != SCAN_END or first_nonzero(data, found.end, len(data)) != len(data)
    if has_junk:
        later = find_frame(data, min(found.end + FRAME_ALIGN_BYTES, len(data)), len(data))
        if found.code in (SCAN_SEQ, SCAN_EPOCH) or (later >= 0 and found.end < synced_end):
            what = _WHY[found.code] if later < 0 else f"{_WHY[found.code]}, sound again at offset {later}"
            raise JournalCorrupt(str(file), found.end, found.last_seq + 1, what)
    cut = found.whole_end
    if PLANTED and is_on("append_after_torn_tail"):
        cut = (
            PAGE_BYTES
            + -(-len(bytes(memoryview(data)[PAGE_BYTES:]).rstrip(b"\0")) // FRAME_ALIGN_BYTES) * FRAME_ALIGN_BYTES
        )
    is_cut = has_junk or cut != found.end
    if has_junk:
        reach("recovery.torn_tail")
    if cut != found.end:
        reach("recovery.group_without_its_end")
    truncated = len(bytes(memoryview(data)[cut:]).rstrip(b"\0")) if is_cut else 0
    is_clean = mark is not None and mark.is_clean and mark.end == cut and not is_cut
    if files is not None:
        is_short = len(data) < header.segment_bytes
        if not is_clean or is_short:
            zeros = max(len(data), header.segment_bytes) - cut if is_cut or is_short else 0
            start = min(synced_end, cut)
            head = memoryview(data)[:HEADER_BYTES]  # its own sync may be the one that failed
            _overwrite(files, file, [(0, head), (start, memoryview(data)[start:cut]), (cut, memoryview(bytes(zeros)))])
        # Also over a clean end: a stop that fires leaves before its record is on disk, and this life may do no more.
        number = mark.number + 1 if mark is not None else 1
        offset, packed = pack_mark(Mark(cut, found.whole_last_seq, number, is_clean=False, is_synced=True))
        _overwrite(files, file, [(offset, memoryview(packed))])
    return _Tail(cut, truncated, max(0, synced_end - cut), is_clean)


def _overwrite(files: Files, path: Path, pieces: list[tuple[int, memoryview]]) -> None:
    """Write and sync. The untrusted tail too: after a failed sync the cache may show what the disk never got."""
    file = files.open(path, "write")
    try:
        for offset, content in pieces:
            write_all(file, content, offset)
        file.sync()
    finally:
        file.close()
    files.sync_folder(path.parent)
