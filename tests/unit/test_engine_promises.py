"""What the engine promises at the seams: between acceptance and disk, over an outage, a crash, a kill, a day's end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from brokers.ports import ReportState
from gateway.contracts.requests import PlaceItem, Trigger
from gateway.core.terms import Refusal
from gateway.core.views import Views
from hotpath.enums import HaltLevel, HaltScope, OrdStatus
from hotpath.fixed import from_e9, to_e9
from tests.property.order_world import E9
from tests.unit.engine_rig import CENT, WALL_NS, Rig

HOUR_NS = 3_600 * 10**9


@pytest.fixture
def rig() -> Rig:
    found = Rig()
    found.up()
    return found


def kill(rig: Rig, level: HaltLevel = HaltLevel.REDUCE_ONLY) -> Any:
    return rig.engine.halts.set(HaltScope.GLOBAL, 0, level, actor="ops", reason="test", keep_protective=True)


def restarted(rig: Rig, *, is_clean: bool = False) -> Rig:
    """A new process over what was on disk."""
    state = rig.core.state(shard=0, orders=rig.state.orders.capacity, accounts=2, instruments=2)
    at, end = 4096, len(rig.journal.data)
    durable = rig.journal.durable_seq
    while at < end and int.from_bytes(rig.journal.data[at + 8 : at + 16], "little") <= durable:
        at += (int.from_bytes(rig.journal.data[at : at + 4], "little") + 7) // 8 * 8
    state.replay(memoryview(bytes(rig.journal.data[4096:at])), 4096)
    fresh = Rig(state, core=rig.core)
    fresh.engine.recover(rig.clock.wall, is_clean=is_clean)
    fresh.sync()
    return fresh


# --- at most once ---------------------------------------------------------------------------------------


def test_an_order_replaced_in_line_keeps_the_id_that_its_acceptance_made_durable(rig: Rig) -> None:
    order = rig.place("a")
    rig.engine.flush()
    rig.journal.durable_seq = rig.journal.last_seq  # the acceptance, not the replace
    rig.replace("a", 2, qty="20")
    rig.engine.flush()
    rig.engine.on_durable()
    sent = [ticket.broker_cl_ord_id for ticket in rig.link.submitted]
    again = restarted(rig)
    again.link.is_up = True
    again.engine.on_link(True, "login")
    asked = {ticket.broker_cl_ord_id for ticket in again.link.asked if ticket.order == order}
    assert set(sent) <= asked, "the broker is asked about another id than the one that left"


def test_terms_that_are_not_durable_do_not_leave(rig: Rig) -> None:
    rig.place("a")
    rig.engine.flush()
    rig.journal.durable_seq = rig.journal.last_seq
    rig.replace("a", 2, qty="20")
    rig.engine.flush()
    rig.engine.on_durable()
    assert rig.link.submitted == []
    rig.sync()
    assert [ticket.qty_e9 for ticket in rig.link.submitted] == [20 * E9]


def test_a_stop_that_may_have_fired_before_a_crash_keeps_its_terms_until_the_broker_has_answered(rig: Rig) -> None:
    rig.long()
    order = rig.place("stop", stop="90", reduce_only=True)
    rig.sync()
    rig.quote("S0", "89.00", "89.01")  # its bytes leave; the record of it is lost
    (fired,) = [ticket.broker_cl_ord_id for ticket in rig.link.submitted if ticket.order == order]
    again = restarted(rig)
    assert again.replace("stop", 2, stop="80") == Refusal.ORDER_IN_DOUBT  # the broker may fill it under its old terms
    again.sync()
    again.link.is_up = True
    again.engine.on_link(True, "login")
    assert fired in {ticket.broker_cl_ord_id for ticket in again.link.asked if ticket.order == order}
    again.engine.on_report(ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=False))
    again.sync()
    assert again.replace("stop", 2, stop="80") > 0


# --- kill switches --------------------------------------------------------------------------------------


def test_an_entry_that_fired_while_the_link_was_down_does_not_pass_a_kill_switch(rig: Rig) -> None:
    rig.down()
    order = rig.place("breakout", side="buy", stop="110", max_queue_ms=60_000)
    rig.sync()
    rig.quote("S0", "110.00", "110.01")
    rig.sync()
    kill(rig)
    rig.up()
    assert rig.link.submitted == []
    assert rig.status(order) == OrdStatus.REJECTED


def test_an_entry_that_fired_before_it_was_durable_does_not_pass_a_kill_switch(rig: Rig) -> None:
    order = rig.place("breakout", side="buy", stop="110")
    rig.quote("S0", "110.00", "110.01")
    kill(rig)
    rig.sync()
    assert rig.link.submitted == []
    assert rig.status(order) == OrdStatus.REJECTED


def test_a_fired_entry_waits_no_longer_than_it_was_told(rig: Rig) -> None:
    rig.down()
    order = rig.place("breakout", side="buy", stop="110", max_queue_ms=1_000)
    rig.sync()
    rig.quote("S0", "110.00", "110.01")
    rig.sync()
    rig.clock.pass_ns(2 * 10**9)
    rig.engine.on_timer()
    rig.up()
    assert rig.link.submitted == []
    assert rig.status(order) == OrdStatus.EXPIRED


def test_a_fired_entry_that_waits_for_the_link_leaves_though_the_disk_failed_under_its_replace(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was put off until its terms are on disk, again and again, for ever, while nothing else was served."""
    order = rig.place("breakout", side="buy", stop="110", max_queue_ms=60_000)
    rig.sync()
    rig.down()
    rig.replace("breakout", 2, stop="109")
    rig.engine.flush()
    rig.engine.journal_failed("fdatasync: Input/output error")
    rig.quote("S0", "109.50", "109.51")
    calls, submit = iter(range(10)), rig.engine.router.submit

    def counted(orders: list[int]) -> None:
        next(calls)
        submit(orders)

    monkeypatch.setattr(rig.engine.router, "submit", counted)
    rig.up()
    assert [ticket.order for ticket in rig.link.submitted] == [order]


