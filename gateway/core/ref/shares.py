"""Twin of gateway.core.shares: how much of its quantity each order has that waits for another or shares with others.

The rules of order-api section 8 as one function of the state: what an order should have now. `settle` compares that
with what it has and writes the difference as records, so it does the same after a crash as before it, and nothing when
it is asked twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from hotpath.enums import Hold, OrdStatus, OrdType, Pending, Reason, Side, Stage, Tif, TriggerKind
from hotpath.ref import records as rec
from hotpath.ref.fixed import from_e9
from hotpath.ref.orders import OPEN_ASKS_MAX, OrderRow
from hotpath.ref.records import Terms

if TYPE_CHECKING:
    from gateway.core.ref.state import State

OP_SUBMIT, OP_CANCEL, OP_REPLACE = 1, 2, 3
REV_MAX = 1000  # as in intake
SETTLE_MAX = 10_000  # orders looked at for one that is due; more is a rule that never comes to rest
EXCESS = 4  # `AccountEvent.state`
STOPS = (int(TriggerKind.STOP), int(TriggerKind.TRAIL), int(TriggerKind.TIME))


class Share(NamedTuple):
    """Open quantity that an order has now, and that it can still come to have; both beyond what it has filled."""

    now_e9: int = 0
    may_e9: int = 0


def is_stop(terms: Terms) -> bool:
    """The camp of a group's member: stops, or targets."""
    return terms.trigger in STOPS


def is_exit(parent: Terms, terms: Terms) -> bool:
    """Whether a child takes back what its parent brings."""
    return parent.instrument == terms.instrument and parent.side != terms.side


def is_immediate(terms: Terms) -> bool:
    """Done as soon as it works: it cannot grow with its parent, and waits for the parent's end."""
    return not terms.trigger and (terms.ord_type == OrdType.MARKET or terms.tif in (Tif.IOC, Tif.FOK))


def filled_e9(row: OrderRow) -> int:
    """What is filled, with what the broker counts and has not told."""
    return row.cum_qty_e9 + max(0, row.owed_qty_e9)


def part_e9(state: State, row: OrderRow) -> int:
    """What the fills of its parent leave an order of its whole quantity; all of it without a parent."""
    if not row.terms.parent:
        return row.terms.whole_qty_e9
    return part_of(state, state.orders.rows[row.terms.parent - 1], row.terms)


def part_of(state: State, parent: OrderRow, terms: Terms) -> int:
    """The same of terms that wait for `parent`."""
    goal_e9, whole_e9 = parent.terms.order_qty_e9, terms.whole_qty_e9
    got_e9 = min(parent.cum_qty_e9, goal_e9)
    exits = is_exit(parent.terms, terms)
    if got_e9 <= 0 or (terms.when_full and got_e9 < goal_e9) or (is_immediate(terms) and not parent.is_done):
        return 0
    part = whole_e9 * got_e9 // (max(goal_e9, whole_e9) if exits else goal_e9)
    part -= part % state.quotes.rows[terms.instrument].lot_e9
    return part if part >= state.quotes.rows[terms.instrument].min_qty_e9 else 0  # a venue would refuse it


def hope_e9(state: State, row: OrderRow) -> int:
    """What it can still come to have: all of it while its parent may fill."""
    if row.terms.parent:
        parent = state.orders.rows[row.terms.parent - 1]
        if not parent.is_done or parent.owed_qty_e9 > 0:
            return row.terms.whole_qty_e9
    return part_e9(state, row)


def shares(state: State, members: Sequence[int]) -> list[Share]:
    """The share of each member: each camp gets what the group has left, first come first served."""
    rows = [state.orders.rows[order] for order in members]
    filled = {side: sum(filled_e9(row) for row in rows if row.terms.side == side) for side in (Side.BUY, Side.SELL)}
    found = [Share()] * len(rows)
    for side, other in ((Side.BUY, Side.SELL), (Side.SELL, Side.BUY)):
        if filled[other] > 0 and filled[side] == 0:
            continue  # the first fill decides on which side the group is
        mine = [at for at, row in enumerate(rows) if row.terms.side == side]
        now = [part_e9(state, rows[at]) for at in mine]
        may = [hope_e9(state, rows[at]) for at in mine]
        left_now, left_may = (_left(rows, mine, wanted) for wanted in (now, may))
        for stops in (False, True):
            room_now, room_may = left_now, left_may
            for at, part, hope in zip(mine, now, may, strict=True):
                row = rows[at]
                if row.is_done or is_stop(row.terms) != stops:
                    continue
                has_now = min(max(0, part - filled_e9(row)), room_now)
                has_may = min(max(0, hope - filled_e9(row)), room_may)
                room_now, room_may = room_now - has_now, room_may - has_may
                lot_e9 = state.quotes.rows[row.terms.instrument].lot_e9
                found[at] = Share(has_now - has_now % lot_e9, has_may)
    return found


