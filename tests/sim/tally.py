"""What a number of simulated runs came to: counts that add up over seeds, blocks and processes, and every failure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

FaultList = tuple[tuple[str, float | bool], ...] | None
FAILURES_KEPT_MAX = 200  # of one tally; past it they are only counted


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that broke an invariant, or did not come to its end, and all that repeats it."""

    tier: str
    seed: int
    invariant: str  # "I4"; or "crash" (an exception), "death" (of the process), "stall" (no end), "drift" (digests)
    text: str
    last: tuple[str, ...] = ()  # lines of the trace before it
    options: tuple[tuple[str, float | bool], ...] = ()  # the faults that were on
    faults: FaultList = None  # exactly these in this run; None: what the seed draws
    orders: int | None = None  # None: the world's own number
    core: str = "compiled"
    plant: str = ""
    events: int = 0

    @property
    def command(self) -> str:
        """The line that repeats it."""
        parts = [f"python -m tests.sim --tier {self.tier} --seed {self.seed}"]
        if self.orders is not None:
            parts.append(f"--orders {self.orders}")
        parts += fault_words(self.faults)
        if self.core != "compiled":
            parts.append(f"--core {self.core}")
        if self.plant:
            parts.append(f"--plant {self.plant}")
        return " ".join(parts)


def fault_words(faults: FaultList) -> list[str]:
    """The faults of a run as the command line takes them."""
    if faults is None:
        return []
    return [f"--fault {name}={value_text(value)}" for name, value in faults] or ["--no-faults"]


def value_text(value: float | bool) -> str:
    """The strength of a fault as the command line writes it."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else f"{value:g}"


@dataclass(slots=True)
class Tally:
    """Sums over runs."""

    seeds: int = 0
    events: int = 0
    orders: int = 0
    sim_ns: int = 0
    injected: Counter[str] = field(default_factory=Counter)  # fault -> how often
    reached: Counter[str] = field(default_factory=Counter)  # transition or branch -> how often
    failures: list[Failure] = field(default_factory=list)
    failed: int = 0  # seeds, also those past FAILURES_KEPT_MAX
    digests: dict[int, str] = field(default_factory=dict)  # seed -> trace digest, when they are asked for

    def add(self, outcome: Any) -> None:
        """One run that came to its end; a failure is added apart."""
        self.seeds += 1
        self.events += outcome.events
        self.orders += outcome.orders
        self.sim_ns += outcome.sim_ns
        self.injected.update(outcome.injected)
        self.reached.update(outcome.reached)

    def fail(self, failure: Failure) -> None:
        """One failing seed."""
        self.failed += 1
        if len(self.failures) < FAILURES_KEPT_MAX:
            self.failures.append(failure)

    def merge(self, other: Tally) -> None:
        """The sums of another block or process."""
        self.seeds += other.seeds
        self.events += other.events
        self.orders += other.orders
        self.sim_ns += other.sim_ns
        self.injected.update(other.injected)
        self.reached.update(other.reached)
        self.failed += other.failed
        self.failures += other.failures[: FAILURES_KEPT_MAX - len(self.failures)]
        self.digests.update(other.digests)
