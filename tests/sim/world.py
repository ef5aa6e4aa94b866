"""The core tier: one seed's world without an event loop, wired, driven through its two phases, and judged.

Safety phase: all drawn faults, for as long as the clients' scripts go on. Liveness phase: faults off, links healed; in
a stated time every doubt is settled and every order done. Then the journal is replayed and its state compared.
To add a fault: a row in `faults.CATALOGUE` and a `faults.hit("name")` in the part of the world that misbehaves.
"""

from __future__ import annotations

import gc
import hashlib
import traceback
from collections import Counter
from collections.abc import Mapping
from functools import cache
from logging import CRITICAL
from typing import Literal

import structlog

from gateway import boot, plants
from gateway.core import COMPILED, Core
from gateway.journal.errors import JournalCorrupt
from gateway.options import (
    AccountLimits,
    AccountOptions,
    ApiLimits,
    CapacityOptions,
    Config,
    FeedOptions,
    GatewayOptions,
    InstrumentOptions,
    JournalOptions,
    KeyOptions,
    Limits,
)
from gateway.stream.keys import KeyRing, make_key
from hotpath.enums import HaltLevel, HaltScope
from risk.halts import HaltRefused
from tests.sim.checkers import Judge
from tests.sim.clients import Client
from tests.sim.cores import core_named
from tests.sim.disk import DiskFaults, SimDisk
from tests.sim.faults import Faults
from tests.sim.history import Act, History
from tests.sim.kernel import SECOND, Escape, Kernel, sealed
from tests.sim.market import Market, feeds_of
from tests.sim.node import Node
from tests.sim.outcome import Broken, Outcome, Violation
from tests.sim.reach import Transitions
from tests.sim.venue import KEY, BrokerSide

SYMBOLS = ("BTC", "ETH")
ACCOUNTS = ("A0", "A1")
ORDERS = 43
SECRET = bytes(32)
EVENTS_MIN = 600  # of the safety phase
SAFETY_NS_MAX = 240 * SECOND
LIVENESS_NS_MAX = 300 * SECOND
EVENTS_MAX = 60_000  # a run that goes on and on is broken, not long


@cache
def config_of(is_cut: bool, segment_bytes: int, outbound_bytes: int, feeds: tuple[FeedOptions, ...]) -> Config:
    """The configuration of every run; with limits cut to a tenth after an operator's change."""
    limits = AccountLimits(
        max_order_qty="20" if not is_cut else "2", max_order_notional="10000", max_position_qty="60", max_gross="10000",
        leverage_bps="50000", max_open_orders=40, order_rate_per_s=100, order_burst=200, msg_rate_per_s=200,
        msg_burst=400,
    )  # fmt: skip
    return Config(
        gateway=GatewayOptions(data_dir="/var", shard=1),
        journal=JournalOptions(segment_bytes=segment_bytes),
        limits=Limits(api=ApiLimits(outbound_bytes=outbound_bytes, hb_ms=2_000)),
        capacity=CapacityOptions(orders=512, accounts=4, instruments=4),
        instruments=tuple(
            InstrumentOptions(symbol=symbol, tick="0.01", lot="1", min_qty="1", max_age_ms=1_000) for symbol in SYMBOLS
        ),
        accounts=tuple(AccountOptions(name=name, cash="1000000", limits=limits) for name in ACCOUNTS),
        keys=tuple(_key(f"k{at}", name) for at, name in enumerate(ACCOUNTS)),
        feeds=feeds,
    )


def _key(name: str, account: str) -> KeyOptions:
    return KeyOptions(name=name, kind="hmac", scopes=("read", "trade"), accounts=(account,))


