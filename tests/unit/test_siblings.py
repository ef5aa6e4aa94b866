"""A stop that fires while a target of its group works at the broker: one of the two, as far as anybody can tell."""

from __future__ import annotations

import pytest

from brokers.ports import ReportCanceled
from gateway.contracts.requests import After, Trigger
from hotpath.enums import OrdStatus, Reason
from tests.property.order_world import E9
from tests.unit.engine_rig import Rig

WAIT_NS = 250_000_000


@pytest.fixture
def rig() -> Rig:
    """A position of 10 with a target that works and a stop that is armed."""
    rig = Rig()
    rig.up()
    rig.long()
    rig.place("t", side="sell", px="105", oco="x", reduce_only=True)
    rig.place("s", stop="95", oco="x", reduce_only=True)
    rig.sync()
    rig.new(1)
    rig.link.submitted.clear()
    return rig


def canceled(rig: Rig, order: int, cum_qty_e9: int = 0) -> None:
    rig.engine.on_report(ReportCanceled(order=order, rev=1, venue_ns=0, raw=b"", cum_qty_e9=cum_qty_e9))
    rig.sync()


def test_the_target_is_canceled_and_the_stop_leaves_on_its_end(rig: Rig) -> None:
    rig.quote("S0", "94.99", "95.00")
    rig.sync()
    assert [ticket.order for ticket in rig.link.canceled] == [1]
    assert rig.link.submitted == []
    canceled(rig, 1)
    assert [(ticket.order, ticket.qty_e9) for ticket in rig.link.submitted] == [(2, 10 * E9)]
    assert rig.engine.views.order(1)["ord_status"] == OrdStatus.CANCELED
    assert rig.engine.views.done()[OrdStatus.CANCELED, Reason.OCO] == 1


def test_what_crossed_is_taken_from_the_stop(rig: Rig) -> None:
    rig.quote("S0", "94.99", "95.00")
    rig.sync()
    rig.fill(1, 4, b"crossed")
    assert rig.link.submitted == []
    canceled(rig, 1, 4 * E9)
    assert [(ticket.order, ticket.qty_e9) for ticket in rig.link.submitted] == [(2, 6 * E9)]


def test_a_target_that_fills_whole_leaves_nothing_for_the_stop(rig: Rig) -> None:
    rig.quote("S0", "94.99", "95.00")
    rig.sync()
    rig.fill(1, 10, b"crossed")
    assert rig.link.submitted == []
    assert rig.status(2) == OrdStatus.CANCELED


def test_the_stop_leaves_regardless_when_the_broker_is_silent_for_too_long(rig: Rig) -> None:
    rig.quote("S0", "94.99", "95.00")
    rig.sync()
    wait = [call for delay_ns, call in rig.later if delay_ns == WAIT_NS]
    assert len(wait) == 1
    rig.clock.pass_ns(WAIT_NS)
    wait[0]()
    assert [(ticket.order, ticket.qty_e9) for ticket in rig.link.submitted] == [(2, 10 * E9)]


def test_a_target_that_never_left_is_no_reason_to_wait() -> None:
    rig = Rig()
    rig.up()
    rig.long()
    rig.down()
    rig.place("t", side="sell", px="105", oco="x", reduce_only=True)
    rig.place("s", stop="95", oco="x", reduce_only=True)
    rig.quote("S0", "94.99", "95.00")
    rig.sync()
    assert rig.engine.views.rivals(2) == []
    assert rig.engine.views.rivals(1) == [2], "what did not fire lets the fired one go first"
    rig.link.submitted.clear()
    rig.up()
    assert [ticket.order for ticket in rig.link.submitted] == [2]


def test_a_child_leaves_once_its_release_is_on_disk() -> None:
    """Before, a crash would leave an order at the broker that the journal knows as waiting for its parent."""
    rig = Rig()
    rig.up()
    entry = rig.place("e")
    rig.place("c", stop="95", reduce_only=True, after=After(cl_ord_id="e"))
    rig.sync()
    rig.new(entry)
    rig.link.submitted.clear()
    rig.engine.reports.trade(entry, b"x", 10 * E9, 100 * E9, 0, 0, 0, 0, b"", rig.clock.wall)
    rig.quote("S0", "94.99", "95.00")
    assert rig.link.submitted == []
    rig.sync()
    assert [ticket.order for ticket in rig.link.submitted] == [1]


def test_a_child_that_the_present_price_fires_does_not_wait_for_the_next_tick() -> None:
    rig = Rig()
    rig.up()
    entry = rig.place("e")
    rig.place("c", stop="99.99", after=After(cl_ord_id="e"))
    rig.sync()
    rig.new(entry)
    rig.link.submitted.clear()
    rig.fill(entry, 10, b"x")
    rig.turn()
    rig.sync()
    assert [ticket.order for ticket in rig.link.submitted] == [1]


def test_an_order_that_moves_the_line_may_take_others_out_of_the_wait(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = rig.engine.router
    again = [rig.place(f"again{at}") for at in range(2)]
    gone: list[int] = []

    def submit(orders: list[int]) -> None:
        gone.extend(orders)
        router.siblings.waits.clear()

    monkeypatch.setattr(router, "submit", submit)
    router.siblings.waits.update(dict.fromkeys(again, 0))
    router.siblings.look()
    assert gone == again[:1]


def test_a_stop_that_has_waited_for_its_sibling_does_not_wait_again_for_a_full_buffer() -> None:
    rig = Rig()
    rig.up()
    rig.long()
    rig.place("t", side="sell", px="105", oco="x", reduce_only=True)
    rig.place("s", stop="95", oco="x", reduce_only=True)
    rig.sync()
    rig.new(1)
    rig.link.submitted.clear()
    rig.quote("S0", "94.99", "95.00")
    rig.sync()
    rig.clock.pass_ns(WAIT_NS)
    wait = [call for delay_ns, call in rig.later if delay_ns == WAIT_NS]
    rig.link.is_up = False  # the kernel's buffer is full
    wait[0]()
    assert rig.link.submitted == []
    rig.link.is_up = True
    rig.engine.on_writable()
    rig.sync()
    assert [ticket.order for ticket in rig.link.submitted] == [2]


def test_one_that_left_with_the_order_that_fired_first_is_asked_to_end_before_the_other_leaves() -> None:
    """Both fired while the disk stood still; the first leaves when it moves, and then the other's time begins."""
    rig = Rig()
    rig.up()
    rig.long()
    target = rig.place(
        "t", side="sell", px=None, ord_type="market", oco="x", trigger=Trigger(kind="touch", stop_px="105")
    )
    stop = rig.place("s", stop="95", oco="x")
    rig.link.submitted.clear()
    rig.quote("S0", "94.99", "95.00")
    rig.quote("S0", "105.00", "105.01")
    rig.sync()
    assert [ticket.order for ticket in rig.link.submitted] == [stop]
    rig.clock.pass_ns(WAIT_NS)
    for _, call in [one for one in rig.later if one[0] == WAIT_NS]:
        call()
    rig.sync()
    assert [ticket.order for ticket in rig.link.canceled] == [stop]
    assert [ticket.order for ticket in rig.link.submitted] == [stop]
    rig.clock.pass_ns(WAIT_NS)
    rig.later[-1][1]()
    rig.sync()
    assert [ticket.order for ticket in rig.link.submitted] == [stop, target]
