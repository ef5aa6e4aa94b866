"""The gateway process: what exists, how it is wired, how it starts and ends; the one place with side effects."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import structlog
import uvloop

from brokers.capabilities import RateBudget
from brokers.ports import ReportSink
from brokers.sim.link import SimAdapter, SimLinkConfig
from gateway.config import Config
from gateway.core import COMPILED, Core
from gateway.core.state import State
from gateway.errors import starting
from gateway.feeds.binance import BinanceFeed, stream_url
from gateway.machine import SystemMachine
from gateway.ops.server import OpsServer
from gateway.options import FeedOptions
from gateway.ports import Machine, Ports
from gateway.secret_store import read_secret
from gateway.shard import DAY_TIMER_NS, TIMER_NS, Shard
from gateway.spin import Spinner
from gateway.stream.keys import Key, KeyRing, make_key, public_bytes
from gateway.timers import Timers
from hotpath.hist import Histogram

log = structlog.get_logger("gateway")
COLLECT_NS = 30_000_000_000


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
        self, config: Config, *, environ: Mapping[str, str], machine: Machine | None = None, core: Core = COMPILED
    ) -> None:  # fmt: skip
        self.config = config
        self.core = core
        self.environ = environ
        self.machine: Machine = machine or SystemMachine()
        self.clock = self.machine.clock
        self.timers = Timers()
        self.loop_lag = Histogram()
        self.collection = Histogram()
        self.stopping = asyncio.Event()

    # --- start -------------------------------------------------------------------------------------------------------

    async def start(self) -> Ready:
        """Recover, then open everything. Raises JournalCorrupt or ConfigError before anything is opened."""
        self.loop = asyncio.get_running_loop()
        ports = Ports(
            clock=self.clock, files=self.machine.files, token_bytes=self.machine.token_bytes, later=self._later,
            soon=self.loop.call_soon,
            open_journal=lambda state, recovered: self.machine.open_journal(self.config, state, recovered),
            open_adapter=self._adapter,
        )  # fmt: skip
        shard = self.shard = Shard(self.config, ports, self._keys(), self.core)
        shard.start()
        await self._begun(shard)
        self.feeds = [self._feed(number, options) for number, options in enumerate(self.config.feeds)]
        await self.adapter.open()
        for feed in self.feeds:
            await feed.open()
        ws_port = await shard.stream.start()
        self.ops = OpsServer(self)
        http_port = await self.ops.start()
        self._start_timers()
        self.machine.mind_heap("start")
        booted, seq = shard.booted, shard.state.seq
        log.info("gateway is up", ws_port=ws_port, http_port=http_port, seq=seq, replayed=booted.replayed)
        return Ready(
            ws_port, http_port, booted.recovered.last_seq, shard.boot_digest, booted.replayed,
            booted.took_ns // 1_000_000,
        )  # fmt: skip

    async def _begun(self, shard: Shard) -> None:
        """Nobody is told anything before this start is on disk: nobody could resume from a history that a crash took.

        A journal that fails here leaves the process protect-only, as it does later.
        """
        begun: asyncio.Future[None] = self.loop.create_future()
        seq = shard.state.seq

        def on_journal() -> None:
            shard.on_journal()
            if not begun.done() and (shard.journal.durable_seq >= seq or not shard.engine.is_admitting):
                begun.set_result(None)

        self.machine.watch(shard.journal, on_journal)
        await begun
        self.machine.watch(shard.journal, shard.on_journal)

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

    def _adapter(self, state: State, sink: ReportSink) -> SimAdapter:
        options = self.config.broker.sim
        data_dir = Path(self.config.gateway.data_dir)
        secret = read_secret(
            "broker.sim", env=options.secret_env, file=data_dir / options.secret_file if options.secret_file else None,
            create=self.config.gateway.mode == "paper", environ=self.environ,
        )  # fmt: skip
        scheme, _, place = options.address.partition("://")
        host, _, port = place.rpartition(":")
        config = SimLinkConfig(
            host=host if scheme == "tcp" else "127.0.0.1", port=int(port) if scheme == "tcp" else 0,
            unix=place if scheme == "unix" else "", key=options.key, secret=secret.hex(),
            shard=state.shard, history=state.history_text(), horizon_ms=options.horizon_ms,
            budget=RateBudget(
                messages_per_s=options.messages_per_s, burst=options.burst, reserved_burst=options.reserved_burst
            ),
        )  # fmt: skip
        clock = self.clock
        self.adapter = SimAdapter(
            config, sink, mono_ns=clock.mono_ns, wall_ns=clock.wall_ns, rng=self.machine.rng()
        )  # fmt: skip
        return self.adapter

    def _feed(self, number: int, options: FeedOptions) -> BinanceFeed:
        items = {item.symbol: item.feed_name for item in self.config.instruments}
        names = [items[symbol] for symbol in self.shard.feed_symbols(options.name)]
        return BinanceFeed(
            stream_url(options.url, names), self.shard.engine.on_feed_frame,
            lambda up, cause: self.shard.on_feed(options.name, up, cause),
            number=number, mono_ns=self.clock.mono_ns, rng=self.machine.rng(), idle_ms=options.idle_ms,
        )  # fmt: skip

    # --- loop --------------------------------------------------------------------------------------------------------

    def _later(self, delay_ns: int, call: Callable[[], None]) -> None:
        self.loop.call_later(delay_ns / 1e9, call)

    def _start_timers(self) -> None:
        shard = self.shard
        self._due_ns = self.clock.mono_ns() + TIMER_NS
        spin_ns = self.config.gateway.busy_poll_us * 1_000
        self.spinner = Spinner(self.loop, spin_ns, self.clock.mono_ns, self._activity) if spin_ns else None
        self.timers.every(self.loop, TIMER_NS, self._tick)
        self.timers.every(self.loop, self.config.limits.api.hb_ms * 1_000_000, shard.heartbeat)
        self.timers.every(self.loop, DAY_TIMER_NS, shard.roll_day)
        self.timers.every(self.loop, COLLECT_NS, self._collect)

    def _activity(self) -> int:
        """A number that changes with every frame of a feed, record and broker's report."""
        shard = self.shard
        return shard.engine.watch.frames + shard.state.seq + self.adapter.reports

    def _tick(self) -> None:
        now = self.clock.mono_ns()
        self.loop_lag.record(max(0, now - self._due_ns))
        self._due_ns = now + TIMER_NS
        self.shard.on_timer()
        if self.spinner is not None:
            self.spinner.look()

    def _collect(self) -> None:
        """A collection of the young generation when nothing is under way."""
        if self.shard.engine.fanout.depth() == 0:
            began = self.clock.mono_ns()
            self.machine.mind_heap("idle")
            self.collection.record(self.clock.mono_ns() - began)

    # --- end ---------------------------------------------------------------------------------------------------------

    async def stop(self, reason: str = "shutdown") -> str:
        """The orderly end: tell the clients, sync the journal, store a snapshot; returns the state digest."""
        shard = self.shard
        shard.drain(reason)
        await asyncio.sleep(0)
        self.timers.cancel()
        for feed in self.feeds:
            await feed.close()
        await self.adapter.close()
        self.machine.watch(shard.journal, None)
        shard.stop()
        await shard.stream.close()
        await self.ops.close()
        self.machine.mind_heap("end")
        digest = shard.finish()
        log.info("gateway has stopped", seq=shard.state.seq, digest=digest)
        return digest


def run(config: Config, environ: Mapping[str, str], announce: Callable[[Ready | Stopped], None]) -> int:
    """Run until SIGTERM or SIGINT; the exit status. `announce` is called once the ports are open, and at the end."""

    async def main() -> int:
        gateway = Gateway(config, environ=environ, machine=SystemMachine())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, gateway.stopping.set)
        with starting("the gateway"):
            ready = await gateway.start()
        announce(ready)
        await gateway.stopping.wait()
        digest = await gateway.stop()
        announce(Stopped(stopped=True, seq=gateway.shard.state.seq, digest=digest))
        return 1 if gateway.shard.journal.failed else 0

    return uvloop.run(main())
