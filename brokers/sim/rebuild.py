"""The venue's book from its own ledger: orders survive a restart of the venue, as they do at a broker."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from brokers.sim import messages as m
from brokers.sim.book import Book, Order
from brokers.sim.exchange import STOPS, Exchange, trail_of
from hotpath.fixed import to_e9


class Line(msgspec.Struct, gc=False):
    """One line of the ledger."""

    dir: Literal["in", "out", "fact"]
    ts: int
    key: str
    msg: msgspec.Raw


_line = msgspec.json.Decoder(Line)
_request = msgspec.json.Decoder(m.Request)
_fact = msgspec.json.Decoder(m.Fact)


def rebuild(exchange: Exchange, ledger: Path) -> int:
    """Fold the ledger's facts into an empty exchange; returns how many there were."""
    book = Rebuilder(exchange)
    with ledger.open("rb") as lines:
        for text in lines:
            line = _line.decode(text)
            if line.dir == "in":
                book.ask(line.key, _request.decode(line.msg))
            elif line.dir == "fact":
                book.apply(line.key, _fact.decode(line.msg))
    book.finish()
    return book.facts


class Rebuilder:
    """Applies what was asked (for the terms) and what came of it (for all else)."""

    def __init__(self, exchange: Exchange) -> None:
        self.facts = 0
        self._exchange = exchange
        self._asked: dict[tuple[str, str], m.New] = {}
        self._orders: list[Order] = []

    def ask(self, key: str, request: m.Message) -> None:
        """Only a `new` states what no fact says again. One that a quirk swallowed may be sent again: the last holds."""
        if isinstance(request, m.New) and (key, request.id) not in self._exchange.orders:
            self._asked[key, request.id] = request

    def apply(self, key: str, fact: m.Message) -> None:
        """One fact, in the order in which they were made."""
        self.facts += 1
        if isinstance(fact, m.Rejected):
            self._rejected(key, fact)
        elif isinstance(fact, m.Ack):
            self._order(key, fact.id, fact.oid)
        elif isinstance(fact, m.Fill):
            self._exchange.book_fill(self._order(key, fact.id, fact.oid), fact)
        elif isinstance(fact, m.Trailed):
            self._order(key, fact.id, fact.oid).stop_px_e9 = to_e9(fact.stop)
        elif isinstance(fact, m.Triggered):
            order = self._order(key, fact.id, fact.oid)
            order.status, order.place = "new", self._exchange.next_place()
        elif isinstance(fact, m.Replaced):
            self._replaced(key, fact)
        elif isinstance(fact, m.Busted):
            self._exchange.break_fill(fact.exec)
        elif isinstance(fact, m.Canceled | m.Expired):
            order = self._order(key, fact.id, fact.oid)
            order.status = "canceled" if isinstance(fact, m.Canceled) else "expired"

    def _order(self, key: str, id: str, oid: str) -> Order:
        """The order, made when it is first heard of (its fill may come before its `ack`)."""
        exchange = self._exchange
        order = exchange.orders.get((key, id))
        if order is not None:
            return order
        new = self._asked.pop((key, id))
        order = exchange.orders[key, id] = Order(key, id, oid, new.sym, new.side)
        order.tif, order.expire_ns = new.tif, new.exp
        order.qty_e9 = to_e9(new.qty)
        order.is_market = new.type in ("market", "stop")
        if new.type in STOPS:
            order.status, order.stop_px_e9 = "held", to_e9(new.stop or "0")
            order.trail_e9, order.trail_bps_e9 = trail_of(new)
        order.px_e9 = 0 if order.is_market else to_e9(new.px or "0")
        order.place = exchange.next_place()
        exchange.order_count = int(oid[1:])
        self._orders.append(order)
        return order

    def _rejected(self, key: str, fact: m.Rejected) -> None:
        if fact.reason == "throttled":  # turned away at the door: the name is as free as before
            return
        if (key, fact.id) in self._exchange.orders:  # a name that was used before: its order stands
            return
        new = self._asked.pop((key, fact.id))
        self._exchange.order_count += 1
        order = Order(key, fact.id, f"V{self._exchange.order_count}", new.sym, new.side)
        order.status = "rejected"
        self._exchange.orders[key, fact.id] = order

    def _replaced(self, key: str, fact: m.Replaced) -> None:
        order = self._exchange.orders[key, fact.id] = self._exchange.orders[key, fact.orig]
        qty_e9, px_e9 = to_e9(fact.qty), to_e9(fact.px)
        stop_px_e9 = to_e9(fact.stop) if order.status == "held" else order.stop_px_e9
        trail = to_e9(fact.trail), to_e9(fact.trail_bps)
        before = order.px_e9, order.stop_px_e9, (order.trail_e9, order.trail_bps_e9)
        if qty_e9 > order.qty_e9 or (px_e9, stop_px_e9, trail) != before:
            order.place = self._exchange.next_place()
        order.trail_e9, order.trail_bps_e9 = trail
        order.id, order.qty_e9, order.px_e9, order.stop_px_e9 = fact.id, qty_e9, px_e9, stop_px_e9

    def finish(self) -> None:
        """Put what is live back into line."""
        for order in sorted(self._orders, key=lambda order: order.place):
            if not order.is_live:
                continue
            book = self._exchange.books.setdefault(order.sym, Book())
            if order.status == "held":
                book.hold(order, order.place)
            elif order.tif in ("ioc", "fok"):  # never rests: the line that ended it was cut off
                order.status = "expired"
                continue
            else:
                book.rest(order, order.place)
            self._exchange.note_end(order)
