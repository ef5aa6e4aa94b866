"""The machine under a simulated gateway process: clocks, chance, and the native journal writer on the simulated disk.

The writer runs stepped: each of its file operations is one event of the kernel, and takes the time that the disk says.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, Literal

from gateway import boot
from gateway.config import Config
from gateway.core.state import State
from gateway.journal.recovery import Recovered
from gateway.journal.writer import JournalWriter
from tests.sim.disk import DiskFaults, SimDisk
from tests.sim.faults import Faults
from tests.sim.kernel import MS, SECOND, Kernel, NodeClock
from tests.sim.loop import SimLoop

STALL_NS = 10 * MS  # how soon a stopped process's writer looks whether it goes on


def disk_of(kernel: Kernel, faults: Faults) -> SimDisk:
    """A disk with the faults of the seed."""
    draw = kernel.rng("disk faults")
    strength = faults.strength
    return SimDisk(
        kernel.rng("disk"),
        DiskFaults(
            error_rate=strength("disk.error") / 4, full_rate=strength("disk.full") / 4,
            short_rate=strength("disk.short"), slow_rate=strength("disk.slow"), slow_ns_max=2 * SECOND,
            is_persistent=draw.random() < 0.5,
        ),
    )  # fmt: skip


class SteppedJournal:
    """The writer of one life. Whatever is not about its steps is the native writer's own."""

    def __init__(self, inner: JournalWriter, loop: SimLoop, note: Callable[[memoryview], None]) -> None:
        """note: is told each run of records that is handed over."""
        self.note = note
        self.inner = inner
        self.loop = loop
        self.on_progress: Callable[[], None] | None = None
        self._due_ns = -1  # of the step that is scheduled
        self._want_step()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def submit(self, blob: memoryview, last_seq: int) -> int:
        position = self.inner.submit(blob, last_seq)
        self.note(blob)
        self.loop.kernel.trace(f"journal {last_seq} {hash_of(blob)}")
        self._want_step()
        return position

    def told(self) -> None:
        """The writer has news for the loop."""
        if self.on_progress is not None:
            self.loop.post(self.on_progress)

    def _want_step(self) -> None:
        due_ns = self.inner.due_ns
        if due_ns is None or self.loop.is_dead or 0 <= self._due_ns <= due_ns:
            return
        self._due_ns = due_ns
        self.loop.kernel.after(max(0, due_ns - self.loop.clock.mono_ns()), lambda: self._step(due_ns))

    def _step(self, due_ns: int) -> None:
        if self.loop.is_dead or self._due_ns != due_ns:
            return
        self._due_ns = -1
        if self.loop.is_paused:
            self._due_ns = due_ns
            self.loop.kernel.after(STALL_NS, lambda: self._step(due_ns))
            return
        self.inner.step()
        self._want_step()


def hash_of(blob: memoryview) -> int:
    """A number for the bytes of a run of records, the same on every machine."""
    value = 0
    for at in range(0, len(blob), 8):
        value = (value * 1_000_003 + int.from_bytes(blob[at : at + 8], "little")) & 0xFFFF_FFFF
    return value


class SimMachine:
    """`gateway.ports.Machine` of one life of the gateway's process."""

    def __init__(
        self, loop: SimLoop, clock: NodeClock, disk: SimDisk, note: Callable[[memoryview], None]
    ) -> None:  # fmt: skip
        self.note = note
        self.loop = loop
        self.clock = clock
        self.files = disk.files()
        self.journal: SteppedJournal | None = None
        self._tokens = loop.kernel.rng("gateway tokens")

    def rng(self) -> Random:
        return self.loop.kernel.rng("gateway jitter")

    def token_bytes(self, count: int) -> bytes:
        return self._tokens.randbytes(count)

    def open_journal(self, config: Config, state: State, recovered: Recovered) -> JournalWriter:
        inner = JournalWriter(
            str(boot.journal_dir(config)), history_id=state.history, position=recovered.next_position,
            last_seq=recovered.last_seq, epoch=state.epoch, segment_bytes=config.journal.segment_bytes,
            gap_ns_max=config.journal.commit_gap_us_max * 1_000, files=self.files, mono_ns=self.clock.mono_ns,
            on_progress=lambda: self.journal.told() if self.journal is not None else None,
        )  # fmt: skip
        self.journal = SteppedJournal(inner, self.loop, self.note)
        return self.journal  # type: ignore[return-value]  # what is not about its steps is the writer's own

    def watch(self, journal: Any, call: Callable[[], None] | None) -> None:
        journal.on_progress = call

    def mind_heap(self, moment: Literal["start", "idle", "end"]) -> None:
        """The heap is shared by all processes of a run: nobody's to freeze."""
