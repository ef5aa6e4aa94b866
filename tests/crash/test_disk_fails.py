"""A sync or a write fails in the real process: it turns protect-only, and a restart tells what is really on disk."""

from __future__ import annotations

import asyncio
from errno import EIO, ENOSPC
from pathlib import Path
from random import Random

import pytest

from tests.crash.layer import WRITES, Act, Kind
from tests.crash.layered import LayeredWorld
from tests.integration.trouble import (
    PLAN,
    fire,
    judge,
    kill,
    open_at_the_venue,
    protect,
    resting,
    stays_protective,
    told,
    until_it_fails,
)
from tests.integration.world import audit
from tests.sim.disk import DiskFaults

SYNCS = frozenset((Kind.SYNC,))
NTH = 12  # after the first orders


@pytest.mark.parametrize(
    ("kinds", "error", "every", "is_power_late"),
    [(SYNCS, EIO, 0, True), (SYNCS, EIO, 1, False), (WRITES, EIO, 0, False), (WRITES, ENOSPC, 1, True)],
    ids=["one sync, power lost later", "every sync, power lost", "one write, power lost", "no room, power lost later"],
)
def test_when_the_disk_fails_nothing_more_is_acknowledged_stops_fire_and_every_word_is_kept(
    tmp_path: Path, kinds: frozenset[Kind], error: int, every: int, is_power_late: bool
) -> None:
    world = LayeredWorld(tmp_path / "data", PLAN, rng=Random(NTH), faults=DiskFaults(keep_share=0.0))

    async def scenario() -> None:
        async with world:
            async with await world.client("D0") as client, await world.client("D1") as other:
                await protect(world, client)
                world.layer.strike(Act.FAIL, kinds, NTH, every=every, error=error)
                asked = await until_it_fails(client, "f")
                assert await client.closed() == 4011
                assert await other.closed() == 4011
                names = told(client)
            assert world.layer.struck() > 0
            assert asked[-1] not in names
            await stays_protective(world)
            assert open_at_the_venue(world)
            await kill(world)
            await fire(world)
            await world.power_off(is_lost=not is_power_late)
            async with world.control() as control:
                await control.do("resume")
            if is_power_late:  # what the cache shows is told to clients now: by then it must be on disk
                await world.start_gateway()
                names |= {event["cl_ord_id"] for event in (await audit(world))["D0"] if event["t"] == "accepted"}
                await world.power_off()
            await world.start_gateway()
            await world.opened()
            async with await world.client("D0", "again") as client:
                client.say("subscribe")
                await client.frame("live")
                again = await client.ask("place", **resting(asked[-1]))
                assert again["t"] == "accepted"
                assert again.get("dup", False) == (asked[-1] in names)
            judge(world, (await audit(world))["D0"], {*names, asked[-1]})
            assert await world.venue_positions() == {}

    asyncio.run(scenario())
