"""A venue rebuilt from its ledger is the venue that was: whatever its reports suffered on their way."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from brokers.sim import messages as m
from brokers.sim.book import Book, Order
from brokers.sim.exchange import Exchange
from brokers.sim.rebuild import Rebuilder
from tests.property.test_exchange import FAULTS, KEY, History


class Recorded(History):
    """Keeps what a ledger would."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, FAULTS)
        self.lines: list[tuple[str, Any]] = []
        self.exchange.note = lambda key, message: self.lines.append(("fact", message))

    def _new(self) -> m.New:
        new = super()._new()
        self.lines.append(("in", new))
        return new

    def bust(self) -> None:
        if fills := self.exchange.fills_since(KEY, 0):
            fill = Random(len(fills)).choice(fills)
            if any(item.exec == fill.exec for item in self.exchange.orders[KEY, fill.id].exec_list):
                self.exchange.bust(fill.exec, self.now_ns)


def rebuilt(history: Recorded) -> Exchange:
    exchange = Exchange(1, FAULTS, frozenset({"A", "B"}))
    book = Rebuilder(exchange)
    for kind, message in history.lines:
        if kind == "in":
            book.ask(KEY, message)
        elif isinstance(message, m.Fact):
            book.apply(KEY, message)
    book.finish()
    return exchange


def lines_of(exchange: Exchange, side: str) -> dict[str, list[str]]:
    """Who rests on a side, in line."""
    found: dict[str, list[str]] = {}
    for sym, book in exchange.books.items():
        for name, queue in (("", book.bids if side == "buy" else book.asks), (" stops", stops_of(book, side))):
            live = [order.oid for _, place, order in sorted(queue) if order.is_live and order.place == place]
            found[sym + name] = live
    return found


def stops_of(book: Book, side: str) -> list[tuple[int, int, Order]]:
    queue = book.stop_buys if side == "buy" else book.stop_sells
    return [entry for entry in queue if entry[2].status == "held"]


@given(st.integers(0, 2**32))
def test_rebuilt_book_is_the_book(seed: int) -> None:
    history = Recorded(seed)
    for step in range(200):
        history.step()
        if step % 20 == 19:
            history.bust()
    was, now = history.exchange, rebuilt(history)
    assert list(now.orders) == list(was.orders)
    for name, order in was.orders.items():
        again = now.orders[name]
        assert (again.oid, again.status, again.id) == (order.oid, order.status, order.id)
        if order.status != "rejected":
            assert now.state_of(again, 0) == was.state_of(order, 0)
            assert (again.trail_e9, again.trail_bps_e9) == (order.trail_e9, order.trail_bps_e9)
    assert now.fills_since(KEY, 0) == was.fills_since(KEY, 0)
    assert now.positions(KEY) == was.positions(KEY)
    assert (now.exec_seq, now.order_count) == (was.exec_seq, was.order_count)
    assert [order.oid for order in now.open_orders(KEY)] == [order.oid for order in was.open_orders(KEY)]
    for side in ("buy", "sell"):
        assert lines_of(now, side) == lines_of(was, side)
    assert [m.oid for _, _, m in sorted_ends(now)] == [m.oid for _, _, m in sorted_ends(was)]


def sorted_ends(exchange: Exchange) -> list[Any]:
    """Live orders that end by themselves, by when."""
    return sorted((at, order.oid, order) for at, _, order in exchange._timers if order.is_live)
