"""The harness as the outside world: it is the feed (WebSocket) and the venue (TCP), on the client's own loop.

Nothing is matched. The venue notes when a `new` line was read, answers it with `ack` in the same turn, and answers
every query that it does not know the order. The feed sends what it is told to, at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import perf_counter_ns, time_ns
from typing import cast

from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

from benchmarks.client import put
from benchmarks.echo import server_header
from brokers.sim.market import quote_frame

HOST = "127.0.0.1"
ID_AT = len(b'{"t":"new","id":"')
NEW = b'{"t":"new"'


class _Subscriber(WSListener):
    """The gateway's one feed connection."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.feed.transport = transport
        self.feed.fd = transport.underlying_transport.get_extra_info("socket").fileno()
        self.feed.connected.set()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.feed.connected.clear()


class Feed:
    """Sends frames to the gateway's feed client."""

    def __init__(self) -> None:
        self.transport: WSTransport
        self.fd = -1
        self.connected = asyncio.Event()
        self.numbers = 0

    async def start(self) -> int:
        """Listen; the port."""

        def accept(request: WSUpgradeRequest) -> WSListener:
            return _Subscriber(self)

        self._server = await ws_create_server(accept, HOST, 0)
        return int(self._server.sockets[0].getsockname()[1])

    def quote(self, symbol: str, bid: str, ask: str) -> bytes:
        """A whole WebSocket frame with the next quote of a symbol."""
        self.numbers += 1
        text = quote_frame(symbol, bid, "1000", ask, "1000", self.numbers, time_ns() // 1_000_000)
        return server_header(len(text)) + text

    def send(self, frame: bytes) -> None:
        """The frame into the kernel, now."""
        put(self.transport.underlying_transport, self.fd, frame)

    async def close(self) -> None:
        self._server.close()


class Venue(asyncio.Protocol):
    """One order session. `on_new` gets the moment of the read and how many `new` lines came with it."""

    def __init__(self) -> None:
        self.orders = 0
        self.is_acking = True
        self.on_new: Callable[[int, int], None] = lambda at_ns, count: None
        self.logged_in = asyncio.Event()
        self._transport: asyncio.Transport
        self._rest = b""
        self._fd = -1

    async def start(self) -> int:
        """Listen; the port. One gateway at a time: each connection takes over."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: self, HOST, 0)
        return int(self._server.sockets[0].getsockname()[1])

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._fd = transport.get_extra_info("socket").fileno()
        self._rest = b""
        self._send(b'{"t":"hello","venue":"sim","proto":1,"challenge":"bench"}\n')

    def connection_lost(self, error: Exception | None) -> None:
        self.logged_in.clear()

    def data_received(self, data: bytes) -> None:
        now = perf_counter_ns()
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        out: list[bytes] = []
        count = 0
        for line in lines:
            if line.startswith(NEW):
                count += 1
                if self.is_acking:
                    name = line[ID_AT : line.index(b'"', ID_AT)]
                    out.append(b'{"t":"ack","id":"%b","oid":"V%d","ts":%d}\n' % (name, self.orders + count, time_ns()))
            else:
                out.append(self._other(line))
        if count:
            self.orders += count
            self.on_new(now, count)
        if out:
            self._send(b"".join(out))

    def _other(self, line: bytes) -> bytes:
        kind = line[6 : line.index(b'"', 6)]
        if kind == b"ping":
            number = line[line.index(b'"id":') + 5 : -1] if b'"id":' in line else b"0"
            return b'{"t":"pong","id":%b,"exec_seq":0,"ts":%d}\n' % (number, time_ns())
        if kind == b"login":
            self.logged_in.set()
            return b'{"t":"welcome","exec_seq":0,"hb_ms":1000,"ts":%d}\n' % time_ns()
        if kind == b"query":
            name = line[line.index(b'"id":"') + 6 : line.rindex(b'"')]
            return b'{"t":"state","id":"%b","found":false,"ts":%d}\n' % (name, time_ns())
        if kind == b"execs":
            return b'{"t":"execs_end","exec_seq":0,"ts":%d}\n' % time_ns()
        return b""

    def _send(self, data: bytes) -> None:
        put(self._transport, self._fd, data)

    async def close(self) -> None:
        self._server.close()
