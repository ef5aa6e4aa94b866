"""The end of a turn, as gateway/core/turn.pyx has it: records to the journal, what is durable to clients and broker."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from gateway.stream.fanout import Fanout
from hotpath.hist import Histogram


class Turn:
    """See `gateway.core.turn.Turn`."""

    def __init__(
        self, state: Any, fanout: Fanout, journal: Any, *, mono_ns: Callable[[], int], wall_ns: Callable[[], int],
        times: Histogram, is_durable: bool, act: Callable[[list[tuple[int, int]]], None],
    ) -> None:  # fmt: skip
        self.state = state
        self.fanout = fanout
        self.journal = journal
        self.mono_ns = mono_ns
        self.wall_ns = wall_ns
        self.times = times
        self.is_durable = is_durable
        self.act = act
        self.handed: deque[tuple[int, int]] = deque()  # (last record, when it was handed to the journal)

    def flush(self) -> None:
        """Hand all records over that were there when it was called; raises JournalFull and JournalStopped."""
        until = self.state.seq
        while self.state.has_records():
            blob, last = self.state.run(self.journal.run_bytes_max)
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
            now = self.mono_ns()
            while self.handed and self.handed[0][0] <= durable_seq:
                self.times.record(now - self.handed.popleft()[1])
        self.settle(durable_seq)

    def settle(self, durable_seq: int) -> None:
        """Let out what is caused by records up to `durable_seq`."""
        durable_seq = self.state.whole(durable_seq)
        self.fanout.deliver(durable_seq, self.wall_ns())
        if effects := self.state.take_effects(durable_seq):
            self.act(effects)
