"""What clients ask for: checked, decided in one call, and turned into records (order-api sections 5, 7 and 8).

A refusal changes nothing at all. Every call returns the journal sequence of the record that answers it (> 0), 0 when the request
repeats one that was answered before (`dup_seq`), or a `Refusal` (< 0).
"""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from libc.string cimport memcpy, memset
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from hotpath.checks cimport CheckRequest, Decision
from hotpath.enums cimport *
from hotpath.orders cimport OPEN_ASKS_MAX, OrderRow, first_asked, is_done
from hotpath.plants cimport CHECK_KILL_AT_ADMISSION_ONLY, is_planted
from hotpath.records cimport *
from gateway.core.recorder cimport OP_CANCEL, OP_REPLACE, OP_SUBMIT
from gateway.core.state cimport GROUP_ROWS_MAX, State, begins_late, direction_of, due_of, fires_down, fires_up, is_held
from gateway.core.relations cimport AHEAD, relate, revise
from gateway.core.shares cimport settle, share_of, spared_qty
from gateway.core.terms cimport Refusal, TermsReader, name_ok

cdef enum:
    REV_MAX = 1000                       # revisions are part of the broker-side id


cdef str member_of(const Terms* t):
    """Where the condition of a trigger stands in a request."""
    if t.trigger != TriggerKind.TIME:
        return "trigger.stop_px"
    return "trigger.at_ns" if t.at_ns else "trigger.after_ms"


