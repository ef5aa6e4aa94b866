"""Trailing stops behind prices that fire more than one turn takes: each price moves and fires in its own turn."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.contracts.requests import After, PlaceItem, Trail, Trigger
from gateway.core import COMPILED, Core
from gateway.core.ref import READABLE
from gateway.core.terms import Refusal
from hotpath.enums import Hold, OrdStatus, PriceSource
from tests.property.order_world import E9
from tests.unit.engine_rig import CENT, Rig

PLAIN = 300  # more than one turn takes


@pytest.fixture(params=[COMPILED, READABLE], ids=["compiled", "readable"])
def rig(request: pytest.FixtureRequest) -> Rig:
    core: Core = request.param
    rig = Rig(core=core)
    rig.up()
    return rig


def trailing(amount: str = "5", limit_offset: str | None = None) -> Trigger:
    return Trigger(kind="trail", source="bid", trail=Trail(amount=amount), limit_offset=limit_offset)


def trail(rig: Rig, name: str, **terms: Any) -> int:
    return rig.place(name, side="sell", ord_type="market", px=None, trigger=trailing(), **terms)


def plain(rig: Rig) -> None:
    """Stops at 97, all of which one price fires."""
    for at in range(PLAIN):
        trigger = Trigger(kind="stop", stop_px="97", source="bid")
        rig.place(f"p{at}", side="sell", ord_type="market", px=None, trigger=trigger)
    rig.sync()


def stop_px(rig: Rig, order: int) -> int:
    return int(rig.state.stops.trigger_of(order))


def drained(rig: Rig) -> None:
    while rig.engine.watch.has_backlog():
        rig.turn()
    rig.sync()


def test_a_price_that_waits_does_not_fire_what_a_newer_one_has_moved(rig: Rig) -> None:
    order = trail(rig, "t")
    rig.quote("S0", bid="100.00", ask="100.01")
    plain(rig)
    rig.quote("S0", bid="96.00", ask="96.01")
    assert rig.engine.watch.has_backlog()
    rig.quote("S0", bid="110.00", ask="110.01")
    drained(rig)
    assert rig.status(order) == OrdStatus.HELD, "its stop was at 95 when the price was 96"
    assert stop_px(rig, order) == 105 * E9
    rig.quote("S0", bid="105.00", ask="105.01")
    assert rig.status(order) == OrdStatus.PENDING_NEW


def test_a_trail_that_comes_behind_prices_that_wait_is_to_be_sent_again(rig: Rig) -> None:
    plain(rig)
    rig.quote("S0", bid="96.00", ask="96.01")
    assert rig.engine.watch.has_backlog()
    item = PlaceItem(
        cl_ord_id="t", symbol="S0", side="sell", ord_type="market", qty="10", tif="gtc", stp="allow", trigger=trailing()
    )
    intake = rig.engine.intake
    digest = rig.state.digest()
    assert intake.place(0, item, b"s", 0, False, rig.clock.wall, rig.clock.mono) == Refusal.BUSY
    assert intake.path == "trigger.trail" and rig.state.digest() == digest
    drained(rig)
    assert intake.place(0, item, b"s", 0, False, rig.clock.wall, rig.clock.mono) > 0


def test_a_trail_whose_parent_fills_behind_prices_that_wait_begins_after_them(rig: Rig) -> None:
    entry = rig.place("e", qty="10")
    child = trail(rig, "c", qty="10", after=After(cl_ord_id="e"))
    rig.sync()
    rig.new(entry)
    plain(rig)
    rig.quote("S0", bid="96.00", ask="96.01")
    rig.quote("S0", bid="110.00", ask="110.01")
    rig.quote("S0", bid="96.00", ask="96.01")
    assert rig.engine.watch.has_backlog()
    rig.fill(entry, 10, b"x")
    assert rig.engine.views.order(child)["hold"] == Hold.HOLD_PARENT
    drained(rig)
    assert rig.engine.views.order(child)["hold"] == Hold.HOLD_TRIGGER
    assert rig.status(child) == OrdStatus.HELD
    rig.quote("S0", bid="97.00", ask="97.01")
    assert stop_px(rig, child) == 92 * E9


def test_trails_that_wait_for_a_parent_are_armed_however_many_distances_there_are(rig: Rig) -> None:
    """Their acceptances stand: an index without room would leave a record that no start could apply."""
    rig = Rig(core=rig.core, orders=5_000)
    rig.up()
    entry = rig.place("e", qty="10")
    child = trail(rig, "c", qty="10", after=After(cl_ord_id="e"))
    for at in range(4_096):  # rows that no order of this run reaches
        offset_e9, row = (at + 1_000) * CENT, 4_999 - at
        assert rig.state.stops.arm_trailing(row, 0, PriceSource.BID, 0, offset_e9, False, CENT, 100 * E9) == 0
    rig.sync()
    rig.new(entry)
    rig.fill(entry, 10, b"x")
    assert rig.state.stops.holds(child)


def test_a_limit_beyond_all_prices_is_the_last_price(rig: Rig) -> None:
    trigger = trailing("5000000000", limit_offset="9000000000")
    order = rig.place("t", side="buy", ord_type="limit", qty="1", px=None, trigger=trigger)
    rig.sync()
    rig.quote("S0")
    rig.quote("S0", bid="5000001000", ask="5000001000.01")
    assert rig.status(order) != OrdStatus.HELD
    assert rig.engine.views.order(order)["px_e9"] == 9_199_999_999_99 * CENT
