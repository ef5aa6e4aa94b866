"""SIGKILL of the real gateway under at least 2,000 acknowledged orders a second; everything is judged from outside.

BACKSTAY_KILLS sets how many kills in a row (10 in the normal suite; the long form makes 200), BACKSTAY_SEED the seed.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.chaos.drill import Drill, Figures

KILLS = int(os.environ.get("BACKSTAY_KILLS", "10"))
SEED = int(os.environ.get("BACKSTAY_SEED", "0")) or time.time_ns() % 1_000_000
BAR_PER_S = 2_000
OFFERED_PER_S = 2_600


async def drill(folder: Path, kills: int, bar_per_s: int) -> Figures:
    async with Drill(folder, seed=SEED, bar_per_s=bar_per_s, per_s=OFFERED_PER_S) as found:
        await found.kills(kills)
        print(found.figures.load())
        await found.finish()
        return found.figures


def test_killed_under_load_nothing_acknowledged_is_lost_or_doubled(tmp_path: Path) -> None:
    figures = asyncio.run(drill(tmp_path, KILLS, BAR_PER_S))
    print(figures.verdict())
    assert figures.fired > 0
    if len(figures.lives) < KILLS:
        pytest.skip(f"this machine did not serve {BAR_PER_S:,} orders/s: {figures.load()}")
