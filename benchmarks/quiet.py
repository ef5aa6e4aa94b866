"""Quiet between measurements: no collection while a round runs, nothing under way when the next one begins."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.market import Venue

LULL_S = 0.02


@contextmanager
def at_rest() -> Iterator[None]:
    """The client's own collector does not run inside."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def settle(venue: Venue) -> None:
    """Until the venue hears no more orders."""
    heard = -1
    while heard != venue.orders:
        heard = venue.orders
        await asyncio.sleep(LULL_S)
