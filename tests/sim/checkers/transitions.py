"""I6: only the transitions of order-api, section 7, happen; what was filled falls only by an explicit bust."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hotpath.enums import OrdStatus, Stage
from hotpath.records import Kind
from tests.sim.checkers.folded import Change
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge

S = OrdStatus
AT_BROKER = (S.PENDING_NEW, S.NEW, S.PARTIALLY_FILLED)
OPEN = (S.HELD, *AT_BROKER)
DONE = (S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED)
# kind -> statuses before it, statuses after it
TABLE: dict[int, tuple[tuple[OrdStatus, ...], tuple[OrdStatus, ...]]] = {
    Kind.ACCEPTED: ((S.NONE,), (S.HELD, S.PENDING_NEW)),
    Kind.SENT_EV: ((S.PENDING_NEW,), (S.PENDING_NEW,)),
    Kind.NEW_EV: ((S.PENDING_NEW,), (S.NEW, S.PARTIALLY_FILLED)),
    Kind.TRADE: ((*AT_BROKER, *DONE), (S.PARTIALLY_FILLED, *DONE)),
    Kind.TRAILED: ((S.HELD,), (S.HELD,)),
    Kind.TRIGGERED: ((S.HELD,), (S.PENDING_NEW,)),
    Kind.RELEASED: ((S.HELD,), (S.HELD, S.PENDING_NEW)),
    Kind.PENDING_REPLACE_EV: (AT_BROKER, AT_BROKER),
    Kind.REPLACED: (OPEN, OPEN),
    Kind.REPLACE_REJECTED: (AT_BROKER, AT_BROKER),
    Kind.PENDING_CANCEL_EV: ((S.HELD, *AT_BROKER), AT_BROKER),  # held: a suspect
    Kind.CANCELED_EV: (OPEN, (S.CANCELED,)),
    Kind.CANCEL_REJECTED: (AT_BROKER, AT_BROKER),
    Kind.EXPIRED_EV: (OPEN, (S.EXPIRED,)),
    Kind.REJECTED_EV: (OPEN, (S.REJECTED,)),
    Kind.IN_DOUBT_EV: ((S.PENDING_NEW,), (S.PENDING_NEW,)),
    Kind.REQUEUED: ((S.PENDING_NEW,), (S.HELD, S.PENDING_NEW)),
    Kind.RESTATED: ((*OPEN, *DONE), (*AT_BROKER, *DONE)),
    Kind.TRADE_CANCELED: ((*AT_BROKER, *DONE), (S.NEW, S.PARTIALLY_FILLED, *DONE)),
}
# The stages that it may come from.
STAGES = {Kind.SENT_EV: (Stage.QUEUED,), Kind.REQUEUED: (Stage.SENT, Stage.IN_DOUBT)}


class Transitions:
    """Each record of an order against the table."""

    id = "I6"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def on_change(self, change: Change) -> None:
        order, kind = change.order, change.record.kind
        if order is None:
            return
        before, after = change.before[0], order.state[0]
        allowed = TABLE.get(kind)
        if allowed is None or before not in allowed[0] or after not in allowed[1]:
            raise Broken("I6", f"{order.name}: record {kind} took it from status {before} to {after}")
        if kind in STAGES and change.before[1] not in STAGES[Kind(kind)]:
            raise Broken("I6", f"{order.name}: record {kind} at stage {change.before[1]}")
        if order.cum_qty_e9 < change.before_cum_qty_e9 and kind != Kind.TRADE_CANCELED:
            raise Broken("I6", f"{order.name}: record {kind} took fills back")
        if kind == Kind.TRADE and before in DONE and not change.late:
            raise Broken("I6", f"{order.name}: a fill after its end is not called late")
