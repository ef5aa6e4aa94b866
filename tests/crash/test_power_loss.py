"""Power fails under the real gateway at its file operations: nothing acknowledged is lost, nothing is doubled.

BACKSTAY_BOUNDARIES sets at how many operations it dies (7 in the normal suite, all of the windows from 234 on),
BACKSTAY_SEED which ones, and what the disk keeps.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from tests.crash.layer import Act, Kind
from tests.crash.power import SETTINGS, Boundary, PowerDrill, boundaries
from tests.sim.disk import DiskFaults

COUNT = int(os.environ.get("BACKSTAY_BOUNDARIES", "7"))
SEED = int(os.environ.get("BACKSTAY_SEED", "0")) or time.time_ns() % 1_000_000
NOTHING_KEPT = DiskFaults(keep_share=0.0)
LOSS = "repeated: seq|another history|acknowledged and gone"  # how a client, or the verdict, finds it


def test_power_lost_at_any_file_operation_takes_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with PowerDrill(tmp_path, seed=SEED) as drill:
            for boundary in boundaries(drill.rng, COUNT):
                print(boundary, flush=True)
                await drill.end_at(boundary)
            print(drill.report())
            await drill.finish()
            print(drill.figures.verdict())
            assert drill.died.total() > COUNT // 2

    print(f"seed {SEED}, {COUNT} boundaries")
    asyncio.run(scenario())


def test_what_was_synced_survives_on_a_disk_that_keeps_nothing_else(tmp_path: Path) -> None:
    """A first life goes on into its second segment, whose name too was made in it: only what was synced is left."""

    async def scenario() -> None:
        async with PowerDrill(tmp_path, seed=1, faults=NOTHING_KEPT) as drill:
            await drill.end_at(Boundary("rotation", 25, Act.KILL_BEFORE))
            await drill.live(0.2)
            await drill.finish()
            assert drill.died.total() == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("lie", ["the disk", "the setting"])
def test_the_drill_sees_a_loss(tmp_path: Path, lie: str) -> None:
    """The control: syncs return and nothing is on disk; the same clients and the same verdict must speak up."""
    settings = (*SETTINGS, "journal.durability=off") if lie == "the setting" else SETTINGS

    async def scenario() -> None:
        async with PowerDrill(tmp_path, seed=1, faults=NOTHING_KEPT, settings=settings) as drill:
            if lie == "the disk":
                drill.layered.layer.strike(Act.LIE, (Kind.SYNC,), every=1)
            await drill.live(0.5)
            await drill.layered.power_off()
            await drill.come_back(time.monotonic())
            await drill.live(0.2)
            await drill.finish()

    with pytest.raises(ExceptionGroup) as found:
        asyncio.run(scenario())
    assert found.group_contains(AssertionError, match=LOSS)
