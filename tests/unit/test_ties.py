"""Orders that wait for others (`after`) and share with others (`oco`), story by story, on both cores at once."""

from __future__ import annotations

import pytest

from gateway.core import COMPILED
from gateway.core.terms import Refusal
from hotpath.enums import OrdStatus
from tests.property.order_world import E9
from tests.property.ties_world import Ties, order


@pytest.fixture
def ties() -> Ties:
    return Ties()


def bracket(ties: Ties, *, target: str = "105.00", stop: str = "95.00", qty: str = "100", on: str = "fill") -> str:
    """Entry, target and stop in one batch."""
    return ties.batch(
        order("e", "buy", "100", at="100.00"),
        order("t", "sell", qty, at=target, after="e", on=on, oco="x"),
        order("s", "sell", qty, stop=stop, after="e", on=on, oco="x"),
    )


def shown(ties: Ties, *names: str) -> list[str]:
    ties.check()
    return [ties.shown(name) for name in names]


# --- after ------------------------------------------------------------------------------------------------------------


def test_children_live_in_proportion_to_their_parents_fills(ties: Ties) -> None:
    assert bracket(ties) == ""
    assert shown(ties, "e", "t", "s") == ["queued 100", "held/parent 100", "held/parent 100"]
    ties.works("e")
    ties.fill("e", 40)
    assert shown(ties, "t", "s") == ["queued 40", "held/trigger 40"]
    ties.works("t")
    ties.fill("e", 25)
    assert shown(ties, "t", "s") == ["new-replace 40", "held/trigger 65"]
    ties.agree()
    ties.fill("e", 35)
    ties.agree()
    assert shown(ties, "e", "t", "s") == ["filled 0", "new 100", "held/trigger 100"]
    assert ties.of("t")["rev"] == 3, "a change of what works takes the next revision"
    assert ties.of("t")["reduce_only"] and ties.of("s")["reduce_only"]


def test_children_of_an_entry_that_ends_unfilled_are_canceled(ties: Ties) -> None:
    bracket(ties)
    ties.cancel("e")
    ties.check()
    ends = [(event["cl_ord_id"], event["reason"]) for event in ties.events if event["t"] == "canceled"]
    assert ends == [("e", "request"), ("t", "parent"), ("s", "parent")]


def test_children_of_an_entry_that_ends_partly_filled_keep_what_is_live(ties: Ties) -> None:
    bracket(ties)
    ties.works("e")
    ties.fill("e", 30)
    ties.cancel("e")
    ties.agree()
    assert shown(ties, "e", "t", "s") == ["canceled 0", "queued 30", "held/trigger 30"]


def test_the_part_is_rounded_down_to_the_lot_and_the_rest_comes_last(ties: Ties) -> None:
    ties.batch(order("e", "buy", "3", at="100.00"), order("s", "sell", "2", stop="95.00", after="e"))
    ties.works("e")
    ties.fill("e", 1)
    assert shown(ties, "s") == ["held/parent 2"]
    ties.fill("e", 1)
    assert shown(ties, "s") == ["held/trigger 1"]
    ties.fill("e", 1)
    assert shown(ties, "s") == ["held/trigger 2"]


def test_full_waits_for_the_whole_parent(ties: Ties) -> None:
    bracket(ties, on="full")
    ties.works("e")
    ties.fill("e", 99)
    assert shown(ties, "t", "s") == ["held/parent 100", "held/parent 100"]
    ties.fill("e", 1)
    assert shown(ties, "t", "s") == ["queued 100", "held/trigger 100"]


def test_full_never_lives_when_the_parent_ends_short(ties: Ties) -> None:
    bracket(ties, on="full")
    ties.works("e")
    ties.fill("e", 99)
    ties.cancel("e")
    ties.agree()
    assert shown(ties, "t", "s") == ["canceled 0", "canceled 0"]


def test_a_broken_fill_of_the_parent_shrinks_its_children(ties: Ties) -> None:
    bracket(ties)
    ties.works("e")
    first = ties.fill("e", 30)
    ties.fill("e", 20)
    ties.works("t")
    ties.bust("e", first)
    ties.agree()
    assert shown(ties, "t", "s") == ["new 20", "held/trigger 20"]


def test_a_stop_waits_again_when_all_its_parents_fills_are_broken(ties: Ties) -> None:
    ties.batch(order("e", "buy", "100", at="100.00"), order("s", "sell", "100", stop="95.00", after="e"))
    ties.works("e")
    only = ties.fill("e", 30)
    ties.bust("e", only)
    assert shown(ties, "s") == ["held/parent 100"]
    ties.fill("e", 10)
    assert shown(ties, "s") == ["held/trigger 10"]