class World:
    """Everything of one run. Checkers read it; the gateway sees only its ports."""

    def __init__(
        self, seed: int, *, faults: Mapping[str, float | bool] | None = None, orders: int | None = None,
        core: Core = COMPILED,
    ) -> None:  # fmt: skip
        self.core = core
        self.kernel = Kernel(seed)
        self.faults = Faults(self.kernel, faults)
        self.history = History()
        self.transitions = Transitions()
        self.reached: Counter[str] = Counter()
        self.pace = 1  # how many times slower the world moves while it only waits
        sizes = self.kernel.rng("sizes")
        self.segment_bytes = sizes.choice((64 << 10, 256 << 10))
        self.outbound_bytes = sizes.choice((16 << 10, 64 << 10))  # of one client: a slow one lags, and is closed
        self.buffer_bytes = sizes.choice((12 << 10, 4 << 20))  # of the journal's writer
        self.config = config_of(False, self.segment_bytes, self.outbound_bytes, feeds_of(self.faults.strengths))
        self.disk = SimDisk(self.kernel.rng("disk"), self._disk_faults())
        self.market = Market(self, SYMBOLS)
        self.node = Node(self)
        self.venue = BrokerSide(self, SYMBOLS)
        total = ORDERS if orders is None else orders
        shares = (total - total // 2, total // 2)
        self.clients = [
            Client(self, f"k{at}", name, SECRET, shares[at]) for at, name in enumerate(ACCOUNTS)
        ]  # fmt: skip
        self.judge = Judge(self)
        self.is_cut = False  # limits are those of a later, tighter configuration
        self.is_settling = False  # the liveness phase
        self._draw = self.kernel.rng("operator")

    def _disk_faults(self) -> DiskFaults:
        strength = self.faults.strength
        return DiskFaults(
            error_rate=strength("disk.error"), full_rate=strength("disk.full"), short_rate=strength("disk.short"),
            slow_rate=strength("disk.slow"), slow_ns_max=2 * SECOND,
            is_persistent=self.kernel.rng("disk kind").random() < 0.5,
        )  # fmt: skip

    def configure(self) -> None:
        """What a start finds in its configuration file."""
        if self.node.life > 1 and self.faults.hit("operator.cut"):
            self.is_cut = not self.is_cut
            self.config = config_of(self.is_cut, self.segment_bytes, self.outbound_bytes, self.config.feeds)
            self.history.acts.append(Act(self.kernel.now_ns, "cut", {}, self.kernel.now_ns))

    def new_keys(self) -> KeyRing:
        """Keys with full buckets, as a start makes them."""
        return KeyRing([make_key(key, SECRET, self.config.limits.api, list(ACCOUNTS)) for key in self.config.keys])

    @staticmethod
    def hash(data: bytes | memoryview) -> str:
        return hashlib.blake2b(data, digest_size=8).hexdigest()

    # --- the run -----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Both phases. Raises Broken."""
        self.node.boot()
        self.market.start()
        for client in self.clients:
            client.start()
        while not self._is_script_over() and self.kernel.now_ns < SAFETY_NS_MAX:
            self._step()
        self._settle()
        self._compare()

    def _step(self) -> None:
        kernel = self.kernel
        kernel.step()
        self.judge.after_event()
        self.node.befall()
        if not self.node.is_paused:
            if self.faults.hit("operator.kill"):
                self.node.enter(self._kill)
            if self.faults.hit("operator.restart"):
                self.node.restart()
        if kernel.events > EVENTS_MAX:
            raise Broken("I19", f"more than {EVENTS_MAX} events")

    def _is_script_over(self) -> bool:
        return self.kernel.events >= EVENTS_MIN and all(client.left < 0 for client in self.clients)

    # --- operators ---------------------------------------------------------------------------------------------------

    def _kill(self) -> None:
        draw, shard = self._draw, self.node.shard
        assert shard is not None
        scope = draw.choice((HaltScope.GLOBAL, HaltScope.ACCOUNT, HaltScope.INSTRUMENT))
        index = 0 if scope == HaltScope.GLOBAL else draw.randrange(2)
        level = draw.choice((HaltLevel.NO_NEW, HaltLevel.REDUCE_ONLY, HaltLevel.CANCEL_ALL))
        act = Act(self.kernel.now_ns, "kill", {"scope": int(scope), "index": index, "level": int(level)})
        self.history.acts.append(act)
        self.kernel.trace(f"kill {act.detail}")
        try:
            shard.engine.halts.set(
                scope, index, level, actor="ops", reason="drill", keep_protective=draw.random() < 0.5
            )
        except HaltRefused:
            return  # that one is on already
        act.done_ns = self.kernel.now_ns
        self.kernel.after(draw.randrange(SECOND, 10 * SECOND), lambda: self.node.enter(self._lift))

    def _lift(self) -> None:
        """Two persons lift every switch."""
        shard = self.node.shard
        assert shard is not None
        halts = shard.engine.halts
        for actor in ("ops", "ops-2"):
            for halt in list(halts.book.active()):
                try:
                    halts.lift(halt, actor)
                except HaltRefused:
                    continue
        self.history.acts.append(Act(self.kernel.now_ns, "lift", {}, self.kernel.now_ns))

    # --- liveness ----------------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        self.faults.are_on = False
        self.is_settling = True
        self.pace = 5
        self.venue.heal()
        self.disk.heal()
        self.node.heal()
        self.kernel.trace("faults off")
        self.kernel.after(0, lambda: self.node.enter(self._lift))
        for client in self.clients:
            if client.wire is not None:
                client.wire.unstick()
            client.wind_down()
        until_ns = self.kernel.now_ns + LIVENESS_NS_MAX
        rested_ns = -1
        while rested_ns < 0 or self.kernel.now_ns < rested_ns + 3 * SECOND:
            self._step()
            rest = self._why_restless()
            if rest:
                rested_ns = -1
            elif rested_ns < 0:
                rested_ns = self.kernel.now_ns
            if self.kernel.now_ns > until_ns:
                self._compare_positions()  # says more, where both are broken
                raise Broken("I23", f"not at rest {LIVENESS_NS_MAX // SECOND} s after the faults ended: {rest}")

    def _why_restless(self) -> str:
        shard = self.node.shard
        if shard is None:
            return "the node is down"
        router, views = shard.engine.router, shard.engine.views
        if not router.is_open:
            return f"the link is not open: {len(router.asking)} asked, {len(router.unasked)} to ask"
        if views.in_doubt() or router.waiting or router.unasked or router.asking:
            return f"{views.in_doubt()} in doubt, {router.waiting} waiting, {len(router.unasked)} to ask"
        if len(router.unheard):
            return f"{len(router.unheard)} orders of which the broker should say more"
        if shard.engine.fanout.depth() or shard.state.has_records() or self.node.journal.durable_seq < shard.state.seq:
            return "records are not durable"
        if self.venue.busts:
            return f"{self.venue.busts} busts are under way"
        for client in self.clients:
            if not client.is_at_rest:
                return f"{client.name} has {len(client.unanswered)} unanswered, {len(client.again)} to ask again"
        for row, name in enumerate(shard.state.account_names):
            if orders := views.open_orders(row):
                return f"{name} has {len(orders)} open orders"
        return ""

    # --- the end -----------------------------------------------------------------------------------------------------

    def _compare_positions(self) -> None:
        shard = self.node.shard
        if shard is None:
            return  # the caller says that the node is down
        ours: Counter[str] = Counter()
        for row in range(len(ACCOUNTS)):
            for instrument, qty_e9, *_ in shard.engine.views.positions(row):
                ours[shard.state.quotes.symbol_of(instrument)] += qty_e9
        theirs = {sym: qty for (key, sym), qty in self.venue.exchange._position_qty_e9.items() if key == KEY}
        for symbol in SYMBOLS:
            if ours[symbol] != theirs.get(symbol, 0):
                raise Broken("I5", f"{symbol}: position {ours[symbol]}, at the broker {theirs.get(symbol, 0)}")

    def _compare(self) -> None:
        """The books against the broker's, the clients' records against ours, the journal against the state."""
        shard = self.node.shard
        assert shard is not None
        self._compare_positions()
        for client in self.clients:
            head = shard.engine.fanout.heads[shard.state.accounts[client.account]]
            if client.seq != head:
                raise Broken("I13", f"{client.name} ends at seq {client.seq}, the account at {head}")
        digest = self.node.stop()
        self.judge.after_event()
        self.judge.at_rest()
        self.kernel.trace(f"end {digest}")
        seq, replayed = boot.replay_all(self.config, self.disk.files())
        if replayed != digest:
            raise Broken("I7", f"replay to seq {seq} gives {replayed}, the state was {digest}")
        again = boot.boot(self.config, self.node.clock, self.core, self.disk.files()).state.digest()
        if again != digest:
            raise Broken("I7", f"snapshot and tail give {again}, the state was {digest}")


def run_core(
    seed: int, *, plant: str = "", faults: Mapping[str, float | bool] | None = None, orders: int | None = None,
    core: Literal["compiled", "readable"] = "compiled",
) -> Outcome:  # fmt: skip
    """One seed from start to end. Raises FaultError, NoSuchPlant; what the product does wrong is the violation."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))
    world = World(seed, faults=faults, orders=orders, core=core_named(core))
    outcome = Outcome(seed, "core", options=dict(world.faults.strengths))
    if plant:
        plants.turn_on(plant)
    plants.watch(lambda name: world.reached.update((name,)), world.kernel.sometimes)
    gc.disable()
    try:
        with sealed():
            world.run()
    except Broken as broken:
        outcome.violation = Violation(broken.invariant, broken.text, list(world.kernel.ring))
    except JournalCorrupt as error:
        outcome.violation = Violation("I8", f"the journal that we wrote: {error}", list(world.kernel.ring))
    except Escape as escape:
        outcome.violation = Violation("Escape", str(escape), list(world.kernel.ring))
    except Exception:  # noqa: BLE001  # whatever the product raises is a finding
        outcome.violation = Violation("crash", traceback.format_exc(limit=-6), list(world.kernel.ring))
    finally:
        gc.enable()
        plants.watch(None)
        if plant:
            plants.turn_off()
    outcome.digest, outcome.last = world.kernel.digest(), list(world.kernel.ring)
    outcome.events, outcome.sim_ns = world.kernel.events, world.kernel.now_ns
    outcome.orders = sum(len(client.orders) for client in world.clients)
    outcome.injected = world.faults.injected + Counter(world.disk.strikes())
    outcome.reached = world.reached + world.transitions.reached
    return outcome
