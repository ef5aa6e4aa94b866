"""3.6: a stop executes within 500 ms of the tick that reaches it, once, measured from outside the gateway."""

import asyncio
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import msgspec

from backstay import EventStream, Gateway, Order, Sent, Stop, Triggered
from gateway.demo.deployment import Deployment, Plan
from gateway.demo.figures import readable, spread
from gateway.demo.verdict import VenueLedger
from tests.accept.clients import clients
from tests.accept.scenario import Measure, Scenario

ACCOUNTS = ["S1", "S2", "S3", "S4"]
STOPS = 50  # of each account
SYMBOL = "BTCUSDT"
LOT = "0.01"
FIRST_PX = Decimal("60000")
STEP = Decimal(10)
SINGLES = 25  # stops of each account that ticks reach one by one; a gap reaches the rest at once
BUDGET_NS = 500_000_000
NO_MARKET = 'market = "generator"\nsymbols = ["ETHUSDT"]'  # the prices of SYMBOL come from this scenario alone


async def protect(client: Gateway) -> list[Order]:
    """A position, and one stop for each lot of it, a step apart."""
    qty = str(Decimal(LOT) * STOPS)
    entry = await client.buy(SYMBOL, qty)
    await entry.done(timeout=20)
    return [
        await client.sell(
            SYMBOL, LOT, trigger=Stop(str(FIRST_PX - STEP * at), source="bid"), reduce_only=True, tif="gtc"
        )
        for at in range(1, STOPS + 1)
    ]


async def fall(deployment: Deployment, orders: list[list[Order]]) -> dict[Decimal, int]:
    """Ticks one step at a time, then a gap through all that is left; when each price was published."""
    published: dict[Decimal, int] = {}
    async with deployment.control() as control:
        for at in [*range(1, SINGLES + 1), STOPS + 5]:
            bid = FIRST_PX - STEP * at
            published[bid] = time.time_ns()
            await control.quote(SYMBOL, str(bid), str(bid + 1))
            reached = [order for of_one in orders for order in of_one[: min(at, STOPS)]]
            await asyncio.gather(*(order.done(timeout=20) for order in reached))
    return published


async def run(folder: Path) -> list[Measure]:
    """Two hundred stops; the tick's time is this process's, the order's the venue's ledger's: one clock."""
    plan = Plan(accounts=ACCOUNTS, venue=NO_MARKET)
    async with Deployment(folder, plan) as deployment:
        await deployment.settled()
        async with deployment.control() as control:
            await control.quote(SYMBOL, str(FIRST_PX - 1), str(FIRST_PX))
        async with clients(deployment, ACCOUNTS) as opened:
            streams = [client.events() for client in opened]
            async with deployment.control() as control:
                await control.quote(SYMBOL, str(FIRST_PX - 1), str(FIRST_PX))
            orders = await asyncio.gather(*(protect(client) for client in opened))
            published = await fall(deployment, orders)
            flat = all(client.positions[SYMBOL].pos_qty == 0 for client in opened)
            filled = sum(order.ord_status == "filled" for of_one in orders for order in of_one)
            fired, sent = await read(streams, [client.seq for client in opened])
    ledger = VenueLedger(deployment.ledger)
    names = {order.cl_ord_id for of_one in orders for order in of_one}
    outside = spread(
        ledger.taken_ns[sent[name].broker_cl_ord_id] - published[evidence_px(fired[name][0])]
        for name in names
        if name in sent and name in fired
    )
    inside = spread(sent[name].lat_ns["wire"] for name in names if name in sent and sent[name].lat_ns)  # type: ignore[index]
    once = Counter(len(fired.get(name, ())) for name in names)
    venue_once = all(ledger.orders[sent[name].broker_cl_ord_id] == 1 for name in names if name in sent)
    total = len(names)
    return [
        Measure("tick published to stop order at the venue", outside.text(), f"max {readable(BUDGET_NS)}",
                outside.count == total and outside.max_ns <= BUDGET_NS, {"spread": msgspec.to_builtins(outside)}),
        Measure("tick received to bytes handed to the kernel, by the gateway", inside.text(),
                f"max {readable(BUDGET_NS)}", inside.count == total and inside.max_ns <= BUDGET_NS,
                {"spread": msgspec.to_builtins(inside)}),
        Measure("stops that fired exactly once", f"{once[1]} of {total}", "all", once == Counter({1: total})),
        Measure("stops at the venue exactly once, filled", f"{filled} of {total}", "all",
                venue_once and filled == total),
        Measure("positions", "flat" if flat else "open", "flat", flat),
    ]  # fmt: skip


def evidence_px(event: Triggered) -> Decimal:
    """The price that fired it."""
    assert event.evidence.px is not None
    return event.evidence.px


async def read(streams: list[EventStream], heads: list[int]) -> tuple[dict[str, list[Triggered]], dict[str, Sent]]:
    """What fired and what was sent, by order, from each account's own stream."""
    fired: dict[str, list[Triggered]] = {}
    sent: dict[str, Sent] = {}
    for stream, head in zip(streams, heads, strict=True):
        async for event in stream:
            if isinstance(event, Triggered):
                fired.setdefault(event.cl_ord_id, []).append(event)
            elif isinstance(event, Sent):
                sent[event.cl_ord_id] = event
            if getattr(event, "seq", 0) >= head:
                break
    return fired, sent


SCENARIO = Scenario("3.6", "a stop executes within 500 ms", run)