def _left(rows: Sequence[OrderRow], mine: Sequence[int], wanted: Sequence[int]) -> int:
    """The group's quantity, which is the larger camp's, less what is filled."""
    camps, filled = [0, 0], 0
    for at, part in zip(mine, wanted, strict=True):
        row, has = rows[at], filled_e9(rows[at])
        filled += has
        camps[is_stop(row.terms)] += has if row.is_done else max(has, part)
    return max(0, max(camps) - filled)


# --- what others ask --------------------------------------------------------------------------------------------------


def share_of(state: State, order: int, whole_e9: int) -> int:
    """The quantity that would be in force if the client asked for `whole_e9`; 0 when nothing is left of it."""
    row, members = state.orders.rows[order], state.links.members(order)
    before, row.terms = row.terms, replace(row.terms, whole_qty_e9=whole_e9)
    share = shares(state, members)[members.index(order)]
    row.terms = before
    return filled_e9(row) + share.now_e9 if share.now_e9 else 0


def rivals(state: State, order: int) -> list[int]:
    """Members of the other camp that must end before the order leaves.

    What fired leaves after what is at the broker or fired before it; what did not fire leaves after all that fired.
    """
    row = state.orders.rows[order]
    if not row.terms.group:
        return []
    return [
        other
        for other in state.links.members(order)
        if _is_rival(row, state.orders.rows[other]) and not state.orders.rows[other].is_done
        and _is_before(row, state.orders.rows[other])
    ]  # fmt: skip


def _is_before(row: OrderRow, other: OrderRow) -> bool:
    if not row.triggered:
        return bool(other.triggered)
    return not other.is_ours or bool(other.triggered and other.fired_acct_seq < row.fired_acct_seq)


def spared_e9(state: State, order: int) -> int:
    """What the gate holds for the other camp: the same position's exit a second time, so it does not count."""
    row = state.orders.rows[order]
    if not row.terms.group:
        return 0
    mates = (state.orders.rows[other] for other in state.links.members(order))
    return sum(mate.reserved_qty_e9 for mate in mates if _is_rival(row, mate) and mate.terms.reduce_only)


def _is_rival(row: OrderRow, other: OrderRow) -> bool:
    return other.terms.side == row.terms.side and is_stop(other.terms) != is_stop(row.terms)


def excess_after(state: State, order: int, more_e9: int) -> int:
    """What a group will have filled beyond the most that it ever shared, once the order has filled `more_e9`."""
    terms = state.orders.rows[order].terms
    if not terms.group:
        return 0
    camps, filled = [0, 0], 0
    for other in state.links.members(order):
        row = state.orders.rows[other]
        if row.terms.side != terms.side:
            continue
        has = filled_e9(row) + more_e9 * (other == order)
        filled += has
        camps[is_stop(row.terms)] += max(has, part_e9(state, row))
    return max(0, filled - max(camps))


def tell_excess(state: State, order: int, excess_e9: int) -> None:
    """A `guard` event when fills that crossed took more than the group shares; it ends the trade's atomic group."""
    state.is_grouped = False
    if not excess_e9:
        return
    row = state.orders.rows[order]
    symbol, cause = state.quotes.symbol_of(row.terms.instrument).encode(), b"fills crossed in an oco group"
    text = from_e9(excess_e9).encode()
    event = rec.AccountEvent(
        state.acct_seqs[row.account] + 1, row.account, since_ns=state.wall_ns, state=EXCESS, text_size=len(cause),
        symbol_size=len(symbol), orders_size=len(row.cl_ord_id), excess_size=len(text),
    )  # fmt: skip
    state.emit(rec.GUARD_EV, rec.pack(event) + symbol + cause + row.cl_ord_id + text)