def test_a_market_child_waits_for_the_end_of_its_parent(ties: Ties) -> None:
    ties.batch(order("e", "buy", "10", at="100.00"), order("m", "buy", "10", after="e", symbol="S1"))
    ties.works("e")
    ties.fill("e", 5)
    assert shown(ties, "m") == ["held/parent 10"]
    ties.cancel("e")
    ties.agree()
    assert shown(ties, "m") == ["queued 5"]


def test_an_order_may_follow_one_that_exists(ties: Ties) -> None:
    ties.place(order("e", "buy", "10", at="100.00"))
    ties.works("e")
    ties.fill("e", 10)
    assert ties.place(order("s", "sell", "10", stop="95.00", after="e")) == ""
    assert shown(ties, "s") == ["held/trigger 10"]


def test_a_retry_of_a_bracket_is_answered_again(ties: Ties) -> None:
    bracket(ties)
    before = ties.live.state.seq
    assert bracket(ties) == ""
    assert ties.live.state.seq == before
    assert ties.live.intake.dup_seq == 1


def test_a_clients_replace_that_crosses_ours_is_told_so(ties: Ties) -> None:
    bracket(ties)
    ties.works("e")
    ties.fill("e", 40)
    ties.works("t")
    ties.fill("e", 10)  # the gateway asks for revision 2
    row = ties.of("t")
    assert (row["rev"], row["ask_rev"]) == (1, 2)
    from gateway.contracts.requests import ReplaceItem

    late = ReplaceItem(cl_ord_id="t", rev=2, px="106.00")
    answer = ties.live.intake.replace(0, late, 0, *ties.tick())
    assert Refusal(answer).name == "REV_CONFLICT"


def test_a_clients_quantity_is_the_whole_and_its_part_is_in_force(ties: Ties) -> None:
    bracket(ties)
    ties.works("e")
    ties.fill("e", 50)
    assert ties.replace("s", qty="60") == ""
    assert shown(ties, "s") == ["held/trigger 30"]
    ties.fill("e", 50)
    assert shown(ties, "s") == ["held/trigger 60"]


# --- oco --------------------------------------------------------------------------------------------------------------


def long(ties: Ties, qty: int) -> None:
    """A position to take profit of."""
    ties.place(order("p", "buy", str(qty), at="100.00"))
    ties.works("p")
    ties.fill("p", qty)


def test_scale_out_targets_shrink_their_stop(ties: Ties) -> None:
    long(ties, 100)
    ties.batch(
        order("t1", "sell", "50", at="105.00", oco="x", reduce_only=True),
        order("t2", "sell", "50", at="110.00", oco="x", reduce_only=True),
        order("s", "sell", "100", stop="95.00", oco="x", reduce_only=True),
    )
    ties.works("t1", "t2")
    ties.fill("t1", 20, 10_500)
    assert shown(ties, "t1", "t2", "s") == ["partially_filled 30", "new 50", "held/trigger 80"]
    ties.fill("t1", 30, 10_500)
    assert shown(ties, "t2", "s") == ["new 50", "held/trigger 50"]
    ties.fill("t2", 50, 11_000)
    ties.check()
    assert ties.events[-1]["t"] == "canceled" and ties.events[-1]["reason"] == "oco"


def test_a_target_that_is_filled_cancels_the_stop(ties: Ties) -> None:
    bracket(ties)
    ties.works("e")
    ties.fill("e", 100)
    ties.works("t")
    ties.fill("t", 100, 10_500)
    assert shown(ties, "t", "s") == ["filled 0", "canceled 0"]


def test_the_stop_stays_for_what_the_entry_may_still_bring(ties: Ties) -> None:
    bracket(ties)
    ties.works("e")
    ties.fill("e", 40)
    ties.works("t")
    ties.fill("t", 40, 10_500)
    assert shown(ties, "t", "s") == ["filled 0", "held/parent 100"]
    ties.fill("e", 60)
    assert shown(ties, "s") == ["held/trigger 60"]


