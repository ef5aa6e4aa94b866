"""What the state says, for people and clients: orders, positions, headroom. Reads only."""
from libc.stdint cimport int64_t, uint32_t, uint8_t
from hotpath.checks cimport PairRow
from hotpath.enums cimport *
from hotpath.fixed cimport format_e4, format_e9
from hotpath.orders cimport OrderRow, is_done
from hotpath.records cimport Terms
from hotpath.wire cimport EVENT_MAX_BYTES, put, put_dec, put_id, put_int, put_state
from gateway.core.shares cimport rivals
from gateway.core.state cimport NO_ROW, State, is_watched


cdef enum:
    GUARD_ORDERS_MAX = 1500              # bytes of names in one `guard` event


cdef bint is_too_old(State s, const Terms* terms, int64_t age_ns) noexcept:
    """Whether an order is blind on data of that age: by the instrument's limit or its own."""
    return age_ns > s.quotes.rows[terms.instrument].max_age_ns or 0 < terms.max_age_ns < age_ns


cdef class Views:
    """Questions about a state.

    Args:
        state: the shard's state.
    """

    cdef State state

    def __cinit__(self, State state not None):
        self.state = state

    def order_json(self, uint32_t order) -> bytes:
        """The order as a snapshot states it (`OrderState`): state members and the terms in full."""
        cdef State s = self.state
        cdef OrderRow* row = &s.orders.rows[order]
        cdef char out[EVENT_MAX_BYTES]
        cdef char* p = out
        cdef uint8_t sizes[5]
        cdef bytes texts
        if order >= s.orders.count:
            raise ValueError(f"order row {order} does not exist")
        texts = s.texts_of(order, sizes)
        p = put(p, b"{")
        p = put_state(p, row.cl_ord_id, row.cl_size, order, row.rev, row.ord_status, row.stage, row.hold, row.pending,
                      row.cum_qty_e9, s.orders.leaves_qty(row), s.orders.average_px(row, 0, 0))
        p = put(p, b',"ask_rev":')
        p = put_int(p, row.ask_rev)
        p = put(p, b',"seq":')
        p = put_int(p, row.accepted_acct_seq)
        p = put(p, b',"ts_ns":')
        p = put_int(p, row.accepted_ns)
        if row.broker_order_id_size:
            p = put(p, b',"broker_order_id":')
            p = put_id(p, row.broker_order_id, row.broker_order_id_size)
        if row.told_stop_px_e9:
            p = put(p, b',"stop_px":')
            p = put_dec(p, row.told_stop_px_e9)
        p = put(p, b',"order":')
        p = s.names.put_order(p, &row.terms, texts, sizes)
        p = put(p, b"}")
        return out[: p - out]

    def order(self, uint32_t order) -> dict:
        """The order's row as plain values, for the engine's slow paths."""
        cdef State s = self.state
        cdef OrderRow* row = &s.orders.rows[order]
        if order >= s.orders.count:
            raise ValueError(f"order row {order} does not exist")
        return {
            "order": order, "account": row.account, "instrument": row.terms.instrument, "cl_ord_id": row.cl_ord_id[: row.cl_size],
            "ord_status": row.ord_status, "stage": row.stage, "hold": row.hold, "pending": row.pending, "rev": row.rev,
            "ask_rev": row.ask_rev, "broker_rev": row.broker_rev, "side": row.terms.side, "ord_type": row.terms.ord_type,
            "tif": row.terms.tif, "order_qty_e9": row.terms.order_qty_e9, "px_e9": row.terms.px_e9,
            "stop_px_e9": row.terms.stop_px_e9, "told_stop_px_e9": row.told_stop_px_e9, "source": row.terms.source, "cum_qty_e9": row.cum_qty_e9,
            "leaves_qty_e9": s.orders.leaves_qty(row), "owed_qty_e9": row.owed_qty_e9, "was_sent": bool(row.was_sent),
            "avg_px_e9": s.orders.average_px(row, 0, 0), "reserved_qty_e9": row.reserved_qty_e9,
            "reduce_only": bool(row.terms.reduce_only), "triggered": bool(row.triggered), "expire_ns": row.terms.expire_ns,
            "max_queue_ns": row.terms.max_queue_ns, "live_ns": row.live_ns, "accepted_ns": row.accepted_ns,
            "fire_through": bool(row.terms.fire_through), "accepted_acct_seq": row.accepted_acct_seq,
            "session": s.orders.texts[row.session], "tag": s.orders.texts[row.tag], "is_child": row.terms.parent != 0,
        }

    def is_tied(self, uint32_t order) -> bool:
        """Whether the order waits for another one or shares its quantity with others."""
        return self.state.links.touches(order)

    def rivals(self, uint32_t order) -> list:
        """Orders of the other camp of its group that must end before it leaves."""
        return rivals(self.state, order)

    def is_protective(self, uint32_t account, bytes cl_ord_id not None) -> bool:
        """Whether the account has an order of this name that is bound to reduce."""
        cdef int64_t order = self.state.orders.find(account, cl_ord_id, len(cl_ord_id))
        return order >= 0 and self.state.orders.rows[order].terms.reduce_only != 0

    def status(self, uint32_t order) -> tuple:
        """(ord_status, stage, pending) of an order."""
        cdef OrderRow* row = &self.state.orders.rows[order]
        return row.ord_status, row.stage, row.pending

    def rank(self, uint32_t order) -> int:
        """For what its next message leaves: a Rank. A replace counts by the larger of the terms in force and those asked."""
        cdef OrderRow* row = &self.state.orders.rows[order]
        cdef PairRow* pair = self.state.gate.pair(row.account, row.terms.instrument, False)
        cdef int64_t open_qty_e9 = row.terms.order_qty_e9 - row.cum_qty_e9
        cdef int64_t far_qty_e9 = 0                      # the position that the order works against
        cdef bint smaller = False
        if row.pending == Pending.PENDING_CANCEL:
            return Rank.CANCELS
        if row.pending == Pending.PENDING_REPLACE:
            smaller = row.ask_qty_e9 < row.terms.order_qty_e9
            open_qty_e9 = max(open_qty_e9, row.ask_qty_e9 - row.cum_qty_e9)
        if pair != NULL:
            far_qty_e9 = -pair.pos_qty_e9 if row.terms.side == Side.BUY else pair.pos_qty_e9
        if row.terms.reduce_only or (row.triggered and open_qty_e9 <= far_qty_e9):
            return Rank.EXITS
        return Rank.REDUCTIONS if smaller or open_qty_e9 <= far_qty_e9 else Rank.ENTRIES

    def is_unfinished(self, uint32_t order) -> bool:
        """Whether its broker should say more of an order soon: fills that it counts and has not told, or the end of one that
        works there and was to be done at once."""
        cdef OrderRow* row = &self.state.orders.rows[order]
        if row.owed_qty_e9 > 0:
            return True
        if row.ord_status != OrdStatus.NEW and row.ord_status != OrdStatus.PARTIALLY_FILLED:
            return False
        return row.terms.ord_type == OrdType.MARKET or row.terms.tif == Tif.IOC or row.terms.tif == Tif.FOK

    def accepted(self, uint32_t order) -> tuple:
        """(account, number of the event there that lets it out) of an order: of its `accepted`, or of what its parent brought."""
        cdef OrderRow* row = &self.state.orders.rows[order]
        return row.account, self.state.links.grown.get(order, row.accepted_acct_seq)

    def fired(self, uint32_t order) -> tuple:
        """(account, number of its `triggered` event there) of an order; 0 when nothing has fired it."""
        cdef OrderRow* row = &self.state.orders.rows[order]
        return row.account, row.fired_acct_seq

    def terms_since(self, uint32_t order) -> tuple:
        """(account, number of the event there that brought the last revision asked for) of an order; 0 when there was none."""
        cdef OrderRow* row = &self.state.orders.rows[order]
        return row.account, row.ask_acct_seq

    def cancel_since(self, uint32_t order) -> tuple:
        """(account, number of the event there that answered the cancel) of an order; 0 when none was asked for."""
        cdef OrderRow* row = &self.state.orders.rows[order]
        return row.account, row.cancel_acct_seq

    def sent_rev(self, uint32_t order) -> int:
        """Revision in force of an order that is at, or on its way to, the broker."""
        return self.state.orders.rows[order].rev

    def open_orders(self, uint32_t account) -> list:
        """Rows of the account's open orders, in order of acceptance."""
        cdef uint32_t row = self.state.open_head[account]
        found = []
        while row != NO_ROW:
            found.append(row)
            row = self.state.open_next[row]
        return found

    def select(self, uint32_t account, int64_t instrument, int side, bytes session, bytes tag, bint keep_protective) -> list:
        """Open orders that a `cancel_all` with these filters means; -1, 0 and None filter nothing."""
        cdef State s = self.state
        cdef uint32_t order = s.open_head[account]
        cdef OrderRow* row
        found = []
        while order != NO_ROW:
            row = &s.orders.rows[order]
            if (
                (instrument < 0 or row.terms.instrument == instrument)
                and (side == 0 or row.terms.side == side)
                and (session is None or s.orders.texts[row.session] == session)
                and (tag is None or s.orders.texts[row.tag] == tag)
                and not (keep_protective and row.terms.reduce_only)
                and row.pending != Pending.PENDING_CANCEL
            ):
                found.append(order)
            order = s.open_next[order]
        return found

    def unsettled(self) -> list:
        """Rows of all open orders that are, or may be, at a broker; queued ones included, held ones not."""
        cdef State s = self.state
        cdef uint32_t order
        found = []
        for account in range(len(s.account_names)):
            order = s.open_head[<uint32_t>account]
            while order != NO_ROW:
                if s.orders.rows[order].ord_status != OrdStatus.HELD:
                    found.append(order)
                order = s.open_next[order]
        return found

    def owing(self) -> list:
        """Rows of done orders of which the broker counts more than it has told, or that it may have filled beyond what we know:
        a replace had no answer when they were filled, or a fill of theirs was broken. Reads every row: for a start."""
        cdef State s = self.state
        cdef uint32_t order
        cdef OrderRow* row
        found = []
        for order in range(<uint32_t>s.orders.count):
            row = &s.orders.rows[order]
            if row.ord_status == OrdStatus.FILLED and (row.open_asks or row.cum_qty_e9 < row.terms.order_qty_e9):
                found.append(order)
            elif is_done(row.ord_status) and row.owed_qty_e9 > 0:
                found.append(order)
        return found

    def held(self) -> dict:
        """instrument row -> number of orders that rest here for a price."""
        cdef uint32_t row
        return {row: self.state.held[row] for row in range(self.state.quotes.count) if self.state.held[row]}

    def resting(self, dict instruments not None) -> dict:
        """(account, instrument) -> names of its orders that rest there for a price, joined by commas; empty when they
        do not fit one record: all of that instrument. One pass over the open orders.

        Args:
            instruments: row -> age of its data (ns); orders that fire on data of that age are left out.
        """
        cdef State s = self.state
        cdef uint32_t order, instrument
        cdef OrderRow* row
        found = {}
        for account in range(len(s.account_names)):
            order = s.open_head[<uint32_t>account]
            while order != NO_ROW:
                row = &s.orders.rows[order]
                instrument = row.terms.instrument
                if is_watched(row) and instrument in instruments and is_too_old(s, &row.terms, instruments[instrument]):
                    found.setdefault((account, instrument), []).append(row.cl_ord_id[: row.cl_size])
                order = s.open_next[order]
        texts = {key: b",".join(names) for key, names in found.items()}
        return {key: text if len(text) <= GUARD_ORDERS_MAX else b"" for key, text in texts.items()}

    def done_since(self, uint32_t account, int most, int64_t since_ns) -> list:
        """Rows of the account's done orders accepted at or after `since_ns`, newest first, at most `most`."""
        cdef State s = self.state
        cdef uint32_t order = s.order_last[account]
        found = []
        while order != NO_ROW and len(found) < most:
            if s.orders.rows[order].accepted_ns < since_ns:
                break
            if is_done(s.orders.rows[order].ord_status):
                found.append(order)
            order = s.order_before[order]
        return found

    def page(self, uint32_t account, int64_t start, int scan, int most) -> tuple:
        """(rows, next start) of the account's orders from row `start` on: at most `most`, looking at `scan` rows; -1 = the end."""
        cdef State s = self.state
        cdef int64_t order = start
        cdef int64_t stop = min(<int64_t>s.orders.count, start + scan)
        found = []
        while order < stop and len(found) < most:
            if s.orders.rows[order].account == account:
                found.append(order)
            order += 1
        return found, (order if order < <int64_t>s.orders.count else -1)

    def counts(self) -> dict:
        """Number of records of each kind since the state was built, by `hotpath.records.Kind` value."""
        cdef State s = self.state
        return {kind: s.kind_counts[kind] for kind in range(96) if s.kind_counts[kind]}

    def done(self) -> dict:
        """Orders that ended since the state was built, by (`OrdStatus`, `Reason`) value."""
        cdef State s = self.state
        return {divmod(at, 32): s.done_counts[at] for at in range(288) if s.done_counts[at]}

    def in_doubt(self) -> int:
        """Open orders of which it is not known whether the broker has them."""
        return self.state.doubts

    def positions(self, uint32_t account) -> list:
        """(instrument row, pos_qty_e9, avg_px_e9, realised_e4, mark_px_e9) of the account, in order of first use."""
        cdef Py_ssize_t i
        cdef PairRow* pair
        found = []
        for i in range(self.state.gate.pair_count()):
            pair = self.state.gate.pair_at(i)
            if pair.account == account:
                found.append((pair.instrument, pair.pos_qty_e9, pair.avg_px_e9, pair.realised_e4, pair.mark_px_e9))
        return found

    def account(self, uint32_t account) -> dict:
        """Money, exposure and limits of an account, fixed-point integers."""
        cdef State s = self.state
        return dict(s.gate.accounts[account])

    def acct_seq(self, uint32_t account) -> int:
        """Number of the account's last event."""
        return self.state.acct_seqs[account]
