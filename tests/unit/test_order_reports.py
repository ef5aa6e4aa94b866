"""What brokers say out of order, twice or wrongly: one case for each rule that a fault once broke."""

from typing import Any

import msgspec
import pytest

from gateway.contracts.requests import CancelItem, PlaceItem, ReplaceItem
from gateway.core import COMPILED, Core
from gateway.core.ref import READABLE
from gateway.core.terms import Refusal
from gateway.core.world import World
from hotpath.enums import OrdStatus, Stage
from hotpath.ref.frame import pack_frame
from hotpath.ref.orders import EARLY_MAX
from hotpath.ref.records import BROKEN_EARLY, PAYLOAD_VERSION, BrokenEarlyBody, pack
from tests.property.order_world import E9, LIMITS, Pair, new_state

PX = 100 * E9


def item(
    name: str, *, qty: str = "10", px: str | None = "100.00", side: str = "buy", reduce_only: bool = False
) -> PlaceItem:
    return PlaceItem(
        cl_ord_id=name,
        symbol="S0",
        side=side,
        ord_type="limit" if px else "market",
        qty=qty,
        px=px,
        tif="gtc",
        stp="allow",
        reduce_only=reduce_only,
    )


@pytest.fixture
def pair() -> Pair:
    return Pair()


def working(pair: Pair, name: str = "a", qty: str = "10") -> int:
    row = len(pair.twin.orders)
    pair.place(0, item(name, qty=qty))
    pair.report("sent", row)
    pair.report("new", row)
    return row


def reserved(pair: Pair) -> int:
    found = pair.live.state.gate.pair_of(0, 0)
    return 0 if found is None else found["open_buy_qty_e9"]


def test_fill_before_its_new_is_booked_and_the_new_is_old_news(pair: Pair) -> None:
    pair.place(0, item("a"))
    pair.report("sent", 0)
    pair.report("trade", 0, b"x1", 4 * E9, PX, 4 * E9)
    pair.report("new", 0)
    assert pair.live.views.status(0)[0] == OrdStatus.PARTIALLY_FILLED


def test_new_of_an_order_nobody_saw_leave_is_adopted_with_an_alarm(pair: Pair) -> None:
    pair.place(0, item("a"))
    pair.report("new", 0)
    assert pair.live.views.status(0)[0] == OrdStatus.NEW
    assert pair.live.reports.anomalies == 1


def test_new_after_a_doubt_whether_it_left_raises_no_alarm(pair: Pair) -> None:
    pair.place(0, item("a"))
    pair.report("in_doubt", 0)
    pair.report("new", 0)
    assert pair.live.reports.anomalies == 0


def test_owed_quantity_survives_a_cancel_that_states_no_quantity(pair: Pair) -> None:
    row = working(pair)
    pair.report("trade", row, b"x2", 3 * E9, PX, 8 * E9)
    pair.report("canceled", row, 0)
    assert reserved(pair) == 5 * E9
    pair.report("trade", row, b"x1", 5 * E9, PX, 5 * E9)
    assert reserved(pair) == 0


def test_owed_part_of_an_open_order_is_reserved_once(pair: Pair) -> None:
    row = working(pair)
    pair.report("trade", row, b"x2", 2 * E9, PX, 5 * E9)
    assert reserved(pair) == 8 * E9


def test_larger_replace_stays_reserved_while_a_cancel_overtakes_it(pair: Pair) -> None:
    row = working(pair)
    pair.replace(0, ReplaceItem(cl_ord_id="a", rev=2, qty="50"))
    pair.cancel(0, "a")
    assert reserved(pair) == 50 * E9
    pair.report("cancel_rejected", row)
    assert pair.twin.orders[row].pending == "replace"


def test_largest_of_pipelined_replaces_stays_reserved(pair: Pair) -> None:
    row = working(pair)
    pair.replace(0, ReplaceItem(cl_ord_id="a", rev=2, qty="50"))
    pair.replace(0, ReplaceItem(cl_ord_id="a", rev=3, qty="5"))
    assert reserved(pair) == 50 * E9
    pair.report("replaced", row, 3, 5 * E9, PX)
    assert reserved(pair) == 5 * E9


def test_replace_refused_twice_is_told_once(pair: Pair) -> None:
    row = working(pair)
    pair.replace(0, ReplaceItem(cl_ord_id="a", rev=2, qty="50"))
    pair.report("replace_rejected", row, 2)
    told = len(pair.twin.events)
    pair.report("replace_rejected", row, 2)
    assert len(pair.twin.events) == told


