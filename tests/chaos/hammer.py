"""Clients that never stop asking, through every kill, and remember what they were told: SDK sessions and a raw one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from random import Random
from typing import Any

from picows import WSError

from backstay import Gateway, Order, Refused, Stop, Unanswered
from tests.integration.raw_client import CHECK, RawClient
from tests.integration.world import World, pace

SYMBOL = "CHAOSUSDT"
OPEN_MAX = 40


@dataclass(slots=True)
class Told:
    """What one client was told: names of the orders that were acknowledged to it."""

    account: str
    accepted: list[str] = field(default_factory=list)
    refused: int = 0
    unanswered: int = 0


class Market:
    """The touch as it stands; it wanders, and now and then jumps far enough to fire what rests."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.bid = 10_000

    async def move(self, world: World, stop: asyncio.Event) -> None:
        async with world.control() as control:
            await control.do("pause")
            while not stop.is_set():
                jump = 400 if self.rng.random() < 0.1 else 20
                self.bid = min(14_000, max(6_000, self.bid + self.rng.randint(-jump, jump)))
                await control.quote(SYMBOL, cents(self.bid), cents(self.bid + 2))
                await pace(stop, 0.01)


def cents(px: int) -> str:
    return f"{px // 100}.{px % 100:02d}"


class Hammer:
    """One SDK session at work."""

    def __init__(self, world: World, account: str, market: Market, rng: Random) -> None:
        self.world = world
        self.told = Told(account)
        self.market = market
        self.rng = rng
        self.orders: list[Order] = []

    async def run(self, stop: asyncio.Event) -> None:
        account = self.told.account
        secret = self.world.secret(account)
        async with Gateway(
            self.world.ws_url, key=account, secret=secret, account=account, session="hammer", timeout=20, tap=CHECK
        ) as gw:
            while not stop.is_set():
                assert gw._runner is not None and not gw._runner.done(), gw._runner  # it stays connected for ever
                try:
                    await self._step(gw)
                except Refused:
                    self.told.refused += 1
                except Unanswered:
                    self.told.unanswered += 1
                await pace(stop, self.rng.random() * 0.01)

    async def _step(self, gw: Gateway) -> None:
        rng, bid = self.rng, self.market.bid
        dice = rng.random()
        if dice < 0.25:
            self._note(await gw.buy(SYMBOL, rng.randint(1, 5)))
        elif dice < 0.5:
            far = rng.randint(-30, 60)  # some are through already: they fire in the turn that accepts them
            stop = Stop(cents(bid - far), source="bid", if_through="fire")
            self._note(await gw.sell(SYMBOL, rng.randint(1, 5), trigger=stop, reduce_only=True, tif="gtc"))
        elif dice < 0.7:
            self._note(await gw.buy(SYMBOL, rng.randint(1, 5), px=cents(bid - rng.randint(0, 200)), tif="gtc"))
        elif dice < 0.8:
            items = [gw.new("buy", SYMBOL, 1, px=cents(bid - 300 - n), tif="gtc") for n in range(3)]
            for order in await gw.batch(items):
                self._note(order)
        else:
            await self._change()

    async def _change(self) -> None:
        self.orders = [order for order in self.orders if not order.is_done]
        if not self.orders:
            return
        order = self.rng.choice(self.orders)
        if self.rng.random() < 0.4 and order.ord_status == "new":
            await order.replace(qty=order.leaves_qty + order.cum_qty + 1)
        elif len(self.orders) > OPEN_MAX or self.rng.random() < 0.5:
            await order.cancel()

    def _note(self, order: Order) -> None:
        self.told.accepted.append(order.cl_ord_id)
        self.orders.append(order)


class RawHammer:
    """One raw connection after the other: the same request again until it is answered, and the stream without a gap."""

    def __init__(self, world: World, account: str, market: Market) -> None:
        self.world = world
        self.market = market
        self.told = Told(account)
        self.events: list[dict[str, Any]] = []
        self.seqs: dict[str, int] = {}  # of each acknowledgement
        self.dups = 0
        self._history = ""
        self._next = 0
        self._order: dict[str, str] | None = None  # asked, not answered yet

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with await self.world.client(self.told.account, "raw") as client:
                    await self._live(client, stop)
            except (OSError, WSError):  # killed under us; ConnectionError and TimeoutError are among them
                await pace(stop, 0.05)

    async def _live(self, client: RawClient, stop: asyncio.Event) -> None:
        after = {"history": self._history, "seq": len(self.events)} if self._history else None
        client.say("subscribe", account=self.told.account, after=after)
        try:
            while not stop.is_set():
                if self._order is None:
                    self._order = {
                        "cl_ord_id": f"r-{self._next}", "symbol": SYMBOL, "side": "buy", "ord_type": "limit",
                        "qty": "1", "px": cents(self.market.bid - 100), "tif": "gtc",
                    }  # fmt: skip
                    self._next += 1
                name = self._order["cl_ord_id"]
                answer = await client.ask("place", **self._order)
                if answer["t"] == "accepted":
                    self.dups += answer.get("dup", False)
                    self.told.accepted.append(name)
                    self.seqs[name] = answer["seq"]
                else:
                    self.told.refused += 1
                self._order = None
                await pace(stop, 0.005)
        finally:
            self._take(client)

    def _take(self, client: RawClient) -> None:
        """Keep the stream; the client's rule makes of it one without a gap."""
        for frame in client.frames:
            if frame["t"] == "sync":
                self._history = frame["history"]
            is_event = "seq" in frame and "ts_ns" in frame and not frame.get("dup")
            if is_event and frame["seq"] > len(self.events):
                self.events.append(frame)
                assert frame["seq"] == len(self.events), f"gap: {frame['seq']} after {len(self.events) - 1}"
