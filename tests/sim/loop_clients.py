"""Clients of the loop tier: the real SDK, a script from the seed, and their own records of what they were told."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from backstay import Event, Gateway, Refused, Stop, Unanswered
from backstay.stream import Link
from tests.sim.kernel import MS, NodeClock
from tests.sim.loop import SimLoop
from tests.sim.outcome import Broken

decode = msgspec.json.Decoder().decode
PASSING = ("re", "in_ns", "out_ns", "left", "dup")  # of an answer, not of the event
OPEN_S = 8.0


class Accounts:
    """What all clients were told about each account: one truth, whoever asks and however often."""

    def __init__(self) -> None:
        self.events: dict[str, dict[int, dict[str, Any]]] = {}
        self.accepted: dict[str, str] = {}  # cl_ord_id -> account, once the gateway said so

    def heard(self, raw: bytes) -> None:
        """A frame reached a client. Raises Broken when it contradicts an earlier one."""
        frame = decode(raw)
        if "seq" not in frame or "account" not in frame or frame["t"] in ("snapshot", "live", "sync"):
            return
        event = {name: value for name, value in frame.items() if name not in PASSING}
        told = self.events.setdefault(frame["account"], {})
        before = told.setdefault(frame["seq"], event)
        if before != event:
            raise Broken("I8", f"{frame['account']} {frame['seq']} was {before} and is {event}")
        if frame["t"] == "accepted":
            self.accepted[frame["cl_ord_id"]] = frame["account"]


class Trader:
    """One client process. `broken` holds what it found wrong."""

    def __init__(
        self, loop: SimLoop, clock: NodeClock, accounts: Accounts, *, name: str, account: str, url: str, aud: str,
        secret: str, orders: int,
    ) -> None:  # fmt: skip
        self.loop = loop
        self.name = name
        self.account = account
        self.accounts = accounts
        self.rng: Random = loop.kernel.rng(f"trader {name}")
        self.left = orders
        self.placed = 0
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
        self.loop.kernel.trace(f"{self.name} {way} {raw.decode()}")
        if way == "out":
            try:
                self.accounts.heard(raw)
            except Broken as broken:
                self.broken = broken

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
            await self._act()
        self.is_done = True

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

    async def _act(self) -> None:
        roll = self.rng.randrange(100)
        name = f"{self.name}-{self.placed}"
        try:
            if roll < 65 or not self.names:
                self.placed += 1
                self.names.append(name)
                await self._place(name)
            elif roll < 80:
                await self.gateway.order(self.rng.choice(self.names)).cancel()
            elif roll < 90:
                await self.gateway.order(self.rng.choice(self.names)).replace(px=self._px())
            elif roll < 95:
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

    def _px(self) -> str:
        return f"{99 + self.rng.randrange(300) / 100:.2f}"

    async def _place(self, name: str) -> None:
        symbol, side = self.rng.choice(("AAA", "BBB")), self.rng.choice(("buy", "sell"))
        qty = 1 + self.rng.randrange(5)
        if self.rng.randrange(5) == 0:
            stop = Stop(f"{97 + self.rng.randrange(300) / 100:.2f}", if_through="fire")
            await self.gateway.sell(symbol, qty, trigger=stop, tif="gtc", cl_ord_id=name)
        elif self.rng.randrange(4) == 0:
            await self.gateway.place(side, symbol, qty, tif="ioc", cl_ord_id=name)
        else:
            await self.gateway.place(side, symbol, qty, px=self._px(), tif="gtc", cl_ord_id=name)
