"""The venue's market source: same seed same frames, frames that a strict parser takes, defects only where asked for."""

from __future__ import annotations

import gzip
from itertools import islice
from pathlib import Path

import pytest

from brokers.sim.market import Defects, Generator, MarketEvent, Recording, default_symbols, read_frame
from gateway.config import load
from gateway.errors import ConfigError
from gateway.venue import venue_config
from hotpath.quotes import QuoteTable
from hotpath.ticks import TickKind, TickParser

START_MS = 1_700_000_000_000


def generate(count: int, seed: int = 7, defects: Defects | None = None) -> list[MarketEvent]:
    return list(islice(Generator(seed, default_symbols(30), 5000, START_MS, defects), count))


def parser_of(count: int) -> TickParser:
    parser = TickParser(QuoteTable(count))
    for row, symbol in enumerate(default_symbols(count)):
        parser.map_symbol(symbol.name, row)
    return parser


def test_the_same_seed_gives_the_same_frames_and_another_seed_others() -> None:
    assert generate(3000) == generate(3000)
    assert generate(3000) != generate(3000, seed=8)


def test_every_clean_frame_is_a_tick_that_says_what_the_event_says() -> None:
    parser = parser_of(30)
    latest: dict[str, int] = {}
    for event in generate(20_000):
        tick = parser.parse_py(event.frame)
        if event.kind == "quote":
            assert tick["kind"] == TickKind.TICK_QUOTE
            assert 0 < event.bid_px_e9 < event.ask_px_e9
            assert (tick["bid_px_e9"], tick["ask_px_e9"]) == (event.bid_px_e9, event.ask_px_e9)
            assert (tick["bid_qty_e9"], tick["ask_qty_e9"]) == (event.bid_qty_e9, event.ask_qty_e9)
        else:
            assert tick["kind"] == TickKind.TICK_TRADE
            assert (tick["px_e9"], tick["qty_e9"]) == (event.px_e9, event.qty_e9)
            assert event.qty_e9 > 0
        assert tick["feed_seq"] > latest.get(event.sym, 0)
        latest[event.sym] = tick["feed_seq"]
    assert len(latest) == 30


def test_time_runs_at_the_rate_asked_for() -> None:
    last = generate(20_030)[-1]
    assert 3_900_000_000 < last.at_ns < 4_100_000_000


def test_each_defect_is_published_and_the_truth_stays_sound() -> None:
    events = generate(30_000, defects=Defects(malformed_ppm=5000, crossed_ppm=5000, backward_ppm=5000, gap_ppm=200))
    parser = parser_of(30)
    seen = {"malformed": 0, "crossed": 0, "backward": 0}
    latest: dict[str, int] = {}
    for event in events:
        if event.kind == "quote":
            assert event.bid_px_e9 < event.ask_px_e9
        tick = parser.parse_py(event.frame)
        if tick["kind"] == TickKind.TICK_MALFORMED:
            seen["malformed"] += 1
            continue
        seen["crossed"] += tick["bid_px_e9"] > tick["ask_px_e9"]
        seen["backward"] += tick["feed_seq"] < latest.get(event.sym, 0)
        latest[event.sym] = max(tick["feed_seq"], latest.get(event.sym, 0))
    assert min(seen.values()) > 50


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="rate"):
        Generator(1, default_symbols(1), 0, START_MS)


LINES = (
    b'1000 {"stream":"btcusdt@bookTicker","data":{"u":1,"s":"BTCUSDT","b":"10.00","B":"1","a":"10.5","A":"2"}}\n'
    b'3000 {"stream":"btcusdt@trade","data":{"e":"trade","s":"BTCUSDT","t":1,"p":"10.25","q":"3","T":5,"m":true}}\n'
    b'4000 {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","s":"BTCUSDT","b":[["1","2"]],"a":[]}}\n'
    b"6000 not json\n"
)


@pytest.mark.parametrize("name", ["frames.jsonl", "frames.jsonl.gz"])
def test_a_recording_gives_its_frames_unchanged_at_their_times(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(LINES) if name.endswith("gz") else LINES)
    quote, trade, depth, broken = Recording(path)
    assert [event.at_ns for event in (quote, trade, depth, broken)] == [0, 2000, 3000, 5000]
    assert quote.frame == LINES.splitlines()[0].split(b" ", 1)[1]
    assert (quote.kind, quote.sym, quote.bid_px_e9, quote.ask_qty_e9) == (
        "quote",
        "BTCUSDT",
        10_000_000_000,
        2_000_000_000,
    )
    assert (trade.kind, trade.px_e9, trade.qty_e9) == ("trade", 10_250_000_000, 3_000_000_000)
    assert (depth.kind, depth.stream) == ("", "btcusdt@depth@0ms")
    assert (broken.kind, broken.stream, broken.frame) == ("", "", b"not json")


def test_a_repeated_recording_goes_on_in_time(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl"
    path.write_bytes(LINES)
    assert [event.at_ns for event in islice(Recording(path, repeats=True), 6)] == [0, 2000, 3000, 5000, 5000, 7000]


def test_recorded_frames_are_read_as_the_parser_reads_them(recorded_dir: Path) -> None:
    parser = TickParser(QuoteTable(1))
    parser.map_symbol("BTCUSDT", 0)
    for path in sorted(recorded_dir.glob("*.jsonl.gz")):
        with gzip.open(path, "rb") as lines:
            for line in islice(lines, 5000):
                frame = line.rstrip(b"\n").split(b" ", 1)[1]
                event, tick = read_frame(0, frame), parser.parse_py(frame)
                assert (event.kind == "quote") == (tick["kind"] == TickKind.TICK_QUOTE)
                assert (event.bid_px_e9, event.ask_qty_e9) == (tick["bid_px_e9"], tick["ask_qty_e9"])
                assert (event.px_e9, event.qty_e9) == (tick["px_e9"], tick["qty_e9"])


@pytest.mark.parametrize("content", [None, b"", b"# not a recording\n"])
def test_a_recording_that_is_none_is_told_at_start(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "frames.jsonl"
    if content is not None:
        file.write_bytes(content)
    venue = {"market": "replay", "replay_file": str(file)}
    config = load(environ={}, overlay={"gateway": {"data_dir": str(tmp_path)}, "venue": venue})
    with pytest.raises(ConfigError, match=r"venue\.replay_file"):
        venue_config(config, {})
