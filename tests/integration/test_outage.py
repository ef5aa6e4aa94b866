"""The venue goes away, forgets to answer, repeats itself: what waits, what is in doubt, and how each of it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest

from gateway.demo.control import VenueControl
from tests.integration.conftest import Running
from tests.integration.raw_client import Frame, RawClient
from tests.integration.world import World, audit, make_world

SYMBOL = "OUTUSDT"
KEY = "gateway"


class Outage(Running):
    """The running deployment, typed as what it is."""

    deployment: World


@pytest.fixture(scope="module")
def outage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outage]:
    world = make_world(tmp_path_factory.mktemp("outage"), "O0", "O1", symbols=((SYMBOL, "0.01", "1"),))
    found = Outage(world)

    async def begin() -> None:
        await world.start()
        await world.opened()
        async with world.control() as control:
            await control.do("pause")

    async def end() -> None:
        streams = await audit(world)
        ours = sum(
            (Decimal(e["last_qty"]) * (1 if sides[e["cl_ord_id"]] == "buy" else -1) for e, sides in trades(streams)),
            Decimal(0),
        )
        assert ours == (await world.venue_positions()).get(SYMBOL, Decimal(0))

    try:
        found.run(begin())
        yield found
        found.run(end())
    finally:
        found.run(world.stop())
        found.close()


def trades(streams: dict[str, list[Frame]]) -> Iterator[tuple[Frame, dict[str, str]]]:
    for events in streams.values():
        sides = {event["cl_ord_id"]: event["order"]["side"] for event in events if event["t"] == "accepted"}
        for event in events:
            if event["t"] == "trade":
                yield event, sides


def order(name: str, **changes: Any) -> dict[str, Any]:
    terms = {"cl_ord_id": name, "symbol": SYMBOL, "side": "buy", "ord_type": "limit", "qty": "1", "px": "99.00"}
    return {name: value for name, value in {**terms, "tif": "gtc", **changes}.items() if value is not None}


async def follow(world: World, account: str, session: str) -> RawClient:
    client = await world.client(account, session)
    client.say("subscribe")
    await client.frame("live")
    client.frames.clear()
    return client


async def quirks(control: VenueControl, **values: int) -> None:
    await control.do("quirks", set=msgspec.Raw(msgspec.json.encode(values)))


async def link_goes_down(control: VenueControl, client: RawClient) -> None:
    await control.do("refuse", on=True)
    await control.do("disconnect", key=KEY)
    await client.until(lambda: any(f["links"]["sim"]["state"] == "down" for f in client.of("status") if f.get("links")))


def test_with_the_venue_down_orders_wait_expire_or_are_refused_and_are_checked_again(outage: Outage) -> None:
    async def scenario() -> None:
        world = outage.deployment
        async with world.control() as control, await follow(world, "O0", "down") as client:
            await control.quote(SYMBOL, "100.00", "100.02")
            await link_goes_down(control, client)
            try:
                assert (await client.ask("place", **order("w-0", max_queue_ms=0)))["code"] == "LINK_DOWN"
                market = order("w-1", ord_type="market", px=None, tif="ioc")
                assert (await client.ask("place", **market))["code"] == "LINK_DOWN"
                for name, wait_ms in (("w-short", 200), ("w-cancel", None), ("w-check", None)):
                    accepted = await client.ask("place", **order(name, max_queue_ms=wait_ms))
                    assert (accepted["ord_status"], accepted["stage"]) == ("pending_new", "queued")
                assert (await client.frame("expired", cl_ord_id="w-short"))["reason"] == "queue"
                canceled = await client.ask("cancel", cl_ord_id="w-cancel")
                assert canceled["t"] == "canceled"
                await control.quote(SYMBOL, "200.00", "200.02")
                accepted = await client.ask("place", **order("w-goes", px="199.00"))
                assert accepted["stage"] == "queued"
                replaced = await client.ask("replace", cl_ord_id="w-goes", rev=2, px="198.00")
                assert (replaced["t"], replaced["rev"]) == ("replaced", 2)
            finally:
                await control.do("refuse", on=False)
            await control.quote(SYMBOL, "200.00", "200.02")
            refused = await client.frame("rejected", cl_ord_id="w-check")
            assert refused["code"] == "RC_PRICE_COLLAR"
            await client.frame("new", cl_ord_id="w-goes")
            await control.quote(SYMBOL, "100.00", "100.02")
            received = world.received()
            assert sum(received.values()) == 1
            assert (await client.frame("trade", cl_ord_id="w-goes"))["last_qty"] == "1"

    outage.run(scenario())


def test_a_lost_answer_is_a_doubt_that_the_venue_resolves(outage: Outage) -> None:
    async def scenario() -> None:
        world = outage.deployment
        async with world.control() as control, await follow(world, "O0", "lost") as client:
            await control.quote(SYMBOL, "100.00", "100.02")
            await quirks(control, lost_answer_ppm=1_000_000)
            try:
                await client.ask("place", **order("l-0"))
                await client.frame("in_doubt", cl_ord_id="l-0")
            finally:
                await quirks(control, lost_answer_ppm=0)
            await client.until(lambda: any(f.get("ord_status") == "new" for f in client.frames))
            assert (await client.ask("cancel", cl_ord_id="l-0"))["t"] == "pending_cancel"
            await client.frame("canceled", cl_ord_id="l-0")

    outage.run(scenario())


def test_an_order_that_never_arrived_is_requeued_under_the_same_id(outage: Outage) -> None:
    async def scenario() -> None:
        world = outage.deployment
        async with world.control() as control, await follow(world, "O0", "swallow") as client:
            await control.quote(SYMBOL, "100.00", "100.02")
            await quirks(control, swallow_ppm=1_000_000)
            await client.ask("place", **order("s-0"))
            await client.frame("sent", cl_ord_id="s-0")
            await client.frame("in_doubt", cl_ord_id="s-0")
            await control.quote(SYMBOL, "100.00", "100.02")
            await quirks(control, swallow_ppm=0)
            await client.frame("requeued", cl_ord_id="s-0")
            await control.quote(SYMBOL, "100.00", "100.02")
            await client.frame("new", cl_ord_id="s-0")
            ids = {frame["broker_cl_ord_id"] for frame in client.of("sent", cl_ord_id="s-0")}
            assert len(ids) == 1
            await client.ask("cancel", cl_ord_id="s-0")
            await client.frame("canceled", cl_ord_id="s-0")

    outage.run(scenario())


def test_a_storm_of_quirks_leaves_legal_streams_and_equal_positions(outage: Outage) -> None:
    storm = {
        "latency_ns": 200_000, "latency_jitter_ns": 2_000_000, "partial_ppm": 300_000, "reject_ppm": 30_000,
        "lost_answer_ppm": 30_000, "duplicate_ppm": 200_000, "delay_ppm": 300_000, "fill_first_ppm": 200_000,
        "disconnect_ppm": 5_000, "unknown_word_ppm": 20_000,
    }  # fmt: skip
    calm = dict.fromkeys(storm, 0)

    async def work(client: RawClient, rng: Random) -> None:
        names: list[str] = []
        revs: dict[str, int] = {}
        for number in range(600):
            dice = rng.random()
            if dice < 0.5 or not names:
                name = f"q-{number}"
                side = rng.choice(("buy", "sell"))
                px = f"{rng.randint(9_900, 10_100) / 100:.2f}"
                answer = await client.ask(
                    "place", **order(name, side=side, px=px, qty=str(rng.randint(1, 9)), stp="allow")
                )
                if answer["t"] == "accepted":
                    names.append(name)
            elif dice < 0.75:
                client.say("cancel", cl_ord_id=rng.choice(names))
            else:
                name = rng.choice(names)
                revs[name] = revs.get(name, 1) + 1
                answer = await client.ask("replace", cl_ord_id=name, rev=revs[name], qty=str(rng.randint(5, 12)))
                if answer["t"] == "err":
                    revs[name] -= 1

    async def move(control: VenueControl, rng: Random, done: asyncio.Event) -> None:
        while not done.is_set():
            mid = rng.randint(9_900, 10_100)
            await control.quote(SYMBOL, f"{mid / 100:.2f}", f"{(mid + 2) / 100:.2f}", qty="7")

    async def scenario() -> None:
        world, rng, done = outage.deployment, Random(7), asyncio.Event()
        async with world.control() as control, await follow(world, "O1", "storm") as client:
            await quirks(control, **storm)
            async with asyncio.TaskGroup() as group:
                group.create_task(move(control, Random(8), done))
                await work(client, rng)
                done.set()
            await quirks(control, **calm)
            await client.ask("cancel_all")
            await world.until_metric("backstay_in_doubt_orders", "", 0)
            await client.ask("cancel_all")
            names = {frame["cl_ord_id"] for frame in client.of("accepted")}
            await client.until(lambda: names <= ended(client), timeout_s=30)

    outage.run(scenario())


def ended(client: RawClient) -> set[str]:
    last: dict[str, str] = {}
    for frame in client.frames:
        if "ord_status" in frame and "seq" in frame:
            last[frame["cl_ord_id"]] = frame["ord_status"]
    return {name for name, status in last.items() if status in ("filled", "canceled", "expired", "rejected")}
