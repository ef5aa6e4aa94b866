"""I10: once a kill switch is in force, no new order leaves: not from a queue, not by a retry. Cancels still do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hotpath.enums import HaltLevel
from hotpath.records import Kind
from tests.sim.checkers.folded import Change
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge


class Kill:
    """Each hand-over against the switches that the journal had in force.

    An order that is bound to reduce may pass, and under NO_NEW any that the position covers (controls.md, 8.2).
    """

    id = "I10"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def on_change(self, change: Change) -> None:
        order = change.order
        if order is None or change.record.kind != Kind.SENT_EV or order.reduce_only:
            return
        journal = self.judge.journal
        level = journal.halt_of(order)
        if level and not (level == HaltLevel.NO_NEW and order.qty_e9 - order.cum_qty_e9 <= journal.far_qty_e9(order)):
            raise Broken("I10", f"{order.name} left under a kill switch of level {level}")
