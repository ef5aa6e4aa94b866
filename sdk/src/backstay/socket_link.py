"""One WebSocket to a gateway: opens it, logs in, decodes each frame, and notices when it goes mute."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

import msgspec
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from backstay._wire import ServerFrame
from backstay._wire.notices import Err, Hello, Welcome
from backstay._wire.requests import Auth
from backstay.clock import ServerClock
from backstay.credentials import Credentials
from backstay.dial import local_socket
from backstay.errors import Refused

SUBPROTOCOL = "backstay.v1.json"
LOGIN_S = 5.0
MUTE_BEATS = 3
AUTH_ID = 1
FRAME_BYTES_MAX = 16 * 1024 * 1024

_decode = msgspec.json.Decoder(ServerFrame).decode
_encode = msgspec.json.Encoder().encode


class Unknown(msgspec.Struct, frozen=True, gc=False):
    """A frame of a later version: counted, and if it is an event its number is taken, but it is not processed."""

    t: str = ""
    account: str | None = None
    seq: int | None = None


_decode_unknown = msgspec.json.Decoder(Unknown).decode

FrameHandler = Callable[["SocketLink", Any], None]
Tap = Callable[[str, bytes], None]


class SocketLink(WSListener):
    """The socket and its close code; frames go to ``on_frame`` in the order in which they came."""

    def __init__(self, on_frame: FrameHandler, clock: ServerClock, tap: Tap | None) -> None:
        self._on_frame = on_frame
        self._clock = clock
        self._tap = tap
        self._loop = asyncio.get_running_loop()
        self._transport: WSTransport | None = None
        self._heard = True
        self._mute_beats = 0
        self._watch: asyncio.TimerHandle | None = None
        self.first: asyncio.Future[Hello] = self._loop.create_future()
        self.welcomed: asyncio.Future[Welcome] = self._loop.create_future()
        self.closed: asyncio.Future[tuple[int, str]] = self._loop.create_future()
        self._close: tuple[int, str] = (1006, "the connection broke")

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self._heard = True
        if frame.msg_type == WSMsgType.TEXT:
            payload = frame.get_payload_as_memoryview()
            if self._tap is not None:
                self._tap("out", bytes(payload))
            try:
                message = _decode(payload)
            except msgspec.ValidationError:
                message = _decode_unknown(payload)
            if self.welcomed.done():
                self._on_frame(self, message)
            else:
                self._log_in_frame(message)
        elif frame.msg_type == WSMsgType.CLOSE:
            said = frame.get_payload_as_bytes()
            self._close = (int.from_bytes(said[:2], "big") or 1005, said[2:].decode(errors="replace"))
            transport.send(WSMsgType.CLOSE, said[:2])
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if not self.closed.done():
            self.closed.set_result(self._close)
        broken = ConnectionError(f"closed with {self._close[0]}: {self._close[1]}")
        for waiting in (self.first, self.welcomed):
            if not waiting.done():
                waiting.set_exception(broken)
                waiting.exception()  # seen, whether or not anyone still waits

    @property
    def is_open(self) -> bool:
        return not self.closed.done()

    def send(self, request: msgspec.Struct) -> None:
        """Write a request; nothing happens on a socket that is gone (its requests are sent again on the next one)."""
        if self._transport is not None and not self.closed.done():
            raw = _encode(request)
            if self._tap is not None:
                self._tap("in", raw)
            self._transport.send(WSMsgType.TEXT, raw)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Leave; ``closed`` then says ``code``."""
        if self._transport is not None and not self.closed.done():
            self._close = (code, reason)
            self._transport.send_close(WSCloseCode.OK)
            self._transport.disconnect()

    def watch(self, beat_s: float) -> None:
        """Close with 4008 when nothing at all came for three heartbeats."""
        self._watch = self._loop.call_later(beat_s, self._beat, beat_s)

    def _beat(self, beat_s: float) -> None:
        self._mute_beats = 0 if self._heard else self._mute_beats + 1
        self._heard = False
        if self._mute_beats >= MUTE_BEATS:
            self._close = (4008, "the gateway went silent")
            if self._transport is not None:
                self._transport.disconnect(False)
        else:
            self.watch(beat_s)

    def _log_in_frame(self, message: Any) -> None:
        if isinstance(message, Hello) and not self.first.done():
            self._clock.observe(message.ts_ns)
            self.first.set_result(message)
        elif isinstance(message, Welcome):
            self.welcomed.set_result(message)
            self._on_frame(self, message)
        elif isinstance(message, Err):
            self.welcomed.set_exception(Refused.from_err(message))


async def open_socket(
    url: str,
    *,
    credentials: Credentials,
    aud: str,
    ssl_context: ssl.SSLContext | None,
    on_frame: FrameHandler,
    clock: ServerClock,
    tap: Tap | None = None,
) -> SocketLink:
    """Connect and log in. Raises Refused when that is final, and an OSError when another try may do better."""
    async with asyncio.timeout(LOGIN_S):
        _, link = await ws_connect(
            lambda: SocketLink(on_frame, clock, tap),
            url,
            ssl_context=ssl_context,
            socket_factory=local_socket,
            websocket_handshake_timeout=LOGIN_S,
            max_frame_size=FRAME_BYTES_MAX,
            extra_headers={"Sec-WebSocket-Protocol": SUBPROTOCOL},
            logger_name="backstay",
        )
        if not isinstance(link, SocketLink):  # closed between the handshake and now: the library has let it go
            raise ConnectionError("the gateway closed at once")
        logged_in = False
        try:
            hello = await link.first
            if hello.aud != aud:
                raise Refused(
                    "AUD_MISMATCH", "never", f"this gateway is {hello.aud!r}, not {aud!r}: nothing was signed"
                )
            sig = credentials.signature(aud=aud, nonce=hello.nonce)
            link.send(Auth(id=AUTH_ID, key=credentials.key, session=credentials.session, sig=sig))
            await link.welcomed
            logged_in = True
        finally:
            if not logged_in:
                link.close()
    return link
