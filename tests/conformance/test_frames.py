"""The documented examples against the published schemas, and the frame check against planted faults."""

import json
import re
from pathlib import Path

import pytest

from gateway.contracts.export import ROOT
from gateway.contracts.messages import decode_request, decode_server_frame, encode
from tests.conformance.frames import FrameCheck, FrameMismatchError

DOCS = [ROOT / "docs" / "order-api.md", ROOT / "docs" / "sdk.md"]
FENCE = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)
PLACE = b'{"t":"place","id":1,"cl_ord_id":"a","symbol":"AAPL","side":"buy","ord_type":"limit","qty":"1","px":"2"}'


@pytest.fixture(scope="module")
def check() -> FrameCheck:
    return FrameCheck()


def examples() -> list[object]:
    found = []
    for path in DOCS:
        for number, text in enumerate(FENCE.findall(path.read_text() if path.exists() else "")):
            found.append(pytest.param(path, text, id=f"{path.name}-{number}"))
    return found


@pytest.mark.parametrize(("path", "text"), examples())
def test_each_documented_frame_parses_and_validates(path: Path, text: str, check: FrameCheck) -> None:
    raw = text.encode()
    mark = json.loads(raw)["t"]
    is_request = "id" in json.loads(raw)
    assert (("in" if is_request else "out"), mark) in check.known, path
    check("in" if is_request else "out", raw)
    frame = decode_request(raw) if is_request else decode_server_frame(raw)
    check("in" if is_request else "out", encode(frame))


@pytest.mark.parametrize(
    ("direction", "raw"),
    [
        ("in", PLACE[:-1] + b',"stp_px":"1"}'),
        ("in", PLACE.replace(b'"qty":"1"', b'"qty":1')),
        ("in", PLACE.replace(b'"qty":"1"', b'"qty":"1e2"')),
        ("in", PLACE.replace(b'"qty":"1"', b'"qty":"1.0000000001"')),
        ("in", PLACE.replace(b'"cl_ord_id":"a"', b'"cl_ord_id":"a b"')),
        ("in", PLACE[:-1] + b',"px":"3"}'),
        ("out", PLACE),
        ("in", b'{"t":"live","account":"A1","seq":1}'),
        ("out", b'{"t":"live","account":"A1"}'),
        ("out", b'{"t":"live","account":"A1","seq":1,"extra":1}'),
        ("out", b'{"t":"err","re":1,"code":"MADE_UP","retry":"fix","text":""}'),
        ("in", b"[]"),
    ],
)
def test_a_frame_outside_the_document_is_noticed(direction: str, raw: bytes, check: FrameCheck) -> None:
    with pytest.raises(FrameMismatchError):
        check(direction, raw)


def test_what_was_seen_is_counted() -> None:
    check = FrameCheck()
    check("in", PLACE)
    check("out", b'{"t":"err","re":1,"code":"BUSY","retry":"later","text":"wait"}')
    assert check.seen == {("in", "place"), ("out", "err")}
    assert check.codes_seen == {"BUSY"}


def test_the_guide_covers_each_request() -> None:
    text = (ROOT / "docs" / "order-api.md").read_text()
    shown = {json.loads(block)["t"] for block in FENCE.findall(text)}
    assert {"auth", "subscribe", "place", "replace", "cancel", "cancel_all", "batch", "get"} <= shown