def test_replace_overtaken_by_the_fill_of_the_old_quantity_leaves_the_order_open(pair: Pair) -> None:
    row = working(pair)
    pair.replace(0, ReplaceItem(cl_ord_id="a", rev=2, qty="15"))
    pair.report("trade", row, b"x1", 10 * E9, PX, 10 * E9)
    pair.report("replaced", row, 2, 15 * E9, PX)
    assert pair.live.views.order(row)["leaves_qty_e9"] == 5 * E9
    assert pair.live.views.open_orders(0) == [row]
    pair.compare_all()


def test_replace_down_to_what_is_filled_ends_the_order_as_the_brokers_truth(pair: Pair) -> None:
    row = working(pair)
    pair.replace(0, ReplaceItem(cl_ord_id="a", rev=2, qty="4"))
    pair.report("trade", row, b"x1", 4 * E9, PX, 4 * E9)
    pair.report("replaced", row, 2, 4 * E9, PX)
    assert [event.t for _, event in pair.twin.events[-2:]] == ["replaced", "restated"]
    assert pair.live.views.status(row)[0] == OrdStatus.FILLED


def test_order_called_done_that_works_at_the_broker_is_open_again(pair: Pair) -> None:
    row, later = working(pair), working(pair, "b")
    pair.report("canceled", row, 0)
    pair.report("restate", row, "new", 0)
    assert pair.live.views.open_orders(0) == [row, later]
    pair.compare_all()
    pair.restart()
    pair.cancel_all(0, keep_protective=False)
    pair.compare_replay()


def test_another_end_at_the_broker_corrects_quantities_only(pair: Pair) -> None:
    row = working(pair)
    pair.report("canceled", row, 0)
    pair.report("restate", row, "filled", 4 * E9)
    assert pair.live.views.status(row)[0] == OrdStatus.CANCELED
    assert reserved(pair) == 4 * E9


def test_broker_may_reject_an_order_that_worked(pair: Pair) -> None:
    row = working(pair)
    pair.report("rejected", row)
    assert pair.live.views.status(row)[0] == OrdStatus.REJECTED


def test_requeued_order_takes_the_replace_that_the_broker_never_saw(pair: Pair) -> None:
    pair.place(0, item("a"))
    pair.report("sent", 0)
    pair.replace(0, ReplaceItem(cl_ord_id="a", rev=2, qty="4"))
    pair.report("in_doubt", 0)
    pair.report("requeue", 0)
    assert pair.live.views.status(0) == (OrdStatus.PENDING_NEW, Stage.QUEUED, 0)
    assert pair.live.reports.ticket(0, 0).qty_e9 == 4 * E9


def test_ticket_names_the_revision_in_force_at_the_broker(pair: Pair) -> None:
    row = working(pair)
    first = pair.live.reports.ticket(row, 0).broker_cl_ord_id
    pair.replace(0, ReplaceItem(cl_ord_id="a", rev=2, qty="4"))
    assert pair.live.reports.ticket(row, 0, replace=True).orig_broker_cl_ord_id == first
    pair.report("replaced", row, 2, 4 * E9, PX)
    second = pair.live.reports.ticket(row, 0)
    assert second.orig_broker_cl_ord_id == second.broker_cl_ord_id != first


@pytest.mark.parametrize("change", [{"tif": "day"}, {"tif": "gtd", "expire_ns": 2**62}])
def test_a_working_order_keeps_its_end_which_the_broker_cannot_change(pair: Pair, change: dict[str, Any]) -> None:
    working(pair)
    before = pair.live.state.dump()
    asked = ReplaceItem(cl_ord_id="a", rev=2, qty="4", **change)
    assert pair.live.intake.replace(0, asked, 0, pair.wall_ns, pair.mono_ns) == Refusal.UNSUPPORTED
    assert (pair.live.intake.path, pair.live.state.dump()) == ("tif", before)


def test_absurd_numbers_of_a_broker_are_kept_and_booked_nowhere(pair: Pair) -> None:
    row = working(pair)
    pair.absurd_fill(row, b"x1")
    assert pair.live.reports.canceled(row, 2**63 - 1, b"raw", pair.wall_ns) > 0
    assert pair.live.views.order(row)["owed_qty_e9"] == 0


def test_most_revisions_wait_for_a_bounded_number_of_answers(pair: Pair) -> None:
    working(pair)
    for rev in range(2, 66):
        pair.replace(0, ReplaceItem(cl_ord_id="a", rev=rev, qty=str(10 + rev)))
    pair.replace(0, ReplaceItem(cl_ord_id="a", rev=66, qty="9"))
    assert pair.live.views.order(0)["ask_rev"] == 65


