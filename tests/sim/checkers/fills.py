"""I4: each execution counts once, and as the venue made it; cumulative, leaves and order quantity fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hotpath.records import Kind
from tests.sim.checkers.folded import Change
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge


class Fills:
    """Each record against the sum of the executions before it."""

    id = "I4"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def on_change(self, change: Change) -> None:
        order, kind = change.order, change.record.kind
        if order is None:
            return
        if change.is_repeat:
            raise Broken("I4", f"execution {change.exec_id} of {order.name} was counted a second time")
        if kind == Kind.TRADE:
            theirs = self.judge.ledger.by_exec.get(change.exec_id)
            if theirs is None:
                raise Broken("I4", f"execution {change.exec_id} of {order.name} is not the venue's")
            if theirs.fills.get(change.exec_id, order.fills[change.exec_id]) != order.fills[change.exec_id]:
                raise Broken("I4", f"execution {change.exec_id} of {order.name} was counted with another quantity")
        if order.cum_qty_e9 != sum(order.fills.values()):
            raise Broken("I4", f"{order.name}: cum_qty {order.cum_qty_e9} of fills {sum(order.fills.values())}")
        leaves = 0 if order.is_done else max(0, order.qty_e9 - order.cum_qty_e9)
        if order.leaves_qty_e9 != leaves:
            raise Broken("I4", f"{order.name}: leaves_qty {order.leaves_qty_e9}, should be {leaves}")
