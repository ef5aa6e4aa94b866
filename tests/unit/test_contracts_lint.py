"""The stream lint passes a whole life, and each planted fault makes it speak."""

from typing import Any

import pytest

from gateway.contracts.lint import StreamError, StreamLint

Event = dict[str, Any]
TERMS = {"symbol": "X", "side": "buy", "ord_type": "limit", "qty": "10", "px": "1", "tif": "day", "reduce_only": False}


def event(seq: int, kind: str, status: str, cum: str, leaves: str, **more: Any) -> Event:
    state = {"rev": 1, "ord_status": status, "pending": None, "cum_qty": cum, "leaves_qty": leaves, "avg_px": None}
    return {"t": kind, "account": "A1", "seq": seq, "cl_ord_id": "a", "order_id": "o", **state, **more}


def life() -> list[Event]:
    return [
        event(1, "accepted", "pending_new", "0", "10", stage="queued", order=TERMS),
        event(2, "sent", "pending_new", "0", "10", stage="sent"),
        event(3, "new", "new", "0", "10"),
        event(4, "trade", "partially_filled", "4", "6", exec_id="e1", last_qty="4", last_px="1", pos_qty="4"),
        event(5, "pending_replace", "partially_filled", "4", "6", ask_rev=2, pending="replace"),
        event(6, "replaced", "partially_filled", "4", "8", rev=2, ask_rev=2, order={**TERMS, "qty": "12"}),
        event(7, "pending_cancel", "partially_filled", "4", "8", rev=2, pending="cancel"),
        event(8, "trade", "partially_filled", "6", "6", rev=2, exec_id="e2", last_qty="2", last_px="1", pos_qty="6"),
        event(9, "canceled", "canceled", "6", "0", rev=2),
        event(
            10, "trade", "canceled", "7", "0", rev=2, exec_id="e3", last_qty="1", last_px="1", pos_qty="7", late=True
        ),
    ]


def test_a_whole_life_passes() -> None:
    assert StreamLint().feed_all(life()) == 10


def test_a_repeated_answer_is_no_event() -> None:
    lint = StreamLint()
    lint.feed_all(life())
    lint.feed({**life()[0], "re": 5, "dup": True})
    assert lint.count == 10


@pytest.mark.parametrize(
    ("at", "change", "said"),
    [
        (1, {"seq": 3}, "seq 3 after 1"),
        (0, {"t": "sent"}, "from nothing"),
        (2, {"ord_status": "held"}, "from pending_new to held"),
        (2, {"stage": "sent"}, "stage belongs"),
        (1, {"stage": None}, "stage"),
        (3, {"cum_qty": "5", "leaves_qty": "5"}, "sum of its fills"),
        (3, {"leaves_qty": "5"}, "of 10"),
        (7, {"exec_id": "e1"}, "comes twice"),
        (6, {"rev": 1}, "rev falls"),
        (8, {"leaves_qty": "6"}, "done with leaves_qty"),
        (9, {"late": False}, "not marked late"),
        (7, {"pos_qty": "7"}, "position 4"),
    ],
)
def test_a_planted_fault_is_found(at: int, change: Event, said: str) -> None:
    events = life()
    events[at] = {key: value for key, value in {**events[at], **change}.items() if value is not None or key != "stage"}
    with pytest.raises(StreamError, match=said):
        StreamLint().feed_all(events)


def test_a_reduce_only_order_may_be_cut_to_the_position() -> None:
    stop = {**TERMS, "side": "sell", "reduce_only": True}
    events = [
        event(1, "accepted", "held", "0", "10", hold="trigger", order=stop),
        event(2, "triggered", "pending_new", "0", "6", stage="queued"),
    ]
    assert StreamLint().feed_all(events) == 2


def test_numbers_go_on_behind_a_snapshot() -> None:
    lint = StreamLint()
    lint.begin_at("A1", 41)
    lint.feed({"t": "batch", "account": "A1", "seq": 42, "count": 1})
    with pytest.raises(StreamError):
        lint.feed({"t": "batch", "account": "A1", "seq": 44, "count": 1})
