"""The async client of one account: orders, the local book, and one unbroken stream of events across reconnects."""

import asyncio
import random
import ssl
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, Unpack
from urllib.parse import urlsplit

import msgspec
from picows import WSError

from backstay._wire import requests as wire
from backstay._wire.events import AllCanceled, Event, OrderEvent
from backstay._wire.notices import (
    Err,
    Explained,
    Goaway,
    Headroom,
    Heartbeat,
    Live,
    OrderState,
    Position,
    Res,
    Snapshot,
    Status,
    Sync,
    Welcome,
)
from backstay.asker import Asker
from backstay.book import Row
from backstay.clock import Clock, ServerClock, SystemClock
from backstay.credentials import Credentials, Secret, load_secret
from backstay.decimals import Number
from backstay.errors import Refused, Unanswered
from backstay.follower import Follower
from backstay.order import Order
from backstay.socket_link import SocketLink, Tap, Unknown, open_socket
from backstay.stream import QUEUE_MAX, EventStream
from backstay.terms import Side, Terms, wire_members
from backstay.triggers import Stop, Trail

BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 30.0
STEADY_NS = 1_000_000_000  # a connection that lived so long counts as a success: the next try is at once
BYE_S = 1.0

FATAL = {
    4001: ("AUTH_FAILED", "the gateway closed: authentication failed or came too late"),
    4002: ("PROTOCOL", "the gateway closed: it could not read what was sent"),
    4003: ("KEY_REVOKED", "the key was revoked"),
    4009: ("TAKEN_OVER", "a newer connection of this session took over"),
}

_T = TypeVar("_T")
BatchItem = wire.PlaceItem | wire.ReplaceItem | wire.CancelItem


