"""Market data of a run: one walk a symbol, told to the broker as it is and to the gateway with the faults of its feeds.

Each feed is a line of its own: what befalls one leaves the others alone. Lines of one market carry the same frames; a
line of another venue has prices and numbers of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brokers.sim.market import quote_frame, trade_frame
from gateway.options import FeedOptions
from hotpath.fixed import from_e9
from tests.sim.history import Tick
from tests.sim.kernel import MS, SECOND, WALL_START_NS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.sim.world import World

TICK_E9 = 10_000_000
START_E9 = 100_000_000_000
ELSEWHERE_E9 = 5 * TICK_E9  # how much dearer it is at the other venue
HERE, THERE = range(2)  # markets


def feeds_of(strengths: Mapping[str, float]) -> tuple[FeedOptions, ...]:
    """The feeds of a run's configuration, by the faults that it drew; the first one is always there."""
    feeds = [FeedOptions(name="sim", market="here")]
    if strengths.get("feed.second"):
        feeds.append(FeedOptions(name="sim-b", market="here"))
    if strengths.get("feed.venue"):
        feeds.append(FeedOptions(name="other", market="there"))
    return tuple(feeds)


class Line:
    """One feed's way to the gateway, and what stands in it."""

    def __init__(self, world: World, number: int, market: int) -> None:
        self.number = number
        self.market = market
        self.draw = world.kernel.rng(f"market line {number}" if number else "market")
        self.last: dict[str, bytes] = {}
        self.silent_until_ns = 0
        self.late_until_ns = 0
        self.late_by_ns = 0
        self.due_ns = 0  # frames overtake none of their own line
        self.connection = 0


