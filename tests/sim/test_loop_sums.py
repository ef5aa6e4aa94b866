"""The sums at the end of a run of the loop tier."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from tests.sim.loop_clients import Accounts
from tests.sim.loop_sums import check_sums
from tests.sim.outcome import Broken


def books(ours: str, theirs: str) -> tuple[Any, Any]:
    """One client with a position and a filled order of that size, and the venue's book of them."""
    order = SimpleNamespace(order_id="O1", ord_status="filled", cum_qty=abs(Decimal(ours)))
    gateway = SimpleNamespace(orders={"a": order}, positions={"AAA": SimpleNamespace(pos_qty=Decimal(ours))})
    there = SimpleNamespace(
        id="BK000000" + "1" + "00",
        oid="V1",
        is_live=False,
        status="filled",
        cum_qty_e9=abs(int(Decimal(theirs) * 10**9)),
    )
    exchange = SimpleNamespace(orders={"a": there}, positions=lambda key: [SimpleNamespace(sym="AAA", qty=theirs)])
    return [SimpleNamespace(account="alice", gateway=gateway)], exchange


@pytest.mark.parametrize("qty", ["5", "-0.000000031", "0.000000001"])
def test_a_position_of_any_size_is_compared(qty: str) -> None:
    traders, exchange = books(qty, qty)
    check_sums(Accounts(), traders, exchange)


def test_another_position_than_the_venue_has_is_found() -> None:
    traders, exchange = books("-0.000000031", "-0.000000031")
    exchange.positions = lambda key: [SimpleNamespace(sym="AAA", qty="-0.000000032")]
    with pytest.raises(Broken, match="AAA"):
        check_sums(Accounts(), traders, exchange)