def test_refused_batch_leaves_no_trace_at_the_gate(pair: Pair) -> None:
    working(pair)
    before = pair.live.state.dump()
    answer, at = pair.live.batch.run(
        0,
        [item("b", px="110.00"), item("c", px="120.00"), CancelItem(cl_ord_id="nobody")],
        b"s",
        0,
        pair.wall_ns,
        pair.mono_ns,
    )
    assert (answer, at) == (Refusal.UNKNOWN_ORDER, 2)
    assert pair.live.state.dump() == before


def test_batch_that_takes_the_last_tokens_is_written_whole(pair: Pair) -> None:
    World(pair.live.state).set_limits(0, {**LIMITS, "order_rate_per_s": 1, "order_burst": 2}, 2, pair.wall_ns)
    pair.compare_events()
    pair.mono_ns += 3 * E9
    pair.run_batch(0, [item("b"), item("c")])
    assert len(pair.twin.orders) == 2


def test_orders_placed_apart_are_not_the_repetition_of_a_batch(pair: Pair) -> None:
    pair.place(0, item("a"))
    pair.place(0, item("b"))
    pair.run_batch(0, [item("a"), item("b")])
    assert "batch" not in [event.t for _, event in pair.twin.events]


def test_batch_that_cancels_what_was_refused_before_asks_again(pair: Pair) -> None:
    row = working(pair)
    pair.run_batch(0, [CancelItem(cl_ord_id="a")])
    pair.report("cancel_rejected", row)
    pair.run_batch(0, [CancelItem(cl_ord_id="a")])
    assert pair.twin.orders[row].pending == "cancel"


def test_text_of_a_broker_is_cut_between_characters(pair: Pair) -> None:
    row = working(pair)
    pair.live.reports.rejected(row, b"BROKER_REJECTED", b"", ("x" + "é" * 200).encode(), b"raw", pair.wall_ns)
    pair.twin.rejected(row)
    pair.compare_events()


def test_a_broken_fill_is_taken_back_at_its_own_price_once(pair: Pair) -> None:
    row = working(pair)
    pair.report("trade", row, b"x1", 4 * E9, PX, 4 * E9)
    pair.report("trade", row, b"x2", 2 * E9, 2 * PX, 6 * E9)
    pair.report("trade_canceled", row, b"x1", 2 * E9)
    told = pair.twin.events[-1][1]
    assert (told.t, told.ord_status, told.cum_qty_e9, told.leaves_qty_e9, told.avg_px_e9) == (
        "trade_canceled", "partially_filled", 2 * E9, 8 * E9, 2 * PX,
    )  # fmt: skip
    pair.report("trade_canceled", row, b"x1", 2 * E9)
    pair.report("trade", row, b"x1", 4 * E9, PX, 6 * E9)  # a late duplicate of what was broken counts no more
    pair.compare_all()
    pair.report("trade_canceled", row, b"x2", 0)
    assert pair.live.views.status(row)[0] == OrdStatus.NEW
    found = pair.live.state.gate.pair_of(0, 0)
    assert found is not None
    assert found["pos_qty_e9"] == 0
    pair.compare_all()
    pair.restart()
    pair.report("trade_canceled", row, b"x2", 0)
    pair.compare_replay()


def test_an_order_that_is_done_stays_as_it_ended_when_its_fill_is_broken(pair: Pair) -> None:
    row = working(pair)
    pair.report("trade", row, b"x1", 10 * E9, PX, 10 * E9)
    pair.report("trade_canceled", row, b"x1", 0)
    told = pair.twin.events[-1][1]
    assert (told.ord_status, told.cum_qty_e9, told.leaves_qty_e9) == ("filled", 0, 0)
    pair.compare_all()


def test_a_broken_fill_that_nobody_booked_is_an_anomaly_once(pair: Pair) -> None:
    row = working(pair)
    pair.report("trade_canceled", row, b"never", 0)
    pair.report("trade_canceled", row, b"never", 0)
    assert pair.live.reports.anomalies == 1
    too_long = b"x" * 49
    assert pair.live.reports.trade_canceled(row, too_long, 0, 7, b"raw", pair.wall_ns) == -1
    assert pair.live.reports.anomalies == 2


