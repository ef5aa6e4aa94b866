"""The loop tier: the real gateway process, adapter, venue, feed, HTTP and SDK, each on a loop of its own, one kernel.

`run_loop(seed)` is one run: a safety phase with the faults of the seed, then a liveness phase with all links healed, at
whose end the clients' own records are held against the venue's book and the journal.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import gc
import tempfile
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

import msgspec
import structlog

from gateway import boot, plants
from gateway.app import Gateway
from gateway.config import Config, load
from gateway.core import COMPILED, Core
from gateway.journal.errors import JournalCorrupt, JournalError
from gateway.options import FeedOptions
from gateway.shard import Shard
from tests.sim import checkers
from tests.sim.cores import core_named
from tests.sim.disk import PowerLost
from tests.sim.faults import Faults
from tests.sim.history import Act, History
from tests.sim.kernel import MS, SECOND, Kernel, NodeClock, sealed
from tests.sim.loop import SimLoop
from tests.sim.loop_clients import Accounts, Trader
from tests.sim.loop_faults import BROKER, Misfortunes
from tests.sim.loop_machine import SimMachine, SteppedJournal, disk_of
from tests.sim.loop_sums import check_sums
from tests.sim.loop_venue import SECOND_LINE, BrokerSide
from tests.sim.net import Habits, Network
from tests.sim.outcome import Broken, Outcome, Violation
from tests.sim.ported import ported

ORDERS = 120  # requests of all clients together
SEGMENT_BYTES = 65_536
ACCOUNTS = ("alice", "bob")
SAFETY_NS = 25 * SECOND
HEAL_NS = 240 * SECOND  # in which a healed world comes to rest
REST_NS = 3 * SECOND  # for which it stays so
SECRET = b"a secret that every process knows"
# Those whose history this tier keeps; stops and quotes are judged where the feed is in our hands, in the core tier.
CHECKERS = (
    checkers.acknowledged.Acknowledged, checkers.once.Once, checkers.truth.Truth, checkers.fills.Fills,
    checkers.positions.Positions, checkers.transitions.Transitions, checkers.sequence.Sequence,
    checkers.exposure.Exposure, checkers.kill.Kill, checkers.streams.Streams, checkers.privacy.Privacy,
    checkers.causes.Causes, checkers.liveness.Liveness, checkers.names.Names,
)  # fmt: skip
TOML = """
[gateway]
data_dir = "{data_dir}"
host = "gateway"
ws_port = 7001
http_port = 7080
[journal]
segment_bytes = 1048576
[capacity]
orders = 2048
open_orders = 512
accounts = 16
instruments = 16
[broker.sim]
address = "tcp://venue:7100"
secret_env = "SECRET"
[[feeds]]
url = "ws://venue:7200/stream?streams="
[[instruments]]
symbol = "AAA"
[[instruments]]
symbol = "BBB"
"""
ACCOUNT = """
[[accounts]]
name = "{name}"
cash = "100000000"
[accounts.limits]
[[keys]]
name = "{name}"
kind = "hmac"
secret_env = "SECRET"
scopes = ["read", "trade"]
accounts = ["{name}"]
"""


@functools.cache
def config_of(data_dir: str) -> Config:
    """The gateway's configuration, read once; segments are smaller than the least that is offered, so that they end."""
    with tempfile.NamedTemporaryFile("w+", suffix=".toml") as file:
        file.write(TOML.format(data_dir=data_dir) + "".join(ACCOUNT.format(name=name) for name in ACCOUNTS))
        file.flush()
        config = load(Path(file.name))
    return msgspec.structs.replace(config, journal=msgspec.structs.replace(config.journal, segment_bytes=SEGMENT_BYTES))


@functools.cache
def cut_config() -> Config:
    """The same with limits that an operator has cut."""
    config = config_of("/sim")
    accounts = tuple(
        msgspec.structs.replace(
            account, limits=msgspec.structs.replace(account.limits, max_order_qty="2", max_open_orders=5)
        )
        for account in config.accounts
    )
    return msgspec.structs.replace(config, accounts=accounts)


