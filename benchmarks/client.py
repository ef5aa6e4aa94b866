"""A lean client: pre-encoded frames, a raw listener, one clock. It measures; it does not understand what it reads.

The same listener talks to the echo server and to the gateway, so both are measured by the same code.
"""

from __future__ import annotations

import asyncio
import base64
import ctypes
import hmac
import os
import struct
from collections.abc import Callable, Sequence
from time import perf_counter_ns

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from brokers.wire import send_now

SUBPROTOCOL = "backstay.v1.json"
PATIENCE_S = 30.0
TFD_NONBLOCK, CLOCK_MONOTONIC = 0o4000, 1
_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The gateway answered with an error, or closed: the harness asks for something that it should not."""


class Connection(WSListener):
    """One connection. `mark` is how the frames begin that count as answers; all others are notices."""

    def __init__(self, mark: bytes) -> None:
        self.mark = mark
        self.transport: WSTransport
        self.fd = -1
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()
        self.frames: Sequence[bytes] = ()
        self.sent_ns: list[int] = []
        self.latencies_ns: list[int] = []
        self.sent = 0
        self.heard = 0
        self.due = 0
        self.window = 0
        self.refused = b""
        self.done: asyncio.Future[None] | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.fd = transport.underlying_transport.get_extra_info("socket").fileno()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        now = perf_counter_ns()
        payload = frame.get_payload_as_bytes()
        if self.done is None:
            self.inbox.put_nowait(payload)
            return
        if payload.startswith(self.mark):
            self.latencies_ns.append(now - self.sent_ns[self.heard])
            self.heard += 1
            if self.heard == self.due:
                self._finish()
                return
        elif payload.startswith(b'{"t":"err"'):
            self.refused = payload
            self._finish()
            return
        if self.window and frame.last_in_buffer:
            self._refill()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.refused = self.refused or b"connection closed"
        self._finish()

    def _finish(self) -> None:
        if self.done is not None and not self.done.done():
            self.done.set_result(None)

    def _refill(self) -> None:
        """Fill the window: what is due leaves in one write."""
        count = min(self.window - (self.sent - self.heard), self.due - self.sent)
        if count > 0:
            self.send(count)

    def send(self, count: int) -> None:
        """The next `count` frames in one write."""
        first = self.sent
        self.sent = first + count
        data = self.frames[first] if count == 1 else b"".join(self.frames[first : first + count])
        self.sent_ns.extend([perf_counter_ns()] * count)
        put(self.transport.underlying_transport, self.fd, data)

    def begin(self, frames: Sequence[bytes], window: int) -> None:
        """Make ready to send these frames (masked already)."""
        self.frames, self.window, self.due = frames, window, len(frames)
        self.sent_ns, self.latencies_ns = [], []
        self.sent = self.heard = 0
        self.done = asyncio.get_running_loop().create_future()

    async def finish(self) -> list[int]:
        """Wait for all answers; their latencies in nanoseconds, in order."""
        assert self.done is not None
        try:
            async with asyncio.timeout(PATIENCE_S + self.due / 1_000):
                await self.done
        except TimeoutError:
            raise Refused(f"{self.heard} of {self.due} answers came") from None
        self.done = None
        if self.refused:
            raise Refused(self.refused.decode(errors="replace"))
        return self.latencies_ns

    async def closed_loop(self, frames: Sequence[bytes], window: int = 1) -> list[int]:
        """At most `window` unanswered; returns the latencies."""
        self.begin(frames, window)
        self.send(min(window, len(frames)))
        return await self.finish()

    async def paced(self, frames: Sequence[bytes], per_s: int) -> list[int]:
        """At a rate, whatever the answers do; measured from the moment of sending."""
        self.begin(frames, 0)
        pacer = Pacer(per_s, self._send_due)
        try:
            return await self.finish()
        finally:
            pacer.close()

    def _send_due(self, count: int) -> None:
        count = min(count, self.due - self.sent)
        for _ in range(count):
            self.send(1)


class Pacer:
    """Calls `due(count)` on a timer of the kernel: the loop's own timers count whole milliseconds."""

    def __init__(self, per_s: int, due: Callable[[int], None]) -> None:
        self.fd = _libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        period_ns = 1_000_000_000 // per_s
        spec = struct.pack("qqqq", *divmod(period_ns, 1_000_000_000), *divmod(period_ns, 1_000_000_000))
        if _libc.timerfd_settime(self.fd, 0, spec, None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        self.due = due
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(self.fd, self._fire)

    def _fire(self) -> None:
        self.due(int.from_bytes(os.read(self.fd, 8), "little"))

    def close(self) -> None:
        self.loop.remove_reader(self.fd)
        os.close(self.fd)


def put(transport: asyncio.Transport, fd: int, data: bytes) -> None:
    """Bytes into the kernel now; what it does not take, and what comes after that, goes through the transport."""
    done = send_now(fd, data) if transport.get_write_buffer_size() == 0 else 0
    if done < len(data):
        transport.write(data[max(0, done) :])


def masked(payload: bytes) -> bytes:
    """One client text frame. The mask is zero, so the payload stays as it is; the server unmasks it all the same."""
    size = len(payload)
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    return head + bytes(4) + payload


async def echo_connection(port: int, path: str = "/") -> Connection:
    """A connection to the echo server."""
    _, listener = await ws_connect(lambda: Connection(b'{"t":"place"'), f"ws://127.0.0.1:{port}{path}")
    return listener  # type: ignore[return-value]


async def order_connection(url: str, key: str, secret: bytes, session: str) -> Connection:
    """A connection to the gateway, logged in."""
    _, listener = await ws_connect(
        lambda: Connection(b'{"t":"accepted"'), url, extra_headers={"Sec-WebSocket-Protocol": SUBPROTOCOL}
    )
    assert isinstance(listener, Connection)
    hello = msgspec.json.decode(await listener.inbox.get())
    text = "\n".join(("backstay-auth-1", hello["aud"], hello["nonce"], key, session))
    sig = base64.b64encode(hmac.digest(secret, text.encode(), "sha256")).decode()
    auth = {"t": "auth", "id": 1, "key": key, "session": session, "sig": sig}
    listener.transport.send(WSMsgType.TEXT, msgspec.json.encode(auth))
    welcome = await listener.inbox.get()
    if not welcome.startswith(b'{"t":"welcome"'):
        raise Refused(welcome.decode())
    return listener


class Frames:
    """Place requests in order: ids rise on each connection, names are unique in the run."""

    def __init__(self, name: str, symbol: str, px: str) -> None:
        self.name, self.symbol, self.px = name, symbol, px
        self.next_id = 2

    def take(self, count: int) -> list[bytes]:
        """The next `count` requests, encoded and masked."""
        first, self.next_id = self.next_id, self.next_id + count
        tail = f'","symbol":"{self.symbol}","side":"buy","ord_type":"limit","qty":"1","px":"{self.px}","tif":"gtc"}}'
        return [
            masked(f'{{"t":"place","id":{at},"cl_ord_id":"{self.name}-{at:08d}{tail}'.encode())
            for at in range(first, first + count)
        ]
