"""An order that fires: the checks of a release, then the record that says why; the order goes out in this very turn."""
from libc.stdint cimport int64_t, uint32_t, uint8_t
from libc.string cimport memcpy, memset
from cpython.bytes cimport PyBytes_AS_STRING
from hotpath.checks cimport CheckRequest
from hotpath.enums cimport *
from hotpath.fixed cimport MAX_E9
from hotpath.orders cimport OrderRow
from hotpath.records cimport *
from gateway.core.recorder cimport OP_CANCEL
from gateway.core.shares cimport spared_qty
from gateway.core.state cimport is_held


cdef class Release:
    """Lets orders go that fired, or refuses them.

    Args:
        state: the shard's state.
    """

    def __cinit__(self, State state not None, *_):
        self.state = state

    def name_feed(self, int number, bytes name not None) -> None:
        """What evidence calls the feed of this number; ValueError: too many of them, or no name of 1 to 36 bytes."""
        if not 0 <= number < FEEDS_MAX or not 1 <= len(name) <= FEED_NAME_MAX:
            raise ValueError(f"feed {number} cannot be called {name!r}: at most {FEEDS_MAX}, of 1 to {FEED_NAME_MAX} bytes")
        memcpy(self.feeds[number].text, PyBytes_AS_STRING(name), len(name))
        self.feeds[number].size = <int>len(name)

    cdef int _decided(self) noexcept nogil:
        """Orders that fired and wait to be taken, to leave or to be refused."""
        return <int>(self.fired.size() + self.refused.size())

    cdef int64_t _limit_px(self, const OrderRow* row, int64_t stop_px_e9) noexcept nogil:
        """What the order's limit is once its stop has fired there."""
        cdef int64_t tick_e9 = self.state.quotes.rows[row.terms.instrument].tick_e9
        cdef int64_t top_e9 = MAX_E9 - MAX_E9 % tick_e9
        if not row.terms.has_limit_offset:
            return row.terms.px_e9
        if row.terms.side == Side.SELL:
            return max(stop_px_e9 - row.terms.limit_offset_e9, tick_e9)
        return stop_px_e9 + row.terms.limit_offset_e9 if row.terms.limit_offset_e9 < top_e9 - stop_px_e9 else top_e9

    cdef void _put_evidence(self, TriggeredBody* body, const Firing* firing) noexcept nogil:
        """What the price was that fires, and what stood beside it."""
        body.px_e9 = firing.px_e9
        body.qty_e9 = firing.tick.qty_e9
        body.bid_px_e9 = firing.bid_px_e9
        body.ask_px_e9 = firing.ask_px_e9
        body.venue_ns = firing.tick.venue_ns
        body.recv_wall_ns = firing.wall_ns
        body.feed_seq = firing.tick.feed_seq
        body.bid_qty_e9 = firing.bid_qty_e9
        body.ask_qty_e9 = firing.ask_qty_e9
        body.age_ns = firing.age_ns
        body.source = firing.source

    cdef int _release(self, uint32_t order, const Firing* firing, int64_t mono_ns, uint32_t ticks, bint missed) except -1:
        """The checks of a release, then the record; the order goes to the broker in this very turn."""
        cdef State s = self.state
        cdef OrderRow* row = &s.orders.rows[order]
        cdef int64_t qty_e9 = row.terms.order_qty_e9
        cdef int64_t spared_e9 = spared_qty(s, order)
        cdef CheckRequest rq
        cdef OrderEvent* ev
        cdef TriggeredBody* body
        cdef Refused no
        cdef int64_t stop_px_e9 = s.stops.popped_px(order)
        cdef int64_t px_e9 = self._limit_px(row, stop_px_e9)
        if not is_held(row):
            return 0                                     # what fired before it has ended it
        if row.terms.reduce_only:
            qty_e9 = min(qty_e9, s.gate.reducible_qty(row.account, row.terms.instrument, row.terms.side,
                                                      row.reserved_qty_e9 + spared_e9))
            qty_e9 -= qty_e9 % s.quotes.rows[row.terms.instrument].lot_e9
            if qty_e9 <= 0:
                return self._flat(order)
        memset(&rq, 0, sizeof(rq))
        rq.account = row.account
        rq.instrument = row.terms.instrument
        rq.qty_e9 = qty_e9
        rq.px_e9 = px_e9
        rq.old_qty_e9 = row.reserved_qty_e9              # a suspect has some
        rq.old_px_e9 = row.reserved_px_e9 if row.reserved_qty_e9 else 0
        rq.mono_ns = mono_ns
        rq.side = row.terms.side
        rq.ord_type = row.terms.ord_type
        rq.reduce_only = row.terms.reduce_only
        rq.stp = row.terms.stp
        rq.is_release = 1
        rq.spared_qty_e9 = spared_e9
        s.gate.check(&rq, &self.verdict)
        ev = s.begin(order)
        body = <TriggeredBody*>s.body()
        ev.ord_status = OrdStatus.PENDING_NEW
        ev.stage = Stage.QUEUED
        ev.hold = Hold.HOLD_NONE
        ev.leaves_qty_e9 = qty_e9
        self._put_evidence(body, firing)
        body.missed = missed
        body.ticks = ticks
        body.gap_bps_e9 = self._gap_bps(firing.px_e9, stop_px_e9)
        body.decide_ns = mono_ns - firing.mono_ns
        body.send_qty_e9 = qty_e9
        body.send_px_e9 = px_e9
        body.stop_px_e9 = stop_px_e9
        body.ref_px_e9 = self.verdict.ref_px_e9 if self.verdict.ref_px_e9 else firing.px_e9
        if body.ref_px_e9 == 0:                          # a time order, and nobody knows a price now
            body.ref_px_e9 = row.ref_px_e9
        self._state_check(body)
        s.commit(Kind.TRIGGERED, sizeof(TriggeredBody) + self._put_feed(body, firing.feed))
        self.triggered += 1
        if self.verdict.control != 0:
            no.order = order
            no.control = self.verdict.control
            self.refused.push_back(no)
            return 0
        self.fired.push_back(order)
        return 0

    cdef void _state_check(self, TriggeredBody* body) noexcept nogil:
        """What the control that refused the release had in hand; nothing when it passed."""
        if self.verdict.control == 0:
            return
        body.control = <uint8_t>self.verdict.control
        body.check_limit = self.verdict.limit
        body.check_value = self.verdict.value
        body.check_passes = self.verdict.passes
        body.check_unit = <uint8_t>self.verdict.unit
        body.check_passes_unit = <uint8_t>self.verdict.passes_unit
        body.check_scope = <uint8_t>self.verdict.scope

    cdef int _put_feed(self, TriggeredBody* body, uint32_t feed) noexcept nogil:
        """The feed's name behind the body; returns its bytes."""
        if feed >= FEEDS_MAX:
            return 0
        cdef const FeedName* name = &self.feeds[feed]
        body.feed_size = <uint8_t>name.size
        memcpy(<char*>body + sizeof(TriggeredBody), name.text, name.size)
        return name.size

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