cdef class Intake(TermsReader):
    """The client side of the core.

    Args:
        state: the shard's state.
    """

    def __cinit__(self, State state not None):
        self.order = -1
        self.link_up = True
        self.ahead = []

    @property
    def decision(self) -> dict:
        """The last verdict of the gate, in fixed-point integers: `risk.catalogue.explain` renders it."""
        return {
            "control": self.verdict.control, "unit": self.verdict.unit, "limit": self.verdict.limit,
            "value": self.verdict.value, "passes": self.verdict.passes, "passes_unit": self.verdict.passes_unit,
            "scope": self.verdict.scope, "ref_px_e9": self.verdict.ref_px_e9, "tokens_left": self.verdict.tokens_left,
        }

    cdef int64_t _find(self, uint32_t account, str cl_ord_id) except -2:
        cdef Py_ssize_t size = 0
        cdef const char* data = PyUnicode_AsUTF8AndSize(cl_ord_id, &size)
        self.order = self.state.orders.find(account, data, size)
        return self.order

    # --- place ---------------------------------------------------------------------------------------------------

    def place(self, uint32_t account, object req not None, bytes session not None, int64_t deadline_ns, bint dry,
              int64_t wall_ns, int64_t mono_ns) -> int:
        """Accept or refuse a new order.

        Args:
            req: a `PlaceItem` (order-api section 5). session: name of the client's session.
            deadline_ns: 0 or the server time after which nothing may happen. dry: all checks, no effect.
        """
        cdef Terms terms
        cdef uint64_t content = 0
        cdef int code
        self.state.wall_ns = wall_ns
        code = self._admit(account, req, deadline_ns, mono_ns, dry, &terms, &content)
        if code > 0:
            return 0
        if code:
            return code
        return Refusal.DRY_PASSED if dry else self._accept(account, req, &terms, content, session)

    cdef int _admit(self, uint32_t account, object req, int64_t deadline_ns, int64_t mono_ns, bint dry, Terms* terms,
                    uint64_t* content) except -100:
        """Whether the order may be accepted: 0 yes, 2 it was before (`dup_seq`), else a Refusal."""
        cdef Py_ssize_t size = 0
        cdef const char* name = PyUnicode_AsUTF8AndSize(req.cl_ord_id, &size)
        cdef int64_t found
        cdef int code
        if not name_ok(name, size):
            return self._refuse(Refusal.BAD_FIELD, "cl_ord_id", "cl_ord_id must be 1 to 36 of A-Z a-z 0-9 . _ : -")
        code = self._terms(req, terms)
        if code:
            return code
        content[0] = self._content(terms, req)
        found = self.state.orders.find(account, name, size)
        self.order = found
        if found >= 0:
            if self.state.orders.rows[found].content_hash == content[0]:
                self.dup_seq = self.state.orders.rows[found].accepted_acct_seq
                return 2
            return self._refuse(Refusal.CL_ORD_ID_CONFLICT, "cl_ord_id", f"cl_ord_id {req.cl_ord_id} names another order; choose a new name")
        if deadline_ns and self.state.wall_ns > deadline_ns:
            return self._refuse(Refusal.DEADLINE_PASSED, "deadline_ns", "the deadline had passed when the request was applied")
        code = 0
        if req.after is not None or req.oco is not None:
            code = relate(self, account, req, terms, self.ahead, &self.ahead_terms)
        return code if code else self._live(terms, account, mono_ns, dry)

    cdef int _live(self, const Terms* t, uint32_t account, int64_t mono_ns, bint dry) except 1:
        """The checks that need the present: grid, market, link, table, gate."""
        cdef int code = self._grid(t)
        if code:
            return code
        if t.expire_ns and t.expire_ns <= self.state.wall_ns:
            return self._refuse(Refusal.BAD_FIELD, "expire_ns", "expire_ns lies in the past")
        if t.trigger == TriggerKind.TRAIL and not self._has_trail_room(t):
            return self._refuse(Refusal.BUSY, "trigger.trail", "too many different trails on the instrument; use a distance that others have")
        if not t.parent and begins_late(self.state, t):
            return self._refuse(Refusal.BUSY, "trigger.trail", "prices of a moment ago still fire orders there; send it again")
        if t.trigger and not t.parent and not t.fire_through and self._through(t, self.state.wall_ns, mono_ns):
            return self._refuse(Refusal.TRIGGER_THROUGH, member_of(t), "the condition is already true; set if_through to fire, or move it")
        if t.max_queue_ns == 0 and not t.trigger and not t.parent and not self.link_up:
            return self._refuse(Refusal.LINK_DOWN, "", "the broker link is down and the order may not wait (max_queue_ms 0)")
        if self.state.orders.count >= self.state.orders.capacity:
            return self._refuse(Refusal.BUSY, "", "the order table is full; an operator must raise capacity.orders and restart")
        return self._check(account, t, NULL, mono_ns, dry)

    cdef bint _has_trail_room(self, const Terms* t) noexcept nogil:
        return self.state.stops.has_trail_room(t.instrument, t.source, direction_of(t), t.trail_e9, t.trail_unit,
                                               self.state.quotes.rows[t.instrument].tick_e9)

    cdef bint _through(self, const Terms* t, int64_t armed_ns, int64_t mono_ns) noexcept nogil:
        """Whether the condition is true already. A trail's is never: it starts from the price of now, or of its activation.

        Args:
            armed_ns: since when, by the wall clock, the order is armed.
        """
        if t.trigger == TriggerKind.TRAIL:
            return False
        if t.trigger == TriggerKind.TIME:
            return due_of(t, armed_ns) <= self.state.wall_ns
        cdef int64_t px = self.state.quotes.trigger_px(t.instrument, t.source, mono_ns)
        if t.max_age_ns and self.state.quotes.age_ns(t.instrument, t.source, mono_ns) > t.max_age_ns:
            px = 0
        if direction_of(t) == Direction.DOWN:
            return 0 < px <= t.stop_px_e9 or fires_down(self.state, t.instrument, t.source, t.stop_px_e9)
        return 0 < px and px >= t.stop_px_e9 or fires_up(self.state, t.instrument, t.source, t.stop_px_e9)

    cdef int _check(self, uint32_t account, const Terms* t, const OrderRow* old, int64_t mono_ns, bint dry,
                    bint release=False, int64_t spared_e9=0) except 1:
        cdef CheckRequest rq
        memset(&rq, 0, sizeof(rq))
        rq.account = account
        rq.instrument = t.instrument
        rq.qty_e9 = t.order_qty_e9
        rq.px_e9 = t.px_e9
        if old != NULL:
            rq.qty_e9 -= old.cum_qty_e9
            rq.old_qty_e9 = old.reserved_qty_e9 if old.reserved_qty_e9 else old.terms.order_qty_e9   # held: marks a replace
            rq.old_px_e9 = old.reserved_px_e9
        rq.mono_ns = mono_ns
        rq.side = t.side
        rq.ord_type = OrdType.MARKET if t.has_limit_offset else t.ord_type        # its limit is made when it fires
        rq.reduce_only = t.reduce_only
        rq.stp = t.stp
        rq.is_held = (t.trigger != 0 or t.parent != 0) and (old == NULL or old.ord_status == OrdStatus.HELD)
        rq.spared_qty_e9 = spared_e9
        rq.is_dry = dry
        rq.is_release = release
        if self.state.gate.check(&rq, &self.verdict) != 0:
            return self._refuse(Refusal.CONTROL, "", "")
        return 0

    def recheck(self, uint32_t order, int64_t wall_ns, int64_t mono_ns) -> int:
        """The whole chain again for an order that waited and goes out now; 0 or the control that refuses (`decision`)."""
        cdef OrderRow* row = &self.state.orders.rows[order]
        self._check(row.account, &row.terms, row, mono_ns, False, True, spared_qty(self.state, order))
        return self.verdict.control

    def recheck_revision(self, uint32_t order, int64_t mono_ns) -> int:
        """What stands against the revision that was last asked for as it leaves; 0 or the control that refuses (`decision`).

        The whole chain of an order that waited where it adds quantity, kill switches alone where it does not.
        """
        cdef OrderRow* row = &self.state.orders.rows[order]
        cdef Terms t = row.terms
        t.order_qty_e9, t.px_e9 = row.ask_qty_e9, row.ask_px_e9
        self._check(row.account, &t, row, mono_ns, True, True, spared_qty(self.state, order))
        if self.verdict.control == Control.KILL_GATE:
            return 0 if is_planted(CHECK_KILL_AT_ADMISSION_ONLY) else Control.KILL_GATE
        return self.verdict.control if row.ask_qty_e9 > row.terms.order_qty_e9 else 0

    cdef int64_t _accept(self, uint32_t account, object req, Terms* t, uint64_t content, bytes session) except? -100:
        cdef State s = self.state
        cdef OrderEvent* ev = <OrderEvent*>s.scratch
        cdef AcceptedBody* body = <AcceptedBody*>s.body()
        cdef char* tail = <char*>body + sizeof(AcceptedBody)
        cdef bytes tag = req.tag.encode() if req.tag is not None else b""
        cdef bytes signal = req.signal.encode() if req.signal is not None else b""
        cdef bytes after = req.after.cl_ord_id.encode() if req.after is not None else b""
        cdef bytes oco = req.oco.encode() if req.oco is not None else b""
        cdef bytes texts = b"".join((session, tag, signal, after, oco))
        cdef bint is_held
        cdef Py_ssize_t size = 0
        cdef const char* name = PyUnicode_AsUTF8AndSize(req.cl_ord_id, &size)
        cdef uint32_t order = s.orders.count
        cdef uint64_t seq
        if t.tif == Tif.DAY:
            t.expire_ns = self._day_end(t.instrument)
        self._tie(account, req, t, order)
        is_held = t.trigger or t.parent
        memset(s.scratch, 0, sizeof(OrderEvent) + sizeof(AcceptedBody))
        ev.account = account
        ev.order = order
        ev.acct_seq = s.acct_seqs[account] + 1
        ev.leaves_qty_e9 = t.order_qty_e9
        ev.rev = 1
        ev.ord_status = OrdStatus.HELD if is_held else OrdStatus.PENDING_NEW
        ev.stage = Stage.STAGE_NONE if is_held else Stage.QUEUED
        ev.hold = Hold.HOLD_PARENT if t.parent else (Hold.HOLD_TRIGGER if t.trigger else Hold.HOLD_NONE)
        ev.cl_size = <uint8_t>size
        memcpy(ev.cl_ord_id, name, size)
        body.terms = t[0]
        body.ref_px_e9 = self.verdict.ref_px_e9
        body.content_hash = content
        body.session_size = <uint8_t>len(session)
        body.tag_size = <uint8_t>len(tag)
        body.signal_size = <uint8_t>len(signal)
        body.after_size = <uint8_t>len(after)
        body.oco_size = <uint8_t>len(oco)
        memcpy(tail, <const char*>texts, len(texts))
        seq = s.commit(Kind.ACCEPTED, sizeof(AcceptedBody) + len(texts))
        self.order = order
        if not is_held:
            s.effect(OP_SUBMIT, order)
        return <int64_t>seq

    cdef int _tie(self, uint32_t account, object req, Terms* t, uint32_t order) except -1:
        """The rows that the names mean: those before it in its batch have one by now."""
        cdef int64_t first
        if t.parent == AHEAD:
            after = req.after.cl_ord_id.encode()
            t.parent = <uint32_t>(self.state.orders.find(account, after, len(after)) + 1)
        if req.oco is not None:
            first = self.state.links.group_of(account, req.oco.encode())
            t.group = (order if first < 0 else <uint32_t>first) + 1
        return 0

    # --- cancel --------------------------------------------------------------------------------------------------

    def cancel(self, uint32_t account, str cl_ord_id not None, int64_t deadline_ns, int64_t wall_ns) -> int:
        """Ask for the end of an order; one that never left the gateway ends at once."""
        cdef int64_t order = self._find(account, cl_ord_id)
        cdef OrderRow* row
        self.state.wall_ns = wall_ns
        if order < 0:
            return self._refuse(Refusal.UNKNOWN_ORDER, "cl_ord_id", f"no order {cl_ord_id} in this account")
        row = &self.state.orders.rows[order]
        if row.pending == Pending.PENDING_CANCEL and not is_done(row.ord_status):
            self.dup_seq = row.cancel_acct_seq
            return 0
        if is_done(row.ord_status):
            return self._refuse(Refusal.ORDER_DONE, "cl_ord_id", f"order {cl_ord_id} is done")
        if deadline_ns and wall_ns > deadline_ns:
            return self._refuse(Refusal.DEADLINE_PASSED, "deadline_ns", "the deadline had passed when the request was applied")
        return self._cancel_row(<uint32_t>order, Reason.REQUEST)

    cdef int64_t _cancel_row(self, uint32_t order, int reason) except? -100:
        cdef State s = self.state
        cdef OrderRow* row = &s.orders.rows[order]
        cdef OrderEvent* ev = s.begin(order)
        cdef uint64_t seq
        cdef bint is_ours = row.ord_status == OrdStatus.HELD or (row.ord_status == OrdStatus.PENDING_NEW and row.stage == Stage.QUEUED)
        ev.reason = reason
        if not s.begin_doubt(order) and is_ours:
            ev.ord_status = OrdStatus.CANCELED
            ev.stage = Stage.STAGE_NONE
            ev.hold = Hold.HOLD_NONE
            ev.pending = Pending.PENDING_NONE
            ev.leaves_qty_e9 = 0
            return <int64_t>s.commit(Kind.CANCELED_EV, sizeof(DoneBody))
        ev.pending = Pending.PENDING_CANCEL
        seq = s.commit(Kind.PENDING_CANCEL_EV, 0)
        s.effect(OP_CANCEL, order)
        return <int64_t>seq

    def cancel_order(self, uint32_t order, int reason, int64_t wall_ns) -> int:
        """Cancel by the gateway's own will (halt, end of a group); 0 when the order is done or on its way out."""
        cdef OrderRow* row = &self.state.orders.rows[order]
        self.state.wall_ns = wall_ns
        if order >= self.state.orders.count or is_done(row.ord_status) or row.pending == Pending.PENDING_CANCEL:
            return 0
        return self._cancel_row(order, reason)

    def cancel_all(self, uint32_t account, list rows not None, int side, bytes symbol not None, bytes session not None,
                   bytes tag not None, bint keep_protective, int reason, int64_t wall_ns) -> int:
        """One `cancel_all` event, then the cancel of each of `rows` (the caller filtered them); told of when all of it is durable.

        In atomic groups of a bounded size. A crash between them leaves cancels that nobody heard of, and the asker resends.
        """
        cdef State s = self.state
        cdef AccountEvent* ev = <AccountEvent*>s.scratch
        cdef char* tail = s.scratch + sizeof(AccountEvent)
        cdef uint64_t seq
        s.wall_ns = wall_ns
        memset(s.scratch, 0, 512)
        ev.account = account
        ev.acct_seq = s.acct_seqs[account] + 1
        ev.count = <uint32_t>len(rows)
        ev.side = side
        ev.keep = keep_protective
        ev.symbol_size = <uint16_t>len(symbol)
        ev.session_size = <uint8_t>len(session)
        ev.tag_size = <uint8_t>len(tag)
        memcpy(tail, <const char*>symbol, len(symbol))
        memcpy(tail + len(symbol), <const char*>session, len(session))
        memcpy(tail + len(symbol) + len(session), <const char*>tag, len(tag))
        s.grouped, s.is_deferring = 1 if rows else 0, True
        seq = s.emit(Kind.CANCEL_ALL_EV, sizeof(AccountEvent) + len(symbol) + len(session) + len(tag))
        for i, row in enumerate(rows):
            s.grouped = i + 1 < len(rows) and (i + 1) % GROUP_ROWS_MAX != 0
            self._cancel_row(row, reason)
        s.grouped = 0
        s.told_together(seq)
        settle(s)
        return <int64_t>seq

    # --- replace -------------------------------------------------------------------------------------------------

    def replace(self, uint32_t account, object req not None, int64_t deadline_ns, int64_t wall_ns, int64_t mono_ns) -> int:
        """New terms under revision `req.rev`: in force at once while the order is still ours, else asked of the broker."""
        cdef Terms terms
        cdef uint64_t content = 0
        cdef int code
        self.state.wall_ns = wall_ns
        code = self._revise(account, req, deadline_ns, mono_ns, False, &terms, &content)
        if code > 0:
            return 0
        return code if code else self._replace_row(<uint32_t>self.order, &terms, req.rev, content)

    cdef int _revise(self, uint32_t account, object req, int64_t deadline_ns, int64_t mono_ns, bint dry, Terms* terms,
                     uint64_t* content) except -100:
        """Whether revision `req.rev` may be asked for: 0 yes, 2 it was answered before (`dup_seq`), else a Refusal."""
        cdef int64_t order = self._find(account, req.cl_ord_id)
        cdef OrderRow* row
        cdef bint is_moved
        cdef int64_t share_e9
        cdef int code
        if order < 0:
            return self._refuse(Refusal.UNKNOWN_ORDER, "cl_ord_id", f"no order {req.cl_ord_id} in this account")
        row = &self.state.orders.rows[order]
        terms[0] = row.terms
        if row.open_asks:                                # pipelined: builds on what was asked last
            terms.order_qty_e9, terms.px_e9, terms.stop_px_e9 = row.ask_qty_e9, row.ask_px_e9, row.ask_stop_px_e9
            terms.tif, terms.expire_ns, terms.whole_qty_e9 = row.ask_tif, row.ask_expire_ns, row.ask_whole_qty_e9
        code = self._changes(req, terms)
        if code:
            return code
        content[0] = self._change_content(req)
        answered = self.state.revisions.get((order, req.rev))
        if answered is not None and answered[1] == content[0]:
            self.dup_seq = answered[0]
            return 2
        if is_done(row.ord_status):
            return self._refuse(Refusal.ORDER_DONE, "cl_ord_id", f"order {req.cl_ord_id} is done")
        if row.pending == Pending.PENDING_CANCEL:
            return self._refuse(Refusal.ORDER_CLOSING, "cl_ord_id", "a cancel of the order was asked before")
        if row.stage == Stage.IN_DOUBT or order in self.state.suspects:
            return self._refuse(Refusal.ORDER_IN_DOUBT, "cl_ord_id", "the order may or may not be at the broker; cancel it or wait")
        if req.rev != row.ask_rev + 1 or req.rev > REV_MAX:
            return self._refuse(Refusal.REV_CONFLICT, "rev", f"the next revision is {row.ask_rev + 1}, at most {REV_MAX}")
        if row.open_asks and req.rev - first_asked(row) >= OPEN_ASKS_MAX:
            return self._refuse(Refusal.BUSY, "rev", f"{OPEN_ASKS_MAX} revisions wait for the broker's answer")
        if (req.tif is not None or req.expire_ns is not None) and row.was_sent:
            return self._refuse(Refusal.UNSUPPORTED, "tif", "this broker cannot change when a working order ends: cancel it and place another")
        if deadline_ns and self.state.wall_ns > deadline_ns:
            return self._refuse(Refusal.DEADLINE_PASSED, "deadline_ns", "the deadline had passed when the request was applied")
        if terms.order_qty_e9 <= row.cum_qty_e9:
            return self._refuse(Refusal.BAD_FIELD, "qty", "qty is the new total and must exceed what is filled")
        is_moved = terms.at_ns != row.terms.at_ns or terms.after_ns != row.terms.after_ns
        if is_moved and row.ord_status != OrdStatus.HELD:
            return self._refuse(Refusal.UNSUPPORTED, member_of(terms), "the order has fired: its time is over")
        is_moved = is_moved or terms.stop_px_e9 != row.terms.stop_px_e9
        if is_held(row) and is_moved and not terms.fire_through and self._through(terms, row.live_ns, mono_ns):
            return self._refuse(Refusal.TRIGGER_THROUGH, member_of(terms), "the condition is already true there")
        if row.is_trailing and terms.stop_px_e9 != row.terms.stop_px_e9:
            return self._refuse(Refusal.BAD_FIELD, "trigger.stop_px", "the stop trails already: its activation price lies behind it")
        if terms.trigger == TriggerKind.TRAIL and row.ord_status == OrdStatus.HELD and not self._has_trail_room(terms):
            return self._refuse(Refusal.BUSY, "trigger.trail", "too many different trails on the instrument; use a distance that others have")
        code = self._grid(terms)
        if code == 0 and (row.terms.parent or row.terms.group):
            code = revise(self, <uint32_t>order, terms)
            if code == 0 and req.qty is not None and row.hold != Hold.HOLD_PARENT:
                share_e9 = share_of(self.state, <uint32_t>order, terms.whole_qty_e9)
                terms.order_qty_e9 = share_e9 if share_e9 else terms.order_qty_e9
        return code if code else self._check(account, terms, row, mono_ns, dry)

    cdef int64_t _replace_row(self, uint32_t order, Terms* t, uint32_t rev, uint64_t content) except? -100:
        cdef State s = self.state
        cdef OrderRow* row = &s.orders.rows[order]
        cdef bint ours = row.ord_status == OrdStatus.HELD or (row.ord_status == OrdStatus.PENDING_NEW and row.stage == Stage.QUEUED)
        cdef OrderEvent* ev = s.begin(order)
        cdef ReplaceBody* body = <ReplaceBody*>s.body()
        cdef uint64_t seq
        body.terms = t[0]
        body.ref_px_e9 = self.verdict.ref_px_e9
        body.content_hash = content
        body.ask_rev = rev
        if ours:
            ev.rev = rev
            ev.leaves_qty_e9 = t.order_qty_e9 - row.cum_qty_e9
            return <int64_t>s.commit_replaced(order)
        ev.pending = Pending.PENDING_REPLACE
        seq = s.commit(Kind.PENDING_REPLACE_EV, sizeof(ReplaceBody))
        s.effect(OP_REPLACE, order)
        return <int64_t>seq