class Node:
    """The gateway's process as checkers look at it."""

    def __init__(self, world: LoopWorld) -> None:
        self._world = world

    @property
    def life(self) -> int:
        return self._world.life

    @property
    def journal(self) -> SteppedJournal | None:
        return self._world.machine.journal if self._world.machine is not None else None

    @property
    def shard(self) -> Shard | None:
        return self._world.gateway.shard if self._world.is_up and self._world.gateway is not None else None


class LoopWorld:
    """Everything of one run. order: of ready callbacks, "fifo" as in life or "shuffle"."""

    def __init__(
        self, seed: int, wanted: Mapping[str, float | bool] | None, orders: int, *, order: str = "fifo",
        core: Core = COMPILED,
    ) -> None:  # fmt: skip
        self.core = core
        self.kernel = Kernel(seed)
        self.faults = Faults(self.kernel, wanted)
        self.draw = self.kernel.rng("loop world")
        self.config = config_of("/sim")
        self.disk = disk_of(self.kernel, self.faults)
        self.net = Network(self.kernel, self._habits())
        self.order = order
        self.loops: list[SimLoop] = []  # of all processes, dead ones too
        self.history = History()
        self.reached: Counter[str] = Counter()  # branches that the product marks
        self.accounts = Accounts()
        self.broken: Broken | None = None
        self.clock = NodeClock(self.kernel)
        self.life = 0
        self.gateway: Gateway | None = None
        self.loop: SimLoop | None = None
        self.machine: SimMachine | None = None
        self.is_up = False
        self.node = Node(self)
        self.broker = BrokerSide(self, SECRET)
        self.net.link("gateway", BROKER).linger_ns = self._linger_ns
        self.misfortunes = Misfortunes(self)
        self.traders = self.clients = [self._trader(number, orders) for number in range(3)]
        self.scrapes: Counter[str] = Counter()
        self.judge = checkers.Judge(self, CHECKERS)  # type: ignore[arg-type]  # a world of the same shape

    # --- processes ----------------------------------------------------------------------------------------------------

    def _habits(self) -> Habits:
        def ppm(name: str) -> int:
            return int(self.faults.strength(name) * 1_000_000)

        return Habits(
            delay_ns=(20_000, 40 * MS) if ppm("link.delay") else (20_000, 300_000), split_ppm=ppm("net.split"),
            trickle_ppm=ppm("net.trickle"), reset_ppm=ppm("net.reset"), window_bytes=self.draw.choice((2_000, 65_536)),
        )  # fmt: skip

    def _linger_ns(self) -> int:
        """How much later what is written to the broker's link arrives, whatever becomes of its writer meanwhile."""
        return self.draw.randrange(200 * MS, 2_500 * MS) if self.faults.hit("link.linger") else 0

    def process(self, name: str, clock: NodeClock | None = None) -> SimLoop:
        """A new process: its loop, on a machine of its own unless one is given."""

        def unhandled(context: dict[str, Any]) -> None:
            error = context.get("exception")
            self.fail(
                Broken(type(error).__name__ if error else "crash", f"{name}: {context.get('message')}: {error!r}")
            )

        loop = SimLoop(
            self.kernel, self.net, name, clock=clock or NodeClock(self.kernel), order=self.order, on_unhandled=unhandled
        )
        self.loops.append(loop)
        return loop

    def fail(self, broken: Broken) -> None:
        """The first thing that is wrong is what the run ends with."""
        self.broken = self.broken or broken

    def _start(self, loop: SimLoop, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        def ended(task: asyncio.Task[Any]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                self.fail(Broken(type(error).__name__, f"{loop.name}: {error!r}"))

        def start() -> asyncio.Task[Any]:
            task = loop.create_task(work)
            task.add_done_callback(ended)
            return task

        return loop.inside(start)  # type: ignore[no-any-return]

    def _trader(self, number: int, orders: int) -> Trader:
        name = f"t{number}"
        loop = self.process(name)
        if self.faults.hit("client.slow"):
            loop.read_bytes_max, loop.read_gap_ns = self.draw.choice((64, 512)), self.draw.randrange(MS, 20 * MS)
        return Trader(
            loop, loop.clock, self.accounts, name=name, account=ACCOUNTS[number % 2],
            url="ws://gateway:7001/v1/ws", aud=self.config.gateway.audience, orders=orders // 3,
            secret="hmac:" + base64.b64encode(SECRET).decode(), faults=self.faults, history=self.history,
        )  # fmt: skip

    def boot(self) -> None:
        """A life of the gateway begins with what the disk holds."""
        if self.loop is not None and not self.loop.is_dead:
            return
        if self.misfortunes.is_asleep:
            self.kernel.after(100 * MS, self.boot)
            return
        self.life += 1
        self.misfortunes.note("boot")
        if self.life > 1 and self.faults.hit("operator.cut"):
            self.config = cut_config() if self.config is not cut_config() else config_of("/sim")
            self.history.acts.append(Act(self.kernel.now_ns, "cut", {}, self.kernel.now_ns))
        self.kernel.trace(f"boot {self.life}")
        self.net.silent_hosts.discard("gateway")
        self.loop = loop = self.process("gateway", self.clock)
        self.machine = SimMachine(loop, self.clock, self.disk, self._note_run)
        gateway = self.gateway = loop.inside(
            lambda: Gateway(self._config(), environ={"SECRET": SECRET.decode()}, machine=self.machine, core=self.core)
        )

        async def start() -> None:
            try:
                await gateway.start()
            except (JournalCorrupt, PowerLost):
                raise
            except (JournalError, OSError):
                self._ended(loop)  # the disk fails: the supervisor tries again
            else:
                self.is_up = True

        self._start(loop, start())

    def _config(self) -> Config:
        """With the horizon that a forgetful venue declares."""
        budget = self.broker.budget
        sim = msgspec.structs.replace(
            self.config.broker.sim, horizon_ms=self.broker.horizon_ns // MS, messages_per_s=budget.messages_per_s,
            burst=budget.burst, reserved_burst=budget.reserved_burst,
        )  # fmt: skip
        return msgspec.structs.replace(
            self.config, broker=msgspec.structs.replace(self.config.broker, sim=sim), feeds=self._feeds()
        )  # fmt: skip

    def _feeds(self) -> tuple[FeedOptions, ...]:
        """The venue's market by one line, or by two of which each breaks apart from the other."""
        (first,) = self.config.feeds
        if not self.faults.strengths.get("feed.second"):
            return (first,)
        self.faults.count("feed.second")
        url = first.url.replace("?", f"?line={SECOND_LINE}&")
        second = msgspec.structs.replace(first, name="sim-b", url=url, market="venue")
        return msgspec.structs.replace(first, market="venue"), second

    def _note_run(self, run: memoryview) -> None:
        self.history.note_run(self.kernel.now_ns, self.life, run)

    def crash(self, *, with_host: bool) -> bool:
        """The process is gone in the middle of whatever it did; only its disk is left. False: there was none."""
        loop = self.loop
        if loop is None or loop.is_dead or self.misfortunes.is_asleep:
            return False
        self.misfortunes.note("crash")
        self.kernel.trace(f"crash {self.life} {int(with_host)}")
        self.is_up = False
        loop.kill()
        if with_host:
            self.net.silent_hosts.add("gateway")
        self.net.process_died(loop, with_host=with_host)
        if with_host:
            self.disk.crash()
        else:
            self.disk.kill()
        self.kernel.after(self.draw.randrange(5 * MS, 4 * SECOND), self.boot)
        return True

    def restart(self) -> bool:
        """An orderly end, and a new start. False: there is nothing to end."""
        gateway, loop = self.gateway, self.loop
        if not self.is_up or gateway is None or loop is None:
            return False
        self.misfortunes.note("stop")
        self.is_up = False
        self.kernel.trace(f"stop {self.life}")

        async def stop() -> None:
            try:
                await gateway.stop()
            except OSError as error:
                self.kernel.trace(f"stop failed {error}")
            self.kernel.after(0, lambda: self._ended(loop))

        self._start(loop, stop())
        return True

    def _ended(self, loop: SimLoop) -> None:
        if not loop.is_dead:
            loop.kill()
            self.disk.kill()
            self.net.process_died(loop, with_host=False)
            self.kernel.after(self.draw.randrange(5 * MS, 2 * SECOND), self.boot)

    def heal(self) -> None:
        """The faults end: the liveness phase begins."""
        self.faults.are_on = False
        self.kernel.trace("heal")
        for link in self.net.links.values():
            link.heal()
        quiet = self.net.habits
        quiet.delay_ns = (20_000, 300_000)
        quiet.split_ppm = quiet.trickle_ppm = quiet.reset_ppm = 0
        self.misfortunes.wake()
        self.clock.heal()
        self.disk.heal()
        for loop in [trader.loop for trader in self.traders] + ([self.loop] if self.loop else []):
            loop.resume()
        for trader in self.traders:
            trader.loop.read_bytes_max, trader.loop.read_gap_ns = 1 << 30, 0
            trader.is_winding_down = True
        self.broker.heal()
        self.misfortunes.lift()

    # --- the run ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Safety, then liveness, then the sums. Raises Broken."""
        self._start(self.broker.loop, self.broker.venue.start())
        self.kernel.after(0, self.boot)
        for trader in self.traders:
            self.kernel.after(self.draw.randrange(2 * SECOND), trader.start)
        self._scrape()
        self._supervise()
        self.misfortunes.plan(SAFETY_NS)
        self._until(lambda: self.kernel.now_ns >= SAFETY_NS)
        self.heal()
        end_ns = self.kernel.now_ns + HEAL_NS
        rested_ns = self.kernel.now_ns
        while self.kernel.now_ns < rested_ns + REST_NS:
            self._until(lambda: True)
            if unrest := self._unrest():
                rested_ns = self.kernel.now_ns
                if self.kernel.now_ns > end_ns:
                    raise Broken("I23", f"{HEAL_NS // SECOND} s after all faults ended: {unrest}")
        check_sums(self.accounts, self.traders, self.broker.exchange)
        self._stop_and_replay()
        self.judge.at_rest()

    def _until(self, is_done: Callable[[], bool]) -> None:
        kernel, traders, after_event = self.kernel, self.traders, self.judge.after_event
        count = 0
        while kernel.step():
            after_event()
            if self.broken is not None:
                raise self.broken
            count += 1
            if count & 15 == 0:
                for trader in traders:
                    if trader.broken is not None:
                        raise trader.broken
                if is_done():
                    return
        raise Broken("crash", "nothing is left to happen")

    def _unrest(self) -> str:
        """What still moves; empty when nothing does."""
        gateway = self.gateway
        if not self.is_up or gateway is None:
            return "the gateway is not up"
        shard = gateway.shard
        router, views = shard.engine.router, shard.engine.views
        if not router.is_open:
            return "the broker link is not open"
        for trader in self.traders:
            if not trader.gateway.is_live:
                return f"{trader.name} is not connected: {trader.gateway._reason}"
            if not trader.is_done:
                return f"{trader.name} still waits for an answer, or for the end of an order"
            head = shard.engine.fanout.heads[shard.state.accounts[trader.account]]
            if trader.gateway.seq != head:
                return f"{trader.name} has {trader.gateway.seq} of {head}"
        if views.in_doubt() or router.waiting or router.asking or router.unasked or router.suspects:
            return f"{views.in_doubt()} in doubt, {router.waiting} wait, asks about {list(router.asking)}"
        if len(router.unheard):
            return f"{len(router.unheard)} orders of which the broker should say more"
        if shard.engine.fanout.depth() or shard.state.has_records() or shard.journal.durable_seq < shard.state.seq:
            return "records are not durable"
        if not self.broker.is_quiet:
            return "the broker still speaks"
        return ""

    def _supervise(self) -> None:
        """What a supervisor does: a process whose journal has failed is replaced."""
        gateway = self.gateway
        if self.is_up and gateway is not None and gateway.shard.journal.failed:
            self.restart()
        self.kernel.after(SECOND, self._supervise)

    def _scrape(self) -> None:
        """An operator's scraper: the real HTTP server, asked every few seconds by a plain client."""
        world = self

        class Scrape(asyncio.Protocol):
            got = b""

            def connection_made(self, transport: Any) -> None:
                transport.write(b"GET /metrics HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n")

            def data_received(self, data: bytes) -> None:
                self.got += data

            def connection_lost(self, error: Exception | None) -> None:
                world.scrapes[self.got[9:12].decode()] += 1
                if self.got[9:12] not in (b"200", b"503", b""):
                    world.fail(Broken("crash", f"/metrics answered {self.got[:200]!r}"))

        loop = self.process("scraper")
        link = self.net.link("scraper", ("gateway", 7080))
        link.is_traced = False
        link.habits = Habits(window_bytes=1 << 20)  # the length of its answers must decide no draw

        async def ask() -> None:
            try:
                async with asyncio.timeout(5):
                    await loop.create_connection(Scrape, "gateway", 7080)
            except (OSError, TimeoutError):
                self.scrapes["refused"] += 1

        def again() -> None:
            self._start(loop, ask())
            self.kernel.after(3 * SECOND, again)

        self.kernel.after(SECOND, again)

    def _stop_and_replay(self) -> None:
        """I7: an orderly end, and the whole journal again gives the same state."""
        gateway, loop = self.gateway, self.loop
        assert gateway is not None and loop is not None
        task = self._start(loop, gateway.stop())
        self._until(lambda: task.done())
        loop.kill()
        self.disk.kill()
        seq, digest = boot.replay_all(self.config, self.disk.files())
        if digest != task.result():
            raise Broken("I7", f"replay to {seq} gives {digest}, the process ended with {task.result()}")


def run_loop(
    seed: int, *, plant: str = "", faults: Mapping[str, float | bool] | None = None, orders: int | None = None,
    core: str = "compiled", order: str = "fifo",
) -> Outcome:  # fmt: skip
    """One run of the loop tier, a pure function of its arguments and the build."""
    structlog.configure(processors=[_drop], cache_logger_on_first_use=False)
    if plant:
        plants.turn_on(plant)
    gc.disable()
    try:
        return _run(LoopWorld(seed, faults, ORDERS if orders is None else orders, order=order, core=core_named(core)))
    finally:
        gc.enable()
        plants.watch(None)
        if plant:
            plants.turn_off()
        structlog.reset_defaults()


def run_shuffled(seed: int, **options: Any) -> Outcome:
    """The same with ready callbacks in any order, which real loops never do: an early warning, not a promise."""
    return run_loop(seed, order="shuffle", **options)


def _drop(logger: object, method: str, event: object) -> Any:
    raise structlog.DropEvent


def _run(world: LoopWorld) -> Outcome:
    kernel = world.kernel
    outcome = Outcome(kernel.seed, "loop", options=dict(world.faults.strengths))
    plants.watch(lambda name: world.reached.update((name,)), world.kernel.sometimes)
    with sealed(), ported(kernel, lambda text: world.fail(Broken("crash", text))):
        try:
            world.run()
        except Broken as broken:
            outcome.violation = Violation(broken.invariant, broken.text, list(kernel.ring))
        finally:
            world.disk.kill()
            for loop in world.loops:
                loop.kill()
            for loop in world.loops:
                loop.end_tasks()
    outcome.digest, outcome.last = kernel.digest(), list(kernel.ring)
    outcome.events, outcome.sim_ns = kernel.events, kernel.now_ns
    outcome.orders = len(world.accounts.accepted)
    outcome.injected = world.faults.injected + world.net.counts + Counter(world.disk.strikes())
    outcome.reached = world.reached + world.accounts.transitions()
    return outcome