def position(pair: Pair) -> int:
    found = pair.live.state.gate.pair_of(0, 0)
    return 0 if found is None else found["pos_qty_e9"]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_fill_that_comes_after_its_break_is_told_and_taken_back_and_moves_nothing(
    pair: Pair, restarted: bool
) -> None:
    row = working(pair)
    pair.report("trade_canceled", row, b"x1", 0)
    if restarted:
        pair.restart()
    pair.report("trade", row, b"x1", 10 * E9, PX, 10 * E9)
    told = [(event.t, event.ord_status, event.cum_qty_e9, event.leaves_qty_e9) for _, event in pair.twin.events[-2:]]
    assert told == [("trade", "partially_filled", 10 * E9, 0), ("trade_canceled", "new", 0, 10 * E9)]
    assert position(pair) == 0 and reserved(pair) == 10 * E9, "it may work there: its reservation stays"
    pair.report("trade", row, b"x1", 10 * E9, PX, 10 * E9)
    pair.report("trade_canceled", row, b"x1", 0)
    assert [event["exec_id"] for event in pair.told if "exec_id" in event] == ["x1", "x1"], "old news by now"
    pair.compare_all()
    pair.compare_replay()


def test_a_fill_that_comes_after_its_break_and_after_the_one_that_took_its_place_is_no_overfill(pair: Pair) -> None:
    row = working(pair)
    pair.report("trade_canceled", row, b"x1", 0)
    pair.report("trade", row, b"x2", 10 * E9, PX, 10 * E9)
    anomalies = pair.live.reports.anomalies
    pair.report("trade", row, b"x1", 4 * E9, PX, 4 * E9)
    assert pair.live.views.status(row)[0] == OrdStatus.FILLED
    assert pair.twin.events[-2][1].late
    assert position(pair) == 10 * E9 and pair.live.reports.anomalies == anomalies
    pair.compare_all()
    pair.compare_replay()


def test_a_fill_that_comes_after_its_break_keeps_what_is_owed(pair: Pair) -> None:
    row = working(pair)
    pair.report("trade_canceled", row, b"x1", 3 * E9)
    pair.report("canceled", row, 3 * E9)
    pair.report("trade", row, b"x1", 4 * E9, PX, 7 * E9)
    assert pair.live.views.order(row)["owed_qty_e9"] == 3 * E9
    pair.report("trade", row, b"x0", 3 * E9, PX, 3 * E9)
    assert pair.live.views.order(row)["owed_qty_e9"] == 0 and position(pair) == 3 * E9
    pair.compare_replay()


@pytest.mark.parametrize("core", [COMPILED, READABLE])
def test_breaks_without_their_fills_are_remembered_up_to_a_bound(core: Core) -> None:
    pair = Pair(core)
    row = working(pair)
    reports, state = pair.live.reports, pair.live.state
    for number in range(EARLY_MAX):
        reports.trade_canceled(row, b"e%d" % number, 0, 7, b"raw", pair.wall_ns)
    before = len(state.dump())
    assert reports.trade_canceled(row, b"one more", 0, 7, b"raw", pair.wall_ns) == -1
    assert len(state.dump()) == before, "an anomaly, and nothing is remembered"
    assert reports.trade(row, b"e0", E9, PX, 0, 0, 0, 0, b"", pair.wall_ns) == -1
    reports.trade_canceled(row, b"one more", 0, 7, b"raw", pair.wall_ns)
    assert reports.trade(row, b"one more", E9, PX, 0, 0, 0, 0, b"", pair.wall_ns) == -1
    assert position(pair) == 0


def test_a_journal_that_breaks_a_fill_which_no_order_can_wait_for_is_refused(pair: Pair) -> None:
    row = working(pair)
    body = BrokenEarlyBody(7, row + 1, 0, 2, b"x1")
    record = pack_frame(pair.live.state.seq + 1, 1, 1, BROKEN_EARLY, PAYLOAD_VERSION, 0, pack(body))
    for state in (new_state(COMPILED), new_state(READABLE)):
        state.replay(memoryview(bytes(pair.journal)), 0)
        with pytest.raises(ValueError, match="cannot wait for"):
            state.replay(memoryview(record), len(pair.journal))


@pytest.mark.parametrize("sent", [False, True])
def test_a_replace_keeps_session_tag_and_signal_in_its_event(pair: Pair, sent: bool) -> None:
    req = msgspec.structs.replace(item("a"), tag="t1", signal="s1")
    pair.place(0, req)
    if sent:
        pair.report("sent", 0)
        pair.report("new", 0)
    pair.replace(0, ReplaceItem(cl_ord_id="a", rev=2, qty="20"))
    if sent:
        pair.report("replaced", 0, 2, 20 * E9, PX)
    event = pair.told[-1]
    assert event["t"] == "replaced"
    assert (event["order"]["session"], event["order"]["tag"], event["order"]["signal"]) == ("s", "t1", "s1")
