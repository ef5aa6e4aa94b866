"""Twin of gateway.core.watch: market data in, fired orders out.

A gap that fires more orders than one batch takes leaves the rest in a backlog of lines, which the engine drains between
other work (`drain`). Each price of the backlog first looks at the orders that wait on its line to be confirmed, then
takes what it reaches out of the index. A line is an instrument and a source of prices.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from gateway.core.ref import shares
from gateway.core.ref.state import OP_CANCEL, State, due_of
from hotpath.enums import Control, Direction, Hold, OrdStatus, Pending, PriceSource, Reason, Side, Stage, TriggerKind
from hotpath.ref import records as rec
from hotpath.ref.feeds import FEEDS_MAX
from hotpath.ref.fixed import MAX_E9
from hotpath.ref.quotes import ASIDE, BACKWARD, BAD_VALUE
from hotpath.ref.stops import stop_px
from hotpath.ref.ticks import TICK_QUOTE, TICK_TRADE, TickParser

BATCH_MAX = 256  # orders released in one turn of the loop
LOOKS_MAX = 4096  # waiting orders looked at in one
UPDATE, SWEEP, TIMER = range(3)  # causes of a judgement: a frame, orders that came since, the time it has held
FEED_NAME_MAX = 36
TELL_NS = 250_000_000  # at most so often a client is told where its trailing stop is
QUOTED = tuple(int(source) for source in (PriceSource.BID, PriceSource.ASK, PriceSource.MID))
GAP_MAX_E9 = 9_000_000_000_000_000  # a wider gap from the trigger price is not stated
GAP_BPS_MAX = 900_000_000_000
STOP_MIN_E9 = 1_000_000


Line = tuple[int, int]  # instrument, source


@dataclass(slots=True)
class Firing:
    """A price that fires, with what proves it."""

    line: Line
    px_e9: int
    qty_e9: int
    bid_px_e9: int
    ask_px_e9: int
    bid_qty_e9: int
    ask_qty_e9: int
    feed: bytes
    venue_ns: int
    feed_seq: int
    mono_ns: int  # when it was judged: an update at its receipt
    age_ns: int  # of the data then
    wall_ns: int  # of the data's receipt
    cause: int
    reaches: bool  # it reaches orders of the index
    missed: bool  # what it reaches may have been reached while nobody watched
    left: int = -1  # waiting orders that it has yet to look at; -1: not counted yet


@dataclass(slots=True)
class Waiting:
    """An order whose price is through and that must not leave yet."""

    order: int
    since_ns: int  # the first judgement that counts
    seen_ns: int  # of the data that was judged last
    level_px_e9: int  # the trigger price that was reached
    ticks: int  # qualifying updates that count
    term: int  # of its line, when it came
    missed: bool  # became true while nobody watched
    parked: bool  # missed, and to fire only after the condition has been false
    due_ns: int | None = None  # when time alone confirms it


class Watch:
    """The market side of the core."""

    def __init__(self, state: State, parser: TickParser) -> None:
        self.state = state
        self.parser = parser
        self.frames = self.triggered = 0
        self.malformed = [0] * FEEDS_MAX  # frames that could not be read
        self.frame_ns = [0] * FEEDS_MAX  # receipt of the last frame
        self.lag_ns = [0] * FEEDS_MAX  # of the last frame that says when the venue sent it
        self.fired: deque[int] = deque()
        self.backlog: deque[Firing] = deque()
        self.refused: deque[tuple[int, int]] = deque()  # (order, control) that a check at release refused
        self.feeds: dict[int, bytes] = {}
        self.through: dict[Line, deque[Waiting]] = {}  # none is empty
        self.unwatched: set[Line] = set()  # no price of it has been judged since nobody watched
        self.terms: Counter[Line] = Counter()  # a new one begins, and what was counted before it counts no more
        self.kept: list[int] = []  # reached by a price that is too old for them: armed again after it
        self.session_ns = [0] * state.quotes.capacity  # since when the session is as it is; 0: since before the start
        self.born_ns = 0  # wall clock: since when, in this life, somebody watches
        self.seen_ns = [0] * state.quotes.capacity  # the newest data so far, or since when it is watched

    def name_feed(self, number: int, name: bytes) -> None:
        """What evidence calls the feed of this number; ValueError: too many of them, or no name of 1 to 36 bytes."""
        if not 0 <= number < FEEDS_MAX or not 1 <= len(name) <= FEED_NAME_MAX:
            raise ValueError(f"feed {number} cannot be called {name!r}")
        self.feeds[number] = name

    def malformed_of(self, feed: int) -> int:
        """Frames of a feed that could not be read."""
        return self.malformed[feed]

    def last_frame_ns(self, feed: int) -> int:
        """When the last frame of a feed was received, by the monotonic clock; 0 for none yet."""
        return self.frame_ns[feed]

    def frame_lag_ns(self, feed: int) -> int:
        """How long after the venue's own time the last frame of a feed came; 0 when none has said it."""
        return self.lag_ns[feed]

    def feed_frame(self, data: bytes, mono_ns: int, wall_ns: int, feed: int = 0) -> int:
        """Apply one market-data frame; returns how many orders fired: `take_fired` and `next_refused` give them.

        Where orders have yet to be looked at (`has_backlog`) it is at least 1. Less than zero: none fired, but
        trailing stops moved; their records wait for the journal.

        mono_ns, wall_ns: the clocks when the frame was received; ages are measured from `mono_ns`. feed: its number.
        """
        self.frames += 1
        self.frame_ns[feed] = mono_ns
        tick = self.parser.parse_py(data)
        if tick["kind"] > 0 and tick["venue_ns"]:
            self.lag_ns[feed] = wall_ns - tick["venue_ns"]
        before = self._decided()
        row, seq, venue_ns = tick["instrument"], tick["feed_seq"], tick["venue_ns"]
        if tick["kind"] == TICK_QUOTE:
            sides = tick["bid_px_e9"], tick["bid_qty_e9"], tick["ask_px_e9"], tick["ask_qty_e9"]
            flags = self.state.quotes.quote(row, *sides, seq, venue_ns, mono_ns, feed)
            sources = QUOTED
        elif tick["kind"] == TICK_TRADE:
            flags = self.state.quotes.trade(row, tick["px_e9"], tick["qty_e9"], seq, venue_ns, mono_ns, feed)
            sources = (int(PriceSource.LAST),)
        else:
            self.malformed[feed] += tick["kind"] < 0
            return 0
        if flags & (BACKWARD | BAD_VALUE | ASIDE):
            return 0
        for source in sources:
            self._judge((row, source), tick["qty_e9"], venue_ns, seq, mono_ns, wall_ns)
        return self._outcome(before)

    def _judge(self, line: Line, qty_e9: int, venue_ns: int, feed_seq: int, mono_ns: int, wall_ns: int) -> None:
        px_e9 = self.state.quotes.trigger(*line, mono_ns)
        if px_e9 == 0:
            return
        missed = line in self.unwatched
        self.unwatched.discard(line)
        reaches = self._reaches(line, px_e9, wall_ns)
        if reaches or line in self.through or line in self.state.fired_px:
            data = qty_e9, venue_ns, feed_seq
            self._queue(line, px_e9, data, UPDATE, mono_ns, wall_ns, age_ns=0, reaches=reaches, missed=missed)

    def _reaches(self, line: Line, px_e9: int, wall_ns: int) -> bool:
        """Move what trails, then whether the price fires anything.

        Behind older prices that have yet to fire there, it moves nothing before its turn: they would fire what it
        moved.
        """
        return line in self.state.fired_px or self._reaches_now(line, px_e9, wall_ns)

    def _reaches_now(self, line: Line, px_e9: int, wall_ns: int) -> bool:
        if self.state.stops.moves(*line, px_e9):
            self.state.wall_ns = wall_ns
            self.state.emit(rec.TRAIL_MARK, rec.pack(rec.TrailMarkBody(px_e9, *line)))
            return self.state.stops.hits(*line, px_e9)
        return self.state.stops.check(*line, px_e9)

    def _queue(
        self, line: Line, px_e9: int, data: tuple[int, int, int], cause: int, mono_ns: int, wall_ns: int, *,
        age_ns: int, reaches: bool, missed: bool,
    ) -> None:  # fmt: skip
        """data: quantity, venue time and number of the update that the price is of."""
        at = self.state.quotes.rows[line[0]]
        qty_e9, venue_ns, feed_seq = data
        feed = self.feeds.get(at.last_feed if line[1] == PriceSource.LAST else at.quote_feed, b"")
        firing = Firing(
            line, px_e9, qty_e9, at.bid_px_e9, at.ask_px_e9, at.bid_qty_e9, at.ask_qty_e9, feed, venue_ns, feed_seq,
            mono_ns, age_ns, wall_ns - age_ns, cause, reaches, missed,
        )  # fmt: skip
        self.backlog.append(firing)
        if reaches:
            low_e9, high_e9 = self.state.fired_px.get(line, (px_e9, px_e9))
            self.state.fired_px[line] = min(low_e9, px_e9), max(high_e9, px_e9)
        if len(self.backlog) == 1:
            self.drain(mono_ns, wall_ns)

    def _outcome(self, before: int) -> int:
        fired = self._decided() - before
        if fired or self.backlog:
            return max(fired, 1)
        return -int(self.state.has_records())

    def tell_trails(self, wall_ns: int, most: int) -> int:
        """Tell the clients of up to `most` trailing stops where they are, as far as they moved and it is time."""
        state = self.state
        state.wall_ns = wall_ns
        told = 0
        for _ in range(min(most, len(state.trails))):
            if not state.trails:
                break
            state.trail_at = state.trail_at + 1 if state.trail_at + 1 < len(state.trails) else 0
            order = state.trails[state.trail_at]
            row = state.orders.rows[order]
            if not (row.is_held and row.is_trailing):
                state.trails[state.trail_at] = state.trails[-1]
                state.trails.pop()
                state.trail_at = state.trail_at - 1 if state.trail_at else max(0, len(state.trails) - 1)
                continue
            stop_e9 = state.stops.trigger_of(order)
            if stop_e9 and stop_e9 != row.told_stop_px_e9 and wall_ns - row.told_stop_ns >= TELL_NS:
                self._trailed(order, stop_e9, state.stops.extreme_of(order), activated=False)
                told += 1
        return told

    def _trailed(self, order: int, stop_px_e9: int, extreme_px_e9: int, *, activated: bool) -> None:
        body = rec.TrailedBody(stop_px_e9, extreme_px_e9, int(activated))
        self.state.commit(rec.TRAILED, self.state.event(order), rec.pack(body))

    def _activate(self, order: int, px_e9: int) -> None:
        """The activation price was reached: the stop trails from here on."""
        terms = self.state.orders.rows[order].terms
        tick_e9 = self.state.quotes.rows[terms.instrument].tick_e9
        trail = terms.trail_unit, terms.trail_e9, tick_e9
        self._trailed(order, stop_px(self.state.direction_of(terms), trail, px_e9) or 0, px_e9, activated=True)

    def _limit_px(self, terms: rec.Terms, stop_px_e9: int) -> int:
        """What the order's limit is once its stop has fired there."""
        if not terms.has_limit_offset:
            return terms.px_e9
        tick_e9 = self.state.quotes.rows[terms.instrument].tick_e9
        if terms.side == Side.SELL:
            return max(stop_px_e9 - terms.limit_offset_e9, tick_e9)
        return min(stop_px_e9 + terms.limit_offset_e9, MAX_E9 - MAX_E9 % tick_e9)

    def _decided(self) -> int:
        """Orders that fired and wait to be taken, to leave or to be refused."""
        return len(self.fired) + len(self.refused)

    def sweep(self, instrument: int, mono_ns: int, wall_ns: int) -> int:
        """Judge the prices in force again (an order with `if_through: fire` was just accepted)."""
        before = self._decided()
        for source in range(PriceSource.MARK):
            px_e9 = self.state.quotes.trigger(instrument, source, mono_ns)
            if px_e9 and self._reaches((instrument, source), px_e9, wall_ns):
                self._again((instrument, source), px_e9, SWEEP, mono_ns, wall_ns)
        return self._outcome(before)

    def confirm_due(self, mono_ns: int, wall_ns: int) -> int:
        """Fire what has been through for as long as it asked, where the price that says so is still fresh."""
        before = self._decided()
        for line in sorted(self.through):
            if any(item.due_ns is not None and item.due_ns <= mono_ns for item in self.through.get(line, ())):
                px_e9 = self.state.quotes.trigger(*line, mono_ns)
                if px_e9:
                    self._again(line, px_e9, TIMER, mono_ns, wall_ns)
        return self._outcome(before)

    def _again(self, line: Line, px_e9: int, cause: int, mono_ns: int, wall_ns: int) -> None:
        """Judge by the price in force, whose receipt was some time ago."""
        at = self.state.quotes.rows[line[0]]
        if line[1] == PriceSource.LAST:
            data = at.last_qty_e9, at.last_venue_ns, at.last_seq
        else:
            data = 0, at.quote_venue_ns, at.quote_seq
        age_ns, reaches = self.state.quotes.age(*line, mono_ns), cause == SWEEP
        self._queue(line, px_e9, data, cause, mono_ns, wall_ns, age_ns=age_ns, reaches=reaches, missed=False)

    def fire_due(self, mono_ns: int, wall_ns: int, most: int) -> int:
        """Fire up to `most` of the time orders that are due and whose market trades; returns how many."""
        self.state.wall_ns = wall_ns
        count = 0
        while count < most and (order := self.state.clocks.next_due(wall_ns)) >= 0:
            self._strike(order, mono_ns, wall_ns)
            count += 1
        return count

    def _strike(self, order: int, mono_ns: int, wall_ns: int) -> None:
        """The hour of an order has come: its evidence is the clock, and the reference price of that moment if any."""
        row = self.state.orders.rows[order]
        px_e9 = self.state.quotes.reference(row.terms.instrument, mono_ns)
        missed = max(due_of(row.terms, row.live_ns), row.live_ns) < self.born_ns
        line = row.terms.instrument, int(PriceSource.CLOCK)
        firing = Firing(line, px_e9, 0, 0, 0, 0, 0, b"", 0, 0, mono_ns, 0, wall_ns, TIMER, reaches=False, missed=missed)
        self._release(order, firing, mono_ns, 0, missed)

    def watch_from(self, mono_ns: int, wall_ns: int) -> None:
        """From now on data may be expected: what has none yet is as old as the time since. Due before: missed."""
        self.born_ns = wall_ns
        self.seen_ns = [mono_ns] * self.state.quotes.capacity
        self.state.quotes.expect_from(mono_ns)
        self.unwatched = {
            (row, source) for row in range(self.state.quotes.capacity) for source in range(PriceSource.MARK + 1)
        }

    def on_session(self, instrument: int, mono_ns: int) -> None:
        """The session of an instrument has changed.

        Its first price is judged as one that nobody could have missed, and no confirmation lasts beyond a session.
        """
        self.seen_ns[instrument] = self.session_ns[instrument] = mono_ns
        for source in range(PriceSource.MARK + 1):
            self.unwatched.discard((instrument, source))
            self.terms[instrument, source] += 1

    def _age_ns(self, instrument: int, mono_ns: int) -> int:
        """Age of the newest quote or print. A new connection forgets the old data, not when it came."""
        at = self.state.quotes.rows[instrument]
        self.seen_ns[instrument] = max(self.seen_ns[instrument], at.seen_ns, at.quote_mono_ns, at.last_mono_ns)
        return mono_ns - self.seen_ns[instrument]

    def silent(self, mono_ns: int) -> list[tuple[int, int, int]]:
        """(instrument, age_ns, orders) of those in session with data older than the limit of orders that rest there."""
        found = []
        for row, at in enumerate(self.state.quotes.rows):
            if self.state.held[row] and at.is_trading:
                age_ns = self._age_ns(row, mono_ns)
                tight = self.state.tight.get(row, {})
                blind = sum(count for limit_ns, count in tight.items() if limit_ns < age_ns)
                if age_ns > at.max_age_ns:
                    found.append((row, age_ns, self.state.held[row]))
                    if self.seen_ns[row] > self.session_ns[row]:  # else: no price of this session yet
                        self.unwatched |= {(row, source) for source in range(PriceSource.MARK + 1)}
                elif blind:
                    found.append((row, age_ns, blind))
        return found

    def unheard(self, feed: int, mono_ns: int) -> list[int]:
        """Instruments in session on which orders rest, of which a feed that prices them said nothing for too long."""
        lines = self.state.quotes.feeds.lines[feed]
        return [
            row
            for row, at in enumerate(self.state.quotes.rows)
            if self.state.held[row]
            and at.is_trading
            and lines[row].is_priced
            and mono_ns - lines[row].since_ns > at.max_age_ns
        ]

    def is_seen(self, instrument: int, mono_ns: int) -> bool:
        """Whether there is data of the instrument within its limit."""
        return instrument < self.state.quotes.count and self.state.quotes.fresh(instrument, mono_ns)

    def has_backlog(self) -> bool:
        """Whether a price that fired has orders left to release."""
        return bool(self.backlog)

    def drain(self, mono_ns: int, wall_ns: int) -> int:
        """Release up to one batch, the oldest price first, each in price-time order; returns how many."""
        self.state.wall_ns = wall_ns
        total = looks = 0
        while self.backlog:
            firing = self.backlog[0]
            if firing.left < 0:
                firing.left = len(self.through.get(firing.line, ()))
                firing.reaches = firing.reaches and self._reaches_now(firing.line, firing.px_e9, wall_ns)
            while firing.left > 0 and total < BATCH_MAX and looks < LOOKS_MAX:
                firing.left -= 1
                looks += 1
                total += self._confirm(firing, mono_ns)
            room = BATCH_MAX - total
            if firing.left > 0 or room == 0:
                return total
            taken = self.state.stops.take_fired(*firing.line, firing.px_e9, room) if firing.reaches else []
            total += len(taken)
            for order in taken:
                self._reached(order, firing, mono_ns)
            if len(taken) == room:
                return total
            for order in self.kept:
                self.state.watch(order, self.state.orders.rows[order])
            self.kept.clear()
            self.backlog.popleft()
        self.state.fired_px.clear()
        late = self.state.links.late
        if late:  # trails whose parents were filled behind those prices begin at the next one now
            self.state.links.due.extend((order, 0) for order in late)
            late.clear()
            shares.settle(self.state)
        return total

    def _reached(self, order: int, firing: Firing, mono_ns: int) -> None:
        """An order that the index gave up: it leaves, or waits until enough confirms it."""
        row = self.state.orders.rows[order]
        terms = row.terms
        if terms.trigger == TriggerKind.TRAIL and not row.is_trailing:
            self._activate(order, firing.px_e9)
            return
        parks = firing.missed and bool(terms.rearm_missed)
        if firing.age_ns > self._limit_ns(terms):
            self.kept.append(order)
        elif not parks and terms.confirm_ticks <= 1 and terms.confirm_ns == 0:
            self._release(order, firing, mono_ns, 1, firing.missed)
        else:
            item = Waiting(
                order, firing.mono_ns, firing.mono_ns - firing.age_ns, self.state.stops.popped_of(order),
                int(firing.cause == UPDATE), self.terms[firing.line], firing.missed, parks,
            )  # fmt: skip
            if terms.confirm_ns and not parks:
                item.due_ns = item.since_ns + terms.confirm_ns
            self.through.setdefault(firing.line, deque()).append(item)

    def _limit_ns(self, terms: rec.Terms) -> int:
        """Data older than this does not fire the order: its own word, within the instrument's."""
        limit_ns = self.state.quotes.rows[terms.instrument].max_age_ns
        return min(limit_ns, terms.max_age_ns or limit_ns)

    def _confirm(self, firing: Firing, mono_ns: int) -> int:
        """Look at the order that has waited longest on a line: it fires (1), waits on, or rests in the index again."""
        queue = self.through[firing.line]
        item = queue.popleft()
        if not queue:
            del self.through[firing.line]
        row = self.state.orders.rows[item.order]
        if not row.is_held or self.state.stops.holds(item.order):  # it ended, or was armed anew: with other terms, say
            return 0
        is_down = self.state.direction_of(row.terms) == Direction.DOWN
        if firing.px_e9 > item.level_px_e9 if is_down else firing.px_e9 < item.level_px_e9:
            self.state.watch(item.order, row)
            return 0
        if not item.parked and self._counts(item, row.terms, firing):
            self._release(item.order, firing, mono_ns, item.ticks, item.missed)
            return 1
        self.through.setdefault(firing.line, deque()).append(item)
        return 0

    def _counts(self, item: Waiting, terms: rec.Terms, firing: Firing) -> bool:
        """Count a judgement that found the condition true; whether it is enough."""
        limit_ns, data_ns, term = self._limit_ns(terms), firing.mono_ns - firing.age_ns, self.terms[firing.line]
        if item.term != term:  # another session: everything anew
            item.term, item.ticks, item.since_ns, item.missed = term, 0, firing.mono_ns, False
        elif terms.confirm_ns and data_ns - item.seen_ns > limit_ns:
            item.ticks, item.since_ns = 0, firing.mono_ns  # nobody knows what it was in between
        item.seen_ns, item.due_ns = data_ns, None
        item.ticks += firing.cause == UPDATE
        if terms.confirm_ns == 0:
            return item.ticks >= terms.confirm_ticks
        if firing.age_ns > limit_ns:  # the next update tells
            return False
        item.due_ns = item.since_ns + terms.confirm_ns
        return item.due_ns <= firing.mono_ns

    def _release(self, order: int, firing: Firing, mono_ns: int, ticks: int, missed: bool) -> None:
        """The checks of a release, then the record; the order goes to the broker in this very turn."""
        state = self.state
        row = state.orders.rows[order]
        terms, account = row.terms, row.account
        if not row.is_held:
            return  # what fired before it has ended it
        qty_e9, own_qty_e9 = terms.order_qty_e9, row.reserved_qty_e9  # a suspect has some
        stop_e9 = state.stops.popped_of(order)
        limit_e9 = self._limit_px(terms, stop_e9)
        spared_e9 = shares.spared_e9(state, order)
        if terms.reduce_only:
            beside_e9 = own_qty_e9 + spared_e9
            qty_e9 = min(qty_e9, state.gate.reducible_qty_py(account, terms.instrument, terms.side, beside_e9))
            qty_e9 -= qty_e9 % state.quotes.rows[terms.instrument].lot_e9
            if qty_e9 <= 0:
                self._end_flat(order)
                return
        verdict = state.gate.check_py(
            account=account, instrument=terms.instrument, qty_e9=qty_e9, px_e9=limit_e9, mono_ns=mono_ns,
            side=terms.side, ord_type=terms.ord_type, reduce_only=bool(terms.reduce_only), stp=terms.stp,
            is_release=True, spared_qty_e9=spared_e9, old_qty_e9=own_qty_e9,
            old_px_e9=row.reserved_px_e9 if own_qty_e9 else 0,
        )  # fmt: skip
        event = state.event(
            order, ord_status=OrdStatus.PENDING_NEW, stage=Stage.QUEUED, hold=Hold.HOLD_NONE, leaves_qty_e9=qty_e9
        )
        refused = verdict if verdict["control"] != Control.PASS else dict.fromkeys(verdict, 0)
        body = rec.TriggeredBody(
            firing.px_e9, firing.qty_e9, firing.bid_px_e9, firing.ask_px_e9, firing.venue_ns, firing.wall_ns,
            gap_bps(firing.px_e9, stop_e9), mono_ns - firing.mono_ns, qty_e9, limit_e9, stop_e9,
            verdict["ref_px_e9"] or firing.px_e9 or row.ref_px_e9, firing.feed_seq, firing.bid_qty_e9, firing.ask_qty_e9, firing.age_ns,
            refused["limit"], refused["value"], refused["passes"], firing.line[1], missed,
            refused["control"], refused["unit"], refused["passes_unit"], refused["scope"], len(firing.feed), ticks,
        )  # fmt: skip
        state.commit(rec.TRIGGERED, event, rec.pack(body) + firing.feed)
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
