"""What clients ask for: checked, decided in one call, and turned into records (order-api sections 5, 7 and 8).

A refusal changes nothing at all. Every call returns the journal sequence of the record that answers it (> 0), 0 when the request
repeats one that was answered before (`dup_seq`), or a `Refusal` (< 0).
"""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from hotpath.checks cimport CheckRequest, Decision
from hotpath.enums cimport *
from hotpath.fixed cimport PARSE_OK, PARSE_PRECISION, format_e9, parse_e9
from hotpath.orders cimport OPEN_ASKS_MAX, OrderRow, first_asked, is_done
from hotpath.plants cimport CHECK_KILL_AT_ADMISSION_ONLY, is_planted
from hotpath.records cimport *
from gateway.core.state cimport GROUP_ROWS_MAX, OP_CANCEL, OP_REPLACE, OP_SUBMIT, State, direction_of, fires_down, fires_up

cdef extern from "hotpath/src/tables.hpp" namespace "backstay" nogil:
    uint64_t hash_bytes(const char* data, size_t size, uint64_t seed)

cdef enum:
    DAY_NS = 86400000000000
    REV_MAX = 1000                       # revisions are part of the broker-side id

TIFS = {"day": 0, "gtc": 1, "opg": 2, "ioc": 3, "fok": 4, "gtd": 6, "cls": 7}
_MS_END = 9000000000000                  # milliseconds that still fit as nanoseconds
SOURCES = {"last": 0, "bid": 1, "ask": 2, "mid": 3, "mark": 4}


cdef bint _name_ok(const char* text, Py_ssize_t size) noexcept nogil:
    """1 to 36 of `A-Z a-z 0-9 . _ : -`."""
    cdef Py_ssize_t i
    cdef unsigned char c
    if size < 1 or size > 36:
        return False
    for i in range(size):
        c = <unsigned char>text[i]
        if not (48 <= c <= 58 or 65 <= c <= 90 or 97 <= c <= 122 or c == 45 or c == 46 or c == 95):
            return False
    return True


