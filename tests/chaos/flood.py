"""Raw connections that pipeline orders at a rate, through every kill, and keep their own record of what they were told.

Whatever a connection did not answer is asked again on the next one under the same `cl_ord_id`; the stream is resumed by
`seq`, and the record breaks at the first event that is not the next one. A refusal that passes is asked again too.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter, deque
from random import Random
from typing import Any

import msgspec
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from tests.chaos.hammer import SYMBOL, Market, cents
from tests.integration.raw_client import JSON, read_secret, sign
from tests.integration.world import World, pace

WINDOW = 200  # requests of one connection without an answer
TURN_S = 0.005
AGAIN_S = 0.01  # between two tries to connect
CONNECT_S = 2.0
OPEN_MAX = 40
PASSING = frozenset(("RATE_LIMITED", "BUSY", "STARTING", "DRAINING", "JOURNAL_STOPPED"))


class Heard(msgspec.Struct, gc=False):
    """What the record needs of any frame."""

    t: str
    re: int = 0
    seq: int = 0
    ts_ns: int = 0
    dup: bool = False
    cl_ord_id: str = ""
    order_id: str = ""
    ord_status: str = ""
    code: str = ""
    history: str = ""
    account: str = ""
    aud: str = ""
    nonce: str = ""
    broker_cl_ord_id: str = ""
    exec_id: str = ""
    pos_qty: str = "0"


class Broken(AssertionError):
    """A client saw what it must never see."""


class Record:
    """What one client knows for certain: it outlives connections."""

    def __init__(self, account: str) -> None:
        self.account = account
        self.acknowledged: dict[str, int] = {}  # name to the seq of its acknowledgement
        self.refused: Counter[str] = Counter()
        self.dups = 0
        self.history = ""
        self.seq = 0
        self._hash = hashlib.blake2b(digest_size=16)

    def take(self, event: Heard) -> None:
        """The next event of the stream; anything else breaks the promise."""
        if event.seq != self.seq + 1:
            what = "repeated" if event.seq <= self.seq else "gap"
            raise Broken(f"{self.account}: {what}: seq {event.seq} ({event.t}) after {self.seq}")
        self.seq = event.seq
        self._hash.update(f"{event.seq} {event.t} {event.cl_ord_id} {event.ord_status}\n".encode())

    def digest(self) -> str:
        """Equal for two who saw the same events in the same order."""
        return self._hash.hexdigest()


class Line(WSListener):
    """One connection: says who it is, resumes, and hands each frame on."""

    def __init__(self, flood: Flood) -> None:
        self.flood = flood
        self.transport: WSTransport | None = None
        self.gone = asyncio.Event()
        self.is_live = False
        self.close_code = 0
        self.last_id = 0
        self.asked: dict[int, dict[str, Any]] = {}  # by request id, in the order of asking
        self._decode = msgspec.json.Decoder(Heard).decode
        self._encode = msgspec.json.Encoder().encode

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.is_live = False
        self.gone.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            self.close_code = int.from_bytes(frame.get_payload_as_bytes()[:2], "big")
            transport.disconnect()
            return
        if frame.msg_type != WSMsgType.TEXT:
            return
        try:
            raw = frame.get_payload_as_memoryview()
            self.flood.hear_raw(self, self._decode(raw), raw)
        except (AssertionError, LookupError, TypeError, ValueError, msgspec.MsgspecError) as error:  # else only logged
            self.flood.broken = self.flood.broken or error
            transport.disconnect(False)

    def say(self, t: str, **members: Any) -> int:
        self.last_id += 1
        assert self.transport is not None
        self.transport.send(WSMsgType.TEXT, self._encode({"t": t, "id": self.last_id, **members}))
        return self.last_id

    def place(self, order: dict[str, Any]) -> None:
        self.asked[self.say("place", **order)] = order


class Flood:
    """One account's client at a rate of orders a second, all of one side: its orders never meet each other."""

    def __init__(self, world: World, account: str, market: Market, rng: Random, *, side: str, per_s: int) -> None:
        self.world = world
        self.side = side
        self.record = Record(account)
        self.market = market
        self.rng = rng
        self.per_s = per_s
        self.broken: BaseException | None = None
        self.live = asyncio.Event()
        self.quiet = asyncio.Event()  # no new orders any more
        self.leave = asyncio.Event()
        self.line: Line | None = None
        self.accepted = 0  # acknowledgements of orders that were new, over all lives
        self.closes: Counter[int] = Counter()
        self.again: deque[dict[str, Any]] = deque()
        self._resting: deque[str] = deque()
        self._turns = 0
        self._secret = read_secret(world.secret(account))

    @property
    def is_answered(self) -> bool:
        """Nothing that was asked waits for its answer."""
        return not self.again and (self.line is None or not self.line.asked)

    async def run(self) -> None:
        """One connection after the other, until it is told to leave."""
        while self.broken is None and not self.leave.is_set():
            try:
                await self._connection()
            except (OSError, WSError):  # nobody listens: killed under us, or not there yet
                await pace(self.leave, AGAIN_S)
        if self.broken is not None:
            raise self.broken

    async def _connection(self) -> None:
        line = Line(self)
        async with asyncio.timeout(CONNECT_S):
            _, listener = await ws_connect(
                lambda: line, self.world.ws_url, extra_headers={"Sec-WebSocket-Protocol": JSON}, max_frame_size=1 << 24
            )
        if (
            listener is not line
        ):  # lost in the handshake: the library returns as if all were well, and tells no listener
            raise ConnectionError("killed in the handshake")
        self.line = line
        try:
            await self._at_work(line)
        finally:
            self.live.clear()
            if line.transport is not None and not line.gone.is_set():
                line.transport.disconnect(False)
                await line.gone.wait()
            self.closes[line.close_code] += 1
            self.again.extendleft(reversed(line.asked.values()))
            self.line = None

    async def _at_work(self, line: Line) -> None:
        """Offer what is due, at most a window of it unanswered, until the connection ends."""
        loop = asyncio.get_running_loop()
        due, then = 0.0, loop.time()
        while not line.gone.is_set() and not self.leave.is_set():
            now = loop.time()
            due, then = min(due + (now - then) * self.per_s, WINDOW), now
            if not line.is_live:
                due = 0.0
            else:
                while self.again and len(line.asked) < WINDOW:
                    line.place(self.again.popleft())
                while due >= 1 and len(line.asked) < WINDOW and not self.quiet.is_set():
                    line.place(self._order())
                    due -= 1
                while len(self._resting) > OPEN_MAX:
                    line.say("cancel", cl_ord_id=self._resting.popleft())
            await pace(line.gone, TURN_S)

    def hear_raw(self, line: Line, frame: Heard, raw: memoryview) -> None:
        """One frame, with its bytes for whoever wants more of it."""
        self.hear(line, frame)

    def hear(self, line: Line, frame: Heard) -> None:
        """One frame, into the record."""
        if frame.ts_ns and frame.seq and frame.account == self.record.account and not frame.dup:
            self.record.take(frame)
        if frame.re in line.asked:
            self._answered(line.asked.pop(frame.re), frame)
        elif frame.t == "err" and not line.is_live:
            raise Broken(f"{self.record.account}: not let in: {frame.code}")
        elif frame.t == "hello":
            signed = sign(self._secret, frame.aud, frame.nonce, self.record.account, "flood")
            line.say("auth", key=self.record.account, session="flood", sig=signed)
        elif frame.t == "welcome":
            after = {"history": self.record.history, "seq": self.record.seq}
            line.say("subscribe", account=self.record.account, **({"after": after} if self.record.history else {}))
        elif frame.t == "sync":
            if self.record.history and frame.history != self.record.history:
                raise Broken(f"{self.record.account}: another history: {frame.history}")
            self.record.history = frame.history
        elif frame.t == "live":
            line.is_live = True
            self.live.set()

    def _answered(self, order: dict[str, Any], frame: Heard) -> None:
        name = order["cl_ord_id"]
        if frame.t == "accepted":
            known = self.record.acknowledged.setdefault(name, frame.seq)
            if known != frame.seq:
                raise Broken(f"{name} was acknowledged as {known} and as {frame.seq}")
            self.record.dups += frame.dup
            self.accepted += not frame.dup
            if order["tif"] == "gtc":
                self._resting.append(name)
        elif frame.t == "err":
            if frame.code in PASSING:
                self.again.append(order)
            self.record.refused[frame.code] += 1
        else:
            raise Broken(f"{name} was answered with {frame.t}")

    def _order(self) -> dict[str, Any]:
        """The next order: most pass by the market, some trade, some rest, some are stops that fire as it wanders."""
        rng, bid, side = self.rng, self.market.bid, self.side
        self._turns += 1
        order = {"cl_ord_id": f"f-{self._turns}", "symbol": SYMBOL, "side": side, "qty": "1"}
        dice = rng.random()
        away = rng.randint(50, 150) * (-1 if side == "buy" else 1)
        if dice < 0.65:
            return {**order, "ord_type": "limit", "px": cents(bid + away), "tif": "ioc"}
        if dice < 0.85:
            return {**order, "ord_type": "market", "tif": "ioc"}
        if dice < 0.95:
            return {**order, "ord_type": "limit", "px": cents(bid + 2 * away), "tif": "gtc"}
        near = rng.randint(0, 40) * (1 if side == "buy" else -1)
        trigger = {"kind": "stop", "stop_px": cents(bid + near), "source": "bid", "if_through": "fire"}
        return {**order, "ord_type": "market", "tif": "gtc", "trigger": trigger}


async def all_live(floods: list[Flood]) -> None:
    """Wait until each is connected and caught up; a record that broke is raised here."""
    for flood in floods:
        while not flood.live.is_set() and flood.broken is None:
            await pace(flood.live, AGAIN_S)
        if flood.broken is not None:
            raise flood.broken
