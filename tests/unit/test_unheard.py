"""A word that the broker should have said by now is asked for: fills that it counts, the end of what ends at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from brokers.ports import Execution, ReportExpired, ReportState, ReportTrade, ReportTradeCanceled
from gateway.core.state import State
from hotpath.enums import OrdStatus, Stage
from tests.property.order_world import E9
from tests.unit.engine_rig import Rig
from tests.unit.test_engine_promises import kill, restarted

SECOND_NS = 10**9


def asked(rig: Rig) -> list[int]:
    return [ticket.order for ticket in rig.link.asked]


class Timed(Rig):
    """A rig whose timers run when time passes."""

    def __init__(self, state: State | None = None) -> None:
        super().__init__(state)
        self.timers: list[tuple[int, Callable[[], None]]] = []
        self.engine.later = lambda delay_ns, call: self.timers.append((self.clock.mono + delay_ns, call))

    def run_timers(self) -> None:
        due = [call for at_ns, call in self.timers if at_ns <= self.clock.mono]
        self.timers = [timer for timer in self.timers if timer[0] > self.clock.mono]
        for call in due:
            call()


def tick(rig: Timed, delay_ns: int) -> None:
    rig.clock.pass_ns(delay_ns)
    rig.run_timers()
    rig.engine.on_timer()
    rig.sync()


@pytest.fixture
def rig() -> Timed:
    found = Timed()
    found.up()
    return found


def ends_owing(rig: Timed) -> int:
    """An order whose end overtook its fill of 4."""
    order = rig.place("a", qty="15")
    rig.sync()
    rig.new(order)
    rig.engine.on_report(ReportExpired(order=order, rev=1, venue_ns=0, raw=b"", cum_qty_e9=4 * E9))
    rig.turn()
    rig.sync()
    assert rig.engine.views.order(order)["owed_qty_e9"] == 4 * E9
    rig.link.asked.clear()
    return order


def answer(order: int) -> ReportState:
    fill = Execution(exec_id=b"X1", last_qty_e9=4 * E9, last_px_e9=100 * E9)
    return ReportState(
        order=order, rev=1, venue_ns=0, raw=b"", found=True, status=OrdStatus.EXPIRED, cum_qty_e9=4 * E9,
        executions=(fill,),
    )  # fmt: skip


def settled(rig: Timed, order: int) -> None:
    rig.engine.on_report(answer(order))
    rig.sync()
    row = rig.engine.views.order(order)
    assert (row["cum_qty_e9"], row["owed_qty_e9"], row["ord_status"]) == (4 * E9, 0, OrdStatus.EXPIRED)
    rig.link.asked.clear()
    for _ in range(5):
        tick(rig, 10 * SECOND_NS)
    assert not asked(rig)


def test_an_end_that_overtook_a_fill_is_asked_about_when_the_fill_stays_away(rig: Timed) -> None:
    order = ends_owing(rig)
    tick(rig, SECOND_NS)
    assert not asked(rig), "a fill that is only late needs no question"
    tick(rig, 2 * SECOND_NS)
    assert asked(rig) == [order]
    settled(rig, order)


def test_an_answer_without_the_fill_is_asked_for_again(rig: Timed) -> None:
    order = ends_owing(rig)
    tick(rig, 3 * SECOND_NS)
    rig.engine.on_report(ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=False))
    rig.link.asked.clear()
    tick(rig, 3 * SECOND_NS)
    assert asked(rig) == [order]
    settled(rig, order)


def test_a_fill_that_comes_in_time_is_not_asked_for(rig: Timed) -> None:
    order = ends_owing(rig)
    rig.engine.on_report(
        ReportTrade(
            order=order, rev=1, venue_ns=0, raw=b"", exec_id=b"X1", last_qty_e9=4 * E9, last_px_e9=100 * E9,
            cum_qty_e9=4 * E9, leaves_qty_e9=11 * E9,
        )
    )  # fmt: skip
    tick(rig, 10 * SECOND_NS)
    assert not asked(rig) and rig.engine.views.order(order)["owed_qty_e9"] == 0


def test_a_new_link_asks_for_it_before_the_line_moves(rig: Timed) -> None:
    order = ends_owing(rig)
    rig.down()
    rig.link.is_up = True
    rig.engine.on_link(True, "login")
    assert asked(rig) == [order] and not rig.engine.router.is_open
    settled(rig, order)
    assert rig.engine.router.is_open


def test_a_restart_asks_for_it(rig: Timed) -> None:
    order = ends_owing(rig)
    again = Timed(restarted(rig).state)
    again.engine.recover(rig.clock.wall, is_clean=False)
    again.sync()
    again.link.is_up = True
    again.engine.on_link(True, "login")
    assert asked(again) == [order]
    settled(again, order)


def test_a_count_ahead_of_an_open_order_is_asked_about(rig: Timed) -> None:
    order = rig.place("a", qty="15")
    rig.sync()
    rig.new(order)
    trade = ReportTrade(
        order=order, rev=1, venue_ns=0, raw=b"", exec_id=b"X2", last_qty_e9=E9, last_px_e9=100 * E9, cum_qty_e9=5 * E9,
        leaves_qty_e9=10 * E9,
    )  # fmt: skip
    rig.engine.on_report(trade)
    rig.link.asked.clear()
    tick(rig, 3 * SECOND_NS)
    assert asked(rig) == [order]


def test_the_line_forgets_a_cancel_whose_order_never_arrived(rig: Timed) -> None:
    """Sent, canceled while in doubt, then proven absent: it has ended, and nothing waits."""
    order = rig.place("a")
    rig.sync()
    tick(rig, 3 * SECOND_NS)  # no word: in doubt, asked about
    rig.engine.intake.cancel(0, "a", 0, rig.clock.wall)
    rig.sync()
    for _ in range(8):
        rig.engine.on_report(ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=False))
        tick(rig, 3 * SECOND_NS)
    assert rig.status(order) == OrdStatus.CANCELED
    assert rig.engine.router.waiting == 0


def test_a_newer_word_that_counts_less_takes_back_what_is_owed(rig: Timed) -> None:
    """The fill was broken before it reached us: nobody will ever send it."""
    order = ends_owing(rig)
    tick(rig, 3 * SECOND_NS)
    assert asked(rig) == [order]
    none = ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=True, status=OrdStatus.EXPIRED, cum_qty_e9=0)
    rig.engine.on_report(none)
    rig.sync()
    assert rig.engine.views.order(order)["owed_qty_e9"] == 0 and not len(rig.engine.router.unheard)


def test_an_answer_from_before_the_count_takes_nothing_back(rig: Timed) -> None:
    order = ends_owing(rig)
    none = ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=True, status=OrdStatus.EXPIRED, cum_qty_e9=0)
    rig.engine.on_report(none)
    rig.sync()
    assert rig.engine.views.order(order)["owed_qty_e9"] == 4 * E9


def test_an_immediate_order_that_stays_open_is_asked_about_ever_less_often(rig: Timed) -> None:
    order = rig.place("a", tif="ioc")
    rig.sync()
    rig.new(order)
    open_still = ReportState(
        order=order, rev=1, venue_ns=0, raw=b"", found=True, status=OrdStatus.NEW, order_qty_e9=10 * E9
    )
    for wait_s in (2, 2, 4, 8):
        tick(rig, wait_s * SECOND_NS - 1)
        assert not asked(rig), wait_s
        tick(rig, 1)
        assert asked(rig) == [order], wait_s
        rig.engine.on_report(open_still)
        rig.link.asked.clear()
    ended = ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=True, status=OrdStatus.EXPIRED)
    rig.engine.on_report(ended)
    rig.sync()
    tick(rig, 100 * SECOND_NS)
    assert rig.status(order) == OrdStatus.EXPIRED and not asked(rig)


def test_a_filled_order_whose_replace_had_no_answer_is_asked_about_after_a_restart(rig: Timed) -> None:
    """The larger terms may have been in force and filled while nobody listened."""
    order = rig.place("a")
    rig.sync()
    rig.new(order)
    rig.replace("a", 2, qty="15")
    rig.sync()
    rig.fill(order, 10, b"X1")
    assert rig.status(order) == OrdStatus.FILLED
    again = restarted(rig)
    again.link.is_up = True
    again.engine.on_link(True, "login")
    assert asked(again) == [order]


def test_a_filled_order_whose_fill_is_broken_is_asked_about_and_works_on_there(rig: Timed) -> None:
    """It was never full: the break came later than the fill that took its place."""
    order = rig.place("a")
    rig.sync()
    rig.new(order)
    rig.fill(order, 6, b"X1")
    rig.fill(order, 4, b"X2")
    broken = ReportTradeCanceled(order=order, rev=1, venue_ns=0, raw=b"", exec_id=b"X1", cum_qty_e9=0)
    rig.engine.on_report(broken)
    rig.sync()
    assert asked(rig) == [order]
    again = restarted(rig)
    again.link.is_up = True
    again.engine.on_link(True, "login")
    assert asked(again) == [order]
    for venue_ns in (1, 2):
        again.engine.on_report(
            ReportState(
                order=order, rev=1, venue_ns=venue_ns, raw=b"", found=True, status=OrdStatus.PARTIALLY_FILLED,
                order_qty_e9=10 * E9, cum_qty_e9=4 * E9,
            )
        )  # fmt: skip
    assert again.status(order) == OrdStatus.PARTIALLY_FILLED


@pytest.mark.parametrize("is_canceled", [False, True])
def test_a_stop_that_may_have_fired_is_asked_about_until_its_absence_is_proven(rig: Timed, is_canceled: bool) -> None:
    """The broker does not find an order at once: its first no is no proof."""
    order = rig.place("stop", stop="90")
    rig.sync()
    again = Timed(restarted(rig).state)
    again.engine.recover(rig.clock.wall, is_clean=False)
    again.link.capabilities = replace(again.link.capabilities, horizon_ns=3 * SECOND_NS)
    again.sync()
    again.link.is_up = True
    again.engine.on_link(True, "login")
    if is_canceled:
        again.engine.intake.cancel(0, "stop", 0, again.clock.wall)
        again.sync()
    absent = ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=False)
    for _ in range(2):
        assert asked(again) == [order]
        again.link.asked.clear()
        again.engine.on_report(absent)
        tick(again, 2 * SECOND_NS)
    fill = Execution(exec_id=b"X1", last_qty_e9=10 * E9, last_px_e9=90 * E9)
    assert asked(again) == [order]
    again.engine.on_report(
        ReportState(
            order=order, rev=1, venue_ns=0, raw=b"", found=True, status=OrdStatus.FILLED, cum_qty_e9=10 * E9,
            executions=(fill,),
        )
    )  # fmt: skip
    assert again.status(order) == OrdStatus.FILLED and not again.engine.router.suspects


def test_a_stop_that_may_have_fired_does_not_expire_before_the_brokers_word(rig: Timed) -> None:
    """Its end, once durable, would hide the order at the broker from the next start."""
    order = rig.place("stop", stop="90", tif="gtd", expire_ns=rig.clock.wall + 5 * SECOND_NS)
    rig.sync()
    again = Timed(restarted(rig).state)
    again.engine.recover(rig.clock.wall, is_clean=False)
    again.sync()
    tick(again, 6 * SECOND_NS)
    assert again.status(order) == OrdStatus.HELD
    again.up()
    tick(again, SECOND_NS)
    assert again.status(order) == OrdStatus.EXPIRED


def test_a_stop_that_may_have_fired_before_waits_in_doubt_when_it_fires_again_in_an_outage(rig: Timed) -> None:
    """In line its queue time would end it, and the next start would not ask for what is at the broker."""
    order = rig.place("stop", stop="90", max_queue_ms=50)
    rig.sync()
    again = Timed(restarted(rig).state)
    again.engine.recover(rig.clock.wall, is_clean=False)
    again.sync()
    again.quote("S0", "89.99", "90.00")
    again.sync()
    tick(again, 10 * SECOND_NS)
    assert again.engine.views.order(order)["stage"] == Stage.IN_DOUBT
    again.up()  # the broker proves it absent
    assert [ticket.order for ticket in again.link.submitted] == [order]


def test_a_stop_that_may_have_fired_before_is_not_refused_before_the_brokers_word(rig: Timed) -> None:
    """Limits were cut at the restart: what fired under the old ones may be on its way to the broker."""
    order = rig.place("stop", stop="90")
    rig.sync()
    again = Timed(restarted(rig).state)
    again.engine.recover(rig.clock.wall, is_clean=False)
    again.sync()
    kill(again)
    again.quote("S0", "89.99", "90.00")
    again.sync()
    assert again.engine.views.order(order)["stage"] == Stage.IN_DOUBT
    again.up()  # the broker proves it absent
    assert again.status(order) == OrdStatus.REJECTED and not again.link.submitted


def test_a_fill_that_was_broken_before_it_came_may_have_ended_its_order_so_the_broker_is_asked(rig: Timed) -> None:
    """It is taken back as it comes and ends nothing here; there the order was full before the break."""
    order = rig.place("a", qty="10")
    rig.sync()
    rig.new(order)
    rig.engine.on_report(ReportTradeCanceled(order=order, rev=1, venue_ns=0, raw=b"", exec_id=b"X1", cum_qty_e9=0))
    rig.sync()
    assert asked(rig) == [order]
    state = ReportState(order=order, rev=1, venue_ns=1, raw=b"", found=True, status=OrdStatus.NEW, order_qty_e9=10 * E9)
    rig.engine.on_report(state)
    rig.sync()
    rig.link.asked.clear()
    rig.engine.on_report(
        ReportTrade(
            order=order, rev=1, venue_ns=0, raw=b"", exec_id=b"X1", last_qty_e9=10 * E9, last_px_e9=100 * E9,
            cum_qty_e9=10 * E9, leaves_qty_e9=0,
        )
    )  # fmt: skip
    rig.sync()
    assert rig.status(order) == OrdStatus.NEW and asked(rig) == [order]
    rig.engine.on_report(msgspec.structs.replace(state, venue_ns=2, status=OrdStatus.FILLED))
    rig.sync()
    row = rig.engine.views.order(order)
    assert (row["ord_status"], row["cum_qty_e9"], row["owed_qty_e9"]) == (OrdStatus.FILLED, 0, 0)
