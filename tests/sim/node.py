"""One gateway process on the kernel: it boots, runs, stands still, dies between two steps and comes back.

Everything that reaches the process goes through `enter`: a dead life hears nothing, a paused one hears it later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway import boot
from gateway.journal.recovery import Recovered
from gateway.ports import Ports
from gateway.shard import DAY_TIMER_NS, TIMER_NS, Shard
from tests.sim.history import Lived
from tests.sim.kernel import MS, SECOND, NodeClock
from tests.sim.market import FEED
from tests.sim.plain_disk import PlainWriter
from tests.sim.venue import BrokerLink

if TYPE_CHECKING:
    from gateway.core.state import State
    from tests.sim.world import World

CRASHES_MAX = 6
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
        self._paused_until_ns = 0
        self._draw = world.kernel.rng("node")
        self._chance = world.kernel.rng("node tokens")
        self._inside = False

    # --- calls into the process --------------------------------------------------------------------------------------

    def enter(self, call: Callable[[], object]) -> None:
        """Do it in the present life, as one turn of its loop; later when the process stands still."""
        if self.shard is None:
            return
        if self.kernel.now_ns < self._paused_until_ns:
            self.at(self._paused_until_ns, call)
            return
        self._inside = True
        try:
            call()
        except Crashed:
            self.down("crash")
        finally:
            self._inside = False

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
        ports = Ports(
            clock=self.clock, files=world.disk, token_bytes=self._chance.randbytes, later=self.later, soon=self.soon,
            open_journal=self._open_journal, open_adapter=self._open_adapter,
        )  # fmt: skip
        world.configure()
        self.note("boot")
        shard = Shard(world.config, ports, world.new_keys(), world.core)
        shard.start()
        self.shard = shard
        assert self.link is not None
        world.venue.link = self.link
        self.link.connect()
        self.later(TIMER_NS, self._on_timer)
        self._every(world.config.limits.api.hb_ms * MS, shard.heartbeat)
        self._every(DAY_TIMER_NS, shard.roll_day)
        self.later(self._draw.randrange(MS, 50 * MS), lambda: shard.on_feed(FEED, True, "connected"))
        for client in world.clients:
            client.come_back(self._draw.randrange(MS, 300 * MS))

    def _open_journal(self, state: State, recovered: Recovered) -> Journal:
        self.journal = Journal(self, state, recovered)
        return self.journal  # type: ignore[return-value]

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
        self.world.disk.crash()
        for client in self.world.clients:
            client.lost()
        self.kernel.after(self._draw.randrange(20 * MS, 2 * SECOND), self.boot)

    def stop(self) -> str:
        """The orderly end; returns the state's digest."""
        assert self.shard is not None
        shard = self.shard
        shard.drain("restart")
        shard.stop()
        shard.stream.close_sessions()
        return shard.finish()

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

    def on_frame(self, frame: bytes) -> None:
        shard = self.shard
        if shard is None or FEED not in shard.feeds_up:
            return
        self.enter(lambda: shard.engine.on_feed_frame(frame, self.clock.mono_ns()) if shard is self.shard else None)

    def feed_lost(self) -> None:
        shard = self.shard
        if shard is None:
            return
        self.enter(lambda: shard.on_feed(FEED, False, "reset"))
        self.later(self._draw.randrange(10 * MS, 2 * SECOND), lambda: shard.on_feed(FEED, True, "connected"))

    # --- what befalls the machine ------------------------------------------------------------------------------------

    def befall(self) -> None:
        """After each event of the run: what may happen to the process and its clocks."""
        faults, draw, clock = self.world.faults, self._draw, self.clock
        if self.shard is None:
            return
        if self.crashes < CRASHES_MAX and faults.hit("node.crash"):
            self.down("crash")
            return
        if self.kernel.now_ns < self._paused_until_ns:
            return  # one thing at a time
        if faults.hit("node.pause"):
            by_ns = draw.randrange(SECOND, 60 * SECOND)
            self._paused_until_ns = self.kernel.now_ns + by_ns
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
            self.note("suspend", by_ns)
            self.kernel.after(by_ns, lambda: clock.suspend(is_asleep=False))

    def heal(self) -> None:
        """The liveness phase: the process runs, its clocks are sound."""
        self.clock.heal()
        self._paused_until_ns = 0
        if self.link is not None:
            self.link.heal()


class Journal(PlainWriter):
    """The writer of one life: a commit takes its time, and the process may end before or after each step."""

    def __init__(self, node: Node, state: State, recovered: Recovered) -> None:
        super().__init__(node.world.disk, boot.journal_dir(node.world.config), state, recovered)
        self._node = node
        self._is_writing = False
        self._draw = node.kernel.rng("journal")

    def submit(self, blob: memoryview, last_seq: int) -> int:
        node = self._node
        node.maybe_crash()
        node.kernel.trace(f"journal {last_seq} {node.world.hash(blob)}")
        position = super().submit(blob, last_seq)
        self._begin()
        return position

    def _begin(self) -> None:
        if not self._is_writing and not self.is_closed:
            self._is_writing = True
            self._node.later(self._draw.randrange(20_000, 200_000), self._written)

    def _written(self) -> None:
        last_seq = self.write()
        node = self._node
        took_ns = self._draw.randrange(100_000, MS)
        if node.world.faults.hit("disk.slow"):
            took_ns = self._draw.randrange(5 * MS, 2 * SECOND)
        node.later(took_ns, lambda: self._synced(last_seq))

    def _synced(self, last_seq: int) -> None:
        self.sync(last_seq)
        self._is_writing = False
        if self.has_work:
            self._begin()
        assert self._node.shard is not None
        self._node.shard.on_journal()
