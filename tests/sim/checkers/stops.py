"""I11: a stop whose price was traded through goes out inside the budget from that tick, as one order, and once only.

One that asks to be confirmed goes out when enough updates in a row, or enough time, have said so, and never before.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from brokers.sim import messages as m
from hotpath.enums import Hold, OrdStatus, PriceSource
from hotpath.fixed import to_e9
from hotpath.records import Kind
from tests.sim.checkers.folded import EVENT, TICKS_AT, Change
from tests.sim.checkers.trails import Loosest
from tests.sim.history import Lived, Reached, Tick, decode
from tests.sim.kernel import MS
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge
    from tests.sim.checkers.folded import Folded

BUDGET_NS = 500 * MS
LEAD_NS = 1_200 * MS  # silence after which a feed leads no more: the instruments' limit, and the time between two looks
Terms = tuple[int, int, int]
NEAR_BPS = 10  # a print this near to the last sound quote is one that nobody may doubt


@dataclass(slots=True)
class Run:
    """Prices in a row that found an order through."""

    clear_ns: int  # of the last one that did not
    ticks: int = 0
    since_ns: int = 0  # of the first


class Stops:
    """Sound ticks against the stops that rest, by a judgement of its own; and what reached the venue of each stop."""

    id = "I11"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.due: dict[int, tuple[Terms, int]] = {}  # order -> (its trigger's terms, until when it must have fired)
        self.trails = Loosest(judge)
        self.runs: dict[int, Run] = {}  # by order, from a sound price on that was not through
        self.unsure_ns: dict[str, int] = {}  # symbol -> last frame of which nobody can say whether it was judged
        self.stood_ns = -LEAD_NS  # until when the process, or its clock, stood: silence is measured by that
        # (symbol, feed, its connection) -> (time, bid, ask) of the last sound quote
        self.quotes: dict[tuple[str, int, int], tuple[int, int, int]] = {}

    def on_reached(self, item: Reached) -> None:
        if type(item.message) is not m.New:
            return
        row = self.judge.ledger.orders[item.message.id].row
        order, sent = self.judge.journal.orders.get(row), self.judge.ledger.by_row[row]
        if order is not None and order.trigger and len(sent) > 1:
            raise Broken("I11", f"stop {order.name} went out {len(sent)} times: {' '.join(one.id for one in sent)}")

    def on_lives(self, item: Lived) -> None:
        """The process ended or stood still: what is due then is the restart's to settle."""
        self.due.clear()
        self.quotes.clear()
        self.trails.clear()
        self.runs.clear()
        self.stood_ns = max(self.stood_ns, item.at_ns + max(0, item.by_ns))

    def on_change(self, change: Change) -> None:
        """Whether an order that fires has been confirmed as it asked."""
        order, record = change.order, change.record
        if order is None or record.kind not in (Kind.REPLACED, Kind.TRIGGERED):
            return
        run = self.runs.pop(order.row, None)
        if record.kind == Kind.REPLACED or not (order.confirm_ticks or order.confirm_ns):
            return
        (told,) = struct.unpack_from("<I", record.payload, EVENT.size + TICKS_AT)
        if told < order.confirm_ticks:
            raise Broken("I11", f"stop {order.name} fired on {told} updates of {order.confirm_ticks}")
        if run is None or record.wall_ns != self.judge.world.node.clock.wall_ns():
            return  # nobody saw it not through; or the record waited for room in the journal's buffer
        if self.unsure_ns.get(self.judge.journal.symbols[order.instrument], -1) >= run.clear_ns:
            return  # a frame since then may have counted, or not
        if run.ticks + 1 < order.confirm_ticks:  # this very update is told after its records
            raise Broken("I11", f"stop {order.name} fired {run.ticks} updates after it was through")
        since_ns = run.since_ns if run.ticks else record.at_ns
        if record.at_ns - since_ns < order.confirm_ns:
            raise Broken("I11", f"stop {order.name} fired {record.at_ns - since_ns} ns after it was through")

    def on_ticks(self, item: Tick) -> None:
        node = self.judge.world.node
        shard = node.shard
        # a wild one with a higher number, or another feed's copy, came before it
        is_unsure = item.is_late or item.fault or not item.is_heard or node.is_paused or not self._must_count(item)
        if is_unsure:
            self.unsure_ns[item.symbol] = item.at_ns
        if is_unsure or shard is None or not shard.engine.is_admitting:
            return
        prices = self._prices(item, decode(item.text)["data"])
        for order in self.judge.journal.orders.values():
            is_armed = order.state[0] == OrdStatus.HELD and order.state[2] == Hold.HOLD_TRIGGER
            since_ns = max(order.accepted_ns, order.released_ns)
            if is_armed and order.row not in self.due and since_ns < item.at_ns:
                px = prices.get(order.source, 0)
                if not px or self.judge.journal.symbols[order.instrument] != item.symbol:
                    continue
                is_through = self._is_through(order, px)
                if order.trail_e9:
                    if is_through:
                        self.due[order.row] = (_terms(order), item.at_ns + BUDGET_NS)
                    elif order.is_trailing:
                        self.trails.on_price(order, px)
                else:
                    self._judge(order, is_through, item.at_ns)

    def _must_count(self, item: Tick) -> bool:
        """Where two venues are heard, one leads: a price must fire only where the other has been silent for long."""
        market = self.judge.world.market
        here = market.lines[item.feed].market
        others = [line.number for line in market.lines if line.market != here]
        if others and item.at_ns - self.stood_ns < LEAD_NS:
            return False
        return all(item.at_ns - market.heard_ns.get((at, item.symbol), -LEAD_NS) >= LEAD_NS for at in others)

    def _judge(self, order: Folded, is_through: bool, at_ns: int) -> None:
        """What a sound price of an order's source says of it."""
        if not is_through:
            self.runs[order.row] = Run(at_ns)
            return
        run = self.runs.get(order.row)
        if run is not None:
            run.ticks += 1
            run.since_ns = run.since_ns or at_ns
        ticks = 1 if run is None else run.ticks
        if ticks >= order.confirm_ticks and not order.confirm_ns and not order.is_rearmed:
            self.due[order.row] = (_terms(order), at_ns + BUDGET_NS)

    def _is_through(self, order: Folded, px: int) -> bool:
        stop_e9 = self.trails.at(order) if order.is_trailing else order.stop_px_e9
        if not stop_e9 or (order.trail_e9 and not order.is_trailing):
            return False  # without a price, or one that only makes it active
        return px <= stop_e9 if order.fires_down else px >= stop_e9

    def _prices(self, item: Tick, data: dict[str, Any]) -> dict[int, int]:
        if data["e"] == "trade":
            px, (at_ns, bid, ask) = to_e9(data["p"]), self.quotes.get(_line(item), (-1, 0, 0))
            margin = px * NEAR_BPS // 10_000
            is_near = at_ns >= 0 and bid - margin <= px <= ask + margin
            return {PriceSource.LAST: px} if is_near else {}
        bid, ask = to_e9(data["b"]), to_e9(data["a"])
        self.quotes[_line(item)] = (item.at_ns, bid, ask)
        if bid >= ask:
            return {}
        return {PriceSource.BID: bid, PriceSource.ASK: ask, PriceSource.MID: bid + (ask - bid) // 2}

    def step(self) -> None:
        if not self.due:
            return
        now_ns, shard = self.judge.now_ns, self.judge.world.node.shard
        if shard is None or not shard.engine.is_admitting or shard.engine.is_backed_up:
            self.due.clear()
            return
        for row, (terms, until_ns) in list(self.due.items()):
            order = self.judge.journal.orders.get(row)
            is_armed = order is not None and order.state[::2][:2] == (OrdStatus.HELD, Hold.HOLD_TRIGGER)
            if order is None or not is_armed or _terms(order) != terms:
                del self.due[row]
            elif now_ns > until_ns:
                raise Broken("I11", f"stop {order.name} at {terms} was traded through and has not fired")


def _terms(order: Folded) -> Terms:
    """What a replace of the trigger changes."""
    return order.stop_px_e9, order.trail_e9, order.trail_unit


def _line(tick: Tick) -> tuple[str, int, int]:
    return tick.symbol, tick.feed, tick.connection