def test_a_stop_that_fills_in_part_cuts_the_targets_last_placed_first(ties: Ties) -> None:
    long(ties, 100)
    ties.batch(
        order("t1", "sell", "50", touch="105.00", oco="x", reduce_only=True),
        order("t2", "sell", "50", touch="110.00", oco="x", reduce_only=True),
        order("s", "sell", "100", stop="95.00", oco="x", reduce_only=True),
    )
    ties.quote(9_500)
    ties.works("s")
    ties.fill("s", 30, 9_500)
    assert shown(ties, "t1", "t2", "s") == ["held/trigger 50", "held/trigger 20", "partially_filled 70"]
    ties.fill("s", 40, 9_500)
    assert shown(ties, "t1", "t2", "s") == ["held/trigger 30", "canceled 0", "partially_filled 30"]


def test_canceling_a_member_leaves_the_rest(ties: Ties) -> None:
    long(ties, 10)
    ties.batch(
        order("t", "sell", "10", touch="105.00", oco="x", reduce_only=True),
        order("s", "sell", "10", stop="95.00", oco="x", reduce_only=True),
    )
    ties.cancel("s")
    assert shown(ties, "t", "s") == ["held/trigger 10", "canceled 0"]


def test_the_first_fill_of_a_straddle_cancels_the_other_side(ties: Ties) -> None:
    ties.batch(order("up", "buy", "10", stop="105.00", oco="x"), order("down", "sell", "10", stop="95.00", oco="x"))
    ties.quote(10_600)
    ties.works("up")
    assert shown(ties, "up", "down") == ["new 10", "held/trigger 10"]
    ties.fill("up", 3, 10_600)
    assert shown(ties, "up", "down") == ["partially_filled 7", "canceled 0"]


def test_a_stop_fires_whole_beside_a_target_that_works(ties: Ties) -> None:
    """The position is one; what the gate holds for the target is the same exit a second time."""
    bracket(ties)
    ties.works("e")
    ties.fill("e", 100)
    ties.works("t")
    ties.quote(9_400)
    assert shown(ties, "s") == ["queued 100"]
    assert ties.live.views.rivals(ties.row("s")) == [ties.row("t")]
    ties.cancel("t")
    ties.fill("t", 30, 10_500)
    ties.agree()
    assert shown(ties, "t", "s") == ["canceled 0", "queued 70"]
    assert ties.live.views.rivals(ties.row("s")) == []


def test_fills_that_cross_are_told_as_excess(ties: Ties) -> None:
    bracket(ties)
    ties.works("e")
    ties.fill("e", 100)
    ties.works("t")
    ties.quote(9_400)
    ties.works("s")
    ties.fill("s", 100, 9_400)
    ties.fill("t", 30, 10_500)
    ties.check()
    guards = [event for event in ties.events if event["t"] == "guard"]
    assert [(event["state"], event["excess_qty"], event["orders"]) for event in guards] == [("excess", "30", ["t"])]


def test_a_cut_that_the_broker_refuses_is_a_cancel(ties: Ties) -> None:
    long(ties, 100)
    ties.batch(
        order("t", "sell", "100", at="105.00", oco="x", reduce_only=True),
        order("s", "sell", "100", stop="95.00", oco="x", reduce_only=True),
    )
    ties.works("t")
    ties.quote(9_400)
    ties.works("s")
    ties.fill("s", 40, 9_400)
    assert shown(ties, "t") == ["new-replace 100"]
    ties.live.reports.replace_rejected(ties.row("t"), 2, b"BROKER_REJECTED", b"raw", ties.tick()[0])
    assert shown(ties, "t") == ["new-cancel 100"]


def test_the_rules_wait_for_the_end_of_a_doubt(ties: Ties) -> None:
    long(ties, 100)
    ties.batch(
        order("t", "sell", "100", at="105.00", oco="x", reduce_only=True),
        order("s", "sell", "100", touch="101.00", oco="y", reduce_only=True),
        order("z", "sell", "100", stop="95.00", oco="x", reduce_only=True),
    )
    ties.live.reports.sent(ties.row("t"), ties.wall_ns, ties.tick()[0])
    ties.live.reports.in_doubt(ties.row("t"), b"restart", ties.tick()[0])
    ties.quote(9_400)
    ties.works("z")
    ties.fill("z", 60, 9_400)
    assert shown(ties, "t") == ["in_doubt 100"]
    ties.live.reports.requeue(ties.row("t"), b"unknown id", ties.tick()[0])
    assert shown(ties, "t") == ["queued 40"]


