"""The gateway's link to the simulated venue: the adapter contract over one TCP or Unix socket."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from random import Random
from typing import cast

import msgspec

from brokers.capabilities import Capabilities, DedupClass, NativeStops, RateBudget
from brokers.ports import Report, ReportSink, ReportUnknown
from brokers.sim import messages as m
from brokers.sim.codec import render_cancel, render_new, render_query, render_replace
from brokers.sim.reports import ReportReader
from brokers.sim.session import encode, sign
from brokers.wire import send_now
from hotpath.enums import OrdType, PriceSource, Tif
from hotpath.ticket import Ticket

FULL_RETRY_S = 0.001  # nothing tells when a full kernel buffer that we do not own has room
SILENT_HEARTBEATS_MAX = 3
AHEAD_MAX = 100_000
# A dial to a local port where nobody listens may be given that port as its own, and TCP then connects it to itself.
# Kept, or closed in the usual way (a minute of TIME_WAIT), it would hold the venue's port against the venue.
RESET_AT_CLOSE = struct.pack("ii", 1, 0)
PATIENT_CODES = frozenset({"AUTH", "REPLACED"})  # trying again soon cannot help


class SimLinkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the venue is and how to behave towards it. `unix` wins over host and port."""

    host: str = "127.0.0.1"
    port: int = 0
    unix: str = ""
    key: str = "demo"
    secret: str = "demo-secret"
    shard: int = 0
    history: bytes = b"00000"
    heartbeat_ms: int = 1000
    login_ms_max: int = 5000
    horizon_ms: int = 0  # in which the venue may not find an order that it took
    backoff_ms_first: int = 50
    backoff_ms_max: int = 5000
    budget: RateBudget = RateBudget()  # what the venue is known to take


class Wire(asyncio.Protocol):
    """One connection: lines in, bytes out at once."""

    def __init__(
        self, on_line: Callable[[Wire, bytes], None], on_lost: Callable[[Wire], None], on_drained: Callable[[], None]
    ) -> None:
        self.cause = "closed by the venue"
        self._on_line = on_line
        self._on_lost = on_lost
        self._on_drained = on_drained
        self._transport: asyncio.Transport | None = None
        self._fd = -1  # no descriptor (TLS, a simulated network): bytes go through the transport
        self._is_open = False
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)
        end = transport.get_extra_info("socket")
        self._fd = end.fileno()
        self._is_open = True
        name = transport.get_extra_info("sockname")
        if name and name == transport.get_extra_info("peername"):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
            self.abort("connected to itself: nobody listens there")

    def data_received(self, data: bytes) -> None:
        lines = (self._rest + data).split(b"\n") if self._rest else data.split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._on_line(self, line)

    def resume_writing(self) -> None:
        self._on_drained()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_open = False
        if error is not None:
            self.cause = f"{type(error).__name__}: {error}"
        self._on_lost(self)

    def send(self, data: bytes) -> bool:
        """True when the kernel took it, or the transport has it (its rest, or all where there is no descriptor)."""
        transport = self._transport
        if not self._is_open or transport is None or transport.get_write_buffer_size() > 0:
            return False
        if self._fd < 0:
            transport.write(data)
            return True
        sent = send_now(self._fd, data)
        if sent == len(data):
            return True
        if sent <= 0:
            if sent < 0:
                self.abort("send failed")
            return False
        transport.write(data[sent:])
        return True

    def abort(self, cause: str) -> None:
        self.cause = cause
        self._is_open = False
        if self._transport is not None:
            self._transport.abort()


