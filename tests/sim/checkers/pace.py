"""I15: the broker's rate is never exceeded, a refusal for it costs no order, no exit waits behind new risk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brokers.ids import decode_broker_id
from brokers.sim import messages as m
from hotpath.enums import OrdStatus, Stage
from hotpath.records import Kind
from tests.sim.checkers.folded import Change
from tests.sim.history import Fact, Left, Lived
from tests.sim.kernel import MS, SECOND
from tests.sim.outcome import Broken

if TYPE_CHECKING:
    from tests.sim.checkers import Judge
    from tests.sim.checkers.folded import Folded

BUNCHING = ("link.delay", "link.linger")  # what left in time may arrive together
SETTLED_NS = 50 * MS  # a release that is on disk for so long is in line, if it has not left
REFUSED = b"BROKER_REJECTED" + b"RATE"  # code and broker's code of a rejection, as the record has them


class Pace:
    """What the gateway handed to the link, counted by a bucket of its own, and held against the exits that waited."""

    id = "I15"

    def __init__(self, judge: Judge) -> None:
        self.judge = judge
        budget = judge.world.venue.budget
        self.rate, self.full = budget.messages_per_s, budget.burst * SECOND
        self.credit, self.counted_ns = self.full, 0
        self.fired: dict[int, int] = {}  # exit that fired and has not left -> its record, not on disk yet
        self.waiting: dict[int, int] = {}  # likewise, on disk -> since when: it must be in line
        self.passed: list[tuple[str, int]] = []  # who left, and the exit that still waited as far as was told
        self.gone: set[int] = set()  # orders that left in this life

    def on_left(self, item: Left) -> None:
        self._count(item)
        message = item.message
        parts = decode_broker_id(message.id.encode())
        row = -1 if parts is None else parts[2]
        if isinstance(message, m.New):
            self.gone.add(row)
            self._settle(row)
        order = self.judge.journal.orders.get(row)
        if order is None or not self._gives_way(message, order):
            return
        for exit_row, since_ns in self.waiting.items():
            if since_ns < item.at_ns - SETTLED_NS and not self._stands_back(self.judge.journal.orders[exit_row]):
                self.passed.append((order.name, exit_row))

    def _count(self, item: Left) -> None:
        if not self.rate:
            return
        self.credit = min(self.full, self.credit + (item.at_ns - self.counted_ns) * self.rate)
        self.counted_ns = item.at_ns
        self.credit -= SECOND
        if self.credit < 0:
            raise Broken("I15", f"more messages left than {self.rate} a second and {self.full // SECOND} at once")
        if self.credit < SECOND:
            self.judge.world.faults.count("venue.rate")  # it is felt

    def _settle(self, row: int) -> None:
        """It has left, or ended."""
        self.fired.pop(row, None)
        self.waiting.pop(row, None)

    def _stands_back(self, order: Folded) -> bool:
        """Whether one that it shares with has yet to end: the other camp's, at the broker or fired before it."""
        if order.group < 0:
            return False
        return any(
            other.group == order.group
            and other.row != order.row
            and not other.is_done
            and (other.triggered or other.state[:2] != (OrdStatus.PENDING_NEW, Stage.QUEUED))
            and other.state[0] != OrdStatus.HELD
            for other in self.judge.journal.orders.values()
        )

    @staticmethod
    def _gives_way(message: object, order: Folded) -> bool:
        """Whether protective exits leave before such a message."""
        return isinstance(message, m.New | m.Cancel) and not order.reduce_only and not order.triggered

    def on_facts(self, item: Fact) -> None:
        faults = self.judge.world.faults
        if getattr(item.message, "reason", "") != "throttled":
            return
        if not any(faults.strengths.get(name) for name in BUNCHING):
            raise Broken("I15", f"the venue refused {item.message.id} for its rate, and nothing was late on its way")

    def on_change(self, change: Change) -> None:
        order, kind = change.order, change.record.kind
        if order is None:
            return
        if kind == Kind.REJECTED_EV and REFUSED in change.record.payload:
            raise Broken("I15", f"{order.name} was refused to its client for the rate of our own messages")
        if kind == Kind.REQUEUED:
            self.gone.discard(order.row)
        is_in_line = order.state[:2] == (OrdStatus.PENDING_NEW, Stage.QUEUED)
        if is_in_line and order.triggered and order.reduce_only and order.row not in self.gone:
            if order.row not in self.waiting:
                self.fired[order.row] = change.record.seq
        else:
            self._settle(order.row)

    def _judge_passed(self) -> None:
        """Once the records of that turn are told: the exit may have had its turn, and found no position left."""
        for name, row in self.passed:
            late = self.judge.journal.orders[row]
            if not late.is_done:
                raise Broken("I15", f"{name} left before {late.name}, an exit that had fired long before")
        self.passed.clear()

    def on_lost(self, *_: object) -> None:
        self._forget()

    def _forget(self) -> None:
        self.fired.clear()
        self.waiting.clear()
        self.passed.clear()

    def on_lives(self, item: Lived) -> None:
        """The process ended or stood still: what waits then is the restart's to settle."""
        self._forget()
        if item.what not in ("pause", "jump", "freeze", "suspend"):
            self.gone.clear()

    def step(self) -> None:
        """When all that the journal has of an exit is on disk, nothing but the link and the rate holds it."""
        shard = self.judge.world.node.shard
        if self.passed and (shard is None or not shard.state.has_records()):
            self._judge_passed()
        if not self.fired and not self.waiting:
            return
        if shard is None or not shard.engine.is_admitting or shard.engine.is_backed_up:
            self._forget()
            return
        for row, seq in list(self.fired.items()):
            if seq <= self.judge.durable_seq:
                del self.fired[row]
                self.waiting[row] = self.judge.now_ns
