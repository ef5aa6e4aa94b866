"""The product's side of a replay: the compiled scanner, quote table and trigger index, driven frame by frame."""

from __future__ import annotations

from decimal import Decimal

from hotpath.quotes import QuoteTable
from hotpath.stops import TriggerIndex
from hotpath.ticks import TickParser
from tests.replay.reference import CENTI_BPS, SOURCES, Stop
from tests.replay.tape import MAX_AGE_NS, OUTSIDE_BPS, SYMBOL, Tape

E9 = 10**9
DOWN, UP = 0, 1
QUOTE, TRADE = 1, 2
LAST, BID, ASK, MID = range(4)


class Compiled:
    """A market of one instrument and the stops that rest on it; a stop's number is its handle."""

    def __init__(self, tape: Tape, stops: list[Stop]) -> None:
        self.tape, self.stops = tape, stops
        self.tick_e9 = int(tape.tick * E9)
        self.quotes = QuoteTable(1)
        self.quotes.add(
            SYMBOL,
            tick_e9=self.tick_e9,
            lot_e9=1,
            min_qty_e9=1,
            max_age_ns=MAX_AGE_NS,
            outside_bps_e9=OUTSIDE_BPS * E9,
            asset_class=1,
        )
        self.parser = TickParser(self.quotes)
        self.parser.map_symbol(SYMBOL, 0)
        self.index = TriggerIndex(1, max(len(stops), 1))
        self.index.set_tick(0, self.tick_e9)
        self.fired: list[tuple[int, int, int]] = []

    def arm(self, number: int) -> None:
        stop = self.stops[number]
        source, direction = SOURCES.index(stop.source), DOWN if stop.falls else UP
        if stop.kind in ("stop", "touch"):
            code = self.index.arm_stop(number, 0, source, direction, stop.size * self.tick_e9 // 2)
        elif stop.kind == "amount":
            code = self.index.arm_trailing(
                number, 0, source, direction, stop.size * self.tick_e9 // 2, False, self.tick_e9
            )
        else:
            offset_e9 = stop.size * 10_000 * E9 // CENTI_BPS
            code = self.index.arm_trailing(number, 0, source, direction, offset_e9, True, self.tick_e9)
        if code:
            raise ValueError(f"the index refused {stop}")

    def take(self, frame: int, now_ns: int, text: bytes) -> None:
        """One frame: applied, then each of its prices judged."""
        tick = self.parser.parse_py(text)
        sources: tuple[int, ...] = ()
        if tick["kind"] == QUOTE:
            sources = (BID, ASK, MID)
            flags = self.quotes.quote(
                0, tick["bid_px_e9"], tick["bid_qty_e9"], tick["ask_px_e9"], tick["ask_qty_e9"], tick["feed_seq"],
                tick["venue_ns"], now_ns,
            )  # fmt: skip
        elif tick["kind"] == TRADE:
            sources = (LAST,)
            flags = self.quotes.trade(0, tick["px_e9"], tick["qty_e9"], tick["feed_seq"], tick["venue_ns"], now_ns)
        if not sources or flags & (8 | 32):  # backward or bad: not applied, so there is nothing to judge
            return
        for source in sources:
            px_e9 = self.price(source, now_ns)
            if px_e9 and self.index.check(0, source, px_e9):
                self.index.advance(0, source, px_e9)
                while batch := self.index.take_fired(0, source, px_e9):
                    self.fired += [(frame, self.units(px_e9), number) for number in batch]

    def price(self, source: int, now_ns: int) -> int:
        """The price of a source that may fire."""
        return self.quotes.trigger(0, source, now_ns)

    def units(self, px_e9: int) -> int:
        """Half ticks."""
        return int(Decimal(px_e9) * 2 / self.tick_e9)

    def run(self) -> list[tuple[int, int, int]]:
        """(frame, price in half ticks, number of the stop) of all that fired, in order."""
        number = 0
        for frame, (now_ns, text) in enumerate(self.tape.frames):
            while number < len(self.stops) and self.stops[number].armed_at <= frame:
                self.arm(number)
                number += 1
            self.take(frame, now_ns, text)
        return self.fired
