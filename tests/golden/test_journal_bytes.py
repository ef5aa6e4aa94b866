"""The journal's bytes do not drift: a change here is a new format version, with an upgrade test."""

from pathlib import Path

from gateway.journal.segment import HEADER_BYTES, MARK_BYTES, MARK_OFFSETS, PAGE_BYTES, segment_name
from gateway.journal.snapshot import Snapshot, SnapshotStore
from gateway.journal.writer import JournalWriter
from hotpath.frame import pack_frame

FRAME = pack_frame(1, 1_700_000_000_000_000_000, 3, 17, 2, 0, b"first payload")
HEADER_HEX = (
    "424b53545345470a010000000100000001000000000000000020000000000000000102030405060708090a0b0c0d0e0f"
    "030000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "0000000000000000000000000000000000000000000000000000000057d9c99c"
)
FRAME_HEX = (
    "35000000684a2302010000000000000000002a36fe9c9717030000001100020000000000000000006669727374207061796c6f6164000000"
)
CLEAN_MARK_HEX = "3810000000000000010000000000000001000000"
SNAPSHOT_HEX = (
    "424b5354534e500a030000000000000007000000000000000010000001000000000102030405060708090a0b0c0d0e0f"
    "05000000000000000ced162a56b08dffb00f664b30b788b95dc961e36f5edc6ae67ba2d5261282f1a0ffa6bc00000000"
    "7374617465"
)


def test_segment_header_frame_and_closing_mark_keep_their_bytes(tmp_path: Path) -> None:
    writer = JournalWriter(
        str(tmp_path),
        history_id=bytes(range(16)),
        position=1 << 32 | PAGE_BYTES,
        last_seq=0,
        epoch=3,
        segment_bytes=8192,
    )
    writer.submit(FRAME, 1)
    writer.close()
    data = (tmp_path / segment_name(1)).read_bytes()
    assert data[:HEADER_BYTES].hex() == HEADER_HEX
    assert data[PAGE_BYTES : PAGE_BYTES + len(FRAME)].hex() == FRAME.hex() == FRAME_HEX
    assert not any(data[PAGE_BYTES + len(FRAME) :])
    marks = {_without_number(data[at : at + MARK_BYTES]) for at in MARK_OFFSETS}
    assert CLEAN_MARK_HEX in marks  # its number and crc depend on how often the writer was idle


def _without_number(mark: bytes) -> str:
    return (mark[:16] + mark[24:28]).hex()


def test_snapshot_keeps_its_bytes(tmp_path: Path) -> None:
    path = SnapshotStore(tmp_path).write(Snapshot(7, 1 << 32 | PAGE_BYTES, bytes(range(16)), b"state"))
    assert path.name == "00000000000000000007.snap"
    assert path.read_bytes().hex() == SNAPSHOT_HEX
