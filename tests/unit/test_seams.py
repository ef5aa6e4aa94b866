"""Orders at the seams of two mechanisms: queues and trails, doubts and siblings, cuts and confirmations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from brokers.ports import ReportState
from gateway.contracts.requests import After, Confirm, PlaceItem, Trigger
from gateway.core import COMPILED
from gateway.core.ref import READABLE
from gateway.core.terms import Refusal
from hotpath.enums import OrdStatus
from tests.property.order_world import E9, LIMITS
from tests.unit.engine_rig import CENT, WALL_NS, Rig
from tests.unit.test_engine_promises import restarted
from tests.unit.test_explain import explained, steps
from tests.unit.test_guard import AGE_NS, CHECK_NS, Desk
from tests.unit.test_trail_queue import drained, plain, stop_px, trail
from tests.unit.test_two_feeds import A, B, bid, quote, table, trade

MS = 1_000_000
MARKET = {"side": "sell", "ord_type": "market", "px": None}


@pytest.fixture(params=[COMPILED, READABLE], ids=["compiled", "readable"])
def rig(request: pytest.FixtureRequest) -> Rig:
    found = Rig(core=request.param)
    found.up()
    return found


def test_a_queued_price_fires_the_trail_that_the_price_before_it_moved(rig: Rig) -> None:
    order = trail(rig, "t")
    rig.quote("S0", bid="100.00", ask="100.01")  # stop 95
    plain(rig)
    rig.quote("S0", bid="96.00", ask="96.01")
    assert rig.engine.watch.has_backlog()
    rig.quote("S0", bid="110.00", ask="110.01")  # moves it to 105, in its turn
    rig.quote("S0", bid="99.00", ask="99.01")  # through 105; in this moment it neither hits 95 nor moves it
    drained(rig)
    assert rig.status(order) == OrdStatus.PENDING_NEW, f"held at {stop_px(rig, order) / E9} while the bid is 99"


def test_a_child_stop_is_not_fired_by_a_price_older_than_its_arming(rig: Rig) -> None:
    entry = rig.place("e", qty="10")
    trigger = Trigger(kind="stop", stop_px="98", source="bid")
    child = rig.place("c", **MARKET, qty="10", trigger=trigger, after=After(cl_ord_id="e"))
    rig.sync()
    rig.new(entry)
    plain(rig)
    rig.quote("S0", bid="96.00", ask="96.01")
    rig.quote("S0", bid="110.00", ask="110.01")
    assert rig.engine.watch.has_backlog()
    rig.fill(entry, 10, b"x")  # armed now: the price in force is 110
    drained(rig)
    assert rig.status(child) == OrdStatus.HELD, "fired by 96, a price of before it was armed"


@pytest.mark.parametrize("core", [COMPILED, READABLE], ids=["compiled", "readable"])
@pytest.mark.parametrize("by", ["sibling", "replace"])
def test_a_parked_stop_stays_parked_when_its_quantity_changes(core: Any, by: str) -> None:
    rig = Rig(core=core, max_age_ns=1_000 * MS)
    rig.up()
    rig.long(10)
    rig.place("t", side="sell", px="105", oco="x", reduce_only=True)
    trigger = Trigger(kind="stop", stop_px="99", source="bid", on_missed="rearm")
    order = rig.place("s", **MARKET, qty="10", oco="x", reduce_only=True, trigger=trigger)
    rig.sync()
    rig.new(1)
    for _ in range(120):
        rig.clock.pass_ns(10 * MS)
        rig.engine.on_timer()
        rig.sync()
    rig.quote("S0", "98", "101")
    rig.sync()
    assert rig.status(order) == OrdStatus.HELD
    if by == "sibling":
        rig.fill(1, 4, b"part")
    else:
        assert rig.replace("s", 2, qty="9") > 0
        rig.sync()
    rig.clock.pass_ns(10 * MS)
    rig.quote("S0", "98.50", "101")
    rig.sync()
    assert rig.status(order) == OrdStatus.HELD, "the condition has not been false since it was missed"


def test_a_suspect_that_stands_back_is_not_ended_with_certainty(rig: Rig) -> None:
    rig.long()
    rig.place("t", side="sell", px="105", oco="x", reduce_only=True)
    order = rig.place("s", stop="95", oco="x", reduce_only=True)
    rig.sync()
    rig.new(1)
    again = restarted(rig)
    again.link.capabilities = replace(again.link.capabilities, horizon_ns=10**12)
    again.link.is_up = True
    again.engine.on_link(True, "login")
    for other in list(again.engine.router.asking):
        found = other != order
        again.engine.on_report(
            ReportState(
                order=other,
                rev=1,
                venue_ns=5,
                raw=b"",
                found=found,
                status=OrdStatus.NEW if found else OrdStatus.NONE,
                order_qty_e9=10 * E9,
                leaves_qty_e9=10 * E9,
            )
        )
    again.sync()
    assert again.engine.router.is_open and order in again.engine.router.suspects
    again.quote("S0", "94.99", "95.00")
    again.sync()
    assert order in again.engine.router.suspects and not again.link.submitted, "its sibling works there"
    again.engine.intake.cancel(0, "s", 0, again.clock.wall)
    again.sync()
    assert again.status(order) != OrdStatus.CANCELED, "it may have left before the crash"


def test_an_account_that_arms_the_only_stop_on_a_blind_instrument_is_told() -> None:
    desk = Desk()
    desk.now_ns = 10 * AGE_NS
    for row in range(2):
        desk.quote(row)
    desk.stop(0, "a")
    desk.after(2 * AGE_NS)
    desk.live.intake.cancel(0, "a", 0, WALL_NS)
    desk.stop(1, "b")
    assert [event["account"] for event in desk.after(CHECK_NS)] == ["A1"]


def test_a_part_below_the_least_quantity_is_not_sent() -> None:
    state = COMPILED.state(shard=0, orders=400, accounts=2, instruments=2)
    world = COMPILED.world(state)
    world.start_epoch(1, bytes(range(16)), WALL_NS)
    for row in range(2):
        world.list_instrument(
            f"S{row}".encode(),
            tick_e9=CENT,
            lot_e9=E9,
            min_qty_e9=5 * E9,
            max_age_ns=10**18,
            outside_bps_e9=0,
            asset_class=1,
            wall_ns=WALL_NS,
        )
        world.open_account(f"A{row}".encode(), row, 10**15, WALL_NS)
        world.set_limits(row, LIMITS, 1, WALL_NS)
    rig = Rig(state)
    rig.up()
    entry = rig.place("e")
    child = rig.place("c", side="sell", px="105", after=After(cl_ord_id="e"))
    rig.sync()
    rig.new(entry)
    rig.link.submitted.clear()
    rig.fill(entry, 2, b"x")
    assert [ticket.qty_e9 // E9 for ticket in rig.link.submitted] == [], "less than the venue takes"
    assert rig.status(child) == OrdStatus.HELD


def test_another_market_stands_in_for_the_quotes_of_a_leader_that_only_prints() -> None:
    quotes = table(0, 1)
    quote(quotes, A, 100, 1, 10)
    trade(quotes, A, 101, 1, 10)
    seq = 2
    for mono in range(100, 3_000, 100):
        trade(quotes, A, 101, seq, mono)
        quote(quotes, B, 90, seq, mono)
        quotes.relieve(mono)
        seq += 1
    assert bid(quotes, 2_900) == 90


def test_an_explanation_of_a_child_begins_with_its_acceptance() -> None:
    rig = Rig()
    rig.up()
    entry = rig.place("e")
    child = rig.place("c", stop="95", after=After(cl_ord_id="e"))
    rig.sync()
    rig.new(entry)
    rig.fill(entry, 10, b"x")
    rig.quote("S0", "94", "95")
    found = explained(rig, child)
    assert steps(found)[0] == "accepted"


@pytest.mark.parametrize("core", [COMPILED, READABLE], ids=["compiled", "readable"])
def test_quantities_of_a_group_that_cannot_be_added_are_refused(core: Any) -> None:
    rig = Rig(core=core)
    limits = LIMITS | {"max_order_qty_e9": 9 * 10**9 * E9, "max_order_notional_e4": 9 * 10**18}
    rig.engine.world.set_limits(0, limits, 2, WALL_NS)
    rig.quote("S0", "0.99", "1.00")
    rig.up()
    rig.place("a", stop="0.95", oco="x", qty="5000000000")
    trigger = Trigger(kind="stop", stop_px="0.94")
    item = PlaceItem(
        cl_ord_id="b",
        symbol="S0",
        side="sell",
        ord_type="market",
        qty="5000000000",
        oco="x",
        stp="allow",
        trigger=trigger,
    )
    intake = rig.engine.intake
    assert intake.place(0, item, b"s", 0, False, rig.clock.wall, rig.clock.mono) == Refusal.BAD_FIELD
    assert intake.path == "qty"
    rig.place("c", stop="0.94", oco="x", qty="4000000000")
    assert rig.replace("c", 2, qty="5000000000") == Refusal.BAD_FIELD


@pytest.mark.parametrize("core", [COMPILED, READABLE], ids=["compiled", "readable"])
def test_confirmed_ticks_survive_a_cut(core: Any) -> None:
    rig = Rig(core=core)
    rig.up()
    rig.long(10)
    rig.place("t", side="sell", px="105", oco="x", reduce_only=True)
    trigger = Trigger(kind="stop", stop_px="99", source="bid", confirm=Confirm(ticks=2))
    order = rig.place("s", **MARKET, qty="10", oco="x", reduce_only=True, trigger=trigger)
    rig.sync()
    rig.new(1)
    rig.quote("S0", "98", "101")
    rig.fill(1, 4, b"part")
    rig.quote("S0", "98", "101")
    rig.sync()
    assert rig.status(order) == OrdStatus.PENDING_NEW
