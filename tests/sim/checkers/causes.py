"""I22: every message to the broker has a journaled cause, and says what the journal says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brokers.ids import decode_broker_id
from brokers.sim import messages as m
from hotpath.enums import Side
from hotpath.records import Kind
from tests.sim.checkers.folded import Change
from tests.sim.history import Reached
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge


class Causes:
    """Each order that reached the venue against its acceptance, each cancel and replace against what was asked."""

    id = "I22"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.accepted: dict[int, int] = {}  # order -> its first record
        self.asked: dict[int, set[int]] = {}  # order -> kinds of its records
        self.unwritten: set[int] = set()  # lives whose journal had ended: cancels and releases go out all the same

    def step(self) -> None:
        node = self.judge.world.node
        if node.shard is not None and not node.shard.engine.is_admitting:
            self.unwritten.add(node.life)

    def on_change(self, change: Change) -> None:
        if change.order is not None:
            self.asked.setdefault(change.order.row, set()).add(change.record.kind)
            if change.record.kind == Kind.ACCEPTED:
                self.accepted[change.order.row] = change.record.seq

    def on_reached(self, item: Reached) -> None:
        message = item.message
        if item.life in self.unwritten:
            return
        parts = decode_broker_id(message.id.encode())
        row = -1 if parts is None else parts[2]
        kinds = self.asked.get(row, set())
        if type(message) is m.New:
            order = self.judge.journal.orders.get(row)
            if order is None or self.accepted[row] > self.judge.durable_seq:
                raise Broken("I22", f"{message.id} left before its acceptance was on disk")
            side = "buy" if order.side == Side.BUY else "sell"
            if (message.sym, message.side) != (self.judge.journal.symbols[order.instrument], side):
                raise Broken("I22", f"{message.id} is not the order {order.name} that was accepted")
        elif type(message) is m.Cancel and Kind.PENDING_CANCEL_EV not in kinds:
            raise Broken("I22", f"a cancel of {message.id} left that nobody had asked for")
        elif type(message) is m.Replace and Kind.PENDING_REPLACE_EV not in kinds:
            raise Broken("I22", f"a replace of {message.orig} left that nobody had asked for")
