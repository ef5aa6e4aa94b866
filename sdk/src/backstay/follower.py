"""Keeps the local book equal to the account's journal: resume by seq, gaps, snapshots, and those who watch."""

import asyncio
from collections.abc import Callable
from typing import Any, Literal

from backstay._wire.events import Event, OrderEvent, PositionSet
from backstay._wire.notices import Heartbeat, Live, OrderState, Snapshot, Sync
from backstay._wire.requests import Cursor
from backstay.book import Book
from backstay.clock import Clock
from backstay.errors import Unanswered
from backstay.stream import EventStream, Link

Watcher = Callable[[OrderEvent | OrderState], bool]
BEATS_BEHIND = 2


class Follower:
    """The client's rule: apply ``seq + 1``, ignore what is older, and subscribe again on a gap."""

    def __init__(self, account: str, subscribe: Callable[[Cursor | None], None], clock: Clock) -> None:
        self.account = account
        self._subscribe = subscribe
        self._clock = clock
        self.book = Book()
        self.seq = 0
        self.history: str | None = None
        self.streams: list[EventStream] = []
        self.live = False
        self._asked_at_ns = 0
        self._syncing = False
        self._loading: Book | None = None
        self._behind = 0
        self._lost_at_ns: int | None = None
        self._lost_seq = 0
        self._state: Literal["resumed", "snapshot", "history"] = "resumed"
        self._watchers: dict[str, list[tuple[Watcher, asyncio.Future[OrderState]]]] = {}
        self._seq_waiters: list[tuple[int, asyncio.Future[None]]] = []

    def cursor(self) -> Cursor | None:
        """Where a new connection goes on."""
        return None if self.history is None else Cursor(history=self.history, seq=self.seq)

    def connected(self) -> None:
        """A subscription with ``cursor()`` is on its way."""
        self._syncing = True

    def lost(self, reason: str) -> None:
        """The connection is gone."""
        if self.live:
            self.live = False
            self._lost_at_ns = self._clock.mono_ns()
            self._lost_seq = self.seq
            for stream in self.streams:
                stream.tell(Link("lost", reason=reason))

    def on_sync(self, sync: Sync) -> None:
        if sync.mode == "snapshot":
            known = self.history is not None
            self._state = "resumed" if not known else "snapshot" if sync.history == self.history else "history"
            self._loading = Book()
        self.history = sync.history

    def on_snapshot(self, part: Snapshot) -> None:
        if self._loading is None:
            return
        for order in part.orders:
            self._loading.load_order(order)
        for position in part.positions:
            self._loading.load_position(position)
        if part.last:
            self.book, self._loading = self._loading, None
            self.seq = part.seq
            for stream in self.streams:
                stream.jump(part.seq)
            self._check_waiters()

    def on_live(self, live: Live) -> bool:
        """Caught up; True when it is the first time on this connection."""
        self._syncing = False
        self._behind = 0
        for stream in self.streams:
            stream.caught_up()
        first, self.live = not self.live, True
        if self._lost_at_ns is not None or self._state != "resumed":
            replayed = max(0, self.seq - self._lost_seq) if self._state == "resumed" else 0
            gap_s = 0.0 if self._lost_at_ns is None else (self._clock.mono_ns() - self._lost_at_ns) / 1e9
            for stream in self.streams:
                stream.tell(Link(self._state, replayed=replayed, gap_s=gap_s))
        self._lost_at_ns = None
        self._state = "resumed"
        return first

    def on_heartbeat(self, beat: Heartbeat) -> None:
        """A head that stays ahead of us for two heartbeats is an event that was lost."""
        behind = beat.heads.get(self.account, 0) > self.seq
        self._behind = self._behind + 1 if behind and not self._syncing else 0
        if self._behind >= BEATS_BEHIND:
            self.resync(self.seq)

    def resync(self, seq: int) -> None:
        """Have the gateway say again what came after ``seq``."""
        if self.live and not self._syncing and self.history is not None:
            self._syncing = True
            self._behind = 0
            self._subscribe(Cursor(history=self.history, seq=seq))

    def on_event(self, event: Event) -> None:
        """Apply the event if it is the next one, then show it to those who watch."""
        seq = event.seq
        if seq == self.seq + 1:
            self.seq = seq
            if isinstance(event, OrderEvent):
                self.book.apply_order(event)
                if event.cl_ord_id in self._watchers:
                    self._tell_watchers(event.cl_ord_id, event)
            elif isinstance(event, PositionSet):
                self.book.apply_position(event)
            if self._seq_waiters:
                self._tell_seq_waiters()
        elif seq > self.seq + 1:
            self.resync(self.seq)
            return
        for stream in self.streams:
            stream.push(event)

    def on_unknown(self, seq: int) -> None:
        """An event of a later version: its number counts, its content does not."""
        if seq == self.seq + 1:
            self.seq = seq
        elif seq > self.seq + 1:
            self.resync(self.seq)
            return
        for stream in self.streams:
            stream.skip(seq)

    def watch(self, cl_ord_id: str, wanted: Watcher) -> asyncio.Future[OrderState]:
        """A future of the order's state, done at the first event for which ``wanted`` is true."""
        future: asyncio.Future[OrderState] = asyncio.get_running_loop().create_future()
        self._watchers.setdefault(cl_ord_id, []).append((wanted, future))
        return future

    def unwatch(self, cl_ord_id: str, future: asyncio.Future[OrderState]) -> None:
        """Forget a watcher that gave up."""
        left = [(wanted, other) for wanted, other in self._watchers.pop(cl_ord_id, []) if other is not future]
        if left:
            self._watchers[cl_ord_id] = left

    def reached(self, seq: int) -> asyncio.Future[None]:
        """A future that is done when the event ``seq`` was applied."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if seq <= self.seq:
            future.set_result(None)
        else:
            self._seq_waiters.append((seq, future))
        return future

    def fail(self, failure: Exception) -> None:
        """No connection will come any more."""
        self.live = False
        for stream in self.streams:
            stream.fail(failure)
        futures: list[asyncio.Future[Any]] = [future for watch in self._watchers.values() for _, future in watch]
        futures.extend(future for _, future in self._seq_waiters)
        for future in futures:
            if not future.done():
                future.set_exception(failure)
        self._watchers.clear()
        self._seq_waiters.clear()

    def _check_waiters(self) -> None:
        """After a snapshot: who waits for an order that it does not have can only ask again."""
        for cl_ord_id in list(self._watchers):
            row = self.book.rows.get(cl_ord_id)
            if row is not None:
                self._tell_watchers(cl_ord_id, row.state())
            else:
                for _, future in self._watchers.pop(cl_ord_id):
                    if not future.done():
                        future.set_exception(Unanswered(cl_ord_id, "the snapshot does not have it: settle it"))
        self._tell_seq_waiters()
        if self._state == "history":
            for _, reached in self._seq_waiters:
                if not reached.done():
                    reached.set_exception(Unanswered(None, "the gateway was restored from a backup"))
            self._seq_waiters.clear()

    def _tell_watchers(self, cl_ord_id: str, last: OrderEvent | OrderState) -> None:
        row = self.book.rows.get(cl_ord_id)
        if row is None:
            return
        left = []
        for wanted, future in self._watchers.pop(cl_ord_id):
            if future.done():
                continue
            if wanted(last):
                future.set_result(row.state())
            else:
                left.append((wanted, future))
        if left:
            self._watchers[cl_ord_id] = left

    def _tell_seq_waiters(self) -> None:
        left = []
        for seq, future in self._seq_waiters:
            if seq > self.seq:
                left.append((seq, future))
            elif not future.done():
                future.set_result(None)
        self._seq_waiters = left
