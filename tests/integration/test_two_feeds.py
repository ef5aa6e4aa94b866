"""Two feeds of the real venue's market, broken one after the other: stops fire all the same, and everybody is told."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.integration.raw_client import Frame, RawClient
from tests.integration.world import World, audit, make_world

pytestmark = pytest.mark.e2e

SYMBOL = "TWOUSDT"
PLAN: dict[str, Any] = {
    "symbols": ((SYMBOL, "0.01", "1"),),
    "feeds": ("a", "b"),
    "feed_options": "stale_ms = 300",
    "policy": "flat",
    "extra": '[[policies]]\nname = "flat"\non_feed_loss = "flatten"\nflatten_after_ms = 500\n',
}
FIRE_S = 0.5  # from the price to the word about it


async def protected(world: World, client: RawClient, *stops: str) -> None:
    """A position of 10 with a stop of 5 at each of these prices, quotes in the test's hand."""
    await world.opened()
    async with world.control() as control:
        await control.do("pause")
        await control.quote(SYMBOL, "100.00", "100.02")
    client.say("subscribe")
    await client.frame("live")
    order: dict[str, Any] = {"symbol": SYMBOL, "ord_type": "market"}
    await client.ask("place", cl_ord_id="in", side="buy", tif="ioc", qty="10", **order)
    await client.frame("trade", cl_ord_id="in")
    for px in stops:
        answer = await client.ask(
            "place", cl_ord_id=px, side="sell", tif="gtc", qty="5", reduce_only=True,
            trigger={"kind": "stop", "stop_px": px, "source": "bid"}, **order,
        )  # fmt: skip
        assert answer["t"] == "accepted", answer


async def keep_quoting(world: World, bid: list[str], stop: asyncio.Event) -> None:
    """A market that speaks ten times a second."""
    async with world.control() as control:
        while not stop.is_set():
            await control.quote(SYMBOL, bid[0], f"{float(bid[0]) + 0.02:.2f}")
            try:
                async with asyncio.timeout(0.1):
                    await stop.wait()
            except TimeoutError:
                continue


async def feed_is(client: RawClient, name: str, state: str) -> None:
    def is_so() -> bool:
        told = [frame for frame in client.of("status") if "feeds" in frame]
        return bool(told) and told[-1]["feeds"][name]["state"] == state

    await client.until(is_so)


async def fired(client: RawClient, name: str) -> Frame:
    async with asyncio.timeout(FIRE_S):
        return await client.frame("triggered", cl_ord_id=name)


def test_stops_fire_in_time_with_either_feed_broken(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with make_world(tmp_path, "A1", **PLAN) as world:
            async with await world.client("A1") as client:
                await protected(world, client, "95.00", "90.00")
                bid, stop = ["100.00"], asyncio.Event()
                async with asyncio.TaskGroup() as tasks, world.control() as control:
                    tasks.create_task(keep_quoting(world, bid, stop))
                    await feed_is(client, "a", "fresh")
                    await feed_is(client, "b", "fresh")

                    await control.do("feed", key="b", mode="mute")
                    await feed_is(client, "b", "stale")
                    assert await world.scrape("backstay_feed_stale", '{feed="b"}') == 1
                    assert await world.scrape("backstay_feed_leads", '{feed="a"}') == 1
                    bid[0] = "94.00"
                    event = await fired(client, "95.00")
                    assert event["evidence"]["feed"] == "a"

                    await control.do("feed", key="b", mode="unmute")
                    await feed_is(client, "b", "fresh")
                    await control.do("feed", key="a", mode="refuse")
                    await feed_is(client, "a", "down")
                    assert await world.scrape("backstay_feed_up", '{feed="a"}') == 0
                    bid[0] = "89.00"
                    event = await fired(client, "90.00")
                    assert event["evidence"]["feed"] == "b"

                    await control.do("feed", key="a", mode="unmute")
                    await feed_is(client, "a", "fresh")
                    stop.set()
                await world.until_flat(SYMBOL)
                assert await world.scrape("backstay_blind_instruments") == 0
                assert await world.scrape("backstay_unguarded_seconds_total") == 0
                assert client.of("guard") == []
            await audit(world)

    asyncio.run(scenario())


def test_with_both_feeds_silent_the_policy_closes_the_position_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        plan = {**PLAN, "settings": ("instruments.0.max_age_ms=600",)}
        async with make_world(tmp_path, "A1", **plan) as world:
            async with await world.client("A1") as client:
                await protected(world, client, "95.00")
                async with world.control() as control:
                    for line in ("a", "b"):
                        await control.do("feed", key=line, mode="mute")
                    lost = await client.frame("guard", state="blind", cause="feed silent")
                    assert lost["orders"] == ["95.00"]
                    for name in ("a", "b"):
                        await feed_is(client, name, "stale")
                    name = f"guard-0-{lost['since_ns']}-1"
                    done = await client.frame("guard", cause=f"flatten: {name}")
                    assert (done["state"], done["orders"]) == ("blind", ["95.00"])
                    accepted = await client.frame("accepted", cl_ord_id=name)
                    assert (accepted["order"]["reduce_only"], accepted["order"]["tag"]) == (True, "feed-loss")
                    await client.frame("trade", cl_ord_id=name)
                    await world.until_flat(SYMBOL)
                    for line in ("a", "b"):
                        await control.do("feed", key=line, mode="unmute")
                    await control.quote(SYMBOL, "94.00", "94.02")
                await client.frame("canceled", cl_ord_id="95.00", reason="flat")
            await audit(world)
            sold = [line for line in world.ledger_lines() if line["dir"] == "out" and line["msg"]["t"] == "fill"]
            assert [line["msg"]["qty"] for line in sold] == ["10", "10"], "in, and out once"

    asyncio.run(scenario())
