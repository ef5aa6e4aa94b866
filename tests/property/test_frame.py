"""The frame kernel equals its plain twin, and no single changed bit passes the check."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from hotpath import frame
from hotpath.ref import frame as ref


class Header(NamedTuple):
    wall_ns: int
    epoch: int
    kind: int
    version: int
    flags: int
    payload: bytes


headers = st.builds(
    Header,
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 3),
    st.integers(0, 2**16 - 1),
    st.integers(0, 255),
    st.integers(0, 1),
    st.binary(max_size=70),
)


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_checksum_is_one_function_in_hardware_table_and_twin(data: bytes, seed: int) -> None:
    expected = ref.checksum(data, seed)
    assert frame.checksum(data, seed) == expected
    assert frame.checksum_by_table(data, seed) == expected


def test_checksum_matches_the_published_vector() -> None:
    assert frame.checksum(b"123456789") == 0xE3069283  # RFC 3720, and every CRC catalogue


@given(st.binary(max_size=200), st.integers(0, 200))
def test_checksum_continues_from_a_seed(data: bytes, cut: int) -> None:
    assert frame.checksum(data[cut:], frame.checksum(data[:cut])) == frame.checksum(data)


@given(st.integers(1, 2**64 - 1), headers)
def test_frames_pack_and_unpack_alike(seq: int, header: Header) -> None:
    packed = frame.pack_frame(seq, *header)
    assert packed == ref.pack_frame(seq, *header)
    assert len(packed) == frame.space(len(header.payload)) == ref.space(len(header.payload))
    assert frame.check(packed) == ref.check(packed) == len(packed)
    unpacked = frame.unpack_frame(packed)
    assert tuple(unpacked) == tuple(ref.unpack_frame(packed))
    assert tuple(unpacked)[:7] == (seq, *header[:5], header.payload)


@given(st.integers(1, 2**64 - 1), headers, st.data())
def test_no_single_changed_bit_leaves_a_sound_frame(seq: int, header: Header, data: st.DataObject) -> None:
    packed = bytearray(frame.pack_frame(seq, *header))
    bit = data.draw(st.integers(0, len(packed) * 8 - 1))
    packed[bit // 8] ^= 1 << (bit % 8)
    assert frame.check(packed) == ref.check(packed) <= 0


@st.composite
def runs(draw: st.DrawFn) -> tuple[bytes, int, int, int | None, int]:
    """A run of frames with an occasional seq gap, epoch step back, cut, hole or flipped byte, and where to scan it."""
    first = seq = draw(st.integers(1, 1000))
    out = bytearray(draw(st.integers(0, 2)) * 8)
    offset = len(out)
    for header in draw(st.lists(headers, max_size=6)):
        out += ref.pack_frame(seq, *header)
        seq += draw(st.sampled_from((1, 1, 1, 1, 1, 1, 2)))
    out += bytes(draw(st.integers(0, 24)))
    if out and draw(st.booleans()):
        out[draw(st.integers(0, len(out) - 1))] ^= draw(st.integers(0, 255))
    stop = draw(st.integers(offset, len(out))) if draw(st.booleans()) else len(out)
    after = draw(st.sampled_from((None, first - 1, first)))
    return bytes(out), offset, stop, after, draw(st.integers(0, 2))


@given(runs())
def test_scan_search_and_zero_test_equal_the_twin(run: tuple[bytes, int, int, int | None, int]) -> None:
    data, offset, stop, after, min_epoch = run
    assert tuple(frame.scan(data, offset, stop, after, min_epoch)) == tuple(
        ref.scan(data, offset, stop, after, min_epoch)
    )
    assert frame.find_frame(data, offset, stop) == ref.find_frame(data, offset, stop)
    assert frame.first_nonzero(data, offset, stop) == ref.first_nonzero(data, offset, stop)
    for seq in (1, (after or 0) + 1, (after or 0) + 3):
        assert frame.find_seq(data, offset, stop, seq) == ref.find_seq(data, offset, stop, seq)
