"""Each difference between an order of ours and the broker's word has its steps; nothing is guessed."""

from typing import Any

import pytest

from brokers.ports import ReportState
from hotpath.enums import OrdStatus, Pending, Stage
from recon.resolve import Step, resolve

E9 = 10**9


def ours(status: OrdStatus, **changes: Any) -> dict[str, Any]:
    stage = Stage.IN_DOUBT if status == OrdStatus.PENDING_NEW else Stage.STAGE_NONE
    row = {"ord_status": status, "stage": stage, "pending": Pending.PENDING_NONE, "rev": 1}
    return {**row, "cum_qty_e9": 0, "owed_qty_e9": 0, **changes}


def theirs(status: OrdStatus | None, **changes: Any) -> ReportState:
    if status is None:
        return ReportState(order=1, rev=1, venue_ns=0, raw=b"", found=False)
    return ReportState(**{"order": 1, "rev": 1, "venue_ns": 0, "raw": b"", "found": True, "status": status, **changes})


@pytest.mark.parametrize(
    ("row", "answer", "steps"),
    [
        (ours(OrdStatus.PENDING_NEW), theirs(OrdStatus.NEW), [Step.CONFIRM]),
        (ours(OrdStatus.NEW), theirs(OrdStatus.NEW), []),
        (ours(OrdStatus.NEW), theirs(OrdStatus.NEW, rev=2), [Step.REPLACED]),
        (ours(OrdStatus.NEW, pending=Pending.PENDING_REPLACE), theirs(OrdStatus.NEW), [Step.RESEND_REPLACE]),
        (ours(OrdStatus.NEW, pending=Pending.PENDING_CANCEL), theirs(OrdStatus.NEW), [Step.RESEND_CANCEL]),
        (ours(OrdStatus.NEW), theirs(OrdStatus.CANCELED), [Step.CANCELED]),
        (ours(OrdStatus.NEW), theirs(OrdStatus.EXPIRED), [Step.EXPIRED]),
        (ours(OrdStatus.PENDING_NEW), theirs(OrdStatus.REJECTED), [Step.REJECTED]),
        (ours(OrdStatus.HELD), theirs(OrdStatus.REJECTED), [Step.REJECTED]),
        (ours(OrdStatus.NEW), theirs(OrdStatus.FILLED, cum_qty_e9=E9), [Step.RESTATE]),
        (ours(OrdStatus.CANCELED), theirs(OrdStatus.NEW), [Step.ALARM, Step.RESTATE]),
        (ours(OrdStatus.FILLED), theirs(OrdStatus.PARTIALLY_FILLED, rev=2), [Step.ALARM, Step.REPLACED]),
        (ours(OrdStatus.CANCELED), theirs(OrdStatus.CANCELED, cum_qty_e9=E9), [Step.RESTATE]),
        (ours(OrdStatus.CANCELED, owed_qty_e9=E9), theirs(OrdStatus.CANCELED, cum_qty_e9=E9), []),
        (ours(OrdStatus.NEW), theirs(OrdStatus.NONE), [Step.ALARM]),
        (ours(OrdStatus.NEW), theirs(None), [Step.ALARM]),
        (ours(OrdStatus.FILLED), theirs(None), []),
        (ours(OrdStatus.PENDING_NEW, stage=Stage.QUEUED), theirs(None), []),
    ],
)
def test_steps_bring_the_two_together(row: dict[str, Any], answer: ReportState, steps: list[Step]) -> None:
    assert resolve(row, answer, absence_proven=True) == steps


def test_absence_counts_only_once_it_is_proven() -> None:
    row = ours(OrdStatus.PENDING_NEW)
    assert resolve(row, theirs(None), absence_proven=False) == [Step.ASK_AGAIN]
    assert resolve(row, theirs(None), absence_proven=True) == [Step.REQUEUE]


def test_a_working_order_that_is_not_found_yet_is_asked_about_again() -> None:
    assert resolve(ours(OrdStatus.NEW), theirs(None), absence_proven=False) == [Step.ASK_AGAIN]
