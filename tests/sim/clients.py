"""Clients of a run: the real sessions over an in-memory wire, scripts drawn from the seed, and records of their own.

A client names its orders once, follows its account by sequence, asks again after every lost answer with the same name,
and believes only frames.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from picows import WSMsgType

from gateway.stream.keys import signed_text
from gateway.stream.session import Session
from hotpath.fixed import from_e9
from tests.sim.history import Asked, Heard, Linked, decode
from tests.sim.kernel import MS, SECOND
from tests.sim.market import TICK_E9

if TYPE_CHECKING:
    from tests.sim.world import World

TRIES = 3  # orders placed for each that is wanted, at most: a market may refuse them for long
ANSWER_NS = 5 * SECOND  # without an answer the client connects anew and asks again
_encode = msgspec.json.Encoder().encode
DONE = ("filled", "canceled", "expired", "rejected")
BPS_E9 = 10**9  # one basis point


class Frame:
    """A WebSocket frame as a session reads it."""

    fin = True
    last_in_buffer = True
    msg_type = WSMsgType.TEXT

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.payload_size = len(payload)

    def get_payload_as_bytes(self) -> bytes:
        return self.payload


def bounds(data: bytes | bytearray, at: int) -> tuple[int, int]:
    """Where the payload of the frame that starts at `at` begins and ends."""
    size, begin = data[at + 1], at + 2
    if size == 126:
        size, begin = int.from_bytes(data[begin : begin + 2], "big"), begin + 2
    elif size == 127:
        size, begin = int.from_bytes(data[begin : begin + 8], "big"), begin + 8
    return begin, begin + size


class Wire:
    """Both ends of one connection: what a session takes for its transport, and the bytes on their way to the client."""

    is_secure = False

    def __init__(self, client: Client, number: int) -> None:
        self.client = client
        self.number = number
        self.is_open = True
        self.is_stuck = False
        self._waiting = bytearray()
        self._is_moving = False

    @property
    def underlying_transport(self) -> Wire:
        return self

    def get_extra_info(self, name: str) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return len(self._waiting)

    def write(self, data: bytes) -> None:
        world = self.client.world
        world.node.maybe_crash()
        world.kernel.trace(f"{self.client.name} << {len(data)}")
        if self.is_open:
            self._waiting += data
            self._move()

    def _move(self) -> None:
        """The network takes bytes to the client, as fast as it reads."""
        client = self.client
        if not self._is_moving and self._waiting and not self.is_stuck:
            self._is_moving = True
            slow = client.world.faults.strength("client.slow") > 0 and client.is_slow
            if slow:
                client.world.faults.count("client.slow")
            client.world.kernel.after(client.draw.randrange(MS // 10, 2 * MS) + 50 * MS * slow, self._arrive)

    def _arrive(self) -> None:
        self._is_moving = False
        if self.is_open and not self.is_stuck and self._waiting:  # a close takes them along
            faults = self.client.world.faults
            is_slow = self.client.is_slow and faults.strength("client.slow") > 0
            size = bounds(self._waiting, 0)[1] if is_slow else len(self._waiting)
            data = bytes(self._waiting[:size])
            del self._waiting[:size]
            self.client.receive(self, data)
            self._move()

    def unstick(self) -> None:
        self.is_stuck = False
        self._move()

    def send_close(self, code: int, reason: bytes) -> None:
        data = bytes(self._waiting)
        self._waiting.clear()
        client = self.client
        client.world.kernel.after(MS, lambda: client.closed(self, int(code), b"" if self.is_stuck else data))

    def disconnect(self, graceful: bool = True) -> None:
        client = self.client
        client.world.kernel.after(MS, lambda: client.closed(self, 0, b""))

    def send_ping(self) -> None:
        """Answered by the client's library."""
        self.client.pong(self)


