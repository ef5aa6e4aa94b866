"""What the broker owes us, what waits for a doubt to end, and doubts over restarts: found by the simulator."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from brokers.capabilities import DedupClass
from brokers.ports import Execution, ReportNew, ReportState
from gateway.core.state import State
from hotpath.enums import OrdStatus, Stage
from tests.property.order_world import E9
from tests.unit.engine_rig import Rig


def restarted(old: Rig, *, is_clean: bool = False) -> Rig:
    """The gateway after a kill, over what was on disk."""
    state = State(shard=0, orders=old.state.orders.capacity, accounts=2, instruments=2)
    kept = bytes(old.journal.data[4096:])
    state.replay(memoryview(kept), 4096)
    rig = Rig(state)
    rig.journal.data += kept
    rig.journal.last_seq = rig.journal.durable_seq = state.seq
    rig.engine.recover(old.clock.wall, is_clean=is_clean)
    return rig


def test_a_fill_that_a_done_order_is_owed_is_asked_for_after_a_restart() -> None:
    """The end overtook the fill, then the process died: nobody would ever ask about an order that is done."""
    rig = Rig()
    rig.sync()
    rig.up()
    order = rig.place("a", qty="10")
    rig.sync()
    rig.new(order)
    rig.engine.reports.expired(order, 4 * E9, b"", rig.clock.wall)
    rig.sync()
    rig = restarted(rig)
    rig.link.is_up = True
    rig.engine.on_link(True, "login")
    assert [ticket.order for ticket in rig.link.asked] == [order]
    fill = Execution(exec_id=b"X1", last_qty_e9=4 * E9, last_px_e9=100 * E9)
    answer = ReportState(
        order=order, rev=1, venue_ns=0, raw=b"", found=True, status=OrdStatus.EXPIRED, order_qty_e9=10 * E9,
        cum_qty_e9=4 * E9, executions=(fill,),
    )  # fmt: skip
    rig.engine.on_report(answer)
    row = rig.engine.views.order(order)
    assert (row["cum_qty_e9"], row["owed_qty_e9"]) == (4 * E9, 0)
    rig.sync()
    assert not len(restarted(rig).engine.router.unheard)


def test_a_cancel_leaves_as_soon_as_a_late_word_ends_the_doubt() -> None:
    """It waited for the answer to the question, though the broker had spoken; done orders stayed in line."""
    rig = Rig()
    rig.sync()
    rig.up()
    order = rig.place("a", qty="10")
    rig.sync()
    rig.engine.router.put_in_doubt(order, b"no answer")
    rig.engine.intake.cancel(0, "a", 0, rig.clock.wall)
    rig.sync()
    assert rig.engine.router.waiting == 1 and not rig.link.canceled
    rig.engine.on_report(ReportNew(order=order, rev=1, venue_ns=0, raw=b"", broker_order_id=b"b"))
    assert [ticket.order for ticket in rig.link.canceled] == [order] and rig.engine.router.waiting == 0


def test_a_doubt_that_outlives_a_second_restart_is_still_settled_by_proven_absence() -> None:
    """The time since which nothing can have been handed over was known in the first life only."""
    rig = Rig()
    rig.sync()
    order = rig.place("a", qty="10", max_queue_ms=60_000)
    rig.sync()
    for _ in range(2):
        rig = restarted(rig)
        rig.sync()
    absent = ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=False)
    rig.link.capabilities = replace(rig.link.capabilities, horizon_ns=3 * E9)
    rig.link.is_up = True
    rig.engine.on_link(True, "login")
    for _ in range(4):
        rig.engine.on_report(absent)
        rig.clock.pass_ns(2 * E9)
        for _, call in rig.later:
            call()
        rig.engine.on_timer()
    rig.sync()
    assert rig.engine.views.in_doubt() == 0 and [ticket.order for ticket in rig.link.submitted] == [order]


def test_an_answer_that_comes_twice_raises_no_order_from_the_dead() -> None:
    """`working` was asked for and answered, the cancel followed; then the answer came a second time."""
    rig = Rig()
    rig.sync()
    rig.up()
    order = rig.place("a", qty="10")
    rig.sync()
    rig.new(order)
    working = ReportState(
        order=order, rev=1, venue_ns=7, raw=b"", found=True, status=OrdStatus.NEW, order_qty_e9=10 * E9,
        leaves_qty_e9=10 * E9,
    )  # fmt: skip
    rig.engine.on_report(working)
    rig.engine.reports.canceled(order, 0, b"", rig.clock.wall)
    rig.sync()
    for _ in range(2):
        rig.engine.on_report(working)
        assert rig.engine.views.order(order)["ord_status"] == OrdStatus.CANCELED
    assert {ticket.order for ticket in rig.link.asked} == {order}
    rig.engine.on_report(msgspec.structs.replace(working, status=OrdStatus.CANCELED, venue_ns=9))
    assert not rig.engine.router.asking and not rig.engine.router.disputed


def test_an_absence_that_comes_twice_proves_nothing_about_an_order_that_left_since() -> None:
    """Proven absent after a lost link, it left again and got no answer; then the old one came once more."""
    rig = Rig()
    rig.sync()
    rig.up()
    order = rig.place("a", qty="10")
    rig.sync()
    rig.engine.on_link(False, "lost")
    rig.engine.on_link(True, "login")
    absent = ReportState(order=order, rev=1, venue_ns=7, raw=b"", found=False)
    rig.engine.on_report(absent)
    rig.sync()
    assert rig.engine.views.order(order)["stage"] == Stage.SENT
    rig.engine.router.put_in_doubt(order, b"no answer")
    rig.engine.router.doubt(order)
    rig.engine.on_report(absent)
    rig.sync()
    assert rig.engine.views.order(order)["stage"] == Stage.IN_DOUBT and order in rig.engine.router.asking
    rig.engine.on_report(msgspec.structs.replace(absent, venue_ns=9))
    rig.sync()
    assert [ticket.order for ticket in rig.link.submitted] == [order] * 3


def test_an_absence_that_answers_a_question_from_before_the_order_left_proves_nothing() -> None:
    """Two questions were under way; the first answer let it leave again, and the second came when it was asked anew."""
    rig = Rig()
    rig.sync()
    rig.up()
    order = rig.place("a", qty="10")
    rig.sync()
    rig.engine.on_link(False, "lost")
    rig.engine.on_link(True, "login")
    rig.clock.pass_ns(rig.engine.router.answer_ns)
    rig.engine.on_timer()
    assert len(rig.link.asked) == 2
    absent = ReportState(order=order, rev=1, venue_ns=7, raw=b"", found=False)
    rig.engine.on_report(absent)
    rig.sync()
    assert rig.engine.views.order(order)["stage"] == Stage.SENT
    rig.clock.pass_ns(1)
    rig.engine.router.put_in_doubt(order, b"no answer")
    rig.engine.router.doubt(order)
    rig.engine.on_report(msgspec.structs.replace(absent, venue_ns=8))
    rig.sync()
    assert rig.engine.views.order(order)["stage"] == Stage.IN_DOUBT
    rig.engine.on_report(msgspec.structs.replace(absent, venue_ns=9))
    rig.sync()
    assert [ticket.order for ticket in rig.link.submitted] == [order] * 3


def test_a_working_order_that_the_broker_does_not_find_yet_is_asked_about_again() -> None:
    """Its cancel was lost with the link: one forgetful answer must not be the last word about it."""
    rig = Rig()
    rig.link.capabilities = replace(rig.link.capabilities, horizon_ns=3 * 10**9)
    rig.sync()
    rig.up()
    order = rig.place("a", qty="10")
    rig.sync()
    rig.new(order)
    rig.engine.intake.cancel(0, "a", 0, rig.clock.wall)
    rig.sync()
    rig.engine.on_link(False, "lost")
    rig.engine.on_link(True, "login")
    absent = ReportState(order=order, rev=1, venue_ns=7, raw=b"", found=False)
    rig.engine.on_report(absent)
    rig.link.asked.clear()
    rig.engine.router.doubt(order)  # what it put off to the answer time
    assert [ticket.order for ticket in rig.link.asked] == [order] and not rig.engine.reports.anomalies
    rig.link.canceled.clear()
    rig.engine.on_report(msgspec.structs.replace(absent, venue_ns=9, found=True, status=OrdStatus.NEW))
    assert [ticket.order for ticket in rig.link.canceled] == [order]
    rig.clock.pass_ns(1)
    rig.engine.router.doubt(order)
    rig.engine.on_report(msgspec.structs.replace(absent, venue_ns=10))
    rig.clock.pass_ns(3 * 10**9)
    rig.engine.router.doubt(order)
    rig.engine.on_report(msgspec.structs.replace(absent, venue_ns=11))
    assert rig.engine.reports.anomalies == 1, "past the horizon the two stories contradict each other"


def test_an_order_that_the_broker_works_by_two_answers_is_not_done() -> None:
    rig = Rig()
    rig.sync()
    rig.up()
    order = rig.place("a", qty="10")
    rig.sync()
    rig.new(order)
    rig.engine.reports.canceled(order, 0, b"", rig.clock.wall)
    rig.sync()
    for venue_ns in (7, 9):
        assert rig.engine.views.order(order)["ord_status"] == OrdStatus.CANCELED
        rig.engine.on_report(
            ReportState(order=order, rev=1, venue_ns=venue_ns, raw=b"", found=True, status=OrdStatus.NEW)
        )
    assert rig.engine.views.order(order)["ord_status"] == OrdStatus.NEW


def held_over_a_crash() -> tuple[Rig, int, int]:
    """(rig, stop, a second one): two stops rest, the process died, and nobody knows whether they fired."""
    rig = Rig()
    rig.sync()
    rig.up()
    rig.long(20)
    stops = rig.place("a", stop="98"), rig.place("b", stop="97")
    rig.sync()
    rig = restarted(rig)
    rig.sync()
    return rig, *stops


def test_a_stop_that_may_have_fired_and_was_canceled_since_is_asked_about_by_the_next_life_too() -> None:
    """Its end hid it: after a second crash nobody asked, though it worked at the broker."""
    rig, order, other = held_over_a_crash()
    rig.engine.intake.cancel(0, "a", 0, rig.clock.wall)
    rig.sync()
    rig = restarted(rig)
    rig.link.is_up = True
    rig.engine.on_link(True, "login")
    assert [ticket.order for ticket in rig.link.asked] == [order, other]
    rig.engine.on_report(ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=True, status=OrdStatus.NEW))
    rig.engine.on_report(ReportState(order=other, rev=1, venue_ns=0, raw=b"", found=False))
    rig.sync()
    assert [ticket.order for ticket in rig.link.canceled] == [order]


def test_a_stop_that_may_have_fired_is_asked_about_after_an_orderly_stop_without_an_answer() -> None:
    """The orderly end marks the journal clean; what the life before it did not learn is still not known."""
    rig, order, other = held_over_a_crash()
    rig.link.is_up = True
    rig.engine.on_link(True, "login")
    rig.engine.on_report(ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=False))
    rig.down()
    rig = restarted(rig, is_clean=True)
    rig.link.is_up = True
    rig.engine.on_link(True, "login")
    assert [ticket.order for ticket in rig.link.asked] == [other]


def test_a_stop_that_fires_again_leaves_only_where_its_id_makes_no_second_order() -> None:
    """A broker that remembers no ids would have it twice: its absence must be proven first."""
    for dedup, leaves in ((DedupClass.ALWAYS, True), (DedupClass.OPEN_ONLY, False)):
        rig, order, _ = held_over_a_crash()
        rig.link.capabilities = replace(rig.link.capabilities, dedup=dedup, horizon_ns=3 * E9)
        rig.engine.router.may_repeat = dedup is DedupClass.ALWAYS
        rig.up()
        rig.quote("S0", bid="97.50", ask="97.60")
        rig.sync()
        assert [ticket.order for ticket in rig.link.submitted] == [order] * leaves
        rig.clock.pass_ns(4 * E9)
        rig.engine.on_timer()
        rig.engine.on_report(ReportState(order=order, rev=1, venue_ns=0, raw=b"", found=False))
        rig.sync()
        assert [ticket.order for ticket in rig.link.submitted] == [order]


def test_a_cancel_that_is_not_on_disk_yet_does_not_leave_because_an_answer_came() -> None:
    """The answer said that the order works there, and the cancel went with it: a crash would have left no cause."""
    rig = Rig()
    rig.sync()
    rig.up()
    order = rig.place("a", qty="10")
    rig.sync()
    rig.new(order)
    rig.engine.intake.cancel(0, "a", 0, rig.clock.wall)
    rig.engine.flush()
    rig.engine.on_report(
        ReportState(order=order, rev=1, venue_ns=7, raw=b"", found=True, status=OrdStatus.NEW, order_qty_e9=10 * E9)
    )
    assert rig.link.canceled == []
    rig.sync()
    assert [ticket.order for ticket in rig.link.canceled] == [order]


def test_a_cancel_that_is_not_on_disk_yet_does_not_leave_in_the_turn_of_what_stood_in_line_before() -> None:
    """The order was in line for a replace; its turn came with the cancel asked for and not durable."""
    rig = Rig()
    rig.sync()
    rig.up()
    order = rig.place("a", qty="10")
    rig.sync()
    rig.new(order)
    rig.down()
    rig.replace("a", 2, qty="12")
    rig.sync()
    rig.engine.intake.cancel(0, "a", 0, rig.clock.wall)
    rig.engine.flush()
    rig.link.is_up = True
    rig.engine.on_link(True, "login")
    rig.engine.on_report(
        ReportState(order=order, rev=1, venue_ns=7, raw=b"", found=True, status=OrdStatus.NEW, order_qty_e9=10 * E9)
    )
    assert rig.link.canceled == []
    rig.sync()
    assert rig.link.canceled[0].order == order
