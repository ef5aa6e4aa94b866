"""I11 for trailing stops: where each must at least be, where it can at most be, and that it never loosens.

Between the two lies what nobody outside can know: which frames the gateway took for sound, and what a crash took back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hotpath.enums import OrdStatus, PriceSource
from hotpath.fixed import to_e9
from hotpath.records import Kind
from tests.sim.checkers.folded import EVENT, TRAILED, TRIGGERED, Change, Folded
from tests.sim.history import Lived, Tick, decode
from tests.sim.kernel import SECOND
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge

BPS_ONE = 10_000 * 10**9
IN_FORCE_NS = 120 * SECOND  # no price is in force for longer, a suspension of the machine included


def stop_of(order: Folded, extreme_e9: int, tick_e9: int) -> int:
    """Where an extreme puts the order's stop, on the tick and away from the market."""
    sign = -1 if order.fires_down else 1
    if order.trail_unit:
        exact, unit = extreme_e9 * (BPS_ONE + sign * order.trail_e9), BPS_ONE * tick_e9
    else:
        exact, unit = extreme_e9 + sign * order.trail_e9, tick_e9
    return (exact // unit if order.fires_down else -(-exact // unit)) * tick_e9


def is_tighter(order: Folded, stop_e9: int, than_e9: int) -> bool:
    """Whether the stop is nearer to the market."""
    return stop_e9 > than_e9 if order.fires_down else stop_e9 < than_e9


def prices_of(item: Tick) -> dict[int, tuple[int, int]]:
    """By source: the lowest and the highest price that the frame can stand for, sound or not."""
    data: dict[str, Any] = decode(item.text)["data"]
    if data["e"] == "trade":
        return {int(PriceSource.LAST): (to_e9(data["p"]),) * 2}
    bid, ask = to_e9(data["b"]), to_e9(data["a"])
    around = min(bid, ask), max(bid, ask)
    return {PriceSource.BID: (bid, bid), PriceSource.ASK: (ask, ask), PriceSource.MID: around}


class Loosest:
    """The stop that each trailing order has at least: by sound prices since it trails in this life."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.stops: dict[int, tuple[int, int, int]] = {}  # order -> (distance, unit, stop)

    def clear(self) -> None:
        """The process ended: how much of this it kept is not known from outside."""
        self.stops.clear()

    def at(self, order: Folded) -> int:
        """Its stop before the present price; 0 when it has none that is certain."""
        distance_e9, unit, stop_e9 = self.stops.get(order.row, (0, 0, 0))
        return stop_e9 if (distance_e9, unit) == (order.trail_e9, order.trail_unit) else 0

    def on_price(self, order: Folded, px_e9: int) -> None:
        """A sound price of the order's source."""
        stop_e9 = stop_of(order, px_e9, self.judge.journal.ticks_e9[order.instrument])
        before_e9 = self.at(order)
        if not before_e9 or is_tighter(order, stop_e9, before_e9):
            self.stops[order.row] = order.trail_e9, order.trail_unit, stop_e9


class Trails:
    """No stop is tighter than the best price since its order came allows, and none that was told loosens in a life."""

    id = "I11"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.most: dict[int, tuple[int, int]] = {}  # order -> lowest and highest price of its source since it came
        self.told: dict[int, int] = {}

    def on_lives(self, item: Lived) -> None:
        """After a crash a stop is where the last mark on disk put it: what was told may have been ahead of that."""
        self.told.clear()

    def on_ticks(self, item: Tick) -> None:
        prices = prices_of(item)
        for order in self.judge.journal.orders.values():
            if order.trail_e9 and order.state[0] == OrdStatus.HELD and order.source in prices:
                self._widen(order, item, prices)

    def _widen(self, order: Folded, item: Tick, prices: dict[int, tuple[int, int]]) -> None:
        if self.judge.journal.symbols[order.instrument] == item.symbol and order.source in prices:
            low, high = prices[order.source]
            before = self.most.get(order.row, (low, high))
            self.most[order.row] = min(before[0], low), max(before[1], high)

    def _begin(self, order: Folded, at_ns: int) -> None:
        """The order has come: whatever may still be the price in force counts, it may be judged for another order."""
        self.most.pop(order.row, None)  # a crash may have taken back the order that had its row
        self.told.pop(order.row, None)
        self._look_back(order, at_ns - IN_FORCE_NS)

    def _look_back(self, order: Folded, since_ns: int) -> None:
        for item in reversed(self.judge.history.ticks):
            if item.at_ns < since_ns:
                break
            self._widen(order, item, prices_of(item))

    def on_change(self, change: Change) -> None:
        order, kind = change.order, change.record.kind
        if order is None or not order.trail_e9:
            return
        if kind == Kind.ACCEPTED:
            self._begin(order, change.record.at_ns)
        elif kind in (Kind.TRIGGERED, Kind.TRAILED):  # the frame that did it is told after its record
            self._look_back(order, change.record.at_ns)
        if kind == Kind.REPLACED:
            self.told.pop(order.row, None)
        elif kind == Kind.TRIGGERED:
            self._allowed(order, TRIGGERED.unpack_from(change.record.payload, EVENT.size)[10])
        elif kind == Kind.TRAILED:
            stop_e9, _, _ = TRAILED.unpack_from(change.record.payload, EVENT.size)
            self._allowed(order, stop_e9)
            if order.row in self.told and not is_tighter(order, stop_e9, self.told[order.row]):
                raise Broken("I11", f"stop {order.name} went from {self.told[order.row]} to {stop_e9}: it loosened")
            self.told[order.row] = stop_e9

    def _allowed(self, order: Folded, stop_e9: int) -> None:
        if order.had_other_trail or order.row not in self.most:
            return
        low, high = self.most[order.row]
        best = stop_of(order, high if order.fires_down else low, self.judge.journal.ticks_e9[order.instrument])
        if is_tighter(order, stop_e9, best):
            raise Broken("I11", f"stop {order.name} stood at {stop_e9}, beyond {best}: no price had put it there")
