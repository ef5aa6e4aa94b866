"""Plays the market source at its pace, in bounded turns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from brokers.sim.config import MarketConfig, VenueConfig
from brokers.sim.market import Generator, MarketEvent, MarketSource, Recording, default_symbols

TURN_EVENTS_MAX = 64  # then orders get their turn
BACKED_UP_WAIT_S = 0.001


def make_source(config: VenueConfig, wall_ns: Callable[[], int]) -> tuple[MarketSource | None, frozenset[str]]:
    """The configured source and the symbols that are known before it starts."""
    market = config.market
    extra = frozenset(config.symbols)
    if market.source == "none":
        return None, extra
    if market.source == "recorded":
        return Recording(Path(market.file), repeats=market.repeats), extra
    symbols = market.symbols or default_symbols(market.symbol_count)
    start_ms = market.start_ms or wall_ns() // 1_000_000
    source = Generator(config.seed, symbols, market.rate_per_s, start_ms, market.defects)
    return source, extra | {symbol.name for symbol in symbols}


class Pump:
    """Owner of the source's clock. Time spent paused does not count: the source goes on where it was."""

    def __init__(
        self,
        source: MarketSource | None,
        config: MarketConfig,
        *,
        play: Callable[[MarketEvent], None],
        end_turn: Callable[[], None],
        is_backed_up: Callable[[], bool],
        mono_ns: Callable[[], int],
    ) -> None:
        self.is_done = source is None
        self._source = source
        self._speed_pct = config.speed_pct if config.source == "recorded" else 100
        self._play = play
        self._end_turn = end_turn
        self._is_backed_up = is_backed_up
        self._mono_ns = mono_ns
        self._start_ns = 0
        self._begin = asyncio.Event()
        self._go = asyncio.Event()
        self._go.set()
        if config.starts_at == "once":
            self._begin.set()

    def on_subscribed(self) -> None:
        self._begin.set()

    def pause(self) -> None:
        self._go.clear()

    def resume(self) -> None:
        self._go.set()

    async def run(self) -> None:
        """Play to the end of the source."""
        await self._begin.wait()
        self._start_ns = self._mono_ns()
        for number, event in enumerate(self._source or (), 1):
            await self._reach(event.at_ns)
            self._play(event)
            if number % TURN_EVENTS_MAX == 0:
                await self._turn(0)
        self._end_turn()
        self.is_done = True

    async def _reach(self, at_ns: int) -> None:
        """Wait until the event is due, or, at full speed, until the subscribers have read."""
        if self._speed_pct == 0:
            while self._is_backed_up():
                await self._turn(BACKED_UP_WAIT_S)
            return
        while (wait_ns := self._start_ns + at_ns * 100 // self._speed_pct - self._mono_ns()) > 0:
            await self._turn(wait_ns / 1e9)

    async def _turn(self, wait_s: float) -> None:
        self._end_turn()
        await asyncio.sleep(wait_s)
        if not self._go.is_set():
            paused_ns = self._mono_ns()
            await self._go.wait()
            self._start_ns += self._mono_ns() - paused_ns
