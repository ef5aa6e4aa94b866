"""The end of a run of the loop tier: the clients' own records against each other and against the venue's book."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from brokers.sim.exchange import Exchange
from gateway.contracts.lint import StreamError, StreamLint
from hotpath.fixed import to_e9
from tests.property.order_model import DONE_STATES
from tests.sim.loop_clients import Accounts, Trader
from tests.sim.outcome import Broken


def check_sums(accounts: Accounts, traders: Sequence[Trader], exchange: Exchange) -> None:
    """The clients' own records against each other and against the venue's book."""
    for account, events in accounts.events.items():
        numbers = sorted(events)
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            raise Broken("I13", f"{account}: {numbers} has a gap")
        if numbers[0] == 1:
            try:
                StreamLint().feed_all(events[number] for number in numbers)
            except StreamError as error:
                raise Broken("I4", f"{account}: {error}") from error
    by_account = {trader.account: trader.gateway for trader in reversed(traders)}
    known = {(trader.account, name) for trader in traders for name in trader.gateway.orders}
    for name, account in accounts.accepted.items():
        if (account, name) not in known:  # one that joined late has no orders that were done long before
            raise Broken("I1", f"{name} was acknowledged and {account} has no such order")
    _check_orders(by_account, traders, exchange)


def _check_orders(books: dict[str, Any], traders: Sequence[Trader], exchange: Exchange) -> None:
    held: dict[str, Any] = {}  # by the gateway's number of the order, as both sides' ids carry it
    for order in {id(order): order for order in exchange.orders.values()}.values():
        number = order.id[8:-2].lstrip("0")
        if number in held:
            raise Broken("I2", f"{order.oid} and {held[number].oid} are one order of a client: {order.id}")
        held[number] = order
    merged = {
        account: {name: order for trader in traders if trader.account == account
                  for name, order in trader.gateway.orders.items()}
        for account in books
    }  # fmt: skip
    for orders in merged.values():
        for name, ours in orders.items():
            order = held.pop(ours.order_id[1:].lstrip("0"), None)
            is_open = ours.ord_status not in DONE_STATES
            if order is not None and order.is_live != is_open:
                raise Broken("I3", f"{name} is {ours.ord_status}, at the venue {order.oid} is {order.status}")
            if order is None and ours.ord_status in ("new", "partially_filled", "filled"):
                raise Broken("I22", f"{name} is {ours.ord_status}, the venue never had it")
            filled = 0 if order is None else order.cum_qty_e9
            if to_e9(f"{ours.cum_qty:f}") != filled:
                raise Broken("I4", f"{name}: cum_qty {ours.cum_qty}, the venue filled {filled}e-9")
    for order in held.values():
        raise Broken("I3", f"the venue has {order.oid} ({order.id}, {order.status}), no client knows it")
    sums: Counter[str] = Counter()
    for book in books.values():
        for symbol, position in book.positions.items():
            sums[symbol] += to_e9(f"{position.pos_qty:f}")
    for position in exchange.positions("gateway"):
        if sums.pop(position.sym, 0) != to_e9(position.qty):
            raise Broken("I5", f"{position.sym}: the venue holds {position.qty}, the clients otherwise")
    if any(sums.values()):
        raise Broken("I5", f"positions that the venue does not have: {dict(sums)}")
