"""3.2: a confirmed execution updates the position in real time, at the client and everywhere it is asked for."""

import asyncio
import time
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from backstay import Gateway, Trade
from gateway.demo.deployment import Deployment, Plan
from gateway.demo.figures import readable, spread
from tests.accept.clients import clients, rest
from tests.accept.scenario import Measure, Scenario

ACCOUNTS = ["P1", "P2", "P3", "P4"]
ORDERS = 60  # of each account
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
QTY = {"BTCUSDT": "0.05", "ETHUSDT": "0.5", "SOLUSDT": "5"}
TARGET_NS = 100_000_000


class Watcher:
    """Sees each fill as the client's book has it, with the moment at which it was there."""

    def __init__(self, client: Gateway) -> None:
        self.client = client
        self.events = client.events()
        self.seen_ns: dict[str, int] = {}  # execution -> wall clock when the client's position had moved
        self.wrong: list[str] = []
        self._running: dict[str, Decimal] = defaultdict(Decimal)

    async def watch(self) -> None:
        """Until it is canceled."""
        async for event in self.events:
            if isinstance(event, Trade):
                terms = self.client.orders[event.cl_ord_id].order
                self._running[terms.symbol] += event.last_qty if terms.side == "buy" else -event.last_qty
                self.seen_ns[event.exec_id] = time.time_ns()
                if event.pos_qty != self._running[terms.symbol]:
                    self.wrong.append(f"{event.exec_id}: {event.pos_qty} is not {self._running[terms.symbol]}")


async def trade(client: Gateway, seed: int) -> None:
    """Orders of both sides, each waited for."""
    rng = Random(seed)
    for _ in range(ORDERS):
        symbol, side = rng.choice(SYMBOLS), rng.choice(("buy", "sell"))
        order = await client.place(side, symbol, QTY[symbol], max_queue_ms=5_000)  # type: ignore[arg-type]
        await order.done(timeout=20)


def read_ledger(path: Path) -> tuple[dict[str, int], dict[str, tuple[str, str, Decimal]]]:
    """By execution: when the venue confirmed it, and (order, symbol, signed quantity)."""
    sides: dict[str, tuple[str, int]] = {}
    confirmed: dict[str, int] = {}
    fills: dict[str, tuple[str, str, Decimal]] = {}
    for line in path.read_bytes().splitlines():
        entry = msgspec.json.decode(line)
        message = entry["msg"]
        if entry["dir"] == "in" and message["t"] == "new":
            sides[message["id"]] = (message["sym"], 1 if message["side"] == "buy" else -1)
        elif entry["dir"] == "out" and message["t"] == "fill":
            symbol, sign = sides[message["id"]]
            confirmed.setdefault(message["exec"], entry["ts"])
            fills[message["exec"]] = (message["id"], symbol, sign * Decimal(message["qty"]))
    return confirmed, fills


def nonzero(positions: dict[str, Decimal]) -> dict[str, Decimal]:
    """Without the flat ones."""
    return {symbol: qty for symbol, qty in positions.items() if qty}


async def told_by_rest(deployment: Deployment, account: str) -> dict[str, Decimal]:
    """Positions as REST tells them."""
    async with rest(deployment, account) as api:
        answer: dict[str, Any] = await api.ask("GET", f"/v1/accounts/{account}/positions")
    return nonzero({item["symbol"]: Decimal(item["pos_qty"]) for item in answer["positions"]})


async def run(folder: Path) -> list[Measure]:
    """Four accounts trade both ways; every fill's way to the client's book is timed from the venue's own stamp."""
    async with Deployment(folder, Plan(accounts=ACCOUNTS)) as deployment:
        await deployment.settled()
        async with clients(deployment, ACCOUNTS) as opened:
            watchers = [Watcher(client) for client in opened]
            watching = [asyncio.ensure_future(watcher.watch()) for watcher in watchers]
            await asyncio.gather(*(trade(client, at) for at, client in enumerate(opened)))
            books = [nonzero({s: p.pos_qty for s, p in client.positions.items()}) for client in opened]
            asked = [await told_by_rest(deployment, account) for account in ACCOUNTS]
            await asyncio.sleep(0)
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)
        await deployment.stop_gateway()
        await deployment.start_gateway()
        restarted = [await told_by_rest(deployment, account) for account in ACCOUNTS]
    confirmed, fills = read_ledger(deployment.ledger)
    from_ledger = []
    for watcher in watchers:
        net: dict[str, Decimal] = defaultdict(Decimal)
        for exec_id in watcher.seen_ns:
            if exec_id in fills:
                net[fills[exec_id][1]] += fills[exec_id][2]
        from_ledger.append(nonzero(net))
    seen = {exec_id: at for watcher in watchers for exec_id, at in watcher.seen_ns.items()}
    latency = spread(max(0, seen[exec_id] - at) for exec_id, at in confirmed.items() if exec_id in seen)
    wrong = [text for watcher in watchers for text in watcher.wrong]
    return [
        Measure("executions that moved the client's position", f"{len(seen)} of {len(confirmed)}", "all of them",
                len(seen) == len(confirmed) > 0),
        Measure("venue's confirmation to the client's position", latency.text(), f"p99 {readable(TARGET_NS)}",
                0 < latency.p99_ns <= TARGET_NS, {"spread": msgspec.to_builtins(latency)}),
        Measure("position in each execution", f"{len(wrong)} differ", "the running sum of fills", not wrong),
        Measure("client, REST and the venue's ledger", "equal" if books == asked == from_ledger else "differ",
                "equal for each account and symbol", books == asked == from_ledger and any(books)),
        Measure("positions after a restart", "equal" if restarted == asked else "differ", "equal", restarted == asked),
    ]  # fmt: skip


SCENARIO = Scenario("3.2", "confirmed executions update positions in real time", run)
