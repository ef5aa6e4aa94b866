"""Market-data client for Binance combined streams: frames go to the core in the turn that they arrive in.

What Binance documents ("WebSocket Streams", General information) and how it is met:
a connection ends after 24 hours -> renewed before that, without a gap;
`serverShutdown` announces an end -> the same; pings need their payload back -> picows answers them; at most 1024
streams a connection -> refused at start; reconnecting in a tight loop is punished -> exponential backoff with jitter.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from gateway.feeds.dial import local_socket
from gateway.feeds.health import FeedHealth

STREAMS_MAX = 1024
FRAME_BYTES_MAX = 1 << 20
CONNECT_MS_MAX = 10_000
CONNECTION_NS_MAX = (23 * 3600 + 50 * 60) * 1_000_000_000
CHECKS_PER_IDLE = 4
OVERLAP_FRAMES_MAX = 100_000

OnFrame = Callable[[bytes, int, int], object]
OnState = Callable[[bool, str], None]


def stream_url(url: str, symbols: Sequence[str]) -> str:
    """The address with the streams of these symbols, when it ends in `streams=`; any other address stays as it is.

    Raises ValueError for more streams than one connection may carry.
    """
    if not url.endswith("streams=") or not symbols:
        return url
    names = [f"{symbol.lower()}@{kind}" for symbol in symbols for kind in ("bookTicker", "trade")]
    if len(names) > STREAMS_MAX:
        raise ValueError(f"{len(names)} streams on one connection, at most {STREAMS_MAX}: use several feeds")
    return url + "/".join(names)


class _Connection(WSListener):
    """One WebSocket of the feed."""

    def __init__(self, feed: BinanceFeed, opened_ns: int) -> None:
        self.opened_ns = opened_ns
        self.cause = "closed by the feed"
        self._feed = feed
        self._transport: WSTransport | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._feed.begin(self)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT and frame.fin:
            self._feed.take(self, frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            self.cause = f"closed by the feed: {frame.get_close_code()}"
            transport.send_close(frame.get_close_code())
            transport.disconnect()
        elif frame.msg_type not in (WSMsgType.PING, WSMsgType.PONG):
            self._feed.health.ignored_frames += 1

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._feed.drop(self)

    def end(self, cause: str) -> None:
        self.cause = cause
        if self._transport is not None:
            self._transport.disconnect(False)


class BinanceFeed:
    """Owner of one feed's connection.

    `on_frame(payload, mono_ns, number)` is called for each text frame, synchronously; `number` is the feed's own.
    """

    def __init__(
        self,
        url: str,
        on_frame: OnFrame,
        on_state: OnState,
        *,
        number: int = 0,
        mono_ns: Callable[[], int],
        rng: Random,
        idle_ms: int = 10_000,
        backoff_ms_first: int = 100,
        backoff_ms_max: int = 10_000,
        connection_ns_max: int = CONNECTION_NS_MAX,
    ) -> None:
        self.url = url
        self.number = number
        self.health = FeedHealth()
        self._on_frame = on_frame
        self._on_state = on_state
        self._mono_ns = mono_ns
        self._rng = rng
        self._idle_ms = idle_ms
        self._backoff_ms_first = backoff_ms_first
        self._backoff_ms_max = backoff_ms_max
        self._connection_ns_max = connection_ns_max
        self._active: _Connection | None = None
        self._next: _Connection | None = None  # takes over at the first frame that both connections have given
        self._spoken: dict[bytes, None] = {}  # by the active one since the renewal began
        self._overheard: dict[bytes, int] = {}  # from the next one: payload to receipt
        self._wake = asyncio.Event()
        self._must_renew = False
        self._is_renewing = False
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start connecting; `on_state` tells when the feed is up. Idempotent."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="feed")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._active is not None:
            for connection in (self._next, self._active):
                if connection is not None:
                    connection.end("closed by us")
                    self.drop(connection)

    # --- called by connections ----------------------------------------------------------------------------------------

    def take(self, connection: _Connection, payload: bytes) -> None:
        """One text frame. While a renewal is under way the old connection speaks and the next one is overheard."""
        now_ns = self._mono_ns()
        if connection is self._active:
            self._deliver(payload, now_ns)
            if self._is_renewing and len(self._spoken) < OVERLAP_FRAMES_MAX:
                self._spoken[payload] = None
                if payload in self._overheard:
                    self._switch("renewed")
        elif connection is self._next:
            self._overheard[payload] = now_ns
            if payload in self._spoken or len(self._overheard) >= OVERLAP_FRAMES_MAX:
                self._switch("renewed")

    def _deliver(self, payload: bytes, now_ns: int) -> None:
        """The core comes first, the bookkeeping after it."""
        self._on_frame(payload, now_ns, self.number)
        health = self.health
        health.last_frame_ns = now_ns
        health.frames += 1
        health.bytes_received += len(payload)
        if b"serverShutdown" in payload:
            self._must_renew = True
            self._wake.set()

    def _switch(self, cause: str) -> None:
        """The next connection becomes the active one, at a frame that both gave: none is lost or comes twice."""
        old, self._active, self._next = self._active, self._next, None
        fresh = [(payload, at_ns) for payload, at_ns in self._overheard.items() if payload not in self._spoken]
        self._end_renewal()
        self.health.renewals += 1
        if old is not None:
            old.end(cause)
        for payload, at_ns in fresh:
            self._deliver(payload, at_ns)

    def drop(self, connection: _Connection) -> None:
        """A connection is gone. When it was the active one, the next one stands in with all that it has said."""
        if connection is self._next:
            self._next = None
            self._end_renewal()
        if connection is not self._active:
            return
        if self._next is not None:
            self._switch(connection.cause)
            return
        self._active = None
        self.health.set_state(is_up=False, cause=connection.cause, now_ns=self._mono_ns())
        self._wake.set()
        self._on_state(False, connection.cause)

    def _end_renewal(self) -> None:
        self._is_renewing = False
        self._overheard.clear()
        self._spoken.clear()

    # --- the feed's life ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Keep one connection for ever; one attempt at a time."""
        failures = 0
        while True:
            frames = self.health.frames
            await self._connect()
            await self._keep()
            if self.health.frames > frames:  # a feed that takes us and says nothing is a failure too
                failures = 0
            delay_ms = min(self._backoff_ms_max, self._backoff_ms_first << min(failures, 16))
            failures += 1
            await asyncio.sleep(delay_ms * (500 + self._rng.randrange(501)) / 1_000_000)

    async def _connect(self) -> None:
        """One more connection: the active one when there is none, else the next."""
        connection = _Connection(self, self._mono_ns())
        try:
            async with asyncio.timeout(CONNECT_MS_MAX / 1000):
                await ws_connect(
                    lambda: connection, self.url, socket_factory=local_socket, max_frame_size=FRAME_BYTES_MAX
                )
        except (OSError, TimeoutError, WSError) as error:
            if self._active is None:
                self.health.cause = f"{type(error).__name__}: {error}"

    def begin(self, connection: _Connection) -> None:
        """A connection is open."""
        if self._active is not None:
            self._next = connection
            return
        self._active = connection
        self.health.set_state(is_up=True, cause="connected", now_ns=self._mono_ns())
        self._on_state(True, "connected")

    async def _keep(self) -> None:
        """Until the feed is lost: watch for silence, and renew the connection before the venue ends it."""
        while self._active is not None:
            self._wake.clear()
            if self._next is None and self._is_renewal_due(self._active):
                self._must_renew, self._is_renewing = False, True
                await self._connect()
                if self._next is None:
                    self._end_renewal()
            try:
                async with asyncio.timeout(self._idle_ms / 1000 / CHECKS_PER_IDLE):
                    await self._wake.wait()
            except TimeoutError:
                self._end_if_silent()

    def _is_renewal_due(self, active: _Connection) -> bool:
        return self._must_renew or self._mono_ns() - active.opened_ns > self._connection_ns_max

    def _end_if_silent(self) -> None:
        """Silence of both connections is a loss."""
        active, waiting = self._active, self._next
        if active is None or self.health.silence_ns(self._mono_ns()) <= self._idle_ms * 1_000_000:
            return
        for connection in (waiting, active):
            if connection is not None:
                connection.end(f"silent for {self._idle_ms} ms")
                self.drop(connection)
