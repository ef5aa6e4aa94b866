"""Stops that may have left before a crash, and answers that come late: what must hold of them, each once broken."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from brokers.ports import ReportCanceled, ReportState, ReportTrade
from gateway.contracts.requests import CancelItem, PlaceItem
from gateway.core.world import World
from hotpath.enums import HaltLevel, HaltScope, OrdStatus, Stage
from tests.property.order_world import E9, LIMITS
from tests.unit.engine_rig import WALL_NS, Rig
from tests.unit.test_engine_promises import restarted as over_what_was_durable
from tests.unit.test_router_owed import held_over_a_crash, restarted


@pytest.fixture
def rig() -> Rig:
    found = Rig()
    found.sync()
    found.up()
    return found


def absent(order: int, venue_ns: int) -> ReportState:
    return ReportState(order=order, rev=1, venue_ns=venue_ns, raw=b"", found=False)


def working(order: int, status: OrdStatus = OrdStatus.NEW) -> ReportState:
    """What the broker answered before anything else that these tests let it say."""
    return ReportState(
        order=order, rev=1, venue_ns=7, raw=b"", found=True, status=status, order_qty_e9=10 * E9, leaves_qty_e9=10 * E9
    )


def link_up(rig: Rig) -> None:
    rig.link.is_up = True
    rig.engine.on_link(True, "login")


def test_a_batch_that_cancels_a_suspect_is_repeated_with_its_answer() -> None:
    """Two events for one item: asked again, the batch was refused though it had been done."""
    rig, _, _ = held_over_a_crash()
    fields = {"symbol": "S0", "side": "buy", "ord_type": "limit", "qty": "1", "px": "100", "tif": "gtc", "stp": "allow"}
    items = [CancelItem(cl_ord_id="a"), PlaceItem(cl_ord_id="n", **fields)]  # type: ignore[arg-type]
    run = rig.engine.batch.run
    assert run(0, items, b"s", 0, rig.clock.wall, rig.clock.mono)[0] > 0
    rig.sync()
    assert run(0, items, b"s", 0, rig.clock.wall, rig.clock.mono) == (0, -1)


@pytest.mark.parametrize("terms", [{}, {"ord_type": "limit", "px": "97"}])
def test_an_old_answer_raises_no_suspect_from_the_dead(rig: Rig, terms: dict[str, str]) -> None:
    """Fill and end overtook the answer `working`: the order was open again, and nobody asked any more."""
    rig.long(20)
    order = rig.place("a", stop="98", **terms)
    rig.sync()
    rig = restarted(rig)
    rig.sync()
    link_up(rig)
    fill = ReportTrade(
        order=order, rev=1, venue_ns=8, raw=b"", exec_id=b"X1", last_qty_e9=4 * E9, last_px_e9=98 * E9,
        cum_qty_e9=4 * E9, leaves_qty_e9=6 * E9,
    )  # fmt: skip
    rig.engine.on_report(fill)
    rig.engine.on_report(ReportCanceled(order=order, rev=1, venue_ns=9, raw=b"", cum_qty_e9=4 * E9))
    rig.engine.on_report(working(order))
    rig.sync()
    assert rig.status(order) == OrdStatus.CANCELED


def test_an_unknown_word_clears_no_suspect() -> None:
    rig, order, _ = held_over_a_crash()
    link_up(rig)
    rig.engine.on_report(working(order, OrdStatus.NONE))
    rig.sync()
    rig.engine.intake.cancel(0, "a", 0, rig.clock.wall)
    rig.sync()
    assert rig.status(order) == OrdStatus.PENDING_NEW and order in rig.state.suspects


def test_a_suspect_counts_in_the_worst_case() -> None:
    """20 may be at the broker and 30 are allowed: another 20 passed."""
    rig = Rig()
    World(rig.state).set_limits(0, LIMITS | {"max_position_qty_e9": 30 * E9}, 2, WALL_NS)
    rig.sync()
    rig.up()
    order = rig.place("a", stop="102", side="buy", qty="20")
    rig.sync()
    rig.quote("S0", "103.00", "103.01")  # its bytes leave, the records of it are lost
    assert [ticket.order for ticket in rig.link.submitted] == [order]
    again = over_what_was_durable(rig)
    again.link.capabilities = replace(again.link.capabilities, horizon_ns=3 * E9)
    link_up(again)
    again.engine.on_report(absent(order, 1))
    again.sync()
    assert again.engine.router.is_open and again.engine.views.order(order)["reserved_qty_e9"] == 20 * E9
    with pytest.raises(AssertionError, match="'limit': 30000000000"):
        again.place("b", qty="20")
    again.place("c", qty="10")
    again.clock.pass_ns(4 * E9)
    again.engine.router.doubt(order)
    again.engine.on_report(absent(order, 2))
    assert again.engine.views.order(order)["reserved_qty_e9"] == 0 and order not in again.state.suspects


def test_a_suspect_that_fires_is_judged_without_what_it_reserves_itself() -> None:
    """Bound to reduce a position of 20: its own 20 are no reason to call it flat."""
    rig = Rig()
    rig.sync()
    rig.up()
    rig.long(20)
    order = rig.place("a", stop="98", qty="20", reduce_only=True)
    rig.sync()
    rig = restarted(rig)
    rig.sync()
    assert rig.engine.views.order(order)["reserved_qty_e9"] == 20 * E9
    link_up(rig)
    rig.engine.on_report(absent(order, 1))
    rig.quote("S0", bid="97.50", ask="97.60")
    assert [(ticket.order, ticket.qty_e9) for ticket in rig.link.submitted] == [(order, 20 * E9)]


def test_a_cancel_goes_again_though_the_disk_has_failed(rig: Rig) -> None:
    """It waited for its record to be on disk, which nothing will ever be again."""
    order = rig.place("a", qty="10")
    rig.sync()
    rig.new(order)
    rig.engine.journal_failed("EIO")
    rig.engine.halts.set(
        HaltScope.GLOBAL, 0, HaltLevel.CANCEL_ALL, actor="ops", reason="test", keep_protective=False
    )  # fmt: skip
    assert [ticket.order for ticket in rig.link.canceled] == [order]
    rig.engine.on_link(False, "lost")
    link_up(rig)
    rig.engine.on_report(working(order))
    assert [ticket.order for ticket in rig.link.canceled] == [order, order]


def test_a_fired_entry_that_was_replaced_in_line_waits_for_its_terms_to_be_on_disk(rig: Rig) -> None:
    rig.long(20)
    order = rig.place("a", stop="98", qty="5", max_queue_ms=60_000)
    rig.sync()
    rig.down()
    rig.quote("S0", bid="97.50", ask="97.60")
    rig.sync()
    rig.link.submitted.clear()
    assert rig.engine.views.order(order)["triggered"] and rig.replace("a", 2, qty="9") > 0
    rig.engine.flush()
    link_up(rig)
    assert rig.link.submitted == []
    rig.sync()
    assert [(ticket.order, ticket.qty_e9) for ticket in rig.link.submitted] == [(order, 9 * E9)]


def test_many_questions_without_an_answer_make_no_proof_early(rig: Rig) -> None:
    """Six were remembered: the seventh answer to those of before it left counted for the next question."""
    order = rig.place("a", qty="10")
    rig.sync()
    engine, router = rig.engine, rig.engine.router
    engine.on_link(False, "lost")
    link_up(rig)
    for _ in range(9):
        rig.clock.pass_ns(router.answer_ns << 5)
        engine.on_timer()
    assert len(rig.link.asked) == 10
    engine.on_report(absent(order, 7))
    rig.sync()
    assert len(rig.link.submitted) == 2 and engine.views.order(order)["stage"] == Stage.SENT
    for number in range(6):
        engine.on_report(absent(order, 8 + number))
    rig.sync()
    rig.clock.pass_ns(router.answer_ns)
    engine.on_timer()
    assert engine.views.order(order)["stage"] == Stage.IN_DOUBT and order in router.asking
    engine.intake.cancel(0, "a", 0, rig.clock.wall)
    rig.sync()
    engine.on_report(absent(order, 20))
    rig.sync()
    assert rig.status(order) != OrdStatus.CANCELED


def test_an_absence_of_before_it_left_is_no_alarm(rig: Rig) -> None:
    order = rig.place("a", qty="10")
    rig.sync()
    rig.engine.on_link(False, "lost")
    link_up(rig)
    rig.clock.pass_ns(rig.engine.router.answer_ns)
    rig.engine.on_timer()
    rig.engine.on_report(absent(order, 7))
    rig.sync()
    rig.new(order)
    before = rig.engine.reports.anomalies
    rig.engine.on_report(msgspec.structs.replace(absent(order, 7), venue_ns=8))
    assert rig.engine.reports.anomalies == before


def test_a_fill_under_a_larger_revision_says_that_it_is_in_force(rig: Rig) -> None:
    """It overtook `replaced`: the order of 6 was full with 16, and the 3 that were still open were not counted."""
    order = rig.place("a", qty="6")
    rig.sync()
    rig.new(order)
    rig.replace("a", 2, qty="19")
    rig.sync()
    fill = ReportTrade(
        order=order, rev=2, venue_ns=8, raw=b"", exec_id=b"X1", last_qty_e9=16 * E9, last_px_e9=100 * E9,
        cum_qty_e9=16 * E9, leaves_qty_e9=3 * E9,
    )  # fmt: skip
    rig.engine.on_report(fill)
    row = rig.engine.views.order(order)
    assert (row["ord_status"], row["rev"], row["leaves_qty_e9"], row["reserved_qty_e9"]) == (
        OrdStatus.PARTIALLY_FILLED, 2, 3 * E9, 3 * E9,
    )  # fmt: skip
    rig.engine.on_report(
        msgspec.structs.replace(fill, exec_id=b"X2", last_qty_e9=3 * E9, cum_qty_e9=19 * E9, leaves_qty_e9=0)
    )
    assert rig.status(order) == OrdStatus.FILLED


def test_a_replace_in_line_goes_when_its_order_has_ended(rig: Rig) -> None:
    """It stayed in the line, and was shown as queued, until something else made the line move."""
    order = rig.place("a", qty="6")
    rig.sync()
    rig.new(order)
    rig.replace("a", 2, qty="9")
    rig.engine.halts.set(HaltScope.GLOBAL, 0, HaltLevel.REDUCE_ONLY, actor="ops", reason="test", keep_protective=True)
    rig.sync()
    assert rig.engine.router.waiting == 1
    rig.engine.on_report(ReportCanceled(order=order, rev=1, venue_ns=9, raw=b"", cum_qty_e9=0))
    assert rig.engine.router.waiting == 0


def test_stops_that_no_book_could_hold_together_stop_no_start() -> None:
    """Each was accepted alone; all of them as if they had left are more than a position can be: no start came of it."""
    rig = Rig()
    World(rig.state).set_limits(
        0, LIMITS | {"max_order_qty_e9": 2 * 10**18, "max_order_notional_e4": 10**17}, 2, WALL_NS
    )
    rig.sync()
    rig.up()
    for number in range(12):
        rig.place(f"s{number}", stop="98", qty="1000000000")
    rig.sync()
    rig = restarted(rig)
    rig.sync()
    assert len(rig.state.suspects) == 12
    for order in list(rig.state.suspects):
        rig.engine.world.clear(order, rig.clock.wall)
    assert not any(rig.engine.views.order(order)["reserved_qty_e9"] for order in range(12))
