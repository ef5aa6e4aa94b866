"""The invariants of reliability.md, section 3, each judged by a small module of its own.

A checker is a class with `id`, made with the `Judge`; it has any of the `on_...` methods, `step` and `at_rest` that
`Judge` calls; it judges from outside where it can. To add one: a module here, a line in `CHECKERS`, a hand-made bad
history in tests/sim/test_checkers.py, and a planted bug in tests/sim/plants.py that makes it fire.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tests.sim.checkers import (
    acknowledged,
    bounds,
    causes,
    exposure,
    fills,
    kill,
    liveness,
    names,
    once,
    outboxes,
    pace,
    positions,
    privacy,
    quotes,
    sequence,
    sighted,
    stops,
    streams,
    ties,
    trails,
    transitions,
    truth,
)
from tests.sim.checkers.folded import Journal
from tests.sim.checkers.ledger import Ledger
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.history import Record
    from tests.sim.world import World

CHECKERS = (
    acknowledged.Acknowledged, stops.Stops, trails.Trails, once.Once, truth.Truth, fills.Fills, positions.Positions,
    transitions.Transitions, sequence.Sequence, exposure.Exposure, kill.Kill, quotes.Quotes, streams.Streams,
    outboxes.Outboxes, pace.Pace, bounds.Bounds, privacy.Privacy, causes.Causes, liveness.Liveness, names.Names,
    ties.Ties, sighted.Sighted,
)  # fmt: skip
# In the order in which what happened is told: the broker's side first, the clients' last.
LISTS = ("lives", "left", "reached", "facts", "acts", "ticks", "asked", "heard", "links")


class Judge:
    """All checkers of one run, and what they share: the journal's records and the venue's ledger, folded."""

    def __init__(self, world: World, checkers: Sequence[Any] = CHECKERS) -> None:
        """checkers: those whose history the world keeps."""
        self.world = world
        self.history = world.history
        self.journal = Journal()
        self.ledger = Ledger()
        self.durable_seq = 0  # last record that is known to be on disk
        self.checkers: list[Any] = [make(self) for make in checkers]
        self._places = dict.fromkeys(LISTS, 0)
        self._lists = [getattr(self.history, name) for name in LISTS]  # they only grow
        self._told = 0  # items of all of them
        self._seen = 0  # records
        self._calls = {name: self._methods(f"on_{name}") for name in (*LISTS, "change", "lost")}
        self._steps = self._methods("step")

    def _methods(self, name: str) -> list[Callable[..., None]]:
        return [getattr(checker, name) for checker in self.checkers if hasattr(checker, name)]

    @property
    def now_ns(self) -> int:
        return self.world.kernel.now_ns

    def after_event(self) -> None:
        """What is new since the last call, told to who wants to know. Raises Broken."""
        node = self.world.node
        records = self.history.records
        while self._seen < len(records):
            self._record(records[self._seen])
            self._seen += 1
        if (journal := node.journal) is not None:  # that of a life which has just ended, too
            self.durable_seq = max(self.durable_seq, journal.durable_seq)
        if (count := sum(map(len, self._lists))) > self._told:  # most events bring nothing new
            self._told = count
            for name, items in zip(LISTS, self._lists, strict=True):
                if self._places[name] < len(items):
                    self._tell(name, items)
        for step in self._steps:
            step()

    def _tell(self, name: str, items: list[Any]) -> None:
        for item in items[self._places[name] :]:
            if name == "reached":
                self.ledger.reached(item)
            elif name == "facts":
                self.ledger.fact(item)
            for call in self._calls[name]:
                call(item)
        self._places[name] = len(items)

    def _record(self, record: Record) -> None:
        journal = self.journal
        last = journal.records[-1] if journal.records else None
        if last is not None and record.seq <= last.seq:
            if record.life == last.life:
                raise Broken("I8", f"record {record.seq} was written twice in one life")
            lost = journal.cut(record.seq)
            for call in self._calls["lost"]:
                call(record, lost)
            self.durable_seq = min(self.durable_seq, record.seq - 1)
            last = journal.records[-1] if journal.records else None
        if last is not None and record.seq != last.seq + 1:
            raise Broken("I8", f"record {record.seq} follows {last.seq}")
        change = journal.add(record)
        for call in self._calls["change"]:
            call(change)

    def at_rest(self) -> None:
        """The faults have ended and the time for healing is over. Raises Broken."""
        for checker in self.checkers:
            if hasattr(checker, "at_rest"):
                checker.at_rest()
