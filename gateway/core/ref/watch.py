"""Twin of gateway.core.watch: market data in, fired orders out.

A gap that fires more orders than one batch takes leaves the rest in a backlog of lines, which the engine drains between
other work (`drain`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from gateway.core.ref.state import OP_CANCEL, State
from hotpath.enums import Control, Hold, OrdStatus, Pending, PriceSource, Reason, Stage
from hotpath.ref import records as rec
from hotpath.ref.quotes import BACKWARD, BAD_VALUE
from hotpath.ref.ticks import TICK_QUOTE, TICK_TRADE, TickParser

BATCH_MAX = 256  # orders released in one turn of the loop
QUOTED = tuple(int(source) for source in (PriceSource.BID, PriceSource.ASK, PriceSource.MID))
GAP_MAX_E9 = 9_000_000_000_000_000  # a wider gap from the trigger price is not stated
GAP_BPS_MAX = 900_000_000_000
STOP_MIN_E9 = 1_000_000


@dataclass(frozen=True, slots=True)
class Firing:
    """A price that fires, with what proves it."""

    instrument: int
    source: int
    px_e9: int
    qty_e9: int
    bid_px_e9: int
    ask_px_e9: int
    venue_ns: int
    feed_seq: int
    mono_ns: int
    wall_ns: int


class Watch:
    """The market side of the core."""

    def __init__(self, state: State, parser: TickParser) -> None:
        self.state = state
        self.parser = parser
        self.frames = self.malformed = self.triggered = self.last_frame_ns = 0
        self.fired: deque[int] = deque()
        self.backlog: deque[Firing] = deque()
        self.refused: deque[tuple[int, int]] = deque()  # (order, control) that a check at release refused
        self.seen_ns = [0] * state.quotes.capacity  # the newest data so far, or since when it is watched

    def feed_frame(self, data: bytes, mono_ns: int, wall_ns: int) -> int:
        """Apply one market-data frame; returns how many orders fired: `take_fired` and `next_refused` give them.

        mono_ns, wall_ns: the clocks when the frame was received; ages are measured from `mono_ns`.
        """
        self.frames += 1
        self.last_frame_ns = mono_ns
        tick = self.parser.parse_py(data)
        before = self._decided()
        row, seq, venue_ns = tick["instrument"], tick["feed_seq"], tick["venue_ns"]
        if tick["kind"] == TICK_QUOTE:
            sides = tick["bid_px_e9"], tick["bid_qty_e9"], tick["ask_px_e9"], tick["ask_qty_e9"]
            flags = self.state.quotes.quote(row, *sides, seq, venue_ns, mono_ns)
            sources = QUOTED
        elif tick["kind"] == TICK_TRADE:
            flags = self.state.quotes.trade(row, tick["px_e9"], tick["qty_e9"], seq, venue_ns, mono_ns)
            sources = (int(PriceSource.LAST),)
        else:
            self.malformed += tick["kind"] < 0
            return 0
        if flags & (BACKWARD | BAD_VALUE):
            return 0
        for source in sources:
            self._judge(row, source, tick["qty_e9"], venue_ns, seq, mono_ns, wall_ns)
        return self._decided() - before

    def _judge(
        self, row: int, source: int, qty_e9: int, venue_ns: int, feed_seq: int, mono_ns: int, wall_ns: int
    ) -> None:
        px_e9 = self.state.quotes.trigger(row, source, mono_ns)
        if px_e9 == 0 or not self.state.stops.check(row, source, px_e9):
            return
        at = self.state.quotes.rows[row]
        firing = Firing(row, source, px_e9, qty_e9, at.bid_px_e9, at.ask_px_e9, venue_ns, feed_seq, mono_ns, wall_ns)
        self.backlog.append(firing)
        low_e9, high_e9 = self.state.fired_px.get((row, source), (px_e9, px_e9))
        self.state.fired_px[row, source] = min(low_e9, px_e9), max(high_e9, px_e9)
        if len(self.backlog) == 1:
            self.drain(mono_ns, wall_ns)

    def _decided(self) -> int:
        """Orders that fired and wait to be taken, to leave or to be refused."""
        return len(self.fired) + len(self.refused)

    def sweep(self, instrument: int, mono_ns: int, wall_ns: int) -> int:
        """Judge the prices in force again (an order with `if_through: fire` was just accepted)."""
        before = self._decided()
        feed_seq = self.state.quotes.rows[instrument].quote_seq
        for source in range(PriceSource.MARK):
            self._judge(instrument, source, 0, 0, feed_seq, mono_ns, wall_ns)
        return self._decided() - before

    def watch_from(self, mono_ns: int) -> None:
        """From now on data may be expected: what has none yet is as old as the time since."""
        self.seen_ns = [mono_ns] * self.state.quotes.capacity

    def _age_ns(self, instrument: int, mono_ns: int) -> int:
        """Age of the newest quote or print. A new connection forgets the old data, not when it came."""
        at = self.state.quotes.rows[instrument]
        self.seen_ns[instrument] = max(self.seen_ns[instrument], at.quote_mono_ns, at.last_mono_ns)
        return mono_ns - self.seen_ns[instrument]

    def silent(self, mono_ns: int) -> list[tuple[int, int]]:
        """(instrument, age_ns) of those in session on which orders rest while their data is older than its limit."""
        found = []
        for row, at in enumerate(self.state.quotes.rows):
            if self.state.held[row] and at.is_trading:
                age_ns = self._age_ns(row, mono_ns)
                if age_ns > at.max_age_ns:
                    found.append((row, age_ns))
        return found

    def is_seen(self, instrument: int, mono_ns: int) -> bool:
        """Whether there is data of the instrument within its limit."""
        return instrument < self.state.quotes.count and self.state.quotes.fresh(instrument, mono_ns)

    def has_backlog(self) -> bool:
        """Whether a price that fired has orders left to release."""
        return bool(self.backlog)

    def drain(self, mono_ns: int, wall_ns: int) -> int:
        """Release up to one batch, the oldest price first, each in price-time order; returns how many."""
        self.state.wall_ns = wall_ns
        total = 0
        while total < BATCH_MAX and self.backlog:
            firing = self.backlog[0]
            taken = self.state.stops.take_fired(firing.instrument, firing.source, firing.px_e9, BATCH_MAX - total)
            total += len(taken)
            if total < BATCH_MAX:
                self.backlog.popleft()
            for order in taken:
                self._release(order, firing, mono_ns)
        if not self.backlog:
            self.state.fired_px.clear()
        return total

    def _release(self, order: int, firing: Firing, mono_ns: int) -> None:
        """The checks of a release, then the record; the order goes to the broker in this very turn."""
        state = self.state
        row = state.orders.rows[order]
        terms, account = row.terms, row.account
        qty_e9, own_qty_e9 = terms.order_qty_e9, row.reserved_qty_e9  # a suspect has some
        if terms.reduce_only:
            qty_e9 = min(qty_e9, state.gate.reducible_qty_py(account, terms.instrument, terms.side, own_qty_e9))
            qty_e9 -= qty_e9 % state.quotes.rows[terms.instrument].lot_e9
            if qty_e9 <= 0:
                self._end_flat(order)
                return
        verdict = state.gate.check_py(
            account=account, instrument=terms.instrument, qty_e9=qty_e9, px_e9=terms.px_e9, mono_ns=mono_ns,
            side=terms.side, ord_type=terms.ord_type, reduce_only=bool(terms.reduce_only), stp=terms.stp,
            is_release=True, old_qty_e9=own_qty_e9, old_px_e9=row.reserved_px_e9 if own_qty_e9 else 0,
        )  # fmt: skip
        event = state.event(
            order, ord_status=OrdStatus.PENDING_NEW, stage=Stage.QUEUED, hold=Hold.HOLD_NONE, leaves_qty_e9=qty_e9
        )
        body = rec.TriggeredBody(
            firing.px_e9, firing.qty_e9, firing.bid_px_e9, firing.ask_px_e9, firing.venue_ns, firing.wall_ns,
            gap_bps(firing.px_e9, terms.stop_px_e9), mono_ns - firing.mono_ns, qty_e9,
            verdict["ref_px_e9"] or firing.px_e9, firing.feed_seq, firing.source, missed=0,
        )  # fmt: skip
        state.commit(rec.TRIGGERED, event, rec.pack(body))
        self.triggered += 1
        if verdict["control"] != Control.PASS:
            self.refused.append((order, verdict["control"]))
        else:
            self.fired.append(order)

    def _end_flat(self, order: int) -> None:
        """Bound to reduce, and there is no position left that it could."""
        if doubt := self.state.doubt_of(order):
            event = self.state.event(order, reason=Reason.FLAT, pending=Pending.PENDING_CANCEL, **doubt)
            self.state.commit(rec.PENDING_CANCEL_EV, event)
            self.state.effect(OP_CANCEL, order)
            return
        event = self.state.event(
            order, ord_status=OrdStatus.CANCELED, hold=Hold.HOLD_NONE, leaves_qty_e9=0, reason=Reason.FLAT
        )
        self.state.commit(rec.CANCELED_EV, event, rec.pack(rec.DoneBody()))

    def next_refused(self) -> tuple[int, int] | None:
        """(order, control) of the next triggered order that a check at release refused, or None."""
        return self.refused.popleft() if self.refused else None

    def take_fired(self, most: int) -> list[int]:
        """Up to `most` orders to hand to their broker, in price-time order; empty when there are none."""
        return [self.fired.popleft() for _ in range(min(most, len(self.fired)))]


def gap_bps(px_e9: int, stop_px_e9: int) -> int:
    """Distance from the trigger price in basis points (1e-9 decimal, two places); 0 when it does not fit."""
    gap_e9 = abs(px_e9 - stop_px_e9)
    if gap_e9 > GAP_MAX_E9 or stop_px_e9 < STOP_MIN_E9:
        return 0
    hundredths = gap_e9 * 1000 // (stop_px_e9 // 1000)
    return hundredths * 10_000_000 if hundredths < GAP_BPS_MAX else 0
