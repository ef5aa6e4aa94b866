"""One gateway process on the kernel: it boots, runs, stands still, dies between two steps and comes back.

Everything that reaches the process goes through `enter`: a dead life hears nothing, a paused one hears it later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway import boot
from gateway.errors import GatewayError
from gateway.journal.errors import JournalCorrupt
from gateway.journal.recovery import Recovered
from gateway.journal.writer import JournalWriter
from gateway.ports import Ports
from gateway.shard import DAY_TIMER_NS, TIMER_NS, Shard
from tests.sim.history import Lived
from tests.sim.kernel import MS, SECOND, NodeClock
from tests.sim.outcome import Broken
from tests.sim.venue import BrokerLink

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from gateway.core.state import State
    from tests.sim.world import World

CRASHES_MAX = 6
STANDSTILLS_MAX = 3
BEFALLS = ("node.crash", "node.pause", "clock.jump", "clock.leap", "clock.freeze", "clock.suspend")
TIMER_IDLE_NS = 250 * MS  # how late the timer may be while nothing at all happens


class Crashed(BaseException):
    """The process ends here, in the middle of what it does."""


class Node:
    """The lives of one gateway. `shard` is the present one, None while the node is down."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.kernel = world.kernel
        self.clock = NodeClock(world.kernel)
        self.life = 0
        self.shard: Shard | None = None
        self.link: BrokerLink | None = None
        self.crashes = 0
        self.standstills = 0
        self._paused_until_ns = 0
        self._draw = world.kernel.rng("node")
        self._chance = world.kernel.rng("node tokens")
        self._inside = False
        self.journal: Journal = None  # type: ignore[assignment]  # until the first start
        self._held: list[list[Callable[[], object]]] = []  # what came while the process stood still
        self.priced: set[tuple[int, str, bool]] = set()  # (feed, symbol, a quote) that its connection has shown
        self._is_befallen = any(world.faults.strength(name) for name in BEFALLS)

    # --- calls into the process --------------------------------------------------------------------------------------

    def enter(self, call: Callable[[], object]) -> None:
        """Do it in the present life, as one turn of its loop; later when the process stands still."""
        if self.shard is None:
            return
        if self.kernel.now_ns < self._paused_until_ns:
            held = [call]
            self._held.append(held)
            self.at(self._paused_until_ns, lambda: self._go_on(held))
            return
        self._inside = True
        try:
            call()
            if self.shard is not None:
                self.journal.schedule()  # compiled code hands records over without a call that we see
        except Crashed:
            self.down("crash")
        finally:
            self._inside = False

    def _go_on(self, held: list[Callable[[], object]]) -> None:
        """Make a call that waited for a process that stood still, once."""
        if held:
            self.enter(held.pop())

    def at(self, when_ns: int, call: Callable[[], object]) -> None:
        """Enter the present life at a time; nothing happens when it has ended by then."""
        life = self.life
        self.kernel.at(when_ns, lambda: self.enter(call) if life == self.life else None)

    def later(self, delay_ns: int, call: Callable[[], object]) -> None:
        """The loop's timer: it runs by the monotonic clock, so a suspended machine's stands."""
        due_ns = self.clock.mono_ns() + delay_ns

        def run() -> None:
            left_ns = due_ns - self.clock.mono_ns()
            if left_ns > 0:
                self.at(self.kernel.now_ns + left_ns, run)
            else:
                call()

        self.at(self.kernel.now_ns + delay_ns, run)

    def soon(self, call: Callable[[], object]) -> None:
        """The loop's next turn."""
        self.at(self.kernel.now_ns, call)

    def maybe_crash(self) -> None:
        """A step that the process may not survive. Called at each port, before and after what goes out."""
        if self._inside and self.crashes < CRASHES_MAX and self.world.faults.hit("node.crash"):
            raise Crashed

    # --- life --------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start from what is on the disk."""
        self.life += 1
        world = self.world
        world.disk.is_broken = False  # whoever starts it again has seen to the disk
        self.files = world.disk.files()
        ports = Ports(
            clock=self.clock, files=self.files, token_bytes=self._chance.randbytes, later=self.later, soon=self.soon,
            open_journal=self._open_journal, open_adapter=self._open_adapter,
        )  # fmt: skip
        world.configure()
        self.note("boot")
        shard = Shard(world.config, ports, world.new_keys(), world.core)
        try:
            shard.start()
        except JournalCorrupt as error:
            raise Broken("I8", f"a crash made the journal unreadable: {error}") from error
        except (GatewayError, OSError) as error:
            self.kernel.trace(f"boot failed: {type(error).__name__}")
            self.down("failed")
            return
        self.shard = shard
        assert self.link is not None
        world.venue.link = self.link
        self.link.connect()
        self.later(TIMER_NS, self._on_timer)
        self._every(world.config.limits.api.hb_ms * MS, shard.heartbeat)
        self._every(DAY_TIMER_NS, shard.roll_day)
        world.market.begun()
        for feed in range(len(world.config.feeds)):
            after_ns = self._draw.randrange(MS, 50 * MS)
            self.later(after_ns, lambda feed=feed: self._feed_up(shard, feed))  # type: ignore[misc]
        for client in world.clients:
            client.come_back(self._draw.randrange(MS, 300 * MS))

    def _open_journal(self, state: State, recovered: Recovered) -> Journal:
        config = self.world.config
        self.journal = Journal(
            str(boot.journal_dir(config)), history_id=state.history, position=recovered.next_position,
            last_seq=recovered.last_seq, epoch=state.epoch, segment_bytes=config.journal.segment_bytes,
            buffer_bytes=self.world.buffer_bytes, files=self.files, mono_ns=self.clock.mono_ns,
            on_progress=self._on_journal,
        )  # fmt: skip
        self.journal.node = self
        self.journal.schedule()
        return self.journal

    def _on_journal(self) -> None:
        shard = self.shard
        if shard is not None:
            shard.on_journal()
            if not shard.engine.is_admitting:  # the supervisor replaces it
                self.later(self._draw.randrange(SECOND, 5 * SECOND), lambda: self.down("replaced"))

    def _open_adapter(self, state: State, sink: Shard) -> BrokerLink:
        self.link = BrokerLink(self.world, state, sink)
        return self.link

    def _every(self, period_ns: int, call: Callable[[], object]) -> None:
        def run() -> None:
            call()
            self.later(period_ns, run)

        self.later(period_ns, run)

    def _on_timer(self) -> None:
        """Where nothing is due for long, the timer is late: thousands of idle calls would only cost time."""
        assert self.shard is not None
        self.shard.on_timer()
        quiet_ns = self.kernel.next_ns() - self.kernel.now_ns
        self.later(max(TIMER_NS * self.world.pace, min(quiet_ns, TIMER_IDLE_NS)), self._on_timer)

    def down(self, what: str) -> None:
        """The process is gone; what it had not synced may be too."""
        self.note(what)
        self.crashes += what == "crash"
        self.life += 1
        self.shard = self.link = self.world.venue.link = None
        self._paused_until_ns = 0
        self._held.clear()
        if what == "crash" and self._draw.random() < self.world.faults.strength("disk.lose"):
            self.world.disk.crash()
        else:
            self.world.disk.kill()
        for client in self.world.clients:
            client.lost()
        self.kernel.after(self._draw.randrange(20 * MS, 2 * SECOND), self.boot)

    def stop(self) -> str:
        """The orderly end; returns the state's digest."""
        assert self.shard is not None
        shard = self.shard
        shard.drain("restart")
        if self.link is not None:
            self.link.close_now()
        shard.stop()
        shard.stream.close_sessions()
        return shard.finish()

    @property
    def is_paused(self) -> bool:
        """Whether the process stands still."""
        return self.kernel.now_ns < self._paused_until_ns

    def restart(self) -> None:
        """A planned restart."""

        def run() -> None:
            self.stop()
            self.down("stop")

        self.enter(run)

    def note(self, what: str, by_ns: int = 0) -> None:
        self.world.history.lives.append(Lived(self.kernel.now_ns, self.life, what, by_ns))
        self.kernel.trace(f"node {what} {self.life} {by_ns}")

    # --- market data -------------------------------------------------------------------------------------------------

    def hears(self, feed: int) -> bool:
        """Whether a feed, by its number, is connected."""
        return self.shard is not None and self.shard.feeds.is_up(feed)

    def on_frame(self, feed: int, symbol: str, frame: bytes, fault: str) -> None:
        shard = self.shard
        if shard is None or not self.hears(feed):
            return
        if not fault:
            self.priced.add((feed, symbol, b"bookTicker" in frame))
        self.enter(
            lambda: shard.engine.on_feed_frame(frame, self.clock.mono_ns(), feed) if shard is self.shard else None
        )

    def feed_lost(self, feed: int, most_ns: int) -> None:
        """A feed's connection is lost, for at most so long."""
        shard = self.shard
        if shard is None:
            return
        name = shard.config.feeds[feed].name
        self.enter(lambda: shard.on_feed(name, False, "reset"))
        lasts_ns = most_ns if self.world.faults.are_on else 20 * MS
        self.later(self._draw.randrange(10 * MS, lasts_ns), lambda: self._feed_up(shard, feed))

    def _feed_up(self, shard: Shard, feed: int) -> None:
        """Connected; one that two losses would bring back twice is renewed, as a reset is."""
        feeds = shard.config.feeds
        peers = [at for at, other in enumerate(feeds) if at != feed and other.market == feeds[feed].market]
        self.priced = {key for key in self.priced if key[0] != feed}
        self.world.market.connected(feed, is_alone=not any(map(self.hears, peers)))
        shard.on_feed(feeds[feed].name, True, "connected")

    # --- what befalls the machine ------------------------------------------------------------------------------------

    def befall(self) -> None:
        """After each event of the run: what may happen to the process and its clocks."""
        if self.shard is None or not self._is_befallen:
            return
        faults, draw, clock = self.world.faults, self._draw, self.clock
        if self.crashes < CRASHES_MAX and faults.hit("node.crash"):
            self.down("crash")
            return
        if self.is_paused or self.standstills > STANDSTILLS_MAX:
            return  # one thing at a time
        if faults.hit("node.pause"):
            by_ns = draw.randrange(SECOND, 60 * SECOND)
            self._paused_until_ns = self.kernel.now_ns + by_ns
            self.standstills += 1
            self.note("pause", by_ns)
        if faults.hit("clock.jump"):
            by_ns = draw.choice((-1, 1)) * int(SECOND * 86_400 ** (draw.randrange(1001) / 1000))
            clock.jump(by_ns)
            self.note("jump", by_ns)
        if faults.hit("clock.leap"):
            clock.jump(-SECOND)
            self.note("jump", -SECOND)
        if faults.hit("clock.freeze"):
            clock.freeze(is_frozen=True)
            self.note("freeze")
            self.kernel.after(draw.randrange(SECOND, 20 * SECOND), lambda: clock.freeze(is_frozen=False))
        if faults.hit("clock.suspend"):
            by_ns = draw.randrange(SECOND, 30 * SECOND)
            clock.suspend(is_asleep=True)
            self._paused_until_ns = self.kernel.now_ns + by_ns
            self.standstills += 1
            self.note("suspend", by_ns)
            self.kernel.after(by_ns, lambda: clock.suspend(is_asleep=False))

    def heal(self) -> None:
        """The liveness phase: the process runs, its clocks are sound."""
        self.clock.heal()
        self._paused_until_ns = 0
        waiting, self._held = self._held, []
        for held in waiting:
            self.at(self.kernel.now_ns, lambda held=held: self._go_on(held))  # type: ignore[misc]
        if self.link is not None:
            self.link.heal()


class Journal(JournalWriter):
    """The native writer, stepped: it works when its next file operation is due."""

    node: Node
    _is_due = False

    def submit(self, blob: Buffer, last_seq: int) -> int:
        self.node.maybe_crash()
        self.node.kernel.trace(f"journal {last_seq} {self.node.world.hash(blob)}")
        position = super().submit(blob, last_seq)
        self.node.world.history.note_run(self.node.kernel.now_ns, self.node.life, blob)
        self.schedule()
        return position

    def schedule(self) -> None:
        """Be called when there is something to do."""
        due_ns = self.due_ns
        if due_ns is not None and not self._is_due:
            self._is_due = True
            self.node.later(max(0, due_ns - self.node.clock.mono_ns()), self._work)

    def _work(self) -> None:
        self._is_due = False
        self.step()
        self.node.maybe_crash()
        self.schedule()
