"""Progress of a long run: a bar on a terminal, a plain line every few seconds anywhere else."""

from __future__ import annotations

import sys
from time import monotonic_ns
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.sim.tally import Tally

LINE_NS = 10_000_000_000  # between two plain lines
MIN_NS = 60_000_000_000


class Bar:
    """Shown on stderr, so that stdout is the report alone."""

    def __init__(self, title: str, total: int | None) -> None:
        """total: seeds; None when there is no end."""
        self.title = title
        self.total = total
        self.begun_ns = self._told_ns = monotonic_ns()
        self._bar: Progress | None = None
        if sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                TimeRemainingColumn(), TextColumn("{task.fields[rate]}"), console=Console(stderr=True),
            )  # fmt: skip
            self._task = self._bar.add_task(title, total=total, rate="")

    def __enter__(self) -> Bar:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def look(self, tally: Tally, done: int) -> None:
        """Where the run is now."""
        now_ns = monotonic_ns()
        rate = f"{done * MIN_NS // max(1, now_ns - self.begun_ns):,} a minute, {tally.failed} failed"
        if self._bar is not None:
            self._bar.update(self._task, completed=done, rate=rate)
        elif now_ns - self._told_ns >= LINE_NS:
            self._told_ns = now_ns
            of = "" if self.total is None else f" of {self.total:,}"
            print(f"{self.title}: {done:,}{of} seeds, {rate}", file=sys.stderr, flush=True)