def test_a_larger_replace_does_not_pass_a_kill_switch(rig: Rig) -> None:
    order = rig.place("a")
    rig.sync()
    rig.new(order)
    rig.replace("a", 2, qty="20")
    kill(rig)
    rig.sync()
    assert rig.link.replaced == []


def test_a_replace_that_a_kill_switch_held_goes_once_it_is_lifted(rig: Rig) -> None:
    order = rig.place("a")
    rig.sync()
    rig.new(order)
    rig.replace("a", 2, qty="20")
    halt = kill(rig)
    rig.sync()
    rig.engine.halts.lift(halt, "ops")
    asked = rig.engine.halts.find(f"H{halt.halt_id}")
    assert asked is not None
    rig.engine.halts.lift(asked, "second")
    rig.sync()
    assert [ticket.qty_e9 for ticket in rig.link.replaced] == [20 * E9]


def test_a_replace_of_an_exit_passes_a_kill_switch(rig: Rig) -> None:
    rig.long()
    order = rig.place("exit", side="sell", reduce_only=True, px="101", qty="4")
    rig.sync()
    rig.new(order)
    rig.replace("exit", 2, px="100.50")
    kill(rig)
    rig.sync()
    assert len(rig.link.replaced) == 1


# --- reduce-only ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sold", "left"), [(4, 6), (10, 0)])
def test_a_stop_that_waited_for_the_link_sells_no_more_than_is_left(rig: Rig, sold: int, left: int) -> None:
    rig.long()
    other = rig.place("target", side="sell", px="105", qty="10")
    stop = rig.place("stop", stop="90", reduce_only=True)
    rig.sync()
    rig.new(other)
    rig.link.submitted.clear()
    rig.down()
    rig.quote("S0", "89.00", "89.01")
    rig.sync()
    rig.fill(other, sold, b"x1")  # learnt from the broker when the link is back
    rig.up()
    assert sum(ticket.qty_e9 for ticket in rig.link.submitted if ticket.order == stop) == left * E9
    assert rig.engine.views.order(stop)["leaves_qty_e9"] == left * E9


