"""How much of its quantity each order has that waits for another or shares with others.

The rules of order-api section 8 as one function of the state: what an order should have now. `settle` compares that
with what it has and writes the difference as records, so it does the same after a crash as before it, and nothing when
it is asked twice. Called after each record of an order that is tied to others (`State.emit`).
"""
from libc.stdint cimport int64_t, uint32_t, uint8_t, uint16_t
from libc.string cimport memcpy, memset
from hotpath.enums cimport *
from hotpath.fixed cimport format_e9
from hotpath.orders cimport OPEN_ASKS_MAX, OrderRow, first_asked, is_done
from hotpath.plants cimport KEEP_A_SIBLING_WHOLE, LIVE_WITHOUT_A_PARENT, is_planted
from hotpath.records cimport *
from gateway.core.links cimport MEMBERS_MAX, Due, Links
from gateway.core.recorder cimport OP_CANCEL, OP_REPLACE, OP_SUBMIT
from gateway.core.state cimport NO_ROW, State, begins_late

cdef extern from *:
    """
    typedef __int128 bs_wide;
    static inline int64_t bs_part(int64_t whole, int64_t got, int64_t of) {
        return (int64_t)((bs_wide)whole * (bs_wide)got / (bs_wide)of);
    }
    """
    int64_t bs_part(int64_t whole, int64_t got, int64_t of) noexcept nogil

cdef enum:
    REV_MAX = 1000                           # as in intake
    SETTLE_MAX = 10000                       # orders looked at for one that is due; more is a rule that never comes to rest
    EXCESS = 4                               # `AccountEvent.state`

cdef struct Share:                           # open quantity beyond what is filled
    int64_t now_e9                           # that the order has
    int64_t may_e9                           # that it can still come to have


cdef inline bint is_immediate(const Terms* t) noexcept nogil:
    """Done as soon as it works: it cannot grow with its parent, and waits for the parent's end."""
    return not t.trigger and (t.ord_type == OrdType.MARKET or t.tif == Tif.IOC or t.tif == Tif.FOK)


cdef inline int64_t filled_qty(const OrderRow* row) noexcept nogil:
    """What is filled, with what the broker counts and has not told."""
    return row.cum_qty_e9 + max(<int64_t>0, row.owed_qty_e9)


cdef inline bint is_ours(const OrderRow* row) noexcept nogil:
    return row.ord_status == OrdStatus.HELD or (row.ord_status == OrdStatus.PENDING_NEW and row.stage == Stage.QUEUED)


cdef inline bint is_rival(const OrderRow* row, const OrderRow* other) noexcept nogil:
    return other.terms.side == row.terms.side and is_stop(&other.terms) != is_stop(&row.terms)


cdef inline int64_t lots(State s, const Terms* t, int64_t qty_e9) noexcept nogil:
    return qty_e9 - qty_e9 % s.quotes.rows[t.instrument].lot_e9


cdef int64_t part_of(State s, const OrderRow* parent, const Terms* terms) noexcept nogil:
    cdef int64_t goal_e9 = parent.terms.order_qty_e9
    cdef int64_t got_e9 = min(parent.cum_qty_e9, goal_e9)
    cdef int64_t of = goal_e9
    if is_planted(LIVE_WITHOUT_A_PARENT):
        return terms.whole_qty_e9
    if got_e9 <= 0 or (terms.when_full and got_e9 < goal_e9) or (is_immediate(terms) and not is_done(parent.ord_status)):
        return 0
    if is_exit(&parent.terms, terms):
        of = max(goal_e9, terms.whole_qty_e9)
    got_e9 = lots(s, terms, bs_part(terms.whole_qty_e9, got_e9, of))
    return got_e9 if got_e9 >= s.quotes.rows[terms.instrument].min_qty_e9 else 0     # a venue would refuse it


cdef int64_t part_qty(State s, const OrderRow* row) noexcept nogil:
    """What the fills of its parent leave an order of its whole quantity; all of it without a parent."""
    if row.terms.parent == 0:
        return row.terms.whole_qty_e9
    return part_of(s, &s.orders.rows[row.terms.parent - 1], &row.terms)


