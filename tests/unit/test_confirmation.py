"""What must hold before an order whose price is through may leave: updates, time, the order's own limit of age."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gateway.contracts.requests import Confirm, ReplaceItem, Trigger
from gateway.core import COMPILED
from gateway.core.ref import READABLE
from gateway.core.terms import Refusal
from hotpath import frame
from hotpath.enums import OrdStatus
from tests.unit.engine_rig import Rig
from tests.unit.test_engine_promises import restarted

MS = 1_000_000
HELD, GONE = OrdStatus.HELD, OrdStatus.PENDING_NEW


@pytest.fixture(params=[COMPILED, READABLE], ids=["compiled", "readable"])
def rig(request: pytest.FixtureRequest) -> Rig:
    found = Rig(core=request.param, max_age_ns=1_000 * MS)
    found.up()
    found.long(100)
    found.sync()
    return found


def stop(rig: Rig, name: str, px: str = "99", qty: str = "1", **trigger: Any) -> int:
    fields: dict[str, Any] = {"kind": "stop", "stop_px": px, "source": "bid"}
    order = rig.place(
        name, side="sell", ord_type="market", px=None, qty=qty, reduce_only=True, trigger=Trigger(**(fields | trigger))
    )
    rig.sync()
    return order


def bid(rig: Rig, px: str, after_ms: int = 10) -> None:
    """An update of the quote, some time after the last one."""
    rig.clock.pass_ns(after_ms * MS)
    rig.quote("S0", px, "101")
    rig.sync()


def wait(rig: Rig, ms: int) -> None:
    """Only the timer runs."""
    for _ in range(ms // 10):
        rig.clock.pass_ns(10 * MS)
        rig.engine.on_timer()
        rig.sync()


def told(rig: Rig, kind: str = "triggered") -> list[dict[str, Any]]:
    data, at, found = bytes(rig.journal.data[4096:]), 0, []
    while at < len(data):
        one = frame.unpack_frame(data, at)
        text = rig.state.names.render_frame(data[at : at + one.space])
        found += [msgspec.json.decode(text)] if text else []
        at += one.space
    return [event for event in found if event["t"] == kind]


def test_a_condition_must_hold_for_so_many_updates(rig: Rig) -> None:
    order = stop(rig, "s", confirm=Confirm(ticks=3))
    for px, status in (("98", HELD), ("98.50", HELD), ("99", GONE)):
        bid(rig, px)
        assert rig.status(order) == status
    (event,) = told(rig)
    assert (event["evidence"]["ticks"], event["evidence"]["px"], event["missed"]) == (3, "99", False)
    assert told(rig, "accepted")[-1]["order"]["trigger"]["confirm"] == {"ticks": 3}


def test_one_update_that_does_not_qualify_the_condition_starts_over(rig: Rig) -> None:
    order = stop(rig, "s", confirm=Confirm(ticks=2))
    for px in ("98", "99.50", "98", "100", "99"):
        bid(rig, px)
        assert rig.status(order) == HELD
    bid(rig, "98")
    assert rig.status(order) == GONE and told(rig)[0]["evidence"]["ticks"] == 2


def test_an_update_that_is_no_price_neither_counts_nor_starts_over(rig: Rig) -> None:
    order = stop(rig, "s", confirm=Confirm(ticks=2))
    bid(rig, "98")
    bid(rig, "102")  # crossed
    assert rig.status(order) == HELD
    bid(rig, "98")
    assert rig.status(order) == GONE


def test_only_updates_of_the_source_count(rig: Rig) -> None:
    order = stop(rig, "s", source="last", confirm=Confirm(ticks=2))
    bid(rig, "98")
    rig.trade("S0", "98")
    bid(rig, "98")
    bid(rig, "98")
    assert rig.status(order) == HELD
    rig.trade("S0", "98")
    assert rig.status(order) == GONE


def test_a_condition_must_hold_for_so_long_by_updates(rig: Rig) -> None:
    order = stop(rig, "s", confirm=Confirm(ms=100))
    bid(rig, "98")
    bid(rig, "98", 60)
    assert rig.status(order) == HELD
    bid(rig, "98", 50)
    assert rig.status(order) == GONE and told(rig)[0]["evidence"]["ticks"] == 3
    assert told(rig, "accepted")[-1]["order"]["trigger"]["confirm"] == {"ms": 100}


def test_the_timer_confirms_what_has_held_for_so_long(rig: Rig) -> None:
    order = stop(rig, "s", confirm=Confirm(ms=100))
    bid(rig, "98")
    heard_ns = rig.clock.wall
    wait(rig, 90)
    assert rig.status(order) == HELD
    wait(rig, 10)
    assert rig.status(order) == GONE
    evidence = told(rig)[0]["evidence"]
    assert (evidence["ticks"], evidence["recv_ns"], evidence["px"]) == (1, heard_ns, "98")


def test_time_does_not_confirm_what_the_data_no_longer_says(rig: Rig) -> None:
    order = stop(rig, "s", confirm=Confirm(ms=1_500))
    bid(rig, "98")
    wait(rig, 3_000)
    assert rig.status(order) == HELD, "the price is older than the instrument allows"
    bid(rig, "98")  # nobody knows what it was in between
    wait(rig, 900)
    bid(rig, "98")
    wait(rig, 500)
    assert rig.status(order) == HELD
    wait(rig, 200)
    assert rig.status(order) == GONE


def test_an_order_of_stricter_age_is_not_confirmed_by_older_data(rig: Rig) -> None:
    order = stop(rig, "s", confirm=Confirm(ms=300), max_age_ms=100)
    bid(rig, "98")
    wait(rig, 500)
    assert rig.status(order) == HELD
    bid(rig, "98")
    for _ in range(3):
        wait(rig, 80)
        assert rig.status(order) == HELD
        bid(rig, "98")
    wait(rig, 80)
    assert rig.status(order) == GONE


def test_a_replace_drops_what_was_counted(rig: Rig) -> None:
    order = stop(rig, "s", confirm=Confirm(ticks=2), if_through="fire")
    bid(rig, "98")
    assert rig.replace("s", 2, qty="2") > 0
    bid(rig, "98")
    assert rig.status(order) == HELD
    bid(rig, "98")
    assert rig.status(order) == GONE and len(told(rig)) == 1


def test_a_canceled_order_is_not_confirmed(rig: Rig) -> None:
    order = stop(rig, "s", confirm=Confirm(ticks=2))
    bid(rig, "98")
    assert rig.engine.intake.cancel(0, "s", 0, rig.clock.wall) > 0
    bid(rig, "98")
    assert rig.status(order) == OrdStatus.CANCELED and told(rig) == []


def test_a_halt_drops_what_was_counted(rig: Rig) -> None:
    order = stop(rig, "s", confirm=Confirm(ticks=2))
    bid(rig, "98")
    for is_halted in (True, False):
        rig.engine.set_session(0, is_halted=is_halted)
        rig.sync()
    bid(rig, "98")
    assert rig.status(order) == HELD
    bid(rig, "98")
    assert rig.status(order) == GONE and told(rig)[0]["missed"] is False


def test_a_restart_drops_what_was_counted(rig: Rig) -> None:
    order = stop(rig, "s", confirm=Confirm(ticks=3))
    bid(rig, "98")
    bid(rig, "98")
    again = restarted(rig, is_clean=True)
    again.up()
    for _ in range(2):
        bid(again, "98")
        assert again.status(order) == HELD
    bid(again, "98")
    assert again.status(order) == GONE


def test_what_is_unconfirmed_costs_no_confirmed_order_its_turn(rig: Rig) -> None:
    slow = [stop(rig, f"slow{at}", confirm=Confirm(ticks=2)) for at in range(3)]
    fast = stop(rig, "fast")
    bid(rig, "98")
    assert rig.status(fast) == GONE and all(rig.status(order) == HELD for order in slow)
    bid(rig, "98.50")
    assert [event["cl_ord_id"] for event in told(rig)] == ["fast", "slow0", "slow1", "slow2"]


def test_a_crowd_is_confirmed_in_batches_that_leave_the_loop_free(rig: Rig) -> None:
    orders = [stop_quickly(rig, at) for at in range(600)]
    rig.sync()
    bid(rig, "98")
    while rig.engine.watch.has_backlog():
        rig.turn()
    assert told(rig) == []
    rig.clock.pass_ns(MS)
    rig.quote("S0", "98", "101")
    assert 0 < sum(rig.status(order) == GONE for order in orders) < 600
    rig.quote("S0", "100", "101")  # too late for those that the update before confirmed
    while rig.engine.watch.has_backlog():
        rig.turn()
    rig.sync()
    assert all(rig.status(order) == GONE for order in orders)
    assert [event["cl_ord_id"] for event in told(rig)] == [f"c{at}" for at in range(600)]


def stop_quickly(rig: Rig, at: int) -> int:
    trigger = Trigger(kind="stop", stop_px="99", source="bid", confirm=Confirm(ticks=2))
    return rig.place(f"c{at}", side="sell", ord_type="market", px=None, qty="1", trigger=trigger)


@pytest.mark.parametrize(
    ("trigger", "refusal", "path"),
    [
        ({"confirm": Confirm()}, Refusal.BAD_COMBINATION, "trigger.confirm"),
        ({"confirm": Confirm(ticks=2, ms=5)}, Refusal.BAD_COMBINATION, "trigger.confirm"),
        ({"confirm": Confirm(ticks=0)}, Refusal.BAD_FIELD, "trigger.confirm.ticks"),
        ({"confirm": Confirm(ticks=1_000_001)}, Refusal.BAD_FIELD, "trigger.confirm.ticks"),
        ({"confirm": Confirm(ms=0)}, Refusal.BAD_FIELD, "trigger.confirm.ms"),
        ({"confirm": Confirm(ms=86_400_001)}, Refusal.BAD_FIELD, "trigger.confirm.ms"),
        ({"max_age_ms": 1_001}, Refusal.UNSUPPORTED, "trigger.max_age_ms"),
        ({"max_age_ms": 0}, Refusal.UNSUPPORTED, "trigger.max_age_ms"),
    ],
)
def test_a_confirmation_that_means_nothing_is_refused(
    rig: Rig, trigger: dict[str, Any], refusal: Refusal, path: str
) -> None:
    with pytest.raises(AssertionError):
        stop(rig, "s", **trigger)
    assert rig.engine.intake.path == path
    assert told(rig, "accepted")[-1]["cl_ord_id"] == "entry"


def test_a_replace_cannot_change_the_confirmation(rig: Rig) -> None:
    stop(rig, "s", confirm=Confirm(ticks=2))
    moved = Trigger(kind="stop", stop_px="98", confirm=Confirm(ticks=3))
    item = ReplaceItem(cl_ord_id="s", rev=2, trigger=moved)
    assert rig.engine.intake.replace(0, item, 0, rig.clock.wall, rig.clock.mono) == Refusal.UNSUPPORTED


def test_one_update_is_what_an_order_needs_that_does_not_say(rig: Rig) -> None:
    order = stop(rig, "s", confirm=Confirm(ticks=1))
    assert "confirm" not in told(rig, "accepted")[-1]["order"]["trigger"]
    bid(rig, "98")
    assert rig.status(order) == GONE and told(rig)[0]["evidence"]["ticks"] == 1


# --- missed ---------------------------------------------------------------------------------------------


def test_what_a_feed_loss_hid_fires_on_the_first_good_tick_marked_as_missed(rig: Rig) -> None:
    early, late = stop(rig, "early"), stop(rig, "late", "97")
    wait(rig, 1_200)  # blind
    bid(rig, "102")  # crossed: no good tick
    assert rig.status(early) == HELD
    bid(rig, "98")
    assert (rig.status(early), rig.status(late)) == (GONE, HELD)
    bid(rig, "97")
    assert [(event["cl_ord_id"], event["missed"]) for event in told(rig)] == [("early", True), ("late", False)]


def test_rearm_waits_until_the_condition_has_been_false(rig: Rig) -> None:
    order = stop(rig, "s", on_missed="rearm")
    wait(rig, 1_200)
    for px in ("98", "97", "98.50"):
        bid(rig, px)
        assert rig.status(order) == HELD
    bid(rig, "99.50")
    bid(rig, "98")
    assert rig.status(order) == GONE and told(rig)[0]["missed"] is False


def test_rearm_fires_as_ever_where_nothing_was_missed(rig: Rig) -> None:
    order = stop(rig, "s", on_missed="rearm")
    wait(rig, 1_200)
    bid(rig, "100")
    bid(rig, "98")
    assert rig.status(order) == GONE and told(rig)[0]["missed"] is False


def test_a_missed_condition_is_confirmed_like_any_other(rig: Rig) -> None:
    order = stop(rig, "s", confirm=Confirm(ticks=2))
    wait(rig, 1_200)
    bid(rig, "98")
    assert rig.status(order) == HELD
    bid(rig, "98")
    assert rig.status(order) == GONE
    assert (told(rig)[0]["missed"], told(rig)[0]["evidence"]["ticks"]) == (True, 2)


def test_what_was_through_while_the_process_was_down_fires_marked_as_missed(rig: Rig) -> None:
    fires, waits = stop(rig, "fires"), stop(rig, "waits", on_missed="rearm")
    again = restarted(rig, is_clean=True)  # its market begins at 99.99
    again.engine.watch.watch_from(again.clock.mono, again.clock.wall)
    again.up()
    bid(again, "98")
    assert (again.status(fires), again.status(waits)) == (GONE, HELD)
    assert [(event["cl_ord_id"], event["missed"]) for event in told(again)] == [("fires", True)]
    bid(again, "100")
    bid(again, "98")
    assert again.status(waits) == GONE


def test_the_open_and_the_reopening_are_judged_by_their_own_prints_and_miss_nothing(rig: Rig) -> None:
    order, deep = stop(rig, "s"), stop(rig, "deep", "97")
    rig.engine.set_session(0, is_halted=True)
    bid(rig, "98")  # in the halt
    wait(rig, 3_000)
    rig.engine.set_session(0, is_halted=False)
    rig.engine.sweep(0)
    assert rig.status(order) == HELD, "the price of the halt is not the reopening's"
    wait(rig, 3_000)  # the reopening has no print for long: blind, and yet nothing that could be missed
    bid(rig, "98.50")
    assert rig.status(order) == GONE and told(rig)[-1]["missed"] is False
    rig.engine.set_session(0, is_open=False)
    bid(rig, "96")
    assert rig.status(deep) == HELD
    rig.engine.set_session(0, is_open=True)
    bid(rig, "96.50")
    assert rig.status(deep) == GONE
    assert [(event["evidence"]["px"], event["missed"]) for event in told(rig)] == [("98.5", False), ("96.5", False)]


# --- the order's own limit of age -------------------------------------------------------------------------


def test_a_price_in_force_that_is_too_old_for_an_order_does_not_fire_it(rig: Rig) -> None:
    bid(rig, "98")
    rig.clock.pass_ns(200 * MS)
    strict = stop(rig, "strict", if_through="fire", max_age_ms=100)
    plain = stop(rig, "plain", if_through="fire")
    rig.engine.sweep(0)
    rig.sync()
    assert (rig.status(strict), rig.status(plain)) == (HELD, GONE)
    bid(rig, "98")
    assert rig.status(strict) == GONE


def test_a_price_too_old_for_an_order_does_not_refuse_it(rig: Rig) -> None:
    bid(rig, "98")
    rig.clock.pass_ns(200 * MS)
    assert stop(rig, "strict", max_age_ms=100) >= 0
    with pytest.raises(AssertionError):
        stop(rig, "plain")
    assert rig.engine.intake.path == "trigger.stop_px"


def test_an_order_of_stricter_age_is_blind_before_the_others(rig: Rig) -> None:
    stop(rig, "strict", max_age_ms=300)
    stop(rig, "plain")
    bid(rig, "100")
    wait(rig, 500)
    wait(rig, 1_000)
    bid(rig, "100")
    wait(rig, 100)
    events = [(event["state"], event["orders"]) for event in told(rig, "guard")]
    assert events == [("blind", ["strict"]), ("blind", ["strict", "plain"]), ("armed", ["strict", "plain"])]


def test_a_gap_of_many_batches_is_judged_by_the_receipt_of_its_tick(rig: Rig) -> None:
    orders = [
        rig.place(
            f"g{at}", side="sell", ord_type="market", px=None, qty="1",
            trigger=Trigger(kind="stop", stop_px="99", source="bid", max_age_ms=50),
        )
        for at in range(300)
    ]  # fmt: skip
    rig.sync()
    rig.clock.pass_ns(MS)
    rig.quote("S0", "98", "101")
    rig.clock.pass_ns(500 * MS)  # the loop was busy: the price was fresh when it came
    while rig.engine.watch.has_backlog():
        rig.turn()
    rig.sync()
    assert all(rig.status(order) == GONE for order in orders)


def test_the_count_of_strict_orders_outlives_a_snapshot(rig: Rig) -> None:
    stop(rig, "a", max_age_ms=300)
    stop(rig, "b", max_age_ms=300)
    stop(rig, "c")
    assert rig.engine.intake.cancel(0, "b", 0, rig.clock.wall) > 0
    rig.sync()
    assert rig.state.tight == {0: {300 * MS: 1}}
    fresh = rig.core.state(shard=0, orders=4_000, accounts=2, instruments=2)
    fresh.load(rig.state.dump(), rig.state.positions_dump())
    assert fresh.tight == {0: {300 * MS: 1}} and fresh.digest() == rig.state.digest()
