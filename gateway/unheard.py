"""Orders of which their broker should have said more by now, and when each is asked about.

Two kinds: the broker counts fills that have not reached us (owed), and what was to be done at once is still open.
Nothing says that a report was lost while the link stays up: only a question can. Each order has one timer at most, and
answers that bring nothing make the next question wait longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from gateway.plants import reach

if TYPE_CHECKING:
    from gateway.engine import Engine

VAIN_MAX = 5  # after so many answers that brought nothing the wait grows no more: 32 times the answer time


class Unheard:
    """Which orders wait for a word that is late. All calls on the loop thread."""

    def __init__(self, engine: Engine, answer_ns: int) -> None:
        """answer_ns: how long the word may be late before the broker is asked."""
        self.engine = engine
        self.answer_ns = answer_ns
        self._said_ns: dict[int, int] = {}  # order -> when the broker last counted something, monotonic
        self._vain: dict[int, int] = {}  # order -> answers that left it as it was
        self._due: dict[int, int] = {}  # order -> when its timer ends, monotonic

    def __iter__(self) -> Iterator[int]:
        """The orders, in the order in which they came to wait."""
        return iter(self._said_ns)

    def __contains__(self, order: object) -> bool:
        return order in self._said_ns

    def __len__(self) -> int:
        return len(self._said_ns)

    def start(self, orders: Iterable[int]) -> None:
        """What was left so by the lives before: asked about when the link comes up, so no timer is set."""
        self._said_ns.update(dict.fromkeys(orders, self.engine.clock.mono_ns()))

    def note(self, order: int) -> None:
        """A report counted fills, or the answer time of an order that left is over."""
        if not self.engine.views.is_unfinished(order):
            self._forget(order)
            return
        self._said_ns[order] = self.engine.clock.mono_ns()
        self._wait(order)

    def answered(self, order: int, asked_ns: int, *, is_found: bool, cum_qty_e9: int, wall_ns: int) -> None:
        """After an answer was applied. asked_ns: when the first question that it may answer was put, monotonic.

        An answer to a question that was put after the last count is the newer word, also when it counts less: a fill
        was broken before it reached us. Else it may be older than the count, and takes nothing back.
        """
        engine = self.engine
        said_ns = self._said_ns.get(order, 0)
        if is_found and 0 < said_ns < asked_ns:
            reach("unheard.newer_count")
            engine.reports.restate(order, engine.views.status(order)[0], cum_qty_e9, wall_ns)
        if is_found and not engine.views.is_unfinished(order):
            self._forget(order)
        elif is_found or order in self._said_ns:
            self._said_ns.setdefault(order, engine.clock.mono_ns())
            self._vain[order] = min(self._vain.get(order, 0) + 1, VAIN_MAX)
            self._wait(order)

    def _wait(self, order: int) -> None:
        due_ns, mono_ns = self._due.get(order, 0), self.engine.clock.mono_ns()
        if due_ns > mono_ns:
            return
        delay_ns = self.answer_ns << max(0, self._vain.get(order, 0) - 1)
        self._due[order] = mono_ns + delay_ns
        self.engine.later(delay_ns, lambda: self._over(order))

    def _over(self, order: int) -> None:
        """The word is still not there. While the link is down nothing is asked: a new link asks about all of them."""
        self._due.pop(order, None)
        if order in self._said_ns:
            self.engine.router.doubt(order)

    def _forget(self, order: int) -> None:
        self._said_ns.pop(order, None)
        self._vain.pop(order, None)
