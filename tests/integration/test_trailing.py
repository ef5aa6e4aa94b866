"""A trailing stop over real sockets: it follows the price, its client is told, and a crash leaves it where it was."""

import asyncio
from decimal import Decimal
from pathlib import Path

from backstay import Gateway, Trail, Trailed, Triggered
from gateway.demo.deployment import OPS_KEYS
from tests.accept.clients import client, rest
from tests.integration.world import World, audit, make_world

SYMBOL = "BTCUSDT"
WAIT_S = 20


async def told(gateway: Gateway, name: str, kind: type[Trailed] | type[Triggered]) -> Trailed | Triggered:
    """The order's next event of that kind."""
    async with asyncio.timeout(WAIT_S):
        async for event in gateway.events():
            if isinstance(event, kind) and event.cl_ord_id == name:
                return event
    raise AssertionError("the stream ended")


async def bid(world: World, px: int) -> None:
    async with world.control() as control:
        await control.quote(SYMBOL, str(px), str(px + 1))


async def trail_until_a_crash(world: World) -> str:
    """A position with a stop that has moved from 59,950 to 60,050; the gateway is killed once that is told."""
    async with client(world, "A1") as gateway:
        await bid(world, 60_000)
        await (await gateway.buy(SYMBOL, "0.1", px="60100")).done(timeout=WAIT_S)
        terms = {"trigger": Trail(amount=50, source="bid"), "reduce_only": True, "tif": "gtc"}
        stop = await gateway.sell(SYMBOL, "0.1", **terms)  # type: ignore[arg-type]
        for px in (60_000, 60_100):
            waiting = asyncio.create_task(told(gateway, stop.cl_ord_id, Trailed))
            await asyncio.sleep(0)  # the iterator is there before the price is
            await bid(world, px)
            event = await waiting
            assert isinstance(event, Trailed)
            assert event.stop_px == px - 50
    await world.kill_gateway()
    return stop.cl_ord_id


async def run(folder: Path) -> None:
    async with make_world(folder, "A1") as world:
        await world.opened()
        async with world.control() as control:
            await control.do("pause")
        name = await trail_until_a_crash(world)
        await world.start_gateway()
        await world.until_metric("backstay_feed_up", '{feed="sim"}', 1.0)
        async with rest(world, OPS_KEYS[0]) as api:
            answer = await api.ask("GET", "/v1/accounts/A1/orders")
            (order,) = [one for one in answer["orders"] if one["cl_ord_id"] == name]
            assert (order["ord_status"], order["stop_px"]) == ("held", "60050")
        async with client(world, "A1") as gateway:
            await bid(world, 60_051)  # below the extreme, above the stop
            waiting = asyncio.create_task(told(gateway, name, Triggered))
            await asyncio.sleep(0)
            await bid(world, 60_049)
            event = await waiting
            assert isinstance(event, Triggered)
            assert event.evidence is not None
            assert event.evidence.px == Decimal(60_049)
            state = await gateway.order(name).done(timeout=WAIT_S)
            assert (state.ord_status, gateway.positions[SYMBOL].pos_qty) == ("filled", 0)
        await audit(world)


def test_trailing_stop_follows_survives_a_crash_and_fires_once(tmp_path: Path) -> None:
    asyncio.run(run(tmp_path))
