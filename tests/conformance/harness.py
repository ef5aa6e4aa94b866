"""What a broker must offer so that the adapter contract can be run against it, and the venue's answer to that."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Protocol, TypeVar

from brokers.ids import encode_broker_id
from brokers.ports import Adapter, Report
from brokers.sim.link import SimAdapter, SimLinkConfig
from brokers.sim.session import sign
from hotpath.enums import OrdType, Side, Tif
from hotpath.fixed import to_e9
from hotpath.ticket import Ticket

SHARD, HISTORY = 3, b"TEST0"
DEADLINE_S = 20
R = TypeVar("R", bound=Report)


class Sink:
    """Keeps everything that an adapter says, and lets a test wait for it."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.links: list[tuple[bool, str]] = []
        self.writable_count = 0
        self._changed = asyncio.Event()

    def on_report(self, report: Report) -> None:
        self.reports.append(report)
        self._changed.set()

    def on_link(self, up: bool, cause: str) -> None:
        self.links.append((up, cause))
        self._changed.set()

    def on_writable(self) -> None:
        self.writable_count += 1
        self._changed.set()

    async def until(self, is_true: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not is_true():
                self._changed.clear()
                await self._changed.wait()

    def of(self, kind: type[R], order: int | None = None) -> list[R]:
        return [item for item in self.reports if isinstance(item, kind) and order in (None, item.order)]

    async def next(self, kind: type[R], order: int, *, count: int = 1) -> R:
        """The count-th report of this kind about this order."""
        await self.until(lambda: len(self.of(kind, order)) >= count)
        return self.of(kind, order)[count - 1]

    async def link(self, up: bool, *, count: int = 1) -> str:
        """The cause of the count-th change to this state."""
        await self.until(lambda: sum(state == up for state, _ in self.links) >= count)
        return [cause for state, cause in self.links if state == up][count - 1]


class Desk:
    """Makes tickets for one symbol with ids of its own."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self._row = 0

    @staticmethod
    def id_of(order: int, rev: int = 1) -> bytes:
        return encode_broker_id(SHARD, HISTORY, order, rev)

    def limit(self, side: Side, qty: str, px: str, tif: Tif = Tif.GTC, expire_ns: int = 0) -> Ticket:
        return self._ticket(side, OrdType.LIMIT, qty, to_e9(px), tif, expire_ns)

    def market(self, side: Side, qty: str, tif: Tif = Tif.GTC) -> Ticket:
        return self._ticket(side, OrdType.MARKET, qty, 0, tif, 0)

    def stop(self, side: Side, qty: str, stop: str, px: str = "", trail: str = "0") -> Ticket:
        """A stop for the broker to hold; a stop-limit with `px`, one that follows the market with `trail`."""
        ord_type, px_e9 = (OrdType.LIMIT, to_e9(px)) if px else (OrdType.MARKET, 0)
        return self._ticket(side, ord_type, qty, px_e9, Tif.GTC, 0, to_e9(stop), to_e9(trail))

    def _ticket(
        self, side: Side, ord_type: OrdType, qty: str, px_e9: int, tif: Tif, expire_ns: int, stop_px_e9: int = 0,
        trail_e9: int = 0,
    ) -> Ticket:  # fmt: skip
        self._row += 1
        return Ticket(
            order=self._row, broker_cl_ord_id=self.id_of(self._row), symbol=self.symbol.encode(), side=side,
            ord_type=ord_type, tif=tif, qty_e9=to_e9(qty), px_e9=px_e9, expire_ns=expire_ns, stop_px_e9=stop_px_e9,
            trail_e9=trail_e9,
        )  # fmt: skip

    def replace(self, old: Ticket, qty: str, px: str, stop: str = "") -> Ticket:
        """The next revision of a ticket."""
        return Ticket(
            order=old.order, rev=old.rev + 1, broker_cl_ord_id=self.id_of(old.order, old.rev + 1),
            orig_broker_cl_ord_id=old.broker_cl_ord_id, symbol=old.symbol, side=old.side, ord_type=old.ord_type,
            tif=old.tif, qty_e9=to_e9(qty), px_e9=to_e9(px or "0"), stop_px_e9=to_e9(stop) if stop else 0,
        )  # fmt: skip


class Broker(Protocol):
    """One broker under test. Market and faults are scripted; `received` counts what reached it, by its own record."""

    symbol: str

    async def adapter(self, sink: Sink, **options: int) -> Adapter: ...

    async def quote(self, bid: str, bid_qty: str, ask: str, ask_qty: str) -> None: ...

    async def trade(self, px: str, qty: str) -> None: ...

    async def fault(self, name: str, **members: Any) -> None: ...

    def received(self, id: bytes) -> int: ...

    async def leave(self) -> None: ...


class VenueProcess:
    """A simulated venue in a process of its own, with a key and a symbol for each scenario."""

    def __init__(self, folder: Path, scenarios: int) -> None:
        self.ledger = folder / "ledger.jsonl"
        self._free = iter(range(scenarios))
        config = {
            "market": {"source": "none"},
            "ledger": str(self.ledger),
            "order_unix": str(folder / "venue.sock"),
            "heartbeat_ms": 200,
            "symbols": [f"S{number}" for number in range(scenarios)],
            "keys": {f"key{number}": "secret" for number in range(scenarios)},
        }
        self.unix = config["order_unix"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "brokers.sim", json.dumps(config)], stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.ready = json.loads(self.process.stdout.readline())

    def broker(self) -> SimBroker:
        return SimBroker(self, next(self._free))

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(DEADLINE_S)


class SimBroker:
    """One scenario's corner of the simulated venue."""

    def __init__(self, venue: VenueProcess, number: int) -> None:
        self.symbol = f"S{number}"
        self.key = f"key{number}"
        self._venue = venue
        self._number = number
        self._admin: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._adapters: list[SimAdapter] = []

    async def adapter(self, sink: Sink, **options: int) -> SimAdapter:
        address: dict[str, Any] = {"port": self._venue.ready["order_port"]}
        if self._number % 2:  # every other scenario goes through the Unix socket
            address = {"unix": self._venue.unix}
        defaults = {"heartbeat_ms": 100, "backoff_ms_first": 1, "backoff_ms_max": 20}
        config = SimLinkConfig(
            key=self.key, secret="secret", shard=SHARD, history=HISTORY, **address, **{**defaults, **options}
        )
        adapter = SimAdapter(config, sink, mono_ns=time.monotonic_ns, wall_ns=time.time_ns, rng=Random(1))
        self._adapters.append(adapter)
        await adapter.open()
        return adapter

    async def quote(self, bid: str, bid_qty: str, ask: str, ask_qty: str) -> None:
        await self._do("quote", sym=self.symbol, bid=bid, bid_qty=bid_qty, ask=ask, ask_qty=ask_qty)

    async def trade(self, px: str, qty: str) -> None:
        await self._do("trade", sym=self.symbol, px=px, qty=qty)

    async def fault(self, name: str, **members: Any) -> None:
        if name in ("reset", "mute", "unmute"):
            await self._do("disconnect", key=self.key, mode=name)
        elif name == "quirks":
            await self._do("quirks", set=members)
        else:
            await self._do(name, **members)

    def received(self, id: bytes) -> int:
        lines = [json.loads(line) for line in self._venue.ledger.read_text().splitlines()]
        orders = [line["msg"] for line in lines if line["dir"] == "in" and line["key"] == self.key]
        return sum(message["t"] == "new" and message["id"] == id.decode() for message in orders)

    async def leave(self) -> None:
        for adapter in self._adapters:
            await adapter.close()
        if self._admin is not None:
            self._admin[1].close()

    async def _do(self, do: str, **members: Any) -> None:
        async with asyncio.timeout(DEADLINE_S):
            if self._admin is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._venue.ready["order_port"])
                hello = json.loads(await reader.readline())
                sig = sign("admin-secret", hello["challenge"], "admin", "admin")
                writer.write(json.dumps({"t": "login", "key": "admin", "role": "admin", "sig": sig}).encode() + b"\n")
                assert json.loads(await reader.readline())["t"] == "welcome"
                self._admin = reader, writer
            reader, writer = self._admin
            writer.write(json.dumps({"t": "admin", "do": do, **members}).encode() + b"\n")
            answer = json.loads(await reader.readline())
        assert answer["t"] == "admin_ok", answer
