"""What leaves first under a broker's rate, what waits, and what a refusal for the rate costs: nothing but time."""

from __future__ import annotations

import pytest

from brokers.capabilities import RateBudget
from brokers.ports import RejectReason, ReportCancelRejected, ReportQueryRejected, ReportRejected, ReportState
from hotpath.enums import OrdStatus, Rank, Stage
from tests.property.order_world import E9
from tests.unit.engine_rig import Rig

SECOND_NS = 1_000_000_000
BUDGET = RateBudget(messages_per_s=10, burst=4, reserved_burst=2)
TOO_FAST = {"reason": RejectReason.THROTTLED, "code": "RATE", "text": "too many messages", "raw": b""}


def rested(budget: RateBudget = BUDGET) -> Rig:
    """A broker with a rate whose bucket is full."""
    rig = Rig(budget=budget)
    rig.sync()
    rig.up()
    pass_ns(rig, SECOND_NS)
    return rig


def pass_ns(rig: Rig, delay_ns: int) -> None:
    """Time goes on, and the timers that wait ring."""
    rig.clock.pass_ns(delay_ns)
    calls, rig.later[:] = list(rig.later), []
    for _, call in calls:
        call()
    rig.sync()


def left(rig: Rig) -> list[int]:
    return [ticket.order for ticket in rig.link.submitted]


def positioned(rig: Rig, qty: int = 50) -> None:
    """A long position, and a full bucket again."""
    rig.long(qty)
    pass_ns(rig, SECOND_NS)
    rig.link.submitted.clear()


