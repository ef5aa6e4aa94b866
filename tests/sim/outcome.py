"""What a run ends with, and the one exception by which a checker says that a promise was broken."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


class Broken(Exception):
    """An invariant does not hold."""

    def __init__(self, invariant: str, text: str) -> None:
        """invariant: `I1` to `I23`, `Escape`, or `crash` for an exception that the product did not catch."""
        super().__init__(f"{invariant}: {text}")
        self.invariant = invariant
        self.text = text


@dataclass(frozen=True, slots=True)
class Violation:
    """Which promise was broken, how, and the last events before."""

    invariant: str
    text: str
    last: list[str]


@dataclass(slots=True)
class Outcome:
    """One run. The same arguments, commit and build give the same outcome to the byte."""

    seed: int
    tier: str
    digest: str = ""  # of the trace
    events: int = 0
    sim_ns: int = 0
    orders: int = 0  # accepted by the gateway
    violation: Violation | None = None
    injected: Counter[str] = field(default_factory=Counter)  # by fault
    reached: Counter[str] = field(default_factory=Counter)  # by order transition and marked branch
    options: dict[str, float | bool] = field(default_factory=dict)  # the faults that the seed drew
    last: list[str] = field(default_factory=list)  # the end of the trace
