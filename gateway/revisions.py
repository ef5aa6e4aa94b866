"""Revisions on their way to the broker: looked at once more beside the wire, and refused when they may not leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.egress import Turn
from gateway.plants import reach
from hotpath.enums import Control, OrdStatus, Pending
from risk.catalogue import code_of

if TYPE_CHECKING:
    from gateway.router import Router


class Revisions:
    """What asks a broker for other terms. All calls on the loop thread."""

    def __init__(self, router: Router) -> None:
        self.router = router
        self.engine = router.engine
        self.repeated: set[int] = set()  # orders whose newest revision left before: only the broker may refuse it now

    def leave(self, order: int) -> None:
        """The record of what is asked is durable: send it, or put it in line."""
        egress = self.router.egress
        status, _, pending = self.engine.views.status(order)
        if status >= OrdStatus.FILLED or pending != Pending.PENDING_REPLACE:
            return
        self.repeated.discard(order)
        if not self.router.is_open or not egress.may_pass(1) or self.send(order) is not Turn.GONE:
            egress.put(order)

    def repeat(self, order: int) -> None:
        """The broker does not know it, though it left, perhaps: in line again."""
        reach("router.replace_again")
        if self.engine.are_terms_told(order):  # else it has not been asked of the broker yet
            self.repeated.add(order)
            self.router.egress.put(order)

    def send(self, order: int) -> Turn:
        """Send the newest revision, unless a kill switch holds it back or a limit forbids the quantity that it adds."""
        engine, mono_ns = self.engine, self.engine.clock.mono_ns()
        control = engine.intake.recheck_revision(order, mono_ns)
        if control == Control.KILL_GATE:
            return Turn.HELD
        if control and order not in self.repeated:
            reach("router.revision_refused")
            code, rev = code_of(control).encode(), int(engine.views.order(order)["ask_rev"])
            engine.reports.replace_rejected(order, rev, code, b"", engine.clock.wall_ns())
            return Turn.GONE
        is_sent = self.router.adapter.replace(engine.reports.ticket(order, mono_ns, replace=True))
        return Turn.GONE if self.router.has_left(is_sent, order, mono_ns) else Turn.BLOCKED