# --- time ------------------------------------------------------------------------------------------


def test_a_stop_made_good_till_canceled_outlives_the_day_that_it_was_placed_for(rig: Rig) -> None:
    rig.engine.intake.set_day_end(0, WALL_NS + HOUR_NS)
    order = rig.place("stop", stop="90", tif="day")
    rig.replace("stop", 2, tif="gtc")
    rig.sync()
    rig.clock.pass_ns(2 * HOUR_NS)
    rig.engine.on_timer()
    assert rig.status(order) == OrdStatus.HELD


def test_a_day_order_placed_behind_the_days_end_is_the_next_days(rig: Rig) -> None:
    rig.engine.intake.set_day_end(0, WALL_NS + HOUR_NS)
    rig.clock.pass_ns(HOUR_NS + 1)
    order = rig.place("stop", stop="90", tif="day")
    rig.sync()
    rig.engine.on_timer()
    assert rig.status(order) == OrdStatus.HELD
    assert rig.engine.views.order(order)["expire_ns"] == WALL_NS + 25 * HOUR_NS


def test_an_order_past_its_end_does_not_leave_the_line(rig: Rig) -> None:
    rig.down()
    order = rig.place("a", tif="gtd", expire_ns=WALL_NS + HOUR_NS, max_queue_ms=10**9)
    rig.sync()
    rig.clock.pass_ns(2 * HOUR_NS)
    rig.up()
    assert rig.link.submitted == []
    assert rig.status(order) == OrdStatus.EXPIRED


# --- stops ------------------------------------------------------------------------------------------


def test_a_gap_elsewhere_does_not_put_off_the_stop_of_another_instrument(rig: Rig) -> None:
    for number in range(300):
        rig.place(f"s{number}", stop="90", qty="1")
    other = rig.place("other", symbol="S1", stop="90", qty="1")
    rig.sync()
    rig.quote("S0", "89.00", "89.01")
    for cents in range(50):
        rig.quote("S0", f"88.{cents:02}", "89.50")
    rig.quote("S1", "89.00", "89.01")
    for _ in range(2):
        rig.turn()
    assert other in {ticket.order for ticket in rig.link.submitted}


def test_a_price_that_waits_for_its_turn_fires_no_stop_that_came_after_it(rig: Rig) -> None:
    for number in range(600):
        rig.place(f"s{number}", stop="90", qty="1")
    rig.sync()
    rig.quote("S0", "89.00", "89.01")
    rig.quote("S0", "99.00", "99.01")
    late = PlaceItem(
        cl_ord_id="late", symbol="S0", side="sell", ord_type="market", qty="1", tif="gtc", stp="allow",
        trigger=Trigger(kind="stop", stop_px="95"),
    )  # fmt: skip
    intake = rig.engine.intake
    clocks = (rig.clock.wall, rig.clock.mono)
    assert intake.place(0, late, b"s", 0, False, *clocks) == Refusal.TRIGGER_THROUGH
    while rig.turns:
        rig.turn()
    assert intake.place(0, late, b"s", 0, False, *clocks) > 0
    rig.sync()
    assert rig.status(600) == OrdStatus.HELD
    assert len(rig.link.submitted) == 600


def test_a_stop_cannot_be_moved_through_the_market(rig: Rig) -> None:
    rig.place("stop", stop="90")
    rig.sync()
    assert rig.replace("stop", 2, stop="99.99") == Refusal.TRIGGER_THROUGH
    assert rig.replace("stop", 2, stop="95") > 0


# --- what the broker never answers, and numbers at the edge ---------------------------------------------------------


