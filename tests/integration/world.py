"""What an integration test stands on: a real venue and gateway, raw clients, and the final audit of all streams."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.request
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from brokers.sim.session import sign
from gateway.contracts.lint import StreamLint
from gateway.demo.deployment import Deployment, Plan
from tests.integration.raw_client import JSON, Frame, RawClient, log_in, read_secret


class World(Deployment):
    """A private deployment with what tests ask of it from outside."""

    async def client(self, account: str, session: str = "raw", *, offer: tuple[str, ...] = (JSON,)) -> RawClient:
        """A logged-in raw client of the account's own key."""
        return await log_in(self.ws_url, account, self.secret(account), session, offer=offer)

    async def opened(self, timeout_s: float = 20.0) -> None:
        """Wait until orders are taken and the market is fresh."""
        await self.settled(timeout_s)

    def metric(self, name: str, labels: str = "") -> float:
        """One sample of `/metrics`; 0 when it is not there."""
        with urllib.request.urlopen(f"{self.http_url}/metrics", timeout=10) as answer:  # loopback
            for line in answer.read().decode().splitlines():
                if line.startswith(f"{name}{labels} "):
                    return float(line.rpartition(" ")[2])
        return 0.0

    async def scrape(self, name: str, labels: str = "") -> float:
        return await asyncio.to_thread(self.metric, name, labels)

    async def until_metric(self, name: str, labels: str, value: float) -> None:
        """Ask, and ask again, until the sample has this value."""
        async with asyncio.timeout(20):
            while await self.scrape(name, labels) != value:
                pass

    async def until_flat(self, symbol: str) -> None:
        """Ask the venue, and ask again, until it holds nothing of the symbol for the gateway."""
        async with asyncio.timeout(20):
            while symbol in await self.venue_positions():
                pass

    async def last_seq(self) -> int:
        """Number of the last record: equal before and after means that nothing changed at all."""
        return int(await self.scrape("backstay_journal_last_seq"))

    # --- the venue's own record -----------------------------------------------------------------------------------

    def ledger_lines(self) -> Iterator[dict[str, Any]]:
        with self.ledger.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def received(self) -> Counter[str]:
        """How many times each order id reached the venue as a new order."""
        return Counter(
            line["msg"]["id"] for line in self.ledger_lines() if line["dir"] == "in" and line["msg"]["t"] == "new"
        )

    async def venue_positions(self) -> dict[str, Decimal]:
        """What the venue itself says that it holds for the gateway, by symbol."""
        sim = self.config().broker.sim
        secret = read_secret(str(self.data_dir / sim.secret_file)).hex()
        reader, writer = await asyncio.open_connection("127.0.0.1", self.order_port)
        challenge = json.loads(await reader.readline())["challenge"]
        login = {"t": "login", "key": sim.key, "role": "read", "sig": sign(secret, challenge, sim.key, "read")}
        writer.write(json.dumps(login).encode() + b"\n" + b'{"t":"positions"}\n')
        while True:
            message = json.loads(await reader.readline())
            if message["t"] == "positions":
                writer.close()
                return {item["sym"]: Decimal(item["qty"]) for item in message["items"] if Decimal(item["qty"])}


async def pace(stop: asyncio.Event, seconds: float) -> None:
    """The tempo of a load: go on after so long, or at once when it is to end."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def stream(world: World, account: str, session: str = "audit", *, is_checked: bool = True) -> list[Frame]:
    """Every event of the account from the first on, as a client sees it that resumes from nothing."""
    async with await world.client(account, session) as client:
        client.is_checked = is_checked
        client.say("subscribe", account=account)
        sync = await client.frame("sync")
        await client.frame("live")
        client.say("subscribe", account=account, after={"history": sync["history"], "seq": 0})
        await client.until(lambda: len(client.of("live")) == 2)
        begin = client.frames.index(client.of("sync")[1])
        return [frame for frame in client.frames[begin:] if "seq" in frame and "ts_ns" in frame]


async def audit(world: World) -> dict[str, list[Frame]]:
    """All streams of all accounts, each held against the life of an order."""
    found = {}
    for account in world.plan.accounts:
        found[account] = await stream(world, account)
        StreamLint().feed_all(found[account])
    return found


def make_world(folder: Path, *accounts: str, **plan: Any) -> World:
    return World(folder, Plan(accounts=accounts, **plan))
