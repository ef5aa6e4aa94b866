"""On a running deployment: silent feed and restart are told to whose stops they touch; a broken fill is taken back."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.integration.raw_client import Frame, RawClient
from tests.integration.world import World, audit, make_world

pytestmark = pytest.mark.e2e


async def followed(world: World, account: str) -> RawClient:
    client = await world.client(account)
    client.say("subscribe", account=account)
    await client.frame("live")
    return client


async def protected(client: RawClient) -> Frame:
    """Buy, and rest a stop far below; the fill."""
    order: dict[str, Any] = {"symbol": "BTCUSDT", "ord_type": "market", "qty": "0.1"}
    await client.ask("place", cl_ord_id="in", side="buy", tif="ioc", **order)
    fill = await client.frame("trade", cl_ord_id="in")
    trigger = {"kind": "stop", "stop_px": "100"}
    answer = await client.ask(
        "place", cl_ord_id="stop", side="sell", tif="gtc", reduce_only=True, trigger=trigger, **order
    )
    assert answer["t"] == "accepted"
    return fill


def test_a_silent_feed_makes_stops_blind_until_data_is_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with make_world(tmp_path, "A1", "A2") as world:
            await world.opened()
            async with await followed(world, "A1") as client, await followed(world, "A2") as other:
                await protected(client)
                async with world.control() as control:
                    await control.do("pause")
                    lost = await client.frame("guard", state="blind")
                    assert (lost["symbol"], lost["orders"]) == ("BTCUSDT", ["stop"])
                    assert lost["since_ns"] < lost["ts_ns"]
                    assert await world.scrape("backstay_blind_instruments") == 1
                    await client.until(lambda: any(f.get("feeds", {}).get("sim", {}).get("state") == "stale"
                                                   for f in client.of("status")))  # fmt: skip
                    await control.do("resume")
                back = await client.frame("guard", state="armed")
                assert back["since_ns"] == lost["since_ns"]
                assert await world.scrape("backstay_blind_instruments") == 0
                assert await world.scrape("backstay_unguarded_seconds_total") > 0
                assert other.of("guard") == []

    asyncio.run(scenario())


def test_a_restart_says_since_when_nobody_watched(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with make_world(tmp_path, "A1") as world:
            await world.opened()
            async with await followed(world, "A1") as client:
                await protected(client)
            await world.kill_gateway()
            await world.start_gateway()
            await world.opened()
            async with await world.client("A1", "again") as client:
                client.say("subscribe", account="A1")
                sync = await client.frame("sync")
                client.say("subscribe", account="A1", after={"history": sync["history"], "seq": 0})
                lost = await client.frame("guard", state="unguarded")
                back = await client.frame("guard", state="armed")
                assert (lost["orders"], lost["cause"], back["orders"]) == (["stop"], "restart", ["stop"])
                assert lost["since_ns"] == back["since_ns"] < lost["ts_ns"] < back["ts_ns"]
            await audit(world)

    asyncio.run(scenario())


def test_a_fill_that_the_broker_breaks_is_taken_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with make_world(tmp_path, "A1") as world:
            await world.opened()
            async with await followed(world, "A1") as client:
                fill = await protected(client)
                async with world.control() as control:
                    await control.do("bust", exec=fill["exec_id"])
                broken = await client.frame("trade_canceled", cl_ord_id="in")
                before = {"last_qty": fill["last_qty"], "last_px": fill["last_px"]}
                assert (broken["exec_id"], broken["before"]) == (fill["exec_id"], before)
                assert (broken["ord_status"], broken["cum_qty"], broken["pos_qty"]) == ("filled", "0", "0")
                assert await world.venue_positions() == {}
                found = await client.ask("get", what="positions", account="A1")
                assert [p for p in found["positions"] if p["pos_qty"] != "0"] == []
            await world.stop_gateway()
            await world.start_gateway()
            await audit(world)

    asyncio.run(scenario())
