"""One account of the demo: a position, its protective stop, and orders that come and go, over a real socket."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from decimal import ROUND_DOWN, Decimal

from backstay import Accepted, Event, EventStream, Gateway, Link, Order, OrderEvent, Refused, Stop, Trade, Triggered

QTY = {"BTCUSDT": "0.05", "ETHUSDT": "1", "SOLUSDT": "10", "XRPUSDT": "1000"}
ORDER_S = 30.0  # a request is sent again by itself for so long, restarts of the gateway included
PASSING = ("RC_STALE_QUOTE", "ORDER_DONE")  # no quote yet after a restart; filled before the cancel came
AWAY_BPS = 150  # limit orders of the traffic rest so far below the market
BPS = Decimal(10_000)


class Trader:
    """A client and everything that it saw."""

    def __init__(self, client: Gateway, *, symbol: str, tick: str, stop_bps: int) -> None:
        self.client = client
        self.symbol = symbol
        self.tick = Decimal(tick)
        self.stop_bps = stop_bps
        self.events: list[Event] = []
        self.links: list[Link] = []
        self.round_trips_ns: list[int] = []
        self.refused: Counter[str] = Counter()
        self.stop: Order | None = None
        self.stop_px = Decimal(0)
        self.on_word: Callable[[], None] = lambda: None
        self._reader: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Log in and listen."""
        await self.client.open(timeout=ORDER_S)
        self._reader = asyncio.get_running_loop().create_task(self._read(self.client.events()), name="trader")

    async def close(self) -> None:
        """Log out."""
        await self.client.close()
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self, stream: EventStream) -> None:
        async for item in stream:
            if isinstance(item, Link):
                self.links.append(item)
            elif isinstance(item, Event):
                self.events.append(item)
            self.on_word()

    async def enter(self) -> None:
        """Buy, and protect what was bought."""
        qty = QTY.get(self.symbol, "1")
        entry = await self._timed(self.client.buy, self.symbol, qty, max_queue_ms=10_000)
        state = await entry.done(timeout=ORDER_S)
        if state.avg_px is None:
            raise RuntimeError(f"{entry.cl_ord_id} ended {state.ord_status} without a fill")
        self.stop_px = self.on_grid(state.avg_px * (BPS - self.stop_bps) / BPS)
        trigger = Stop(str(self.stop_px), source="bid", if_through="fire")
        self.stop = await self._timed(
            self.client.sell, self.symbol, str(state.cum_qty), trigger=trigger, reduce_only=True, tif="gtc"
        )

    async def traffic(self, until: asyncio.Event, pause_s: float) -> None:
        """Limit orders that rest below the market and are canceled, until told to end."""
        px, qty = self.on_grid(self.stop_px * (BPS - AWAY_BPS) / BPS), QTY.get(self.symbol, "1")
        while not until.is_set():
            await asyncio.sleep(pause_s)
            try:
                order = await self._timed(self.client.buy, self.symbol, qty, px=str(px), tif="gtc")
                await order.cancel(timeout=ORDER_S)
                await order.done(timeout=ORDER_S)
            except Refused as refused:
                if refused.code not in PASSING:
                    raise
                self.refused[refused.code] += 1

    async def _timed(self, call: Callable[..., object], *arguments: str, **terms: object) -> Order:
        was_live, links = self.client.is_live, len(self.links)
        began = time.perf_counter_ns()
        order = await call(*arguments, timeout=ORDER_S, **terms)  # type: ignore[misc]
        if was_live and len(self.links) == links:  # one that a restart delayed measures the restart
            self.round_trips_ns.append(time.perf_counter_ns() - began)
        assert isinstance(order, Order)
        return order

    def on_grid(self, px: Decimal) -> Decimal:
        """The price at or below, on the tick."""
        return (px / self.tick).to_integral_value(ROUND_DOWN) * self.tick

    # --- what it saw -------------------------------------------------------------------------------------------------

    def of_stop(self) -> list[OrderEvent]:
        """The events of the protective stop."""
        name = "" if self.stop is None else self.stop.cl_ord_id
        return [event for event in self.events if isinstance(event, OrderEvent) and event.cl_ord_id == name]

    def stop_status(self) -> str:
        """The stop's last status; empty when it was never accepted."""
        events = self.of_stop()
        return events[-1].ord_status if events else ""

    def positions(self) -> dict[str, Decimal]:
        """Positions after the last fill, by symbol."""
        symbols = {event.cl_ord_id: event.order.symbol for event in self.events if isinstance(event, Accepted)}
        return {symbols[event.cl_ord_id]: event.pos_qty for event in self.events if isinstance(event, Trade)}

    def fired(self) -> int:
        """How often the stop fired."""
        return sum(isinstance(event, Triggered) for event in self.of_stop())

    def accepted(self) -> int:
        """Orders accepted."""
        return sum(isinstance(event, Accepted) for event in self.events)

    def exec_ids(self) -> Counter[str]:
        """Executions, by how often each was told."""
        return Counter(event.exec_id for event in self.events if isinstance(event, Trade))

    def gaps(self) -> int:
        """Numbers missing or repeated in the stream, restarts included."""
        return sum(event.seq != at for at, event in enumerate(self.events, 1))
