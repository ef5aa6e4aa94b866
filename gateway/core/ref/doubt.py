"""Twin of gateway.core.doubt: the cancel of an order of which nobody knows whether it left before a crash."""

from __future__ import annotations

from gateway.core.ref.state import OP_CANCEL, State
from hotpath.enums import Hold, OrdStatus, Pending, Stage
from hotpath.ref import records as rec

CAUSE = b"it may have fired before the restart"


def cancel_suspect(state: State, order: int, reason: int) -> int:
    """A held order that may be at the broker cannot be called canceled: in doubt, its cancel waits, both or neither."""
    was_grouped, state.is_grouped = state.is_grouped, True
    event = state.event(order, ord_status=OrdStatus.PENDING_NEW, stage=Stage.IN_DOUBT, hold=Hold.HOLD_NONE)
    state.commit(rec.IN_DOUBT_EV, event, rec.pack(rec.TextBody(state.wall_ns, len(CAUSE), 0, 0)) + CAUSE)
    state.is_grouped = was_grouped
    seq = state.commit(rec.PENDING_CANCEL_EV, state.event(order, reason=reason, pending=Pending.PENDING_CANCEL))
    state.effect(OP_CANCEL, order)
    return seq
