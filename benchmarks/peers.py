"""Beside another engine, in process, no socket and no disk. Needs the optional dependency of the `peers` extra."""

from __future__ import annotations

import importlib.util

from benchmarks.figures import Outcome
from benchmarks.scale import Scale


async def run(scale: Scale, outcome: Outcome) -> None:
    """Says why when there is nothing to compare with."""
    if importlib.util.find_spec("nautilus_trader") is None:
        outcome.remarks.append("peers: NOT RUN, nautilus_trader is not installed (make bench-peers installs it)")
