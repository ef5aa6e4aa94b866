"""Tick scanner: the kernel reads any frame, sound, mutated or generated, as its twin does with the json module."""

import gzip
import json
from pathlib import Path
from random import Random

from hypothesis import example, given
from hypothesis import strategies as st

from hotpath.quotes import QuoteTable
from hotpath.ref import ticks as twin
from hotpath.ticks import TickParser

SPOT_QUOTE = (
    b'{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000",'
    b'"a":"61837.64000000","A":"1.54698000"}}'
)
SPOT_TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,'
    b'"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}}'
)
USDM_QUOTE = (
    b'{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20",'
    b'"B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256313}}'
)
USDM_TRADE = (
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161256322,"T":1723161256322,"s":"BTCUSDT","t":5266583935,'
    b'"p":"61800.30","q":"0.006","X":"MARKET","m":false}}'
)
DEPTH = (
    b'{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT",'
    b'"U":5123107832006,"u":5123107837557,"pu":5123107831937,"b":[["58710.20","0.014"]],"a":[]}}'
)
ANSWER = b'{"result":null,"id":1}'
FRAMES = (SPOT_QUOTE, SPOT_TRADE, USDM_QUOTE, USDM_TRADE, DEPTH, ANSWER)

kernel_parser = TickParser(QuoteTable(4))
twin_parser = twin.TickParser(QuoteTable(4))
for each in (kernel_parser, twin_parser):
    each.map_symbol("BTCUSDT", 2)
    each.map_symbol("ethusdt", 3)


def assert_same(frame: bytes) -> int:
    expected = twin_parser.parse_py(frame)
    assert kernel_parser.parse_py(frame) == expected, frame
    return expected["kind"]


@given(st.sampled_from(FRAMES), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 7)), min_size=1, max_size=3))
def test_flipped_bits_get_the_twins_verdict(frame: bytes, flips: list[tuple[int, int]]) -> None:
    mutated = bytearray(frame)
    for position, bit in flips:
        mutated[position % len(mutated)] ^= 1 << bit
    assert_same(bytes(mutated))


@given(st.sampled_from(FRAMES), st.integers(0, 400), st.integers(0, 400), st.binary(max_size=4))
def test_cut_and_spliced_frames_get_the_twins_verdict(frame: bytes, start: int, stop: int, middle: bytes) -> None:
    assert_same(frame[: start % len(frame)] + middle + frame[stop % len(frame) :])


@given(st.integers(0, 2**64))
def test_fifty_spoiled_frames_get_the_twins_verdicts(seed: int) -> None:
    """Cheap mutations in bulk: this is the property that a full run drives through millions of frames."""
    draw = Random(seed)
    for _ in range(50):
        frame = bytearray(draw.choice(FRAMES))
        for _ in range(draw.randrange(1, 4)):
            at = draw.randrange(len(frame))
            kind = draw.randrange(5)
            if kind == 0:
                frame[at] ^= 1 << draw.randrange(8)
            elif kind == 1:
                frame[at] = draw.choice(b'"\\{}[]:,. 0123456789-+eEubtsTaABpqX')
            elif kind == 2:
                del frame[at : at + draw.randrange(1, 4)]
            elif kind == 3:
                frame[at:at] = draw.choice(
                    (b" ", b"\n", b"\\u0041", b'"', b"0", b',"b":"1"', b'"m":null,', b"\xc3\xa9")
                )
            else:
                other = draw.choice(FRAMES)
                frame[at : at + 12] = other[at : at + 12]
            if not frame:
                break
        assert_same(bytes(frame))


@given(st.sampled_from(FRAMES), st.integers(0, 400))
def test_a_truncated_frame_is_malformed(frame: bytes, size: int) -> None:
    assert assert_same(frame[: size % len(frame)]) == twin.TICK_MALFORMED


