"""What the broker refused for the rate of messages alone: it was not taken, and it goes again.

Whoever keeps to the declared rate sees this only where messages bunch on their way, or the broker counts otherwise than
it says. A refused order is back in line under its own id; it is never told to its client as rejected.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brokers.ports import RejectReason, ReportQueryRejected, ReportRejected
from gateway.plants import reach

if TYPE_CHECKING:
    from gateway.router import Router


class OverRate:
    """Refusals of one link. All calls on the loop thread; each answers 0, or -1 when the broker has to be asked."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._told_ns: dict[int, int] = {}  # order -> when it was refused last, the broker's clock

    def link_changed(self) -> None:
        """What was said on the old link does not come by the new one."""
        self._told_ns.clear()

    def order(self, order: int, report: ReportRejected, wall_ns: int) -> int:
        """It is not there, its id is as unused as before: in line again.

        A refusal no newer than what was said before came twice: the order may have left since. Of a stop that may have
        left before a crash as well, only an answer is the whole truth.
        """
        router = self._router
        router.egress.was_refused()
        if 0 < report.venue_ns <= max(router.answered.get(order, 0), self._told_ns.get(order, 0)):
            reach("overrate.told_twice")
            return 0
        if order in router.suspects or not report.venue_ns:
            router.put_in_doubt(order, b"refused for the rate of messages")
            return -1
        self._told_ns[order] = report.venue_ns
        if router.engine.reports.requeue(order, b"the broker takes no more messages at once", wall_ns):
            reach("overrate.order_again")
            router.returned.add(order)
        return 0

    def change(self, order: int) -> int:
        """A cancel or replace that still waits for its answer: in line again."""
        router = self._router
        router.egress.was_refused()
        if router.engine.views.status(order)[2]:
            reach("overrate.change_again")
            router.egress.put(order)
            if router.is_open:
                router.drain()
        return 0

    def question(self, order: int, report: ReportQueryRejected) -> None:
        """Nobody looked: the question is put again."""
        router = self._router
        if report.reason == RejectReason.THROTTLED:
            router.egress.was_refused()
        router.question(order, is_last=False)
        if router.asking.pop(order, 0):
            reach("overrate.question_again")
            router.doubt(order)
