"""What befalls the world of the loop tier: its larger misfortunes, and what operators do."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hotpath.enums import HaltLevel, HaltScope
from risk.halts import HaltRefused
from tests.sim.history import Act, Lived
from tests.sim.kernel import DAY, MS, SECOND

if TYPE_CHECKING:
    from tests.sim.loop_world import LoopWorld
    from tests.sim.net import Link

BROKER = ("venue", 7100)
STRIKES_MAX = 5  # of one misfortune in a run


class Misfortunes:
    """Strikes at times from the seed; each undoes itself after a while, and `heal` undoes the rest."""

    def __init__(self, world: LoopWorld) -> None:
        self.world = world
        self.kernel = world.kernel
        self.is_asleep = False  # the gateway's machine is suspended

    def plan(self, safety_ns: int) -> None:
        """Lay the seed's larger misfortunes into the safety phase."""
        world = self.world
        hits = {
            "node.crash": lambda: world.crash(with_host=self._draw("node.crash", 3) == 0), "node.pause": self._pause,
            "operator.restart": world.restart, "operator.kill": self._kill,
            "clock.jump": self._jump, "clock.leap": lambda: world.clock.jump(-SECOND), "clock.freeze": self._freeze,
            "clock.suspend": self._suspend, "link.outage": self._outage, "link.half_open": self._half_open,
            "link.full": self._full, "net.half_open": self._silence, "net.stall": self._stall,
            "client.vanish": self._vanish, "client.stuck": self._stick, "venue.bust": world.broker.bust,
            "feed.reset": world.broker.reset_feed, "feed.down": world.broker.break_line,
        }  # fmt: skip
        for name, hit in hits.items():
            if world.faults.strength(name):
                for _ in range(1 + self._draw(name, STRIKES_MAX)):
                    self.kernel.at(100 * MS + self._draw(name, safety_ns - 100 * MS), self._guarded(name, hit))

    def _draw(self, name: str, below: int) -> int:
        """A number from the stream of one misfortune: another one that is turned off moves nothing here."""
        return self.kernel.rng(f"misfortune {name}").randrange(below)

    def _guarded(self, name: str, hit: Callable[[], object]) -> Callable[[], None]:
        def strike() -> None:
            if self.world.faults.are_on:
                self.kernel.trace(name)
                if hit() is not False:
                    self.world.faults.count(name)

        return strike

    def _for_a_while(self, name: str, most_ns: int, undo: Callable[[], object]) -> None:
        self.kernel.after(50 * MS + self._draw(name, most_ns), undo)

    # --- links --------------------------------------------------------------------------------------------------------

    def _some_link(self, name: str) -> Link:
        links = list(self.world.net.links.values())
        return links[self._draw(name, len(links))]

    @property
    def _broker_link(self) -> Link:
        return self.world.net.link("gateway", BROKER)

    def _outage(self) -> None:
        link = self._broker_link if self._draw("link.outage", 2) else self._some_link("link.outage")
        link.cut()
        self._for_a_while("link.outage", 8 * SECOND, link.heal)

    def _half_open(self) -> None:
        self._broker_link.go_silent()
        self._for_a_while("link.half_open", 10 * SECOND, self._broker_link.heal)

    def _full(self) -> None:
        """The kernel takes no bytes for the broker: what is written waits in the process."""
        self._broker_link.fill(is_full=True)
        self._for_a_while("link.full", 500 * MS, lambda: self._broker_link.fill(is_full=False))

    def _silence(self) -> None:
        link = self._some_link("net.half_open")
        link.go_silent()
        self._for_a_while("net.half_open", 10 * SECOND, link.heal)

    def _stall(self) -> None:
        link = self._some_link("net.stall")
        link.stall(self._draw("net.stall", 2))
        self._for_a_while("net.stall", 6 * SECOND, link.heal)

    def _vanish(self) -> None:
        """A client's machine loses its connections without a word."""
        traders = self.world.traders
        link = self.world.net.link(traders[self._draw("client.vanish", len(traders))].loop.name, ("gateway", 7001))
        link.go_silent()
        self._for_a_while("client.vanish", 6 * SECOND, link.heal)

    def _stick(self) -> None:
        loop = self.world.traders[self._draw("client.stuck", len(self.world.traders))].loop
        loop.pause()
        self._for_a_while("client.stuck", 6 * SECOND, loop.resume)

    # --- the gateway's process and machine ----------------------------------------------------------------------------

    def note(self, what: str, by_ns: int = 0) -> None:
        """The history of the node's life."""
        self.world.history.lives.append(Lived(self.kernel.now_ns, self.world.life, what, by_ns))

    def _pause(self) -> bool:
        loop = self.world.loop
        if loop is None or loop.is_dead:
            return False
        self.note("pause")
        loop.pause()
        self._for_a_while("node.pause", 6 * SECOND, lambda: self.is_asleep or loop.resume())
        return True

    def _suspend(self) -> bool:
        """The machine sleeps: its process stands, its monotonic clock does not count the time."""
        loop = self.world.loop
        if loop is None or loop.is_dead or self.is_asleep:
            return False
        self.note("suspend")
        self.is_asleep = True
        self.world.clock.suspend(is_asleep=True)
        loop.pause()
        self._for_a_while("clock.suspend", 30 * SECOND, self.wake)
        return True

    def wake(self) -> None:
        """The machine goes on, and what runs on it."""
        if self.is_asleep:
            self.is_asleep = False
            self.world.clock.suspend(is_asleep=False)
            if self.world.loop is not None:
                self.world.loop.resume()

    def _jump(self) -> None:
        far_ns = (SECOND, 3600 * SECOND, DAY)[self._draw("clock.jump", 3)]
        self.note("jump")
        self.world.clock.jump((-1, 1)[self._draw("clock.jump", 2)] * far_ns)

    def _freeze(self) -> None:
        self.world.clock.freeze(is_frozen=True)
        self._for_a_while("clock.freeze", 5 * SECOND, lambda: self.world.clock.freeze(is_frozen=False))

    # --- operators ----------------------------------------------------------------------------------------------------

    def _kill(self) -> bool:
        world = self.world
        gateway, loop = world.gateway, world.loop
        if not world.is_up or gateway is None or loop is None or loop.is_paused:
            return False
        scope = (HaltScope.GLOBAL, HaltScope.ACCOUNT, HaltScope.INSTRUMENT)[self._draw("operator.kill", 3)]
        index = 0 if scope == HaltScope.GLOBAL else self._draw("operator.kill", 2)
        level = (HaltLevel.NO_NEW, HaltLevel.REDUCE_ONLY, HaltLevel.CANCEL_ALL)[self._draw("operator.kill", 3)]
        keeps = self._draw("operator.kill", 2) == 1
        act = Act(self.kernel.now_ns, "kill", {"scope": int(scope), "index": index, "level": int(level)})
        world.history.acts.append(act)
        halts = gateway.shard.engine.halts
        try:
            loop.inside(lambda: halts.set(scope, index, level, actor="ops", reason="drill", keep_protective=keeps))
        except HaltRefused:
            return False  # that one is on already
        act.done_ns = self.kernel.now_ns
        self._for_a_while("operator.kill", 8 * SECOND, self.lift)
        return True

    def lift(self) -> None:
        """Two persons lift every switch, as soon as there is a process that listens."""
        world = self.world
        gateway, loop = world.gateway, world.loop
        if not world.is_up or gateway is None or loop is None or loop.is_paused:
            self.kernel.after(500 * MS, self.lift)
            return
        halts = gateway.shard.engine.halts
        for actor in ("ops", "ops-2"):
            for halt in list(halts.book.active()):
                try:
                    loop.inside(lambda halt=halt, actor=actor: halts.lift(halt, actor))
                except HaltRefused:
                    continue
        world.history.acts.append(Act(self.kernel.now_ns, "lift", {}, self.kernel.now_ns))
