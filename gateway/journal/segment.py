"""The segment file: its name, its header and its marks as bytes, and positions. commit.hpp writes the same layout.

``DIR/00000001.seg``: one page of 4096 bytes, then frames at multiples of 8, then zeros to the end of the file.
A position is ``segment_no << 32 | offset`` and always points at a frame or at where the next one will go.
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from gateway.journal.files import SYSTEM, Files
from hotpath.frame import checksum

PAGE_BYTES = 4096
HEADER_BYTES = 128
MARK_BYTES = 32
MARK_OFFSETS = (1024, 2048)  # sectors of their own, written in turn: a torn write leaves the other one whole
FIRST_POSITION = (1 << 32) | PAGE_BYTES
CHAIN_BYTES = 32

_HEADER = struct.Struct("<8sIIQQ16sI4x32s36xI")
_MARK = struct.Struct("<QQQII")
_MAGIC = b"BKSTSEG\n"
_FORMAT = 1
_MARK_CLEAN = 1
_MARK_UNSYNCED = 2
_NAME = re.compile(r"(\d{8,})\.seg")


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """What a segment says of itself. ``chain`` is the BLAKE2b-256 of the used bytes of the segment before it."""

    segment_no: int
    first_seq: int
    segment_bytes: int
    history_id: bytes
    epoch: int
    chain: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the writer knew the segment to be on disk (``is_synced``), or only written, when the mark was made."""

    end: int
    last_seq: int
    number: int
    is_clean: bool
    is_synced: bool


def segment_name(segment_no: int) -> str:
    return f"{segment_no:08d}.seg"


def segment_numbers(directory: Path, files: Files = SYSTEM) -> list[int]:
    """Numbers of the segment files, ascending."""
    names = (_NAME.fullmatch(name) for name in files.names(directory))
    return sorted(int(match[1]) for match in names if match)


def join_position(segment_no: int, offset: int) -> int:
    return segment_no << 32 | offset


def split_position(position: int) -> tuple[int, int]:
    """(segment_no, offset)."""
    return position >> 32, position & 0xFFFFFFFF


def parse_header(page: bytes | bytearray | memoryview) -> SegmentHeader | None:
    """The header of a segment's first page, or None when there is no sound one (all zero: never used)."""
    if len(page) < HEADER_BYTES:
        return None
    magic, form, number, first_seq, size, history, epoch, chain, crc = _HEADER.unpack_from(page)
    if magic != _MAGIC or form != _FORMAT or crc != checksum(bytes(page[: HEADER_BYTES - 4])):
        return None
    return SegmentHeader(number, first_seq, size, history, epoch, chain)


def parse_mark(page: bytes | bytearray | memoryview) -> Mark | None:
    """The newest sound mark of a segment's first page."""
    marks = []
    for offset in MARK_OFFSETS:
        if len(page) >= offset + MARK_BYTES:
            end, last_seq, number, flags, crc = _MARK.unpack_from(page, offset)
            if number and crc == checksum(bytes(page[offset : offset + MARK_BYTES - 4])):
                marks.append(Mark(end, last_seq, number, bool(flags & _MARK_CLEAN), not flags & _MARK_UNSYNCED))
    return max(marks, key=lambda mark: mark.number, default=None)


def pack_mark(mark: Mark) -> tuple[int, bytes]:
    """(offset in the page, bytes) of a mark."""
    flags = (_MARK_CLEAN if mark.is_clean else 0) | (0 if mark.is_synced else _MARK_UNSYNCED)
    covered = _MARK.pack(mark.end, mark.last_seq, mark.number, flags, 0)[:-4]
    return MARK_OFFSETS[mark.number & 1], covered + struct.pack("<I", checksum(covered))