cdef int64_t hope_qty(State s, const OrderRow* row) noexcept nogil:
    """What it can still come to have: all of it while its parent may fill."""
    cdef const OrderRow* parent
    if row.terms.parent:
        parent = &s.orders.rows[row.terms.parent - 1]
        if not is_done(parent.ord_status) or parent.owed_qty_e9 > 0:
            return row.terms.whole_qty_e9
    return part_qty(s, row)


cdef void find_shares(State s, const uint32_t* members, int count, Share* out) noexcept nogil:
    """The share of each member: each camp gets what the group has left, first come first served."""
    cdef int64_t filled[3]                   # by side
    cdef int i, side
    memset(out, 0, count * sizeof(Share))
    memset(filled, 0, sizeof(filled))
    for i in range(count):
        filled[s.orders.rows[members[i]].terms.side] += filled_qty(&s.orders.rows[members[i]])
    for side in range(Side.BUY, Side.SELL + 1):
        if filled[side] > 0 or filled[Side.BUY + Side.SELL - side] == 0:     # the first fill decides on which side the group is
            share_side(s, members, count, side, out)


cdef void share_side(State s, const uint32_t* members, int count, int side, Share* out) noexcept nogil:
    cdef int64_t camps_now[2]
    cdef int64_t camps_may[2]
    cdef int64_t filled = 0, has, now, may
    cdef OrderRow* row
    cdef int i, camp
    camps_now[0] = camps_now[1] = camps_may[0] = camps_may[1] = 0
    for i in range(count):
        row = &s.orders.rows[members[i]]
        if row.terms.side != side:
            continue
        has = filled_qty(row)
        filled += 0 if is_planted(KEEP_A_SIBLING_WHOLE) else has
        now = may = has
        if not is_done(row.ord_status):
            out[i].now_e9, out[i].may_e9 = part_qty(s, row), hope_qty(s, row)
            now, may = max(has, out[i].now_e9), max(has, out[i].may_e9)
        camps_now[is_stop(&row.terms)] += now
        camps_may[is_stop(&row.terms)] += may
    now, may = max(<int64_t>0, max(camps_now[0], camps_now[1]) - filled), max(<int64_t>0, max(camps_may[0], camps_may[1]) - filled)
    for camp in range(2):
        camps_now[camp], camps_may[camp] = now, may                          # room that is left, from here on
    for i in range(count):
        row = &s.orders.rows[members[i]]
        if row.terms.side != side or is_done(row.ord_status):
            continue
        camp = is_stop(&row.terms)
        out[i].now_e9 = min(max(<int64_t>0, out[i].now_e9 - filled_qty(row)), camps_now[camp])
        out[i].may_e9 = min(max(<int64_t>0, out[i].may_e9 - filled_qty(row)), camps_may[camp])
        camps_now[camp] -= out[i].now_e9
        camps_may[camp] -= out[i].may_e9
        out[i].now_e9 = lots(s, &row.terms, out[i].now_e9)


# --- what others ask ----------------------------------------------------------------------------------------------------

cdef int64_t share_of(State s, uint32_t order, int64_t whole_e9) noexcept nogil:
    cdef uint32_t members[MEMBERS_MAX]
    cdef Share found[MEMBERS_MAX]
    cdef OrderRow* row = &s.orders.rows[order]
    cdef int64_t before_e9 = row.terms.whole_qty_e9
    cdef int n = s.links.members(order, members)
    cdef int i
    row.terms.whole_qty_e9 = whole_e9
    find_shares(s, members, n, found)
    row.terms.whole_qty_e9 = before_e9
    for i in range(n):
        if members[i] == order and found[i].now_e9:
            return filled_qty(row) + found[i].now_e9
    return 0


cpdef list rivals(State s, uint32_t order):
    """Members of the other camp that must end before the order leaves.

    What fired leaves after what is at the broker or fired before it; what did not fire leaves after all that fired.
    """
    cdef uint32_t members[MEMBERS_MAX]
    cdef OrderRow* row = &s.orders.rows[order]
    cdef OrderRow* other
    cdef int i, n
    found = []
    if row.terms.group:
        n = s.links.members(order, members)
        for i in range(n):
            other = &s.orders.rows[members[i]]
            if is_rival(row, other) and not is_done(other.ord_status) and is_before(row, other):
                found.append(members[i])
    return found


