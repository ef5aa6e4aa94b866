"""A scripted gateway for the SDK's edge cases: speaks the order protocol over a real socket and fails on command.

It keeps a journal like the real one, and every frame of both directions is held against the AsyncAPI document.
"""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from tests.conformance.frames import FrameCheck

SEED = bytes(range(32))
SECRET = "ed25519:" + base64.b64encode(SEED).decode()
ACCOUNT = "A1"
AUD = "127.0.0.1"
DONE = ("filled", "canceled", "expired", "rejected")
LIMITS = {
    "place_per_s": 200, "place_burst": 400, "cancel_per_s": 1000, "cancel_burst": 2000, "get_per_s": 20,
    "get_burst": 40, "unanswered": 64, "open_orders": 10000, "connections": 8, "out_bytes": 8388608,
    "out_frames": 65536, "frame_bytes": 65536, "batch_items": 100, "snapshot_done_ms": 86400000,
    "name_life_ms": 2592000000,
}  # fmt: skip

Frame = dict[str, Any]
Hook = Callable[["Session", Frame], bool]


class Session(WSListener):
    """One connection to the peer."""

    def __init__(self, peer: "Peer") -> None:
        self.peer = peer
        self.following = False
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.peer.sessions.append(self)
        self.send(t="hello", nonce="bm9uY2U=", aud=self.peer.aud, ts_ns=time.time_ns(), api="1.0", spec="0" * 64)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            raw = frame.get_payload_as_bytes()
            self.peer.check("in", raw)
            request = json.loads(raw)
            self.peer.requests.append(request)
            if not self.peer.on_request(self, request):
                self.peer.apply(self, request)
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self in self.peer.sessions:
            self.peer.sessions.remove(self)

    def send(self, **frame: Any) -> None:
        self.send_raw(json.dumps(frame).encode())

    def send_raw(self, raw: bytes) -> None:
        assert self.transport is not None
        if self.peer.checking:
            self.peer.check("out", raw)
        self.peer.frames_sent += 1
        if self.peer.frames_sent == self.peer.drop_at:
            self.drop()
        if self in self.peer.sessions:
            self.transport.send(WSMsgType.TEXT, raw)

    def err(self, re: int, code: str, retry: str, **more: Any) -> None:
        self.send(t="err", re=re, code=code, retry=retry, text="scripted", **more)

    def close(self, code: int) -> None:
        assert self.transport is not None
        self.transport.send(WSMsgType.CLOSE, code.to_bytes(2, "big"))
        self.transport.disconnect()

    def drop(self) -> None:
        """Break the connection without a word."""
        assert self.transport is not None
        self.following = False
        self.peer.sessions.remove(self)
        self.transport.disconnect(False)


