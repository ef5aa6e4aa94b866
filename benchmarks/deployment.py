"""What a run needs around it: echo server and gateway as processes on the server's core, their CPU time, a scrape."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Any, Self

import aiohttp

from benchmarks.client import Connection, order_connection
from benchmarks.market import HOST, Feed, Venue
from gateway.child import Child, command
from gateway.config import Config, load
from gateway.secret_store import read_secret

CORES = sorted(os.sched_getaffinity(0))
CLIENT_CPU, SERVER_CPU = CORES[0], CORES[-1]
SYMBOL, BID, ASK = "AAA", "2000.00", "2000.01"
ACCOUNT = KEY = "bench"
STOP_S = 120.0
SAMPLE = re.compile(r"^backstay_(\w+?)(?:_total)?(\{[^}]*\})? ([0-9.e+-]+)$", re.MULTILINE)

# Limits that no run comes near: what is measured is the price of the checks, not their refusals.
TOML = """[gateway]
data_dir = "{folder}"
ws_port = 0
http_port = 0
pin_cpu = {cpu}
[journal]
durability = "{durability}"
[limits.api]
place_per_s = 1000000
place_burst = 1000000
cancel_per_s = 1000000
cancel_burst = 1000000
unanswered_max = 65536
connections_per_key = 64
hb_ms = 60000
[capacity]
orders = {orders}
open_orders = {open_orders}
accounts = 16
instruments = 16
[[instruments]]
symbol = "{symbol}"
lot = "1"
min_qty = "1"
max_age_ms = 3600000
source = "bid"
[[accounts]]
name = "{account}"
cash = "90000000000000"
[accounts.limits]
max_order_qty = "900000000"
max_order_notional = "90000000000000"
max_position_qty = "900000000"
max_gross = "90000000000000"
leverage_bps = "10000"
collar_bps = "9000"
max_open_orders = 10000000
order_rate_per_s = 1000000
order_burst = 1000000
msg_rate_per_s = 1000000
msg_burst = 1000000
[[keys]]
name = "{account}"
kind = "hmac"
secret_file = "keys/bench.secret"
create = true
scopes = ["read", "trade"]
accounts = ["{account}"]
[[feeds]]
name = "bench"
url = "ws://127.0.0.1:{feed_port}/"
idle_ms = 600000
[broker.sim]
address = "tcp://127.0.0.1:{order_port}"
"""


class Echo:
    """The echo server's process."""

    def __init__(self) -> None:
        argv = [sys.executable, "-P", "-m", "benchmarks.echo", str(SERVER_CPU)]
        self._child = Child("echo", argv)
        self.port = 0

    async def __aenter__(self) -> Self:
        self.port = (await self._child.start())["port"]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._child.stop()

    @property
    def pid(self) -> int:
        return self._child.pid


class Deployment:
    """One gateway between the harness's feed and venue, in a folder of its own."""

    def __init__(self, *, durability: str = "disk", orders: int = 2_000_000, open_orders: int = 2_000_000) -> None:
        self._temporary = tempfile.TemporaryDirectory(
            prefix="backstay-bench-", dir=os.environ.get("BACKSTAY_BENCH_DIR")
        )
        self.folder = Path(self._temporary.name)
        self.file = self.folder / "bench.toml"
        self.durability, self.orders, self.open_orders = durability, orders, open_orders
        self.feed, self.venue = Feed(), Venue()
        self.ready: dict[str, Any] = {}
        self.ready_s = 0.0
        self._gateway: Child | None = None
        self._log = (self.folder / "gateway.log").open("ab")

    async def prepare(self) -> Config:
        """Feed and venue listen, the configuration is written; the gateway does not run yet."""
        text = TOML.format(
            folder=self.folder, cpu=SERVER_CPU, durability=self.durability, orders=self.orders, symbol=SYMBOL,
            open_orders=self.open_orders, account=ACCOUNT, feed_port=await self.feed.start(),
            order_port=await self.venue.start(),
        )  # fmt: skip
        self.file.write_text(text)
        return load(self.file)

    async def start(self, timeout_s: float = 120.0) -> None:
        """Start the gateway; it has a quote and a broker link when this returns."""
        self._gateway = Child("gateway", command("gateway", "--config", str(self.file)), log=self._log)
        begin = perf_counter_ns()
        self.ready = await self._gateway.start(timeout_s)
        self.ready_s = (perf_counter_ns() - begin) / 1e9
        async with asyncio.timeout(30):
            await self.feed.connected.wait()
            await self.venue.logged_in.wait()
        self.feed.send(self.feed.quote(SYMBOL, BID, ASK))
        while not (await self.scrape()).get('link_up{broker="sim"}'):  # noqa: ASYNC110  # another process's state
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """SIGTERM, and time for the snapshot of a long history."""
        if self._gateway is not None:
            await self._gateway.stop(STOP_S)

    async def kill(self) -> None:
        """SIGKILL: no snapshot is written."""
        if self._gateway is not None:
            await self._gateway.kill()

    async def close(self) -> None:
        """End everything and remove the folder."""
        await self.stop()
        await self.feed.close()
        await self.venue.close()
        self._log.close()
        self._temporary.cleanup()

    async def __aenter__(self) -> Self:
        await self.prepare()
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def pid(self) -> int:
        return self._gateway.pid if self._gateway is not None else 0

    async def connect(self, session: str) -> Connection:
        """A connection to the gateway, logged in."""
        secret = read_secret("bench", env="", file=self.folder / "keys/bench.secret", create=False, environ={})
        return await order_connection(f"ws://{HOST}:{self.ready['ws_port']}/v1/ws", KEY, secret, session)

    async def scrape(self) -> dict[str, float]:
        """Every sample of `/metrics`, without the prefix."""
        url = f"http://{HOST}:{self.ready['http_port']}/metrics"
        async with aiohttp.ClientSession() as http, http.get(url) as answer:
            text = await answer.text()
        return {name + labels: float(value) for name, labels, value in SAMPLE.findall(text)}


def cpu_ns(pid: int) -> dict[str, int]:
    """CPU time of a process: its first thread (`loop`) and the other threads together (`threads`)."""
    found = {"loop": 0, "threads": 0}
    for task in Path(f"/proc/{pid}/task").iterdir():
        spent = int((task / "schedstat").read_text().split()[0])
        found["loop" if task.name == str(pid) else "threads"] += spent
    return found


def mean_us(before: dict[str, float], after: dict[str, float], stage: str) -> float:
    """Mean of a latency histogram between two scrapes, in microseconds."""
    count = after.get(f"{stage}_seconds_count", 0) - before.get(f"{stage}_seconds_count", 0)
    spent = after.get(f"{stage}_seconds_sum", 0) - before.get(f"{stage}_seconds_sum", 0)
    return spent / count * 1e6 if count else 0.0