cdef bint is_before(const OrderRow* row, const OrderRow* other) noexcept nogil:
    if not row.triggered:
        return other.triggered
    return not is_ours(other) or (other.triggered and other.fired_acct_seq < row.fired_acct_seq)


cdef int64_t spared_qty(State s, uint32_t order) noexcept nogil:
    cdef uint32_t members[MEMBERS_MAX]
    cdef OrderRow* row = &s.orders.rows[order]
    cdef int64_t total_e9 = 0
    cdef int i, n
    if row.terms.group == 0:
        return 0
    n = s.links.members(order, members)
    for i in range(n):
        if is_rival(row, &s.orders.rows[members[i]]) and s.orders.rows[members[i]].terms.reduce_only:
            total_e9 += s.orders.rows[members[i]].reserved_qty_e9
    return total_e9


cdef int64_t excess_after(State s, uint32_t order, int64_t more_e9) noexcept nogil:
    cdef uint32_t members[MEMBERS_MAX]
    cdef int64_t camps[2]
    cdef int64_t filled = 0, has
    cdef OrderRow* row
    cdef int i, n, side = s.orders.rows[order].terms.side
    if s.orders.rows[order].terms.group == 0:
        return 0
    camps[0] = camps[1] = 0
    n = s.links.members(order, members)
    for i in range(n):
        row = &s.orders.rows[members[i]]
        if row.terms.side == side:
            has = filled_qty(row) + (more_e9 if members[i] == order else 0)
            filled += has
            camps[is_stop(&row.terms)] += max(has, part_qty(s, row))
    return max(<int64_t>0, filled - max(camps[0], camps[1]))


cdef int tell_excess(State s, uint32_t order, int64_t excess_e9) except -1:
    """A `guard` event when fills that crossed took more than the group shares; it ends the atomic group of the trade."""
    cdef OrderRow* row = &s.orders.rows[order]
    cdef AccountEvent* ev = <AccountEvent*>s.scratch
    cdef char* tail = s.scratch + sizeof(AccountEvent)
    cdef bytes head = s.quotes.symbol_of(row.terms.instrument).encode()
    cdef bytes cause = b"fills crossed in an oco group"
    s.grouped = 0
    if excess_e9 == 0:
        return 0
    memset(s.scratch, 0, 512)
    ev.account = row.account
    ev.acct_seq = s.acct_seqs[row.account] + 1
    ev.since_ns = s.wall_ns
    ev.state = EXCESS
    ev.symbol_size = <uint16_t>len(head)
    ev.text_size = <uint16_t>len(cause)
    ev.orders_size = row.cl_size
    head += cause + row.cl_ord_id[: row.cl_size]
    memcpy(tail, <const char*>head, len(head))
    ev.excess_size = <uint8_t>format_e9(excess_e9, tail + len(head))
    s.emit(Kind.GUARD_EV, sizeof(AccountEvent) + len(head) + ev.excess_size)
    return 0


# --- the rules ----------------------------------------------------------------------------------------------------------

cpdef settle(State s):
    """Bring all that is due to what it should be, and what that touches in turn."""
    cdef Links links = s.links
    cdef Due due
    cdef size_t left = SETTLE_MAX * (links.due.size() + 1)
    s.is_deferring = True
    try:
        while not links.due.empty():
            if left == 0:
                raise RuntimeError("orders tied to each other do not come to rest")
            left -= 1
            due = links.due.front()
            links.due.pop_front()
            settle_around(s, due.order, due.kind)
    finally:
        s.is_deferring = False


cpdef heal(State s, int64_t wall_ns):
    """After a start: what a crash cut off between a record and what it means for others."""
    cdef uint32_t account, order
    s.wall_ns = wall_ns
    for account in range(<uint32_t>len(s.account_names)):
        order = s.open_head[account]
        while order != NO_ROW:
            if s.links.touches(order):
                s.links.due.push_back(Due(order, 0))
            order = s.open_next[order]
    settle(s)


