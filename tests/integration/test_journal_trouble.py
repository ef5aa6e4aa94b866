"""The disk fails under a running gateway: nothing more is acknowledged, stops still fire, a restart tells the truth."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from picows import WSError

from gateway import boot
from gateway.child import ChildFailed
from gateway.commands.rest_client import RestClient
from gateway.demo.deployment import Plan
from tests.integration.raw_client import RawClient, connect
from tests.integration.world import World, audit, stream

SYMBOL = "DISKUSDT"
ENDS = ("canceled", "expired", "fill")
LATE = 60  # the operation that fails: after the start and the first orders


class FaultyWorld(World):
    """A world whose first gateway has a planned fault; the next one is sound."""

    def __init__(self, folder: Path, plan: Plan, fault: tuple[str, int, int] | None) -> None:
        super().__init__(folder, plan)
        self.fault = fault

    def gateway_command(self, *arguments: str) -> list[str]:
        fault, self.fault = self.fault, None
        if fault is None:
            return super().gateway_command(*arguments)
        return [sys.executable, "-m", "tests.integration.faulty_gateway", *map(str, fault), *arguments]


def world_of(folder: Path, fault: tuple[str, int, int] | None = None, **plan: Any) -> FaultyWorld:
    return FaultyWorld(folder, Plan(accounts=["D0", "D1"], symbols=((SYMBOL, "0.01", "1"),), **plan), fault)


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
    """Orders one after the other until the disk fails; the names that were acknowledged."""
    told: list[str] = []
    for number in range(100_000):
        name = f"{prefix}{number}"
        request = client.say(
            "place", cl_ord_id=name, symbol=SYMBOL, side="sell", ord_type="limit", qty="1", px="104.00", tif="gtc"
        )
        await_answer = client.answer(request)
        try:
            answer = await await_answer
        except ConnectionError:
            break
        if answer["t"] == "accepted":
            told.append(name)
        else:
            assert answer["code"] in ("JOURNAL_STOPPED", "BUSY"), answer
            if answer["code"] == "JOURNAL_STOPPED":
                break
    return told


async def fill_the_disk(world: World, client: RawClient) -> list[str]:
    """Batches of orders and their cancels until entries are refused; the names that were acknowledged."""
    told: list[str] = []
    client.is_checked = False  # thousands of the same
    for number in range(1_000):
        names = [f"s{number}-{item}" for item in range(100)]
        terms = {"symbol": SYMBOL, "side": "sell", "ord_type": "limit", "qty": "1", "px": "104.00", "tif": "gtc"}
        client.frames.clear()
        async with world.control() as control:
            await control.quote(SYMBOL, "100.00", "100.02")
        answer = await client.ask("batch", items=[{"t": "place", "cl_ord_id": name, **terms} for name in names])
        if answer["t"] == "err":
            assert answer["code"] == "JOURNAL_STOPPED", answer
            return told
        told += names
        await client.frame("new", cl_ord_id=names[-1])
        for name in names[:-1]:
            client.say("cancel", cl_ord_id=name)
        await client.until(lambda: len(client.of("canceled")) >= 99)
    raise AssertionError("the disk did not fill up")


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


@pytest.mark.parametrize(("op", "code"), [("fdatasync", errno.EIO), ("pwrite", errno.EIO), ("pwrite", errno.ENOSPC)])
def test_when_the_disk_fails_clients_are_closed_stops_fire_and_the_restart_keeps_every_word(
    tmp_path: Path, op: str, code: int
) -> None:
    async def scenario() -> None:
        async with world_of(tmp_path / "data", (op, LATE, code)) as world:
            async with await world.client("D0") as client, await world.client("D1") as other:
                await protect(world, client)
                told = await until_it_fails(client, "f")
                assert await client.closed() == 4011
                assert await other.closed() == 4011
                told += [frame["cl_ord_id"] for frame in client.of("accepted")]
            await stays_protective(world)
            assert open_at_the_venue(world)
            await kill(world)
            await fire(world)
            last = await world.stop_gateway()
            assert last["stopped"]
            async with world.control() as control:
                await control.do("resume")
            await world.start_gateway()
            await world.opened()
            events = (await audit(world))["D0"]
            accepted = {event["cl_ord_id"] for event in events if event["t"] == "accepted"}
            assert set(told) <= accepted
            assert [count for name, count in world.received().items() if count != 1] == []
            final = [event for event in events if event.get("cl_ord_id") == "stop"][-1]
            assert (final["ord_status"], final["cum_qty"]) == ("filled", "10")

    asyncio.run(scenario())


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system needs root")
def test_on_a_full_disk_entries_are_refused_while_cancels_and_stops_go_on(tmp_path: Path) -> None:
    small = tmp_path / "data" / "journal"
    small.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount a tmpfs: {mounted.stderr.decode()}")

    async def scenario() -> None:
        async with world_of(tmp_path / "data", settings=("journal.segment_bytes=1048576",)) as world:
            async with await world.client("D0") as client:
                await protect(world, client)
                told = await fill_the_disk(world, client)
                kept = told[-1]
                assert (await client.ask("cancel", cl_ord_id=kept))["t"] == "pending_cancel"
                await client.frame("canceled", cl_ord_id=kept)
                await fire(world)
                await client.frame("trade", cl_ord_id="stop")
            last = await world.stop_gateway()
            assert last["stopped"]
            ready = await world.start_gateway()
            assert ready["seq"] > 0
            accepted = {
                event["cl_ord_id"] for event in await stream(world, "D0", is_checked=False) if event["t"] == "accepted"
            }
            assert set(told) <= accepted

    try:
        asyncio.run(scenario())
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


async def last_segment(world: World) -> Path:
    files = sorted(boot.journal_dir(world.config()).glob("*.seg"))
    return [file for file in files if any(file.read_bytes()[4096:4104])][-1]


def test_a_torn_tail_is_cut_and_damage_before_it_refuses_to_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world_of(tmp_path / "data") as world:
            async with await world.client("D0") as client:
                await protect(world, client)
            await world.kill_gateway()
            file = await last_segment(world)
            whole = file.read_bytes()
            end = len(whole.rstrip(b"\0"))
            shutil.rmtree(boot.journal_dir(world.config()) / "snapshots", ignore_errors=True)
            with file.open("r+b") as out:  # half a frame behind the last whole one
                out.seek((end + 7) // 8 * 8)
                out.write(b"\x80\x00\x00\x00torn")
            ready = await world.start_gateway()
            assert ready["seq"] > 0
            assert {event["cl_ord_id"] for event in await stream(world, "D0") if event["t"] == "accepted"} == {
                "entry", "stop",
            }  # fmt: skip
            await world.kill_gateway()
            data = bytearray((await last_segment(world)).read_bytes())
            data[4096 + 60] ^= 0xFF
            (await last_segment(world)).write_bytes(data)
            with pytest.raises(ChildFailed) as failed:
                await world.start_gateway()
            assert failed.value.status == 3
            assert "journal corrupt" in (world.data_dir / "processes.log").read_text()

    asyncio.run(scenario())