class Market:
    """Prices that move for as long as the run goes on."""

    def __init__(self, world: World, symbols: tuple[str, ...]) -> None:
        self.world = world
        self.symbols = symbols
        self.is_up = False
        self._draw = world.kernel.rng("market")
        self._mid_e9 = dict.fromkeys(symbols, START_E9)
        self._seqs = [0, 0]  # of each market
        names = [feed.market for feed in world.config.feeds]
        self.lines = [Line(world, at, THERE if name == "there" else HERE) for at, name in enumerate(names)]
        for feed, fault in (("sim-b", "feed.second"), ("other", "feed.venue")):
            if any(options.name == feed for options in world.config.feeds):
                world.faults.count(fault)
        self._newest: dict[tuple[int, str, bool], int] = {}  # (market, symbol, a quote) -> highest number heard
        self.heard_ns: dict[tuple[int, str], int] = {}  # (feed, symbol) -> when it was heard last

    def start(self) -> None:
        for symbol in self.symbols:
            self.world.kernel.after(self._draw.randrange(1, 50 * MS), lambda symbol=symbol: self._move(symbol))

    def mid_e9(self, symbol: str) -> int:
        """Middle of the true market."""
        return self._mid_e9[symbol]

    # --- what the gateway's feeds are told of -------------------------------------------------------------------------

    def begun(self) -> None:
        """A new life of the gateway has heard nothing."""
        self._newest.clear()
        self.heard_ns.clear()

    def connected(self, number: int, *, is_alone: bool) -> None:
        """A feed's connection is made. is_alone: no other feed of its market is up: all of it is forgotten."""
        line = self.lines[number]
        line.connection += 1
        line.due_ns = 0
        for key in [key for key in self._newest if is_alone and key[0] == line.market]:
            del self._newest[key]

    # --- the walk -----------------------------------------------------------------------------------------------------

    def _move(self, symbol: str) -> None:
        draw, world = self._draw, self.world
        mid = self._mid_e9[symbol] = max(START_E9 // 2, self._mid_e9[symbol] + draw.randint(-12, 12) * TICK_E9)
        bid, ask = mid - draw.randint(1, 3) * TICK_E9, mid + draw.randint(1, 3) * TICK_E9
        size = draw.randint(1, 20) * 1_000_000_000
        is_quote = draw.random() < 0.7
        if is_quote:
            world.venue.quote(symbol, bid, ask, size)
        else:
            world.venue.print(symbol, mid, size)
        time_ms = (WALL_START_NS + world.kernel.now_ns) // MS
        frames: dict[int, bytes] = {}
        for line in self.lines:
            if line.market not in frames:
                off = ELSEWHERE_E9 if line.market == THERE else 0
                prices = (bid + off, ask + off) if is_quote else (mid + off,)
                frames[line.market] = self._frame(line.market, symbol, prices, size, time_ms)
            self._send(line, symbol, frames[line.market], mid, time_ms)
        world.kernel.after(draw.randint(40, 180) * MS * world.pace, lambda: self._move(symbol))

    def _frame(self, market: int, symbol: str, prices: tuple[int, ...], size: int, time_ms: int) -> bytes:
        seq, texts = self._next(market), [from_e9(px) for px in prices]
        if len(texts) == 2:
            return quote_frame(symbol, texts[0], from_e9(size), texts[1], from_e9(size), seq, time_ms)
        return trade_frame(symbol, texts[0], from_e9(size), seq, time_ms, is_buyer_maker=False)

    def _next(self, market: int) -> int:
        self._seqs[market] += 1
        return self._seqs[market]

    def _send(self, line: Line, symbol: str, frame: bytes, mid: int, time_ms: int) -> None:
        """What the gateway gets by one line instead of the frame, or besides it."""
        faults, now_ns, node = self.world.faults, self.world.kernel.now_ns, self.world.node
        if faults.hit("feed.reset"):
            node.feed_lost(line.number, 2 * SECOND)
            return
        if faults.hit("feed.down"):
            node.feed_lost(line.number, 20 * SECOND)
            return
        if faults.hit("feed.gap"):
            line.silent_until_ns = now_ns + line.draw.randint(1, 8) * SECOND
        if faults.hit("feed.delay"):
            line.late_until_ns = now_ns + line.draw.randint(1, 6) * SECOND
            line.late_by_ns = line.draw.randrange(100 * MS, 3 * SECOND)
        if now_ns < line.silent_until_ns and faults.are_on:
            return
        priced = node.priced  # that the first frame of a connection is old, nobody can tell
        last = line.last.get(symbol, b"")
        if (line.number, symbol, b"bookTicker" in last) in priced and last and faults.hit("feed.repeat"):
            self._deliver(line, symbol, last, "repeat")
        if (line.number, symbol, True) in priced and faults.hit("feed.stale"):
            old = quote_frame(symbol, "1", "1", "2", "1", max(1, self._seqs[line.market] - 50), time_ms - 60_000)
            self._deliver(line, symbol, old, "stale")
        if faults.hit("feed.crossed"):
            high, low = from_e9(mid + 20 * TICK_E9), from_e9(mid - 20 * TICK_E9)
            crossed = quote_frame(symbol, high, "1", low, "1", self._next(line.market), time_ms)
            self._deliver(line, symbol, crossed, "crossed")
        if faults.hit("feed.spike"):
            seq = self._next(line.market)
            px = from_e9(mid * line.draw.choice((2, 10)) // 4)
            self._deliver(line, symbol, trade_frame(symbol, px, "1", seq, time_ms, is_buyer_maker=False), "spike")
        line.last[symbol] = frame
        self._deliver(line, symbol, frame, "")

    def _deliver(self, line: Line, symbol: str, frame: bytes, fault: str) -> None:
        """At once, or later where the line lags; a new connection brings nothing of the one before."""
        kernel = self.world.kernel
        is_late = kernel.now_ns < line.late_until_ns and self.world.faults.are_on
        due_ns = max(line.due_ns, kernel.now_ns + (line.late_by_ns if is_late else 0))
        if due_ns <= kernel.now_ns:
            self._tell(line, symbol, frame, fault)
            return
        line.due_ns = due_ns
        connection = line.connection
        kernel.at(
            due_ns, lambda: self._tell(line, symbol, frame, fault) if connection == line.connection else None
        )  # fmt: skip

    def _tell(self, line: Line, symbol: str, frame: bytes, fault: str) -> None:
        world = self.world
        is_heard = world.node.hears(line.number)
        number = number_of(frame)
        key = line.market, symbol, b"bookTicker" in frame
        is_late = number <= self._newest.get(key, 0)
        now_ns = world.kernel.now_ns
        if is_heard:
            self._newest[key] = max(number, self._newest.get(key, 0))
            self.heard_ns[line.number, symbol] = now_ns
        world.history.ticks.append(Tick(now_ns, symbol, frame, fault, line.number, line.connection, is_heard, is_late))
        world.node.on_frame(line.number, symbol, frame, fault)


def number_of(frame: bytes) -> int:
    """The venue's number of a frame: `u` of a quote, `t` of a trade."""
    mark = b'"u":' if b"bookTicker" in frame else b'"t":'
    digits = frame.partition(mark)[2]
    return int(digits[: next(at for at, char in enumerate(digits) if not 48 <= char <= 57)])
