"""Twin of gateway.core.turn: records to the journal at the end of a turn, what is durable to clients and brokers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Protocol

from gateway.core.ref.state import State
from gateway.stream.fanout import Fanout
from hotpath.hist import Histogram


class Journal(Protocol):
    """What a turn needs of a journal."""

    @property
    def durable_seq(self) -> int: ...

    @property
    def run_bytes_max(self) -> int: ...

    def submit(self, blob: memoryview, last_seq: int) -> int: ...


class Turn:
    """Moves the records of a state into a journal, and lets out what they cause once they are durable."""

    def __init__(
        self, state: State, fanout: Fanout, journal: Journal, *, mono_ns: Callable[[], int],
        wall_ns: Callable[[], int], times: Histogram, is_durable: bool, act: Callable[[list[tuple[int, int]]], None],
    ) -> None:  # fmt: skip
        """times: takes how long records waited for the disk, in ns. act: called with durable effects, never with none.

        is_durable: False lets everything out as soon as the journal has it.
        """
        self.state = state
        self.fanout = fanout
        self.journal = journal
        self.mono_ns = mono_ns
        self.wall_ns = wall_ns
        self.times = times
        self.is_durable = is_durable
        self.act = act
        self.run_bytes_max = journal.run_bytes_max
        self.handed: deque[tuple[int, int]] = deque()  # (last record, when the journal got it)

    def flush(self) -> None:
        """Hand all records over that were there when it was called.

        Raises JournalFull (the rest stays; answers to it keep their order), JournalStopped, and StateTorn.
        """
        until = self.state.seq
        self.state.demand_whole()
        while self.state.has_records():
            blob, last = self.state.run(self.run_bytes_max)
            self.fanout.load(blob)
            position = self.journal.submit(blob, last)
            self.handed.append((last, self.mono_ns()))
            self.state.placed(position, len(blob))
            if not self.is_durable:
                self.settle(last)
            if last >= until:
                return

    def on_durable(self) -> None:
        """The journal has made progress."""
        durable_seq = self.journal.durable_seq
        if self.handed and self.handed[0][0] <= durable_seq:
            now_ns = self.mono_ns()
            while self.handed and self.handed[0][0] <= durable_seq:
                self.times.record(now_ns - self.handed.popleft()[1])
        self.settle(durable_seq)

    def settle(self, durable_seq: int) -> None:
        """Let out what is caused by records up to `durable_seq`."""
        durable_seq = self.state.whole(durable_seq)
        self.fanout.deliver(durable_seq, self.wall_ns())
        effects = self.state.take_effects(durable_seq)
        if effects:
            self.act(effects)
