"""Virtual time and chance: the event heap, the clocks of a node, named random streams, the trace and the Escape guard.

Everything that happens in a run is a call on one heap, in the order of virtual time and then of scheduling. A run draws
chance only from `Kernel.rng(name)`, one stream for each use, so that a new draw in one place moves nothing elsewhere.
"""

from __future__ import annotations

import hashlib
import os
import random
import secrets
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from typing import Any, NoReturn

from gateway.clock import SystemClock

RING = 200  # last trace lines that a failure shows
WALL_START_NS = 1_700_000_000_000_000_000
MS = 1_000_000
SECOND = 1_000_000_000
DAY = 86_400 * SECOND


class Escape(Exception):
    """Something in a run reached for the real world: a clock, chance, a thread or a socket."""


class Kernel:
    """One run's time, order and chance."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.now_ns = 0  # true virtual time since the start of the run; no node reads it
        self.events = 0  # calls made so far
        self.ring: deque[str] = deque(maxlen=RING)
        self._heap: list[tuple[int, int, Callable[[], object]]] = []
        self._scheduled = 0
        self._streams: dict[str, random.Random] = {}
        self._digest = hashlib.blake2b(digest_size=16)

    # --- time --------------------------------------------------------------------------------------------------------

    def at(self, when_ns: int, call: Callable[[], object]) -> None:
        """Call it at a virtual time, at the earliest after all that is due before."""
        self._scheduled += 1
        heappush(self._heap, (max(when_ns, self.now_ns), self._scheduled, call))

    def after(self, delay_ns: int, call: Callable[[], object]) -> None:
        """Call it once `delay_ns` have passed; 0 is behind all that is due now."""
        self._scheduled += 1
        heappush(self._heap, (self.now_ns + delay_ns, self._scheduled, call))

    def step(self) -> bool:
        """Make the next call; False when none is left."""
        if not self._heap:
            return False
        self.now_ns, _, call = heappop(self._heap)
        self.events += 1
        call()
        return True

    def next_ns(self) -> int:
        """When the next call is due; -1 when there is none."""
        return self._heap[0][0] if self._heap else -1

    # --- chance ------------------------------------------------------------------------------------------------------

    def rng(self, name: str) -> random.Random:
        """The random stream of one use; the same name gives the same stream."""
        stream = self._streams.get(name)
        if stream is None:
            stream = self._streams[name] = random.Random(f"{self.seed}/{name}")
        return stream

    def sometimes(self, name: str, ppm: int) -> bool:
        """Whether a rare branch of the product is forced now: `gateway.plants.sometimes` asks."""
        return self.rng(f"sometimes {name}").randrange(1_000_000) < ppm

    # --- what happened -----------------------------------------------------------------------------------------------

    def trace(self, line: str) -> None:
        """One event as a line: integers and words only, the same on every build, interpreter and run."""
        text = f"{self.now_ns} {line}"
        self.ring.append(text)
        self._digest.update(text.encode())

    def digest(self) -> str:
        """Hash over every line so far."""
        return self._digest.hexdigest()


class NodeClock:
    """The two clocks of one node (`gateway.clock.Clock`), each with the faults that real ones have."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._wall_offset_ns = WALL_START_NS
        self._frozen_ns = -1
        self._asleep_ns = 0  # what the monotonic clock did not count
        self._asleep_since_ns = -1

    def wall_ns(self) -> int:
        """The calendar; it may jump either way or stand still."""
        return self._frozen_ns if self._frozen_ns >= 0 else self._kernel.now_ns + self._wall_offset_ns

    def mono_ns(self) -> int:
        """Never goes back; it does not count the time in which the machine slept."""
        now_ns = self._asleep_since_ns if self._asleep_since_ns >= 0 else self._kernel.now_ns
        return SECOND + now_ns - self._asleep_ns

    def jump(self, by_ns: int) -> None:
        """The wall clock is set; `by_ns` of one second back is a leap second."""
        self._wall_offset_ns += by_ns

    def freeze(self, *, is_frozen: bool) -> None:
        """The wall clock stands until it is let go; then it shows the right time again."""
        self._frozen_ns = self.wall_ns() if is_frozen else -1

    def suspend(self, *, is_asleep: bool) -> None:
        """The machine is suspended: the monotonic clock does not count this time."""
        if is_asleep:
            self._asleep_since_ns = self._kernel.now_ns
        elif self._asleep_since_ns >= 0:
            self._asleep_ns += self._kernel.now_ns - self._asleep_since_ns
            self._asleep_since_ns = -1

    def heal(self) -> None:
        """End a freeze and a suspension; jumps stay, as they do in life."""
        self.freeze(is_frozen=False)
        self.suspend(is_asleep=False)


# --- the guard -------------------------------------------------------------------------------------------------------

DOORS: list[tuple[Any, tuple[str, ...]]] = [
    (time, ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")),
    (SystemClock, ("wall_ns", "mono_ns")),
    (os, ("urandom",)),
    (secrets, ("token_bytes", "token_hex", "token_urlsafe", "randbelow", "choice")),
    (uuid, ("uuid1", "uuid4")),
    (random, ("random", "randrange", "randint", "choice", "choices", "shuffle", "sample", "uniform", "getrandbits")),
    (threading.Thread, ("start",)),
    (socket, ("socket", "getaddrinfo", "create_connection")),
]


def _shut(name: str) -> Callable[..., NoReturn]:
    def escape(*_: object, **__: object) -> NoReturn:
        raise Escape(f"{name} in a simulation")

    return escape


@contextmanager
def sealed() -> Iterator[None]:
    """While it is entered, reaching for real time, chance, threads or sockets raises Escape."""
    kept = [(owner, name, owner.__dict__[name]) for owner, names in DOORS for name in names]
    for owner, name, _ in kept:
        setattr(owner, name, _shut(f"{getattr(owner, '__name__', owner)}.{name}"))
    try:
        yield
    finally:
        for owner, name, real in kept:
            setattr(owner, name, real)