cdef int settle_around(State s, uint32_t order, int kind) except -1:
    """The order's own group, then its children's."""
    cdef uint32_t found[MEMBERS_MAX]
    cdef uint32_t group, done = NO_ROW
    cdef const Terms* t = &s.orders.rows[order].terms
    cdef int i, n
    if t.group or t.parent:
        settle_members(s, order, order, kind)
    n = s.links.children(order, found)
    for i in range(n):
        group = s.orders.rows[found[i]].terms.group
        if group == 0 or group != done:
            settle_members(s, found[i], order, 0)
        done = group
    return 0


cdef int settle_members(State s, uint32_t of, uint32_t order, int kind) except -1:
    """All that `of` shares with. kind: of the record about `order` that made this due."""
    cdef uint32_t members[MEMBERS_MAX]
    cdef Share found[MEMBERS_MAX]
    cdef int n = s.links.members(of, members)
    cdef OrderRow* row
    cdef int i
    find_shares(s, members, n, found)
    for i in range(n):
        row = &s.orders.rows[members[i]]
        if is_done(row.ord_status) or row.pending == Pending.PENDING_CANCEL or (s.suspects and members[i] in s.suspects):
            continue                         # a suspect is settled once the broker has said where it is
        if row.ord_status == OrdStatus.HELD:
            move_held(s, members[i], &found[i])
        elif is_ours(row):
            move_queued(s, members[i], &found[i])
        elif row.stage != Stage.IN_DOUBT or found[i].now_e9 == 0:
            move_working(s, members[i], &found[i], kind if members[i] == order else 0)
    return 0


cdef int move_held(State s, uint32_t order, const Share* share) except -1:
    cdef OrderRow* row = &s.orders.rows[order]
    if row.hold == Hold.HOLD_PARENT:
        if share.now_e9 and begins_late(s, &row.terms):
            s.links.late[order] = None
        elif share.now_e9:
            release(s, order, share.now_e9)
        elif share.may_e9 == 0:
            cancel(s, order)
    elif share.now_e9:
        resize(s, order, filled_qty(row) + share.now_e9, row.hold)
    elif share.may_e9 and row.terms.parent and row.hold == Hold.HOLD_TRIGGER:    # until its parent fills again
        resize(s, order, row.terms.whole_qty_e9, Hold.HOLD_PARENT)
    else:
        cancel(s, order)
    return 0


cdef int move_queued(State s, uint32_t order, const Share* share) except -1:
    cdef OrderRow* row = &s.orders.rows[order]
    cdef int64_t want_e9 = filled_qty(row) + share.now_e9
    if share.now_e9 == 0:
        cancel(s, order)
    elif want_e9 < row.terms.order_qty_e9:   # what grows waits until it works: its terms must be on disk before they leave
        resize(s, order, want_e9, row.hold)
    return 0


cdef int move_working(State s, uint32_t order, const Share* share, int kind) except -1:
    """What works at the broker is changed by asking. A cut that was refused is a cancel; a refused cancel waits."""
    cdef OrderRow* row = &s.orders.rows[order]
    cdef int64_t has_e9 = row.ask_qty_e9 if row.open_asks else row.terms.order_qty_e9
    cdef int64_t want_e9 = filled_qty(row) + share.now_e9
    if kind == Kind.CANCEL_REJECTED or (share.now_e9 and want_e9 == has_e9):
        return 0
    if share.now_e9 == 0 or (want_e9 < has_e9 and (kind == Kind.REPLACE_REJECTED or not may_ask(row))):
        return cancel(s, order)
    if want_e9 < has_e9:
        return ask(s, order, want_e9)
    if not row.open_asks and not row.triggered and kind != Kind.REPLACE_REJECTED and may_ask(row):
        want_e9 = min(want_e9, filled_qty(row) + room_qty(s, order, row))
        if want_e9 > has_e9:                 # what grows waits for the answer before
            ask(s, order, want_e9)
    return 0


cdef int64_t room_qty(State s, uint32_t order, const OrderRow* row) noexcept nogil:
    """What an order may have open without exceeding the position, where it is bound to reduce it."""
    if not row.terms.reduce_only:
        return row.terms.whole_qty_e9
    return lots(s, &row.terms, s.gate.reducible_qty(row.account, row.terms.instrument, row.terms.side,
                                                    row.reserved_qty_e9 + spared_qty(s, order)))


