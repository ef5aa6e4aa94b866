"""The venue process: exchange, market source, order sessions, feed and ledger on one event loop."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import time
from collections.abc import Callable
from heapq import heappop, heappush
from pathlib import Path
from secrets import token_hex

import msgspec
import uvloop

from brokers.sim import messages as m
from brokers.sim.config import VenueConfig
from brokers.sim.control import Control
from brokers.sim.exchange import Exchange
from brokers.sim.feed_server import FeedServer
from brokers.sim.ledger import Ledger
from brokers.sim.market import MarketEvent
from brokers.sim.pump import Pump, make_source
from brokers.sim.quirks import Drop, Outbound
from brokers.sim.rebuild import rebuild
from brokers.sim.session import Session, encode

LOGIN_NS_MAX = 5_000_000_000
SILENT_HEARTBEATS_MAX = 5


def _challenge() -> str:
    return token_hex(16)


class Venue:
    """One venue. `start` listens and returns; `stop` ends it. The book lives as long as the object, or its ledger."""

    def __init__(
        self,
        config: VenueConfig,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        mono_ns: Callable[[], int] = time.monotonic_ns,
        make_challenge: Callable[[], str] = _challenge,
    ) -> None:
        self.config = config
        self.wall_ns = wall_ns
        self.mono_ns = mono_ns
        self._make_challenge = make_challenge
        source, symbols = make_source(config, wall_ns)
        self.exchange = Exchange(config.seed, config.quirks, symbols)
        self.feed = FeedServer(lambda: self.pump.on_subscribed())
        self.pump = Pump(
            source,
            config.market,
            play=self._play,
            end_turn=self.flush,
            is_backed_up=lambda: self.feed.is_backed_up,
            mono_ns=mono_ns,
        )
        self.control = Control(self)
        self.ledger = Ledger(config.ledger) if config.ledger else None
        if self.ledger is not None:
            rebuild(self.exchange, Path(config.ledger))
            self.exchange.note = self._note_fact
        self.is_refusing = False
        self.order_port = 0
        self.feed_port = 0
        self.report_count = 0
        self._sessions: list[Session] = []
        self._traders: dict[str, Session] = {}
        self._muted: set[str] = set()
        self._dirty: list[Session] = []
        self._late: list[tuple[int, int, str, m.Message | Drop]] = []
        self._late_seq = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_ns = 0
        self._servers: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        config = self.config
        server = await loop.create_server(self._make_session, config.host, config.order_port)
        self._servers.append(server)
        self.order_port = server.sockets[0].getsockname()[1]
        if config.order_unix:
            Path(config.order_unix).unlink(missing_ok=True)
            self._servers.append(await loop.create_unix_server(self._make_session, config.order_unix))
        self.feed_port = await self.feed.start(config.host, config.feed_port)
        self.market = loop.create_task(self.pump.run(), name="venue pump")
        self._tasks.append(self.market)
        self._tasks.append(loop.create_task(self._sweep(), name="venue sweep"))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._alarm is not None:
            self._alarm.cancel()
        for session in tuple(self._sessions):
            session.close("STOP", "venue stops")
        for server in self._servers:
            server.close()
        await self.feed.stop()
        if self.ledger is not None:
            self.ledger.close()

    async def _sweep(self) -> None:
        """Close sessions that never logged in or went silent; expire orders that are due."""
        while True:
            await asyncio.sleep(min(self.config.heartbeat_ms, 1000) / 1000)
            now_ns = self.mono_ns()
            for session in tuple(self._sessions):
                silence_ns_max = SILENT_HEARTBEATS_MAX * self.config.heartbeat_ms * 1_000_000
                if now_ns - session.heard_ns > (silence_ns_max if session.key else LOGIN_NS_MAX):
                    session.close("SILENT", "nothing heard")
            self._set_alarm()
            self.flush()

    # --- sessions -------------------------------------------------------------------------------------------------

    def _make_session(self) -> Session:
        return Session(self, self._make_challenge())

    def add_session(self, session: Session) -> bool:
        if len(self._sessions) >= self.config.sessions_max:
            return False
        self._sessions.append(session)
        return True

    def remove_session(self, session: Session) -> None:
        if session in self._sessions:
            self._sessions.remove(session)
        if self._traders.get(session.key) is session:
            del self._traders[session.key]

    def trader(self, key: str) -> Session | None:
        """The session that gets this key's reports."""
        return self._traders.get(key)

    def on_login(self, session: Session) -> None:
        if session.role == "trade":
            old = self._traders.get(session.key)
            if old is not None:
                old.close("REPLACED", "another session logged in")
            self._traders[session.key] = session
            session.is_muted = session.key in self._muted
        session.send(m.Welcome(self.exchange.exec_seq_of(session.key), self.config.heartbeat_ms, self.wall_ns()))

    def mute(self, key: str, *, is_muted: bool) -> None:
        """Keep a key's order session open, and say nothing on it."""
        if is_muted:
            self._muted.add(key)
        else:
            self._muted.discard(key)
        session = self._traders.get(key)
        if session is not None:
            session.is_muted = is_muted

    # --- market ---------------------------------------------------------------------------------------------------

    def _play(self, event: MarketEvent) -> None:
        """One event of the source: matched, then published."""
        now_ns = self.wall_ns()
        if event.kind == "quote":
            out = self.exchange.on_quote(
                event.sym,
                bid_px_e9=event.bid_px_e9,
                bid_qty_e9=event.bid_qty_e9,
                ask_px_e9=event.ask_px_e9,
                ask_qty_e9=event.ask_qty_e9,
                now_ns=now_ns,
            )
        elif event.kind == "trade":
            out = self.exchange.on_trade(event.sym, px_e9=event.px_e9, qty_e9=event.qty_e9, now_ns=now_ns)
        else:
            out = []
        if out:
            self.emit(out, now_ns)
        self.feed.publish(event.stream, event.frame)

    # --- requests -------------------------------------------------------------------------------------------------

    def on_request(self, session: Session, request: m.Request, line: bytes) -> None:
        key, now_ns = session.key, self.wall_ns()
        if session.role == "admin":
            session.send(self.control.on_admin(request, now_ns))
            return
        if self.ledger is not None:
            self.ledger.note_in(key, line, now_ns)
        if session.role == "trade" and self._trade(key, request, now_ns):
            return
        self._answer(session, request, now_ns)

    def _trade(self, key: str, request: m.Request, now_ns: int) -> bool:
        """Requests that change orders, and queries, whose answers take the reports' way."""
        exchange = self.exchange
        if isinstance(request, m.New):
            out = exchange.on_order(key, request, now_ns)
        elif isinstance(request, m.Cancel):
            out = exchange.on_cancel(key, request, now_ns)
        elif isinstance(request, m.Replace):
            out = exchange.on_replace(key, request, now_ns)
        elif isinstance(request, m.Query):
            out = exchange.on_query(key, request, now_ns)
        elif isinstance(request, m.MassCancel):
            out = exchange.on_mass_cancel(key, request, now_ns)
        else:
            return False
        self.emit(out, now_ns)
        return True

    def _answer(self, session: Session, request: m.Request, now_ns: int) -> None:
        exchange, key = self.exchange, session.key
        if isinstance(request, m.Query):
            for _, _, message in exchange.on_query(key, request, now_ns):
                if isinstance(message, m.Message):
                    session.send(message)
        elif isinstance(request, m.Execs):
            for fill in exchange.fills_since(key, request.since):
                session.send(fill)
            session.send(m.ExecsEnd(exchange.exec_seq_of(key), now_ns))
        elif isinstance(request, m.Orders):
            states = [exchange.state_of(order, now_ns) for order in exchange.open_orders(key)]
            for state in states:
                session.send(state)
            session.send(m.OrdersEnd(len(states), now_ns))
        elif isinstance(request, m.Positions):
            session.send(m.PositionList(exchange.positions(key), now_ns))
        else:
            session.send(m.Error("NOT_ALLOWED", f"a {session.role} session cannot ask that"))

    # --- reports --------------------------------------------------------------------------------------------------

    def emit(self, out: list[Outbound], now_ns: int) -> None:
        """Reports that are due go to their sessions' queues; the others wait for their time."""
        for delay_ns, key, message in out:
            if delay_ns <= 0:
                self._deliver(key, message, now_ns)
            else:
                self._late_seq += 1
                heappush(self._late, (now_ns + delay_ns, self._late_seq, key, message))
        if self._late:
            self._set_alarm()

    def _deliver(self, key: str, message: m.Message | Drop, now_ns: int) -> None:
        session = self._traders.get(key)
        if isinstance(message, Drop):
            if session is not None:
                session.reset()
                self.remove_session(session)
            return
        line = encode(message)
        self.report_count += 1
        is_sent = session is not None and not session.is_muted
        if self.ledger is not None:
            self.ledger.note_out(key, line, now_ns, is_sent=is_sent)
        if session is not None:
            session.send_line(line)

    def _note_fact(self, key: str, message: m.Message) -> None:
        if self.ledger is not None and isinstance(message, m.Fact):
            self.ledger.note_fact(key, encode(message), message.ts)

    def _set_alarm(self) -> None:
        """One timer for the next late report or expiry."""
        times = [due for due in (self._late[0][0] if self._late else 0, self.exchange.next_timer_ns) if due]
        if not times:
            return
        due_ns = min(times)
        if self._alarm is not None:
            if self._alarm_ns == due_ns:
                return
            self._alarm.cancel()
        self._alarm_ns = due_ns
        delay_ns = max(0, due_ns - self.wall_ns())
        self._alarm = asyncio.get_running_loop().call_later(delay_ns / 1e9, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        now_ns = self.wall_ns()
        while self._late and self._late[0][0] <= now_ns:
            _, _, key, message = heappop(self._late)
            self._deliver(key, message, now_ns)
        self.emit(self.exchange.on_timer(now_ns), now_ns)
        self._set_alarm()
        self.flush()

    def wants_flush(self, session: Session) -> None:
        self._dirty.append(session)

    def flush(self) -> None:
        """End of a turn: the ledger first, then the sockets."""
        if self.ledger is not None:
            self.ledger.flush()
        if self._dirty:
            dirty, self._dirty = self._dirty, []
            for session in dirty:
                session.write_out()

    def stats(self) -> dict[str, int]:
        return {
            "orders": self.exchange.order_count,
            "fills": self.exchange.exec_seq,
            "reports": self.report_count,
            "late": len(self._late),
            "throttled": self.exchange.pace.refused,
            "frames": self.feed.frame_count,
            "subscribers": self.feed.subscriber_count,
            "sessions": len(self._sessions),
            "source_done": int(self.pump.is_done),
        }


async def serve(config: VenueConfig) -> None:
    """Run until SIGINT or SIGTERM; the ready line on standard output says where it listens."""
    venue = Venue(config)
    await venue.start()
    gc.freeze()
    gc.set_threshold(50_000, 20, 10_000)  # the book only grows: a full collection would stall reports, and free nothing
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    venue.market.add_done_callback(lambda task: stop.set() if failure_of(task) else None)
    ready = {"ready": True, "order_port": venue.order_port, "feed_port": venue.feed_port}
    sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
    sys.stdout.flush()
    await stop.wait()
    await venue.stop()
    if failure := failure_of(venue.market):
        raise failure


def failure_of(task: asyncio.Task[None]) -> BaseException | None:
    """What ended a task that has ended by itself: a market that stops in silence would look like a quiet one."""
    return task.exception() if task.done() and not task.cancelled() else None


def run_venue(config: VenueConfig) -> None:
    """The venue as this process's only job."""
    uvloop.run(serve(config))
