"""Journal record framing in plain Python: the specification and oracle of hotpath/frame.pyx."""

import struct
from typing import NamedTuple

FRAME_HEADER_BYTES = 40
FRAME_ALIGN_BYTES = 8
FRAME_MAX_BYTES = 65536
FLAG_CONTINUES = 1
SCAN_END = 0
SCAN_BAD = 1
SCAN_SEQ = 2
SCAN_EPOCH = 3

_LENGTH_CRC = struct.Struct("<II")
COVERED = struct.Struct("<QqIHBBQ")  # seq, wall_ns, epoch, kind, version, flags, reserved


class Frame(NamedTuple):
    """One decoded frame."""

    seq: int
    wall_ns: int
    epoch: int
    kind: int
    version: int
    flags: int
    payload: memoryview
    space: int


class Scan(NamedTuple):
    """What a run of frames holds; ``whole_*`` stop at the last frame that ends an atomic group."""

    end: int
    last_seq: int
    frames: int
    epoch: int
    whole_end: int
    whole_last_seq: int
    whole_frames: int
    code: int


def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()


def checksum(data: bytes | bytearray | memoryview, seed: int = 0) -> int:
    """CRC32C (RFC 3720 appendix B.4), continued from ``seed``."""
    crc = seed ^ 0xFFFFFFFF
    for byte in bytes(data):
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def space(payload_bytes: int) -> int:
    """Padded bytes that a frame with this payload takes."""
    return -(-(payload_bytes + FRAME_HEADER_BYTES) // FRAME_ALIGN_BYTES) * FRAME_ALIGN_BYTES


def pack_frame(seq: int, wall_ns: int, epoch: int, kind: int, version: int, flags: int, payload: bytes) -> bytes:
    """One whole frame: length, crc, covered header, payload, zero padding."""
    length = FRAME_HEADER_BYTES + len(payload)
    if length > FRAME_MAX_BYTES or seq == 0:
        raise ValueError(f"frame refused: seq={seq} payload_bytes={len(payload)}")
    covered = COVERED.pack(seq, wall_ns, epoch, kind, version, flags, 0) + payload
    return _LENGTH_CRC.pack(length, checksum(covered)) + covered + bytes(space(len(payload)) - length)


def check(data: bytes | bytearray | memoryview, offset: int = 0) -> int:
    """Padded length of the sound frame at ``offset``; 0 for a zero length word or too few bytes; -1 for bad."""
    view = bytes(data[offset:])
    if len(view) < 4:
        return 0
    length = int.from_bytes(view[:4], "little")
    if length == 0:
        return 0
    if not FRAME_HEADER_BYTES <= length <= FRAME_MAX_BYTES:
        return -1
    padded = space(length - FRAME_HEADER_BYTES)
    if padded > len(view):
        return 0
    seq, *_, reserved = COVERED.unpack_from(view, 8)
    sound = checksum(view[8:length]) == _LENGTH_CRC.unpack_from(view)[1] and seq != 0 and reserved == 0
    return padded if sound and not any(view[length:padded]) else -1


def unpack_frame(data: bytes | bytearray | memoryview, offset: int = 0) -> Frame:
    """Decode the sound frame at ``offset``."""
    padded = check(data, offset)
    if padded <= 0:
        raise ValueError(f"no sound frame at offset {offset}")
    length = _LENGTH_CRC.unpack_from(data, offset)[0]
    seq, wall_ns, epoch, kind, version, flags, _ = COVERED.unpack_from(data, offset + 8)
    payload = memoryview(data)[offset + FRAME_HEADER_BYTES : offset + length]
    return Frame(seq, wall_ns, epoch, kind, version, flags, payload, padded)


def scan(
    data: bytes | bytearray | memoryview, offset: int, stop: int, after_seq: int | None = None, min_epoch: int = 0
) -> Scan:
    """Validate the run of frames at ``data[offset:stop]`` and say how far it is sound and why it ends there."""
    run = bytes(data[:stop])
    end, last_seq, frames, epoch = offset, after_seq, 0, min_epoch
    whole = (offset, after_seq or 0, 0)
    code = SCAN_END
    while end < stop:
        padded = check(run, end)
        if padded <= 0:
            code = SCAN_BAD if padded < 0 or any(run[end : end + 4]) else SCAN_END
            break
        frame = unpack_frame(run, end)
        if last_seq is not None and frame.seq != last_seq + 1:
            code = SCAN_SEQ
            break
        if frame.epoch < epoch:
            code = SCAN_EPOCH
            break
        end, last_seq, frames, epoch = end + padded, frame.seq, frames + 1, frame.epoch
        if not frame.flags & FLAG_CONTINUES:
            whole = (end, frame.seq, frames)
    return Scan(end, last_seq or 0, frames, epoch, *whole, code)


def find_frame(data: bytes | bytearray | memoryview, offset: int, stop: int) -> int:
    """Offset of the first sound frame at or after ``offset`` (rounded up to the alignment), or -1."""
    run = bytes(data[:stop])
    first = -(-offset // FRAME_ALIGN_BYTES) * FRAME_ALIGN_BYTES
    return next((at for at in range(first, stop, FRAME_ALIGN_BYTES) if check(run, at) > 0), -1)


def find_seq(data: bytes | bytearray | memoryview, offset: int, stop: int, seq: int) -> int:
    """Offset of the first sound frame of the run at ``offset`` whose seq is ``seq`` or later, or -1."""
    run = bytes(data[:stop])
    while offset < stop and check(run, offset) > 0:
        frame = unpack_frame(run, offset)
        if frame.seq >= seq:
            return offset
        offset += frame.space
    return -1


def first_nonzero(data: bytes | bytearray | memoryview, offset: int, stop: int) -> int:
    """Offset of the first byte of ``data[offset:stop]`` that is not zero, or ``stop``."""
    return next((at for at in range(offset, stop) if data[at]), stop)