cdef bint may_ask(const OrderRow* row) noexcept nogil:
    return row.ask_rev < REV_MAX and not (row.open_asks and row.ask_rev + 1 - first_asked(row) >= OPEN_ASKS_MAX)


cdef int why(const OrderRow* row) noexcept nogil:
    return Reason.OCO if row.terms.group else Reason.PARENT


cdef int release(State s, uint32_t order, int64_t qty_e9) except -1:
    """Its parent lets it live: armed, or in line for the broker."""
    cdef OrderRow* row = &s.orders.rows[order]
    cdef OrderEvent* ev = s.begin(order)
    ev.leaves_qty_e9 = qty_e9
    ev.reason = Reason.PARENT
    if row.terms.trigger:
        ev.hold = Hold.HOLD_TRIGGER
    else:
        ev.ord_status, ev.stage, ev.hold = OrdStatus.PENDING_NEW, Stage.QUEUED, Hold.HOLD_NONE
    (<ReleasedBody*>s.body()).qty_e9 = qty_e9
    s.commit(Kind.RELEASED, sizeof(ReleasedBody))
    s.links.grown[order] = s.acct_seqs[row.account]
    if row.terms.trigger:
        s.links.armed[row.terms.instrument] = None
    else:
        s.effect(OP_SUBMIT, order)
    return 0


cdef int resize(State s, uint32_t order, int64_t qty_e9, int hold) except -1:
    """Another quantity for an order that is ours."""
    cdef OrderRow* row = &s.orders.rows[order]
    cdef OrderEvent* ev
    cdef ReplaceBody* body
    cdef bint grows
    if qty_e9 == row.terms.order_qty_e9 and hold == row.hold:
        return 0
    ev = s.begin(order)
    body = <ReplaceBody*>s.body()
    ev.leaves_qty_e9 = qty_e9 - row.cum_qty_e9
    ev.reason = why(row)
    ev.hold = hold
    body.terms = row.terms
    body.terms.order_qty_e9 = qty_e9
    body.ref_px_e9 = row.ref_px_e9
    body.ask_rev = row.rev
    grows = qty_e9 > row.terms.order_qty_e9
    s.commit_replaced(order)
    if grows:
        s.links.grown[order] = s.acct_seqs[row.account]
    return 0


cdef int ask(State s, uint32_t order, int64_t qty_e9) except -1:
    """Another quantity for an order that works at the broker, under the next revision."""
    cdef OrderRow* row = &s.orders.rows[order]
    cdef OrderEvent* ev = s.begin(order)
    cdef ReplaceBody* body = <ReplaceBody*>s.body()
    body.terms = row.terms
    body.ref_px_e9 = row.ref_px_e9
    if row.open_asks:
        body.terms.px_e9, body.terms.stop_px_e9, body.ref_px_e9 = row.ask_px_e9, row.ask_stop_px_e9, row.ask_ref_px_e9
        body.terms.tif, body.terms.expire_ns = row.ask_tif, row.ask_expire_ns
        body.terms.whole_qty_e9 = row.ask_whole_qty_e9
    body.terms.order_qty_e9 = qty_e9
    body.ask_rev = row.ask_rev + 1
    ev.pending = Pending.PENDING_REPLACE
    ev.reason = why(row)
    s.commit(Kind.PENDING_REPLACE_EV, sizeof(ReplaceBody))
    s.effect(OP_REPLACE, order)
    return 0


cdef int cancel(State s, uint32_t order) except -1:
    """Nothing is left for it: of what its parent brought, or of what its group shares."""
    cdef OrderRow* row = &s.orders.rows[order]
    cdef OrderEvent* ev = s.begin(order)
    ev.reason = Reason.PARENT if row.terms.parent and hope_qty(s, row) <= filled_qty(row) else why(row)
    if is_ours(row):
        ev.ord_status, ev.stage, ev.hold = OrdStatus.CANCELED, Stage.STAGE_NONE, Hold.HOLD_NONE
        ev.pending = Pending.PENDING_NONE
        ev.leaves_qty_e9 = 0
        s.commit(Kind.CANCELED_EV, sizeof(DoneBody))
        return 0
    ev.pending = Pending.PENDING_CANCEL
    s.commit(Kind.PENDING_CANCEL_EV, 0)
    s.effect(OP_CANCEL, order)
    return 0
