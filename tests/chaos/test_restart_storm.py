"""Restarts in quick succession, orderly and by SIGKILL, while SDK clients place and cancel: judged from outside.

BACKSTAY_RESTARTS sets how many in a row (6 in the normal suite), BACKSTAY_SEED the seed.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from backstay import Event, Gateway, Link, Order, Refused, Unanswered
from gateway.demo.deployment import Plan
from tests.chaos.flood import Heard, Record
from tests.chaos.hammer import SYMBOL, Market, cents
from tests.chaos.outside import Ledger, Reader, judge, judge_positions
from tests.integration.raw_client import CHECK
from tests.integration.world import World, pace

RESTARTS = int(os.environ.get("BACKSTAY_RESTARTS", "6"))
SEED = int(os.environ.get("BACKSTAY_SEED", "0")) or time.time_ns() % 1_000_000
ACCOUNTS = ("S0", "S1", "S2", "S3")
ANSWER_S = 0.3  # shorter than most restarts: a request often goes unanswered, and is asked again by the client itself
SETTLE_S = 60.0
PLAN = Plan(accounts=ACCOUNTS, symbols=((SYMBOL, "0.01", "1"),), settings=("limits.api.snapshot_done_ms=0",))


class Client:
    """One SDK session that asks under the same name until it is answered, and keeps every event that it is told."""

    def __init__(self, world: World, account: str, market: Market, rng: Random) -> None:
        self.record = Record(account)
        self.links: Counter[str] = Counter()
        self.again = 0  # requests that were asked more than once by us
        self.refused: Counter[str] = Counter()
        self._world = world
        self._market = market
        self._rng = rng
        self._orders: list[Order] = []
        self._heard = asyncio.Event()

    async def run(self, stop: asyncio.Event, seqs: asyncio.Queue[int]) -> None:
        """Until `stop`; then cancel what is left, and hear everything up to the number that comes."""
        account = self.record.account
        async with Gateway(
            self._world.ws_url, key=account, secret=self._world.secret(account), account=account, session="storm",
            timeout=ANSWER_S, tap=CHECK,
        ) as gw:  # fmt: skip
            listening = asyncio.create_task(self._listen(gw))
            number = 0
            while not stop.is_set():
                number += 1
                await self._place(gw, f"s-{number}")
                if len(self._orders) > 20 or self._rng.random() < 0.3:
                    await self._cancel()
                await pace(stop, self._rng.random() * 0.01)
            async with asyncio.timeout(SETTLE_S):
                last = await seqs.get()
                while self.record.seq < last and not listening.done():
                    self._heard.clear()
                    await self._heard.wait()
            if listening.done():
                await listening
            listening.cancel()

    async def _listen(self, gw: Gateway) -> None:
        assert gw.seq == 0, "the account had a past"
        try:
            async for item in gw.events():
                if isinstance(item, Link):
                    self.links[item.state] += 1
                    assert item.state in ("lost", "resumed"), item
                elif isinstance(item, Event):
                    tag = str(type(item).__struct_config__.tag)
                    name, status = getattr(item, "cl_ord_id", ""), getattr(item, "ord_status", "")
                    self.record.take(Heard(tag, seq=item.seq, cl_ord_id=name, ord_status=status))
                self._heard.set()
        finally:
            self._heard.set()

    async def _place(self, gw: Gateway, name: str) -> None:
        """The same request under the same name until there is an answer."""
        rng, bid = self._rng, self._market.bid
        px = cents(bid + rng.randint(-100, 20))
        qty = rng.randint(1, 5)
        for turn in range(1_000):
            try:
                order = await gw.buy(SYMBOL, qty, px=px, tif="gtc", cl_ord_id=name)
            except Refused as refused:
                self.refused[refused.code] += 1
                if refused.code in ("DEADLINE_PASSED", "DRAINING", "STARTING"):
                    continue  # nothing happened: the gateway was away
                return
            except Unanswered:
                self.again += 1
                continue
            self.record.acknowledged[name] = turn
            self._orders.append(order)
            return
        raise AssertionError(f"{name} was never answered")

    async def _cancel(self) -> None:
        order = self._orders.pop(self._rng.randrange(len(self._orders))) if self._orders else None
        if order is None or order.is_done:
            return
        try:
            await order.cancel()
        except (Refused, Unanswered) as error:
            self.refused[f"cancel {type(error).__name__}"] += 1


async def restart(world: World, rng: Random) -> str:
    """One of the ways; returns its name."""
    way = rng.choice(("SIGTERM", "SIGKILL", "SIGKILL in the drain"))
    if way == "SIGKILL":
        await world.kill_gateway()
    elif way == "SIGTERM":
        await world.stop_gateway()
    else:
        ending = asyncio.create_task(world.stop_gateway())
        await pace(asyncio.Event(), rng.random() * 0.02)
        await world.kill_gateway()
        await ending
    await world.start_gateway()
    return way


async def settle(world: World) -> None:
    """Every order reaches its end."""
    async with asyncio.timeout(SETTLE_S):
        for account in ACCOUNTS:
            async with await world.client(account, "settle") as client:
                await client.ask("cancel_all")
                while (await client.ask("get", what="orders"))["orders"]:
                    client.frames.clear()


async def storm(folder: Path, restarts: int, seed: int) -> dict[str, object]:
    rng = Random(seed)
    stop, still = asyncio.Event(), asyncio.Event()
    ways: Counter[str] = Counter()
    async with World(folder / "data", PLAN) as world:
        market = Market(rng)
        clients = [Client(world, account, market, Random(rng.random())) for account in ACCOUNTS]
        queues: list[asyncio.Queue[int]] = [asyncio.Queue() for _ in clients]
        stories, digests = {}, {}
        async with asyncio.TaskGroup() as group:
            group.create_task(market.move(world, still))
            await world.opened()
            for client, queue in zip(clients, queues, strict=True):
                group.create_task(client.run(stop, queue))
            await pace(stop, 0.5)
            for _ in range(restarts):
                ways[await restart(world, rng)] += 1
                await pace(stop, rng.random() * 0.5)
            await pace(stop, 1.0)
            stop.set()
            await settle(world)
            still.set()
            history = await history_of(world)
            for client, queue in zip(clients, queues, strict=True):
                reader = Reader(world, client.record.account, history)
                stories[client.record.account] = await reader.read()
                digests[client.record.account] = reader.record.digest()
                queue.put_nowait(reader.record.seq)
        records = [client.record for client in clients]
        seen = {record.account: (record.digest(), digests[record.account]) for record in records}
        judge(records, stories, ledger := Ledger(world.ledger), seen)
        judge_positions(stories, await world.venue_positions())
    links: Counter[str] = sum((client.links for client in clients), Counter())
    refused: Counter[str] = sum((client.refused for client in clients), Counter())
    return {
        "ways": dict(ways), "acknowledged": sum(len(record.acknowledged) for record in records),
        "at_venue": len(ledger.received), "asked_again": sum(client.again for client in clients),
        "answered_later": sum(turn > 0 for record in records for turn in record.acknowledged.values()),
        "links": dict(links), "refused": dict(refused),
    }  # fmt: skip


async def history_of(world: World) -> str:
    """The journal's id, as it tells clients."""
    async with await world.client(ACCOUNTS[0], "history") as client:
        client.say("subscribe", account=ACCOUNTS[0])
        return str((await client.frame("sync"))["history"])


def test_through_restarts_in_a_row_each_client_keeps_its_orders_and_its_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backstay.gateway.BACKOFF_MAX_S", 0.2)  # clients hammer; in earnest they are patient
    print(f"seed {SEED}, restarts {RESTARTS}")
    figures = asyncio.run(storm(tmp_path, RESTARTS, SEED))
    print(figures)
    assert figures["acknowledged"] > 5 * RESTARTS  # type: ignore[operator]
    assert figures["asked_again"] > 0  # type: ignore[operator]
