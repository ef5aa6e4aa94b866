"""The venue's own record folded into its orders: what really exists at the broker, whoever believes what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from brokers.ids import decode_broker_id
from brokers.sim import messages as m
from hotpath.fixed import to_e9
from tests.sim.history import Fact, Reached


@dataclass(slots=True)
class VenueOrder:
    """One order at the venue, all its revisions."""

    id: str  # under which it came
    row: int  # of the gateway's order that the id names; -1: not one of ours
    life: int  # of the gateway when it came
    sym: str
    side: str
    qty_e9: int
    px: str | None
    oids: list[str] = field(default_factory=list)
    cum_qty_e9: int = 0
    status: str = "asked"  # asked, live, filled, canceled, expired, rejected
    fills: dict[str, int] = field(default_factory=dict)

    @property
    def is_live(self) -> bool:
        return self.status == "live"


class Ledger:
    """Folds what reached the venue and what it made of it."""

    def __init__(self) -> None:
        self.orders: dict[str, VenueOrder] = {}  # by every id that it had
        self.by_row: dict[int, list[VenueOrder]] = {}
        self.by_exec: dict[str, VenueOrder] = {}
        self.busted_qty_e9: dict[str, int] = {}  # by symbol

    def reached(self, item: Reached) -> VenueOrder | None:
        """A message that came; the order that a new one names."""
        new = item.message
        if type(new) is not m.New:
            return None
        known = self.orders.get(new.id)
        if known is not None:
            return known
        parts = decode_broker_id(new.id.encode())
        row = -1 if parts is None else parts[2]
        order = VenueOrder(new.id, row, item.life, new.sym, new.side, to_e9(new.qty), new.px)
        self.orders[new.id] = order
        self.by_row.setdefault(row, []).append(order)
        return order

    def _turned_away(self, order: VenueOrder) -> None:
        """At the door: the venue has no such order, and its id is as good as before."""
        if order.status == "asked":
            del self.orders[order.id]
            self.by_row[order.row].remove(order)

    def fact(self, item: Fact) -> VenueOrder | None:
        """What the venue made of it."""
        fact: Any = item.message
        if type(fact) is m.Replaced:
            order = self.orders[fact.id] = self.orders[fact.orig]
            order.qty_e9, order.px = to_e9(fact.qty), fact.px
            return order
        order_or_none = self.orders.get(fact.id)
        if order_or_none is None:
            return None
        order = order_or_none
        if type(fact) is m.Ack:
            order.oids.append(fact.oid)
            if order.status == "asked":
                order.status = "live"
        elif type(fact) is m.Fill:
            order.fills[fact.exec] = to_e9(fact.qty)
            self.by_exec[fact.exec] = order
            order.cum_qty_e9 = to_e9(fact.cum)
            order.status = "filled" if order.cum_qty_e9 >= order.qty_e9 else "live"
        elif type(fact) is m.Busted:
            qty_e9 = order.fills.pop(fact.exec, 0)
            order.cum_qty_e9 -= qty_e9
            self.busted_qty_e9[order.sym] = self.busted_qty_e9.get(order.sym, 0) + qty_e9
        elif type(fact) is m.Canceled or type(fact) is m.Expired:
            order.status = "canceled" if type(fact) is m.Canceled else "expired"
        elif type(fact) is m.Rejected and fact.reason == "throttled":
            self._turned_away(order)
        elif type(fact) is m.Rejected and order.status == "asked":
            order.status = "rejected"
        return order
