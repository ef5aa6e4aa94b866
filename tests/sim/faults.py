"""The catalogue of faults: what each does, how strong it may be, and what a seed draws (reliability.md, section 4).

*Swarm*: a seed turns each fault on or off and draws its own strength, since faults that are always on hide each other.
What a seed draws of a fault is a hash of the two alone: a row more, or a row elsewhere, changes no seed.
A new fault is one row of `CATALOGUE` and one `faults.hit("name")` (or `strength`) where it takes effect.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tests.sim.kernel import Kernel

HALF = 1 << 32  # of the hash of 64 bits: one half says whether, the other how strong


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which the world misbehaves.

    per: what the strength is a share of. share: of seeds in which it is on. strengths: one of them is drawn.
    most: a strength above it is refused: the promises are not made for such a world.
    """

    name: str
    about: str
    per: str
    share: float
    strengths: tuple[float, ...]
    most: float
    held_by: str


CATALOGUE: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        # the broker link
        Fault("link.drop_request", "a message to the broker is lost", "message", 0.3, (0.02, 0.2), 0.3, "I2 I3"),
        Fault("link.drop_report", "a message from the broker is lost", "message", 0.3, (0.02, 0.2), 0.3, "I3-I5"),
        Fault("link.repeat_request", "a message reaches the broker twice", "message", 0.3, (0.05, 0.3), 0.3, "I2"),
        Fault("link.repeat_report", "a report comes twice", "message", 0.4, (0.05, 0.3), 0.3, "I4 I5"),
        Fault("link.delay", "a message takes 2 to 200 ms longer", "message", 0.5, (0.1, 0.5), 1.0, "I3 I9"),
        Fault("link.linger", "bytes are on their way for up to 2.5 s", "message", 0.3, (0.02, 0.1), 0.3, "I2 I3 I11"),
        Fault("link.overtake", "a report overtakes those before it", "message", 0.4, (0.1, 0.34), 0.5, "I3 I4 I9"),
        Fault("link.outage", "the link goes down for 50 ms to 10 min", "message", 0.4, (0.01, 0.03), 0.1, "I2 I23"),
        Fault("link.cut_mid_send", "bytes leave, then the link is reset", "request", 0.3, (0.02, 0.1), 0.3, "I2 I3"),
        Fault("link.half_open", "nothing comes back for a while, then a reset", "message", 0.3, (0.01,), 0.1, "I3 I23"),
        Fault("link.full", "the kernel takes no bytes for a moment", "request", 0.2, (0.05, 0.2), 0.5, "I2"),
        # the broker
        Fault("venue.partial", "a fill takes only part of what it could", "fill", 0.6, (0.4, 0.8), 1.0, "I4 I6 I9"),
        Fault("venue.fill_first", "the first fill comes before the answer", "order", 0.3, (0.3,), 1.0, "I3 I4"),
        Fault("venue.reject", "a sound order is refused", "order", 0.3, (0.05, 0.3), 0.5, "I3 I9"),
        Fault("venue.bust", "a trade is broken later", "fill", 0.4, (0.01, 0.1), 0.3, "I4-I6"),
        Fault("venue.forget", "a query finds nothing inside the horizon", "query", 0.3, (0.05, 0.5), 1.0, "I2 I3"),
        Fault("venue.late_answer", "a query is answered seconds later", "query", 0.3, (0.05, 0.3), 0.5, "I2 I3"),
        Fault("venue.rate", "so many messages are taken", "second", 0.25, (2, 5, 20), 1_000, "I15 I23"),
        Fault("venue.bare_answer", "a query's answer names no fills", "answer", 0.3, (0.1, 0.5), 1.0, "I4 I5"),
        # the node
        Fault("node.crash", "the process ends between two steps", "step", 0.5, (0.0005, 0.002, 0.02), 0.05, "I1 I2 I7"),
        Fault("node.pause", "the process stands for 1 to 60 s", "event", 0.12, (0.001, 0.003), 0.01, "I11"),
        Fault("clock.jump", "the wall clock moves by a second to a day", "event", 0.2, (0.001, 0.005), 0.02, "I11 I18"),
        Fault("clock.leap", "the wall clock repeats a second", "event", 0.1, (0.001,), 0.01, "I18"),
        Fault("clock.freeze", "the wall clock stands", "event", 0.1, (0.001,), 0.01, "I18"),
        Fault("clock.suspend", "the machine is suspended, its mono clock too", "event", 0.15, (0.001,), 0.01, "I11"),
        # clients
        Fault("client.slow", "reads one frame at a time", "client", 0.3, (0.5,), 1.0, "I13 I14"),
        Fault("client.stuck", "stops reading", "event", 0.25, (0.01,), 0.1, "I14 I19"),
        Fault("client.vanish", "is gone without a word and comes back", "request", 0.3, (0.02, 0.1), 0.3, "I1 I13"),
        Fault("client.flood", "sends many requests at once", "request", 0.2, (0.02,), 0.1, "I19"),
        Fault("client.repeat", "sends a request again, with the same name", "request", 0.3, (0.05, 0.2), 0.5, "I2"),
        Fault("client.other_terms", "uses a name again with other terms", "request", 0.2, (0.05,), 0.3, "I2"),
        Fault("client.greedy", "buys one symbol, up to its limits", "order", 0.3, (0.6, 0.9), 1.0, "I9"),
        Fault("client.trails", "makes its stops trail", "stop", 0.5, (0.4, 0.9), 1.0, "I11"),
        # market data
        Fault("feed.gap", "nothing comes for a while", "frame", 0.4, (0.02,), 0.1, "I11 I12"),
        Fault("feed.repeat", "a frame comes twice", "frame", 0.4, (0.05,), 0.5, "I11"),
        Fault("feed.stale", "frames carry an old number or time", "frame", 0.4, (0.05,), 0.5, "I12"),
        Fault("feed.crossed", "bid above ask", "frame", 0.4, (0.05,), 0.5, "I12"),
        Fault("feed.spike", "one print far from the market", "frame", 0.4, (0.02,), 0.2, "I12"),
        Fault("feed.reset", "the connection is lost and numbering begins anew", "frame", 0.4, (0.01,), 0.1, "I11"),
        Fault("feed.second", "two feeds of one market, each with its own faults", "run", 0.35, (1.0,), 1.0, "I12 I25"),
        Fault("feed.venue", "a feed of another venue, whose prices are others", "run", 0.15, (1.0,), 1.0, "I12 I25"),
        Fault("feed.down", "a feed's connection is lost for up to 20 s", "frame", 0.3, (0.01,), 0.1, "I11 I25"),
        Fault("feed.delay", "a feed's frames come up to 3 s late for a while", "frame", 0.3, (0.02,), 0.1, "I12 I25"),
        # operators
        Fault("operator.kill", "a kill switch is set, later lifted", "event", 0.3, (0.001, 0.003), 0.02, "I10"),
        Fault("operator.restart", "a planned stop and start", "event", 0.2, (0.001, 0.002), 0.02, "I1 I7 I13"),
        Fault("operator.cut", "limits are cut at a restart", "restart", 0.3, (0.3, 1.0), 1.0, "I9"),
        # the disk (tests/sim/disk.py)
        Fault("disk.error", "a write or a sync fails", "operation", 0.15, (0.002, 0.005), 0.02, "I1"),
        Fault("disk.short", "a write takes only part", "operation", 0.2, (0.01, 0.05), 0.5, "I1 I8"),
        Fault("disk.full", "no room is left", "operation", 0.3, (0.002, 0.005), 0.02, "I1"),
        Fault("disk.slow", "a sync takes up to 2 s", "operation", 0.3, (0.01, 0.1), 0.5, "I1 I23"),
        Fault("disk.lose", "a crash loses and cuts what is not synced", "crash", 0.8, (0.3, 0.9), 1.0, "I1 I8"),
        # the loop tier's network and process (tests/sim/net.py, tests/sim/loop_world.py)
        Fault("net.split", "a write arrives in two pieces", "write", 0.5, (0.1, 0.5), 1.0, "I13"),
        Fault("net.trickle", "a write arrives a few bytes at a time", "write", 0.3, (0.02, 0.1), 0.3, "I13"),
        Fault("net.reset", "a connection is reset in mid-write", "write", 0.3, (0.002, 0.01), 0.05, "I2 I13"),
        Fault("net.half_open", "a link swallows everything for a while", "run", 0.8, (1.0,), 1.0, "I3 I13 I23"),
        Fault("net.stall", "one way of a link stands still for a while", "run", 0.8, (1.0,), 1.0, "I14"),
    )
}  # fmt: skip