def test_entries_stop_at_the_reserve_and_leave_one_by_one_as_tokens_come() -> None:
    rig = rested()
    orders = [rig.place(f"e{at}") for at in range(4)]
    rig.sync()
    assert left(rig) == orders[:2] and rig.engine.router.waiting == 2
    pass_ns(rig, SECOND_NS // 10)
    assert left(rig) == orders[:3]
    pass_ns(rig, SECOND_NS // 10)
    assert left(rig) == orders and not rig.engine.router.waiting


def test_an_exit_leaves_before_what_came_first_and_from_the_reserve() -> None:
    rig = rested()
    positioned(rig)
    entries = [rig.place(f"e{at}") for at in range(5)]
    rig.sync()
    stop = rig.place("stop", stop="99.98", reduce_only=True)
    rig.sync()
    assert left(rig) == entries[:2]
    rig.quote("S0", bid="99.98", ask="99.99")
    assert left(rig) == [*entries[:2], stop]  # in the turn of the tick


def test_lines_leave_by_rank_and_in_order_within_each() -> None:
    rig = rested()
    positioned(rig)
    working = [rig.place(f"w{at}", px="90") for at in range(2)]
    rig.sync()
    for order in working:
        rig.new(order)
    entries = [rig.place(f"e{at}", px="90") for at in range(2)]
    reductions = [rig.place(f"r{at}", side="sell", px="110") for at in range(2)]
    rig.sync()
    assert left(rig) == working
    for order in working:
        assert not rig.engine.intake.cancel(0, f"w{working.index(order)}", 0, rig.clock.wall) < 0
    exits = [rig.place(f"x{at}", side="sell", px="110", reduce_only=True) for at in range(4)]
    rig.sync()
    depths = rig.engine.router.egress.depths()
    assert {rank: count for rank, (count, _) in depths.items()} == {
        "exits": 3, "cancels": 1, "reductions": 2, "entries": 2, "held": 0,
    }  # fmt: skip
    rig.link.submitted.clear()
    told = []
    for _ in range(40):
        pass_ns(rig, SECOND_NS // 10)
        told.append((left(rig)[-1:], len(rig.link.canceled)))
    assert left(rig) == [*exits[1:], *reductions, *entries]
    assert [ticket.order for ticket in rig.link.canceled] == working
    first_reduction = next(at for at, (last, _) in enumerate(told) if last == [reductions[0]])
    assert told[first_reduction][1] == 2  # cancels had left by then


def test_no_second_ever_has_more_than_the_rate_and_the_burst() -> None:
    rig = rested()
    for at in range(60):
        rig.place(f"e{at}", qty="1")
    rig.sync()
    times = [rig.clock.mono] * len(left(rig))
    for _ in range(800):
        pass_ns(rig, SECOND_NS // 100)
        times += [rig.clock.mono] * (len(left(rig)) - len(times))
    assert len(times) == 60
    for at, first in enumerate(times):
        assert sum(first <= time < first + SECOND_NS for time in times[at:]) <= 10 + 4


def test_a_cancel_in_line_ends_the_order_here_and_it_never_leaves() -> None:
    rig = rested()
    orders = [rig.place(f"e{at}") for at in range(3)]
    rig.sync()
    rig.engine.intake.cancel(0, "e2", 0, rig.clock.wall)
    rig.sync()
    assert rig.status(orders[2]) == OrdStatus.CANCELED
    pass_ns(rig, 5 * SECOND_NS)
    assert left(rig) == orders[:2] and not rig.link.canceled and not rig.engine.router.waiting


def test_an_entry_waits_for_a_token_no_longer_than_it_may() -> None:
    rig = rested()
    orders = [rig.place(f"e{at}", max_queue_ms=50) for at in range(3)]
    rig.sync()
    rig.clock.pass_ns(60_000_000)
    rig.engine.on_timer()
    rig.sync()
    assert rig.status(orders[2]) == OrdStatus.EXPIRED and left(rig) == orders[:2]


def test_a_broker_without_a_rate_is_sent_everything_at_once() -> None:
    rig = rested(RateBudget())
    orders = [rig.place(f"e{at}") for at in range(30)]
    rig.sync()
    assert left(rig) == orders


@pytest.mark.parametrize("is_full", [False, True])
def test_a_new_order_does_not_overtake_what_waits_for_the_link(is_full: bool) -> None:
    rig = rested(RateBudget())
    positioned(rig)
    rig.link.is_up = False  # the kernel takes nothing, and the link has not been called down
    waiting = rig.place("x", side="sell", px="110", reduce_only=True)
    rig.sync()
    rig.link.is_up = not is_full
    entry = rig.place("e")
    rig.sync()
    rig.link.is_up = True
    rig.engine.on_writable()
    assert left(rig) == [waiting, entry]


def refuse(rig: Rig, order: int, venue_ns: int) -> None:
    rig.engine.on_report(ReportRejected(order=order, rev=1, venue_ns=venue_ns, **TOO_FAST))
    rig.sync()


def test_an_order_refused_for_the_rate_is_in_line_again_and_leaves_under_its_id() -> None:
    rig = rested()
    order = rig.place("e")
    rig.sync()
    refuse(rig, order, 1)
    assert rig.engine.views.status(order)[:2] == (OrdStatus.PENDING_NEW, Stage.QUEUED)
    assert left(rig) == [order]  # all that the bucket had is gone
    pass_ns(rig, SECOND_NS // 2)
    assert [ticket.broker_cl_ord_id for ticket in rig.link.submitted] == [rig.link.submitted[0].broker_cl_ord_id] * 2
    assert rig.engine.router.egress.refusals == 1


def test_a_refusal_that_is_told_twice_takes_nothing_back() -> None:
    rig = rested()
    order = rig.place("e")
    rig.sync()
    refuse(rig, order, 1)
    pass_ns(rig, SECOND_NS // 2)
    assert rig.engine.views.status(order)[1] == Stage.SENT
    refuse(rig, order, 1)
    assert rig.engine.views.status(order)[1] == Stage.SENT


def test_a_refusal_without_a_time_is_asked_about() -> None:
    rig = rested()
    order = rig.place("e")
    rig.sync()
    refuse(rig, order, 0)
    assert rig.engine.views.status(order)[1] == Stage.IN_DOUBT
    pass_ns(rig, SECOND_NS // 2)
    assert [ticket.order for ticket in rig.link.asked] == [order]


def test_a_cancel_and_a_question_refused_for_the_rate_go_again() -> None:
    rig = rested()
    order = rig.place("e")
    rig.sync()
    rig.new(order)
    rig.engine.intake.cancel(0, "e", 0, rig.clock.wall)
    rig.sync()
    rig.engine.on_report(ReportCancelRejected(order=order, rev=1, venue_ns=1, **TOO_FAST))
    assert len(rig.link.canceled) == 1
    pass_ns(rig, SECOND_NS // 2)
    assert len(rig.link.canceled) == 2
    rig.engine.router.doubt(order)
    assert len(rig.link.asked) == 1
    rig.engine.on_report(ReportQueryRejected(order=order, rev=1, venue_ns=1, **TOO_FAST))
    pass_ns(rig, SECOND_NS // 2)
    assert len(rig.link.asked) == 2
    answer = ReportState(
        order=order, rev=1, venue_ns=2, raw=b"", found=True, status=OrdStatus.CANCELED, order_qty_e9=10 * E9
    )
    rig.engine.on_report(answer)
    assert not rig.engine.router.asking and rig.status(order) == OrdStatus.CANCELED


def test_ranks_follow_the_position() -> None:
    rig = rested(RateBudget())
    positioned(rig, 10)
    views = rig.engine.views
    assert views.rank(rig.place("x", side="sell", px="110", reduce_only=True, qty="1")) == Rank.EXITS
    assert views.rank(rig.place("r", side="sell", px="110", qty="10")) == Rank.REDUCTIONS
    assert views.rank(rig.place("turn", side="sell", px="110", qty="11")) == Rank.ENTRIES
    assert views.rank(rig.place("e")) == Rank.ENTRIES
    stop = rig.place("s", stop="90", qty="10")
    rig.sync()
    rig.quote("S0", bid="89.99", ask="90.00")
    assert views.rank(stop) == Rank.EXITS


def test_an_exit_is_not_kept_by_the_timer_of_an_entry() -> None:
    """The entry waits for the whole reserve to be there again, the exit for one token."""
    rig = rested()
    positioned(rig)
    assert rig.engine.router.egress.may_ask(True)
    rig.engine.router.egress.has_left(4)
    rig.later.clear()
    entry = rig.place("late")
    rig.sync()
    (entry_ns,) = {delay_ns for delay_ns, _ in rig.later}
    stop = rig.place("s", stop="95", reduce_only=True)
    rig.sync()
    rig.quote("S0", bid="94.99", ask="95.00")
    rig.sync()
    assert left(rig) == []
    exit_ns = min(delay_ns for delay_ns, _ in rig.later)
    assert exit_ns < entry_ns
    rig.clock.pass_ns(exit_ns)
    for delay_ns, call in list(rig.later):
        if delay_ns == exit_ns:
            call()
    assert left(rig) == [stop]
    rig.clock.pass_ns(SECOND_NS)
    for _, call in list(rig.later):
        call()
    rig.sync()
    assert left(rig) == [stop, entry]
