"""Requests and their answers: one answer for each, the same request again across reconnects, until its time is up."""

import asyncio
from collections import deque
from typing import Any

import msgspec

from backstay._wire.notices import Err
from backstay.clock import ServerClock
from backstay.errors import Refused, Unanswered
from backstay.socket_link import AUTH_ID, SocketLink

# Refusals that the same request may outlive: nothing happened, and waiting a little is all it takes.
PASSING = frozenset(("RATE_LIMITED", "BUSY", "STARTING", "DRAINING"))
RETRY_S = 0.05


class Asked:
    """A request that is not answered yet."""

    __slots__ = ("deadline_ns", "err", "future", "in_flight", "kind", "members", "sends")

    def __init__(self, kind: type[msgspec.Struct], members: dict[str, Any], future: asyncio.Future[Any]) -> None:
        self.kind = kind
        self.members = members
        self.future = future
        self.deadline_ns: int | None = None
        self.sends = 0
        self.in_flight = False
        self.err: Err | None = None


class Asker:
    """Sends in order, keeps at most ``window`` unanswered, and holds the rest back while there is no live link."""

    def __init__(self, account: str | None, clock: ServerClock) -> None:
        self._account = account
        self._clock = clock
        self._link: SocketLink | None = None
        self._open = False
        self._last_id = AUTH_ID
        self._in_flight: dict[int, Asked] = {}
        self._waiting: deque[Asked] = deque()
        self._failure: Refused | None = None
        self.window = 1

    @property
    def unanswered(self) -> int:
        """Requests that are under way on the present connection."""
        return len(self._in_flight)

    async def ask(self, kind: type[msgspec.Struct], members: dict[str, Any], *, timeout: float) -> Any:
        """The answer to a request: an event, or ``res``.

        Raises Refused when it is certain that nothing happened, else Unanswered when ``timeout`` seconds have passed.
        """
        if self._failure is not None:
            failure = self._failure
            raise Refused(failure.code, failure.retry, failure.text, failure.detail)
        loop = asyncio.get_running_loop()
        asked = Asked(kind, members, loop.create_future())
        now_ns = self._clock.now_ns()
        if now_ns is not None:
            asked.deadline_ns = now_ns + int(timeout * 1e9)
        timer = loop.call_later(timeout, self._expire, asked)
        self._offer(asked)
        try:
            return await asked.future
        finally:
            timer.cancel()
            asked.future.cancel()

    def next_id(self) -> int:
        """A request id for a frame that is sent past the queue (subscribe)."""
        self._last_id += 1
        return self._last_id

    def connected(self, link: SocketLink, window: int) -> None:
        """A new connection: ids start again. Nothing is sent before ``resume``."""
        self._link = link
        self._last_id = AUTH_ID
        self.window = window

    def resume(self) -> None:
        """The account is caught up: send what waits, what was unanswered before first."""
        self._open = True
        self._pump()

    def pause(self) -> None:
        """Hold back new requests (the gateway is about to close); answers still come."""
        self._open = False

    def lost(self) -> None:
        """The connection is gone: what it did not answer goes to the head of the line, in its order."""
        self._open = False
        self._link = None
        for asked in reversed(self._in_flight.values()):
            asked.in_flight = False
            self._waiting.appendleft(asked)
        self._in_flight.clear()

    def fail(self, failure: Refused) -> None:
        """No connection will come any more."""
        self._failure = failure
        self.lost()
        while self._waiting:
            asked = self._waiting.popleft()
            if not asked.future.done():
                asked.future.set_exception(failure if not asked.sends else self._unanswered(asked, failure.text))

    def answer(self, re: int, frame: Any) -> None:
        """Match an answer by the id that it names."""
        asked = self._in_flight.pop(re, None)
        if asked is None:
            return
        asked.in_flight = False
        if not asked.future.done():
            if isinstance(frame, Err):
                self._refused(asked, frame)
            else:
                asked.future.set_result(frame)
        if self._waiting:
            self._pump()

    def _offer(self, asked: Asked) -> None:
        if self._open and not self._waiting and len(self._in_flight) < self.window:
            self._send(asked)
        else:
            self._waiting.append(asked)

    def _pump(self) -> None:
        while self._open and self._waiting and len(self._in_flight) < self.window:
            asked = self._waiting.popleft()
            if not asked.future.done():
                self._send(asked)

    def _send(self, asked: Asked) -> None:
        assert self._link is not None
        self._last_id += 1
        asked.sends += 1
        asked.in_flight = True
        self._in_flight[self._last_id] = asked
        self._link.send(
            asked.kind(id=self._last_id, account=self._account, deadline_ns=asked.deadline_ns, **asked.members)
        )

    def _refused(self, asked: Asked, err: Err) -> None:
        if err.code in PASSING:
            asked.err = err
            delay = RETRY_S if err.retry_ns is None else err.retry_ns / 1e9
            asyncio.get_running_loop().call_later(delay, self._again, asked)
        else:
            asked.future.set_exception(Refused.from_err(err))

    def _again(self, asked: Asked) -> None:
        if not asked.future.done():
            asked.err = None
            self._waiting.appendleft(asked)
            self._pump()

    def _expire(self, asked: Asked) -> None:
        if asked.future.done():
            return
        if asked.err is not None:
            asked.future.set_exception(Refused.from_err(asked.err))
        elif not asked.sends:
            text = "the time ran out before the request could be sent"
            asked.future.set_exception(Refused("DEADLINE_PASSED", "never", text))
        else:
            asked.future.set_exception(self._unanswered(asked, "no answer in time"))

    @staticmethod
    def _unanswered(asked: Asked, text: str) -> Unanswered:
        return Unanswered(asked.members.get("cl_ord_id"), text)