class Peer:
    """The scripted gateway. ``on_request`` sees each request first and returns True when it dealt with it."""

    def __init__(self) -> None:
        self.aud = AUD
        self.check = FrameCheck()
        self.checking = True
        self.sessions: list[Session] = []
        self.requests: list[Frame] = []
        self.journal: list[Frame] = []
        self.orders: dict[str, Frame] = {}
        self.history = "h-1"
        self.answers: dict[tuple[object, ...], Frame] = {}
        self.drop_at = 0
        self.frames_sent = 0
        self.trimmed_to = 0
        self.auto_new = True
        self.hb_ms = 1000
        self.on_request: Hook = lambda session, request: False
        self.on_event: Callable[[Session, Frame], bool] = lambda session, event: False
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> "Peer":
        def accept(request: WSUpgradeRequest) -> Session:
            return Session(self)

        self._server = await ws_create_server(accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        for session in list(self.sessions):
            session.drop()
        self._server.close()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/ws"

    def apply(self, session: Session, request: Frame) -> None:
        """What a gateway does with a request; a repeated one gets its answer again."""
        key = _retry_key(request)
        if key is not None and key in self.answers:
            session.send(**self.answers[key], re=request["id"], dup=True)
            return
        before = len(self.journal)
        getattr(self, f"_{request['t']}")(session, request)
        if key is not None and len(self.journal) > before:
            self.answers[key] = self.journal[before]

    def _auth(self, session: Session, request: Frame) -> None:
        lines = "\n".join(("backstay-auth-1", self.aud, "bm9uY2U=", request["key"], request["session"]))
        public = Ed25519PublicKey.from_public_bytes(
            Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
        )
        public.verify(base64.b64decode(request["sig"]), lines.encode())
        session.send(
            t="welcome", re=request["id"], api="1.0", mode="paper", durability="disk", scopes=["read", "trade"],
            accounts=[ACCOUNT], limits=LIMITS, hb_ms=self.hb_ms, features={}, deprecated=[], leases=[],
        )  # fmt: skip

    def _subscribe(self, session: Session, request: Frame) -> None:
        after = request.get("after")
        replay = after is not None and after["history"] == self.history and after["seq"] >= self.trimmed_to
        head = len(self.journal)
        start = after["seq"] if replay else head
        session.send(
            t="sync", re=request["id"], account=ACCOUNT, history=self.history, head=head, seq=start,
            mode="replay" if replay else "snapshot",
        )  # fmt: skip
        if not replay:
            orders = [{**state, "seq": head} for state in self.orders.values()]
            session.send(
                t="snapshot", account=ACCOUNT, seq=head, part=1, last=True, orders=orders, positions=[], leases=[],
                halts=[],
            )  # fmt: skip
        session.following = True
        for event in self.journal[start:]:
            self.deliver(session, event)
        session.send(t="live", account=ACCOUNT, seq=head)

    def _place(self, session: Session, request: Frame) -> None:
        name = request["cl_ord_id"]
        if request.get("dry"):
            session.send(t="res", re=request["id"], what="dry", limits=[{"control": "SZ-MAX-QTY", "scope": "global"}])
            return
        self.accept(request, session)
        if self.auto_new and self.orders[name]["ord_status"] == "pending_new":
            self.record("new", name, ord_status="new", stage=None)

    def accept(self, item: Frame, session: Session | None = None) -> None:
        """Journal the acceptance of an order."""
        order = {key: item[key] for key in ("symbol", "side", "ord_type", "qty", "px", "trigger") if key in item}
        terms = {**order, "tif": item.get("tif", "day"), "reduce_only": item.get("reduce_only", False), "origin": "api"}
        held = {"ord_status": "held", "hold": "trigger"} if "trigger" in item else {"stage": "queued"}
        self.orders[item["cl_ord_id"]] = {
            "cl_ord_id": item["cl_ord_id"], "order_id": f"A1-{len(self.orders)}", "rev": 1, "ord_status": "pending_new",
            "pending": None, "cum_qty": "0", "leaves_qty": item["qty"], "avg_px": None, "order": terms, **held,
        }  # fmt: skip
        self.record("accepted", item["cl_ord_id"], asker=session, re=item.get("id"), order=terms)

    def _replace(self, session: Session, request: Frame) -> None:
        state = self.orders[request["cl_ord_id"]]
        if request["rev"] != state.get("ask_rev", 1) + 1:
            session.err(request["id"], "REV_CONFLICT", "never")
            return
        state["ask_rev"] = request["rev"]
        name, rev = request["cl_ord_id"], request["rev"]
        self.record("pending_replace", name, asker=session, re=request["id"], pending="replace", ask_rev=rev)
        terms = {**state["order"], **{key: request[key] for key in ("qty", "px") if key in request}}
        state["order"] = terms
        self.record("replaced", name, rev=rev, pending=None, leaves_qty=terms["qty"], ask_rev=rev, order=terms)

    def _cancel(self, session: Session, request: Frame) -> None:
        state = self.orders.get(request["cl_ord_id"])
        if state is None:
            session.err(request["id"], "UNKNOWN_ORDER", "never")
        elif state["ord_status"] in DONE:
            session.err(request["id"], "ORDER_DONE", "never", detail={"order": state})
        else:
            name = request["cl_ord_id"]
            self.record("pending_cancel", name, asker=session, re=request["id"], pending="cancel", reason="request")
            self.record(
                "canceled", name, ord_status="canceled", stage=None, hold=None, pending=None, leaves_qty="0",
                reason="request",
            )  # fmt: skip

    def _cancel_all(self, session: Session, request: Frame) -> None:
        names = [name for name, state in self.orders.items() if state["ord_status"] not in DONE]
        event = {"t": "cancel_all", "count": len(names), "keep": request.get("keep", "none")}
        self.append(event, session, request["id"])
        for name in names:
            self.record(
                "canceled", name, ord_status="canceled", stage=None, hold=None, leaves_qty="0", reason="request"
            )

    def _batch(self, session: Session, request: Frame) -> None:
        self.append({"t": "batch", "count": len(request["items"])}, session, request["id"])
        for item in request["items"]:
            self.accept(item)

    def _get(self, session: Session, request: Frame) -> None:
        state = self.orders.get(request.get("cl_ord_id", ""))
        if state is None:
            session.err(request["id"], "UNKNOWN_ORDER", "never")
        else:
            session.send(t="res", re=request["id"], what="order", head=len(self.journal), order=state)

    def _bye(self, session: Session, request: Frame) -> None:
        session.send(t="res", re=request["id"], what="bye")
        session.close(1000)

    def fill(self, name: str, qty: str, px: str, pos_qty: str) -> None:
        """Journal a fill of the whole order."""
        self.record(
            "trade", name, ord_status="filled", stage=None, cum_qty=qty, leaves_qty="0", avg_px=px, last_qty=qty,
            last_px=px, exec_id=f"x{len(self.journal)}", pos_qty=pos_qty,
        )  # fmt: skip

    def record(self, kind: str, name: str, asker: Session | None = None, re: int | None = None, **change: Any) -> None:
        """Journal an event of an order."""
        state = self.orders[name]
        members = ("rev", "ord_status", "stage", "hold", "pending", "cum_qty", "leaves_qty", "avg_px")
        for key in members:
            if key in change:
                state[key] = change.pop(key)
                if state[key] is None and key in ("stage", "hold"):
                    del state[key]
        stated = {key: state[key] for key in ("cl_ord_id", "order_id", *members) if key in state}
        self.append({"t": kind, **stated, **change}, asker, re)

    def append(self, event: Frame, asker: Session | None = None, re: int | None = None) -> None:
        """Journal an event and tell the followers."""
        event = {
            "t": event.pop("t"),
            "account": ACCOUNT,
            "seq": len(self.journal) + 1,
            "ts_ns": time.time_ns(),
            **event,
        }
        self.journal.append(event)
        for session in list(self.sessions):
            if session is asker and re is not None:
                self.deliver(session, {**event, "re": re})
            elif session.following:
                self.deliver(session, event)

    def deliver(self, session: Session, event: Frame) -> None:
        if not self.on_event(session, event):
            session.send(**event)

    def heartbeat(self) -> None:
        """Tell every session the head."""
        for session in self.sessions:
            session.send(t="hb", ts_ns=time.time_ns(), heads={ACCOUNT: len(self.journal)})


def _retry_key(request: Frame) -> tuple[object, ...] | None:
    """What makes two requests the same one."""
    if request["t"] == "batch":
        return ("batch", *(item["cl_ord_id"] for item in request["items"]))
    if request["t"] in ("place", "replace"):
        return (request["t"], request["cl_ord_id"], request.get("rev"))
    return None