class Gateway:
    """A session with the order gateway.

    >>> async with Gateway(url, key=key, secret=secret, account=account, session="docs") as gw:
    ...     order = await gw.buy(symbol, 1, px=low_px)
    ...     _ = await order.working(timeout=5)
    ...     _ = await order.cancel()
    ...     (await order.done(timeout=5)).ord_status
    'canceled'
    """

    def __init__(
        self,
        url: str,
        *,
        key: str,
        secret: str | Secret,
        session: str,
        account: str | None = None,
        aud: str | None = None,
        timeout: float = 5.0,
        ssl_context: ssl.SSLContext | None = None,
        tap: Tap | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """``aud`` is the gateway's configured name (default: the host of the URL); ``timeout`` is for each request.

        ``tap`` sees each raw frame: ``tap("in", raw)`` on its way to the gateway, ``tap("out", raw)`` from it.
        ``clock`` and ``rng`` (of the waits between connections) stand for the machine's where a run must repeat.
        """
        self._tap = tap
        self._url = url
        self._aud = aud or urlsplit(url).hostname or ""
        self._ssl_context = ssl_context
        self._timeout = timeout
        self._credentials = Credentials(key, session, load_secret(secret))
        self._machine: Clock = clock or SystemClock()
        self._clock = ServerClock(self._machine)
        self._asker = Asker(account, self._clock)
        self._follower = Follower(account or "", self._subscribe, self._machine)
        self._link: SocketLink | None = None
        self._subscribe_id = 0
        self._runner: asyncio.Task[None] | None = None
        self._ready: asyncio.Future[None] | None = None
        self._leaving = False
        self._retry_s = 0.0
        self._reason = "no answer"
        self._jitter = rng or random.Random()
        self._names = _names(session, self._machine.wall_ns())
        self.welcome: Welcome | None = None
        self.status: Status | None = None
        self.unknown_count = 0

    # -- life ---------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self, timeout: float = 10.0) -> None:
        """Connect, log in and catch up. Refused when the gateway will not have us, Unanswered when it was not there."""
        loop = asyncio.get_running_loop()
        self._ready = loop.create_future()
        self._runner = loop.create_task(self._run(), name=f"backstay {self._credentials.session}")
        try:
            async with asyncio.timeout(timeout):
                await self._ready
        except TimeoutError:
            await self.close()
            raise Unanswered(None, f"no gateway at {self._url} within {timeout} s: {self._reason}") from None
        except (Refused, asyncio.CancelledError):
            await self.close()
            raise

    async def close(self) -> None:
        """Say ``bye`` and leave. Orders stay as they are."""
        if self._link is not None and self._follower.live:
            try:
                await self._asker.ask(wire.Bye, {}, timeout=BYE_S)
            except (Refused, Unanswered):
                self._leaving = True  # it did not listen: the close below says the same
        if self._runner is not None:
            self._runner.cancel()
            await asyncio.gather(self._runner, return_exceptions=True)
        if self._link is not None:
            self._link.close()
        self._end(Refused("CLOSED", "never", "this client was closed"))

    # -- orders -------------------------------------------------------------------------------------------------------

    async def buy(self, symbol: str, qty: Number, *, timeout: float | None = None, **terms: Unpack[Terms]) -> Order:
        """Place an order to buy; returns when it is durable at the gateway (``accepted``)."""
        return await self.place("buy", symbol, qty, timeout=timeout, **terms)

    async def sell(self, symbol: str, qty: Number, *, timeout: float | None = None, **terms: Unpack[Terms]) -> Order:
        """Place an order to sell; with ``trigger=Stop(...)`` and ``reduce_only=True`` a protective stop.

        >>> async with Gateway(url, key=key, secret=secret, account=account, session="docs") as gw:
        ...     stop = await gw.sell(symbol, 1, trigger=Stop(low_px), tif="gtc")
        ...     status = stop.ord_status
        ...     _ = await stop.cancel()
        >>> status
        'held'
        """
        return await self.place("sell", symbol, qty, timeout=timeout, **terms)

    async def place(
        self, side: Side, symbol: str, qty: Number, *, timeout: float | None = None, **terms: Unpack[Terms]
    ) -> Order:
        """Place an order. Sent again by itself under the same ``cl_ord_id`` when the connection breaks."""
        members = wire_members(side, symbol, qty, terms)
        if "cl_ord_id" not in members:
            members["cl_ord_id"] = self._names()
        answer = await self.ask(wire.Place, members, timeout)
        return Order(self, members["cl_ord_id"], answer)

    async def dry_run(
        self, side: Side, symbol: str, qty: Number, *, timeout: float | None = None, **terms: Unpack[Terms]
    ) -> list[Headroom]:
        """All checks and no order: how much room each control leaves. Refused as the order itself would be."""
        members = wire_members(side, symbol, qty, terms)
        members.setdefault("cl_ord_id", self._names())
        answer = await self.ask(wire.Place, {**members, "dry": True}, timeout)
        return answer.limits or []

    def new(self, side: Side, symbol: str, qty: Number, **terms: Unpack[Terms]) -> wire.PlaceItem:
        """An order for a ``batch``."""
        members = wire_members(side, symbol, qty, terms)
        members.setdefault("cl_ord_id", self._names())
        return wire.PlaceItem(**members)

    async def batch(self, items: Sequence[BatchItem], *, timeout: float | None = None) -> list[Order]:
        """All or nothing: up to 100 items in one journal record. Returns the orders that its ``new`` items placed.

        >>> async with Gateway(url, key=key, secret=secret, account=account, session="docs") as gw:
        ...     pair = [gw.new("buy", symbol, qty, px=low_px) for qty in (1, 2)]
        ...     orders = await gw.batch(pair)
        ...     _ = await gw.cancel_all(symbol=symbol)
        >>> len(orders)
        2
        """
        answer = await self.ask(wire.Batch, {"items": list(items)}, timeout)
        await self._within(self._follower.reached(answer.seq + answer.count), None, timeout)
        names = [item.cl_ord_id for item in items if isinstance(item, wire.PlaceItem)]
        return [self.order(name) for name in names]

    async def bracket(
        self,
        side: Side,
        symbol: str,
        qty: Number,
        *,
        take_profit: Number | Sequence[tuple[Number, Number]],
        stop: Stop | Trail,
        timeout: float | None = None,
        **terms: Unpack[Terms],
    ) -> list[Order]:
        """An entry, its target (or several, as (quantity, price) pairs) and its stop, in one journal record.

        The exits live with the entry's fills and share one quantity; they stay until they are done (``gtc``). Returns
        the entry, the targets and the stop, in this order.

        >>> async with Gateway(url, key=key, secret=secret, account=account, session="docs") as gw:
        ...     entry, target, stop = await gw.bracket("buy", symbol, 2, px=low_px, take_profit=9_000, stop=Stop(1))
        ...     status = stop.ord_status
        ...     _ = await gw.cancel_all(symbol=symbol)
        >>> status
        'held'
        """
        entry = self.new(side, symbol, qty, **terms)
        back: Side = "sell" if side == "buy" else "buy"
        parts = (
            take_profit
            if isinstance(take_profit, Sequence) and not isinstance(take_profit, str)
            else [(qty, take_profit)]
        )
        after, oco = entry.cl_ord_id, self._names()
        targets = [self.new(back, symbol, part, px=px, after=after, oco=oco, tif="gtc") for part, px in parts]
        guard = self.new(back, symbol, qty, trigger=stop, after=after, oco=oco, tif="gtc")
        return await self.batch([entry, *targets, guard], timeout=timeout)

    async def oco(self, items: Sequence[wire.PlaceItem], *, timeout: float | None = None) -> list[Order]:
        """Orders of one symbol that share one quantity (targets against stops), in one journal record.

        >>> async with Gateway(url, key=key, secret=secret, account=account, session="docs") as gw:
        ...     down = gw.new("sell", symbol, 1, trigger=Stop(low_px))
        ...     orders = await gw.oco([gw.new("buy", symbol, 1, trigger=Stop(9_000)), down])
        ...     _ = await gw.cancel_all(symbol=symbol)
        >>> len(orders)
        2
        """
        name = self._names()
        return await self.batch([msgspec.structs.replace(item, oco=name) for item in items], timeout=timeout)

    async def cancel_all(
        self,
        *,
        symbol: str | None = None,
        side: Side | None = None,
        session: str | None = None,
        tag: str | None = None,
        keep: Literal["none", "protective"] = "none",
        timeout: float | None = None,
    ) -> AllCanceled:
        """Cancel what the filters leave; ``count`` of the answer says how many that were."""
        members = {"symbol": symbol, "side": side, "session": session, "tag": tag, "keep": keep}
        answer: AllCanceled = await self.ask(wire.CancelAll, members, timeout)
        return answer

    async def settle(self, cl_ord_id: str, timeout: float | None = None) -> Order | None:
        """After Unanswered: the order, or None when it is certain that it never came to be and never will.

        Requests apply in order and a new connection shuts the older one out, so the answer to a question asked now
        comes after whatever the lost request did.
        """
        try:
            answer: Res = await self.ask(wire.Get, {"what": "order", "cl_ord_id": cl_ord_id}, timeout)
        except Refused as refused:
            if refused.code == "UNKNOWN_ORDER":
                return None
            raise
        if answer.order is None:
            return None
        return Order(self, cl_ord_id, answer.order)

    async def query(
        self,
        what: Literal["order", "orders", "positions", "instrument", "limits", "explain", "time"],
        *,
        timeout: float | None = None,
        **filters: Any,
    ) -> Res:
        """A question about the state at the head: ``cl_ord_id``, ``symbol``, ``ord_status``, ``tag`` filter it."""
        answer: Res = await self.ask(wire.Get, {"what": what, **filters}, timeout)
        return answer

    async def explain(self, cl_ord_id: str, *, timeout: float | None = None) -> Explained:
        """What became of an order and why: the tick that fired it, the checks, its way to the broker and back."""
        answer = await self.query("explain", timeout=timeout, cl_ord_id=cl_ord_id)
        if answer.explain is None:
            raise Refused("UNSUPPORTED", "fix", "this gateway explains no orders", {})
        return answer.explain

    # -- the local book -----------------------------------------------------------------------------------------------

    @property
    def account(self) -> str:
        """The account that this client follows."""
        return self._follower.account

    @property
    def seq(self) -> int:
        """The number of the last event that was applied."""
        return self._follower.seq

    @property
    def orders(self) -> Mapping[str, OrderState]:
        """All open orders and the recent done ones, by ``cl_ord_id``, at ``seq``."""
        return self._follower.book.orders

    @property
    def positions(self) -> Mapping[str, Position]:
        """Positions by symbol, at ``seq``."""
        return self._follower.book.positions

    @property
    def is_live(self) -> bool:
        """Connected and caught up."""
        return self._follower.live

    def server_time_ns(self) -> int | None:
        """The server's clock, as well as the heartbeats tell it; None before the first word from it."""
        return self._clock.now_ns()

    def order(self, cl_ord_id: str) -> Order:
        """A handle on an order that the book has; KeyError else."""
        return Order(self, cl_ord_id, self._follower.book.orders[cl_ord_id])

    def events(
        self,
        *,
        symbol: str | None = None,
        cl_ord_id: str | None = None,
        idle: float | None = None,
        limit: int = QUEUE_MAX,
    ) -> EventStream:
        """Everything that happens to the account from here on, in order, across reconnects.

        ``idle`` seconds without an event give ``Idle``; a queue of more than ``limit`` events gives ``Lagged``.

        >>> async with Gateway(url, key=key, secret=secret, account=account, session="docs") as gw:
        ...     events = gw.events(symbol=symbol)
        ...     order = await gw.buy(symbol, 1, px=low_px)
        ...     first = await anext(events)
        ...     _ = await order.cancel()
        >>> type(first).__name__
        'Accepted'
        """
        stream = EventStream(
            seq=self._follower.seq,
            wanted=self._filter(symbol, cl_ord_id),
            idle_s=idle,
            limit=limit,
            head=lambda: self._follower.seq,
            reread=self._follower.resync,
            closed=self._forget,
        )
        self._follower.streams.append(stream)
        return stream

    # -- what order handles need --------------------------------------------------------------------------------------

    async def ask(self, kind: type[msgspec.Struct], members: dict[str, Any], timeout: float | None) -> Any:
        """Send a request of the wire and wait for its answer."""
        return await self._asker.ask(kind, members, timeout=self._timeout if timeout is None else timeout)

    def row(self, cl_ord_id: str) -> Row | None:
        """The book's line of an order."""
        return self._follower.book.rows.get(cl_ord_id)

    async def until(
        self,
        cl_ord_id: str,
        state: OrderState,
        wanted: Callable[[OrderEvent | OrderState], bool],
        timeout: float | None,
    ) -> OrderState:
        """The order's state as soon as ``wanted`` is true of it; Unanswered when ``timeout`` seconds pass first."""
        if wanted(state):
            return state
        future = self._follower.watch(cl_ord_id, wanted)
        try:
            return await self._within(future, cl_ord_id, timeout)
        finally:
            self._follower.unwatch(cl_ord_id, future)

    # -- the connection -----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Stay connected until that is final: at once after a good connection, else backing off with full jitter."""
        tries = 0
        while True:
            began_ns = self._machine.mono_ns()
            try:
                code, reason = await self._one_connection()
            except (OSError, WSError) as error:
                code, reason = 1006, str(error) or type(error).__name__
            except Refused as refused:
                if refused.retry != "later":
                    self._end(refused)
                    return
                code, reason = 1006, str(refused)
            self._reason = f"{code}: {reason}"
            self._asker.lost()
            self._follower.lost(self._reason)
            if code in FATAL:
                self._end(Refused(FATAL[code][0], "never", FATAL[code][1]))
                return
            tries = 0 if self._machine.mono_ns() - began_ns >= STEADY_NS or self._leaving else tries + 1
            self._leaving = False
            spread = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** (tries - 1)) if tries > 1 else 0.0
            await asyncio.sleep(max(self._retry_s if code == 4029 else 0.0, self._jitter.uniform(0.0, spread)))

    async def _one_connection(self) -> tuple[int, str]:
        link = await open_socket(
            self._url,
            credentials=self._credentials,
            aud=self._aud,
            ssl_context=self._ssl_context,
            on_frame=self._on_frame,
            clock=self._clock,
            tap=self._tap,
        )
        return await asyncio.shield(link.closed)  # cancelled, we still have to close it

    def _end(self, failure: Refused) -> None:
        self._asker.fail(failure)
        self._follower.fail(failure)
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(failure)

    def _on_frame(self, link: SocketLink, frame: Any) -> None:
        if isinstance(frame, Event):
            if not frame.dup and frame.account == self._follower.account:
                self._follower.on_event(frame)
            if frame.re is not None:
                self._answered(frame.re, frame)
        elif isinstance(frame, Res | Err):
            self._answered(frame.re, frame)
        elif isinstance(frame, Heartbeat):
            self._clock.observe(frame.ts_ns)
            self._follower.on_heartbeat(frame)
        elif isinstance(frame, Welcome):
            self._on_welcome(link, frame)
        elif isinstance(frame, Sync | Snapshot | Live):
            self._on_catching_up(frame)
        elif isinstance(frame, Goaway):
            self._on_goaway(link, frame)
        elif isinstance(frame, Status):
            self.status = frame
        elif isinstance(frame, Unknown):
            self.unknown_count += 1
            if frame.seq is not None and frame.account == self._follower.account:
                self._follower.on_unknown(frame.seq)

    def _on_welcome(self, link: SocketLink, welcome: Welcome) -> None:
        self.welcome = welcome
        if not self._follower.account:
            self._follower.account = welcome.accounts[0]
        self._link = link
        link.watch(welcome.hb_ms / 1000)
        self._asker.connected(link, max(1, welcome.limits.unanswered - 1))  # one is kept for subscribe
        self._follower.connected()
        self._subscribe(self._follower.cursor())

    def _on_catching_up(self, frame: Sync | Snapshot | Live) -> None:
        if isinstance(frame, Sync):
            self._follower.on_sync(frame)
        elif frame.account != self._follower.account:
            return
        elif isinstance(frame, Snapshot):
            self._follower.on_snapshot(frame)
        elif self._follower.on_live(frame):
            self._asker.resume()
            if self._ready is not None and not self._ready.done():
                self._ready.set_result(None)

    def _subscribe(self, after: wire.Cursor | None) -> None:
        if self._link is not None:
            self._subscribe_id = self._asker.next_id()
            self._link.send(wire.Subscribe(id=self._subscribe_id, account=self._follower.account, after=after))

    def _answered(self, re: int, frame: Event | Res | Err) -> None:
        if isinstance(frame, Err):
            if frame.retry_ns is not None:
                self._retry_s = frame.retry_ns / 1e9
            if re == self._subscribe_id:
                self._subscribe_refused(frame)
                return
        self._asker.answer(re, frame)
        if self._leaving and not self._asker.unanswered and self._link is not None:
            self._link.close(1012, "the gateway asked us to move")

    def _subscribe_refused(self, err: Err) -> None:
        assert self._link is not None
        url = (err.detail or {}).get("url")
        if err.code == "WRONG_SHARD" and isinstance(url, str):
            self._url = url
            self._link.close(1012, "another shard has this account")
        elif err.retry == "later":
            self._link.close(1006, err.text)
        else:
            self._end(Refused.from_err(err))
            self._link.close()

    def _on_goaway(self, link: SocketLink, goaway: Goaway) -> None:
        """Send nothing new, take the answers that are under way, then move; at the latest just before it closes."""
        self._leaving = True
        self._asker.pause()
        if goaway.url is not None:
            self._url = goaway.url
        now_ns = self._clock.now_ns() or goaway.at_ns
        left_s = max(0.0, (goaway.at_ns - now_ns) / 1e9)
        delay = left_s * 0.9 if self._asker.unanswered else 0.0
        asyncio.get_running_loop().call_later(delay, link.close, 1012, goaway.reason)

    # -- small things -------------------------------------------------------------------------------------------------

    async def _within(self, future: asyncio.Future[_T], cl_ord_id: str | None, timeout: float | None) -> _T:
        try:
            async with asyncio.timeout(timeout):
                return await future
        except TimeoutError:
            raise Unanswered(cl_ord_id, f"not within {timeout} s") from None

    def _forget(self, stream: EventStream) -> None:
        if stream in self._follower.streams:
            self._follower.streams.remove(stream)

    def _filter(self, symbol: str | None, cl_ord_id: str | None) -> Callable[[Event], bool] | None:
        if symbol is None and cl_ord_id is None:
            return None

        def wanted(event: Event) -> bool:
            if isinstance(event, OrderEvent):
                if cl_ord_id is not None:
                    return event.cl_ord_id == cl_ord_id
                row = self._follower.book.rows.get(event.cl_ord_id)
                return row is not None and row.terms.symbol == symbol
            return symbol is not None and getattr(event, "symbol", None) == symbol

        return wanted


def _names(session: str, wall_ns: int) -> Callable[[], str]:
    """A maker of ``cl_ord_id``s: session, start time in microseconds, counter; at most 36 characters."""
    stem = f"{session[:14]}-{wall_ns // 1000:x}-"
    count = 0

    def name() -> str:
        nonlocal count
        count += 1
        return f"{stem}{count:x}"

    return name
