"""A stop that fired before a crash, whose record was lost: held here, known or unknown at the broker."""

from __future__ import annotations

from typing import Any

import pytest

from brokers.ports import ReportState
from hotpath.enums import OrdStatus, Pending, Stage
from recon.resolve import Step, resolve

HELD: dict[str, Any] = {
    "ord_status": OrdStatus.HELD, "stage": Stage.STAGE_NONE, "pending": Pending.PENDING_NONE, "rev": 1,
    "cum_qty_e9": 0, "owed_qty_e9": 0,
}  # fmt: skip


def answer(status: OrdStatus, *, found: bool = True) -> ReportState:
    return ReportState(order=7, rev=1, venue_ns=0, raw=b"", found=found, status=status)


@pytest.mark.parametrize("proven", [True, False])
def test_a_held_order_that_the_broker_does_not_know_stays_as_it_is(proven: bool) -> None:
    assert resolve(HELD, answer(OrdStatus.NONE, found=False), absence_proven=proven) == []


@pytest.mark.parametrize(
    ("status", "steps"),
    [
        (OrdStatus.NEW, [Step.ADOPT]),
        (OrdStatus.PARTIALLY_FILLED, [Step.ADOPT]),
        (OrdStatus.FILLED, [Step.ADOPT, Step.RESTATE]),
        (OrdStatus.CANCELED, [Step.ADOPT, Step.CANCELED]),
        (OrdStatus.EXPIRED, [Step.ADOPT, Step.EXPIRED]),
        (OrdStatus.REJECTED, [Step.REJECTED]),
        (OrdStatus.NONE, [Step.ALARM]),
    ],
)  # fmt: skip
def test_a_held_order_that_the_broker_knows_is_adopted(status: OrdStatus, steps: list[Step]) -> None:
    assert resolve(HELD, answer(status), absence_proven=True) == steps
