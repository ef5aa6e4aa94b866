"""A disk that fails under a running gateway, as clients, operators and the venue see it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest
from picows import WSError

from gateway.commands.rest_client import RestClient, RestRefused
from gateway.demo.deployment import Plan
from tests.integration.raw_client import Frame, RawClient, connect
from tests.integration.world import World

SYMBOL = "DISKUSDT"
ACCOUNTS = ("D0", "D1")
ENDS = ("canceled", "expired", "fill")
PLAN = Plan(accounts=ACCOUNTS, symbols=((SYMBOL, "0.01", "1"),), settings=(f"journal.segment_bytes={1 << 20}",))


async def protect(world: World, client: RawClient) -> None:
    """A position with a stop under it, quotes in the test's hand."""
    await world.opened()
    async with world.control() as control:
        await control.do("pause")
        await control.quote(SYMBOL, "100.00", "100.02")
    client.say("subscribe")
    await client.frame("live")
    await client.ask("place", cl_ord_id="entry", symbol=SYMBOL, side="buy", ord_type="market", qty="10", tif="ioc")
    await client.frame("trade", cl_ord_id="entry")
    stop = {"kind": "stop", "stop_px": "95.00", "source": "bid"}
    accepted = await client.ask(
        "place", cl_ord_id="stop", symbol=SYMBOL, side="sell", ord_type="market", qty="10", tif="gtc", reduce_only=True,
        trigger=stop,
    )  # fmt: skip
    assert accepted["ord_status"] == "held"


async def until_it_fails(client: RawClient, prefix: str) -> list[str]:
    """Orders one after the other until the disk fails; all that were asked for, the last of them without an answer."""
    asked: list[str] = []
    for number in range(100_000):
        asked.append(f"{prefix}{number}")
        request = client.say("place", **resting(asked[-1]))
        try:
            answer = await client.answer(request)
        except ConnectionError:
            break
        if answer["t"] != "accepted":
            assert answer["code"] in ("JOURNAL_STOPPED", "BUSY"), answer
            if answer["code"] == "JOURNAL_STOPPED":
                break
    return asked


def resting(name: str) -> Frame:
    """Terms of an order that works at the venue and is not filled."""
    return {
        "cl_ord_id": name, "symbol": SYMBOL, "side": "sell", "ord_type": "limit", "qty": "1", "px": "104.00",
        "tif": "gtc",
    }  # fmt: skip


def told(client: RawClient) -> set[str]:
    """Names of the orders that were acknowledged to it."""
    return {frame["cl_ord_id"] for frame in client.of("accepted")}


async def fire(world: World) -> None:
    """Let the price fall through the stop, and see it reach the venue."""
    async with world.control() as control:
        await control.quote(SYMBOL, "94.00", "94.02")
    await world.until_flat(SYMBOL)


async def kill(world: World) -> None:
    """A kill switch acts without a disk: what works at the venue is canceled there, the stop stays armed."""
    async with RestClient(world.http_url, key="ops-1", secret=world.secret("ops-1")) as rest:
        body = {"scope": "account:D0", "level": "cancel_all", "keep": "protective", "reason": "the disk is gone"}
        assert (await rest.ask("POST", "/v1/halts", body, idempotency_key="k"))["level"] == "cancel_all"
        assert rest.status == 202
    async with asyncio.timeout(10):
        while await asyncio.to_thread(open_at_the_venue, world):
            pass


def open_at_the_venue(world: World) -> set[str]:
    """Ids of the orders that work there."""
    found: set[str] = set()
    for line in world.ledger_lines():
        if line["dir"] == "out" and line["msg"]["t"] == "ack":
            found.add(line["msg"]["id"])
        elif line["dir"] == "out" and line["msg"]["t"] in ENDS:
            found.discard(line["msg"]["id"])
    return found


async def stays_protective(world: World) -> None:
    """No new connection is taken, and whoever asks is told why."""
    with pytest.raises(WSError):
        await connect(world.ws_url)
    assert await world.scrape("backstay_journal_failed") == 1
    async with RestClient(world.http_url, key="", secret=world.secret("ops-1")) as rest:
        with pytest.raises(RestRefused) as refused:
            await rest.probe("/readyz")
        assert refused.value.failure["journal"] == "stopped"


def judge(world: World, events: list[Frame], names: Iterable[str]) -> None:
    """Of the account's whole stream: these orders are there, once, here and at the venue; the stop did its work."""
    accepted = [event["cl_ord_id"] for event in events if event["t"] == "accepted"]
    assert sorted(accepted) == sorted(set(accepted))
    assert set(names) <= set(accepted), "acknowledged and gone"
    assert [id for id, count in world.received().items() if count != 1] == [], "at the venue more than once"
    ids = {event["broker_cl_ord_id"] for event in events if event["t"] == "sent"}
    assert ids <= set(world.received())
    final = [event for event in events if event.get("cl_ord_id") == "stop"][-1]
    assert (final["ord_status"], final["cum_qty"]) == ("filled", "10")
    assert sum(event["t"] == "triggered" for event in events) <= 1
