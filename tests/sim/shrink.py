"""The shortest failing history that is found from a failing seed: faults off one by one, then fewer orders.

Each step keeps the seed and must break the same invariant. Faults draw from random streams of their own, so that one
that is off leaves the draws of the others alone. What is left is what the failure needs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic_ns

from tests.sim.tally import Failure

TRIES_MAX = 300
WALL_NS_MAX = 60_000_000_000  # of all tries together

Probe = Callable[[Failure], Failure | None]


@dataclass(slots=True)
class Shrunk:
    """The shortest found, and what it took."""

    failure: Failure
    tries: int = 0
    off: tuple[str, ...] = ()  # faults that it does not need
    is_complete: bool = True  # false: the bound of tries or time ended it


class Shrinker:
    """One search.

    probe: runs what a failure describes; the failure that it found, or None when the run held.
    orders: of a run that says no number of its own.
    """

    def __init__(self, probe: Probe, *, orders: int) -> None:
        self.probe = probe
        self.orders = orders
        self.tries = 0
        self.ends_ns = monotonic_ns() + WALL_NS_MAX

    def run(self, failure: Failure) -> Shrunk:
        """From a failure to a shorter one that breaks the same."""
        drawn = failure.options if failure.faults is None else failure.faults
        best = failure
        while True:
            before = (best.faults, best.orders)
            best = self._fewer_orders(self._fewer_faults(best))
            if (best.faults, best.orders) == before or self._is_over():
                break
        left = dict(best.faults) if best.faults is not None else dict(drawn)
        off = tuple(name for name, _ in drawn if name not in left)
        return Shrunk(best, self.tries, off, not self._is_over())

    def _fewer_faults(self, best: Failure) -> Failure:
        for name, _ in best.options if best.faults is None else best.faults:
            now_on = best.options if best.faults is None else best.faults
            best = self._try(replace(best, faults=tuple(pair for pair in now_on if pair[0] != name))) or best
        return best

    def _fewer_orders(self, best: Failure) -> Failure:
        """The smallest number that fails: the first of an ascending walk, since more need not fail where fewer do."""
        for count in range(1, self.orders if best.orders is None else best.orders):
            found = self._try(replace(best, orders=count))
            if found is not None:
                return found
            if self._is_over():
                break
        return best

    def _try(self, candidate: Failure) -> Failure | None:
        if self._is_over():
            return None
        self.tries += 1
        found = self.probe(candidate)
        return found if found is not None and found.invariant == candidate.invariant else None

    def _is_over(self) -> bool:
        return self.tries >= TRIES_MAX or monotonic_ns() >= self.ends_ns
