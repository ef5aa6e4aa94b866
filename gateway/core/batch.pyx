"""A batch: all of its items or none (order-api section 5), in one atomic group of records.

Each item is checked with the exposure of the items before it held at the gate; then all of that is undone to the last bit, and
only when every item passed are the records written. So a batch never passes what its items one by one would not, and a
refused one leaves nothing behind.
"""
from libc.stdint cimport int64_t, uint64_t, uint32_t
from libc.string cimport memset
from libcpp.vector cimport vector
from hotpath.checks cimport PairRow
from hotpath.enums cimport *
from hotpath.orders cimport OrderRow, is_done
from hotpath.records cimport *
from gateway.core.intake cimport Intake
from gateway.core.state cimport State
from gateway.core.terms cimport Refusal

cdef enum:
    PLACE = 0
    REPLACE = 1
    CANCEL = 2

cdef struct Prepared:                    # an item that passed
    int kind
    uint32_t order                       # not of a place: it has no row yet
    int64_t ref_px_e9
    uint64_t content
    Terms terms

cdef struct Rest:                        # an own resting price that a held item added (count 1) or took away (-1)
    uint32_t instrument
    int side
    int64_t px_e9
    int64_t count


cdef class Batch:
    """Runs batches through an intake.

    Args:
        state, intake: of the same shard.
    """

    cdef State state
    cdef Intake intake
    cdef vector[Prepared] items
    cdef vector[PairRow] pairs           # as they were
    cdef vector[Rest] rests
    cdef size_t pair_count
    cdef int64_t gross_e4
    cdef int64_t open_orders

    def __cinit__(self, State state not None, Intake intake not None):
        self.state = state
        self.intake = intake

    def run(self, uint32_t account, list items not None, bytes session not None, int64_t deadline_ns, int64_t wall_ns,
            int64_t mono_ns) -> tuple:
        """(answer, item): the sequence of the `batch` record, 0 with `dup_seq` for a repetition, or a Refusal and its item."""
        cdef int code = 0
        cdef int repeats = 0
        cdef int64_t head = 0
        self.state.wall_ns = wall_ns
        self._remember(account)
        names = set()
        at = -1
        for at, item in enumerate(items):
            if item.cl_ord_id in names:
                code = self.intake._refuse(Refusal.BAD_COMBINATION, "cl_ord_id", "one item for each order in a batch")
                break
            names.add(item.cl_ord_id)
            code = self._try(account, item, deadline_ns, mono_ns)
            if code > 0:
                head = <int64_t>self.intake.dup_seq - at - 1
                repeats += 1
                code = 0 if repeats == at + 1 and self.state.batches.get((account, head)) == len(items) else self._apart(item)
            elif code == 0 and repeats:
                code = self._apart(item)
            if code:
                break
        self._undo(account)
        self.intake.ahead.clear()
        self.intake.ahead_terms.clear()
        if code:
            return code, at
        if repeats:
            self.intake.dup_seq = head
            return 0, -1
        return self._write(account, items, session), -1

    cdef int _apart(self, object item) except 1:
        """A part of the batch was asked before, but not as this batch."""
        cdef OrderRow* row
        if type(item).__name__ == "CancelItem" and self.intake.order >= 0:
            row = &self.state.orders.rows[self.intake.order]
            if is_done(row.ord_status):
                return self.intake._refuse(Refusal.ORDER_DONE, "cl_ord_id", f"order {item.cl_ord_id} is done")
            return self.intake._refuse(Refusal.ORDER_CLOSING, "cl_ord_id", "a cancel of the order was asked before")
        if type(item).__name__ == "ReplaceItem":
            return self.intake._refuse(Refusal.REV_CONFLICT, "rev", "a part of this batch was asked before")
        return self.intake._refuse(Refusal.CL_ORD_ID_CONFLICT, "cl_ord_id", "a part of this batch was asked before")

    # --- trying ---------------------------------------------------------------------------------------------------------

    cdef int _try(self, uint32_t account, object item, int64_t deadline_ns, int64_t mono_ns) except -100:
        """Check one item and hold its exposure; 2 when it was answered before."""
        cdef Prepared p
        cdef int code
        memset(&p, 0, sizeof(p))
        kind = type(item).__name__
        if kind == "PlaceItem":
            p.kind = PLACE
            code = self.intake._admit(account, item, deadline_ns, mono_ns, False, &p.terms, &p.content)
            if code == 0 and self.state.orders.count + self.items.size() >= self.state.orders.capacity:
                code = self.intake._refuse(Refusal.BUSY, "", "the order table has no room for the whole batch")
        elif kind == "ReplaceItem":
            p.kind = REPLACE
            code = self.intake._revise(account, item, deadline_ns, mono_ns, False, &p.terms, &p.content)
        else:
            p.kind = CANCEL
            code = self._may_cancel(account, item.cl_ord_id, deadline_ns)
        if code:
            return code
        p.order = <uint32_t>self.intake.order if p.kind != PLACE else 0
        p.ref_px_e9 = self.intake.verdict.ref_px_e9
        self.items.push_back(p)
        if p.kind == PLACE:
            self.intake.ahead.append(item)
            self.intake.ahead_terms.push_back(p.terms)
        if p.kind != CANCEL:
            self._hold(account, &p)
        return 0

    cdef int _may_cancel(self, uint32_t account, str cl_ord_id, int64_t deadline_ns) except -100:
        cdef int64_t order = self.intake._find(account, cl_ord_id)
        cdef OrderRow* row
        if order < 0:
            return self.intake._refuse(Refusal.UNKNOWN_ORDER, "cl_ord_id", f"no order {cl_ord_id} in this account")
        row = &self.state.orders.rows[order]
        if row.cancel_acct_seq and (row.pending == Pending.PENDING_CANCEL or is_done(row.ord_status)):
            self.intake.dup_seq = row.cancel_acct_seq
            return 2
        if is_done(row.ord_status):
            return self.intake._refuse(Refusal.ORDER_DONE, "cl_ord_id", f"order {cl_ord_id} is done")
        if deadline_ns and self.state.wall_ns > deadline_ns:
            return self.intake._refuse(Refusal.DEADLINE_PASSED, "deadline_ns", "the deadline had passed when the request was applied")
        return 0

    cdef void _remember(self, uint32_t account) noexcept:
        self.items.clear()
        self.pairs.clear()
        self.rests.clear()
        self.pair_count = self.state.gate.pairs.size()
        self.gross_e4 = self.state.gate.accounts[account].gross_e4
        self.open_orders = self.state.gate.accounts[account].open_orders

    cdef int _hold(self, uint32_t account, const Prepared* p) except -1:
        """Hold at the gate what the item's record will."""
        cdef const Terms* t = &p.terms
        cdef OrderRow* row = &self.state.orders.rows[p.order]
        cdef PairRow* pair = self.state.gate.pair(account, t.instrument, False)
        cdef bint rests = t.ord_type == OrdType.LIMIT
        cdef int64_t old_qty_e9 = 0, old_px = 0, qty_e9 = t.order_qty_e9, px = p.ref_px_e9
        if p.kind == PLACE:
            self.state.gate.count_open(account, 1)
            if t.trigger or t.parent:
                return 0
        else:
            if row.ord_status == OrdStatus.HELD:
                return 0
            old_qty_e9, old_px = row.reserved_qty_e9, row.reserved_px_e9
            qty_e9 -= row.cum_qty_e9
            if row.ord_status != OrdStatus.PENDING_NEW or row.stage != Stage.QUEUED:
                qty_e9, px = max(qty_e9, old_qty_e9), max(px, old_px)
        if pair != NULL:
            self.pairs.push_back(pair[0])
        if self.state.gate.rereserve(account, t.instrument, t.side, old_qty_e9, old_px, qty_e9, px, t.reduce_only, rests):
            raise ValueError(f"the gate cannot hold {qty_e9} at {px}")
        if rests and old_px:
            self.rests.push_back(Rest(t.instrument, t.side, old_px, -1))
        if rests and px:
            self.rests.push_back(Rest(t.instrument, t.side, px, 1))
        return 0

    cdef void _undo(self, uint32_t account) noexcept:
        """The gate as it was: releasing would leave high-water marks that no record explains."""
        cdef uint32_t group = self.state.gate.accounts[account].group
        cdef Rest rest
        cdef PairRow pair
        while not self.rests.empty():
            rest = self.rests.back()
            self.rests.pop_back()
            if rest.count > 0:
                self.state.gate.resting.remove(group, rest.instrument, rest.side, rest.px_e9)
            else:
                self.state.gate.resting.add(group, rest.instrument, rest.side, rest.px_e9, 1)
        while not self.pairs.empty():
            pair = self.pairs.back()
            self.pairs.pop_back()
            self.state.gate.pair(account, pair.instrument, False)[0] = pair
        while self.state.gate.pairs.size() > self.pair_count:
            self.state.gate.pairs.drop_last()
        self.state.gate.accounts[account].gross_e4 = self.gross_e4
        self.state.gate.accounts[account].open_orders = self.open_orders

    # --- writing --------------------------------------------------------------------------------------------------------

    cdef int64_t _write(self, uint32_t account, list items, bytes session) except? -100:
        """The records, as one atomic group: every item passed a moment ago, on the same state."""
        cdef State s = self.state
        cdef AccountEvent* ev = <AccountEvent*>s.scratch
        cdef Prepared* p
        cdef uint64_t seq
        memset(s.scratch, 0, 512)
        ev.account = account
        ev.acct_seq = s.acct_seqs[account] + 1
        ev.count = <uint32_t>len(items)
        s.grouped = 1
        seq = s.emit(Kind.BATCH_EV, sizeof(AccountEvent))
        for at, item in enumerate(items):
            s.grouped = at + 1 < len(items)
            p = &self.items[<size_t>at]
            self.intake.verdict.ref_px_e9 = p.ref_px_e9
            if p.kind == PLACE:
                self.intake._accept(account, item, &p.terms, p.content, session)
            elif p.kind == REPLACE:
                self.intake._replace_row(p.order, &p.terms, item.rev, p.content)
            else:
                self.intake._cancel_row(p.order, Reason.REQUEST)
        s.grouped = 0
        return <int64_t>seq
