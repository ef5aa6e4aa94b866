"""I3: nothing is called refused, canceled or expired while the broker works it; a doubt ends by its word alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brokers.sim import messages as m
from hotpath.enums import OrdStatus
from hotpath.records import Kind
from tests.sim.checkers.folded import Change
from tests.sim.history import Fact
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge

ENDS = (Kind.CANCELED_EV, Kind.EXPIRED_EV, Kind.REJECTED_EV)


class Truth:
    """Each end that the gateway records against the venue's book of that moment, and each order that comes alive."""

    id = "I3"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def on_change(self, change: Change) -> None:
        order = change.order
        if order is None or change.record.kind not in (*ENDS, Kind.REQUEUED):
            return
        for theirs in self.judge.ledger.by_row.get(order.row, ()):
            if theirs.is_live and change.record.kind in ENDS:
                raise Broken("I3", f"{order.name} ended here ({change.record.kind}); the broker works {theirs.id}")
            if theirs.oids and change.record.kind == Kind.REQUEUED:
                raise Broken("I3", f"{order.name} was called unknown there; the broker has {theirs.id}")

    def on_facts(self, item: Fact) -> None:
        if type(item.message) is not m.Ack:
            return
        theirs = self.judge.ledger.orders[item.message.id]
        order = self.judge.journal.orders.get(theirs.row)
        if theirs.is_live and order is not None and order.state[0] > OrdStatus.FILLED:
            raise Broken("I3", f"{order.name} had ended here when {theirs.id} began to work there")
