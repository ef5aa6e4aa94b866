"""Figures of a run: quantiles, and the table with bars and verdicts. Nothing here fails a run on a time."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from statistics import median
from typing import Any

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table


class Figure(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the table. `floor` was measured beside it in the same run; `bar` is what it should not pass."""

    part: str
    name: str
    value: float
    unit: str = "µs"
    floor: float | None = None
    bar: float | None = None
    at_least: bool = False  # the bar is a lower bound
    note: str = ""

    @property
    def verdict(self) -> str:
        """PASS, FAIL, or nothing where there is no bar."""
        if self.bar is None:
            return ""
        is_met = self.value >= self.bar if self.at_least else self.value <= self.bar
        return "PASS" if is_met else "FAIL"


class Outcome(msgspec.Struct):
    """What one run found: figures, remarks in plain words, and the parts that did not run."""

    figures: list[Figure] = []
    remarks: list[str] = []
    failed: list[str] = []
    machine: dict[str, Any] = {}


def quantile(values: Sequence[int], per_mille: int) -> int:
    """The value at `per_mille` of 1000 of a sorted sequence."""
    return values[min(len(values) - 1, len(values) * per_mille // 1000)]


class Sample:
    """Latencies of one variant over the rounds of a run: quantiles of each round, and the medians of those."""

    def __init__(self) -> None:
        self.rounds: list[list[int]] = []

    def add(self, latencies_ns: Sequence[int]) -> None:
        """One round's latencies in nanoseconds."""
        self.rounds.append(sorted(latencies_ns))

    def us(self, per_mille: int) -> float:
        """Median over the rounds of the quantile, in microseconds."""
        return median(quantile(values, per_mille) for values in self.rounds) / 1_000

    def text(self, digits: int = 1) -> str:
        """p50 / p99 / p99.9 in microseconds."""
        return " / ".join(f"{self.us(per_mille):.{digits}f}" for per_mille in (500, 990, 999))

    def worst_us(self) -> float:
        """The worst value of all rounds."""
        return max(values[-1] for values in self.rounds) / 1_000

    def ratio(self, floor: Sample, per_mille: int) -> float:
        """Median over the rounds of the quantile against that of the floor's round beside it."""
        pairs = zip(self.rounds, floor.rounds, strict=True)
        return median(quantile(ours, per_mille) / quantile(theirs, per_mille) for ours, theirs in pairs)

    def quietest(self, floor: Sample, per_mille: int) -> float:
        """The ratio in the round in which the floor was lowest: the least disturbed one."""
        at = min(range(len(floor.rounds)), key=lambda at: quantile(floor.rounds[at], 500))
        return quantile(self.rounds[at], per_mille) / quantile(floor.rounds[at], per_mille)


def machine() -> dict[str, Any]:
    """What the figures speak for."""
    return {
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def show(outcome: Outcome) -> None:
    """The table and the remarks on standard output."""
    console = Console(width=None if os.isatty(1) else 150)
    table = Table(title="Backstay benchmarks", title_justify="left")
    for column in ("part", "what"):
        table.add_column(column)
    for column in ("value", "floor", "bar", "verdict"):
        table.add_column(column, justify="right")
    table.add_column("note")
    last = ""
    for figure in outcome.figures:
        if last and figure.part != last:
            table.add_section()
        bar = "" if figure.bar is None else f"{'>=' if figure.at_least else '<='} {number(figure.bar)}"
        style = {"PASS": "green", "FAIL": "bold red"}.get(figure.verdict, "")
        table.add_row(
            figure.part if figure.part != last else "",
            escape(figure.name),
            f"{number(figure.value)} {figure.unit}".rstrip(),
            "" if figure.floor is None else number(figure.floor),
            bar,
            figure.verdict,
            escape(figure.note),
            style=style or None,
        )
        last = figure.part
    console.print(table)
    for remark in outcome.remarks:
        console.print(f"- {remark}", markup=False, highlight=False)
    for failure in outcome.failed:
        console.print(f"NOT RUN: {failure}", markup=False, highlight=False, style="bold red")
    console.print(f"machine: {outcome.machine}", markup=False, highlight=False)


def number(value: float) -> str:
    """Three significant digits or whole thousands, as a person reads them."""
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 10 else f"{value:.1f}"
