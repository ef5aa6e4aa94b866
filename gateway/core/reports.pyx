"""What brokers say: each word becomes a record, or is kept and alarmed when the order's life does not allow it.

The adapter reports; this decides. A report may come twice, late, out of order or never (brokers.md section 8), so each call looks at
the order first. Calls return the record's sequence, 0 when the report is old news, -1 when it does not fit: then the raw text is
journalled as an anomaly, counted in `anomalies`, and the caller asks the broker for the order's state.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint64_t, uint32_t, uint8_t, uint16_t
from libc.string cimport memcpy, memset
from brokers.ids cimport encode_id
from hotpath.enums cimport *
from hotpath.orders cimport EARLY_MAX, FIRST_REV, OrderRow, first_asked, is_allowed, is_asked, is_done
from hotpath.records cimport *
from hotpath.checks cimport PairRow
from hotpath.plants cimport (
    CHANGE_WITHOUT_A_RECORD, CHECK_KILL_AT_ADMISSION_ONLY, COUNT_REPEATED_FILL_TWICE, IGNORE_FILL_AFTER_CANCEL, LATE_FILL_IS_NOT_LATE, is_planted,
)
from hotpath.ticket cimport Ticket
from gateway.core.recorder cimport OP_SUBMIT
from gateway.core.shares cimport excess_after, spared_qty, tell_excess
from gateway.core.state cimport State


cdef bytes clip(bytes text, int most):
    """At most so many bytes, cut between characters; what is not UTF-8 is left out, because events are JSON."""
    return text[:most].decode("utf-8", "ignore").encode()


cdef class Reports:
    """The broker side of the core.

    Args:
        state: the shard's state.
    """

    cdef State state
    cdef readonly uint64_t anomalies
    cdef readonly uint64_t repeats

    def __cinit__(self, State state not None):
        self.state = state

    cdef OrderRow* _row(self, uint32_t order) except NULL:
        if order >= self.state.orders.count:
            raise ValueError(f"order row {order} does not exist")
        return &self.state.orders.rows[order]

    def anomaly(self, bytes cause not None, bytes raw not None, int64_t wall_ns) -> int:
        """Keep what a broker said and no order may take: journalled raw, counted."""
        cdef State s = self.state
        cdef TextBody* body = <TextBody*>s.scratch
        cdef bytes text = clip(raw, TEXT_MAX)
        s.wall_ns = wall_ns
        self.anomalies += 1
        memset(s.scratch, 0, 512)
        body.code_size = <uint16_t>len(cause)
        body.text_size = <uint16_t>len(text)
        memcpy(s.scratch + sizeof(TextBody), <const char*>cause, len(cause))
        memcpy(s.scratch + sizeof(TextBody) + len(cause), <const char*>text, len(text))
        s.emit(Kind.BROKER_ANOMALY, sizeof(TextBody) + len(cause) + len(text))
        return -1

    cdef int64_t _texts(self, int kind, int64_t since_ns, bytes code, bytes broker_code, bytes text) except 0:
        cdef TextBody* body = <TextBody*>self.state.body()
        cdef char* tail = <char*>body + sizeof(TextBody)
        broker_code = clip(broker_code, 64)
        text = clip(text, TEXT_MAX)
        body.since_ns = since_ns
        body.code_size = <uint16_t>len(code)
        body.broker_code_size = <uint16_t>len(broker_code)
        body.text_size = <uint16_t>len(text)
        memcpy(tail, <const char*>code, len(code))
        memcpy(tail + len(code), <const char*>broker_code, len(broker_code))
        memcpy(tail + len(code) + len(broker_code), <const char*>text, len(text))
        return <int64_t>self.state.commit(kind, sizeof(TextBody) + len(code) + len(broker_code) + len(text))

    # --- the hand-over -------------------------------------------------------------------------------------------

    def ready(self, uint32_t order, int64_t mono_ns):
        """The ticket of an order that may go now; None when it is no longer queued; False when a kill switch touches it.

        The last gate beside the write: between an order's acceptance and its durability a kill may have come (I10).
        """
        cdef OrderRow* row = self._row(order)
        if row.ord_status != OrdStatus.PENDING_NEW or row.stage != Stage.QUEUED:
            return None
        if (
            self.state.gate.global_halt
            or self.state.gate.instrument_halts[row.terms.instrument]
            or self.state.gate.accounts[row.account].halt_level
        ) and not (row.triggered and row.terms.reduce_only) and not is_planted(CHECK_KILL_AT_ADMISSION_ONLY):
            return False
        return self.ticket(order, mono_ns)

    def fit(self, uint32_t order, int64_t wall_ns) -> bool:
        """Cut a reduce-only order that waited to what its position has left; False when that is nothing, and it has ended."""
        cdef State s = self.state
        cdef OrderRow* row = self._row(order)
        cdef OrderEvent* ev
        cdef ReplaceBody* body
        cdef int64_t lot = s.quotes.rows[row.terms.instrument].lot_e9
        cdef PairRow* pair = s.gate.pair(row.account, row.terms.instrument, False)
        cdef bint is_buy = row.terms.side == Side.BUY
        cdef int64_t room = 0
        s.wall_ns = wall_ns
        if pair != NULL:                                # what the position has, less other orders that are bound to reduce it
            room = (-pair.pos_qty_e9 if is_buy else pair.pos_qty_e9) + row.reserved_qty_e9
            room += spared_qty(s, order) - (pair.open_reduce_buy_qty_e9 if is_buy else pair.open_reduce_sell_qty_e9)
        if room >= row.terms.order_qty_e9:
            return True
        room -= room % lot
        if room <= 0:
            self._done(order, Kind.CANCELED_EV, OrdStatus.CANCELED, Reason.FLAT, 0)
            return False
        ev = s.begin(order)
        body = <ReplaceBody*>s.body()
        body.terms = row.terms
        body.terms.order_qty_e9 = room
        body.ref_px_e9 = row.ref_px_e9
        body.ask_rev = row.rev
        ev.leaves_qty_e9 = room
        s.commit_replaced(order)
        return True

    def ticket(self, uint32_t order, int64_t mono_ns, bint replace=False) -> Ticket:
        """The instruction for the adapter, from the terms in force (or asked for, with `replace`).

        A market order with a collar goes out as a limit order that far beyond the reference price, on the tick.
        """
        cdef State s = self.state
        cdef OrderRow* row = self._row(order)
        cdef Ticket t = Ticket.__new__(Ticket)
        cdef char name[24]
        cdef uint32_t rev = row.ask_rev if replace else (row.broker_rev if row.was_sent else FIRST_REV)
        cdef int64_t px = row.ask_px_e9 if replace else row.terms.px_e9
        encode_id(name, s.shard, s.history_tag, order, rev)
        t.order = order
        t.rev = rev
        t.broker_cl_ord_id = name[:17]
        t.orig_broker_cl_ord_id = b""
        if row.was_sent:
            encode_id(name, s.shard, s.history_tag, order, row.broker_rev)
            t.orig_broker_cl_ord_id = name[:17]
        t.broker_order_id = row.broker_order_id[: row.broker_order_id_size]
        t.symbol = s.names.symbols[row.terms.instrument].text[: s.names.symbols[row.terms.instrument].size]
        t.side = row.terms.side
        t.ord_type = row.terms.ord_type
        t.tif = row.ask_tif if replace else row.terms.tif
        t.protective = row.terms.reduce_only or row.triggered
        t.qty_e9 = row.ask_qty_e9 if replace else row.terms.order_qty_e9
        t.expire_ns = row.ask_expire_ns if replace else row.terms.expire_ns
        if row.terms.ord_type == OrdType.MARKET and row.terms.collar_bps_e9:
            px = s.quotes.collar_px(row.terms.instrument, t.side == Side.BUY, row.terms.collar_bps_e9, mono_ns)
            if px:
                t.ord_type = OrdType.LIMIT
        t.px_e9 = px
        return t

    def sent(self, uint32_t order, int64_t before_ns, int64_t after_ns) -> int:
        """Its bytes are in the kernel: exposure is possible from here.

        Args:
            before_ns, after_ns: wall clock before and after the hand-over; offsets count from when it could first go.
        """
        cdef State s = self.state
        cdef OrderRow* row = self._row(order)
        cdef OrderEvent* ev
        cdef SentBody* body
        s.wall_ns = after_ns
        if not is_allowed(row, Kind.SENT_EV):
            return 0
        ev = s.begin(order)
        body = <SentBody*>s.body()
        ev.stage = Stage.SENT
        if is_planted(CHANGE_WITHOUT_A_RECORD):
            row.live_ns = after_ns
        if row.triggered:
            body.risk_ns = max(0, before_ns - row.live_ns)       # the release was decided
        else:
            body.durable_ns = max(0, before_ns - row.live_ns)
        body.wire_ns = max(0, after_ns - row.live_ns)
        body.protective = row.terms.reduce_only
        body.id_size = 17
        encode_id(body.broker_cl_ord_id, s.shard, s.history_tag, order, FIRST_REV)
        return <int64_t>s.commit(Kind.SENT_EV, sizeof(SentBody))

    # --- words of the broker -------------------------------------------------------------------------------------

    def new(self, uint32_t order, bytes broker_order_id not None, int64_t venue_ns, bytes raw not None, int64_t wall_ns) -> int:
        """The broker has the order, working."""
        cdef State s = self.state
        cdef OrderRow* row = self._row(order)
        cdef OrderEvent* ev
        cdef NewBody* body
        s.wall_ns = wall_ns
        if not is_allowed(row, Kind.NEW_EV):
            if row.was_sent:
                self.repeats += 1
                return 0
            return self.anomaly(b"new: the order never left", raw, wall_ns)
        self._arrive(row, b"new: nobody saw the order leave", raw)
        ev = s.begin(order)
        body = <NewBody*>s.body()
        ev.ord_status = OrdStatus.NEW if row.cum_qty_e9 == 0 else OrdStatus.PARTIALLY_FILLED
        ev.stage = Stage.STAGE_NONE
        body.venue_ns = venue_ns
        body.id_size = <uint8_t>min(len(broker_order_id), BROKER_ORDER_ID_MAX)
        memcpy(body.broker_order_id, <const char*>broker_order_id, body.id_size)
        return <int64_t>s.commit(Kind.NEW_EV, sizeof(NewBody))

    def trade(self, uint32_t order, bytes exec_id not None, int64_t last_qty_e9, int64_t last_px_e9, int64_t broker_cum_qty_e9,
              int64_t fee_e4, int liquidity, int64_t venue_ns, bytes raw not None, int64_t wall_ns) -> int:
        """A fill; each `exec_id` counts once. One beyond the order's quantity is booked too: the position is real."""
        cdef State s = self.state
        cdef OrderRow* row = self._row(order)
        cdef OrderEvent* ev
        cdef TradeBody* body
        cdef bint done = is_done(row.ord_status)
        cdef int64_t pos, owed_e9, seq, excess_e9, qty_e9 = 0, px_e9 = 0
        cdef int known = s.orders.find_exec(order, exec_id, len(exec_id), &qty_e9, &px_e9)
        cdef bint early = known == -2
        s.wall_ns = wall_ns
        if len(exec_id) > EXEC_ID_MAX or last_qty_e9 <= 0 or last_px_e9 <= 0 or not self._fits(row, last_qty_e9, last_px_e9):
            return self.anomaly(b"trade: not a fill", raw, wall_ns)
        if known >= 0 and not is_planted(COUNT_REPEATED_FILL_TWICE):
            self.repeats += 1
            return 0
        if done and is_planted(IGNORE_FILL_AFTER_CANCEL):
            return 0
        self._arrive(row, b"trade: nobody saw the order leave", raw)
        if not is_allowed(row, Kind.TRADE):
            self._adopt(order, OrdStatus.NEW, 0)
        broker_cum_qty_e9 = self._stated(row, last_qty_e9, broker_cum_qty_e9, raw)
        owed_e9 = row.owed_qty_e9
        if row.cum_qty_e9 > row.terms.order_qty_e9 - last_qty_e9 and not early:
            self.anomaly(b"trade: more than the order's quantity", raw, wall_ns)
        ev = s.begin(order)
        body = <TradeBody*>s.body()
        ev.avg_px_e9 = s.orders.average_px(row, last_qty_e9, last_px_e9)
        ev.cum_qty_e9 = row.cum_qty_e9 + last_qty_e9
        ev.late = done and not is_planted(LATE_FILL_IS_NOT_LATE)
        if ev.cum_qty_e9 >= row.terms.order_qty_e9 and not early:
            ev.ord_status = OrdStatus.FILLED
            ev.leaves_qty_e9 = 0
            ev.pending = Pending.PENDING_NONE
        elif not done:
            ev.ord_status = OrdStatus.PARTIALLY_FILLED
            ev.leaves_qty_e9 = max(0, row.terms.order_qty_e9 - ev.cum_qty_e9)
        ev.stage = Stage.STAGE_NONE
        ev.hold = Hold.HOLD_NONE
        pos = self._position(row)
        body.last_qty_e9, body.last_px_e9, body.fee_e4 = last_qty_e9, last_px_e9, fee_e4
        body.pos_qty_e9 = pos + last_qty_e9 if row.terms.side == Side.BUY else pos - last_qty_e9
        body.venue_ns = venue_ns
        body.broker_cum_qty_e9 = broker_cum_qty_e9
        body.liquidity = liquidity
        body.exec_size = <uint8_t>len(exec_id)
        memcpy(body.exec_id, <const char*>exec_id, len(exec_id))
        excess_e9 = 0 if early else excess_after(s, order, last_qty_e9)
        s.grouped = early or excess_e9 > 0
        seq = <int64_t>s.commit(Kind.TRADE, sizeof(TradeBody))
        if not early:
            tell_excess(s, order, excess_e9)
            return seq
        s.grouped = 0
        self._take_back(order, exec_id, last_qty_e9, last_px_e9, max(owed_e9, row.owed_qty_e9), venue_ns, raw)
        return -1                                       # it may have ended the order there before it was broken

    def trade_canceled(self, uint32_t order, bytes exec_id not None, int64_t broker_cum_qty_e9, int64_t venue_ns,
                       bytes raw not None, int64_t wall_ns) -> int:
        """The broker broke a fill: it is taken back at its own price. An order that is done stays as it ended.

        Its fee stays booked: what becomes of it comes with the broker's cash, not with this report. A break that overtook its
        fill is remembered: when the fill comes it is told, taken back at once, and ends nothing.
        """
        cdef State s = self.state
        cdef OrderRow* row = self._row(order)
        cdef int64_t qty_e9 = 0, px_e9 = 0
        cdef int known = s.orders.find_exec(order, exec_id, len(exec_id), &qty_e9, &px_e9)
        s.wall_ns = wall_ns
        if known == 0 or known == -2:
            self.repeats += 1
            return 0
        if known < 0:
            return self._break_early(order, exec_id, venue_ns, raw)
        broker_cum_qty_e9 = self._stated(row, -qty_e9, broker_cum_qty_e9, raw)
        return self._take_back(order, exec_id, qty_e9, px_e9, max(row.owed_qty_e9, broker_cum_qty_e9 - row.cum_qty_e9 + qty_e9),
                               venue_ns, raw)

    cdef int64_t _break_early(self, uint32_t order, bytes exec_id, int64_t venue_ns, bytes raw) except 0:
        """Its fill is late, or the broker breaks what never was: remembered, and an anomaly until the fill comes."""
        cdef State s = self.state
        cdef BrokenEarlyBody* body = <BrokenEarlyBody*>s.scratch
        cdef bytes text = clip(raw, TEXT_MAX)
        if not 0 < len(exec_id) <= EXEC_ID_MAX or s.orders.early_count() >= EARLY_MAX:
            return self.anomaly(b"trade canceled: no such fill is booked", raw, s.wall_ns)
        self.anomalies += 1
        memset(s.scratch, 0, 512)
        body.venue_ns, body.order, body.text_size, body.exec_size = venue_ns, order, <uint16_t>len(text), <uint8_t>len(exec_id)
        memcpy(body.exec_id, <const char*>exec_id, len(exec_id))
        memcpy(s.scratch + sizeof(BrokenEarlyBody), <const char*>text, len(text))
        s.emit(Kind.BROKEN_EARLY, sizeof(BrokenEarlyBody) + len(text))
        return -1

    cdef int64_t _take_back(self, uint32_t order, bytes exec_id, int64_t qty_e9, int64_t px_e9, int64_t owed_e9, int64_t venue_ns,
                            bytes raw) except 0:
        cdef State s = self.state
        cdef OrderRow* row = self._row(order)
        cdef int64_t pos
        cdef OrderEvent* ev
        cdef TradeCanceledBody* body
        cdef int back = Side.SELL if row.terms.side == Side.BUY else Side.BUY
        if (qty_e9 > row.cum_qty_e9 or not is_allowed(row, Kind.TRADE_CANCELED)
                or not s.gate.can_book(row.account, row.terms.instrument, back, qty_e9, px_e9)
                or not s.gate.can_book(row.account, row.terms.instrument, row.terms.side, qty_e9, row.ref_px_e9)):
            return self.anomaly(b"trade canceled: the books cannot give it back", raw, s.wall_ns)
        ev = s.begin(order)
        body = <TradeCanceledBody*>s.body()
        ev.avg_px_e9 = s.orders.average_px(row, -qty_e9, px_e9)
        ev.cum_qty_e9 = row.cum_qty_e9 - qty_e9
        ev.late = is_done(row.ord_status)
        if not is_done(row.ord_status):
            ev.ord_status = OrdStatus.PARTIALLY_FILLED if ev.cum_qty_e9 else OrdStatus.NEW
            ev.leaves_qty_e9 = max(0, row.terms.order_qty_e9 - ev.cum_qty_e9)
        pos = self._position(row)
        body.last_qty_e9 = qty_e9
        body.last_px_e9 = px_e9
        body.pos_qty_e9 = pos - qty_e9 if row.terms.side == Side.BUY else pos + qty_e9
        body.owed_qty_e9 = owed_e9
        body.venue_ns = venue_ns
        body.exec_size = <uint8_t>len(exec_id)
        memcpy(body.exec_id, <const char*>exec_id, len(exec_id))
        return <int64_t>s.commit(Kind.TRADE_CANCELED, sizeof(TradeCanceledBody))

    cdef int64_t _position(self, const OrderRow* row) noexcept nogil:
        cdef PairRow* pair = self.state.gate.pair(row.account, row.terms.instrument, False)
        return pair.pos_qty_e9 if pair != NULL else 0

    cdef int64_t _done(self, uint32_t order, int kind, int status, int reason, int64_t broker_cum_qty_e9) except 0:
        cdef OrderEvent* ev = self.state.begin(order)
        (<DoneBody*>self.state.body()).broker_cum_qty_e9 = broker_cum_qty_e9
        ev.ord_status = status
        ev.stage = Stage.STAGE_NONE
        ev.hold = Hold.HOLD_NONE
        ev.pending = Pending.PENDING_NONE
        ev.leaves_qty_e9 = 0
        ev.reason = reason
        return <int64_t>self.state.commit(kind, sizeof(DoneBody))

    cdef int _arrive(self, const OrderRow* row, bytes cause, bytes raw) except -1:
        """A word about an order that nobody saw leave is itself remarkable, unless that is what we doubted (after a crash)."""
        if not row.was_sent and row.stage != Stage.IN_DOUBT:
            self.anomaly(cause, raw, self.state.wall_ns)
        return 0

    cdef bint _fits(self, const OrderRow* row, int64_t qty_e9, int64_t px_e9) noexcept nogil:
        """Whether the books can take the broker's number at all: a hostile one must not wrap or stop the core."""
        return (qty_e9 <= INT64_MAX - row.cum_qty_e9
                and self.state.gate.can_book(row.account, row.terms.instrument, row.terms.side, qty_e9, px_e9))

    cdef int64_t _stated(self, const OrderRow* row, int64_t last_qty_e9, int64_t broker_cum_qty_e9, bytes raw) except -1:
        """The broker's filled quantity; 0 = not stated, also when it is absurd."""
        cdef int64_t ahead = max(0, broker_cum_qty_e9) - row.cum_qty_e9 - last_qty_e9
        if ahead > 0 and not self._fits(row, ahead, row.ref_px_e9):
            self.anomaly(b"a filled quantity that no book can hold", raw, self.state.wall_ns)
            return 0
        return max(0, broker_cum_qty_e9)

    def canceled(self, uint32_t order, int64_t broker_cum_qty_e9, bytes raw not None, int64_t wall_ns) -> int:
        """Out at the broker, asked for or not; fills that it counts and we have not seen stay owed."""
        cdef OrderRow* row = self._row(order)
        cdef int reason = row.cancel_reason if row.pending == Pending.PENDING_CANCEL else Reason.BROKER
        return self._ended_there(order, Kind.CANCELED_EV, OrdStatus.CANCELED, reason, broker_cum_qty_e9, raw, wall_ns)

    def expired(self, uint32_t order, int64_t broker_cum_qty_e9, bytes raw not None, int64_t wall_ns) -> int:
        """Ended at the broker by its own terms."""
        return self._ended_there(order, Kind.EXPIRED_EV, OrdStatus.EXPIRED, Reason.TIF_END, broker_cum_qty_e9, raw, wall_ns)

    cdef int64_t _ended_there(self, uint32_t order, int kind, int status, int reason, int64_t broker_cum_qty_e9, bytes raw,
                              int64_t wall_ns) except 0x7FFFFFFF:
        cdef OrderRow* row = self._row(order)
        self.state.wall_ns = wall_ns
        if is_done(row.ord_status):
            self.repeats += 1
            return 0
        self._arrive(row, b"an end: nobody saw the order leave", raw)
        if row.ord_status == OrdStatus.HELD:
            return -1
        return self._done(order, kind, status, reason, self._stated(row, 0, broker_cum_qty_e9, raw))

    def end_here(self, uint32_t order, int reason, int64_t wall_ns) -> int:
        """Expire an order that the gateway holds or that waits in line (`tif` over, or queued too long)."""
        cdef OrderRow* row = self._row(order)
        self.state.wall_ns = wall_ns
        if not (row.ord_status == OrdStatus.HELD or (row.ord_status == OrdStatus.PENDING_NEW and row.stage == Stage.QUEUED)):
            return 0
        return self._done(order, Kind.EXPIRED_EV, OrdStatus.EXPIRED, reason, 0)

    def rejected(self, uint32_t order, bytes code not None, bytes broker_code not None, bytes text not None,
                 bytes raw not None, int64_t wall_ns) -> int:
        """Refused after acceptance: by the broker (BROKER_REJECTED), or by a check at release (its RC_ code)."""
        cdef OrderRow* row = self._row(order)
        cdef OrderEvent* ev
        self.state.wall_ns = wall_ns
        if is_done(row.ord_status):
            self.repeats += 1
            return 0
        ev = self.state.begin(order)
        ev.ord_status = OrdStatus.REJECTED
        ev.stage = Stage.STAGE_NONE
        ev.hold = Hold.HOLD_NONE
        ev.pending = Pending.PENDING_NONE
        ev.leaves_qty_e9 = 0
        return self._texts(Kind.REJECTED_EV, 0, code, broker_code, text)

    def cancel_rejected(self, uint32_t order, bytes code not None, bytes broker_code not None, bytes text not None,
                        int64_t wall_ns) -> int:
        """The cancel was refused; the order stands as it is."""
        cdef OrderRow* row = self._row(order)
        cdef OrderEvent* ev
        self.state.wall_ns = wall_ns
        if is_done(row.ord_status) or not is_allowed(row, Kind.CANCEL_REJECTED):
            self.repeats += 1
            return 0
        ev = self.state.begin(order)
        ev.pending = Pending.PENDING_REPLACE if row.open_asks else Pending.PENDING_NONE
        return self._texts(Kind.CANCEL_REJECTED, 0, code, broker_code, text)

    def replaced(self, uint32_t order, uint32_t rev, int64_t order_qty_e9, int64_t px_e9, bytes raw not None, int64_t wall_ns) -> int:
        """Revision `rev` is in force at the broker, and with it every earlier one is answered.

        A fill or the order's own `new` that overtook it does not make it old news: the order works under the new terms.
        """
        cdef State s = self.state
        cdef OrderRow* row = self._row(order)
        cdef OrderEvent* ev
        cdef ReplaceBody* body
        cdef int64_t seq
        cdef bint grows = row.ord_status == OrdStatus.FILLED and order_qty_e9 > row.cum_qty_e9 and is_asked(row, rev)
        s.wall_ns = wall_ns
        if rev <= row.rev or (is_done(row.ord_status) and not grows):
            self.repeats += 1
            return 0
        if (not is_asked(row, rev) or order_qty_e9 <= 0 or order_qty_e9 < row.cum_qty_e9
                or not self._fits(row, order_qty_e9 - row.cum_qty_e9, max(px_e9, row.ask_most_px_e9))):
            return self.anomaly(b"replaced: not what was asked", raw, wall_ns)
        if not is_allowed(row, Kind.REPLACED):
            self.anomaly(b"replaced: another report is missing or came first", raw, wall_ns)
            self._adopt(order, OrdStatus.NEW, row.cum_qty_e9 + row.owed_qty_e9)
        ev = s.begin(order)
        body = <ReplaceBody*>s.body()
        body.terms = row.terms
        body.terms.order_qty_e9 = order_qty_e9
        body.ref_px_e9 = row.ref_px_e9
        if row.terms.ord_type == OrdType.LIMIT and px_e9 > 0:
            body.terms.px_e9 = px_e9
            body.ref_px_e9 = px_e9
        if rev == row.ask_rev:
            body.terms.tif, body.terms.expire_ns, body.terms.whole_qty_e9 = row.ask_tif, row.ask_expire_ns, row.ask_whole_qty_e9
        if row.pending != Pending.PENDING_CANCEL:
            ev.pending = Pending.PENDING_REPLACE if self._asked_after(row, rev) else Pending.PENDING_NONE
        body.ask_rev = rev
        ev.rev = rev
        ev.leaves_qty_e9 = order_qty_e9 - row.cum_qty_e9
        s.grouped = ev.leaves_qty_e9 == 0
        seq = <int64_t>s.commit_replaced(order)
        if s.grouped:                                   # cut to what is filled: a replace ends nothing, the broker's truth does
            s.grouped = 0
            self._adopt(order, OrdStatus.FILLED, row.cum_qty_e9 + row.owed_qty_e9)
        return seq

    cdef bint _asked_after(self, const OrderRow* row, uint32_t rev) noexcept nogil:
        cdef uint32_t later
        for later in range(rev + 1, row.ask_rev + 1):
            if is_asked(row, later):
                return True
        return False

    def replace_rejected(self, uint32_t order, uint32_t rev, bytes code not None, bytes raw not None, int64_t wall_ns) -> int:
        """Revision `rev` was refused: the old terms stand, the number is used."""
        cdef State s = self.state
        cdef OrderRow* row = self._row(order)
        cdef OrderEvent* ev
        cdef ReplaceBody* body
        s.wall_ns = wall_ns
        if is_done(row.ord_status) or rev <= row.rev or (rev <= row.ask_rev and not is_asked(row, rev)):
            self.repeats += 1
            return 0
        if rev > row.ask_rev:
            return self.anomaly(b"replace_rejected: never asked", raw, wall_ns)
        ev = s.begin(order)
        body = <ReplaceBody*>s.body()
        body.terms = row.terms
        body.ref_px_e9 = row.ref_px_e9
        body.ask_rev = rev
        body.code_size = <uint8_t>len(code)
        memcpy(<char*>body + sizeof(ReplaceBody), <const char*>code, len(code))
        if row.pending == Pending.PENDING_REPLACE and first_asked(row) == rev and not self._asked_after(row, rev):
            ev.pending = Pending.PENDING_NONE
        return <int64_t>s.commit(Kind.REPLACE_REJECTED, sizeof(ReplaceBody) + len(code))

    # --- doubt ---------------------------------------------------------------------------------------------------

    def in_doubt(self, uint32_t order, bytes cause not None, int64_t wall_ns) -> int:
        """It may or may not be at the broker: say so, keep its reservation, and ask."""
        cdef OrderRow* row = self._row(order)
        cdef OrderEvent* ev
        self.state.wall_ns = wall_ns
        if not is_allowed(row, Kind.IN_DOUBT_EV) or row.stage == Stage.IN_DOUBT:
            return 0
        ev = self.state.begin(order)
        ev.stage = Stage.IN_DOUBT
        return self._texts(Kind.IN_DOUBT_EV, wall_ns, cause, b"", b"")

    def requeue(self, uint32_t order, bytes evidence not None, int64_t wall_ns) -> int:
        """The broker is certain that it never had the order: back in line under the same id, or held if it never fired.

        What was asked meanwhile takes effect here and now: its end, or its last revision.
        """
        cdef State s = self.state
        cdef OrderRow* row = self._row(order)
        cdef OrderEvent* ev
        cdef int64_t seq
        cdef bint is_unfired = row.terms.trigger != TriggerKind.NO_TRIGGER and not row.triggered
        s.wall_ns = wall_ns
        if not is_allowed(row, Kind.REQUEUED):
            return 0
        s.grouped = row.pending != Pending.PENDING_NONE
        ev = s.begin(order)
        ev.stage = Stage.QUEUED
        if is_unfired:
            ev.ord_status, ev.stage, ev.hold = OrdStatus.HELD, Stage.STAGE_NONE, Hold.HOLD_TRIGGER
        seq = self._texts(Kind.REQUEUED, 0, evidence, b"", b"")
        s.grouped = 0
        if row.pending == Pending.PENDING_CANCEL:
            self._done(order, Kind.CANCELED_EV, OrdStatus.CANCELED, row.cancel_reason, 0)
            return seq
        if row.open_asks:
            self._take_revision(order)
        if not is_unfired:
            s.effect(OP_SUBMIT, order)
        return seq

    cdef int _take_revision(self, uint32_t order) except -1:
        """The last terms asked for come into force without the broker, which never had the order."""
        cdef OrderRow* row = self._row(order)
        cdef OrderEvent* ev = self.state.begin(order)
        cdef ReplaceBody* body = <ReplaceBody*>self.state.body()
        body.terms = row.terms
        body.terms.order_qty_e9, body.terms.px_e9, body.terms.stop_px_e9 = row.ask_qty_e9, row.ask_px_e9, row.ask_stop_px_e9
        body.terms.tif, body.terms.expire_ns, body.terms.whole_qty_e9 = row.ask_tif, row.ask_expire_ns, row.ask_whole_qty_e9
        body.ref_px_e9 = row.ask_ref_px_e9
        body.ask_rev = row.ask_rev
        ev.rev = row.ask_rev
        ev.pending = Pending.PENDING_NONE
        ev.leaves_qty_e9 = row.ask_qty_e9 - row.cum_qty_e9
        self.state.commit_replaced(order)
        return 0

    def restate(self, uint32_t order, int status, int64_t broker_cum_qty_e9, int64_t wall_ns) -> int:
        """Adopt the broker's truth about an order whose own story does not explain it; unseen fills stay owed.

        One that we call done, or held, may work there: then it is open, with what is left of it.
        """
        cdef OrderRow* row = self._row(order)
        self.state.wall_ns = wall_ns
        if row.ord_status == OrdStatus.HELD and is_done(status):
            return 0
        if not is_done(status):
            status = OrdStatus.PARTIALLY_FILLED if row.cum_qty_e9 else OrdStatus.NEW
            if row.terms.order_qty_e9 <= row.cum_qty_e9:
                return 0
        elif is_done(row.ord_status):
            status = row.ord_status                     # which end it was is history; only quantities are corrected
        broker_cum_qty_e9 = self._stated(row, 0, broker_cum_qty_e9, b"answer to a query")
        if row.ord_status == status and row.owed_qty_e9 == max(0, broker_cum_qty_e9 - row.cum_qty_e9):
            return 0
        return self._adopt(order, status, broker_cum_qty_e9)

    cdef int64_t _adopt(self, uint32_t order, int status, int64_t broker_cum_qty_e9) except 0:
        cdef State s = self.state
        cdef OrderRow* row = self._row(order)
        cdef OrderEvent* ev = s.begin(order)
        cdef RestatedBody* body = <RestatedBody*>s.body()
        body.before_cum_qty_e9 = row.cum_qty_e9
        body.before_leaves_qty_e9 = s.orders.leaves_qty(row)
        body.before_status = row.ord_status
        body.before_stage = row.stage
        body.owed_qty_e9 = max(0, broker_cum_qty_e9 - row.cum_qty_e9)
        ev.stage = Stage.STAGE_NONE
        ev.hold = Hold.HOLD_NONE
        ev.reason = Reason.RECONCILED
        ev.ord_status = status
        if is_done(status):
            ev.leaves_qty_e9 = 0
            ev.pending = Pending.PENDING_NONE
        else:
            ev.ord_status = OrdStatus.PARTIALLY_FILLED if row.cum_qty_e9 else OrdStatus.NEW
            ev.leaves_qty_e9 = max(0, row.terms.order_qty_e9 - row.cum_qty_e9)
        return <int64_t>s.commit(Kind.RESTATED, sizeof(RestatedBody))