class Client:
    """One key's one session on one account."""

    def __init__(self, world: World, name: str, account: str, secret: bytes, orders: int) -> None:
        self.world = world
        self.name = name
        self.account = account
        self.secret = secret
        self.draw = world.kernel.rng(f"client {name}")
        self.is_slow = self.draw.random() < 0.5
        self.wire: Wire | None = None
        self.session: Session | None = None
        self.links = 0
        self.history_id = ""
        self.seq = 0
        self.is_live = False
        self.orders: dict[str, dict[str, Any]] = {}  # by name: the last event seen of it
        self.trailing: set[str] = set()  # names of those whose stop trails
        self.unanswered: dict[int, Asked] = {}
        self.again: list[Asked] = []  # to be asked again on the next connection
        self.left = orders  # to be placed; one that is refused is made up for
        self.placed = 0
        self._tries = TRIES * orders
        self._next_id = 0
        self._is_coming = False
        self._logged_in = False
        self._out_floor_ns = 0

    # --- connection --------------------------------------------------------------------------------------------------

    def come_back(self, delay_ns: int) -> None:
        """Connect after a while, unless that is under way."""
        if self.wire is None and not self._is_coming:
            self._is_coming = True
            self.world.kernel.after(delay_ns, self._connect)

    def _connect(self) -> None:
        self.world.node.enter(self._open)  # a node that is down hears nothing: its boot calls again

    def _open(self) -> None:
        self._is_coming = False
        shard = self.world.node.shard
        assert shard is not None
        if self.wire is not None:
            return
        session = shard.stream.admit("json")
        if isinstance(session, bytes):
            self.come_back(200 * MS)
            return
        self.links += 1
        self.wire = Wire(self, self.links)
        self.session = session
        self._next_id, self._logged_in, self.is_live = 0, False, False
        self._note("open")
        session.on_ws_connected(self.wire)  # type: ignore[arg-type]

    def closed(self, wire: Wire, code: int, last: bytes) -> None:
        """The server closed, or the connection broke."""
        if wire is self.wire:
            self.receive(wire, last)
        if wire is self.wire:
            self._end(code)
            self.come_back(self.draw.randrange(10 * MS, 500 * MS))

    def lost(self) -> None:
        """The node died."""
        self._is_coming = False
        if self.wire is not None:
            self._end(0)

    def _end(self, code: int) -> None:
        wire, session = self.wire, self.session
        assert wire is not None
        wire.is_open = False
        self._note("closed", code)
        self.again += [
            asked for asked in self.unanswered.values() if asked.kind in ("place", "replace", "cancel", "batch")
        ]
        self.unanswered.clear()
        self.wire = self.session = None
        if session is not None and self.world.node.shard is not None:
            self.world.node.enter(lambda: session.on_ws_disconnected(wire))  # type: ignore[arg-type]

    def _note(self, what: str, code: int = 0) -> None:
        world = self.world
        world.history.links.append(Linked(world.kernel.now_ns, self.name, self.links, what, code))
        world.kernel.trace(f"{self.name} {what} {self.links} {code}")

    def pong(self, wire: Wire) -> None:
        session = self.session
        if wire is self.wire and session is not None and not wire.is_stuck:
            session.last_rx_ns = session.engine.clock.mono_ns()

    # --- frames in ---------------------------------------------------------------------------------------------------

    def receive(self, wire: Wire, data: bytes) -> None:
        """Bytes that arrived; each frame is whole in them."""
        end = 0
        while end < len(data) and wire is self.wire:
            begin, end = bounds(data, end)
            self._on_frame(data[begin:end])

    def _on_frame(self, text: bytes) -> None:
        world = self.world
        message = decode(text)
        world.history.heard.append(Heard(world.kernel.now_ns, self.name, self.links, text, message))
        world.kernel.trace(f"{self.name} > {text.decode()}")
        kind = message["t"]
        if "re" in message:
            self._on_answer(message)
        if kind == "hello":
            self._log_in(message)
        elif kind == "welcome":
            self._logged_in = True
            after = {"history": self.history_id, "seq": self.seq} if self.history_id else None
            self.ask("subscribe", {"after": after} if after else {})
        elif kind == "sync":
            self.history_id, self.seq = message["history"], message["seq"]
        elif kind == "snapshot":
            for order in message["orders"]:
                self.orders[order["cl_ord_id"]] = order
        elif kind == "live":
            self.is_live = True
            again, self.again = self.again, []
            for asked in again:
                self._repeat(asked)
        elif "seq" in message and message.get("account") == self.account and not message.get("dup"):
            self.seq = message["seq"]
            if "cl_ord_id" in message and "ord_status" in message:
                self.orders[message["cl_ord_id"]] = message
                if message.get("order", {}).get("trigger", {}).get("kind") == "trail":
                    self.trailing.add(message["cl_ord_id"])
                world.transitions.feed(message)

    def _on_answer(self, message: dict[str, Any]) -> None:
        asked = self.unanswered.pop(message["re"], None)
        if asked is None:
            return
        asked.answer = message
        if message["t"] == "err" and message["code"] in ("BUSY", "JOURNAL_STOPPED", "DRAINING", "RATE_LIMITED"):
            self.world.kernel.after(200 * MS, lambda: self._repeat(asked))
        elif (
            message["t"] == "err" and asked.kind in ("place", "batch") and self.left >= 0 and self.placed < self._tries
        ):
            self.left += len(asked.request["items"]) if asked.kind == "batch" else 1

    def _repeat(self, asked: Asked) -> None:
        """The same request under a new number: the name makes it one."""
        if asked.kind in ("place", "replace", "cancel", "batch"):
            if self._logged_in:
                self.ask(asked.kind, asked.request)
            else:
                self.again.append(asked)

    def _log_in(self, hello: dict[str, Any]) -> None:
        text = signed_text(hello["aud"], hello["nonce"], self.name, "s")
        sig = base64.b64encode(hmac.digest(self.secret, text, "sha256")).decode()
        self.ask("auth", {"key": self.name, "session": "s", "sig": sig})

    # --- frames out --------------------------------------------------------------------------------------------------

    def ask(self, kind: str, fields: dict[str, Any]) -> None:
        """Send one request."""
        world, session, wire = self.world, self.session, self.wire
        if session is None or wire is None:
            return
        self._next_id += 1
        fields = {key: value for key, value in fields.items() if key not in ("id", "t")}
        name = str(fields.get("cl_ord_id", ""))
        asked = Asked(world.kernel.now_ns, self.name, self.links, self._next_id, kind, self.account, name, fields)
        self.unanswered[self._next_id] = asked
        if kind != "auth":
            world.history.asked.append(asked)
        text = _encode({"t": kind, "id": self._next_id, **fields})
        world.kernel.trace(f"{self.name} < {text.decode()}")
        frame = Frame(text)
        due_ns = self._out_floor_ns = max(self._out_floor_ns, world.kernel.now_ns + self.draw.randrange(MS))
        world.node.at(due_ns, lambda: self._deliver(wire, session, frame))
        number = self._next_id
        world.kernel.after(ANSWER_NS, lambda: self._is_late(wire, number))

    def _deliver(self, wire: Wire, session: Session, frame: Frame) -> None:
        if wire is self.wire:
            session.on_ws_frame(wire, frame)  # type: ignore[arg-type]

    def _is_late(self, wire: Wire, number: int) -> None:
        """No answer: whatever the reason, begin anew."""
        if wire is self.wire and number in self.unanswered and not wire.is_stuck:
            self._end(0)
            self.come_back(self.draw.randrange(10 * MS, 200 * MS))

    # --- the script --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.world.kernel.after(self.draw.randrange(100 * MS, 500 * MS), self._act)

    def _act(self) -> None:
        """One thing that a client does, then the next."""
        world, draw, faults = self.world, self.draw, self.world.faults
        if not self.left and draw.random() < 0.15:
            self.left = -1  # the script is over
        if self.left < 0:
            return
        if self.is_live:
            count = 1
            if faults.hit("client.flood"):
                count = draw.randint(5, 12)
            for _ in range(count):
                self._choose()()
            if self.wire is not None and faults.hit("client.vanish"):
                self._end(0)
                self.come_back(draw.randrange(10 * MS, 3 * SECOND))
            elif self.wire is not None and faults.hit("client.stuck"):
                wire = self.wire
                wire.is_stuck = True
                world.kernel.after(draw.randrange(SECOND, 10 * SECOND), wire.unstick)
        world.kernel.after(draw.randrange(20 * MS, 260 * MS) * world.pace, self._act)

    def _choose(self) -> Callable[[], None]:
        roll = self.draw.random()
        if self.left > 0 and roll < 0.6:
            return self._place if roll < 0.42 else self._tied
        if roll < 0.75:
            return self._cancel
        if roll < 0.92:
            return self._replace
        return self._get if roll < 0.98 else self._cancel_all

    def _place(self) -> None:
        draw, faults = self.draw, self.world.faults
        self.left -= 1
        self.placed += 1
        fields = self._terms()
        fields["cl_ord_id"] = f"{self.name}-{self.placed}-{draw.randrange(10_000)}"
        self.ask("place", fields)
        if faults.hit("client.repeat"):
            self.ask("place", fields)
        if faults.hit("client.other_terms"):
            self.ask("place", {**fields, "qty": "7"})

    def _tied(self) -> None:
        """A bracket, an entry whose exits scale out, or two orders that share one quantity."""
        draw, market = self.draw, self.world.market
        symbol, side = draw.choice(market.symbols), draw.choice(("buy", "sell"))
        mid, sign, qty = market.mid_e9(symbol), 1 if side == "buy" else -1, draw.randint(2, 20)
        stem, back = f"{self.name}-{self.placed}-{draw.randrange(10_000)}", "sell" if side == "buy" else "buy"
        tie: dict[str, Any] = {"oco": f"{stem}.x", "symbol": symbol, "side": back, "stp": "allow", "tif": "gtc"}
        items: list[dict[str, Any]] = []
        if draw.random() < 0.8:
            px = mid + sign * draw.randint(-4, 8) * TICK_E9
            entry = {"cl_ord_id": f"{stem}.e", "symbol": symbol, "side": side, "ord_type": "limit", "stp": "allow"}
            tif = draw.choice(("gtc", "gtc", "day", "ioc"))
            items.append({**entry, "qty": str(qty), "px": from_e9(px), "tif": tif})
            tie["after"] = {"cl_ord_id": f"{stem}.e", "on": draw.choice(("fill", "fill", "full"))}
        else:
            tie["reduce_only"] = draw.random() < 0.7
        first = draw.randint(1, qty - 1) if draw.random() < 0.4 else qty
        for at, part in enumerate((first, qty - first)):
            far = from_e9(mid + sign * draw.randint(4, 25) * TICK_E9)
            kind = {"ord_type": "limit", "px": far} if draw.random() < 0.7 else {
                "ord_type": "market", "trigger": {"kind": "touch", "stop_px": far, "if_through": "fire"},
            }  # fmt: skip
            if part:
                items.append({"cl_ord_id": f"{stem}.t{at}", "qty": str(part), **kind, **tie})
        stop = from_e9(mid - sign * draw.randint(2, 20) * TICK_E9)
        trigger = {"kind": "stop", "stop_px": stop, "if_through": draw.choice(("reject", "fire"))}
        items.append({"cl_ord_id": f"{stem}.s", "qty": str(qty), "ord_type": "market", "trigger": trigger, **tie})
        self.left = max(0, self.left - len(items))
        self.placed += len(items)
        fields = {"items": [{"t": "place", **item} for item in items]}
        self.ask("batch", fields)
        if self.world.faults.hit("client.repeat"):
            self.ask("batch", fields)

    def _terms(self) -> dict[str, Any]:
        """An order: a limit near the market, a market order, or a stop."""
        draw, world = self.draw, self.world
        symbol, side = draw.choice(world.market.symbols), draw.choice(("buy", "sell"))
        if world.faults.hit("client.greedy"):
            symbol, side = world.market.symbols[0], "buy"
        mid = world.market.mid_e9(symbol)
        sign = 1 if side == "buy" else -1
        fields: dict[str, Any] = {"symbol": symbol, "side": side, "qty": str(draw.randint(1, 20)), "stp": "allow"}
        kind = draw.random()
        if kind < 0.45:
            fields |= {"ord_type": "limit", "px": from_e9(mid - sign * draw.randint(-8, 25) * TICK_E9)}
            fields["tif"] = draw.choice(("gtc", "gtc", "day", "ioc", "fok", "gtd"))
        elif kind < 0.6:
            fields |= {"ord_type": "market", "tif": draw.choice(("ioc", "gtc"))}
        else:
            stop = mid + sign * draw.randint(3, 40) * TICK_E9
            fields |= {"ord_type": "market", "reduce_only": draw.random() < 0.4}
            fields["tif"] = draw.choice(("gtc", "gtc", "gtc", "day", "gtd"))
            fields["trigger"] = {
                "kind": "stop", "stop_px": from_e9(stop), "if_through": draw.choice(("reject", "fire")),
                **self._conditions(),
            }  # fmt: skip
            if world.faults.hit("client.trails"):
                fields["trigger"] = self._trail(mid)
        if fields["tif"] == "gtd":
            fields["expire_ns"] = world.node.clock.wall_ns() + draw.randrange(SECOND, 20 * SECOND)
        if draw.random() < 0.5:
            fields["max_queue_ms"] = draw.choice((50, 1_000, 60_000))
        return fields

    def _trail(self, mid_e9: int) -> dict[str, Any]:
        """A trailing stop, near enough to fire now and then; with an activation price sometimes."""
        draw = self.draw
        unit, distance = draw.choice((("amount", TICK_E9), ("bps", BPS_E9), ("pct", BPS_E9 // 100)))
        found: dict[str, Any] = {"kind": "trail", "trail": {unit: from_e9(draw.randint(2, 40) * distance)}}
        if draw.random() < 0.3:
            found["stop_px"] = from_e9(mid_e9 + draw.randint(-10, 10) * TICK_E9)
        return found

    def _conditions(self) -> dict[str, Any]:
        """What else must hold before a stop leaves."""
        draw = self.draw
        found: dict[str, Any] = {}
        kind = draw.random()
        if kind < 0.15:
            found["confirm"] = {"ticks": draw.choice((2, 2, 3))}
        elif kind < 0.3:
            found["confirm"] = {"ms": draw.choice((50, 150, 400))}
        if draw.random() < 0.15:
            found["on_missed"] = "rearm"
        if draw.random() < 0.1:
            found["max_age_ms"] = draw.choice((150, 600))
        return found

    def _open_name(self) -> str:
        names = [name for name, order in self.orders.items() if order["ord_status"] not in DONE]
        return self.draw.choice(names) if names else ""

    def _cancel(self) -> None:
        if name := self._open_name():
            self.ask("cancel", {"cl_ord_id": name})

    def _replace(self) -> None:
        if not (name := self._open_name()):
            return
        order, draw = self.orders[name], self.draw
        fields = {"cl_ord_id": name, "rev": order.get("rev", 1) + 1, "qty": str(draw.randint(1, 20))}
        if order.get("px") and draw.random() < 0.5:
            mid = self.world.market.mid_e9(order["symbol"]) if "symbol" in order else 0
            if mid:
                fields["px"] = from_e9(mid + draw.randint(-20, 20) * TICK_E9)
        if order.get("hold") == "trigger" and name in self.trailing and draw.random() < 0.5:
            fields["trigger"] = {"kind": "trail", "trail": {"amount": from_e9(draw.randint(2, 40) * TICK_E9)}}
        self.ask("replace", fields)

    def _get(self) -> None:
        self.ask("get", {"what": self.draw.choice(("orders", "positions", "limits"))})

    def _cancel_all(self) -> None:
        self.ask("cancel_all", {})

    def wind_down(self) -> None:
        """The liveness phase: nothing new, everything canceled until nothing is open."""
        self.left = -1
        if self.is_live and self._open_name() and not self.unanswered:
            self.ask("cancel_all", {})
        self.world.kernel.after(SECOND, self.wind_down)

    @property
    def is_at_rest(self) -> bool:
        return self.wire is not None and self.is_live and not self.unanswered and not self.again
