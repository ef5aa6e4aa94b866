"""A small disk fills up under the real gateway: entries are refused, then it only protects, until a start with room."""

from __future__ import annotations

import asyncio
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from aiohttp import ClientConnectionError

from gateway.commands.rest_client import RestClient, RestRefused
from tests.crash.small_disk import SmallDisk
from tests.integration.raw_client import RawClient
from tests.integration.trouble import PLAN, SYMBOL, fire, judge, kill, protect, resting, stays_protective
from tests.integration.world import World, stream

SIZE_KIB = 11 << 10
BATCH = 100
RATE = 100_000
RESTING = 18_000  # canceled at the end, their records fill the reserve: up to two segments


class SmallWorld(World):
    """Its gateway alone sees the small disk."""

    def __init__(self, data_dir: Path, disk: SmallDisk) -> None:
        limits = re.sub(r"(rate_per_s|burst) = \d+", rf"\1 = {RATE}", PLAN.limits)
        settings = (*PLAN.settings, f"limits.api.place_per_s={RATE}", f"limits.api.place_burst={RATE}")
        super().__init__(
            data_dir, replace(PLAN, limits=f"{limits}max_open_orders = {2 * RESTING}\n", settings=settings)
        )
        self.disk = disk

    def gateway_command(self, *arguments: str) -> list[str]:
        return [*self.disk.prefix(), *super().gateway_command(*arguments)]


async def fill(world: World, client: RawClient) -> list[str]:
    """Batches of orders until entries are refused, canceled again once enough of them rest; what was acknowledged."""
    names: list[str] = []
    client.is_checked = False  # thousands of the same
    for number in range(1_000):
        batch = [f"s{number}-{item}" for item in range(BATCH)]
        client.frames.clear()
        async with world.control() as control:
            await control.quote(SYMBOL, "100.00", "100.02")
        answer = await client.ask("batch", items=[{"t": "place", **resting(name)} for name in batch])
        if answer["t"] == "err":
            assert answer["code"] == "JOURNAL_STOPPED", answer
            return names
        names += batch
        await client.frame("new", cl_ord_id=batch[-1])
        if len(names) > RESTING:
            for name in batch:
                client.say("cancel", cl_ord_id=name)
            await client.until(lambda: len(client.of("canceled")) >= BATCH)
    raise AssertionError("the disk did not fill up")


async def guard(client: RawClient) -> None:
    """A position of one with a stop of its own, above that of the other account."""
    client.say("subscribe")
    await client.frame("live")
    await client.ask("place", cl_ord_id="one", symbol=SYMBOL, side="buy", ord_type="market", qty="1", tif="ioc")
    await client.frame("trade", cl_ord_id="one")
    trigger = {"kind": "stop", "stop_px": "97.00", "source": "bid"}
    terms = {"symbol": SYMBOL, "side": "sell", "ord_type": "market", "qty": "1", "tif": "gtc", "reduce_only": True}
    assert (await client.ask("place", cl_ord_id="early", trigger=trigger, **terms))["ord_status"] == "held"


async def cancel_all(world: World) -> None:
    """Thousands of records: more than there is room for. It may be refused, or the disk gives no answer."""
    async with RestClient(world.http_url, key="ops-1", secret=world.secret("ops-1")) as rest:
        await rest.login()
        with suppress(RestRefused, ClientConnectionError):
            await rest.ask("POST", "/v1/accounts/D0/cancel_all", {"keep": "protective"})


def test_a_full_disk_refuses_entries_then_protects_only_and_room_brings_every_word_back(tmp_path: Path) -> None:
    async def scenario(disk: SmallDisk) -> None:
        async with SmallWorld(tmp_path / "data", disk) as world:
            async with await world.client("D1") as other:
                async with await world.client("D0") as client:
                    await protect(world, client)
                    await guard(other)
                    names = await fill(world, client)
                    assert await world.scrape("backstay_journal_failed") == 0
                    assert (await client.ask("cancel", cl_ord_id=names[0]))["t"] == "pending_cancel"  # cancels go on
                    await client.frame("canceled", cl_ord_id=names[0])
                async with world.control() as control:
                    await control.quote(SYMBOL, "96.00", "96.02")
                await other.frame("trade", cl_ord_id="early")  # so do stops
                assert (await other.ask("place", **resting("late")))["code"] == "JOURNAL_STOPPED"
                await cancel_all(world)
                assert await other.closed() == 4011
            assert disk.free_bytes() < 1 << 20
            await stays_protective(world)
            await kill(world)
            await fire(world)
            await world.kill_gateway()
            disk.resize(4 * SIZE_KIB)
            async with world.control() as control:
                await control.do("resume")
            await world.start_gateway()
            await world.opened()
            assert await world.scrape("backstay_journal_failed") == 0
            async with await world.client("D0", "again") as client:
                client.say("subscribe")
                await client.frame("live")
                assert (await client.ask("place", **resting("again")))["t"] == "accepted"
            judge(world, await stream(world, "D0", is_checked=False), [*names, "again"])
            assert await world.venue_positions() == {}

    with SmallDisk(tmp_path / "data" / "journal", SIZE_KIB) as disk:
        asyncio.run(scenario(disk))
