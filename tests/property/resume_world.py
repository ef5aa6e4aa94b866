"""A client's connection to the real stream server in memory: what waits for it, what it read, what it makes of that."""

from __future__ import annotations

import base64
import hmac
from typing import Any

import msgspec

from gateway.contracts.asyncapi import spec_sha256
from gateway.core.state import State
from gateway.options import ApiLimits, GatewayOptions, KeyOptions
from gateway.stream.keys import KeyRing, make_key, signed_text
from gateway.stream.server import StreamServer
from gateway.stream.session import Session
from hotpath import frame
from tests.unit.engine_rig import Rig

SECRET = b"s" * 32
OUT_BYTES = 6_000  # that may wait for a client: a dozen events
FACTS = ("ord_status", "rev", "pending", "cum_qty", "leaves_qty", "stage", "hold")


def facts(order: dict[str, Any]) -> tuple[Any, ...]:
    """What an order's event and its line in a snapshot both say."""
    return tuple(order.get(name) for name in FACTS)


class Pipe:
    """Both the WebSocket transport and what is under it: bytes wait here until the client reads them."""

    is_secure = False

    def __init__(self) -> None:
        self.underlying_transport = self
        self.waiting = bytearray()
        self.code = 0  # of the close

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else None

    def get_write_buffer_size(self) -> int:
        return len(self.waiting)

    def write(self, data: bytes) -> None:
        self.waiting += data

    def send_close(self, code: int, reason: bytes) -> None:
        self.code = code

    def send_ping(self) -> None:
        return None

    def disconnect(self, graceful: bool = True) -> None:
        self.code = self.code or 1006


class Node:
    """The gateway's side: engine and stream server over a memory journal; a restart keeps what is durable."""

    def __init__(self, before: Node | None = None) -> None:
        if before is None:
            self.rig = Rig()
        else:
            journal = bytes(before.rig.journal.data[: before.durable_bytes()])
            state = State(shard=0, orders=4_000, accounts=2, instruments=2)
            state.replay(memoryview(journal[4096:]), 4096)
            self.rig = Rig(state)
            self.rig.journal.data[:] = journal
            self.rig.journal.durable_seq = self.rig.journal.last_seq = state.seq
        limits = ApiLimits(outbound_bytes=OUT_BYTES)
        key = make_key(
            KeyOptions(name="k", kind="hmac", accounts=["A0"], scopes=["read", "trade"]), SECRET, limits, ["A0"]
        )
        self.server = StreamServer(
            engine=self.rig.engine, keys=KeyRing([key]), options=GatewayOptions(), limits=limits, is_durable=True,
            spec=spec_sha256(), token_bytes=bytes,
        )  # fmt: skip
        if before is not None:
            self.rig.engine.recover(self.rig.state.last_wall_ns, is_clean=False)

    def durable_bytes(self) -> int:
        """Where the last durable record ends; a group that is not whole is cut off, as recovery does."""
        data, at, end = self.rig.journal.data, 4096, 4096
        while at < len(data):
            one = frame.unpack_frame(bytes(data[at:]), 0)
            if one.seq > self.rig.journal.durable_seq:
                break
            at += one.space
            if not one.flags & frame.FLAG_CONTINUES:
                end = at
        return end

    def truth(self) -> list[dict[str, Any]]:
        """Every event of the account that is in the journal, number 1 first."""
        engine = self.rig.engine
        return [msgspec.json.decode(engine.event_text(0, seq)) for seq in range(1, engine.fanout.heads[0] + 1)]


