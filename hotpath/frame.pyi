from typing import Final, NamedTuple

from typing_extensions import Buffer

FRAME_HEADER_BYTES: Final = 40
FRAME_ALIGN_BYTES: Final = 8
FRAME_MAX_BYTES: Final = 65536
FLAG_CONTINUES: Final = 1
SCAN_END: int
SCAN_BAD: int
SCAN_SEQ: int
SCAN_EPOCH: int

class Frame(NamedTuple):
    seq: int
    wall_ns: int
    epoch: int
    kind: int
    version: int
    flags: int
    payload: memoryview
    space: int

class Scan(NamedTuple):
    end: int
    last_seq: int
    frames: int
    epoch: int
    whole_end: int
    whole_last_seq: int
    whole_frames: int
    code: int

def checksum(data: Buffer, seed: int = 0) -> int: ...
def checksum_by_table(data: Buffer, seed: int = 0) -> int: ...
def has_hardware_crc() -> bool: ...
def space(payload_bytes: int) -> int: ...
def pack_frame(seq: int, wall_ns: int, epoch: int, kind: int, version: int, flags: int, payload: bytes) -> bytes: ...
def check(data: Buffer, offset: int = 0) -> int: ...
def unpack_frame(data: Buffer, offset: int = 0) -> Frame: ...
def scan(data: Buffer, offset: int, stop: int, after_seq: int | None = None, min_epoch: int = 0) -> Scan: ...
def find_frame(data: Buffer, offset: int, stop: int) -> int: ...
def find_seq(data: Buffer, offset: int, stop: int, seq: int) -> int: ...
def first_nonzero(data: Buffer, offset: int, stop: int) -> int: ...
