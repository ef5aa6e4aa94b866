"""Whether an order may wait for another one, or share with others, as it asks to: the refusals of `after` and `oco`."""
from libc.stdint cimport int64_t, uint32_t
from libcpp.vector cimport vector
from hotpath.enums cimport *
from hotpath.fixed cimport MAX_E9
from hotpath.orders cimport OrderRow, is_done
from hotpath.records cimport Terms
from gateway.core.links cimport MEMBERS_MAX
from gateway.core.shares cimport is_exit, is_stop, part_of
from gateway.core.state cimport State
from gateway.core.terms cimport Refusal, TermsReader, name_ok


cdef int relate(TermsReader r, uint32_t account, object req, Terms* t, list ahead, const vector[Terms]* terms) except 1:
    cdef bytes oco
    cdef int code
    if req.after is not None:
        code = join_parent(r, account, req, t, ahead, terms)
        if code:
            return code
    if req.oco is not None:
        oco = req.oco.encode()
        if not name_ok(oco, len(oco)):
            return r._refuse(Refusal.BAD_FIELD, "oco", "oco must be 1 to 36 of A-Z a-z 0-9 . _ : -")
        return may_share(r, account, req.oco, oco, t, ahead, terms)
    return 0


cdef int join_parent(TermsReader r, uint32_t account, object req, Terms* t, list ahead, const vector[Terms]* terms) except 1:
    cdef State s = r.state
    cdef uint32_t children[MEMBERS_MAX]
    cdef const Terms* parent = NULL
    cdef bytes name = req.after.cl_ord_id.encode()
    cdef int64_t order = -1
    cdef int count = 0
    cdef size_t i
    for i in range(terms.size()):
        item = ahead[i]
        if item.cl_ord_id == req.after.cl_ord_id:
            parent = &terms[0][i]
        count += item.after is not None and item.after.cl_ord_id == req.after.cl_ord_id
    if parent != NULL:
        t.parent = AHEAD
    else:
        order = s.orders.find(account, name, len(name))
        if order < 0:
            return r._refuse(Refusal.UNKNOWN_ORDER, "after.cl_ord_id",
                             f"no order {req.after.cl_ord_id} in this account, nor before this one in its batch")
        parent = &s.orders.rows[order].terms
        t.parent = <uint32_t>order + 1
        count += s.links.children(<uint32_t>order, children)
    if count >= MEMBERS_MAX:
        return r._refuse(Refusal.BAD_COMBINATION, "after.cl_ord_id", f"at most {MEMBERS_MAX} orders wait for one")
    if is_exit(parent, t):
        t.reduce_only = 1
        if t.order_qty_e9 > parent.whole_qty_e9:
            return r._refuse(Refusal.BAD_FIELD, "qty", f"qty is larger than that of {req.after.cl_ord_id}, which it takes back")
    if t.reduce_only and req.max_queue_ms is None:
        t.max_queue_ns = -1
    return 0 if order < 0 else may_wait(r, &s.orders.rows[order], t, req.after.cl_ord_id)


cdef int may_wait(TermsReader r, const OrderRow* parent, const Terms* t, str name) except 1:
    """What exists already may have ended: with a fill its child lives at once, without one never."""
    if is_done(parent.ord_status):
        if parent.owed_qty_e9 <= 0 and part_of(r.state, parent, t) == 0:
            return r._refuse(Refusal.ORDER_DONE, "after.cl_ord_id", f"order {name} is done and leaves nothing for this one")
    elif parent.pending == Pending.PENDING_CANCEL:
        return r._refuse(Refusal.ORDER_CLOSING, "after.cl_ord_id", f"a cancel of order {name} was asked before")
    return 0


