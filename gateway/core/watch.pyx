"""Market data in, fired orders out: one compiled call from a feed's frame to the orders that it releases.

Nothing here awaits, logs, or allocates per resting order. A gap that fires more orders than one batch takes leaves the rest
in a backlog of lines, which the engine drains between other work (`drain`).
"""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from libc.string cimport memset
from libcpp.deque cimport deque
from libcpp.vector cimport vector
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from hotpath.checks cimport CheckRequest, Decision
from hotpath.enums cimport *
from hotpath.orders cimport OrderRow
from hotpath.quotes cimport BACKWARD, BAD_VALUE, InstrumentRow
from hotpath.records cimport *
from hotpath.ticks cimport TICK_QUOTE, TICK_TRADE, Tick, TickParser
from gateway.core.state cimport OP_CANCEL, SOURCES, FiredSpan, State

cdef enum:
    BATCH_MAX = 256                      # orders released in one turn of the loop

cdef struct Refused:                     # a check at release said no
    uint32_t order
    int control

cdef struct Firing:                      # a price that fires, with what proves it
    Tick tick
    uint32_t instrument
    int source
    int64_t px_e9
    int64_t bid_px_e9
    int64_t ask_px_e9
    int64_t mono_ns
    int64_t wall_ns
    int missed


cdef class Watch:
    """The market side of the core.

    Args:
        state: the shard's state. parser: turns frames into ticks of the state's instruments.
    """

    cdef State state
    cdef readonly TickParser parser
    cdef deque[uint32_t] fired
    cdef deque[Firing] backlog
    cdef deque[Refused] refused
    cdef vector[uint32_t] spans              # of `State.fired_px`, to be cleared with the backlog
    cdef Decision verdict
    cdef readonly uint64_t frames
    cdef readonly uint64_t malformed
    cdef readonly uint64_t triggered
    cdef readonly int64_t last_frame_ns
    cdef uint32_t handles[256]
    cdef vector[int64_t] seen_ns             # by instrument: the newest data so far, or since when it is watched

    def __cinit__(self, State state not None, TickParser parser not None):
        self.state = state
        self.parser = parser
        self.seen_ns.assign(state.quotes.capacity, 0)

    def feed_frame(self, bytes frame not None, int64_t mono_ns, int64_t wall_ns) -> int:
        """Apply one market-data frame; returns how many orders fired: `take_fired` and `next_refused` give them.

        Args:
            mono_ns, wall_ns: the clocks when the frame was received; ages are measured from `mono_ns`.
        """
        cdef Tick tick
        cdef int before
        self.frames += 1
        self.last_frame_ns = mono_ns
        self.parser.parse(PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame), &tick)
        if tick.kind == TICK_QUOTE:
            before = self._decided()
            self._quote(&tick, mono_ns, wall_ns)
            return self._decided() - before
        if tick.kind == TICK_TRADE:
            before = self._decided()
            self._trade(&tick, mono_ns, wall_ns)
            return self._decided() - before
        if tick.kind < 0:
            self.malformed += 1
        return 0

    cdef int _decided(self) noexcept nogil:
        """Orders that fired and wait to be taken, to leave or to be refused."""
        return <int>(self.fired.size() + self.refused.size())

    cdef int _quote(self, const Tick* tick, int64_t mono_ns, int64_t wall_ns) except -1:
        cdef uint32_t flags = self.state.quotes.on_quote(
            tick.instrument, tick.bid_px_e9, tick.bid_qty_e9, tick.ask_px_e9, tick.ask_qty_e9, tick.feed_seq, tick.venue_ns, mono_ns
        )
        if flags & (BACKWARD | BAD_VALUE):
            return 0
        self._judge(tick, PriceSource.BID, mono_ns, wall_ns)
        self._judge(tick, PriceSource.ASK, mono_ns, wall_ns)
        self._judge(tick, PriceSource.MID, mono_ns, wall_ns)
        return 0

    cdef int _trade(self, const Tick* tick, int64_t mono_ns, int64_t wall_ns) except -1:
        cdef uint32_t flags = self.state.quotes.on_trade(
            tick.instrument, tick.px_e9, tick.qty_e9, tick.feed_seq, tick.venue_ns, mono_ns
        )
        if flags & (BACKWARD | BAD_VALUE):
            return 0
        self._judge(tick, PriceSource.LAST, mono_ns, wall_ns)
        return 0

    cdef int _judge(self, const Tick* tick, int source, int64_t mono_ns, int64_t wall_ns) except -1:
        cdef int64_t px = self.state.quotes.trigger_px(tick.instrument, source, mono_ns)
        cdef Firing firing
        if px == 0 or not self.state.stops.fires(tick.instrument, source, px):
            return 0
        firing.tick = tick[0]
        firing.instrument = tick.instrument
        firing.source = source
        firing.px_e9 = px
        firing.bid_px_e9 = self.state.quotes.rows[tick.instrument].bid_px_e9
        firing.ask_px_e9 = self.state.quotes.rows[tick.instrument].ask_px_e9
        firing.mono_ns = mono_ns
        firing.wall_ns = wall_ns
        firing.missed = 0
        self.backlog.push_back(firing)
        self._span(tick.instrument, source, px)
        if self.backlog.size() == 1:
            self.drain(mono_ns, wall_ns)
        return 0

    cdef void _span(self, uint32_t instrument, int source, int64_t px_e9) noexcept nogil:
        """Remember what has yet to fire orders: one that comes now must not be fired by a price of before it."""
        cdef FiredSpan* span = &self.state.fired_px[instrument * SOURCES + source]
        self.spans.push_back(instrument * SOURCES + source)
        if span.low_px_e9 == 0 or px_e9 < span.low_px_e9:
            span.low_px_e9 = px_e9
        span.high_px_e9 = max(span.high_px_e9, px_e9)

    def sweep(self, uint32_t instrument, int64_t mono_ns, int64_t wall_ns) -> int:
        """Judge the prices in force again (an order with `if_through: fire` was just accepted)."""
        cdef Tick tick
        cdef int before = self._decided()
        cdef int source
        memset(&tick, 0, sizeof(tick))
        tick.instrument = instrument
        tick.feed_seq = self.state.quotes.rows[instrument].quote_seq
        for source in range(4):
            self._judge(&tick, source, mono_ns, wall_ns)
        return self._decided() - before

    def watch_from(self, int64_t mono_ns) -> None:
        """From now on data may be expected: what has none yet is as old as the time since."""
        self.seen_ns.assign(self.state.quotes.capacity, mono_ns)

    cdef int64_t _age_ns(self, uint32_t instrument, int64_t mono_ns) noexcept nogil:
        """Age of the newest quote or print. A new connection forgets the old data, not when it came."""
        cdef const InstrumentRow* row = &self.state.quotes.rows[instrument]
        cdef int64_t newest = max(row.quote_mono_ns, row.last_mono_ns)
        if newest > self.seen_ns[instrument]:
            self.seen_ns[instrument] = newest
        return mono_ns - self.seen_ns[instrument]

    def silent(self, int64_t mono_ns) -> list:
        """(instrument, age_ns) of those in session on which orders rest while their data is older than its limit."""
        cdef uint32_t row
        cdef int64_t age_ns
        found = []
        for row in range(self.state.quotes.count):
            if self.state.held[row] and self.state.quotes.rows[row].is_open and not self.state.quotes.rows[row].is_halted:
                age_ns = self._age_ns(row, mono_ns)
                if age_ns > self.state.quotes.rows[row].max_age_ns:
                    found.append((row, age_ns))
        return found

    def is_seen(self, uint32_t instrument, int64_t mono_ns) -> bool:
        """Whether there is data of the instrument within its limit."""
        return self.state.quotes.is_fresh(instrument, mono_ns)

    def has_backlog(self) -> bool:
        """Whether a price that fired has orders left to release."""
        return not self.backlog.empty()

    cpdef int drain(self, int64_t mono_ns, int64_t wall_ns) except -1:
        """Release up to one batch, the oldest price first, each in price-time order; returns how many."""
        cdef Firing firing
        cdef int n, i
        cdef int total = 0
        self.state.wall_ns = wall_ns
        while total < BATCH_MAX and not self.backlog.empty():
            firing = self.backlog.front()
            n = self.state.stops.pop_fired(firing.instrument, firing.source, firing.px_e9, self.handles, BATCH_MAX - total)
            total += n
            if total < BATCH_MAX:
                self.backlog.pop_front()
            for i in range(n):
                self._release(self.handles[i], &firing, mono_ns)
        while self.backlog.empty() and not self.spans.empty():
            memset(&self.state.fired_px[self.spans.back()], 0, sizeof(FiredSpan))
            self.spans.pop_back()
        return total

    cdef int _release(self, uint32_t order, const Firing* firing, int64_t mono_ns) except -1:
        """The checks of a release, then the record; the order goes to the broker in this very turn."""
        cdef State s = self.state
        cdef OrderRow* row = &s.orders.rows[order]
        cdef int64_t qty_e9 = row.terms.order_qty_e9
        cdef CheckRequest rq
        cdef OrderEvent* ev
        cdef TriggeredBody* body
        cdef Refused no
        if row.terms.reduce_only:
            qty_e9 = min(qty_e9, s.gate.reducible_qty(row.account, row.terms.instrument, row.terms.side, row.reserved_qty_e9))
            qty_e9 -= qty_e9 % s.quotes.rows[row.terms.instrument].lot_e9
            if qty_e9 <= 0:
                return self._flat(order)
        memset(&rq, 0, sizeof(rq))
        rq.account = row.account
        rq.instrument = row.terms.instrument
        rq.qty_e9 = qty_e9
        rq.px_e9 = row.terms.px_e9
        rq.old_qty_e9 = row.reserved_qty_e9              # a suspect has some
        rq.old_px_e9 = row.reserved_px_e9 if row.reserved_qty_e9 else 0
        rq.mono_ns = mono_ns
        rq.side = row.terms.side
        rq.ord_type = row.terms.ord_type
        rq.reduce_only = row.terms.reduce_only
        rq.stp = row.terms.stp
        rq.is_release = 1
        s.gate.check(&rq, &self.verdict)
        ev = s.begin(order)
        body = <TriggeredBody*>s.body()
        ev.ord_status = OrdStatus.PENDING_NEW
        ev.stage = Stage.QUEUED
        ev.hold = Hold.HOLD_NONE
        ev.leaves_qty_e9 = qty_e9
        body.px_e9 = firing.px_e9
        body.qty_e9 = firing.tick.qty_e9
        body.bid_px_e9 = firing.bid_px_e9
        body.ask_px_e9 = firing.ask_px_e9
        body.venue_ns = firing.tick.venue_ns
        body.recv_wall_ns = firing.wall_ns
        body.gap_bps_e9 = self._gap_bps(firing.px_e9, row.terms.stop_px_e9)
        body.decide_ns = mono_ns - firing.mono_ns
        body.send_qty_e9 = qty_e9
        body.ref_px_e9 = self.verdict.ref_px_e9 if self.verdict.ref_px_e9 else firing.px_e9
        body.feed_seq = firing.tick.feed_seq
        body.source = firing.source
        body.missed = firing.missed
        s.commit(Kind.TRIGGERED, sizeof(TriggeredBody))
        self.triggered += 1
        if self.verdict.control != 0:
            no.order = order
            no.control = self.verdict.control
            self.refused.push_back(no)
            return 0
        self.fired.push_back(order)
        return 0

    cdef int _flat(self, uint32_t order) except -1:
        cdef OrderEvent* ev = self.state.begin(order)
        ev.reason = Reason.FLAT
        if self.state.begin_doubt(order):
            ev.pending = Pending.PENDING_CANCEL
            self.state.commit(Kind.PENDING_CANCEL_EV, 0)
            self.state.effect(OP_CANCEL, order)
            return 0
        ev.ord_status = OrdStatus.CANCELED
        ev.hold = Hold.HOLD_NONE
        ev.leaves_qty_e9 = 0
        self.state.commit(Kind.CANCELED_EV, sizeof(DoneBody))
        return 0

    cdef int64_t _gap_bps(self, int64_t px_e9, int64_t stop_px_e9) noexcept nogil:
        """Distance from the trigger price in basis points (1e-9 decimal, two places); 0 when it does not fit."""
        cdef int64_t gap = px_e9 - stop_px_e9 if px_e9 > stop_px_e9 else stop_px_e9 - px_e9
        if gap > 9000000000000000LL or stop_px_e9 < 1000000:
            return 0
        gap = gap * 1000 // (stop_px_e9 // 1000)
        return gap * 10000000 if gap < 900000000000LL else 0

    def next_refused(self):
        """(order, control) of the next triggered order that a check at release refused, or None."""
        cdef Refused item
        if self.refused.empty():
            return None
        item = self.refused.front()
        self.refused.pop_front()
        return item.order, item.control

    def take_fired(self, int most) -> list:
        """Up to `most` orders to hand to their broker, in price-time order; empty when there are none."""
        run = []
        while most > 0 and not self.fired.empty():
            run.append(self.fired.front())
            self.fired.pop_front()
            most -= 1
        return run
