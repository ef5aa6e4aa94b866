"""I9: whatever the broker fills, no position passes its limit: position + leaves + in doubt + owed, on either side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brokers.sim import messages as m
from hotpath.fixed import to_e9
from tests.sim.history import Fact, Reached
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge
    from tests.sim.checkers.ledger import VenueOrder


class Exposure:
    """At the venue, each time that an order comes or grows: what there is plus all that is open there, filled at once.

    Orders that are bound to reduce are left out: the release of a stop may pass limits that an entry may not. What such
    an order takes from the position after the entry's own check is allowed for, and what was busted, since the broker
    takes it back without asking.
    """

    id = "I9"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def on_reached(self, item: Reached) -> None:
        if type(item.message) is m.New:
            self._judge(self.judge.ledger.orders[item.message.id])

    def on_facts(self, item: Fact) -> None:
        if type(item.message) is m.Replaced:
            self._judge(self.judge.ledger.orders[item.message.id])

    def _judge(self, order: VenueOrder) -> None:
        journal, ledger = self.judge.journal, self.judge.ledger
        ours = journal.orders.get(order.row)
        if ours is None or ours.reduce_only or order.status not in ("asked", "live"):
            return
        position = still_open = reduced = 0
        for row, theirs in ledger.by_row.items():
            known = journal.orders.get(row)
            if known is None or (known.account, known.instrument) != (ours.account, ours.instrument):
                continue
            for one in theirs:
                position += one.cum_qty_e9 if one.side == "buy" else -one.cum_qty_e9
                if one.side == order.side and known.reduce_only and known.checked_seq > ours.checked_seq:
                    reduced += one.cum_qty_e9
                if one.side == order.side and one.status in ("asked", "live") and not known.reduce_only:
                    still_open += one.qty_e9 - one.cum_qty_e9
        worst = position + still_open if order.side == "buy" else still_open - position
        limit = to_e9(self.judge.world.config.accounts[ours.account].limits.max_position_qty)  # type: ignore[union-attr]
        allowed = limit + reduced + ledger.busted_qty_e9.get(order.sym, 0)
        if worst > allowed:
            raise Broken("I9", f"{ours.name}: worst case {worst}, allowed {allowed} (position {position})")
