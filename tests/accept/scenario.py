"""What a scenario is, what it measured, and the verdict: PASS, FAIL, or NOT RUN with the reason."""

import os
import platform
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["PASS", "FAIL", "NOT RUN"]


class NotRun(Exception):  # a verdict, not an error
    """The scenario cannot be judged here; the text says why."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One measured figure beside its target."""

    name: str
    value: str
    target: str
    holds: bool
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A requirement shown by one whole run through public interfaces, in a folder of its own."""

    requirement: str
    title: str
    run: Callable[[Path], Awaitable[list[Measure]]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a scenario; this is what the evidence file holds."""

    requirement: str
    title: str
    status: Status
    reason: str
    measures: list[Measure]
    started_ns: int
    took_ms: int
    machine: dict[str, Any]


def machine() -> dict[str, Any]:
    """Where it ran."""
    return {
        "system": platform.system(),
        "release": platform.release(),
        "processor": platform.machine(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
    }


def judge(measures: list[Measure]) -> tuple[Status, str]:
    """PASS when every figure meets its target; else FAIL, and which did not."""
    missed = [f"{measure.name}: {measure.value}, target {measure.target}" for measure in measures if not measure.holds]
    if not measures:
        return "FAIL", "nothing was measured"
    return ("FAIL", "; ".join(missed)) if missed else ("PASS", "")
