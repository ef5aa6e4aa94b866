"""Market data of a run: one walk a symbol, told to the broker as it is and to the gateway with the feed's faults."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brokers.sim.market import quote_frame, trade_frame
from hotpath.fixed import from_e9
from tests.sim.history import Tick
from tests.sim.kernel import MS, SECOND, WALL_START_NS

if TYPE_CHECKING:
    from tests.sim.world import World

TICK_E9 = 10_000_000
START_E9 = 100_000_000_000
FEED = "sim"


class Market:
    """Prices that move for as long as the run goes on."""

    def __init__(self, world: World, symbols: tuple[str, ...]) -> None:
        self.world = world
        self.symbols = symbols
        self.is_up = False
        self._draw = world.kernel.rng("market")
        self._mid_e9 = dict.fromkeys(symbols, START_E9)
        self._seq = 0
        self._last: dict[str, bytes] = {}
        self._silent_until_ns = 0

    def start(self) -> None:
        for symbol in self.symbols:
            self.world.kernel.after(self._draw.randrange(1, 50 * MS), lambda symbol=symbol: self._move(symbol))

    def mid_e9(self, symbol: str) -> int:
        """Middle of the true market."""
        return self._mid_e9[symbol]

    def _move(self, symbol: str) -> None:
        draw, world = self._draw, self.world
        mid = self._mid_e9[symbol] = max(START_E9 // 2, self._mid_e9[symbol] + draw.randint(-12, 12) * TICK_E9)
        bid, ask = mid - draw.randint(1, 3) * TICK_E9, mid + draw.randint(1, 3) * TICK_E9
        size = draw.randint(1, 20) * 1_000_000_000
        self._seq += 1
        time_ms = (WALL_START_NS + world.kernel.now_ns) // MS
        if draw.random() < 0.7:
            world.venue.quote(symbol, bid, ask, size)
            texts = from_e9(bid), from_e9(size), from_e9(ask), from_e9(size)
            frame = quote_frame(symbol, *texts, self._seq, time_ms)
        else:
            world.venue.print(symbol, mid, size)
            frame = trade_frame(symbol, from_e9(mid), from_e9(size), self._seq, time_ms, is_buyer_maker=False)
        self._send(symbol, frame, mid, time_ms)
        world.kernel.after(draw.randint(40, 180) * MS * world.pace, lambda: self._move(symbol))

    def _send(self, symbol: str, frame: bytes, mid: int, time_ms: int) -> None:
        """What the gateway gets instead of the frame, or besides it."""
        faults, now_ns = self.world.faults, self.world.kernel.now_ns
        if faults.hit("feed.reset"):
            self.world.node.feed_lost()
            return
        if faults.hit("feed.gap"):
            self._silent_until_ns = now_ns + self._draw.randint(1, 8) * SECOND
        if now_ns < self._silent_until_ns and faults.are_on:
            return
        priced = self.world.node.priced  # that the first frame of a connection is old, nobody can tell
        last = self._last.get(symbol, b"")
        if (symbol, b"bookTicker" in last) in priced and last and faults.hit("feed.repeat"):
            self._tell(symbol, last, "repeat")
        if (symbol, True) in priced and faults.hit("feed.stale"):
            old = quote_frame(symbol, "1", "1", "2", "1", max(1, self._seq - 50), time_ms - 60_000)
            self._tell(symbol, old, "stale")
        if faults.hit("feed.crossed"):
            high, low = from_e9(mid + 20 * TICK_E9), from_e9(mid - 20 * TICK_E9)
            self._seq += 1
            self._tell(symbol, quote_frame(symbol, high, "1", low, "1", self._seq, time_ms), "crossed")
        if faults.hit("feed.spike"):
            self._seq += 1
            px = from_e9(mid * self._draw.choice((2, 10)) // 4)
            self._tell(symbol, trade_frame(symbol, px, "1", self._seq, time_ms, is_buyer_maker=False), "spike")
        self._last[symbol] = frame
        self._tell(symbol, frame, "")

    def _tell(self, symbol: str, frame: bytes, fault: str) -> None:
        self.world.history.ticks.append(Tick(self.world.kernel.now_ns, symbol, frame, fault))
        self.world.node.on_frame(symbol, frame, fault)
