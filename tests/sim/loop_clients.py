"""Clients of the loop tier: the real SDK, a script from the seed, and their own records of what they were told."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from random import Random
from typing import Any

import msgspec

from backstay import Event, Gateway, Refused, Stop, Trail, Unanswered
from backstay.stream import Link
from tests.property.order_model import DONE_STATES
from tests.sim.faults import Faults
from tests.sim.history import Asked, Heard, History, Linked
from tests.sim.kernel import MS, NodeClock
from tests.sim.loop import SimLoop
from tests.sim.outcome import Broken
from tests.sim.reach import Transitions

decode = msgspec.json.Decoder().decode
PASSING = ("re", "in_ns", "out_ns", "left", "dup")  # of an answer, not of the event
OF_ONE_TRY = ("id", "deadline_ns")  # of a request: another try under the same name has its own
IN_BATCH = -2  # number of a request inside another
OPEN_S = 8.0


class Accounts:
    """What all clients were told about each account: one truth, whoever asks and however often."""

    def __init__(self) -> None:
        self.events: dict[str, dict[int, dict[str, Any]]] = {}
        self.accepted: dict[str, str] = {}  # cl_ord_id -> account, once the gateway said so

    def heard(self, frame: dict[str, Any]) -> None:
        """A frame reached a client. Raises Broken when it contradicts an earlier one."""
        if "seq" not in frame or "account" not in frame or frame["t"] in ("snapshot", "live", "sync"):
            return
        event = {name: value for name, value in frame.items() if name not in PASSING}
        told = self.events.setdefault(frame["account"], {})
        before = told.setdefault(frame["seq"], event)
        if before != event:
            raise Broken("I8", f"{frame['account']} {frame['seq']} was {before} and is {event}")
        if frame["t"] == "accepted":
            self.accepted[frame["cl_ord_id"]] = frame["account"]

    def transitions(self) -> Counter[str]:
        """What the orders went through."""
        found = Transitions()
        for events in self.events.values():
            for _, event in sorted(events.items()):
                found.feed(event)
        return found.reached


class Trader:
    """One client process. `broken` holds what it found wrong."""

    def __init__(
        self, loop: SimLoop, clock: NodeClock, accounts: Accounts, *, name: str, account: str, url: str, aud: str,
        secret: str, orders: int, faults: Faults, history: History,
    ) -> None:  # fmt: skip
        self.loop = loop
        self.name = name
        self.account = account
        self.accounts = accounts
        self.rng: Random = loop.kernel.rng(f"trader {name}")
        self.faults = faults
        self.history = history
        self.link = 0  # number of the connection
        self.left = orders
        self.placed = 0
        self.is_winding_down = False  # the faults have ended: what is open is canceled
        self.is_done = False
        self.broken: Broken | None = None
        self.gateway = Gateway(
            url, key=account, secret=secret, account=account, session=name, aud=aud, tap=self._tap, clock=clock,
            rng=loop.kernel.rng(f"back-off {name}"),
        )  # fmt: skip
        self.seq = -1
        self.names: list[str] = []

    def start(self) -> None:
        self.loop.inside(lambda: self.loop.create_task(self._live()))

    def _tap(self, way: str, raw: bytes) -> None:
        now_ns = self.loop.kernel.now_ns
        self.loop.kernel.trace(f"{self.name} {way} {raw.decode()}")
        message = decode(raw)
        if way == "in":
            self._asked(now_ns, message)
            return
        if message["t"] == "hello":
            self.link += 1
            self.history.links.append(Linked(now_ns, self.name, self.link, "open"))
        self.history.heard.append(Heard(now_ns, self.name, self.link, raw, message))
        try:
            self.accounts.heard(message)
        except Broken as broken:
            self.broken = broken

    def _asked(self, now_ns: int, message: dict[str, Any]) -> None:
        """A request leaves; a batch is each of its orders, too."""
        if "id" not in message or message["t"] == "auth":
            return
        for item, number in ((message, message["id"]), *((item, IN_BATCH) for item in message.get("items", ()))):
            terms = {key: value for key, value in item.items() if key not in OF_ONE_TRY}
            name, kind = item.get("cl_ord_id", ""), "place" if "ord_type" in item else message["t"]
            self.history.asked.append(Asked(now_ns, self.name, self.link, number, kind, self.account, name, terms))

    async def _rest(self, ns: int) -> None:
        turn = self.loop.create_future()
        self.loop.call_later(ns / 1e9, turn.set_result, None)
        await turn

    async def _live(self) -> None:
        while True:
            try:
                await self.gateway.open(OPEN_S)
                break
            except Unanswered:
                await self._rest(100 * MS)
        stream = self.gateway.events()
        self.seq = stream.seq
        self.loop.create_task(self._follow(stream))
        while self.left > 0:
            await self._rest(self.rng.randrange(20 * MS, 700 * MS))
            self.left -= 1
            await (self._flood() if self.faults.hit("client.flood") else self._act())
        while not self.is_winding_down or self._has_open():
            await self._rest(300 * MS)
            if self.is_winding_down and self._has_open():
                with suppress(Refused, Unanswered):
                    await self.gateway.cancel_all(timeout=OPEN_S)
        self.is_done = True

    def _has_open(self) -> bool:
        return not self.gateway.is_live or any(
            order.ord_status not in DONE_STATES for order in self.gateway.orders.values()
        )

    async def _follow(self, stream: Any) -> None:
        """I13: each event once, in order, without a gap, whatever became of the connection."""
        async for item in stream:
            if isinstance(item, Link) and item.state in ("snapshot", "history"):
                self.broken = Broken("I13", f"{self.name}: {item} where a resume by seq was possible")
            elif isinstance(item, Event):
                if item.seq != self.seq + 1:
                    self.broken = Broken("I13", f"{self.name}: event {item.seq} after {self.seq}")
                self.seq = item.seq

    # --- the script ---------------------------------------------------------------------------------------------------

    async def _flood(self) -> None:
        """Many requests at once, none of which waits for another's answer."""
        for _ in range(self.rng.randrange(10, 40)):
            self.loop.create_task(self._act())
        await self._act()

    async def _act(self) -> None:
        roll = self.rng.randrange(100)
        name = f"{self.name}-{self.placed}"
        try:
            if roll < 55 or not self.names:
                self.placed += 1
                self.names.append(name)
                await self._place(name)
            elif roll < 72:
                await self.gateway.order(self._name()).cancel()
            elif roll < 90:
                await self.gateway.order(self._name()).replace(
                    **({"px": self._px()} if self.rng.randrange(3) else {"qty": 1 + self.rng.randrange(8)})
                )
            elif roll < 96:
                self.placed += 2
                pair = [self.gateway.new("buy", "AAA", 1, px=self._px(), cl_ord_id=f"{name}{end}") for end in "ab"]
                self.names += [f"{name}a", f"{name}b"]
                await self.gateway.batch(pair)
            else:
                await self.gateway.cancel_all(symbol="BBB")
        except KeyError:
            return  # never came to be
        except Refused:
            return  # the gateway's right
        except Unanswered:
            return  # the sum at the end says what became of it

    def _name(self) -> str:
        """One of our orders, mostly one of the last."""
        return self.rng.choice(self.names[-3:] if self.rng.randrange(3) else self.names)

    def _px(self) -> str:
        return f"{98 + self.rng.randrange(400) / 100:.2f}"

    async def _place(self, name: str) -> None:
        if self.names[:-1] and self.faults.hit("client.other_terms"):
            name = self.rng.choice(self.names)
        symbol, side = self.rng.choice(("AAA", "BBB")), self.rng.choice(("buy", "sell"))
        if self.faults.hit("client.greedy"):
            symbol, side = "AAA", "buy"
        qty = 1 + self.rng.randrange(5)
        if self.rng.randrange(5) == 0:
            stop: Stop | Trail = Stop(f"{97 + self.rng.randrange(300) / 100:.2f}", if_through="fire")
            if self.faults.hit("client.trails"):
                stop = Trail(bps=self.rng.randrange(5, 60))
            await self._send("sell", symbol, qty, trigger=stop, tif="gtc", cl_ord_id=name)
        elif self.rng.randrange(4) == 0:
            await self._send(side, symbol, qty, tif="ioc", cl_ord_id=name)
        else:
            await self._send(side, symbol, qty, px=self._px(), tif="gtc", cl_ord_id=name)

    async def _send(self, side: Any, symbol: str, qty: int, **terms: Any) -> None:
        await self.gateway.place(side, symbol, qty, **terms)
        if self.faults.hit("client.repeat"):
            await self.gateway.place(side, symbol, qty, **terms)
