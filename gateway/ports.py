"""What the gateway needs of the world around it: time, chance, timers, the disk and the broker's wire.

A shard gets `Ports`. The process around it gets a `Machine`, of which `gateway.machine` is the real one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Literal, Protocol

from brokers.ports import Adapter, ReportSink
from gateway.clock import Clock
from gateway.config import Config
from gateway.core.state import State
from gateway.journal.files import Files
from gateway.journal.recovery import Recovered
from gateway.journal.writer import JournalWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """What one shard is given.

    later, soon: a call after so many nanoseconds, and one behind all that is due now.
    token_bytes: bytes that nobody can guess. open_adapter: the broker's link, not connected yet, and who hears it.
    """

    clock: Clock
    files: Files
    token_bytes: Callable[[int], bytes]
    later: Callable[[int, Callable[[], None]], None]
    soon: Callable[[Callable[[], None]], object]
    open_journal: Callable[[State, Recovered], JournalWriter]
    open_adapter: Callable[[State, ReportSink], Adapter]


class Machine(Protocol):
    """What the process is given: what of the ports does not come from its loop, and the heap."""

    @property
    def clock(self) -> Clock: ...

    @property
    def files(self) -> Files: ...

    def rng(self) -> Random:
        """Chance for the jitter of one reconnecting client."""
        ...

    def token_bytes(self, count: int) -> bytes:
        """Bytes that nobody can guess."""
        ...

    def open_journal(self, config: Config, state: State, recovered: Recovered) -> JournalWriter:
        """The writer behind what was recovered. Raises JournalError, CannotStart."""
        ...

    def watch(self, journal: JournalWriter, call: Callable[[], None] | None) -> None:
        """Call it on the loop whenever the writer has made progress or failed; None ends that."""
        ...

    def mind_heap(self, moment: Literal["start", "idle", "end"]) -> None:
        """Start-up is over, nothing is under way, the process ends: what garbage collection does then."""
        ...