def test_a_suspect_is_cut_once_it_is_cleared(ties: Ties) -> None:
    bracket(ties)
    ties.works("e")
    ties.fill("e", 100)
    ties.works("t")
    world = ties.core.world(ties.live.state)
    world.suspect(ties.tick()[0])
    ties.fill("t", 40, 10_500)
    assert ties.shown("s") == "held/trigger 100"
    world.clear(ties.row("s"), ties.tick()[0])
    assert shown(ties, "s") == ["held/trigger 60"]


def test_a_crash_between_a_fill_and_what_it_means_is_made_up_for() -> None:
    ties = Ties(COMPILED)
    bracket(ties)
    ties.works("e")
    ties.take()
    kept = len(ties.journal)
    ties.fill("e", 100)
    data = bytes(ties.live.state.peek())
    size = int.from_bytes(data[:4], "little")
    after = Ties(COMPILED)
    fresh = type(ties.live.state)(shard=3, orders=1000, accounts=2, instruments=2)
    fresh.replay(memoryview(bytes(ties.journal[:kept]) + data[: size + (-size) % 8]), 0)
    world = after.core.world(fresh)
    world.heal(ties.wall_ns)
    views = after.core.views(fresh)
    assert [views.status(row)[0] for row in (1, 2)] == [OrdStatus.PENDING_NEW, OrdStatus.HELD]
    assert views.order(2)["leaves_qty_e9"] == 100 * E9


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("items", "code", "path"),
    [
        ([order("a", "sell", "1", stop="95.00", after="nobody")], "UNKNOWN_ORDER", "after.cl_ord_id"),
        ([order("a", "sell", "1", stop="95.00", after="a")], "UNKNOWN_ORDER", "after.cl_ord_id"),
        (
            [order("a", "sell", "1", stop="95.00", after="b"), order("b", "buy", "1", at="100.00", after="a")],
            "UNKNOWN_ORDER", "after.cl_ord_id",
        ),
        (
            [order("e", "buy", "10", at="100.00"), order("a", "sell", "11", stop="95.00", after="e")],
            "BAD_FIELD", "qty",
        ),
        (
            [order("a", "sell", "1", touch="105.00", oco="x"), order("b", "sell", "1", stop="9", oco="x", symbol="S1")],
            "BAD_COMBINATION", "oco",
        ),
        (
            [order("a", "sell", "1", touch="95.00", oco="x"), order("b", "sell", "1", stop="95.00", oco="x")],
            "BAD_COMBINATION", "trigger.stop_px",
        ),
        (
            [order("b", "buy", "1", stop="105.00", oco="x"), order("a", "buy", "1", at="106.00", oco="x")],
            "BAD_COMBINATION", "px",
        ),
        ([order("a", "sell", "1", stop="95.00", oco="not a name")], "BAD_FIELD", "oco"),
        ([order(f"m{n}", "sell", "1", stop="95.00", oco="x") for n in range(33)], "BAD_COMBINATION", "oco"),
        (
            [order("e", "buy", "9", at="100.00"), *(order(f"m{n}", "sell", "1", after="e") for n in range(33))],
            "BAD_COMBINATION", "after.cl_ord_id",
        ),
    ],
)  # fmt: skip
def test_a_bad_bracket_leaves_nothing(ties: Ties, items: list[object], code: str, path: str) -> None:
    assert ties.batch(*items) == code
    assert ties.live.intake.path == path
    assert ties.live.state.orders.count == 0


def test_a_parent_that_is_done_or_closing_is_refused(ties: Ties) -> None:
    ties.place(order("e", "buy", "10", at="100.00"))
    ties.works("e")
    ties.cancel("e")
    assert ties.place(order("s", "sell", "10", stop="95.00", after="e")) == "ORDER_CLOSING"
    ties.agree()
    assert ties.place(order("s", "sell", "10", stop="95.00", after="e")) == "ORDER_DONE"


def test_a_replace_may_not_cross_the_other_leg(ties: Ties) -> None:
    bracket(ties)
    ties.works("e")
    ties.fill("e", 100)
    ties.works("t")
    assert ties.replace("t", px="94.00") == "BAD_COMBINATION"
    assert ties.replace("s", qty="101") == "BAD_FIELD"


def test_a_group_that_is_over_leaves_its_name_to_the_next(ties: Ties) -> None:
    long(ties, 10)
    ties.place(order("s", "sell", "10", stop="95.00", oco="x", reduce_only=True))
    ties.cancel("s")
    ties.place(order("t", "sell", "10", touch="105.00", oco="x", symbol="S1"))
    assert shown(ties, "t") == ["held/trigger 10"]
