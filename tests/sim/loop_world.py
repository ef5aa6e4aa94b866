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

from brokers.sim.config import MarketConfig, VenueConfig
from brokers.sim.market import Symbol
from brokers.sim.quirks import Quirks
from brokers.sim.server import Venue
from gateway import boot
from gateway.app import Gateway
from gateway.config import Config, load
from gateway.contracts.lint import StreamError, StreamLint
from gateway.journal.errors import JournalCorrupt, JournalError
from hotpath.fixed import to_e9
from tests.sim.disk import PowerLost
from tests.sim.faults import Faults
from tests.sim.kernel import DAY, MS, SECOND, Kernel, NodeClock, sealed
from tests.sim.loop import SimLoop
from tests.sim.loop_clients import Accounts, Trader
from tests.sim.loop_machine import SimMachine, disk_of
from tests.sim.net import Habits, Link, Network
from tests.sim.outcome import Broken, Outcome, Violation
from tests.sim.ported import ported

ORDERS = 36
SEGMENT_BYTES = 65_536
ACCOUNTS = ("alice", "bob")
SAFETY_NS = 25 * SECOND
HEAL_NS = 240 * SECOND  # in which a healed world comes to rest
SECRET = b"a secret that every process knows"
DOWN = ("canceled", "expired", "rejected", "filled")
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


