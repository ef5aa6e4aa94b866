"""A revision passes the limits of the moment at which it leaves for the broker, not only those of its record."""

from __future__ import annotations

import pytest

from brokers.ports import ReportState
from gateway.contracts.requests import After
from gateway.core import COMPILED, Core
from gateway.core.ref import READABLE
from hotpath.enums import OrdStatus
from tests.property.order_world import E9, LIMITS
from tests.unit.engine_rig import WALL_NS, Rig


@pytest.fixture(params=[COMPILED, READABLE], ids=["compiled", "readable"])
def rig(request: pytest.FixtureRequest) -> Rig:
    """An entry of 10 of which 4 are filled, and a child that works with those 4 and adds to the position."""
    core: Core = request.param
    rig = Rig(core=core)
    rig.up()
    entry = rig.place("e", px="100")
    child = rig.place("c", px="99.99", after=After(cl_ord_id="e"))
    rig.sync()
    rig.new(entry)
    rig.fill(entry, 4, b"x1")
    rig.sync()
    rig.new(child)
    return rig


def limited(rig: Rig, **limits: int) -> None:
    rig.engine.world.set_limits(0, LIMITS | limits, 2, WALL_NS)


def test_a_child_that_grows_at_the_broker_stays_as_it_is_where_a_limit_forbids_more(rig: Rig) -> None:
    limited(rig, max_order_qty_e9=5 * E9)
    rig.fill(0, 3, b"x2")
    row = rig.engine.views.order(1)
    assert rig.link.replaced == []
    assert (row["ord_status"], row["order_qty_e9"], row["pending"]) == (OrdStatus.NEW, 4 * E9, 0)
    limited(rig)
    rig.fill(0, 3, b"x3")
    assert [ticket.qty_e9 for ticket in rig.link.replaced] == [10 * E9], (
        "with room again, the next fill brings all of it"
    )


def test_a_cut_leaves_whatever_the_limits_are(rig: Rig) -> None:
    assert rig.replace("c", 2, qty="3") > 0
    limited(rig, max_order_qty_e9=E9)
    rig.sync()
    assert [ticket.qty_e9 for ticket in rig.link.replaced] == [E9], "3 of 10, of which its parent has filled 4"


def test_what_may_have_left_before_is_the_broker_s_to_refuse(rig: Rig) -> None:
    rig.fill(0, 3, b"x2")
    assert [ticket.qty_e9 for ticket in rig.link.replaced] == [7 * E9]
    limited(rig, max_order_qty_e9=5 * E9)
    rig.engine.router.doubt(1)
    rig.engine.on_report(
        ReportState(order=1, rev=1, venue_ns=9, raw=b"", found=True, status=OrdStatus.NEW, order_qty_e9=4 * E9)
    )
    rig.sync()
    assert [ticket.rev for ticket in rig.link.replaced] == [2, 2]
