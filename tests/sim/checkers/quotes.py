"""I12: no trigger fires on a price that is stale, crossed or out of line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hotpath.enums import PriceSource
from hotpath.fixed import to_e9
from hotpath.records import Kind
from tests.sim.checkers.folded import EVENT, TRIGGERED, Change
from tests.sim.history import Lived, Tick, decode
from tests.sim.kernel import MS, SECOND
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge
WAITED_NS = 5 * SECOND  # how long a record may wait for room, told by a clock that may be moved meanwhile

TRIGGERED_BYTES = 168  # of the record's body
FEED_SIZE_AT = 158  # where it says how long the feed's name is, which follows it


class Quotes:
    """The evidence of each trigger against the frames that the gateway was given."""

    id = "I12"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.jumps: list[tuple[int, int]] = []  # of the wall clock: when, and how far
        self.disturbed_ns = -1  # until when a frame may have been read later than it was sent

    def on_lives(self, item: Lived) -> None:
        stood_ns = 0 if item.what == "jump" else max(0, item.by_ns)
        self.disturbed_ns = max(self.disturbed_ns, item.at_ns + stood_ns)
        if item.what == "jump":
            self.jumps.append((item.at_ns, abs(item.by_ns)))

    def on_change(self, change: Change) -> None:
        if change.record.kind != Kind.TRIGGERED or change.order is None:
            return
        px, *rest = TRIGGERED.unpack_from(change.record.payload, EVENT.size)
        feed = feed_of(change.record.payload)
        names = [options.name for options in self.judge.world.config.feeds]
        symbol, source = self.judge.journal.symbols[change.order.instrument], rest[-2]
        waited_ns = self.judge.world.node.clock.wall_ns() - change.record.wall_ns  # for room in the journal's buffer
        at_ns = change.record.at_ns - max(0, waited_ns)
        if change.record.at_ns >= self.disturbed_ns > at_ns:
            return  # the clock was moved meanwhile
        blur_ns = sum(by_ns for moved_ns, by_ns in self.jumps if moved_ns > change.record.at_ns - WAITED_NS)
        limit_ns = blur_ns + next(i.max_age_ms for i in self.judge.world.config.instruments if i.symbol == symbol) * MS
        faults = set()
        for tick in reversed(self.judge.history.ticks):
            if at_ns - tick.at_ns > limit_ns or tick.at_ns <= self.disturbed_ns:
                break
            if tick.is_heard and tick.symbol == symbol and names[tick.feed] == feed and price_of(tick, source) == px:
                if not tick.fault and not tick.is_late:
                    return
                faults.add(tick.fault or "late")
        if at_ns - limit_ns <= self.disturbed_ns and faults <= {"repeat"}:
            return  # it, or what was repeated, may have stood in a queue while the process stood still
        why = f"a {'/'.join(sorted(faults))} frame" if faults else f"nothing of the last {limit_ns // MS} ms"
        raise Broken("I12", f"stop {change.order.name} fired at {px} of feed {feed}, which {why} says")


def feed_of(payload: bytes) -> str:
    """Name of the feed in the evidence of a trigger."""
    at = EVENT.size + TRIGGERED_BYTES
    return payload[at : at + payload[EVENT.size + FEED_SIZE_AT]].decode()


def price_of(tick: Tick, source: int) -> int:
    """What a frame says of one source of prices; 0 for nothing."""
    data: dict[str, Any] = decode(tick.text)["data"]
    if data["e"] == "trade":
        return to_e9(data["p"]) if source == PriceSource.LAST else 0
    bid, ask = to_e9(data["b"]), to_e9(data["a"])
    return {PriceSource.BID: bid, PriceSource.ASK: ask, PriceSource.MID: bid + (ask - bid) // 2}.get(source, 0)  # type: ignore[call-overload, no-any-return]
