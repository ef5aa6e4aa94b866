"""Crowds and bad manners: strangers, the slow, the silent, the flooding end with a reason; the others do not notice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.integration.conftest import Running
from tests.integration.raw_client import JSON, connect, log_in, read_secret
from tests.integration.test_bad_input import UPGRADE, order
from tests.integration.world import World, audit, make_world, pace, stream

STRANGERS = 1_500
SYMBOL = "BADUSDT"


class Crowd(Running):
    """The running deployment, typed as what it is."""

    deployment: World


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    settings = (
        "limits.api.hb_ms=500", "limits.api.auth_timeout_ms=2000", "limits.api.outbound_bytes=2097152",
        "limits.api.place_per_s=3",
    )  # fmt: skip
    world = make_world(
        tmp_path_factory.mktemp("crowd"), "C0", "C1", symbols=((SYMBOL, "0.01", "1"),), settings=settings
    )
    found = Crowd(world)

    async def begin() -> None:
        await world.start()
        await world.opened()

    try:
        found.run(begin())
        yield found
        found.run(audit(world))
    finally:
        found.run(world.stop())
        found.close()


async def answers_until(world: World, stop: asyncio.Event) -> int:
    """A well-behaved client that asks and asks; how many answers it got. It fails when one does not come."""
    count = 0
    async with await log_in(world.ws_url, "C1", world.secret("C1"), "well-behaved") as client:
        while not stop.is_set():
            assert (await client.ask("get", what="time"))["t"] == "res"
            count += 1
            await pace(stop, 0.02)
    return count


def test_thousands_that_never_log_in_are_sent_away_and_nobody_else_waits(crowd: Crowd) -> None:
    async def scenario() -> None:
        world = crowd.deployment
        stop = asyncio.Event()
        more = f"Sec-WebSocket-Protocol: {JSON}\n"
        head = UPGRADE.format(path="/v1/ws", more=more).replace("\n", "\r\n").encode()
        async with asyncio.TaskGroup() as group:
            good = group.create_task(answers_until(world, stop))
            lines = []
            for number in range(STRANGERS):
                reader, writer = await asyncio.open_connection("127.0.0.1", world.ws_port)
                writer.write((b"", head[:20], head)[number % 3])  # mute; half a handshake; a whole one and no login
                lines.append((reader, writer))
            for reader, _ in lines:
                async with asyncio.timeout(30):
                    while await reader.read(65_536):
                        pass
            stop.set()
        assert good.result() > 0
        assert await world.scrape("backstay_sessions", '{state="waiting"}') == 0
        for _, writer in lines:
            writer.close()

    crowd.run(scenario())


def test_the_newer_connection_of_a_session_takes_over(crowd: Crowd) -> None:
    async def scenario() -> None:
        world = crowd.deployment
        async with await world.client("C0", "same") as older, await world.client("C0", "same") as newer:
            assert await older.closed() == 4009
            assert (await newer.ask("get", what="time"))["t"] == "res"

    crowd.run(scenario())


def test_a_session_more_than_the_key_may_have_is_refused(crowd: Crowd) -> None:
    async def scenario() -> None:
        world = crowd.deployment
        clients = [await world.client("C0", f"many-{number}") for number in range(8)]
        async with await connect(world.ws_url) as extra:
            assert (await extra.log_in("C0", read_secret(world.secret("C0")), "many-8"))["code"] == "BUSY"
            await extra.closed()
        for client in clients:
            async with client:
                pass
        await world.until_metric("backstay_sessions", '{state="authenticated"}', 0)

    crowd.run(scenario())


@pytest.mark.parametrize("reads", [True, False])
def test_a_silent_client_is_closed_4008_even_when_it_does_not_read(crowd: Crowd, reads: bool) -> None:
    async def scenario() -> None:
        world = crowd.deployment
        client = await connect(world.ws_url, pongs=False)
        await client.log_in("C0", read_secret(world.secret("C0")), "silent")
        if reads:
            assert await client.closed() == 4008
        else:
            client.stop_reading()
            await world.until_metric("backstay_sessions", '{state="authenticated"}', 0)
        async with client:
            pass

    crowd.run(scenario())


def test_a_slow_consumer_is_warned_closed_4010_and_resumes_without_a_gap(crowd: Crowd) -> None:
    async def scenario() -> None:
        world = crowd.deployment
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            good = group.create_task(answers_until(world, stop))
            async with await world.client("C0", "slow") as client:
                bid = await reference(world)
                items = [
                    {"t": "place", **order(cl_ord_id=f"rest-{n}", px=bid, qty="1", tag="x" * 64)} for n in range(100)
                ]
                assert (await client.ask("batch", items=items))["t"] == "batch"
                client.is_checked = False
                client.stop_reading()
                for _ in range(2_000):
                    if client.transport is None or not client.transport.underlying_transport.is_closing():
                        client.say("get", what="orders")
                    await pace(stop, 0.01)
                    if not await world.scrape("backstay_sessions", '{state="authenticated"}') > 1:
                        break
                client.read_again()
                assert await client.closed() == 4010
                assert [frame for frame in client.of("status") if "lag" in frame]
            stop.set()
        assert good.result() > 0
        events = await stream(world, "C0")
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))

    crowd.run(scenario())


async def reference(world: World) -> str:
    """A price below the market that the collar lets through."""
    async with await world.client("C1", "reference") as client:
        answer = await client.ask("place", **order(cl_ord_id="probe", px="0.01"))
        assert answer["code"] == "RC_PRICE_COLLAR", answer
        return str((Decimal(answer["detail"]["passes"]["px"]) * Decimal("1.01")).quantize(Decimal("0.01")))


def test_a_flood_of_refused_frames_closes_4029(crowd: Crowd) -> None:
    async def scenario() -> None:
        world = crowd.deployment
        async with await world.client("C0", "flood") as client:
            for _ in range(400):
                if client.gone:
                    break
                client.say("cancel", cl_ord_id="none")
            assert await client.closed() == 4029
        async with await world.client("C0", "calm") as client:
            assert (await client.ask("get", what="time"))["t"] == "res"

    crowd.run(scenario())
