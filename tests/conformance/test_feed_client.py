"""The feed client against a real venue and real sockets: each frame once, in order, through loss and renewal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec
import pytest
import uvloop

from brokers.sim import messages as m
from brokers.sim.config import MarketConfig, VenueConfig
from brokers.sim.market import quote_frame
from brokers.sim.server import Venue
from gateway.feeds.binance import BinanceFeed, stream_url
from hotpath.quotes import QuoteTable
from hotpath.ticks import TickKind, TickParser

pytestmark = pytest.mark.e2e
DEADLINE_S = 20


class Ear:
    """Keeps frames and state changes, and lets a test wait for them."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.states: list[tuple[bool, str]] = []
        self._changed = asyncio.Event()

    def on_frame(self, payload: bytes, mono_ns: int, number: int) -> None:
        assert 0 < mono_ns <= time.monotonic_ns()
        self.frames.append(payload)
        self._changed.set()

    def on_state(self, up: bool, cause: str) -> None:
        self.states.append((up, cause))
        self._changed.set()

    async def until(self, is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not is_true():
                self._changed.clear()
                await self._changed.wait()


class Stage:
    """A venue whose market only the test moves, and a feed client on it."""

    def __init__(self, market: MarketConfig | None = None, **options: int) -> None:
        self.market = market or MarketConfig(source="none")
        self.options = {"backoff_ms_first": 1, "backoff_ms_max": 20, **options}
        self.ear = Ear()

    async def __aenter__(self) -> Stage:
        self.venue = Venue(VenueConfig(market=self.market, symbols=("BTCUSDT",)))
        await self.venue.start()
        url = f"ws://127.0.0.1:{self.venue.feed_port}/stream?streams="
        self.feed = BinanceFeed(
            stream_url(url, ["BTCUSDT"]), self.ear.on_frame, self.ear.on_state,
            mono_ns=time.monotonic_ns, rng=Random(1), **self.options,
        )  # fmt: skip
        await self.feed.open()
        await self.ear.until(lambda: self.ear.states == [(True, "connected")])
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.feed.close()
        await self.venue.stop()

    def do(self, do: str, **members: str) -> None:
        answer = self.venue.control.on_admin(m.Admin(do, **members), time.time_ns())
        assert isinstance(answer, m.AdminOk), answer

    def quote(self, bid: int) -> None:
        self.do("quote", sym="BTCUSDT", bid=str(bid), bid_qty="1", ask=str(bid + 1), ask_qty="1")

    def bids(self) -> list[int]:
        return [int(msgspec.json.decode(frame)["data"]["b"]) for frame in self.ear.frames if b'"b"' in frame]


def test_frames_arrive_once_in_order_and_parse_as_ticks() -> None:
    async def scenario() -> None:
        async with Stage() as stage:
            for bid in range(100, 200):
                stage.quote(bid)
            stage.do("trade", sym="BTCUSDT", px="150", qty="2")
            stage.do("trade", sym="ETHUSDT", px="150", qty="2")  # not subscribed
            stage.do("frame", text='{"stream":"btcusdt@bookTicker","da')
            await stage.ear.until(lambda: len(stage.ear.frames) == 102)
            assert stage.bids() == list(range(100, 200))
            parser = TickParser(QuoteTable(1))
            parser.map_symbol("BTCUSDT", 0)
            kinds = [parser.parse_py(frame)["kind"] for frame in stage.ear.frames]
            assert kinds == [TickKind.TICK_QUOTE] * 100 + [TickKind.TICK_TRADE, TickKind.TICK_MALFORMED]
            health = stage.feed.health
            assert (health.frames, health.connects, health.losses, health.is_up) == (102, 1, 0, True)
            assert health.bytes_received == sum(len(frame) for frame in stage.ear.frames)

    uvloop.run(scenario())


def test_a_lost_connection_is_told_and_made_again() -> None:
    async def scenario() -> None:
        async with Stage() as stage:
            for losses in range(1, 4):
                stage.do("drop_feeds")
                await stage.ear.until(lambda losses=losses: len(stage.ear.states) == 2 * losses + 1)
            stage.quote(100)
            await stage.ear.until(lambda: stage.bids() == [100])
            assert [up for up, _ in stage.ear.states] == [True, False] * 3 + [True]
            assert (stage.feed.health.connects, stage.feed.health.losses) == (4, 3)

    uvloop.run(scenario())


def test_a_silent_feed_counts_as_lost() -> None:
    async def scenario() -> None:
        async with Stage(idle_ms=100) as stage:
            await stage.ear.until(lambda: len(stage.ear.states) >= 3)
            assert stage.ear.states[1] == (False, "silent for 100 ms")
            assert stage.ear.states[2] == (True, "connected")

    uvloop.run(scenario())


async def assert_renewed(stage: Stage) -> None:
    """Quotes go on while the connection changes: none is lost or doubled, and the feed never counts as down."""
    bid = 100
    async with asyncio.timeout(DEADLINE_S):
        while stage.feed.health.renewals == 0:
            stage.quote(bid)
            bid += 1
            await stage.ear.until(lambda sent=bid - 1: stage.bids()[-1:] == [sent])
    stage.quote(bid)
    await stage.ear.until(lambda: stage.bids()[-1] == bid)
    assert stage.bids() == list(range(100, bid + 1))
    assert stage.ear.states == [(True, "connected")]


def test_a_connection_is_renewed_before_the_venue_ends_it() -> None:
    async def scenario() -> None:
        async with Stage(connection_ns_max=1, idle_ms=2000) as stage:
            await assert_renewed(stage)

    uvloop.run(scenario())


def test_an_announced_shutdown_renews_the_connection_at_once() -> None:
    async def scenario() -> None:
        async with Stage(idle_ms=60_000) as stage:
            stage.do("frame", text='{"e":"serverShutdown","E":1770123456789}')
            await stage.ear.until(lambda: len(stage.ear.frames) == 1)
            stage.ear.frames.clear()
            await assert_renewed(stage)

    uvloop.run(scenario())


def test_a_recording_is_played_whole_to_the_first_subscriber_and_moves_the_venues_touch(tmp_path: Path) -> None:
    async def scenario() -> None:
        frames = [quote_frame("BTCUSDT", str(bid), "1", str(bid + 1), "1", bid, bid) for bid in range(1, 3000)]
        path = tmp_path / "frames.jsonl"
        path.write_bytes(b"".join(b"%d %s\n" % (number * 10**9, frame) for number, frame in enumerate(frames, 1)))
        market = MarketConfig(source="recorded", file=str(path), speed_pct=0, starts_at="subscriber")
        async with Stage(market) as stage:
            await stage.ear.until(lambda: len(stage.ear.frames) == len(frames))
            assert stage.ear.frames == frames
            assert stage.venue.exchange.books["BTCUSDT"].bid_px_e9 == 2999 * 10**9

    uvloop.run(scenario())


def test_a_paused_market_is_silent_until_it_is_resumed() -> None:
    async def scenario() -> None:
        async with Stage(MarketConfig(rate_per_s=5000)) as stage:
            await stage.ear.until(lambda: len(stage.ear.frames) > 50)
            stage.do("pause")
            stage.quote(7)  # a scripted quote behind everything that was sent before the pause
            stage.do("frame", text="end")
            await stage.ear.until(lambda: b"end" in stage.ear.frames)
            sent = stage.venue.stats()["frames"]
            await stage.ear.until(lambda: stage.ear.frames[-1] == b"end")
            assert stage.venue.stats()["frames"] == sent
            stage.do("resume")
            await stage.ear.until(lambda: len(stage.ear.frames) > stage.ear.frames.index(b"end") + 50)

    uvloop.run(scenario())


def test_an_address_names_the_streams_of_its_symbols() -> None:
    assert (
        stream_url("wss://x/stream?streams=", ["BTCUSDT"]) == "wss://x/stream?streams=btcusdt@bookTicker/btcusdt@trade"
    )
    assert stream_url("wss://x/stream?streams=a@trade", ["BTCUSDT"]) == "wss://x/stream?streams=a@trade"
    with pytest.raises(ValueError, match="1026 streams"):
        stream_url("wss://x/stream?streams=", [f"S{number}" for number in range(513)])
