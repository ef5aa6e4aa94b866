"""Checks a stream of events against the life of an order: the table and the invariants of order-api.md, section 7."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

Event = dict[str, Any]

OPEN = ("held", "pending_new", "new", "partially_filled")
DONE = ("filled", "canceled", "expired", "rejected")
ASKED = ("pending_cancel", "cancel_rejected", "pending_replace", "replace_rejected")
ENDS = {"canceled": ("canceled",), "expired": ("expired",), "rejected": ("rejected",)}
WORKING = ("new", "partially_filled")

# From a status: what may happen, and what the order may be after it.
TABLE: dict[str, dict[str, tuple[str, ...]]] = {
    "": {"accepted": ("held", "pending_new"), "restated": (*WORKING, *DONE)},
    "held": {
        **ENDS,
        "released": ("pending_new", "held"),
        "pending_cancel": ("pending_new",),  # it may have fired before a crash
        "triggered": ("pending_new", "held"),
        **dict.fromkeys(("replaced", "trailed", "adjusted"), ("held",)),
        "restated": WORKING,  # the broker fills what never left
    },
    "pending_new": {
        **ENDS,
        **dict.fromkeys(("sent", "in_doubt", "replaced", *ASKED), ("pending_new",)),
        "requeued": ("pending_new", "held"),
        "new": ("new",),
        "trade": ("partially_filled", "filled"),
        "restated": (*WORKING, *DONE),
    },
}
for _status in WORKING:
    TABLE[_status] = {
        **ENDS,
        **dict.fromkeys(("replaced", "triggered", "trailed", "adjusted", "sent", *ASKED), (_status,)),
        "trade": ("partially_filled", "filled"),
        "trade_corrected": WORKING,
        "trade_canceled": WORKING,
        "restated": (*WORKING, *DONE),
    }
for _status in DONE:
    TABLE[_status] = {
        **dict.fromkeys(("trade", "trade_corrected", "trade_canceled"), (_status, "filled")),
        "restated": (_status, "filled", *WORKING),  # one that we call done may work at the broker: the truth is adopted
    }


class StreamError(Exception):
    """An event that the life of an order does not allow."""


class StreamLint:
    """Feed it each event of the accounts in order; the first one that breaks a rule raises StreamError."""

    def __init__(self) -> None:
        self._seq: dict[str, int] = {}
        self._orders: dict[tuple[str, str], Event] = {}
        self._qty: dict[tuple[str, str], tuple[Decimal, bool]] = {}
        self._traded: dict[tuple[str, str], Decimal] = {}
        self._exec_ids: set[tuple[str, str]] = set()
        self._positions: dict[tuple[str, str], Decimal] = {}
        self._symbols: dict[tuple[str, str], tuple[str, int]] = {}
        self.count = 0

    def begin_at(self, account: str, seq: int) -> None:
        """Start behind a snapshot: numbers go on from ``seq``, and orders from before it are not judged."""
        self._seq[account] = seq

    def feed(self, event: Event) -> None:
        """Judge one event; repeated answers (``dup``) are no events of the stream."""
        if event.get("dup"):
            return
        account, seq = event["account"], event["seq"]
        if seq != self._seq.get(account, 0) + 1:
            raise StreamError(f"{account}: seq {seq} after {self._seq.get(account, 0)}")
        self._seq[account] = seq
        self.count += 1
        if "cl_ord_id" in event:
            self._order(event, (account, event["cl_ord_id"]))

    def feed_all(self, events: Iterable[Event]) -> int:
        """Judge many; returns how many events were judged so far."""
        for event in events:
            self.feed(event)
        return self.count

    def _order(self, event: Event, key: tuple[str, str]) -> None:
        before = self._orders.get(key)
        kind, status = event["t"], event["ord_status"]
        since = before["ord_status"] if before else ""
        if status not in TABLE[since].get(kind, ()):
            raise self._broken(event, f"{kind} leads from {since or 'nothing'} to {status}")
        if before and event["rev"] < before["rev"]:
            raise self._broken(event, f"rev falls from {before['rev']}")
        if since in DONE and kind == "trade" and not event.get("late"):
            raise self._broken(event, "a fill after the end is not marked late")
        if ("stage" in event) != (status == "pending_new"):
            raise self._broken(event, "stage belongs to pending_new and to nothing else")
        self._terms(event, key)
        self._fills(event, key)
        self._quantities(event, key)
        self._orders[key] = event

    def _terms(self, event: Event, key: tuple[str, str]) -> None:
        order = event.get("order")
        if event["t"] == "adjusted":
            order = event["after"]
        if event["t"] == "released" and key in self._qty:  # what its parent lets live of it
            self._qty[key] = (Decimal(event["cum_qty"]) + Decimal(event["leaves_qty"]), self._qty[key][1])
        if order is not None:
            self._qty[key] = (Decimal(order["qty"]), order["reduce_only"])
            self._symbols[key] = (order["symbol"], 1 if order["side"] == "buy" else -1)

    def _fills(self, event: Event, key: tuple[str, str]) -> None:
        kind = event["t"]
        moved = Decimal(0)
        if kind == "trade":
            exec_key = (key[0], event["exec_id"])
            if exec_key in self._exec_ids:
                raise self._broken(event, f"exec_id {event['exec_id']} comes twice")
            self._exec_ids.add(exec_key)
            moved = Decimal(event["last_qty"])
        elif kind in ("trade_corrected", "trade_canceled"):
            after = event.get("after")
            moved = (Decimal(after["last_qty"]) if after else Decimal(0)) - Decimal(event["before"]["last_qty"])
        if kind == "restated":
            self._traded[key] = Decimal(event["cum_qty"])
        else:
            self._traded[key] = self._traded.get(key, Decimal(0)) + moved
        if key in self._symbols and event.get("pos_qty") is not None:
            self._position(event, key, moved)

    def _position(self, event: Event, key: tuple[str, str], moved: Decimal) -> None:
        symbol, sign = self._symbols[key]
        held = self._positions.get((key[0], symbol))
        now = Decimal(event["pos_qty"])
        if held is not None and event["t"] == "trade" and now != held + sign * moved:
            raise self._broken(event, f"position {held} of {symbol} becomes {now} by {sign * moved}")
        self._positions[key[0], symbol] = now

    def _quantities(self, event: Event, key: tuple[str, str]) -> None:
        cum, leaves = Decimal(event["cum_qty"]), Decimal(event["leaves_qty"])
        if cum != self._traded[key]:
            raise self._broken(event, f"cum_qty {cum} is not the sum of its fills {self._traded[key]}")
        if event["ord_status"] in DONE:
            if leaves:
                raise self._broken(event, f"done with leaves_qty {leaves}")
        elif key in self._qty:
            qty, may_shrink = self._qty[key]  # a reduce_only order is cut to the position when it goes
            qty = max(qty, cum)  # more than was ordered is a fact too, once it is restated
            if cum + leaves > qty or (cum + leaves != qty and not may_shrink):
                raise self._broken(event, f"cum_qty {cum} and leaves_qty {leaves} of {qty}")

    @staticmethod
    def _broken(event: Event, text: str) -> StreamError:
        return StreamError(f"{event['account']} seq {event['seq']} {event['cl_ord_id']}: {text}")
