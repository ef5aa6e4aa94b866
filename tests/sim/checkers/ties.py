"""I24: what waits for another order leaves after a fill of it; what shares never has more than is left of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brokers.sim import messages as m
from hotpath.enums import Hold, OrdStatus, Stage
from hotpath.records import Kind
from tests.sim.checkers.folded import Change, Folded
from tests.sim.history import Fact, Lived, Reached
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge

STOPS = (1, 3, 4)  # enums.TriggerKind: stop, trail, time
EXCESS = 4  # state of a guard


class Ties:
    """At the venue: who came, and who was there. In the journal: what orders that are ours may still do."""

    id = "I24"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.brought: set[int] = set()  # orders that have had a fill at the venue
        self.changed: dict[int, None] = {}  # groups, by their first order
        self.suspects: set[int] = set()  # may have left before a crash
        self.is_booting = False
        self.excess: set[int] = set()  # accounts that were told of one

    def on_lives(self, item: Lived) -> None:
        if item.what in ("boot", "crash", "stop"):
            self.changed.clear()  # what a crash cut off is made up for at the start

    def on_facts(self, item: Fact) -> None:
        if type(item.message) is m.Fill and (theirs := self.judge.ledger.orders.get(item.message.id)) is not None:
            self.brought.add(theirs.row)

    def on_reached(self, item: Reached) -> None:
        if type(item.message) is not m.New:
            return
        theirs = self.judge.ledger.orders[item.message.id]
        order = self.judge.journal.orders.get(theirs.row)
        if order is None or theirs.status != "asked":
            return  # a copy that the network made of one that is known there
        if order.parent >= 0 and order.parent not in self.brought:
            raise Broken("I24", f"{order.name} left before its parent had a fill")
        shard = self.judge.world.node.shard
        if order.triggered and (shard is None or shard.engine.is_admitting):  # else what was asked is written nowhere
            for rival in self._rivals(order):
                there = [one for one in self.judge.ledger.by_row.get(rival.row, ()) if one.is_live]
                if there and not self._is_ending(rival):
                    raise Broken("I24", f"{order.name} left beside {rival.name}, which nobody has asked to end")

    def _is_ending(self, order: Folded) -> bool:
        return order.state[3] == 1 or order.is_done or order.state[1] == Stage.IN_DOUBT

    def _rivals(self, order: Folded) -> list[Folded]:
        return [
            other for other in self._members(order.group)
            if other.side == order.side and (other.trigger in STOPS) != (order.trigger in STOPS)
        ]  # fmt: skip

    def _members(self, group: int) -> list[Folded]:
        if group < 0:
            return []
        return [order for order in self.judge.journal.orders.values() if order.group == group]

    def on_change(self, change: Change) -> None:
        record, order = change.record, change.order
        if record.kind == Kind.SUSPECTED:
            journal = self.judge.journal.orders.values()
            self.suspects |= {
                one.row for one in journal if one.state[0] == OrdStatus.HELD and one.state[2] == Hold.HOLD_TRIGGER
            }
        elif record.kind == Kind.CLEARED:
            self.suspects.discard(int.from_bytes(record.payload[:4], "little"))
        elif record.kind == Kind.GUARD_EV and record.payload[25] == EXCESS:
            self.excess.add(int.from_bytes(record.payload[8:12], "little"))
        if order is not None and order.group >= 0:
            self.changed[order.group] = None
            if record.kind == Kind.SENT_EV:
                self.suspects.discard(order.row)

    def step(self) -> None:
        """Orders that are ours are cut in the turn of the fill."""
        shard = self.judge.world.node.shard
        if not self.changed or shard is None or shard.state.has_records():
            return
        for group in self.changed:
            members = self._members(group)
            for side in {order.side: None for order in members}:
                self._judge([order for order in members if order.side == side])
        self.changed.clear()

    def _judge(self, members: list[Folded]) -> None:
        """What is filled and what ours may still fill, camp by camp, against the most that the group ever shared."""
        camps = {is_stop: [one for one in members if (one.trigger in STOPS) == is_stop] for is_stop in (False, True)}
        most = max(sum(max(one.whole_qty_e9, one.cum_qty_e9) for one in camp) for camp in camps.values())
        filled = sum(one.cum_qty_e9 for one in members)
        for camp in camps.values():
            still = sum(one.leaves_qty_e9 for one in camp if self._is_ours(one))
            if still > max(0, most - filled):
                names = " ".join(one.name for one in camp)
                raise Broken("I24", f"{names}: {still} may still fill, {max(0, most - filled)} is left of {most}")

    def _is_ours(self, order: Folded) -> bool:
        status, stage, hold, pending, _ = order.state
        if order.row in self.suspects or pending:
            return False
        if status == OrdStatus.HELD:
            return hold != Hold.HOLD_PARENT
        return bool(status == OrdStatus.PENDING_NEW and stage == Stage.QUEUED)

    def at_rest(self) -> None:
        """Exits of an entry took no more than it brought, but for fills that crossed, of which the account was told."""
        ledger, orders = self.judge.ledger, self.judge.journal.orders
        groups: dict[tuple[int, int], list[Folded]] = {}
        for order in orders.values():
            if order.parent >= 0 and order.side != orders[order.parent].side:
                groups.setdefault((order.parent, order.group), []).append(order)
        for (parent, group), exits in groups.items():
            if group < 0:
                continue
            brought = sum(theirs.cum_qty_e9 for theirs in ledger.by_row.get(parent, ()))
            taken = sum(theirs.cum_qty_e9 for one in exits for theirs in ledger.by_row.get(one.row, ()))
            busted = sum(ledger.busted_qty_e9.values())
            camps = [sum(one.whole_qty_e9 for one in exits if (one.trigger in STOPS) == is_stop) for is_stop in (0, 1)]
            if max(camps) > orders[parent].qty_e9:
                continue  # a replace asked for more than the entry has
            if taken > brought + busted and exits[0].account not in self.excess:
                names = " ".join(one.name for one in exits)
                raise Broken("I24", f"{names} took {taken} of the {brought} that {orders[parent].name} brought")
