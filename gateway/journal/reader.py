"""Reads the journal from any position while another process writes it: what the workers tail.

A reader sees what the writer's mark vouches for (at most 10 ms behind under load, 5 ms when idle), so that a worker
never acts on a record which a power failure could take back. ``durable_only=False`` also shows what is only written.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from gateway.journal.errors import JournalCorrupt, JournalError
from gateway.journal.files import SYSTEM, File, Files
from gateway.journal.recovery import Block
from gateway.journal.segment import (
    FIRST_POSITION,
    PAGE_BYTES,
    join_position,
    parse_header,
    parse_mark,
    segment_name,
    segment_numbers,
    split_position,
)
from hotpath.frame import FLAG_CONTINUES, FRAME_MAX_BYTES, find_seq, scan, unpack_frame


class JournalReader:
    """One reader of one journal. Not for use by two threads at once."""

    def __init__(self, directory: str | os.PathLike[str], *, durable_only: bool = True, files: Files = SYSTEM) -> None:
        self._directory = Path(directory)
        self._durable_only = durable_only
        self._files = files
        self._file: File | None = None
        self._open_no = 0

    def __enter__(self) -> "JournalReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._open_no = None, 0

    @property
    def first_position(self) -> int:
        """Position of the oldest frame that is still there."""
        numbers = segment_numbers(self._directory, self._files)
        return join_position(numbers[0], PAGE_BYTES) if numbers else FIRST_POSITION

    def read_at(self, position: int, max_bytes: int = 1 << 20) -> Block:
        """Whole atomic groups from ``position``, at most ``max_bytes`` but at least one group; empty when none is.

        Go on at ``next_position``, which follows the writer into the next segment. Raises JournalCorrupt (damage before
        the end) and JournalError (``position`` was trimmed or never written).
        """
        segment_no, offset = split_position(position)
        try:
            self._select(segment_no)
        except FileNotFoundError:
            if position == FIRST_POSITION:
                return _empty(position)
            raise JournalError(f"no journal segment {segment_no} for position {position:#x}") from None
        block = self._read(segment_no, offset, max_bytes, is_sealed=False)
        if block.data or not self._is_used(segment_no + 1):
            return block
        block = self._read(segment_no, offset, max_bytes, is_sealed=True)  # complete by now: what came in between
        return block if block.data else _empty(join_position(segment_no + 1, PAGE_BYTES))

    def blocks(self, position: int | None = None, max_bytes: int = 1 << 20) -> Iterator[Block]:
        """Blocks from ``position`` (None: the oldest) to what is there; poll again from the last ``next_position``."""
        at = self.first_position if position is None else position
        while True:
            block = self.read_at(at, max_bytes)
            if block.data:
                yield block
            elif block.next_position == at:
                return
            at = block.next_position

    def find(self, seq: int) -> int:
        """Position of the frame ``seq``. Raises JournalError when it is not in the journal (yet, or any more)."""
        numbers = [number for number in segment_numbers(self._directory, self._files) if self._is_used(number)]
        holder = next((number for number in reversed(numbers) if self._first_seq(number) <= seq), None)
        if holder is None:
            raise JournalError(f"seq {seq} is not in the journal")
        file = self._select(holder)
        data = file.pread(_end(file, is_whole=holder != numbers[-1] or not self._durable_only), 0)
        offset = find_seq(data, PAGE_BYTES, len(data), seq) if len(data) > PAGE_BYTES else -1
        if offset < 0:
            raise JournalError(f"seq {seq} is not in the journal")
        return join_position(holder, offset)

    def _is_used(self, segment_no: int) -> bool:
        return self._first_seq(segment_no) > 0

    def _first_seq(self, segment_no: int) -> int:
        """First seq of a segment; 0 when it is not there, or prepared and not used yet."""
        try:
            header = parse_header(self._files.read(self._directory / segment_name(segment_no), PAGE_BYTES))
        except FileNotFoundError:
            return 0
        return header.first_seq if header is not None else 0

    def _select(self, segment_no: int) -> File:
        if self._file is None or self._open_no != segment_no:
            file = self._files.open(self._directory / segment_name(segment_no))
            self.close()
            self._file, self._open_no = file, segment_no
        return self._file

    def _read(self, segment_no: int, offset: int, max_bytes: int, *, is_sealed: bool) -> Block:
        position = join_position(segment_no, offset)
        file = self._select(segment_no)
        is_vouched = is_sealed or self._durable_only
        end = _end(file, is_whole=is_sealed or not self._durable_only)
        want = max(max_bytes, FRAME_MAX_BYTES)
        data, found, take = b"", None, 0
        while offset < end:
            data = file.pread(min(want, end - offset), offset)
            found = scan(data, 0, len(data))
            take = _whole_groups(data, found.whole_end, max_bytes)
            if take or not found.end or len(data) >= end - offset:
                break
            want *= 2  # an atomic group longer than what was asked
        if take:
            taken = scan(data, 0, take)
            view = memoryview(data)[:take]
            return Block(view, position, position + take, taken.last_seq - taken.frames + 1, taken.last_seq)
        if found is not None and is_vouched and any(data[found.end : found.end + 4]):
            path = self._directory / segment_name(segment_no)
            raise JournalCorrupt(str(path), offset + found.end, found.last_seq + 1 if found.frames else 0, "bad frame")
        return _empty(position)


def _end(file: File, *, is_whole: bool) -> int:
    """How far a segment may be read: all of it, or what its mark vouches for."""
    size = file.size()
    if is_whole:
        return size
    mark = parse_mark(file.pread(PAGE_BYTES, 0))
    return min(mark.end, size) if mark is not None else PAGE_BYTES


def _whole_groups(data: bytes, found_end: int, max_bytes: int) -> int:
    """End of the last group that ends by ``max_bytes``; the end of the first group when that alone is longer."""
    if found_end <= max_bytes:
        return found_end
    if end := scan(data, 0, min(max_bytes, found_end)).whole_end:
        return end
    while True:
        frame = unpack_frame(data, end)
        end += frame.space
        if not frame.flags & FLAG_CONTINUES:
            return end


def _empty(position: int) -> Block:
    return Block(memoryview(b""), position, position, 0, 0)