cdef int may_share(TermsReader r, uint32_t account, str name, bytes oco, const Terms* t, list ahead, const vector[Terms]* terms) except 1:
    """The same instrument, room, and legs on their right sides."""
    cdef State s = r.state
    cdef uint32_t members[MEMBERS_MAX]
    cdef int64_t first = s.links.group_of(account, oco)
    cdef int i, n = 0, count, code
    cdef size_t k
    cdef int64_t left_e9 = MAX_E9 - t.order_qty_e9            # what the shares add up to must not wrap
    if first >= 0:
        n = s.links.members(<uint32_t>first, members)
    count = n
    for i in range(n):
        if s.orders.rows[members[i]].terms.instrument != t.instrument:
            return other_symbol(r, name)
        left_e9 -= min(most_qty(&s.orders.rows[members[i]]), left_e9 + 1)
    for k in range(terms.size()):
        if ahead[k].oco == name:
            count += 1
            if terms[0][k].instrument != t.instrument:
                return other_symbol(r, name)
            left_e9 -= min(terms[0][k].order_qty_e9, left_e9 + 1)
    if left_e9 < 0:
        return too_much(r)
    if count >= MEMBERS_MAX:
        return r._refuse(Refusal.BAD_COMBINATION, "oco", f"a group has at most {MEMBERS_MAX} orders, those that are done included")
    for i in range(n):
        if not is_done(s.orders.rows[members[i]].ord_status):
            code = uncross(r, t, &s.orders.rows[members[i]].terms)
            if code:
                return code
    for k in range(terms.size()):
        if ahead[k].oco == name:
            code = uncross(r, t, &terms[0][k])
            if code:
                return code
    return 0


cdef inline int64_t most_qty(const OrderRow* row) noexcept nogil:
    return max(row.terms.whole_qty_e9, row.terms.order_qty_e9)


cdef int too_much(TermsReader r) except 1:
    return r._refuse(Refusal.BAD_FIELD, "qty", "the quantities of the group are too large together")


cdef int other_symbol(TermsReader r, str name) except 1:
    return r._refuse(Refusal.BAD_COMBINATION, "oco", f"oco {name} names a group of another symbol")


cdef int uncross(TermsReader r, const Terms* t, const Terms* other) except 1:
    """A target must lie beyond the market where the stop does not."""
    cdef const Terms* target = other if is_stop(t) else t
    cdef const Terms* stop = t if is_stop(t) else other
    cdef int64_t target_px_e9 = target.stop_px_e9 if target.trigger == TriggerKind.TOUCH else target.px_e9
    if t.side != other.side or is_stop(t) == is_stop(other) or stop.trigger != TriggerKind.STOP or target_px_e9 == 0:
        return 0
    if target_px_e9 <= stop.stop_px_e9 if t.side == Side.SELL else target_px_e9 >= stop.stop_px_e9:
        return r._refuse(Refusal.BAD_COMBINATION, "trigger.stop_px" if t.trigger else "px",
                         "target and stop of the group cross: a sell's target lies above its stop, a buy's below")
    return 0


cdef int revise(TermsReader r, uint32_t order, const Terms* t) except 1:
    cdef State s = r.state
    cdef uint32_t members[MEMBERS_MAX]
    cdef OrderRow* row = &s.orders.rows[order]
    cdef const Terms* parent
    cdef int i, n, code
    cdef int64_t left_e9 = MAX_E9 - max(t.whole_qty_e9, t.order_qty_e9)
    if row.terms.parent:
        parent = &s.orders.rows[row.terms.parent - 1].terms
        if is_exit(parent, t) and t.whole_qty_e9 > max(parent.whole_qty_e9, row.terms.whole_qty_e9):
            return r._refuse(Refusal.BAD_FIELD, "qty", "qty is larger than that of the order that it takes back")
    if row.terms.group:
        n = s.links.members(order, members)
        for i in range(n):
            if members[i] != order:
                left_e9 -= min(most_qty(&s.orders.rows[members[i]]), left_e9 + 1)
            if members[i] != order and not is_done(s.orders.rows[members[i]].ord_status):
                code = uncross(r, t, &s.orders.rows[members[i]].terms)
                if code:
                    return code
    return too_much(r) if left_e9 < 0 else 0
