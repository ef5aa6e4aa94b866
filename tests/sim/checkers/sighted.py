"""I25: nobody is told that an instrument is blind while a feed of it is alive and brings what is new."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from hotpath.records import Kind
from tests.sim.checkers.folded import Change
from tests.sim.history import Lived
from tests.sim.kernel import MS
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge

GUARD = struct.Struct("<QIIqBBBBHHBBH4x")  # AccountEvent, then symbol, cause and orders
BLIND = 2


class Sighted:
    """The `guard` records against the frames that each feed was heard to give."""

    id = "I25"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.disturbed_ns = -1  # until when a frame may have been read later than it was sent

    def on_lives(self, item: Lived) -> None:
        stood_ns = 0 if item.what == "jump" else max(0, item.by_ns)
        self.disturbed_ns = max(self.disturbed_ns, item.at_ns + stood_ns)

    def on_change(self, change: Change) -> None:
        record = change.record
        if record.kind != Kind.GUARD_EV:
            return
        _, account, _, _, _, state, _, _, cause_size, symbol_size, *_ = GUARD.unpack_from(record.payload)
        symbol = record.payload[GUARD.size : GUARD.size + symbol_size].decode()
        cause = record.payload[GUARD.size + symbol_size : GUARD.size + symbol_size + cause_size]
        if state != BLIND or cause != b"feed silent":
            return
        limit_ns = next(i.max_age_ms for i in self.judge.world.config.instruments if i.symbol == symbol) * MS
        if strict := self._strict_ns(account, symbol):
            if len({line.market for line in self.judge.world.market.lines}) > 1:
                return  # another venue takes the lead by the instrument's limit, not by that of an order
            limit_ns = min(limit_ns, *strict)
        waited_ns = self.judge.world.node.clock.wall_ns() - record.wall_ns  # for room in the journal's buffer
        at_ns = record.at_ns - max(0, waited_ns)
        for tick in reversed(self.judge.history.ticks):
            if at_ns - tick.at_ns > limit_ns or tick.at_ns <= self.disturbed_ns:
                return
            if tick.symbol == symbol and tick.is_heard and tick.at_ns <= at_ns and not tick.fault and not tick.is_late:
                name = self.judge.world.config.feeds[tick.feed].name
                raise Broken("I25", f"{symbol} is called blind {(at_ns - tick.at_ns) // MS} ms after feed {name} spoke")

    def _strict_ns(self, account: int, symbol: str) -> list[int]:
        """Limits that orders of the account there have of their own."""
        journal = self.judge.journal
        return [
            order.max_age_ns
            for order in journal.orders.values()
            if order.max_age_ns and order.account == account and journal.symbols[order.instrument] == symbol
        ]
