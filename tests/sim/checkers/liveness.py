"""I23: once the faults have ended, no doubt and no open question is left. (The world itself waits for the queues.)"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hotpath.enums import Pending, Stage
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge


class Liveness:
    """The folded journal of the end."""

    id = "I23"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def at_rest(self) -> None:
        for order in self.judge.journal.orders.values():
            _, stage, _, pending, _ = order.state
            if stage == Stage.IN_DOUBT or pending != Pending.PENDING_NONE or not order.is_done:
                raise Broken("I23", f"{order.name} was not settled: {order.state}")
