"""The power fails while a journal comes to be: the next start begins, or goes on, and keeps what it then acknowledges.

BACKSTAY_BOUNDARIES (half of it, 2 in the normal suite) and BACKSTAY_SEED are those of test_power_loss.py.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from random import Random

from tests.crash.layer import BOUNDARIES, Act
from tests.crash.layered import LayeredWorld
from tests.crash.power import ENDS
from tests.integration.trouble import PLAN, SYMBOL, resting
from tests.integration.world import audit

COUNT = max(2, int(os.environ.get("BACKSTAY_BOUNDARIES", "0")) // 2)
SEED = int(os.environ.get("BACKSTAY_SEED", "0")) or time.time_ns() % 1_000_000
WINDOW = 40  # operations of a start in an empty folder
TERMS = {**resting("kept"), "side": "buy", "px": "90.00"}


async def first_life(world: LayeredWorld, nth: int, act: Act) -> bool:
    """A start in an empty folder, cut at an operation, and a power failure; whether it was cut before it was ready."""
    world.platter.begin_anew()
    world.layer.strike(act, BOUNDARIES, nth)
    is_up = await world.comes_up()
    await world.power_off()
    return not is_up


async def second_life(world: LayeredWorld) -> None:
    """It takes an order, and its word outlives a power failure."""
    await world.start_gateway()
    await world.opened()
    async with world.control() as control:
        await control.do("pause")
        await control.quote(SYMBOL, "91.00", "91.02")
    async with await world.client("D0") as client:
        client.say("subscribe")
        history = (await client.frame("sync"))["history"]
        await client.frame("live")
        assert (await client.ask("place", **TERMS))["t"] == "accepted"
        await client.frame("new", cl_ord_id="kept")
        await client.ask("cancel", cl_ord_id="kept")
        await client.frame("canceled", cl_ord_id="kept")
    async with world.control() as control:
        await control.do("resume")
    await world.power_off()
    await world.start_gateway()
    async with await world.client("D0", "again") as client:
        client.say("subscribe")
        assert (await client.frame("sync"))["history"] == history, "another history"
    told = [event["t"] for event in (await audit(world))["D0"] if event.get("cl_ord_id") == "kept"]
    assert told.count("accepted") == 1 and told[-1] == "canceled", told
    await world.power_off()


def test_power_lost_while_the_journal_comes_to_be(tmp_path: Path) -> None:
    rng = Random(SEED)
    places = [(nth, act) for nth in range(1, WINDOW + 1) for act in ENDS]
    rng.shuffle(places)

    async def scenario() -> None:
        cut = 0
        async with LayeredWorld(tmp_path / "data", PLAN, rng=rng) as world:
            await world.power_off()
            for nth, act in places[:COUNT]:
                print(nth, act.name, flush=True)
                cut += await first_life(world, nth, act)
                await second_life(world)
        print(f"{cut} of {min(COUNT, len(places))} before it was ready; {dict(world.platter.disk.injected)}")
        assert cut or COUNT < 8, "an operation of the window that comes before it is ready, at least"

    print(f"seed {SEED}")
    asyncio.run(scenario())