class Client:
    """One client over its connections: it keeps what it read, and checks each frame against the sequential model."""

    def __init__(self) -> None:
        self.pipe: Pipe | None = None
        self.session: Session | None = None
        self.history = ""
        self.next_seq = 0  # 0: it has no picture yet
        self.book: dict[str, tuple[Any, ...]] = {}
        self.is_whole = False  # the picture is complete: no snapshot or sync is under way
        self.asked: dict[int, tuple[str, int]] = {}  # request -> mode and seq that its sync must say
        self.events: dict[int, dict[str, Any]] = {}  # every event it ever got, by number
        self.parts: dict[str, tuple[Any, ...]] = {}
        self.requests = 0
        self.is_live = False

    # --- connections ----------------------------------------------------------------------------------------------

    def connect(self, node: Node) -> None:
        """Log in on a new connection."""
        self.pipe, self.requests, self.asked = Pipe(), 1, {}
        self.is_live = self.is_whole = False
        session = node.server.admit("backstay.v1.json")
        assert isinstance(session, Session)
        self.session = session
        session.on_ws_connected(self.pipe)
        (hello,) = self._frames(len(self.pipe.waiting))
        text = signed_text(hello["aud"], hello["nonce"], "k", "s")
        sig = base64.b64encode(hmac.digest(SECRET, text, "sha256")).decode()
        self._send({"t": "auth", "id": 1, "key": "k", "session": "s", "sig": sig})

    def subscribe(self, node: Node, after: tuple[str, int] | None) -> None:
        """Ask for the account from a number of a history on; None asks for a snapshot."""
        engine = node.rig.engine
        self.requests += 1
        request: dict[str, Any] = {"t": "subscribe", "id": self.requests, "account": "A0"}
        history, head = engine.state.history.hex(), engine.views.acct_seq(0)
        if after is not None:
            request["after"] = {"history": after[0], "seq": after[1]}
        resumes = after is not None and after[0] == history and after[1] <= head
        self.asked[self.requests] = ("replay", after[1]) if resumes and after is not None else ("snapshot", head)
        self._send(request)

    def _send(self, request: dict[str, Any]) -> None:
        assert self.session is not None
        clock = self.session.engine.clock
        self.session.lane.on_message(msgspec.json.encode(request), clock.wall_ns(), clock.mono_ns())
        self.session.engine.flush()
        self.session.outbox.flush()

    def lose(self) -> None:
        """The connection is cut: what it has not read is gone."""
        if self.session is not None:
            assert self.pipe is not None
            self.session.on_ws_disconnected(self.pipe)
        self.session = self.pipe = None
        self.is_live = self.is_whole = False

    @property
    def is_connected(self) -> bool:
        """Whether its connection takes requests."""
        return self.session is not None and not self.session.is_dead

    # --- reading --------------------------------------------------------------------------------------------------

    def read(self, size: int, truth: list[dict[str, Any]]) -> None:
        """Up to `size` bytes; whole frames are judged, the rest stays."""
        for message in self._frames(size):
            self._take(message, truth)

    def _frames(self, size: int) -> list[dict[str, Any]]:
        assert self.pipe is not None
        data, at, found = self.pipe.waiting, 0, []
        while at + 2 <= len(data):
            short = data[at + 1]
            head = 2 if short < 126 else 4
            length = short if short < 126 else int.from_bytes(data[at + 2 : at + 4], "big")
            if at + head + length > size:
                break
            found.append(msgspec.json.decode(bytes(data[at + head : at + head + length])))
            at += head + length
        del data[:at]
        return found

    def _take(self, message: dict[str, Any], truth: list[dict[str, Any]]) -> None:
        kind = message["t"]
        assert kind != "err", message
        if kind == "sync":
            self._sync(message, truth)
        elif kind == "snapshot":
            self._part(message, truth)
        elif kind == "live":
            assert message["seq"] == self.next_seq - 1, ("live away from where it stands", message, self.next_seq)
            self.is_live = True
        elif "seq" in message and "cl_ord_id" in message:
            self._event(message, truth)

    def _sync(self, message: dict[str, Any], truth: list[dict[str, Any]]) -> None:
        assert (message["mode"], message["seq"]) == self.asked.pop(message["re"]), message
        self.history = message["history"]
        self.is_live, self.parts = False, {}
        self.is_whole = message["mode"] == "replay"
        if self.is_whole:
            self.next_seq = message["seq"] + 1
            self.book = fold(truth, message["seq"])

    def _part(self, message: dict[str, Any], truth: list[dict[str, Any]]) -> None:
        self.parts |= {order["cl_ord_id"]: facts(order) for order in message["orders"]}
        if message["last"]:
            self.next_seq = message["seq"] + 1
            self.book, self.is_whole = self.parts, True
            assert self.book == fold(truth, message["seq"]), "a snapshot is not the fold of the events"

    def _event(self, message: dict[str, Any], truth: list[dict[str, Any]]) -> None:
        seq = message["seq"]
        assert self.is_whole, ("an event before its picture", message)
        assert seq == self.next_seq, (f"event {seq} where {self.next_seq} is due", message)
        assert message == truth[seq - 1], ("another event than the journal has", message, truth[seq - 1])
        assert self.events.setdefault(seq, message) == message, ("told differently the second time", message)
        self.book[message["cl_ord_id"]] = facts(message)
        self.next_seq = seq + 1


def fold(truth: list[dict[str, Any]], seq: int) -> dict[str, tuple[Any, ...]]:
    """The sequential model: each order as its last event up to `seq` tells it."""
    return {event["cl_ord_id"]: facts(event) for event in truth[:seq] if "cl_ord_id" in event}
