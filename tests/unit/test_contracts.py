"""Requests decode into typed messages, and a failed decode is explained with a code and a path."""

from typing import get_args

import msgspec
import pytest

from gateway.contracts import requests
from gateway.contracts.errors import ERRORS, error_kind
from gateway.contracts.explain import DECIMAL_MEMBERS
from gateway.contracts.messages import (
    DECODE_ERRORS,
    decode_request,
    decode_request_msgpack,
    encode,
    encode_msgpack,
    explain_decode_error,
    recover_id,
)
from gateway.contracts.values import Retry

PLACE = (
    b'{"t":"place","id":7,"cl_ord_id":"a-1","symbol":"AAPL","side":"sell","ord_type":"market","qty":"10",'
    b'"reduce_only":true,"trigger":{"kind":"stop","stop_px":"181.50"}}'
)


def explained(raw: bytes) -> tuple[str, str]:
    with pytest.raises(DECODE_ERRORS) as caught:
        decode_request(raw)
    code, path, text = explain_decode_error(caught.value)
    assert text
    assert code in ERRORS
    return code, path


def test_place_with_a_stop_decodes_with_its_defaults() -> None:
    place = decode_request(PLACE)
    assert place == requests.Place(
        id=7,
        cl_ord_id="a-1",
        symbol="AAPL",
        side="sell",
        ord_type="market",
        qty="10",
        reduce_only=True,
        trigger=requests.Trigger(kind="stop", stop_px="181.50"),
    )
    assert isinstance(place, requests.Place)
    assert (place.tif, place.hours, place.dry) == ("day", "regular", False)


@pytest.mark.parametrize("raw", [PLACE, b'{"t":"cancel","id":1,"cl_ord_id":"a"}', b'{"t":"bye","id":2}'])
def test_both_encodings_carry_the_same_message(raw: bytes) -> None:
    message = decode_request(raw)
    assert decode_request(encode(message)) == message
    assert decode_request_msgpack(encode_msgpack(message)) == message


@pytest.mark.parametrize(
    ("raw", "code", "path"),
    [
        (PLACE.replace(b'"qty":"10"', b'"qty":10'), "BAD_DECIMAL", "qty"),
        (PLACE.replace(b'"181.50"', b"181.50"), "BAD_DECIMAL", "trigger.stop_px"),
        (PLACE.replace(b'"qty":"10"', b'"qty":""'), "BAD_DECIMAL", "qty"),
        (PLACE.replace(b'"qty":"10"', b'"qty":true'), "BAD_FIELD", "qty"),
        (PLACE.replace(b"stop_px", b"stp_px"), "BAD_FIELD", "trigger.stp_px"),
        (PLACE.replace(b'"sell"', b'"short"'), "BAD_FIELD", "side"),
        (PLACE.replace(b'"cl_ord_id":"a-1",', b""), "BAD_FIELD", "cl_ord_id"),
        (PLACE.replace(b'"a-1"', b'"' + b"x" * 37 + b'"'), "BAD_FIELD", "cl_ord_id"),
        (PLACE.replace(b'"id":7', b'"id":7.5'), "BAD_FIELD", "id"),
        (PLACE.replace(b'"id":7', b'"id":0'), "BAD_FIELD", "id"),
        (PLACE.replace(b'"t":"place"', b'"t":"plaec"'), "UNKNOWN_REQUEST", "t"),
        (b'{"id":3}', "UNKNOWN_REQUEST", "t"),
        (b'{"t":"batch","id":3,"items":[{"t":"cancel","cl_ord_id":"a"},{"t":"get"}]}', "UNKNOWN_REQUEST", "items[1].t"),
        (b'{"t":"batch","id":3,"items":[{"t":"cancel","cl_ord_id":"a","id":4}]}', "BAD_FIELD", "items[0].id"),
        (b"{", "MALFORMED", ""),
        (b"", "MALFORMED", ""),
        (b"\x00\xff", "MALFORMED", ""),
        (b"[1]", "MALFORMED", ""),
        (b'{"t":"cancel","id":3,"cl_ord_id":"\xff"}', "MALFORMED", ""),
        (b'{"z":' + b"[" * 30_000, "MALFORMED", ""),
    ],
)
def test_a_bad_frame_is_explained(raw: bytes, code: str, path: str) -> None:
    assert explained(raw) == (code, path)


@pytest.mark.parametrize(
    ("raw", "request_id"),
    [
        (b'{"t":"nothing","id":41,"x":[1,{"y":null}]}', 41),
        (b'{"t":"nothing"}', None),
        (b'{"id":"41"}', None),
        (b'{"id":-1}', None),
        (b'{"id":9007199254740992}', None),
        (b'{"id":99999999999999999999999}', None),
        (b"[]", None),
        (b"\xff", None),
        (b'{"z":' + b"[" * 30_000, None),
    ],
)
def test_the_id_is_recovered_where_there_is_one(raw: bytes, request_id: int | None) -> None:
    assert recover_id(raw) == request_id


def test_the_id_is_recovered_from_msgpack() -> None:
    assert recover_id(msgspec.msgpack.encode({"t": "x", "id": 5}), msgpack=True) == 5
    assert recover_id(b"\xc1", msgpack=True) is None


def test_decimal_members_are_found_in_the_structs() -> None:
    assert {"qty", "px", "stop_px", "limit_offset", "amount", "bps", "collar_bps"} <= DECIMAL_MEMBERS
    assert DECIMAL_MEMBERS.isdisjoint({"id", "cl_ord_id", "symbol", "tag", "history"})


def test_each_error_says_when_to_retry_and_what_to_do() -> None:
    for code, kind in ERRORS.items():
        assert kind.code == code
        assert kind.retry in get_args(Retry)
        assert 400 <= kind.http_status < 600
        assert len(kind.text) > 10
    assert error_kind("RC_MAX_QTY").retry == "fix"
