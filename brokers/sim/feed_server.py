"""The venue's market-data side: combined-stream frames over WebSocket to whoever subscribes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    ws_create_server,
)

BACKLOG_BYTES_MAX = 8 << 20
BACKLOG_BYTES_FULL = 1 << 20
SUBSCRIBERS_MAX = 64


class Subscriber(WSListener):
    """One market-data connection. `streams` is empty for all of them; `line` is the one that it came in by."""

    def __init__(self, server: FeedServer, streams: frozenset[str], line: str) -> None:
        self.server = server
        self.line = line
        self.streams = streams
        self.transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        self.server.add(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.server.remove(self)

    @property
    def backlog_bytes(self) -> int:
        return self.transport.underlying_transport.get_write_buffer_size() if self.transport else 0


class FeedServer:
    """Publishes frames in the caller's turn. A subscriber that does not read is closed, the others do not wait."""

    def __init__(self, on_subscribed: Callable[[], None]) -> None:
        self.frame_count = 0
        self._on_subscribed = on_subscribed
        self._subscribers: list[Subscriber] = []
        self._server: asyncio.Server | None = None
        self._muted: set[str] = set()
        self._refused: set[str] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; the port."""
        self._server = await ws_create_server(
            self._accept,
            host,
            port,
            enable_auto_ping=True,
            auto_ping_idle_timeout=20,
            auto_ping_strategy=WSAutoPingStrategy.PING_PERIODICALLY,
        )
        return int(self._server.sockets[0].getsockname()[1])

    def _accept(self, request: WSUpgradeRequest) -> WSListener | None:
        url = urlsplit(request.path.decode("ascii", "replace"))
        query = parse_qs(url.query)
        line = query.get("line", [""])[0]
        if url.path not in ("/stream", "/ws") or len(self._subscribers) >= SUBSCRIBERS_MAX or line in self._refused:
            return None
        names = query.get("streams", [""])[0]
        return Subscriber(self, frozenset(name for name in names.split("/") if name), line)

    def add(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)
        self._on_subscribed()

    def remove(self, subscriber: Subscriber) -> None:
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)

    @property
    def subscriber_count(self) -> int:
        return len(self._subscribers)

    @property
    def is_backed_up(self) -> bool:
        """True while some subscriber has more unread than a fast source should add to."""
        return any(subscriber.backlog_bytes > BACKLOG_BYTES_FULL for subscriber in self._subscribers)

    def publish(self, stream: str, frame: bytes) -> None:
        """Send to each subscriber of the stream; a frame without a stream name goes to all."""
        self.frame_count += 1
        for subscriber in tuple(self._subscribers):
            if subscriber.line in self._muted:
                continue
            if subscriber.streams and stream and stream not in subscriber.streams:
                continue
            transport = subscriber.transport
            if transport is None:
                continue
            if subscriber.backlog_bytes > BACKLOG_BYTES_MAX:
                transport.send_close(WSCloseCode.TRY_AGAIN_LATER, b"too slow")
                transport.disconnect(False)
                self.remove(subscriber)
            else:
                transport.send(WSMsgType.TEXT, frame)

    def drop_all(self) -> None:
        """Reset every market-data connection."""
        self._drop({subscriber.line for subscriber in self._subscribers})

    def _drop(self, lines: set[str]) -> None:
        for subscriber in tuple(self._subscribers):
            if subscriber.line in lines and subscriber.transport is not None:
                subscriber.transport.disconnect(False)

    def set_line(self, line: str, mode: str) -> None:
        """Break one of the lines that subscribers come in by, or mend it.

        mode: `mute` says nothing on it, `refuse` drops it and takes nobody, `unmute` ends both, `reset` drops it once.
        Raises ValueError for any other.
        """
        if mode not in ("mute", "unmute", "refuse", "reset"):
            raise ValueError(f"no such mode: {mode}")
        for lines, name in ((self._muted, "mute"), (self._refused, "refuse")):
            if mode == name:
                lines.add(line)
            elif mode == "unmute":
                lines.discard(line)
        if mode in ("refuse", "reset"):
            self._drop({line})

    async def stop(self) -> None:
        self.drop_all()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