class SimAdapter:
    """Owner of the link's life: connect, login, recovery, heartbeats. Orders and their pace are the engine's."""

    def __init__(
        self,
        config: SimLinkConfig,
        sink: ReportSink,
        *,
        mono_ns: Callable[[], int],
        wall_ns: Callable[[], int],
        rng: Random,
    ) -> None:
        self.config = config
        self.is_up = False
        self.connects = 0
        self.losses = 0
        self.reports = 0
        self.unknown_reports = 0
        self.rtt_ns = 0
        self.clock_offset_ns = 0  # the venue's clock less ours
        self.last_cause = ""
        self._sink = sink
        self._mono_ns = mono_ns
        self._wall_ns = wall_ns
        self._rng = rng
        self.capabilities = Capabilities(
            broker="sim",
            tifs=frozenset({Tif.DAY, Tif.GTC, Tif.IOC, Tif.FOK, Tif.GTD}),
            ord_types=frozenset({OrdType.MARKET, OrdType.LIMIT}),
            has_native_replace=True,
            replace_changes_id=True,
            native_stops=NativeStops(
                has_limit=True, has_trail=True, sell_source=PriceSource.BID, buy_source=PriceSource.ASK
            ),
            has_query_by_id=True,
            dedup=DedupClass.ALWAYS,
            horizon_ns=config.horizon_ms * 1_000_000,
            budget=config.budget,
        )
        self._reader = ReportReader(config.shard, config.history, self._note_exec_seq)
        self._wire: Wire | None = None
        self._task: asyncio.Task[None] | None = None
        self._writable: asyncio.TimerHandle | None = None
        self._lost = asyncio.Event()
        self._ready = asyncio.Event()
        self._heard_ns = 0
        self._ping_id = 0
        self._ping_ns = 0
        self._is_patient = False
        self._exec_seq = -1  # highest execution up to which all were seen; -1 before the first login
        self._venue_exec_seq = 0
        self._ahead: set[int] = set()

    # --- the contract -------------------------------------------------------------------------------------------------

    def submit(self, *tickets: Ticket) -> int:
        if len(tickets) == 1:
            return int(self.is_up and self._send(render_new(tickets[0])))
        is_sent = self.is_up and self._send(b"".join([render_new(ticket) for ticket in tickets]))
        return len(tickets) if is_sent else 0

    def cancel(self, ticket: Ticket) -> bool:
        return self.is_up and self._send(render_cancel(ticket))

    def replace(self, ticket: Ticket) -> bool:
        return self.is_up and self._send(render_replace(ticket))

    def query(self, ticket: Ticket) -> bool:
        return self.is_up and self._send(render_query(ticket))

    async def open(self) -> None:
        """Start connecting; `on_link` tells when the link is up. Idempotent."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="sim link")

    async def close(self) -> None:
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if self._writable is not None:
            self._writable.cancel()
        if self._wire is not None:
            wire = self._wire
            wire.abort("closed by us")
            self._on_lost(wire)

    # --- sending ------------------------------------------------------------------------------------------------------

    def _send(self, lines: bytes) -> bool:
        wire = self._wire
        if wire is None:
            return False
        if wire.send(lines):
            return True
        if self._writable is None:
            self._writable = asyncio.get_running_loop().call_later(FULL_RETRY_S, self._on_writable)
        return False

    def _on_writable(self) -> None:
        self._writable = None
        if self.is_up:
            self._sink.on_writable()

    # --- connection ---------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Connect for ever: one attempt at a time, exponential backoff with jitter."""
        config = self.config
        failures = 0
        while True:
            self._lost.clear()
            self._ready.clear()
            if await self._live():
                failures = 0
            delay_ms = min(config.backoff_ms_max, config.backoff_ms_first << min(failures, 16))
            if self._is_patient:
                delay_ms = config.backoff_ms_max
            failures += 1
            await asyncio.sleep(delay_ms * (500 + self._rng.randrange(501)) / 1_000_000)

    async def _live(self) -> bool:
        """One connection from connect to loss; whether it was ever up."""
        wire = Wire(self._on_line, self._on_lost, self._on_writable)
        try:
            async with asyncio.timeout(self.config.login_ms_max / 1000):
                await self._connect(wire)
                await self._ready.wait()
        except (OSError, TimeoutError) as error:
            self.last_cause = f"{type(error).__name__}: {error}"
            wire.abort(self.last_cause)
            return False
        if self._lost.is_set():
            return False
        self.is_up = True
        self.connects += 1
        self._is_patient = False
        self._sink.on_link(True, "login")
        while not self._lost.is_set():
            try:
                async with asyncio.timeout(self.config.heartbeat_ms / 1000):
                    await self._lost.wait()
            except TimeoutError:
                self._beat(wire)
        return True

    async def _connect(self, wire: Wire) -> None:
        loop = asyncio.get_running_loop()
        self._wire = wire
        self._heard_ns = self._mono_ns()
        if self.config.unix:
            await loop.create_unix_connection(lambda: wire, self.config.unix)
        else:
            await loop.create_connection(lambda: wire, self.config.host, self.config.port)

    def _on_lost(self, wire: Wire) -> None:
        if wire is not self._wire:
            return
        self._wire = None
        self.last_cause = wire.cause
        self._lost.set()
        self._ready.set()
        if self.is_up:
            self.is_up = False
            self.losses += 1
            self._sink.on_link(False, wire.cause)

    def _beat(self, wire: Wire) -> None:
        """Ask for a sign of life, end a link that gives none, ask again for executions that never came."""
        now_ns = self._mono_ns()
        if now_ns - self._heard_ns > SILENT_HEARTBEATS_MAX * self.config.heartbeat_ms * 1_000_000:
            wire.abort("half-open: nothing heard")
            return
        self._ping_id += 1
        self._ping_ns = now_ns
        wire.send(encode(m.Ping(self._ping_id)) + b"\n")
        if self._ahead or self._exec_seq < self._venue_exec_seq:
            wire.send(encode(m.Execs(self._exec_seq)) + b"\n")

    # --- hearing ------------------------------------------------------------------------------------------------------

    def _on_line(self, wire: Wire, line: bytes) -> None:
        if wire is not self._wire or not line:
            return
        self._heard_ns = self._mono_ns()
        message = self._reader.read(line)
        if isinstance(message, Report):
            self.reports += 1
            self.unknown_reports += isinstance(message, ReportUnknown)
            self._sink.on_report(message)
        else:
            self._on_session_message(wire, message)

    def _on_session_message(self, wire: Wire, message: m.Message) -> None:
        config = self.config
        if isinstance(message, m.Hello):
            sig = sign(config.secret, message.challenge, config.key, "trade")
            wire.send(encode(m.Login(config.key, sig, "trade")) + b"\n")
        elif isinstance(message, m.Welcome):
            self._on_welcome(wire, message)
        elif isinstance(message, m.ExecsEnd):
            self._exec_seq = max(self._exec_seq, message.exec_seq)
            self._ahead = {number for number in self._ahead if number > self._exec_seq}
            self._ready.set()
        elif isinstance(message, m.Pong):
            self._on_pong(message)
        elif isinstance(message, m.Ping):
            wire.send(encode(m.Pong(message.id, 0, self._wall_ns())) + b"\n")
        elif isinstance(message, m.Logout):
            self._is_patient = message.code in PATIENT_CODES
            wire.abort(f"logout: {message.code}: {message.text}")

    def _on_welcome(self, wire: Wire, welcome: m.Welcome) -> None:
        """After a loss, the executions made meanwhile come first; at start the engine's queries bring them."""
        self._venue_exec_seq = welcome.exec_seq
        if self._exec_seq < 0:
            self._exec_seq = welcome.exec_seq
        if self._exec_seq < welcome.exec_seq:
            wire.send(encode(m.Execs(self._exec_seq)) + b"\n")
        else:
            self._ready.set()

    def _on_pong(self, pong: m.Pong) -> None:
        self._venue_exec_seq = pong.exec_seq
        if pong.id == self._ping_id:
            self.rtt_ns = self._mono_ns() - self._ping_ns
            self.clock_offset_ns = pong.ts - (self._wall_ns() - self.rtt_ns // 2)

    def _note_exec_seq(self, number: int) -> None:
        """Keep the number up to which no execution is missing; a gap is asked for at the next beat."""
        if number == self._exec_seq + 1:
            self._exec_seq = number
            while self._exec_seq + 1 in self._ahead:
                self._exec_seq += 1
                self._ahead.discard(self._exec_seq)
        elif number > self._exec_seq and len(self._ahead) < AHEAD_MAX:
            self._ahead.add(number)
