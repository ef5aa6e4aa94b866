"""The gateway process: what exists, how it is wired, how it starts and ends; the one place with side effects."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Literal

import msgspec
import structlog
import uvloop

from brokers.sim.link import SimAdapter, SimLinkConfig
from gateway import boot
from gateway.clock import Clock, SystemClock
from gateway.config import Config
from gateway.contracts import notices
from gateway.contracts.asyncapi import spec_sha256
from gateway.core.world import World
from gateway.engine import Engine
from gateway.errors import CannotStart, starting
from gateway.feeds.binance import BinanceFeed, stream_url
from gateway.journal.errors import JournalError
from gateway.journal.recovery import Recovered
from gateway.journal.writer import FaultPlan, JournalWriter
from gateway.ops.server import OpsServer
from gateway.options import FeedOptions
from gateway.secret_store import read_secret
from gateway.spin import Spinner
from gateway.stream.keys import Key, KeyRing, make_key, public_bytes
from gateway.stream.server import StreamServer
from gateway.timers import Timers
from hotpath.hist import Histogram

log = structlog.get_logger("gateway")
TIMER_NS = 10_000_000
DRAIN_S = 0.2
DAY_NS = 86_400_000_000_000


class Ready(msgspec.Struct, frozen=True):
    """What a supervisor or a test wants to know once the gateway accepts connections."""

    ws_port: int
    http_port: int
    seq: int
    digest: str
    replayed: int
    boot_ms: int


class Stopped(msgspec.Struct, frozen=True):
    """The last word of an orderly end."""

    stopped: bool
    seq: int
    digest: str


class Gateway:
    """One shard's process, from the disk to the sockets."""

    def __init__(
        self, config: Config, *, environ: Mapping[str, str], clock: Clock | None = None, fault: FaultPlan | None = None
    ) -> None:
        """fault: an error of the journal's disk that a test plans."""
        self.fault = fault
        self.config = config
        self.environ = environ
        self.clock = clock or SystemClock()
        self.timers = Timers()
        self.loop_lag = Histogram()
        self.collection = Histogram()
        self.stopping = asyncio.Event()
        self.is_durable = config.journal.durability == "disk"

    # --- start -------------------------------------------------------------------------------------------------------

    async def start(self) -> Ready:
        """Recover, then open everything. Raises JournalCorrupt or ConfigError before anything is opened."""
        config = self.config
        loop = asyncio.get_running_loop()
        self.loop = loop
        keys = self._keys()
        booted = boot.boot(config, self.clock)
        self.state = booted.state
        digest, last_wall_ns = self.state.digest(), self.state.last_wall_ns
        recovered = booted.recovered
        boot.configure(self.state, config, self.clock)
        folder = boot.journal_dir(config)
        self._open_journal(folder, recovered)
        self.events = boot.EventReader(folder)
        self.adapter = SimAdapter(
            self._adapter_config(), self, mono_ns=self.clock.mono_ns, wall_ns=self.clock.wall_ns, rng=Random()
        )
        self.engine = Engine(
            state=self.state, journal=self.journal, clock=self.clock, adapter=self.adapter, is_durable=self.is_durable,
            later=self._later, soon=loop.call_soon, read_frame=self.events.read,
        )  # fmt: skip
        self.stream = StreamServer(
            engine=self.engine, keys=keys, options=config.gateway, limits=config.limits.api, is_durable=self.is_durable,
            spec=spec_sha256(),
        )  # fmt: skip
        self._roll_day()
        self._set_instruments()
        self.engine.on_guard_change = self._show_guard
        self.engine.recover(last_wall_ns, is_clean=recovered.is_clean)
        loop.add_reader(self.journal.eventfd, self._on_durable)
        self.feeds = [self._feed(options) for options in config.feeds]
        await self.adapter.open()
        for feed in self.feeds:
            await feed.open()
        ws_port = await self.stream.start()
        self.ops = OpsServer(self)
        http_port = await self.ops.start()
        self._start_timers()
        gc.collect()
        gc.freeze()
        gc.disable()
        boot_ms = booted.took_ns // 1_000_000
        log.info("gateway is up", ws_port=ws_port, http_port=http_port, seq=self.state.seq, replayed=booted.replayed)
        return Ready(ws_port, http_port, recovered.last_seq, digest, booted.replayed, boot_ms)

    def _open_journal(self, folder: Path, recovered: Recovered) -> None:
        """With `pin_cpu` the loop gets that core and the journal's threads keep off it."""
        config, pin = self.config, self.config.gateway.pin_cpu
        cores = os.sched_getaffinity(0)
        if pin >= 0 and cores - {pin}:
            os.sched_setaffinity(0, cores - {pin})  # threads inherit it
        self.journal = JournalWriter(
            str(folder), history_id=self.state.history, position=recovered.next_position, last_seq=recovered.last_seq,
            epoch=self.state.epoch, segment_bytes=config.journal.segment_bytes, fsync=self.is_durable,
            gap_ns_max=config.journal.commit_gap_us_max * 1_000, fault=self.fault,
        )  # fmt: skip
        if pin >= 0:
            try:
                os.sched_setaffinity(0, {pin})
            except OSError as error:
                raise CannotStart(f"gateway.pin_cpu: may not run on CPU {pin}: {error.strerror}") from error

    def _keys(self) -> KeyRing:
        accounts = [account.name for account in self.config.accounts]
        data_dir = Path(self.config.gateway.data_dir)
        keys: list[Key] = []
        for options in self.config.keys:
            if options.kind == "hmac":
                file = data_dir / options.secret_file if options.secret_file else None
                secret = read_secret(
                    f"keys.{options.name}", env=options.secret_env, file=file,
                    create=options.create and self.config.gateway.mode == "paper", environ=self.environ,
                )  # fmt: skip
            else:
                secret = public_bytes(options)
            keys.append(make_key(options, secret, self.config.limits.api, accounts))
        return KeyRing(keys)

    def _adapter_config(self) -> SimLinkConfig:
        options = self.config.broker.sim
        data_dir = Path(self.config.gateway.data_dir)
        secret = read_secret(
            "broker.sim", env=options.secret_env, file=data_dir / options.secret_file if options.secret_file else None,
            create=self.config.gateway.mode == "paper", environ=self.environ,
        )  # fmt: skip
        scheme, _, place = options.address.partition("://")
        host, _, port = place.rpartition(":")
        return SimLinkConfig(
            host=host if scheme == "tcp" else "127.0.0.1", port=int(port) if scheme == "tcp" else 0,
            unix=place if scheme == "unix" else "", key=options.key, secret=secret.hex(),
            shard=self.state.shard, history=self.state.history_text(),
        )  # fmt: skip

    def _set_instruments(self) -> None:
        for item in self.config.instruments:
            row = self.state.quotes.row_of(item.symbol)
            self.engine.parser.map_symbol(item.feed_name, row)
            self.engine.intake.set_source(row, item.source)

    def _feed(self, options: FeedOptions) -> BinanceFeed:
        items = [item for item in self.config.instruments if not options.symbols or item.symbol in options.symbols]
        rows = [self.state.quotes.row_of(item.symbol) for item in items]

        def on_state(up: bool, cause: str) -> None:
            log.info("feed", feed=options.name, up=up, cause=cause)
            if up:  # numbering and venue time start afresh on a new connection
                for row in rows:
                    self.state.quotes.restart_feed(row)
            self._show_feed(options.name, "fresh" if up else "down")

        return BinanceFeed(
            stream_url(options.url, [item.feed_name for item in items]), self.engine.on_feed_frame, on_state,
            mono_ns=self.clock.mono_ns, rng=Random(), idle_ms=options.idle_ms,
        )  # fmt: skip

    def _show_feed(self, name: str, state: Literal["fresh", "stale", "down"]) -> None:
        known = self.stream.feed_states.get(name)
        if known is None or known.state != state:
            self.stream.feed_states[name] = notices.Feed(state=state, since_ns=self.clock.wall_ns())
            self.stream.push_status()

    def _show_guard(self) -> None:
        """A feed that is connected and leaves an instrument blind is stale."""
        blind = {self.state.quotes.symbol_of(row) for row in self.engine.guard.blind}
        for options, feed in zip(self.config.feeds, self.feeds, strict=True):
            if feed.health.is_up:
                is_blind = bool(blind and (not options.symbols or blind.intersection(options.symbols)))
                self._show_feed(options.name, "stale" if is_blind else "fresh")

    # --- the sink of broker reports: the engine exists before the first of them ---------------------------------------

    def on_report(self, report: object) -> None:
        self.engine.on_report(report)  # type: ignore[arg-type]

    def on_link(self, up: bool, cause: str) -> None:
        self.engine.on_link(up, cause)

    def on_writable(self) -> None:
        self.engine.on_writable()

    # --- loop --------------------------------------------------------------------------------------------------------

    def _on_durable(self) -> None:
        self.journal.take_event()
        if self.journal.failed:
            self.engine.journal_failed(f"{self.journal.failed_op}: {os.strerror(self.journal.failed)}")
            return
        self.engine.on_durable()

    def _later(self, delay_ns: int, call: Callable[[], None]) -> None:
        self.loop.call_later(delay_ns / 1e9, call)

    def _start_timers(self) -> None:
        limits = self.config.limits.api
        self._due_ns = self.clock.mono_ns() + TIMER_NS
        spin_ns = self.config.gateway.busy_poll_us * 1_000
        self.spinner = Spinner(self.loop, spin_ns, self.clock.mono_ns, self._activity) if spin_ns else None
        self.timers.every(self.loop, TIMER_NS, self._tick)
        self.timers.every(self.loop, limits.hb_ms * 1_000_000, self.stream.heartbeat)
        self.timers.every(self.loop, 60_000_000_000, self._roll_day)
        self.timers.every(self.loop, 30_000_000_000, self._collect)

    def _activity(self) -> int:
        """A number that changes with every frame of a feed, record and broker's report."""
        return self.engine.watch.frames + self.state.seq + self.adapter.reports

    def _tick(self) -> None:
        now = self.clock.mono_ns()
        self.loop_lag.record(max(0, now - self._due_ns))
        self._due_ns = now + TIMER_NS
        self.engine.on_timer()
        if self.spinner is not None:
            self.spinner.look()

    def _roll_day(self) -> None:
        """`day` orders end with their session; around the clock that is midnight UTC."""
        end = (self.clock.wall_ns() // DAY_NS + 1) * DAY_NS
        for row in range(self.state.quotes.count):
            self.engine.intake.set_day_end(row, end)

    def _collect(self) -> None:
        """A collection of the young generation when nothing is under way; the start-up heap is frozen."""
        if self.engine.fanout.depth() == 0:
            began = self.clock.mono_ns()
            gc.collect(1)
            self.collection.record(self.clock.mono_ns() - began)

    # --- end ---------------------------------------------------------------------------------------------------------

    async def stop(self, reason: str = "shutdown") -> str:
        """The orderly end: tell the clients, sync the journal, store a snapshot; returns the state digest."""
        await self.stream.drain(reason)
        await asyncio.sleep(0)
        self.timers.cancel()
        for feed in self.feeds:
            await feed.close()
        await self.adapter.close()
        World(self.state).stopped(self.clock.wall_ns())
        self.engine.flush()
        self.loop.remove_reader(self.journal.eventfd)
        self.journal.close()
        if not self.journal.failed:
            self.engine.on_durable()
        await self.stream.close()
        await self.ops.close()
        self.events.close()
        gc.enable()
        digest = self.state.digest()
        if not self.journal.failed:
            self._store_snapshot()
        log.info("gateway has stopped", seq=self.state.seq, digest=digest)
        return digest

    def _store_snapshot(self) -> None:
        """It only makes the next start short: a disk without room for it is no failure, the journal is whole."""
        try:
            boot.write_snapshot(self.config, self.state, self.journal.position)
        except JournalError as error:
            log.warning("no snapshot of the end", why=str(error))


def run(
    config: Config, environ: Mapping[str, str], announce: Callable[[Ready | Stopped], None],
    fault: FaultPlan | None = None,
) -> int:  # fmt: skip
    """Run until SIGTERM or SIGINT; the exit status. `announce` is called once the ports are open, and at the end."""

    async def main() -> int:
        gateway = Gateway(config, environ=environ, fault=fault)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, gateway.stopping.set)
        with starting("the gateway"):
            ready = await gateway.start()
        announce(ready)
        await gateway.stopping.wait()
        digest = await gateway.stop()
        announce(Stopped(stopped=True, seq=gateway.state.seq, digest=digest))
        return 1 if gateway.journal.failed else 0

    return uvloop.run(main())
