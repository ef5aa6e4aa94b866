"""How a run is shown: a live view in a terminal, plain lines in a pipe, nothing but the end for programs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from gateway.demo.verdict import Verdict

SHOWN = 8


class View(Protocol):
    """What a run tells."""

    def phase(self, text: str) -> None: ...

    def counts(self, counts: Mapping[str, str]) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Quiet:
    """Says nothing."""

    def phase(self, text: str) -> None:
        """Nobody is told."""

    def counts(self, counts: Mapping[str, str]) -> None:
        """Nobody is told."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing to end."""


class Lines(Quiet):
    """One line for each phase, with the counts at its end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._counts: Mapping[str, str] = {}
        self._began = time.monotonic()

    def phase(self, text: str) -> None:
        counts = ", ".join(f"{name} {value}" for name, value in self._counts.items())
        line = f"{time.monotonic() - self._began:5.1f} s  {text}" + (f"  ({counts})" if counts else "")
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def counts(self, counts: Mapping[str, str]) -> None:
        self._counts = counts


class Terminal(Quiet):
    """A table that is drawn anew while the run goes on."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=8, transient=True)
        self._phases: list[str] = []
        self._counts: Mapping[str, str] = {}

    def phase(self, text: str) -> None:
        self._phases.append(text)
        self._draw()

    def counts(self, counts: Mapping[str, str]) -> None:
        self._counts = counts
        self._draw()

    def _draw(self) -> None:
        shown = Table.grid(padding=(0, 3))
        left, right = Table.grid(), Table.grid(padding=(0, 2))
        for at, text in enumerate(self._phases[-SHOWN:], max(0, len(self._phases) - SHOWN) + 1):
            is_now = at == len(self._phases)
            left.add_row(f"{'▶' if is_now else '✓'} {text}", style="bold" if is_now else "dim")
        for name, value in self._counts.items():
            right.add_row(name, value)
        shown.add_row(left, right)
        self._live.update(shown)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()


def show(verdict: Verdict, console: Console) -> None:
    """The table at the end."""
    shown = Table(title="what was promised, and what was measured", title_justify="left")
    for column in ("", "measured", "promised", ""):
        shown.add_column(column)
    for check in verdict.checks:
        mark = "[green]holds[/green]" if check.holds else "[red]BROKEN[/red]"
        shown.add_row(check.name, check.value, check.target, mark)
    console.print(shown)
