"""The gateway is killed with SIGKILL at random moments under load, again and again; everything is judged from outside.

BACKSTAY_KILLS sets how many kills in a row (4 in the normal suite, 50 in the long form), BACKSTAY_SEED the seed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import Counter
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from random import Random

import msgspec
import pytest

from backstay import Gateway
from gateway import boot
from gateway.clock import SystemClock
from gateway.contracts.lint import StreamLint
from tests.chaos.hammer import SYMBOL, Hammer, Market, RawHammer, Told
from tests.integration.raw_client import Frame
from tests.integration.world import World, audit, make_world, pace

KILLS = int(os.environ.get("BACKSTAY_KILLS", "4"))
SEED = int(os.environ.get("BACKSTAY_SEED", "0")) or time.time_ns() % 1_000_000
SDK_ACCOUNTS = ("K0", "K1", "K2")
RAW_ACCOUNT = "K3"
SETTLE_S = 60


def digest_of_copy(world: World, folder: Path, *, with_snapshots: bool = True) -> str:
    """Digest of an offline replay of what is on disk now."""
    shutil.rmtree(folder, ignore_errors=True)
    config = world.config()
    shutil.copytree(boot.journal_dir(config), folder / config.journal.dir)
    if not with_snapshots:
        shutil.rmtree(folder / config.journal.dir / "snapshots")
    gateway = msgspec.structs.replace(config.gateway, data_dir=str(folder))
    return boot.boot(msgspec.structs.replace(config, gateway=gateway), SystemClock()).state.digest()


async def kill_and_restart(world: World, folder: Path) -> None:
    await world.kill_gateway()
    offline = await asyncio.to_thread(digest_of_copy, world, folder)
    ready = await world.start_gateway()
    assert ready["digest"] == offline, "the running state is not what the journal says"


async def settle(world: World, accounts: tuple[str, ...]) -> None:
    """Faults have ended: every doubt must resolve and every order must reach its end."""
    async with asyncio.timeout(SETTLE_S):
        for account in accounts:
            async with Gateway(
                world.ws_url, key=account, secret=world.secret(account), account=account, session="settle"
            ) as gw:
                await gw.cancel_all()
                for name in [name for name, state in gw.orders.items() if state.leaves_qty]:
                    await gw.order(name).done()


async def our_positions(world: World, accounts: tuple[str, ...]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for account in accounts:
        async with Gateway(
            world.ws_url, key=account, secret=world.secret(account), account=account, session="pos"
        ) as gw:
            for symbol, position in gw.positions.items():
                total[symbol] = total.get(symbol, Decimal(0)) + position.pos_qty
    return {symbol: qty for symbol, qty in total.items() if qty}


def judge_clients(told: list[Told], streams: dict[str, list[Frame]]) -> None:
    for client in told:
        accepted = Counter(event["cl_ord_id"] for event in streams[client.account] if event["t"] == "accepted")
        lost = [name for name in client.accepted if name not in accepted]
        assert not lost, f"acknowledged and gone: {lost[:5]} of {client.account}"
        assert max(accepted.values()) == 1


def judge_once(world: World, streams: dict[str, list[Frame]]) -> Counter[str]:
    received = world.received()
    twice = {name: count for name, count in received.items() if count != 1}
    assert not twice, f"reached the venue more than once: {twice}"
    triggered = Counter(
        event["cl_ord_id"] for events in streams.values() for event in events if event["t"] == "triggered"
    )
    assert not triggered or max(triggered.values()) == 1
    known = {event["broker_cl_ord_id"] for events in streams.values() for event in events if event["t"] == "sent"}
    assert len(known) <= len(received)
    return received


async def storm(folder: Path, kills: int, seed: int) -> dict[str, int]:
    rng = Random(seed)
    accounts = (*SDK_ACCOUNTS, RAW_ACCOUNT)
    world = make_world(folder / "data", *accounts, symbols=((SYMBOL, "0.01", "1"),))
    stop, still = asyncio.Event(), asyncio.Event()
    marks = [time.monotonic()]
    async with world:
        market = Market(rng)
        hammers = [Hammer(world, account, market, Random(rng.random())) for account in SDK_ACCOUNTS]
        raw = RawHammer(world, RAW_ACCOUNT, market)
        async with asyncio.TaskGroup() as group:
            group.create_task(market.move(world, still))
            await world.opened()
            marks.append(time.monotonic())
            clients = [group.create_task(client.run(stop)) for client in (*hammers, raw)]
            for _ in range(kills):
                await pace(stop, 0.1 + rng.random() * rng.choice((0.3, 1.5)))
                await kill_and_restart(world, folder / "copy")
            await pace(stop, 1)
            stop.set()
            marks.append(time.monotonic())
            await asyncio.gather(*clients)
            marks.append(time.monotonic())
            await settle(world, accounts)
            still.set()
        marks.append(time.monotonic())
        streams = await audit(world)
        marks.append(time.monotonic())
        assert StreamLint().feed_all(raw.events) == len(raw.events)
        assert raw.events == [] or raw.events[-1]["seq"] == len(raw.events)
        told = [client.told for client in (*hammers, raw)]
        judge_clients(told, streams)
        received = judge_once(world, streams)
        assert await our_positions(world, accounts) == await world.venue_positions()
        last = await world.stop_gateway()
        assert last["digest"] == digest_of_copy(world, folder / "copy")
        assert last["digest"] == digest_of_copy(world, folder / "copy", with_snapshots=False)
        fired = sum(event["t"] == "triggered" for events in streams.values() for event in events)
        doubts = sum(event["t"] == "in_doubt" for events in streams.values() for event in events)
        print({"phases_s": [round(b - a, 1) for a, b in pairwise(marks)]})
        return {
            "kills": kills, "acknowledged": sum(len(client.accepted) for client in told), "at_venue": len(received),
            "fired": fired, "doubts": doubts, "dups": raw.dups,
        }  # fmt: skip


def test_killed_at_random_moments_nothing_acknowledged_is_lost_or_doubled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backstay.gateway.BACKOFF_MAX_S", 0.2)  # clients hammer; in earnest they are patient
    print(f"seed {SEED}, kills {KILLS}")
    figures = asyncio.run(storm(tmp_path, KILLS, SEED))
    print(figures)
    assert figures["acknowledged"] > 20 * KILLS
    assert figures["fired"] > 0


if __name__ == "__main__":
    pytest.main([__file__, "-s"])
