"""I2: one broker order for each id, one id for each client order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brokers.sim import messages as m
from tests.sim.history import Fact, Reached
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge


class Once:
    """From what reached the venue and what it made of it."""

    id = "I2"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def on_reached(self, item: Reached) -> None:
        if type(item.message) is not m.New:
            return
        orders = self.judge.ledger.by_row[self.judge.ledger.orders[item.message.id].row]
        if len(orders) > 1:
            raise Broken("I2", f"one client order, two at the broker: {' '.join(order.id for order in orders)}")

    def on_facts(self, item: Fact) -> None:
        if type(item.message) is m.Ack and len(set(self.judge.ledger.orders[item.message.id].oids)) > 1:
            raise Broken("I2", f"two broker orders of one id: {item.message.id}")