# --- the rules --------------------------------------------------------------------------------------------------------


def settle(state: State) -> None:
    """Bring all that is due to what it should be, and what that touches in turn."""
    due, state.is_deferring = state.links.due, True
    try:
        left = SETTLE_MAX * (len(due) + 1)
        while due:
            if left == 0:
                raise RuntimeError("orders tied to each other do not come to rest")
            left -= 1
            _settle_around(state, *due.popleft())
    finally:
        state.is_deferring = False


def heal(state: State, wall_ns: int) -> None:
    """After a start: what a crash cut off between a record and what it means for others."""
    state.wall_ns = wall_ns
    for rows in state.open_rows:
        state.links.due.extend((order, 0) for order in rows if state.links.touches(order))
    settle(state)


def _settle_around(state: State, order: int, kind: int) -> None:
    """The order's own group, then its children's."""
    terms, done = state.orders.rows[order].terms, -1
    if terms.group or terms.parent:
        _settle(state, state.links.members(order), order, kind)
    for child in state.links.children(order):
        group = state.orders.rows[child].terms.group
        if group == 0 or group != done:
            _settle(state, state.links.members(child), order, 0)
        done = group


def _settle(state: State, members: Sequence[int], order: int, kind: int) -> None:
    """kind: of the record about `order` that made this due."""
    for member, share in zip(members, shares(state, members), strict=True):
        row = state.orders.rows[member]
        if row.is_done or row.pending == Pending.PENDING_CANCEL or member in state.suspects:
            continue  # a suspect is settled once the broker has said where it is
        if row.ord_status == OrdStatus.HELD:
            _move_held(state, member, share)
        elif row.is_ours:
            _move_queued(state, member, share)
        elif row.stage != Stage.IN_DOUBT or share.now_e9 == 0:
            _move_working(state, member, share, kind if member == order else 0)


def _move_held(state: State, order: int, share: Share) -> None:
    row = state.orders.rows[order]
    if row.hold == Hold.HOLD_PARENT:
        if share.now_e9 and state.begins_late(row.terms):
            state.links.late[order] = None
        elif share.now_e9:
            _release(state, order, share.now_e9)
        elif not share.may_e9:
            _cancel(state, order)
    elif share.now_e9:
        _resize(state, order, filled_e9(row) + share.now_e9)
    elif share.may_e9 and row.terms.parent and row.hold == Hold.HOLD_TRIGGER:  # until its parent fills again
        _resize(state, order, row.terms.whole_qty_e9, hold=int(Hold.HOLD_PARENT))
    else:
        _cancel(state, order)


def _move_queued(state: State, order: int, share: Share) -> None:
    row = state.orders.rows[order]
    want_e9 = filled_e9(row) + share.now_e9
    if not share.now_e9:
        _cancel(state, order)
    elif (
        want_e9 < row.terms.order_qty_e9
    ):  # what grows waits until it works: its terms must be on disk before it leaves
        _resize(state, order, want_e9)


def _move_working(state: State, order: int, share: Share, kind: int) -> None:
    """What works at the broker is changed by asking. A cut that was refused is a cancel; a refused cancel waits."""
    row = state.orders.rows[order]
    has_e9 = row.ask_qty_e9 if row.open_asks else row.terms.order_qty_e9
    want_e9 = filled_e9(row) + share.now_e9
    if kind == rec.CANCEL_REJECTED or (share.now_e9 and want_e9 == has_e9):
        return
    if not share.now_e9 or (want_e9 < has_e9 and (kind == rec.REPLACE_REJECTED or not _may_ask(row))):
        _cancel(state, order)
    elif want_e9 < has_e9:
        _ask(state, order, want_e9)
    elif not row.open_asks and not row.triggered and kind != rec.REPLACE_REJECTED and _may_ask(row):
        want_e9 = min(want_e9, filled_e9(row) + _room_e9(state, order, row))
        if want_e9 > has_e9:  # what grows waits for the answer before
            _ask(state, order, want_e9)