class FaultError(ValueError):
    """A fault that does not exist, or is stronger than the catalogue allows."""


def checked(wanted: Mapping[str, float | bool]) -> dict[str, float]:
    """Strengths by name, `True` being a fault's first strength. Raises FaultError."""
    strengths: dict[str, float] = {}
    for name, value in wanted.items():
        fault = CATALOGUE.get(name)
        if fault is None:
            raise FaultError(f"no such fault: {name}; there are: {', '.join(sorted(CATALOGUE))}")
        strength = fault.strengths[0] if value is True else float(value)
        if not 0 <= strength <= fault.most:
            raise FaultError(f"{name}: {strength} per {fault.per} is out of range 0 to {fault.most}")
        strengths[name] = strength
    return strengths


class Faults:
    """The faults of one run: what the seed drew (or a caller asked for), and how often each took effect."""

    def __init__(self, kernel: Kernel, wanted: Mapping[str, float | bool] | None = None) -> None:
        """wanted: exactly these faults and no other; None draws from the seed. Raises FaultError."""
        self.strengths = _draw(kernel.seed) if wanted is None else checked(wanted)
        self.injected: Counter[str] = Counter()
        self.are_on = True  # false in the liveness phase
        self._streams = {name: kernel.rng(f"fault/{name}") for name in CATALOGUE if self.strengths.get(name)}

    def strength(self, name: str) -> float:
        """Of a fault now; 0 when it is off."""
        return self.strengths.get(name, 0.0) if self.are_on else 0.0

    def hit(self, name: str) -> bool:
        """Whether the fault strikes here; counted when it does."""
        stream = self._streams.get(name)
        if stream is None or not self.are_on or stream.random() >= self.strengths[name]:
            return False
        self.injected[name] += 1
        return True

    def count(self, name: str) -> None:
        """A fault that was drawn another way took effect."""
        self.injected[name] += 1


def _draw(seed: int) -> dict[str, float]:
    strengths = {}
    for fault in CATALOGUE.values():
        drawn = int.from_bytes(hashlib.blake2b(f"{seed}/{fault.name}".encode(), digest_size=8).digest())
        is_on, at = divmod(drawn, HALF)
        if is_on < fault.share * HALF:
            strengths[fault.name] = fault.strengths[at % len(fault.strengths)]
    return strengths
