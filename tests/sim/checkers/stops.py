"""I11: a stop whose price was traded through goes out inside the budget from that tick, as one order, and once only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from brokers.sim import messages as m
from hotpath.enums import OrdStatus, PriceSource
from hotpath.fixed import to_e9
from tests.sim.history import Lived, Reached, Tick, decode
from tests.sim.kernel import MS
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge
    from tests.sim.checkers.folded import Folded

BUDGET_NS = 500 * MS
NEAR_BPS = 10  # a print this near to the last sound quote is one that nobody may doubt


class Stops:
    """Sound ticks against the stops that rest, by a judgement of its own; and what reached the venue of each stop."""

    id = "I11"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        self.due: dict[int, tuple[int, int]] = {}  # order -> (stop price, until when it must have fired)
        self.newest: dict[tuple[str, str], int] = {}  # (symbol, kind of frame) -> highest number so far
        self.quotes: dict[str, tuple[int, int, int]] = {}  # symbol -> (time, bid, ask) of the last sound quote

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

    def on_ticks(self, item: Tick) -> None:
        node = self.judge.world.node
        shard = node.shard
        data: dict[str, Any] = decode(item.text)["data"]
        number, kind = data.get("u", data.get("t")), (item.symbol, data["e"])
        if number <= self.newest.get(kind, 0):
            return  # a wild one with a higher number came before it
        self.newest[kind] = number
        if item.fault or shard is None or node.is_paused or not shard.feeds_up or not shard.engine.is_admitting:
            return
        prices = self._prices(item, data)
        for order in self.judge.journal.orders.values():
            if order.state[0] == OrdStatus.HELD and order.row not in self.due and order.accepted_ns < item.at_ns:
                px = prices.get(order.source, 0)
                if px and self._is_through(order, px, item.symbol):
                    self.due[order.row] = (order.stop_px_e9, item.at_ns + BUDGET_NS)

    def _is_through(self, order: Folded, px: int, symbol: str) -> bool:
        if self.judge.journal.symbols[order.instrument] != symbol or not order.stop_px_e9:
            return False
        return px <= order.stop_px_e9 if order.fires_down else px >= order.stop_px_e9

    def _prices(self, item: Tick, data: dict[str, Any]) -> dict[int, int]:
        if data["e"] == "trade":
            px, (at_ns, bid, ask) = to_e9(data["p"]), self.quotes.get(item.symbol, (-1, 0, 0))
            margin = px * NEAR_BPS // 10_000
            is_near = at_ns >= 0 and bid - margin <= px <= ask + margin
            return {PriceSource.LAST: px} if is_near else {}
        bid, ask = to_e9(data["b"]), to_e9(data["a"])
        self.quotes[item.symbol] = (item.at_ns, bid, ask)
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
        for row, (stop_px_e9, until_ns) in list(self.due.items()):
            order = self.judge.journal.orders.get(row)
            if order is None or order.state[0] != OrdStatus.HELD or order.stop_px_e9 != stop_px_e9:
                del self.due[row]
            elif now_ns > until_ns:
                raise Broken("I11", f"stop {order.name} at {stop_px_e9} was traded through and has not fired")
