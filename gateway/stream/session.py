"""One client connection: login, its frames in order, and its end (order-api sections 1 to 3 and 9)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from gateway.contracts import notices
from gateway.contracts import requests as asked
from gateway.contracts.errors import error_kind
from gateway.contracts.messages import (
    FRAME_BYTES_MAX,
    decode_request,
    decode_request_msgpack,
    explain_decode_error,
    recover_id,
)
from gateway.contracts.values import NAME_PATTERN
from gateway.plants import reach
from gateway.stream.fanout import Outbox
from gateway.stream.follow import Following
from gateway.stream.keys import Key, signed_text
from gateway.stream.lane import Lane
from gateway.stream.orders import OrderRequests

if TYPE_CHECKING:
    from gateway.stream.server import StreamServer

NAME = re.compile(NAME_PATTERN.strip("^$"))
encode = msgspec.json.Encoder().encode
LINGER_NS = 2_000_000_000  # how long a closed connection may take to read what is left for it
PATIENCE = 10  # refused frames above the place rate, over five seconds, before the flood close


class Session(WSListener):
    """State of one connection. Frames are applied in the order sent and answered in that order."""

    def __init__(self, server: StreamServer, binary: bool, address: str) -> None:
        self.server = server
        self.engine = server.engine
        self.binary = binary
        self.address = address
        self.message_kind = WSMsgType.BINARY if binary else WSMsgType.TEXT
        decode = decode_request_msgpack if binary else decode_request
        self.lane = Lane(self, decode, server.limits.unanswered_max)
        self.transport: WSTransport = None  # type: ignore[assignment]  # set before the first frame
        self.outbox: Outbox = None  # type: ignore[assignment]  # likewise
        self.key: Key | None = None
        self.name = ""
        self.rows: dict[str | None, int] = {}  # accounts that the key may use; None: the one meant when none is named
        self.nonce = ""
        self.last_rx_ns = 0
        self.refused = 0
        self.refused_since_ns = 0
        self.is_dead = False
        self.following = Following(self)
        self.orders = OrderRequests(self)
        self.handlers: dict[type, Callable[[Any, int], object]] = {
            asked.Cancel: self.orders.cancel,
            asked.Replace: self.orders.replace,
            asked.CancelAll: self.orders.cancel_all,
            asked.Batch: self.orders.batch,
            asked.Get: self.orders.get,
            asked.Subscribe: self.following.subscribe,
            asked.Unsubscribe: self.following.unsubscribe,
            asked.Lease: self._lease,
            asked.Bye: self._bye,
        }

    # --- picows ------------------------------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        under = transport.underlying_transport
        socket = None if transport.is_secure else under.get_extra_info("socket")
        fd = -1 if socket is None else socket.fileno()  # no socket: not one of the kernel's
        self.outbox = Outbox(under, fd, self.server.limits.outbound_bytes, self.binary, self._too_slow)
        self.outbox.on_lag = self._lags
        self.lane.connect(self.outbox, self.orders, self.handlers)
        self.last_rx_ns = self.engine.clock.mono_ns()
        self.nonce = base64.b64encode(self.server.token_bytes(18)).decode()
        self.server.joined(self)
        hello = notices.Hello(
            nonce=self.nonce, aud=self.server.aud, ts_ns=self.engine.clock.wall_ns(), api=self.server.api,
            spec=self.server.spec,
        )  # fmt: skip
        self.send(hello)
        self.outbox.flush()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if self.is_dead:
            if frame.msg_type == WSMsgType.CLOSE:
                transport.disconnect()
            return
        in_ns = self.engine.clock.wall_ns()
        self.last_rx_ns = rx_ns = self.engine.clock.mono_ns()
        if frame.msg_type == self.message_kind and frame.fin and frame.payload_size <= FRAME_BYTES_MAX:
            self.lane.on_message(frame.get_payload_as_bytes(), in_ns, rx_ns)
        else:
            self._on_other_frame(transport, frame)
        if frame.last_in_buffer:
            self.engine.flush()
            self.outbox.flush()

    def _on_other_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """What is no message: the end, a ping, or a breach of the frame rules (order-api section 2)."""
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            transport.disconnect()
        elif kind == WSMsgType.CONTINUATION:
            self.close(4002, "a message is one frame")
        elif kind in (WSMsgType.TEXT, WSMsgType.BINARY):
            if frame.payload_size > FRAME_BYTES_MAX or not frame.fin:
                self.close(4002, "a frame holds one message of at most 64 KiB")
            else:
                self.close(4002, "the subprotocol says text for JSON and binary for MessagePack")

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.is_dead = True
        if self.outbox is not None:
            self._leave()

    def _leave(self) -> None:
        """Nobody counts on this connection any more; again changes nothing."""
        self.following.end()
        self.engine.fanout.drop(self.outbox)
        self.server.left(self)

    # --- frames ------------------------------------------------------------------------------------------------------

    def undecodable(self, raw: bytes, error: Exception, in_ns: int) -> None:
        """Refuse what is no request, by its id if it has one."""
        request_id = recover_id(raw, msgpack=self.binary)
        if request_id is None:
            self.close(4002, "the frame is not an object with an id")
            return
        self.lane.last_id = max(self.lane.last_id, request_id)
        code, path, text = explain_decode_error(error)
        self.refuse(request_id, code, in_ns, text, path=path or None)

    def authenticate(self, req: Any, in_ns: int) -> None:
        """The first request: who speaks (order-api section 3)."""
        if type(req) is not asked.Auth:
            self.refuse(req.id, "AUTH_REQUIRED", in_ns)
            return
        if NAME.fullmatch(req.session) is None:
            self.refuse(req.id, "BAD_FIELD", in_ns, "session must be 1 to 36 of A-Z a-z 0-9 . _ : -", path="session")
            return
        key = self.server.keys.find(req.key)
        nonce, self.nonce = self.nonce, ""
        code = ""
        if (
            key is None
            or not nonce
            or not key.verify(signed_text(self.server.aud, nonce, req.key, req.session), req.sig)
        ):
            code = "AUTH_FAILED"
        elif not key.is_valid_at(in_ns):
            code = "KEY_REVOKED"
        elif not key.may_come_from(self.address):
            code = "IP_DENIED"
        elif key.connections >= self.server.limits.connections_per_key and not self.server.has_session(
            key, req.session
        ):
            code = "BUSY"
        if code or key is None:
            self.refuse(req.id, code, in_ns)
            self.close(4003 if code == "KEY_REVOKED" else 4001, error_kind(code).text)
            return
        self.key = key
        rows = self.engine.state.accounts
        self.rows = {name: rows[name] for name in key.accounts if name in rows}
        if len(key.accounts) == 1 and self.rows:
            self.rows[None] = next(iter(self.rows.values()))
        self.name = req.session
        self.lane.open(key, req.session.encode(), self.rows)
        self.server.logged_in(self)
        self.reply(self.server.welcome(self, req.id))
        self.reply(self.server.status())

    def _lease(self, req: asked.Lease, in_ns: int) -> None:
        self.refuse(req.id, "UNSUPPORTED", in_ns, "leases are not offered by this deployment", path="t")

    def _bye(self, req: asked.Bye, in_ns: int) -> None:
        self.reply(notices.Res(re=req.id, in_ns=in_ns, out_ns=self.engine.clock.wall_ns(), what="bye"))
        self.engine.flush()
        self.close(1000, "bye")

    # --- answers -----------------------------------------------------------------------------------------------------

    def send(self, notice: msgspec.Struct) -> None:
        """A notice, at once."""
        self.outbox.send(encode(notice))

    def reply(self, notice: msgspec.Struct) -> None:
        """An answer or notice in its place behind the answers under way."""
        self.engine.reply(self.outbox, encode(notice))

    def refuse(
        self, request_id: int, code: str, in_ns: int, text: str = "", *, path: str | None = None,
        detail: dict[str, Any] | None = None, retry_ns: int | None = None, left: int | None = None, retry: str = "",
    ) -> None:  # fmt: skip
        """`err`: the request had no effect."""
        frame = self.refusal(
            request_id, code, in_ns, text, path=path, detail=detail, retry_ns=retry_ns, left=left, retry=retry
        )
        self.engine.reply(self.outbox, frame)
        self.server.count_refusal(code)
        self._count_flood(in_ns)

    def refusal(
        self, request_id: int, code: str, in_ns: int, text: str = "", *, path: str | None = None,
        detail: dict[str, Any] | None = None, retry_ns: int | None = None, left: int | None = None, retry: str = "",
    ) -> bytes:  # fmt: skip
        """The frame of an `err`."""
        kind = error_kind(code)
        return encode(
            notices.Err(
                re=request_id, code=code, retry=retry or kind.retry, text=text or kind.text, path=path, detail=detail,  # type: ignore[arg-type]
                retry_ns=retry_ns, left=left, in_ns=in_ns, out_ns=self.engine.clock.wall_ns(),
            )
        )  # fmt: skip

    def _count_flood(self, now_ns: int) -> None:
        if now_ns - self.refused_since_ns > 5_000_000_000:
            self.refused, self.refused_since_ns = 0, now_ns
        self.refused += 1
        if self.refused > 5 * PATIENCE * self.server.limits.place_per_s:
            self.close(4029, "flood of refused frames")

    # --- the end -----------------------------------------------------------------------------------------------------

    def close(self, code: int, reason: str) -> None:
        """Close with a code of order-api section 9; frames that come after it are not applied."""
        if self.is_dead:
            return
        self.outbox.flush()
        self.is_dead = True
        self.outbox.close()
        self.transport.send_close(_code(code), reason.encode()[:120])
        self.server.count_close(code)
        self._part()

    def _part(self) -> None:
        """Wait for the peer's close, but not for long: with its frames unread, an end now would lose ours."""
        self._leave()
        if self.key is None:
            self.transport.disconnect()
        self.engine.later(LINGER_NS, lambda: self.transport.disconnect(graceful=False))

    def _lags(self) -> None:
        """Half of the outbound buffer is full: say so while there is room."""
        self.send(notices.Status(lag=notices.Lag(frames=0, bytes=self.outbox.backlog_bytes)))
        self.outbox.flush()

    def _too_slow(self) -> None:
        self.engine.soon(self._close_slow)

    def _close_slow(self) -> None:
        if not self.is_dead:
            reach("session.too_slow")
            self.is_dead = True
            self.server.count_close(4010)
            self.transport.send_close(_code(4010), b"too slow: resume from the last seq")
            self._part()


def _code(code: int) -> WSCloseCode:
    return code  # type: ignore[return-value]  # the library's type lists the registered codes; any 4xxx is legal
