"""One shard without a loop: from what is on disk to a core that takes clients, ticks and the broker's words.

Whoever owns it brings time, the journal's writer and the broker's wire (`gateway.ports`), calls its timers, and hands
it what arrives. `gateway.app` puts it on an event loop; the simulator drives the very same composition by hand.
"""

from __future__ import annotations

import os

import structlog

from brokers.ports import Report
from gateway import boot
from gateway.config import Config
from gateway.contracts import notices
from gateway.contracts.asyncapi import spec_sha256
from gateway.core import COMPILED, Core
from gateway.engine import Engine
from gateway.feeds.states import FeedState, FeedStates, market_numbers
from gateway.journal.errors import JournalError
from gateway.ports import Ports
from gateway.stream.keys import KeyRing
from gateway.stream.server import StreamServer

log = structlog.get_logger("shard")
TIMER_NS = 10_000_000
DAY_TIMER_NS = 60_000_000_000
DAY_NS = 86_400_000_000_000


class Shard:
    """Everything of one shard that decides. `start` once; then what arrives and the timers; `stop`, then `finish`.

    The timers are the owner's to call: `on_timer` each TIMER_NS, `heartbeat` each `limits.api.hb_ms`, `roll_day` each
    DAY_TIMER_NS.
    """

    def __init__(self, config: Config, ports: Ports, keys: KeyRing, core: Core = COMPILED) -> None:
        """keys: who may log in. core: which implementation of the core decides."""
        self.config = config
        self.ports = ports
        self.clock = ports.clock
        self.keys = keys
        self.core = core
        self.is_durable = config.journal.durability == "disk"

    # --- start -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Recover and configure. Raises JournalCorrupt, JournalError, ConfigError."""
        config, ports = self.config, self.ports
        self.booted = booted = boot.boot(config, self.clock, self.core, ports.files)
        self.state = booted.state
        self.boot_digest, last_wall_ns = self.state.digest(), self.state.last_wall_ns
        named = booted.recovered.history_id
        boot.configure(self.state, config, self.clock, self.core, ports.token_bytes, named=named)
        self.journal = ports.open_journal(self.state, booted.recovered)
        self.events = boot.EventReader(boot.journal_dir(config), ports.files)
        self.adapter = ports.open_adapter(self.state, self)
        self.engine = Engine(
            state=self.state, journal=self.journal, clock=self.clock, adapter=self.adapter, is_durable=self.is_durable,
            later=ports.later, soon=ports.soon, read_frame=self.events.read, core=self.core,
            oco_wait_ns=config.gateway.oco_wait_ms * 1_000_000,
        )  # fmt: skip
        self.stream = StreamServer(
            engine=self.engine, keys=self.keys, options=config.gateway, limits=config.limits.api,
            is_durable=self.is_durable, spec=spec_sha256(), token_bytes=ports.token_bytes,
        )  # fmt: skip
        self.roll_day()
        self._set_instruments()
        self._set_feeds()
        self.engine.guard.policies = {
            self.state.accounts[account.name]: account.policy_of(self.config.policies)
            for account in self.config.accounts
        }
        self.engine.recover(last_wall_ns, is_clean=booted.recovered.is_clean)

    def _set_instruments(self) -> None:
        for item in self.config.instruments:
            row = self.state.quotes.row_of(item.symbol)
            self.engine.parser.map_symbol(item.feed_name, row)
            self.engine.intake.set_source(row, item.source)

    def _set_feeds(self) -> None:
        """The feeds by number, their place in the configuration; none is connected yet."""
        feeds, quotes = self.config.feeds, self.state.quotes
        self.feeds = FeedStates(feeds, self.engine.watch, self._show_feed)
        for feed in feeds:
            self._show_feed(feed.name, "down")
        if not feeds:
            return
        quotes.set_feeds(market_numbers(feeds))
        for number, feed in enumerate(feeds):
            self.engine.watch.name_feed(number, feed.name.encode())
            quotes.set_priced(number, [quotes.row_of(symbol) for symbol in self.feed_symbols(feed.name)])
            quotes.set_up(number, False, 0)

    # --- market data -------------------------------------------------------------------------------------------------

    def on_feed(self, name: str, up: bool, cause: str) -> None:
        """A feed has connected or was lost. Numbering and venue time start afresh on a new connection."""
        log.info("feed connection", feed=name, up=up, cause=cause)
        number = self.feeds.number_of(name)
        self.engine.on_feed(number, up)
        self.feeds.connected(number, up, self.clock.mono_ns())

    def feed_symbols(self, name: str) -> list[str]:
        """Instruments that a feed prices."""
        (options,) = [feed for feed in self.config.feeds if feed.name == name]
        return [
            item.symbol for item in self.config.instruments if not options.symbols or item.symbol in options.symbols
        ]

    def _show_feed(self, name: str, state: FeedState) -> None:
        self.stream.feed_states[name] = notices.Feed(state=state, since_ns=self.clock.wall_ns())
        self.stream.push_status()

    # --- the sink of broker reports: the engine exists before the first of them ---------------------------------------

    def on_report(self, report: Report) -> None:
        self.engine.on_report(report)

    def on_link(self, up: bool, cause: str) -> None:
        self.engine.on_link(up, cause)

    def on_writable(self) -> None:
        self.engine.on_writable()

    # --- the journal and time ----------------------------------------------------------------------------------------

    def on_journal(self) -> None:
        """The journal's writer has made progress, or failed."""
        if self.journal.failed:
            self.engine.journal_failed(f"{self.journal.failed_op}: {os.strerror(self.journal.failed)}")
        else:
            self.engine.on_durable()

    def on_timer(self) -> None:
        """Expiries, doubts, waiting lines, the guard, the feeds' states."""
        self.engine.on_timer()
        self.feeds.on_timer(self.clock.mono_ns())

    def heartbeat(self) -> None:
        """To each client, and the end of the silent."""
        self.stream.heartbeat()

    def roll_day(self) -> None:
        """`day` orders end with their session; around the clock that is midnight UTC."""
        end = (self.clock.wall_ns() // DAY_NS + 1) * DAY_NS
        for row in range(self.state.quotes.count):
            self.engine.intake.set_day_end(row, end)

    # --- end ---------------------------------------------------------------------------------------------------------

    def drain(self, reason: str) -> None:
        """A planned end begins: clients are told, nothing new is taken."""
        self.stream.drain(reason)

    def stop(self) -> None:
        """The last record is written and the journal closed; what it made durable is let out."""
        self.core.world(self.state).stopped(self.clock.wall_ns())
        self.engine.flush()
        self.journal.close()
        if not self.journal.failed:
            self.engine.on_durable()

    def finish(self) -> str:
        """After the clients are gone: a snapshot of the end. Returns the state digest."""
        self.events.close()
        digest = self.state.digest()
        if not self.journal.failed and not self.state.has_records():  # it must not know more than the journal
            self._store_snapshot()
        return digest

    def _store_snapshot(self) -> None:
        """It only makes the next start short: a disk without room for it is no failure, the journal is whole."""
        try:
            boot.write_snapshot(self.config, self.state, self.journal.position, self.ports.files)
        except JournalError as error:
            log.warning("no snapshot of the end", why=str(error))