class LoopWorld:
    """Everything of one run."""

    def __init__(self, seed: int, wanted: Mapping[str, float | bool] | None, orders: int) -> None:
        self.kernel = Kernel(seed)
        self.faults = Faults(self.kernel, wanted)
        self.draw = self.kernel.rng("loop world")
        self.config = config_of("/sim")
        self.disk = disk_of(self.kernel, self.faults)
        self.net = Network(self.kernel, self._habits())
        self.order = "fifo"
        self.loops: list[SimLoop] = []  # of all processes, dead ones too
        self.accounts = Accounts()
        self.broken: Broken | None = None
        self.clock = NodeClock(self.kernel)
        self.life = 0
        self.gateway: Gateway | None = None
        self.loop: SimLoop | None = None
        self.machine: SimMachine | None = None
        self.is_up = False
        self.venue_loop = self._process("venue", NodeClock(self.kernel))
        self.venue = self._venue()
        self.traders = [self._trader(number, orders) for number in range(3)]
        self.scrapes: Counter[str] = Counter()

    # --- processes ----------------------------------------------------------------------------------------------------

    def _habits(self) -> Habits:
        def ppm(name: str) -> int:
            return int(self.faults.strength(name) * 1_000_000)

        return Habits(
            delay_ns=(20_000, 40 * MS) if ppm("link.delay") else (20_000, 300_000), split_ppm=ppm("net.split"),
            trickle_ppm=ppm("net.trickle"), reset_ppm=ppm("net.reset"), window_bytes=self.draw.choice((2_000, 65_536)),
        )  # fmt: skip

    def _process(self, name: str, clock: NodeClock) -> SimLoop:
        def unhandled(context: dict[str, Any]) -> None:
            error = context.get("exception")
            self.fail(
                Broken(type(error).__name__ if error else "crash", f"{name}: {context.get('message')}: {error!r}")
            )

        loop = SimLoop(self.kernel, self.net, name, clock=clock, order=self.order, on_unhandled=unhandled)
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

    def _venue(self) -> Venue:
        def ppm(name: str) -> int:
            return int(self.faults.strength(name) * 1_000_000)

        quirks = Quirks(
            latency_ns=200_000, latency_jitter_ns=3 * MS, partial_ppm=ppm("venue.partial"), is_depth_unlimited=True,
            reject_ppm=ppm("venue.reject"), swallow_ppm=ppm("link.drop_request") // 10,
            lost_answer_ppm=ppm("link.drop_report") // 2, duplicate_ppm=ppm("link.repeat_report"),
            delay_ppm=ppm("link.overtake"), delay_ns_max=200 * MS, fill_first_ppm=ppm("venue.fill_first"),
            disconnect_ppm=ppm("link.cut_mid_send") // 4,
        )  # fmt: skip
        symbols = tuple(Symbol(name=name, px="100", tick="0.01") for name in ("AAA", "BBB"))
        config = VenueConfig(
            host="venue", order_port=7100, feed_port=7200, seed=self.draw.getrandbits(31), quirks=quirks,
            keys={"gateway": SECRET.hex()}, market=MarketConfig(symbols=symbols, rate_per_s=20),
        )  # fmt: skip
        clock, chance = self.venue_loop.clock, self.kernel.rng("venue")
        return Venue(
            config, wall_ns=clock.wall_ns, mono_ns=clock.mono_ns, make_challenge=lambda: chance.randbytes(16).hex()
        )

    def _trader(self, number: int, orders: int) -> Trader:
        clock = NodeClock(self.kernel)
        name = f"t{number}"
        return Trader(
            self._process(name, clock), clock, self.accounts, name=name, account=ACCOUNTS[number % 2],
            url="ws://gateway:7001/v1/ws", aud=self.config.gateway.audience, orders=orders // 3,
            secret="hmac:" + base64.b64encode(SECRET).decode(),
        )  # fmt: skip

    def boot(self) -> None:
        """A life of the gateway begins with what the disk holds."""
        if self.loop is not None and not self.loop.is_dead:
            return
        self.life += 1
        self.kernel.trace(f"boot {self.life}")
        self.net.silent_hosts.discard("gateway")
        self.loop = loop = self._process("gateway", self.clock)
        self.machine = SimMachine(loop, self.clock, self.disk)
        gateway = self.gateway = loop.inside(
            lambda: Gateway(self.config, environ={"SECRET": SECRET.decode()}, machine=self.machine)
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

    def crash(self, *, with_host: bool) -> None:
        """The process is gone in the middle of whatever it did; only its disk is left."""
        loop = self.loop
        if loop is None or loop.is_dead:
            return
        self.faults.count("node.crash")
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

    def restart(self) -> None:
        """An orderly end, and a new start."""
        gateway, loop = self.gateway, self.loop
        if not self.is_up or gateway is None or loop is None:
            return
        self.is_up = False
        self.kernel.trace(f"stop {self.life}")

        async def stop() -> None:
            try:
                await gateway.stop()
            except OSError as error:
                self.kernel.trace(f"stop failed {error}")
            self.kernel.after(0, lambda: self._ended(loop))

        self._start(loop, stop())

    def _ended(self, loop: SimLoop) -> None:
        if not loop.is_dead:
            loop.kill()
            self.disk.kill()
            self.net.process_died(loop, with_host=False)
            self.kernel.after(self.draw.randrange(5 * MS, 2 * SECOND), self.boot)

    # --- faults -------------------------------------------------------------------------------------------------------

    def plan(self) -> None:
        """Lay the seed's larger misfortunes into the safety phase."""
        hits = {
            "node.crash": lambda: self.crash(with_host=self.draw.randrange(3) == 0), "node.pause": self._pause,
            "node.restart": self.restart, "clock.jump": self._jump, "clock.leap": lambda: self.clock.jump(-SECOND),
            "clock.freeze": self._freeze, "link.outage": self._outage, "net.half_open": self._silence,
            "net.stall": self._stall, "client.vanish": self._vanish, "client.stuck": self._stick,
        }  # fmt: skip
        for name, hit in hits.items():
            if self.faults.strength(name):
                for _ in range(1 + self.draw.randrange(5)):
                    self.kernel.at(self.draw.randrange(100 * MS, SAFETY_NS), self._guarded(name, hit))

    def _guarded(self, name: str, hit: Callable[[], None]) -> Callable[[], None]:
        def strike() -> None:
            if self.faults.are_on:
                if name != "node.crash":
                    self.faults.count(name)
                self.kernel.trace(name)
                hit()

        return strike

    def _some_link(self) -> Link:
        return self.draw.choice(list(self.net.links.values()))

    def _for_a_while(self, most_ns: int, undo: Callable[[], None]) -> None:
        self.kernel.after(self.draw.randrange(50 * MS, most_ns), undo)

    def _outage(self) -> None:
        link = self._some_link()
        link.cut()
        self._for_a_while(8 * SECOND, link.heal)

    def _silence(self) -> None:
        link = self._some_link()
        link.go_silent()
        self._for_a_while(10 * SECOND, link.heal)

    def _stall(self) -> None:
        link = self._some_link()
        link.stall(self.draw.randrange(2))
        self._for_a_while(6 * SECOND, link.heal)

    def _pause(self) -> None:
        loop = self.loop
        if loop is not None:
            loop.pause()
            self._for_a_while(6 * SECOND, loop.resume)

    def _jump(self) -> None:
        self.clock.jump(self.draw.choice((-1, 1)) * self.draw.choice((SECOND, 3600 * SECOND, DAY)))

    def _freeze(self) -> None:
        self.clock.freeze(is_frozen=True)
        self._for_a_while(5 * SECOND, lambda: self.clock.freeze(is_frozen=False))

    def _vanish(self) -> None:
        """A client's machine loses its connections without a word."""
        link = self.net.link(self.draw.choice(self.traders).loop.name, ("gateway", 7001))
        link.go_silent()
        self._for_a_while(6 * SECOND, link.heal)

    def _stick(self) -> None:
        loop = self.draw.choice(self.traders).loop
        loop.pause()
        self._for_a_while(6 * SECOND, loop.resume)

    def heal(self) -> None:
        """The faults end: the liveness phase begins."""
        self.faults.are_on = False
        self.kernel.trace("heal")
        for link in self.net.links.values():
            link.heal()
        quiet = self.net.habits
        quiet.split_ppm = quiet.trickle_ppm = quiet.reset_ppm = 0
        self.clock.heal()
        self.disk.heal()
        for loop in [trader.loop for trader in self.traders] + ([self.loop] if self.loop else []):
            loop.resume()
        self.venue.exchange.set_quirks(Quirks(latency_ns=200_000, is_depth_unlimited=True))

    # --- the run ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Safety, then liveness, then the sums. Raises Broken."""
        self._start(self.venue_loop, self.venue.start())
        self.kernel.after(0, self.boot)
        for trader in self.traders:
            self.kernel.after(self.draw.randrange(2 * SECOND), trader.start)
        self._scrape()
        self._supervise()
        self.plan()
        self._until(lambda: self.kernel.now_ns >= SAFETY_NS)
        self.heal()
        end_ns = self.kernel.now_ns + HEAL_NS
        self._until(lambda: self._is_at_rest() or self.kernel.now_ns > end_ns)
        if not self._is_at_rest():
            raise Broken("I23", f"{HEAL_NS // SECOND} s after all faults ended: {self._unrest()}")
        self._check_sums()
        self._stop_and_replay()

    def _until(self, is_done: Callable[[], bool]) -> None:
        kernel, traders = self.kernel, self.traders
        count = 0
        while kernel.step():
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
        router = gateway.shard.engine.router
        if not router.is_open:
            return "the broker link is not open"
        for trader in self.traders:
            if not trader.gateway.is_live:
                return f"{trader.name} is not connected: {trader.gateway._reason}"
            if not trader.is_done:
                return f"{trader.name} still waits for an answer"
            head = max(self.accounts.events.get(trader.account, {0: {}}))
            if trader.gateway.seq != head:
                return f"{trader.name} has {trader.gateway.seq} of {head}"
            for name, order in trader.gateway.orders.items():
                if order.ord_status == "pending_new" or order.pending:
                    return f"{name} is {order.ord_status} {order.stage} {order.pending}"
        if router.asking or router.unasked or router.suspects or gateway.shard.engine.fanout.depth():
            return f"asks about {list(router.asking)} {list(router.unasked)} {list(router.suspects)}"
        return ""

    def _supervise(self) -> None:
        """What a supervisor does: a process whose journal has failed is replaced."""
        gateway = self.gateway
        if self.is_up and gateway is not None and gateway.shard.journal.failed:
            self.restart()
        self.kernel.after(SECOND, self._supervise)

    def _is_at_rest(self) -> bool:
        return not self._unrest()

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

        loop = self._process("scraper", NodeClock(self.kernel))
        self.net.link("scraper", ("gateway", 7080)).is_traced = False

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

    # --- the sums -----------------------------------------------------------------------------------------------------

    def _check_sums(self) -> None:
        """The clients' own records against each other and against the venue's book."""
        for account, events in self.accounts.events.items():
            numbers = sorted(events)
            if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
                raise Broken("I13", f"{account}: {numbers} has a gap")
            if numbers[0] == 1:
                try:
                    StreamLint().feed_all(events[number] for number in numbers)
                except StreamError as error:
                    raise Broken("I4", f"{account}: {error}") from error
        by_account = {trader.account: trader.gateway for trader in reversed(self.traders)}
        known = {(trader.account, name) for trader in self.traders for name in trader.gateway.orders}
        for name, account in self.accounts.accepted.items():
            if (account, name) not in known:  # one that joined late has no orders that were done long before
                raise Broken("I1", f"{name} was acknowledged and {account} has no such order")
        self._check_orders(by_account)

    def _check_orders(self, books: dict[str, Any]) -> None:
        exchange = self.venue.exchange
        held: dict[str, Any] = {}  # by the gateway's number of the order, as both sides' ids carry it
        for order in {id(order): order for order in exchange.orders.values()}.values():
            number = order.id[8:-2].lstrip("0")
            if number in held:
                raise Broken("I2", f"{order.oid} and {held[number].oid} are one order of a client: {order.id}")
            held[number] = order
        merged = {
            account: {name: order for trader in self.traders if trader.account == account
                      for name, order in trader.gateway.orders.items()}
            for account in books
        }  # fmt: skip
        for orders in merged.values():
            for name, ours in orders.items():
                order = held.pop(ours.order_id[1:].lstrip("0"), None)
                is_open = ours.ord_status not in DOWN
                if order is not None and order.is_live != is_open:
                    raise Broken("I3", f"{name} is {ours.ord_status}, at the venue {order.oid} is {order.status}")
                if order is None and ours.ord_status in ("new", "partially_filled", "filled"):
                    raise Broken("I22", f"{name} is {ours.ord_status}, the venue never had it")
                filled = 0 if order is None else order.cum_qty_e9
                if to_e9(str(ours.cum_qty)) != filled:
                    raise Broken("I4", f"{name}: cum_qty {ours.cum_qty}, the venue filled {filled}e-9")
        for order in held.values():
            raise Broken("I3", f"the venue has {order.oid} ({order.id}, {order.status}), no client knows it")
        sums: Counter[str] = Counter()
        for book in books.values():
            for symbol, position in book.positions.items():
                sums[symbol] += to_e9(str(position.pos_qty))
        for position in exchange.positions("gateway"):
            if sums.pop(position.sym, 0) != to_e9(position.qty):
                raise Broken("I5", f"{position.sym}: the venue holds {position.qty}, the clients otherwise")
        if any(sums.values()):
            raise Broken("I5", f"positions that the venue does not have: {dict(sums)}")

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
    core: str = "compiled",
) -> Outcome:  # fmt: skip
    """One run of the loop tier, a pure function of its arguments and the build."""
    if plant or core != "compiled":
        raise ValueError("the loop tier runs the compiled core without plants")
    structlog.configure(processors=[_drop], cache_logger_on_first_use=False)
    gc.disable()
    try:
        return _run(seed, faults, ORDERS if orders is None else orders)
    finally:
        gc.enable()
        structlog.reset_defaults()


def _drop(logger: object, method: str, event: object) -> Any:
    raise structlog.DropEvent


def _run(seed: int, faults: Mapping[str, float | bool] | None, orders: int) -> Outcome:
    world = LoopWorld(seed, faults, orders)
    outcome = Outcome(seed, "loop", options=dict(world.faults.strengths))
    with sealed(), ported(world.kernel, lambda text: world.fail(Broken("crash", text))):
        try:
            world.run()
        except Broken as broken:
            outcome.violation = Violation(broken.invariant, broken.text, list(world.kernel.ring))
        world.disk.kill()
        for loop in world.loops:
            loop.kill()
        for loop in world.loops:
            loop.end_tasks()
    outcome.digest, outcome.events, outcome.sim_ns = world.kernel.digest(), world.kernel.events, world.kernel.now_ns
    outcome.orders = len(world.accounts.accepted)
    outcome.injected = world.faults.injected + world.net.counts + world.disk.injected
    return outcome
