"""I12: no trigger fires on a price that is stale, crossed or out of line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hotpath.enums import PriceSource
from hotpath.fixed import to_e9
from hotpath.records import Kind
from tests.sim.checkers.folded import EVENT, TRIGGERED, Change
from tests.sim.history import Lived, Tick, decode
from tests.sim.kernel import MS
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge


class Quotes:
    """The evidence of each trigger against the frames that the gateway was given."""

    id = "I12"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.disturbed_ns = -1  # until when a frame may have been read later than it was sent

    def on_lives(self, item: Lived) -> None:
        stood_ns = 0 if item.what == "jump" else max(0, item.by_ns)
        self.disturbed_ns = max(self.disturbed_ns, item.at_ns + stood_ns)

    def on_change(self, change: Change) -> None:
        if change.record.kind != Kind.TRIGGERED or change.order is None:
            return
        px, *rest = TRIGGERED.unpack_from(change.record.payload, EVENT.size)
        symbol, source = self.judge.journal.symbols[change.order.instrument], rest[10]
        waited_ns = self.judge.world.node.clock.wall_ns() - change.record.wall_ns  # for room in the journal's buffer
        at_ns = change.record.at_ns - max(0, waited_ns)
        if change.record.at_ns >= self.disturbed_ns > at_ns:
            return  # the clock was moved meanwhile
        limit_ns = next(i.max_age_ms for i in self.judge.world.config.instruments if i.symbol == symbol) * MS
        faults = set()
        for tick in reversed(self.judge.history.ticks):
            if at_ns - tick.at_ns > limit_ns or tick.at_ns <= self.disturbed_ns:
                break
            if tick.symbol == symbol and price_of(tick, source) == px:
                if not tick.fault:
                    return
                faults.add(tick.fault)
        if at_ns - limit_ns <= self.disturbed_ns and faults <= {"repeat"}:
            return  # it, or what was repeated, may have stood in a queue while the process stood still
        why = f"a {'/'.join(sorted(faults))} frame" if faults else f"nothing of the last {limit_ns // MS} ms"
        raise Broken("I12", f"stop {change.order.name} fired at {px}, which {why} says")


def price_of(tick: Tick, source: int) -> int:
    """What a frame says of one source of prices; 0 for nothing."""
    data: dict[str, Any] = decode(tick.text)["data"]
    if data["e"] == "trade":
        return to_e9(data["p"]) if source == PriceSource.LAST else 0
    bid, ask = to_e9(data["b"]), to_e9(data["a"])
    return {PriceSource.BID: bid, PriceSource.ASK: ask, PriceSource.MID: bid + (ask - bid) // 2}.get(source, 0)  # type: ignore[call-overload, no-any-return]
