"""Fired orders that stand back for one of their group at the broker, until it has ended there or too long has passed.

Two orders that share one quantity must not work at once. The sibling on the far side of the market is canceled; the
fired order leaves on its end, or after a stated time regardless, because that fill is the less likely one
(order-api.md, section 8). An order that has not fired waits without an end: it adds nothing that the fired one does
not protect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.plants import PLANTED, is_on, reach
from hotpath.enums import OrdStatus, Reason, Stage

if TYPE_CHECKING:
    from gateway.engine import Engine

NEVER_NS = 1 << 62
QUEUED = (OrdStatus.PENDING_NEW, Stage.QUEUED)


class Siblings:
    """Who waits for whom beside the wire. All calls on the loop thread; nothing here survives a restart or needs to."""

    def __init__(self, engine: Engine, wait_ns: int) -> None:
        """wait_ns: how long a fired order waits at most."""
        self.engine = engine
        self.wait_ns = wait_ns
        self.waits: dict[int, int] = {}  # order -> until when, monotonic
        self.asked: dict[int, set[int]] = {}  # order -> those that were asked to end for it

    def is_child(self, order: int) -> bool:
        """Whether its parent let it live, perhaps long after it was checked: it passes the whole chain again."""
        if not self.engine.views.is_tied(order):
            return False
        row = self.engine.views.order(order)
        return bool(row["is_child"] and not row["triggered"])

    def hold_back(self, order: int) -> bool:
        """Whether the order must not leave yet; what is in its way is asked to end."""
        engine = self.engine
        rivals = engine.views.rivals(order) if engine.views.is_tied(order) else []
        if not rivals or (PLANTED and is_on("leave_beside_a_sibling")):
            self.forget(order)
            return False
        mono_ns = engine.clock.mono_ns()
        until_ns = self.waits.get(order, 0)
        if not until_ns:
            self._begin(order, rivals, mono_ns)
        elif until_ns <= mono_ns and engine.is_admitting and not self.asked.get(order, set()).issuperset(rivals):
            self._begin(order, rivals, mono_ns)  # one that left meanwhile, or has yet to: only then does its time begin
        elif until_ns <= mono_ns:
            reach("siblings.waited_long_enough")
            return False  # it stays known as due until it has left: a link that is full must not make it wait anew
        return True

    def _end(self, order: int, rivals: list[int]) -> None:
        """Cancel those at the broker; one that is still on its way there is canceled when it has come."""
        for rival in rivals:
            if self.engine.views.status(rival)[:2] != QUEUED:
                self.asked.setdefault(order, set()).add(rival)
                self.engine.intake.cancel_order(rival, Reason.OCO, self.engine.clock.wall_ns())

    def forget(self, order: int) -> None:
        """It waits no more."""
        self.waits.pop(order, None)
        self.asked.pop(order, None)

    def _begin(self, order: int, rivals: list[int], mono_ns: int) -> None:
        engine = self.engine
        if not engine.views.order(order)["triggered"]:
            reach("siblings.waits_unfired")
            self.waits[order] = NEVER_NS
            return
        reach("siblings.stands_back")
        self.waits[order] = mono_ns + self.wait_ns
        self._end(order, rivals)
        engine.later(self.wait_ns, self._over)

    def _over(self) -> None:
        self.look()
        self.engine.flush()

    def look(self) -> None:
        """Let go what has nothing in its way any more, and forget what has ended."""
        if not self.waits:
            return
        engine, mono_ns = self.engine, self.engine.clock.mono_ns()
        for order, until_ns in list(self.waits.items()):
            if order not in self.waits:  # one before it has moved the line, and with it this one
                continue
            status, stage, _ = engine.views.status(order)
            if status != OrdStatus.PENDING_NEW or stage != Stage.QUEUED:
                self.forget(order)
            elif order in engine.router.in_line:
                continue  # it is due, and waits for the link alone
            elif until_ns <= mono_ns or not (rivals := engine.views.rivals(order)):
                engine.router.returned.add(order)  # by the line, which looks at position and limits again
                engine.router.submit([order])
            elif until_ns < NEVER_NS:
                self._end(order, rivals)