cdef class Intake:
    """The client side of the core.

    Args:
        state: the shard's state.
    """

    def __cinit__(self, State state not None):
        self.state = state
        self.day_ends = <int64_t*>calloc(state.quotes.capacity, sizeof(int64_t))
        self.sources = <uint8_t*>calloc(state.quotes.capacity, 1)
        if self.day_ends == NULL or self.sources == NULL:
            raise MemoryError("no room for what instruments default to")
        self.path = self.text = ""
        self.order = -1
        self.link_up = True

    def __dealloc__(self):
        free(self.day_ends)
        free(self.sources)

    @property
    def decision(self) -> dict:
        """The last verdict of the gate, in fixed-point integers: `risk.catalogue.explain` renders it."""
        return {
            "control": self.verdict.control, "unit": self.verdict.unit, "limit": self.verdict.limit,
            "value": self.verdict.value, "passes": self.verdict.passes, "passes_unit": self.verdict.passes_unit,
            "scope": self.verdict.scope, "ref_px_e9": self.verdict.ref_px_e9, "tokens_left": self.verdict.tokens_left,
        }

    def set_day_end(self, uint32_t instrument, int64_t wall_ns) -> None:
        """When `day` orders of the instrument end."""
        self.day_ends[instrument] = wall_ns

    cdef int64_t _day_end(self, uint32_t instrument) noexcept:
        """End of the day that is on; one that has passed moves by whole days until somebody sets the next."""
        cdef int64_t end = self.day_ends[instrument]
        if 0 < end <= self.state.wall_ns:
            end += ((self.state.wall_ns - end) // DAY_NS + 1) * DAY_NS
        return end

    def set_source(self, uint32_t instrument, str source not None) -> None:
        """What a trigger of the instrument watches when it does not say; empty: by asset class (order-api section 8)."""
        self.sources[instrument] = SOURCES[source] + 1 if source else 0

    cdef int _refuse(self, int code, str path, str text) except 1:
        self.path = path
        self.text = text
        return code

    cdef int _decimal(self, object text, str path, int64_t* out) except 1:
        """A positive decimal string; the reason of a refusal names the member."""
        cdef Py_ssize_t size = 0
        cdef const char* data = PyUnicode_AsUTF8AndSize(text, &size)
        cdef int code = parse_e9(data, size, out)
        if code != PARSE_OK:
            if code == PARSE_PRECISION:
                return self._refuse(Refusal.BAD_DECIMAL, path, f"{path} has more than nine digits after the point")
            return self._refuse(Refusal.BAD_DECIMAL, path, f"{path} must be a decimal string below 9200000000, like \"187.20\"")
        if out[0] <= 0:
            return self._refuse(Refusal.BAD_FIELD, path, f"{path} must be above zero")
        return 0

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
        if not _name_ok(name, size):
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
        return self._live(terms, account, mono_ns, dry)

    cdef int _live(self, const Terms* t, uint32_t account, int64_t mono_ns, bint dry) except 1:
        """The checks that need the present: grid, market, link, table, gate."""
        cdef int code = self._grid(t)
        if code:
            return code
        if t.expire_ns and t.expire_ns <= self.state.wall_ns:
            return self._refuse(Refusal.BAD_FIELD, "expire_ns", "expire_ns lies in the past")
        if t.trigger and not t.fire_through and self._through(t, mono_ns):
            return self._refuse(Refusal.TRIGGER_THROUGH, "trigger.stop_px", "the condition is already true; set if_through to fire, or move stop_px")
        if t.max_queue_ns == 0 and not t.trigger and not self.link_up:
            return self._refuse(Refusal.LINK_DOWN, "", "the broker link is down and the order may not wait (max_queue_ms 0)")
        if self.state.orders.count >= self.state.orders.capacity:
            return self._refuse(Refusal.BUSY, "", "the order table is full; an operator must raise capacity.orders and restart")
        return self._check(account, t, NULL, mono_ns, dry)

    cdef int _terms(self, object req, Terms* t) except 1:
        cdef int code
        cdef object px = req.px
        memset(t, 0, sizeof(Terms))
        row = self.state.quotes.index_of.get(req.symbol)
        if row is None:
            return self._refuse(Refusal.UNKNOWN_SYMBOL, "symbol", f"symbol {req.symbol} is not listed; see /v1/instruments")
        t.instrument = row
        t.side = Side.BUY if req.side == "buy" else Side.SELL
        t.ord_type = OrdType.MARKET if req.ord_type == "market" else OrdType.LIMIT
        code = self._decimal(req.qty, "qty", &t.order_qty_e9)
        if code:
            return code
        if px is not None:
            code = self._decimal(px, "px", &t.px_e9)
            if code:
                return code
        if (t.ord_type == OrdType.LIMIT) != (px is not None):
            return self._refuse(Refusal.BAD_COMBINATION, "px", "a limit order needs px, a market order has none")
        t.tif = TIFS[req.tif]
        t.extended = req.hours == "extended"
        t.reduce_only = req.reduce_only
        if req.stp is not None:
            if req.stp != "cancel_new" and req.stp != "allow":
                return self._refuse(Refusal.UNSUPPORTED, "stp", "stp supports cancel_new and allow")
            t.stp = Stp.ALLOW if req.stp == "allow" else Stp.CANCEL_NEW
        code = self._unsupported(req, t)
        if code:
            return code
        if req.trigger is not None:
            code = self._trigger(req.trigger, t)
            if code:
                return code
        if req.collar_bps is not None:
            if t.ord_type == OrdType.LIMIT:
                return self._refuse(Refusal.BAD_COMBINATION, "collar_bps", "collar_bps belongs to a market order")
            code = self._decimal(req.collar_bps, "collar_bps", &t.collar_bps_e9)
            if code:
                return code
        if req.max_queue_ms is not None:
            if req.max_queue_ms >= _MS_END:
                return self._refuse(Refusal.BAD_FIELD, "max_queue_ms", "max_queue_ms is too far away")
            t.max_queue_ns = <int64_t>req.max_queue_ms * 1000000
        elif t.reduce_only:
            t.max_queue_ns = -1
        elif t.ord_type == OrdType.MARKET or t.tif == Tif.IOC or t.tif == Tif.FOK:
            t.max_queue_ns = 0
        else:
            t.max_queue_ns = 60000000000
        return 0

    cdef int _unsupported(self, object req, Terms* t) except 1:
        if t.tif == Tif.OPG or t.tif == Tif.CLS:
            return self._refuse(Refusal.UNSUPPORTED, "tif", "this broker has no opening or closing auction")
        if (t.tif == Tif.GTD) != (req.expire_ns is not None):
            return self._refuse(Refusal.BAD_COMBINATION, "expire_ns", "tif gtd needs expire_ns, and only gtd has it")
        if t.tif == Tif.GTD:
            t.expire_ns = req.expire_ns
        if req.tag is not None and len(req.tag.encode()) > 64:
            return self._refuse(Refusal.BAD_FIELD, "tag", "tag is at most 64 bytes of UTF-8")
        if req.signal is not None and not _name_ok(req.signal.encode(), len(req.signal.encode())):
            return self._refuse(Refusal.BAD_FIELD, "signal", "signal must be 1 to 36 of A-Z a-z 0-9 . _ : -")
        if req.after is not None:
            return self._refuse(Refusal.UNSUPPORTED, "after", "orders that wait for a parent are not supported here")
        if req.oco is not None:
            return self._refuse(Refusal.UNSUPPORTED, "oco", "oco groups are not supported here")
        if req.post_only:
            return self._refuse(Refusal.UNSUPPORTED, "post_only", "this broker has no post-only orders")
        if req.display_qty is not None:
            return self._refuse(Refusal.UNSUPPORTED, "display_qty", "this broker has no iceberg orders")
        return 0

    cdef int _trigger(self, object trigger, Terms* t) except 1:
        """A condition that the gateway holds: kinds stop and touch."""
        cdef int code
        if trigger.kind == "stop":
            t.trigger = TriggerKind.STOP
        elif trigger.kind == "touch":
            t.trigger = TriggerKind.TOUCH
        else:
            return self._refuse(Refusal.UNSUPPORTED, "trigger.kind", "trigger kinds here are stop and touch")
        if trigger.stop_px is None:
            return self._refuse(Refusal.BAD_COMBINATION, "trigger.stop_px", f"a {trigger.kind} needs stop_px")
        code = self._decimal(trigger.stop_px, "trigger.stop_px", &t.stop_px_e9)
        if code:
            return code
        for name in ("trail", "limit_offset", "at_ns", "after_ms", "breakeven", "backstop_bps", "policy"):
            if getattr(trigger, name) is not None:
                return self._refuse(Refusal.UNSUPPORTED, f"trigger.{name}", f"trigger.{name} is not supported here")
        if trigger.confirm is not None and (trigger.confirm.ms is not None or trigger.confirm.ticks != 1):
            return self._refuse(Refusal.UNSUPPORTED, "trigger.confirm", "confirmation by one tick is supported here")
        if trigger.placement is not None and trigger.placement != "gateway":
            return self._refuse(Refusal.UNSUPPORTED, "trigger.placement", "this broker has no native stops; placement is gateway")
        if trigger.source is not None:
            if trigger.source == "mark":
                return self._refuse(Refusal.UNSUPPORTED, "trigger.source", "no mark price here; use last, bid, ask or mid")
            t.source = SOURCES[trigger.source]
        elif self.sources[t.instrument]:
            t.source = self.sources[t.instrument] - 1
        elif self.state.quotes.rows[t.instrument].asset_class == 0:
            t.source = PriceSource.LAST
        else:
            t.source = PriceSource.BID if t.side == Side.SELL else PriceSource.ASK
        t.fire_through = trigger.if_through == "fire"
        t.rearm_missed = trigger.on_missed == "rearm"
        if trigger.max_age_ms is not None:
            if trigger.max_age_ms >= _MS_END:
                return self._refuse(Refusal.BAD_FIELD, "trigger.max_age_ms", "trigger.max_age_ms is too far away")
            t.max_age_ns = <int64_t>trigger.max_age_ms * 1000000
            if t.max_age_ns < self.state.quotes.rows[t.instrument].max_age_ns:
                return self._refuse(Refusal.UNSUPPORTED, "trigger.max_age_ms", "the age limit here is the instrument's; see /v1/instruments")
        return 0

    cdef int _move_trigger(self, object trigger, Terms* t) except 1:
        """A replace moves the stop; whatever else it says about the trigger must be as it is."""
        cdef Terms asked = t[0]
        cdef int code = self._trigger(trigger, &asked)
        if code:
            return code
        if (asked.trigger != t.trigger or (trigger.source is not None and asked.source != t.source)
                or (trigger.max_age_ms is not None and asked.max_age_ns != t.max_age_ns)
                or (asked.fire_through and not t.fire_through) or (asked.rearm_missed and not t.rearm_missed)):
            return self._refuse(Refusal.UNSUPPORTED, "trigger", "a replace can change trigger.stop_px only")
        t.stop_px_e9 = asked.stop_px_e9
        return 0

    cdef int _grid(self, const Terms* t) except 1:
        """Prices on the tick, quantity on the lot; the text gives the nearest value below."""
        cdef int64_t tick = self.state.quotes.rows[t.instrument].tick_e9
        cdef int64_t lot = self.state.quotes.rows[t.instrument].lot_e9
        cdef int64_t least = self.state.quotes.rows[t.instrument].min_qty_e9
        if t.order_qty_e9 % lot or t.order_qty_e9 < least:
            return self._nearest(Refusal.BAD_LOT, "qty", max(least, t.order_qty_e9 - t.order_qty_e9 % lot))
        if t.px_e9 % tick:
            return self._nearest(Refusal.BAD_TICK, "px", t.px_e9 - t.px_e9 % tick)
        if t.stop_px_e9 % tick:
            return self._nearest(Refusal.BAD_TICK, "trigger.stop_px", t.stop_px_e9 - t.stop_px_e9 % tick)
        return 0

    cdef int _nearest(self, int code, str path, int64_t value_e9) except 1:
        cdef char out[32]
        cdef int n = format_e9(value_e9, out)
        return self._refuse(code, path, out[:n].decode())

    cdef bint _through(self, const Terms* t, int64_t mono_ns) noexcept nogil:
        cdef int64_t px = self.state.quotes.trigger_px(t.instrument, t.source, mono_ns)
        if direction_of(t) == Direction.DOWN:
            return 0 < px <= t.stop_px_e9 or fires_down(self.state, t.instrument, t.source, t.stop_px_e9)
        return 0 < px and px >= t.stop_px_e9 or fires_up(self.state, t.instrument, t.source, t.stop_px_e9)

    cdef int _check(self, uint32_t account, const Terms* t, const OrderRow* old, int64_t mono_ns, bint dry,
                    bint release=False) except 1:
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
        rq.ord_type = t.ord_type
        rq.reduce_only = t.reduce_only
        rq.stp = t.stp
        rq.is_held = t.trigger != 0 and (old == NULL or old.ord_status == OrdStatus.HELD)
        rq.is_dry = dry
        rq.is_release = release
        if self.state.gate.check(&rq, &self.verdict) != 0:
            return self._refuse(Refusal.CONTROL, "", "")
        return 0

    cdef uint64_t _content(self, const Terms* t, object req) except? 0:
        cdef uint64_t h = hash_bytes(<const char*>t, sizeof(Terms), 7)
        for text in (req.tag, req.signal):
            encoded = (text or "").encode()
            h = hash_bytes(<const char*>encoded, len(encoded), h)
        return h | 1

    def recheck(self, uint32_t order, int64_t wall_ns, int64_t mono_ns) -> int:
        """The whole chain again for an order that waited and goes out now; 0 or the control that refuses (`decision`)."""
        cdef OrderRow* row = &self.state.orders.rows[order]
        self._check(row.account, &row.terms, row, mono_ns, False, True)
        return self.verdict.control

    def is_killed(self, uint32_t order, int64_t mono_ns) -> bool:
        """Whether a kill switch forbids the revision that was last asked for."""
        cdef OrderRow* row = &self.state.orders.rows[order]
        cdef Terms t = row.terms
        t.order_qty_e9, t.px_e9 = row.ask_qty_e9, row.ask_px_e9
        self._check(row.account, &t, row, mono_ns, True)
        return self.verdict.control == Control.KILL_GATE and not is_planted(CHECK_KILL_AT_ADMISSION_ONLY)

    cdef int64_t _accept(self, uint32_t account, object req, Terms* t, uint64_t content, bytes session) except? -100:
        cdef State s = self.state
        cdef OrderEvent* ev = <OrderEvent*>s.scratch
        cdef AcceptedBody* body = <AcceptedBody*>s.body()
        cdef char* tail = <char*>body + sizeof(AcceptedBody)
        cdef bytes tag = req.tag.encode() if req.tag is not None else b""
        cdef bytes signal = req.signal.encode() if req.signal is not None else b""
        cdef Py_ssize_t size = 0
        cdef const char* name = PyUnicode_AsUTF8AndSize(req.cl_ord_id, &size)
        cdef uint32_t order = s.orders.count
        cdef uint64_t seq
        if t.tif == Tif.DAY:
            t.expire_ns = self._day_end(t.instrument)
        memset(s.scratch, 0, sizeof(OrderEvent) + sizeof(AcceptedBody))
        ev.account = account
        ev.order = order
        ev.acct_seq = s.acct_seqs[account] + 1
        ev.leaves_qty_e9 = t.order_qty_e9
        ev.rev = 1
        ev.ord_status = OrdStatus.HELD if t.trigger else OrdStatus.PENDING_NEW
        ev.stage = Stage.STAGE_NONE if t.trigger else Stage.QUEUED
        ev.hold = Hold.HOLD_TRIGGER if t.trigger else Hold.HOLD_NONE
        ev.cl_size = <uint8_t>size
        memcpy(ev.cl_ord_id, name, size)
        body.terms = t[0]
        body.ref_px_e9 = self.verdict.ref_px_e9
        body.content_hash = content
        body.session_size = <uint8_t>len(session)
        body.tag_size = <uint8_t>len(tag)
        body.signal_size = <uint8_t>len(signal)
        memcpy(tail, <const char*>session, len(session))
        memcpy(tail + len(session), <const char*>tag, len(tag))
        memcpy(tail + len(session) + len(tag), <const char*>signal, len(signal))
        seq = s.commit(Kind.ACCEPTED, sizeof(AcceptedBody) + len(session) + len(tag) + len(signal))
        self.order = order
        if not t.trigger:
            s.effect(OP_SUBMIT, order)
        return <int64_t>seq

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
        s.grouped = 1 if rows else 0
        seq = s.emit(Kind.CANCEL_ALL_EV, sizeof(AccountEvent) + len(symbol) + len(session) + len(tag))
        for i, row in enumerate(rows):
            s.grouped = i + 1 < len(rows) and (i + 1) % GROUP_ROWS_MAX != 0
            self._cancel_row(row, reason)
        s.grouped = 0
        s.told_together(seq)
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
        cdef int code
        if order < 0:
            return self._refuse(Refusal.UNKNOWN_ORDER, "cl_ord_id", f"no order {req.cl_ord_id} in this account")
        row = &self.state.orders.rows[order]
        terms[0] = row.terms
        if row.open_asks:                                # pipelined: builds on what was asked last
            terms.order_qty_e9, terms.px_e9, terms.stop_px_e9 = row.ask_qty_e9, row.ask_px_e9, row.ask_stop_px_e9
            terms.tif, terms.expire_ns = row.ask_tif, row.ask_expire_ns
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
        if (row.ord_status == OrdStatus.HELD and terms.stop_px_e9 != row.terms.stop_px_e9 and not terms.fire_through
                and self._through(terms, mono_ns)):
            return self._refuse(Refusal.TRIGGER_THROUGH, "trigger.stop_px", "the condition is already true there")
        code = self._grid(terms)
        return code if code else self._check(account, terms, row, mono_ns, dry)

    cdef int _changes(self, object req, Terms* t) except 1:
        cdef int code = 0
        if req.display_qty is not None:
            return self._refuse(Refusal.UNSUPPORTED, "display_qty", "this broker has no iceberg orders")
        if req.qty is not None:
            code = self._decimal(req.qty, "qty", &t.order_qty_e9)
        if code == 0 and req.px is not None:
            if t.ord_type == OrdType.MARKET:
                return self._refuse(Refusal.BAD_COMBINATION, "px", "a market order has no px")
            code = self._decimal(req.px, "px", &t.px_e9)
        if code == 0 and req.trigger is not None:
            if not t.trigger:
                return self._refuse(Refusal.BAD_COMBINATION, "trigger", "the order has no trigger")
            code = self._move_trigger(req.trigger, t)
        if code == 0 and req.tif is not None:
            t.tif = TIFS[req.tif]
            if (t.tif == Tif.GTD) != (req.expire_ns is not None):
                return self._refuse(Refusal.BAD_COMBINATION, "expire_ns", "tif gtd needs expire_ns, and only gtd has it")
            if t.tif not in (Tif.DAY, Tif.GTC, Tif.GTD):
                return self._refuse(Refusal.UNSUPPORTED, "tif", "an order can be changed to day, gtc or gtd")
            t.expire_ns = self._day_end(t.instrument) if t.tif == Tif.DAY else 0
        if code == 0 and req.expire_ns is not None:
            if t.tif != Tif.GTD:
                return self._refuse(Refusal.BAD_COMBINATION, "expire_ns", "tif gtd needs expire_ns, and only gtd has it")
            t.expire_ns = req.expire_ns
        return code

    cdef uint64_t _change_content(self, object req) except? 0:
        cdef Terms blank
        cdef object stop = req.trigger.stop_px if req.trigger is not None else None
        memset(&blank, 0, sizeof(blank))
        for text, path in ((req.qty, 0), (req.px, 1), (stop, 2)):
            if text is not None:
                self._decimal(text, "", &blank.order_qty_e9 + <Py_ssize_t>path)
        blank.tif = TIFS[req.tif] + 1 if req.tif is not None else 0
        blank.expire_ns = req.expire_ns or 0
        return hash_bytes(<const char*>&blank, sizeof(Terms), 11) | 1

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