FRAGMENTS = (
    *[
        '"stream"',
        '"data"',
        '"btcusdt@trade"',
        '"ethusdt@bookTicker"',
        '"x@y"',
        '"BTCUSDT"',
        '"s"',
        '"b"',
        '"B"',
        '"a"',
        '"A"',
        '"u"',
        '"t"',
        '"p"',
        '"q"',
    ],
    *[
        '"T"',
        '"E"',
        '"e"',
        '"X"',
        '"trade"',
        '"MARKET"',
        '"1.5"',
        '"-1"',
        '"0.0000000001"',
        "1",
        "-0",
        "01",
        "1.0",
        "1e5",
        "true",
        "null",
        "NaN",
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
    ],
    *[r'"\u0073"', r'"\ud800"', r'"\""', r"9223372036854775808", r"99999999999999999999", r"é"],
    *(" ", "\n", "\x00", "\ufeff"),
)


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30))
def test_any_heap_of_json_pieces_gets_the_twins_verdict(pieces: list[str]) -> None:
    assert_same("".join(pieces).encode())


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from(
        ["BTCUSDT", "btcusdt", "ETHUSDT", "XRPUSDT", "1.25", "0", "-1", "1e5", "MARKET", "NA", "trade", "bookTicker"]
    )
    | st.text(max_size=6)
    | st.floats(allow_nan=False, allow_infinity=False)
)
values = scalars | st.lists(scalars, max_size=2) | st.dictionaries(st.text(max_size=2), scalars, max_size=2)
symbols = st.sampled_from(["BTCUSDT", "ETHUSDT", "XRPUSDT", "btcusdt"])
decimals = st.decimals(0, 10**9, places=4).map(str) | st.just("12.5000") | st.just("0.1")


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """Frames in any order and spelling: mostly sound, with members left out, doubled, mistyped or escaped."""
    symbol = draw(symbols)
    quote = draw(st.booleans())
    names = "uesbBaATE" if quote else "teEspqTXmM"
    sound = {
        "u": st.integers(0, 2**63), "t": st.integers(0, 2**63), "s": st.just(symbol), "X": st.just("MARKET"),
        "e": st.just("bookTicker" if quote else "trade"), "T": st.integers(0, 10**13), "E": st.integers(0, 10**13),
        "m": st.booleans(), "M": st.booleans(), **dict.fromkeys("bBaApq", decimals),
    }  # fmt: skip
    picked = draw(st.permutations(names))
    if draw(st.integers(0, 3)) == 0:
        picked = [name for name in picked if draw(st.integers(0, 6))] + draw(
            st.lists(st.sampled_from(names), max_size=1)
        )
    members = [(name, draw(values if draw(st.integers(0, 40)) == 0 else sound[name])) for name in picked]
    stream = draw(st.sampled_from([symbol.lower(), symbol, "ethusdt", ""])) + draw(
        st.sampled_from(["@bookTicker" if quote else "@trade"] * 6 + ["@depth", "", "@", "@trade@bookTicker"])
    )
    space = draw(st.sampled_from(["", "", " ", "\n\t"]))

    def text(value: object) -> str:
        coded = json.dumps(value, ensure_ascii=draw(st.booleans()))
        if isinstance(value, str) and draw(st.integers(0, 9)) == 0:
            coded = '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else c for c in value) + '"'
        return coded

    data = "{" + f"{space},".join(f"{text(k)}{space}:{text(v)}" for k, v in members) + space + "}"
    outer = [f"{text('stream')}:{space}{text(stream)}", f"{text('data')}{space}:{data}"]
    if draw(st.integers(0, 9)) == 0:
        outer.append(f"{text('more')}:{text(draw(values))}")
    outer = draw(st.permutations(outer))
    return (space + "{" + ",".join(outer) + "}" + space).encode("utf-8", "surrogatepass")


@given(frames())
def test_any_spelling_of_a_frame_gets_the_twins_tick(frame: bytes) -> None:
    assert_same(frame)


@given(st.integers(1, 40), st.sampled_from(["[", '{"a":']))
@example(30, "[")
@example(31, "[")
def test_depth_is_bounded_alike(depth: int, opening: str) -> None:
    closing = "]" if opening == "[" else "}"
    assert_same(('{"x":' + opening * depth + "1" + closing * depth + "}").encode())
    assert_same(('{"stream":"a@b","data":{"x":' + opening * depth + "1" + closing * depth + "}}").encode())


def test_recorded_frames_give_the_twins_ticks(recorded_dir: Path, property_steps: int) -> None:
    for path in sorted(recorded_dir.glob("*.jsonl.gz")):
        seen = dict.fromkeys(range(-1, 4), 0)
        with gzip.open(path, "rb") as lines:
            for _, line in zip(range(property_steps), lines, strict=False):
                seen[assert_same(line.split(b" ", 1)[1].rstrip(b"\n"))] += 1
        assert seen[twin.TICK_MALFORMED] == 0
        assert seen[twin.TICK_QUOTE] > seen[twin.TICK_TRADE] > 0
