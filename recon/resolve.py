"""One order of ours against the broker's own word about it: which steps bring the two together. Pure.

Nothing is guessed: absence counts only once the broker's horizon has passed, an unknown word changes nothing, and a
fill that the broker counts without its execution stays owed (reliability.md, section 2).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from brokers.ports import ReportState
from hotpath.enums import OrdStatus, Pending, Stage


class Step(Enum):
    """What the gateway does next about the order."""

    CONFIRM = auto()  # it works there: ours becomes `new` (or is restated from doubt)
    ADOPT = auto()  # held here, known there: it fired before a crash; its end, if it has one, follows
    RESTATE = auto()  # adopt status and filled quantity; unseen fills are owed
    CANCELED = auto()
    EXPIRED = auto()
    REJECTED = auto()
    REPLACED = auto()  # a revision that we asked for is in force there
    REQUEUE = auto()  # it is certain that it never arrived
    RESEND_CANCEL = auto()  # our cancel did not arrive, or was not acted on
    RESEND_REPLACE = auto()
    ASK_AGAIN = auto()  # absence is not proven yet
    ALARM = auto()  # the two stories contradict each other: a person must look


def resolve(row: Mapping[str, Any], answer: ReportState, *, absence_proven: bool) -> list[Step]:
    """Steps in the order to apply them.

    row: the order as `Views.order` states it, after the answer's executions were applied.
    answer: the broker's state of it. absence_proven: the horizon has passed since it could last have been handed over.
    """
    if not answer.found:
        return _absent(row, absence_proven)
    status = answer.status
    if status == OrdStatus.NONE:
        return [Step.ALARM]
    if row["ord_status"] >= OrdStatus.FILLED:
        return _done_here(row, answer)
    if row["ord_status"] == OrdStatus.HELD and status == OrdStatus.REJECTED:
        return [Step.REJECTED]  # it fired before a crash, and never worked there
    if row["ord_status"] == OrdStatus.HELD:
        return [Step.ADOPT, *_ended_there(status)]
    if status in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED, OrdStatus.PENDING_NEW):
        return _working_there(row, answer)
    return _ended_there(status)


def _ended_there(status: OrdStatus) -> list[Step]:
    if status == OrdStatus.CANCELED:
        return [Step.CANCELED]
    if status == OrdStatus.EXPIRED:
        return [Step.EXPIRED]
    if status == OrdStatus.REJECTED:
        return [Step.REJECTED]
    return [Step.RESTATE] if status == OrdStatus.FILLED else []  # filled there, executions missing here


def _absent(row: Mapping[str, Any], absence_proven: bool) -> list[Step]:
    if row["ord_status"] == OrdStatus.PENDING_NEW and row["stage"] == Stage.IN_DOUBT:
        return [Step.REQUEUE] if absence_proven else [Step.ASK_AGAIN]
    if row["ord_status"] >= OrdStatus.FILLED or row["ord_status"] == OrdStatus.HELD or row["stage"] == Stage.QUEUED:
        return []
    return [Step.ALARM] if absence_proven else [Step.ASK_AGAIN]  # it was there once, or nobody doubts it yet


def _done_here(row: Mapping[str, Any], answer: ReportState) -> list[Step]:
    if answer.status < OrdStatus.FILLED:  # we say done, the broker works it
        grown = row["ord_status"] == OrdStatus.FILLED and answer.rev > row["rev"]  # a fill overtook the larger replace
        return [Step.ALARM, Step.REPLACED if grown else Step.RESTATE]
    if answer.cum_qty_e9 > row["cum_qty_e9"] + row["owed_qty_e9"]:
        return [Step.RESTATE]
    return []


def _working_there(row: Mapping[str, Any], answer: ReportState) -> list[Step]:
    steps = []
    if row["ord_status"] == OrdStatus.PENDING_NEW:
        steps.append(Step.CONFIRM)
    if answer.rev > row["rev"]:
        steps.append(Step.REPLACED)
    elif row["pending"] == Pending.PENDING_REPLACE:
        steps.append(Step.RESEND_REPLACE)
    if row["pending"] == Pending.PENDING_CANCEL:
        steps.append(Step.RESEND_CANCEL)
    return steps
