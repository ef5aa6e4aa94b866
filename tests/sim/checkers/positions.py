"""I5: once all is reconciled, our fills are the broker's, order by order, and so are the positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge


class Positions:
    """The folded journal against the venue's ledger."""

    id = "I5"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def at_rest(self) -> None:
        journal, ledger = self.judge.journal, self.judge.ledger
        for row, order in journal.orders.items():
            theirs = sum(there.cum_qty_e9 for there in ledger.by_row.get(row, ()))
            if theirs != order.cum_qty_e9:
                raise Broken("I5", f"{order.name}: filled {order.cum_qty_e9} here, {theirs} at the broker")
        if strangers := [row for row in ledger.by_row if row not in journal.orders]:
            raise Broken("I5", f"the broker has orders of rows {strangers}, which no journal has")
