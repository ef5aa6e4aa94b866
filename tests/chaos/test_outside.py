"""The verdict of the kill drill speaks up: each way to break a promise, by hand, is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from brokers.ids import encode_broker_id
from tests.chaos.flood import Broken, Heard, Record
from tests.chaos.outside import Ledger, Story, judge, judge_positions

HISTORY = b"00QWA"


def broker_id(row: int) -> str:
    return encode_broker_id(0, HISTORY, row, 1).decode()


class Case:
    """One account's sound past: f-1 was sent and filled; f-2 lost its sent record to a kill, and was then filled."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "ledger"
        self.events = [
            Heard("accepted", cl_ord_id="f-1", order_id="O0000001", ord_status="pending_new"),
            Heard("sent", cl_ord_id="f-1", ord_status="pending_new", broker_cl_ord_id=broker_id(1)),
            Heard("trade", cl_ord_id="f-1", ord_status="filled", exec_id="e1", pos_qty="1"),
            Heard("accepted", cl_ord_id="f-2", order_id="O0000002", ord_status="pending_new"),
            Heard("in_doubt", cl_ord_id="f-2", ord_status="pending_new"),
            Heard("trade", cl_ord_id="f-2", ord_status="filled", exec_id="e2", pos_qty="2"),
        ]
        self.acknowledged = ["f-1", "f-2"]
        self.orders = [broker_id(1), broker_id(2)]
        self.execs = ["e1", "e2"]

    def drop(self, t: str, name: str) -> None:
        self.events = [event for event in self.events if (event.t, event.cl_ord_id) != (t, name)]

    def verdict(self) -> int:
        record, again, story = Record("A"), Record("A"), Story()
        for seq, event in enumerate(self.events, 1):
            event.seq = seq
            record.take(event)
            again.take(event)
            story.take(event)
        record.acknowledged = dict.fromkeys(self.acknowledged, 1)
        lines = [{"dir": "in", "msg": {"t": "new", "id": id}} for id in self.orders]
        lines += [{"dir": "fact", "msg": {"t": "fill", "exec": id}} for id in self.execs]
        self.file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return judge([record], {"A": story}, Ledger(self.file), {"A": (record.digest(), again.digest())})


def lose(case: Case) -> None:
    case.acknowledged.append("f-3")


def double(case: Case) -> None:
    case.orders.append(broker_id(1))


def accept_twice(case: Case) -> None:
    case.events.append(Heard("accepted", cl_ord_id="f-1", order_id="O0000001", ord_status="filled"))


def count_twice(case: Case) -> None:
    case.events.append(Heard("trade", cl_ord_id="f-1", ord_status="filled", exec_id="e1", pos_qty="3"))


def leave_open(case: Case) -> None:
    case.drop("trade", "f-2")


def miss_a_fill(case: Case) -> None:
    case.execs.append("e3")


def place_unasked(case: Case) -> None:
    case.orders.append(broker_id(7))


def send_untold(case: Case) -> None:
    case.drop("in_doubt", "f-2")


def send_as_another(case: Case) -> None:
    case.events.append(Heard("sent", cl_ord_id="f-2", ord_status="filled", broker_cl_ord_id=broker_id(9)))


def say_sent(case: Case) -> None:
    case.orders.remove(broker_id(1))


def fire_twice(case: Case) -> None:
    case.events += [Heard("triggered", cl_ord_id="f-1", ord_status="filled") for _ in range(2)]


BREAKS: list[tuple[Callable[[Case], None], str]] = [
    (lose, "acknowledged and gone"), (double, "more than once"), (accept_twice, "accepted more than once"),
    (count_twice, "executions counted"), (leave_open, "without an end"), (miss_a_fill, "executions differ"),
    (place_unasked, "no client placed"), (send_untold, "nobody was told"), (send_as_another, "was told to be"),
    (say_sent, "unknown to the venue"), (fire_twice, "fired more than once"),
]  # fmt: skip


def test_a_sound_past_passes(tmp_path: Path) -> None:
    assert Case(tmp_path).verdict() == 1  # f-2: at the venue, without a sent record


@pytest.mark.parametrize("t", ["restated", "triggered"])
def test_a_stop_that_fired_just_before_the_kill_is_told_by_other_words(tmp_path: Path, t: str) -> None:
    case = Case(tmp_path)
    case.events[4] = Heard(t, cl_ord_id="f-2", ord_status="new")
    assert case.verdict() == 1


@pytest.mark.parametrize(("breaks", "says"), BREAKS)
def test_what_breaks_a_promise_is_found(tmp_path: Path, breaks: Callable[[Case], None], says: str) -> None:
    case = Case(tmp_path)
    breaks(case)
    with pytest.raises(AssertionError, match=says):
        case.verdict()


def test_a_gap_and_a_repeat_break_the_record() -> None:
    for seq in (1, 3):
        record = Record("A")
        record.take(Heard("accepted", seq=1))
        with pytest.raises(Broken):
            record.take(Heard("accepted", seq=seq))


def test_positions_must_add_up() -> None:
    story = Story()
    story.take(Heard("trade", cl_ord_id="f-1", ord_status="filled", exec_id="e1", pos_qty="5"))
    judge_positions({"A": story}, {"X": Decimal(5)})
    with pytest.raises(AssertionError, match="add up"):
        judge_positions({"A": story}, {"X": Decimal(4)})
