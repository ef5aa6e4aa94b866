"""A batch: all of its items or none (order-api section 5), in one atomic group of records.

First each item is checked with the exposure of the items before it provisionally reserved; only when all pass are the
reservations taken back and the records written. So a batch can never pass what its items one by one would not.
"""
from libc.stdint cimport int64_t, uint64_t, uint32_t
from libc.string cimport memset
from libcpp.vector cimport vector
from hotpath.enums cimport *
from hotpath.orders cimport OrderRow, is_done
from hotpath.records cimport *
from gateway.core.intake cimport Intake, Refusal
from gateway.core.state cimport State

cdef struct Provisional:                 # what an item will hold at the gate
    uint32_t instrument
    int side
    int64_t qty_e9
    int64_t px_e9
    int reduce_only
    int resting
    int opens


cdef class Batch:
    """Runs batches through an intake.

    Args:
        state, intake: of the same shard.
    """

    cdef State state
    cdef Intake intake
    cdef vector[Provisional] held

    def __cinit__(self, State state not None, Intake intake not None):
        self.state = state
        self.intake = intake

    def run(self, uint32_t account, list items not None, bytes session not None, int64_t deadline_ns, int64_t wall_ns,
            int64_t mono_ns) -> tuple:
        """(answer, item): the sequence of the `batch` record, 0 with `dup_seq` for a repetition, or a Refusal and its item."""
        cdef int code = 0
        cdef int repeats = 0
        cdef uint64_t first = 0
        self.state.wall_ns = wall_ns
        self.held.clear()
        names = set()
        at = -1
        for at, item in enumerate(items):
            if item.cl_ord_id in names:
                code = self.intake._refuse(Refusal.BAD_COMBINATION, "cl_ord_id", "one item for each order in a batch")
            else:
                names.add(item.cl_ord_id)
                code = self._try(account, item, deadline_ns, mono_ns)
            if code > 0:
                repeats += 1
                first = self.intake.dup_seq - at - 1
                code = 0
            if code or repeats not in (0, at + 1):
                break
        self._take_back(account)
        if code:
            return code, at
        if repeats == len(items):
            self.intake.dup_seq = first
            return 0, -1
        if repeats:
            return self.intake._refuse(Refusal.CL_ORD_ID_CONFLICT, "cl_ord_id", "a part of this batch was asked before"), at
        return self._write(account, items, session, mono_ns), -1

    cdef int _try(self, uint32_t account, object item, int64_t deadline_ns, int64_t mono_ns) except -100:
        """Check one item and hold its exposure; 2 when it was answered before."""
        cdef Terms terms
        cdef uint64_t content = 0
        cdef int code
        cdef OrderRow* row
        kind = type(item).__name__
        if kind == "PlaceItem":
            code = self.intake._admit(account, item, deadline_ns, mono_ns, False, &terms, &content)
            if code == 0:
                self._hold(account, &terms, terms.order_qty_e9, True)
            return code
        if kind == "ReplaceItem":
            code = self.intake._revise(account, item, deadline_ns, mono_ns, False, &terms, &content)
            if code == 0:
                row = &self.state.orders.rows[self.intake.order]
                self._hold(account, &terms, terms.order_qty_e9 - row.cum_qty_e9 - row.reserved_qty_e9, False)
            return code
        return self._may_cancel(account, item.cl_ord_id)

    cdef int _may_cancel(self, uint32_t account, str cl_ord_id) except -100:
        cdef int64_t order = self.intake._find(account, cl_ord_id)
        cdef OrderRow* row
        if order < 0:
            return self.intake._refuse(Refusal.UNKNOWN_ORDER, "cl_ord_id", f"no order {cl_ord_id} in this account")
        row = &self.state.orders.rows[order]
        if row.cancel_acct_seq:
            self.intake.dup_seq = row.cancel_acct_seq
            return 2
        if is_done(row.ord_status):
            return self.intake._refuse(Refusal.ORDER_DONE, "cl_ord_id", f"order {cl_ord_id} is done")
        return 0

    cdef int _hold(self, uint32_t account, const Terms* t, int64_t qty_e9, bint opens) except -1:
        cdef Provisional p
        p.instrument = t.instrument
        p.side = t.side
        p.qty_e9 = 0 if t.trigger else max(0, qty_e9)
        p.px_e9 = self.intake.verdict.ref_px_e9
        p.reduce_only = t.reduce_only
        p.resting = t.ord_type == OrdType.LIMIT
        p.opens = opens
        if p.qty_e9:
            self.state.gate.reserve(account, p.instrument, p.side, p.qty_e9, p.px_e9, p.reduce_only, p.resting)
        if opens:
            self.state.gate.count_open(account, 1)
        self.held.push_back(p)
        return 0

    cdef void _take_back(self, uint32_t account) noexcept:
        cdef Provisional p
        while not self.held.empty():
            p = self.held.back()
            self.held.pop_back()
            if p.qty_e9:
                self.state.gate.unreserve(account, p.instrument, p.side, p.qty_e9, p.px_e9, p.reduce_only, p.resting)
            if p.opens:
                self.state.gate.count_open(account, -1)

    cdef int64_t _write(self, uint32_t account, list items, bytes session, int64_t mono_ns) except? -100:
        """The records, as one atomic group: every item passed a moment ago, on the same state."""
        cdef State s = self.state
        cdef AccountEvent* ev = <AccountEvent*>s.scratch
        cdef Terms terms
        cdef uint64_t content = 0
        cdef uint64_t seq
        cdef int64_t code
        memset(s.scratch, 0, 512)
        ev.account = account
        ev.acct_seq = s.acct_seqs[account] + 1
        ev.count = <uint32_t>len(items)
        s.grouped = 1
        seq = s.emit(Kind.BATCH_EV, sizeof(AccountEvent))
        for at, item in enumerate(items):
            s.grouped = at + 1 < len(items)
            kind = type(item).__name__
            if kind == "PlaceItem":
                code = self.intake._admit(account, item, 0, mono_ns, True, &terms, &content)
                if code == 0:
                    code = self.intake._accept(account, item, &terms, content, session)
            elif kind == "ReplaceItem":
                code = self.intake._revise(account, item, 0, mono_ns, True, &terms, &content)
                if code == 0:
                    code = self.intake._replace_row(<uint32_t>self.intake.order, &terms, item.rev, content)
            else:
                code = self.intake._cancel_row(<uint32_t>self.intake._find(account, item.cl_ord_id), Reason.REQUEST)
            if code <= 0:
                raise RuntimeError(f"invariant: item {at} of a batch passed and then did not ({code}: {self.intake.text})")
        s.grouped = 0
        return <int64_t>seq
