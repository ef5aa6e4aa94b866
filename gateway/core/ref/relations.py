"""Twin of gateway.core.relations: whether an order may wait for another one, or share with others, as it asks to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gateway.contracts.requests import PlaceItem
from gateway.core.ref import shares
from gateway.core.ref import terms as asked
from gateway.core.ref.links import MEMBERS_MAX
from gateway.core.ref.terms import Refused, is_name
from hotpath.enums import Pending, Side, TriggerKind
from hotpath.ref.fixed import MAX_E9
from hotpath.ref.orders import OrderRow
from hotpath.ref.records import Terms

if TYPE_CHECKING:
    from gateway.core.ref.state import State

AHEAD = 0xFFFFFFFF  # `Terms.parent` of an order whose parent stands before it in its batch


class Earlier(NamedTuple):
    """A new order of the same batch that was found good before."""

    item: PlaceItem
    terms: Terms


def relate(state: State, account: int, req: PlaceItem, t: Terms, ahead: list[Earlier]) -> None:
    """Tie the terms to a parent and find no fault with the group. Raises Refused."""
    if req.after is not None:
        _join_parent(state, account, req, t, ahead)
    if req.oco is not None:
        if not is_name(req.oco):
            raise Refused(asked.BAD_FIELD, "oco", "oco must be 1 to 36 of A-Z a-z 0-9 . _ : -")
        _may_share(state, account, req.oco, t, ahead)


def _join_parent(state: State, account: int, req: PlaceItem, t: Terms, ahead: list[Earlier]) -> None:
    path = "after.cl_ord_id"
    assert req.after is not None
    name = req.after.cl_ord_id
    found = [one.terms for one in ahead if one.item.cl_ord_id == name]
    count = sum(one.item.after is not None and one.item.after.cl_ord_id == name for one in ahead)
    if found:
        parent, t.parent = found[0], AHEAD
    else:
        order = state.orders.find_row(account, name.encode())
        if order < 0:
            text = f"no order {name} in this account, nor before this one in its batch"
            raise Refused(asked.UNKNOWN_ORDER, path, text)
        parent, t.parent = state.orders.rows[order].terms, order + 1
        count += len(state.links.children(order))
    if count >= MEMBERS_MAX:
        raise Refused(asked.BAD_COMBINATION, path, f"at most {MEMBERS_MAX} orders wait for one")
    if shares.is_exit(parent, t):
        t.reduce_only = 1
        if t.order_qty_e9 > parent.whole_qty_e9:
            raise Refused(asked.BAD_FIELD, "qty", f"qty is larger than that of {name}, which it takes back")
    if t.reduce_only and req.max_queue_ms is None:
        t.max_queue_ns = -1
    if not found:
        _may_wait(state, state.orders.rows[t.parent - 1], t, name)


def _may_wait(state: State, parent: OrderRow, t: Terms, name: str) -> None:
    """What exists already may have ended: with a fill its child lives at once, without one never."""
    if parent.is_done and parent.owed_qty_e9 <= 0 and shares.part_of(state, parent, t) == 0:
        raise Refused(asked.ORDER_DONE, "after.cl_ord_id", f"order {name} is done and leaves nothing for this one")
    if not parent.is_done and parent.pending == Pending.PENDING_CANCEL:
        raise Refused(asked.ORDER_CLOSING, "after.cl_ord_id", f"a cancel of order {name} was asked before")


def _may_share(state: State, account: int, oco: str, t: Terms, ahead: list[Earlier]) -> None:
    """The same instrument, room, and legs on their right sides."""
    first = state.links.group_of(account, oco.encode())
    members = [state.orders.rows[order] for order in state.links.by_first[first]] if first >= 0 else []
    others = [one.terms for one in ahead if one.item.oco == oco]
    if any(other.instrument != t.instrument for other in [*(row.terms for row in members), *others]):
        raise Refused(asked.BAD_COMBINATION, "oco", f"oco {oco} names a group of another symbol")
    if len(members) + len(others) >= MEMBERS_MAX:
        text = f"a group has at most {MEMBERS_MAX} orders, those that are done included"
        raise Refused(asked.BAD_COMBINATION, "oco", text)
    _bound(t.order_qty_e9, [*map(_most_e9, members), *(other.order_qty_e9 for other in others)])
    for other in [*(row.terms for row in members if not row.is_done), *others]:
        uncross(t, other)


def _most_e9(row: OrderRow) -> int:
    return max(row.terms.whole_qty_e9, row.terms.order_qty_e9)


def _bound(qty_e9: int, others_e9: list[int]) -> None:
    if qty_e9 + sum(others_e9) > MAX_E9:
        raise Refused(asked.BAD_FIELD, "qty", "the quantities of the group are too large together")


def uncross(t: Terms, other: Terms) -> None:
    """A target must lie beyond the market where the stop does not. Raises Refused."""
    if t.side != other.side or shares.is_stop(t) == shares.is_stop(other):
        return
    target, stop = (other, t) if shares.is_stop(t) else (t, other)
    target_px_e9 = target.stop_px_e9 if target.trigger == TriggerKind.TOUCH else target.px_e9
    if stop.trigger != TriggerKind.STOP or not target_px_e9:
        return
    if target_px_e9 <= stop.stop_px_e9 if t.side == Side.SELL else target_px_e9 >= stop.stop_px_e9:
        path = "trigger.stop_px" if t.trigger else "px"
        text = "target and stop of the group cross: a sell's target lies above its stop, a buy's below"
        raise Refused(asked.BAD_COMBINATION, path, text)


def revise(state: State, order: int, t: Terms) -> None:
    """Whether new terms suit what the order is tied to. Raises Refused."""
    row = state.orders.rows[order]
    if row.terms.parent:
        parent = state.orders.rows[row.terms.parent - 1].terms
        if shares.is_exit(parent, t) and t.whole_qty_e9 > max(parent.whole_qty_e9, row.terms.whole_qty_e9):
            raise Refused(asked.BAD_FIELD, "qty", "qty is larger than that of the order that it takes back")
    if row.terms.group:
        for member in state.links.members(order):
            other = state.orders.rows[member]
            if member != order and not other.is_done:
                uncross(t, other.terms)
        others = [state.orders.rows[member] for member in state.links.members(order) if member != order]
        _bound(max(t.whole_qty_e9, t.order_qty_e9), [*map(_most_e9, others)])