def test_a_cancel_without_an_answer_is_asked_about_and_goes_again(rig: Rig) -> None:
    order = rig.place("a")
    rig.sync()
    rig.new(order)
    rig.engine.intake.cancel(0, "a", 0, rig.clock.wall)
    rig.sync()
    assert len(rig.link.canceled) == 1
    rig.link.asked.clear()
    rig.clock.pass_ns(3 * 10**9)
    rig.engine.on_timer()
    assert [ticket.order for ticket in rig.link.asked] == [order]
    rig.engine.on_report(
        ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=True, status=OrdStatus.NEW, order_qty_e9=10 * E9)
    )
    rig.sync()
    assert len(rig.link.canceled) == 2


@pytest.mark.parametrize(
    ("side", "collar", "ask", "px"),
    [
        ("buy", "10", "101.10", "101.21"),
        ("sell", "10", "101.10", "100.98"),
        ("buy", "9000000000", "61000.00", "9199999999.99"),
        ("sell", "20000", "101.10", "0.01"),
    ],
)
def test_a_collar_is_measured_from_the_touch(rig: Rig, side: str, collar: str, ask: str, px: str) -> None:
    rig.quote("S0", from_e9(to_e9(ask) - CENT), ask)
    rig.place("a", side=side, ord_type="market", px=None, collar_bps=collar, qty="1")
    rig.sync()
    (ticket,) = rig.link.submitted
    assert ticket.px_e9 == to_e9(px)


def test_done_orders_of_an_account_and_doubts_are_found_without_the_others(rig: Rig) -> None:
    rows = [rig.place(f"o{number}", account=number % 2) for number in range(6)]
    rig.sync()
    for row in rows[:4]:
        rig.new(row)
        rig.fill(row, 10, b"x%d" % row)
    assert rig.engine.views.done_since(0, 10, 0) == [rows[2], rows[0]]
    assert rig.engine.views.done_since(1, 1, 0) == [rows[3]]
    assert rig.engine.views.in_doubt() == 0
    rig.engine.router.put_in_doubt(rows[4], b"test")
    assert rig.engine.views.in_doubt() == 1
    copy = rig.core.state(shard=0, orders=rig.state.orders.capacity, accounts=2, instruments=2)
    copy.load(rig.state.dump(), rig.state.positions_dump())
    assert Views(copy).done_since(0, 10, 0) == [rows[2], rows[0]]
    assert Views(copy).in_doubt() == 1


def test_an_early_answer_that_comes_late_proves_no_absence(rig: Rig) -> None:
    rig.link.capabilities = replace(rig.link.capabilities, horizon_ns=3 * 10**9)
    order = rig.place("a")
    rig.sync()
    rig.clock.pass_ns(2 * 10**9)
    rig.engine.on_timer()  # in doubt, and asked: before the horizon
    rig.clock.pass_ns(4 * 10**9)
    rig.engine.on_timer()  # asked again: behind it
    rig.engine.on_timer()
    assert [ticket.order for ticket in rig.link.asked].count(order) == 2
    rig.engine.on_report(ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=False))  # to the first question
    rig.sync()
    assert len(rig.link.submitted) == 1


def test_a_stop_canceled_after_a_crash_that_it_had_fired_before_is_canceled_at_the_broker(rig: Rig) -> None:
    rig.long()
    order = rig.place("stop", stop="90", reduce_only=True)
    rig.sync()
    rig.quote("S0", "89.00", "89.01")  # its bytes leave; the record of it is lost
    again = restarted(rig)
    again.engine.intake.cancel(0, "stop", 0, again.clock.wall)
    again.sync()
    again.link.is_up = True
    again.engine.on_link(True, "login")
    again.engine.on_report(
        ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=True, status=OrdStatus.NEW, order_qty_e9=10 * E9)
    )
    again.sync()
    assert [ticket.order for ticket in again.link.canceled] == [order]