def _room_e9(state: State, order: int, row: OrderRow) -> int:
    """What an order may have open without exceeding the position, where it is bound to reduce it."""
    if not row.terms.reduce_only:
        return row.terms.whole_qty_e9
    own_e9 = row.reserved_qty_e9 + spared_e9(state, order)
    room_e9 = state.gate.reducible_qty_py(row.account, row.terms.instrument, row.terms.side, own_e9)
    return room_e9 - room_e9 % state.quotes.rows[row.terms.instrument].lot_e9


def _may_ask(row: OrderRow) -> bool:
    is_full = bool(row.open_asks) and row.ask_rev + 1 - row.open_asks[0] >= OPEN_ASKS_MAX
    return row.ask_rev < REV_MAX and not is_full


def _why(row: OrderRow) -> int:
    return int(Reason.OCO if row.terms.group else Reason.PARENT)


def _release(state: State, order: int, qty_e9: int) -> None:
    """Its parent lets it live: armed, or in line for the broker."""
    row = state.orders.rows[order]
    status, stage, hold = OrdStatus.PENDING_NEW, Stage.QUEUED, Hold.HOLD_NONE
    if row.terms.trigger:
        status, stage, hold = OrdStatus.HELD, Stage.STAGE_NONE, Hold.HOLD_TRIGGER
    event = state.event(
        order, ord_status=status, stage=stage, hold=hold, leaves_qty_e9=qty_e9, reason=int(Reason.PARENT)
    )
    state.commit(rec.RELEASED, event, rec.pack(rec.ReleasedBody(qty_e9)))
    state.links.grown[order] = state.acct_seqs[row.account]
    if row.terms.trigger:
        state.links.armed[row.terms.instrument] = None
    else:
        state.effect(OP_SUBMIT, order)


def _resize(state: State, order: int, qty_e9: int, *, hold: int = -1) -> None:
    """Another quantity for an order that is ours."""
    row = state.orders.rows[order]
    if qty_e9 == row.terms.order_qty_e9 and hold < 0:
        return
    event = state.event(order, leaves_qty_e9=qty_e9 - row.cum_qty_e9, reason=_why(row))
    event = event._replace(hold=hold) if hold >= 0 else event
    terms, grows = replace(row.terms, order_qty_e9=qty_e9), qty_e9 > row.terms.order_qty_e9
    state.commit_replaced(event, terms, rec.ReplaceBody(row.ref_px_e9, content_hash=0, ask_rev=row.rev))
    if grows:
        state.links.grown[order] = state.acct_seqs[row.account]


def _ask(state: State, order: int, qty_e9: int) -> None:
    """Another quantity for an order that works at the broker, under the next revision."""
    row = state.orders.rows[order]
    terms, ref_px_e9 = replace(row.terms, order_qty_e9=qty_e9), row.ref_px_e9
    if row.open_asks:
        terms.px_e9, terms.stop_px_e9, ref_px_e9 = row.ask_px_e9, row.ask_stop_px_e9, row.ask_ref_px_e9
        terms.tif, terms.expire_ns, terms.whole_qty_e9 = row.ask_tif, row.ask_expire_ns, row.ask_whole_qty_e9
    event = state.event(order, pending=int(Pending.PENDING_REPLACE), reason=_why(row))
    body = rec.ReplaceBody(ref_px_e9, content_hash=0, ask_rev=row.ask_rev + 1)
    state.commit(rec.PENDING_REPLACE_EV, event, terms.pack() + rec.pack(body))
    state.effect(OP_REPLACE, order)


def _cancel(state: State, order: int) -> None:
    """Nothing is left for it: of what its parent brought, or of what its group shares."""
    row = state.orders.rows[order]
    is_orphan = row.terms.parent and hope_e9(state, row) <= filled_e9(row)
    reason = int(Reason.PARENT if is_orphan else _why(row))
    if row.is_ours:
        event = state.event(
            order, reason=reason, ord_status=OrdStatus.CANCELED, stage=Stage.STAGE_NONE, hold=Hold.HOLD_NONE,
            pending=Pending.PENDING_NONE, leaves_qty_e9=0,
        )  # fmt: skip
        state.commit(rec.CANCELED_EV, event, rec.pack(rec.DoneBody()))
        return
    state.commit(rec.PENDING_CANCEL_EV, state.event(order, reason=reason, pending=int(Pending.PENDING_CANCEL)))
    state.effect(OP_CANCEL, order)
