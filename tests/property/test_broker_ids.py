"""Broker ids: every id decodes to its parts, and nothing else decodes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brokers.ids import decode_broker_id, encode_broker_id

DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
tags = st.text(DIGITS, min_size=5, max_size=5).map(str.encode)


@given(st.integers(0, 1023), tags, st.integers(0, 2**32 - 1), st.integers(0, 1023))
def test_an_id_decodes_to_its_parts(shard: int, history: bytes, order: int, rev: int) -> None:
    text = encode_broker_id(shard, history, order, rev)
    assert len(text) == 17
    assert decode_broker_id(text) == (shard, history, order, rev)


@given(st.binary(max_size=24) | st.text(DIGITS, min_size=16, max_size=16).map(lambda text: b"B" + text.encode()))
def test_a_text_that_decodes_is_the_id_of_its_parts(text: bytes) -> None:
    parts = decode_broker_id(text)
    assert parts is None or encode_broker_id(*parts) == text


@pytest.mark.parametrize(
    "parts",
    [(1024, b"00000", 0, 0), (0, b"0000", 0, 0), (0, b"0000I", 0, 0), (0, b"00000", 2**32, 0), (0, b"00000", 0, 1024)],
)
def test_parts_that_do_not_fit_are_refused(parts: tuple[int, bytes, int, int]) -> None:
    with pytest.raises(ValueError, match=r"broker id|history tag"):
        encode_broker_id(*parts)
