"""An iterator over an account's events: bounded, never stalls the socket, re-reads what it was too slow for."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

from backstay._wire.events import Event

QUEUE_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Link:
    """What became of the connection: how many events were replayed, and for how long nothing could be heard.

    ``state`` is ``lost``, ``resumed`` (nothing is missing), ``snapshot`` (the events in between are gone, the book is
    right) or ``history`` (the gateway was restored from a backup: what was seen after it did not happen).
    """

    state: Literal["lost", "resumed", "snapshot", "history"]
    replayed: int = 0
    gap_s: float = 0.0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing came for as long as the iterator was told to wait."""


@dataclass(frozen=True, slots=True)
class Lagged:
    """The iterator's queue was full; the ``missed`` events are read again and follow."""

    missed: int


StreamItem = Event | Link | Idle | Lagged


class EventStream:
    """``async for event in gw.events(...)``. It has a cursor of its own: it takes event ``seq + 1`` and no other."""

    def __init__(
        self,
        *,
        seq: int,
        wanted: Callable[[Event], bool] | None,
        idle_s: float | None,
        limit: int,
        head: Callable[[], int],
        reread: Callable[[int], None],
        closed: Callable[["EventStream"], None],
    ) -> None:
        self.seq = seq
        self._wanted = wanted
        self._idle_s = idle_s
        self._limit = limit
        self._head = head
        self._reread = reread
        self._closed = closed
        self._queue: deque[StreamItem] = deque()
        self._waiter: asyncio.Future[bool] | None = None
        self._rereading = False
        self._failure: Exception | None = None
        self._ended = False

    def push(self, event: Event) -> None:
        """Take the event if it is the next one and there is room; what is not taken now is re-read later."""
        if event.seq != self.seq + 1 or len(self._queue) >= self._limit:
            return
        self.seq = event.seq
        if self._wanted is None or self._wanted(event):
            self._queue.append(event)
            self._wake()

    def tell(self, link: Link) -> None:
        """Say what became of the connection; of two in a row that nobody has read yet the newer stands."""
        if self._queue and isinstance(self._queue[-1], Link) and self._queue[-1].state == link.state:
            self._queue.pop()
        self._queue.append(link)
        self._rereading = False
        self._wake()

    def skip(self, seq: int) -> None:
        """Pass over an event that this version cannot read."""
        if seq == self.seq + 1:
            self.seq = seq

    def jump(self, seq: int) -> None:
        """Go on after a snapshot."""
        self.seq = seq
        self._rereading = False

    def caught_up(self) -> None:
        """A re-read has ended; if the queue was full again the consumer will ask once more."""
        self._rereading = False
        self._wake()

    def fail(self, failure: Exception) -> None:
        """End the stream with an exception, after what is queued."""
        self._failure = failure
        self._wake()

    def close(self) -> None:
        """End the stream."""
        self._ended = True
        self._closed(self)
        self._wake()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> StreamItem:
        while not self._queue:
            if self._ended:
                raise StopAsyncIteration
            if self._failure is not None:
                raise self._failure
            missed = self._head() - self.seq
            if missed > 0 and not self._rereading:
                self._rereading = True
                self._reread(self.seq)
                return Lagged(missed)
            if not await self._wait():
                return Idle()
        return self._queue.popleft()

    async def aclose(self) -> None:
        """End the stream, as ``contextlib.aclosing`` does."""
        self.close()

    async def _wait(self) -> bool:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiter = waiter
        timer = None if self._idle_s is None else loop.call_later(self._idle_s, _give_up, waiter)
        try:
            return await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)


def _give_up(waiter: asyncio.Future[bool]) -> None:
    if not waiter.done():
        waiter.set_result(False)
