"""What waits to leave for one broker: lines by rank, under the rate that the broker declares.

Protective exits leave first, then cancels, then reductions, then new risk; in each line the oldest first. An order is
at most once in line: what leaves for it is what its state asks for when its turn comes. A broker that declares a rate
is never sent more than that; of its burst a part is kept for protective exits, and for cancels half of that.

The lines are bounded by the order table: an order more is refused there, before it could wait here.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from brokers.rate import TokenBucket
from gateway.plants import PLANTED, is_on, reach
from hotpath.enums import Rank

if TYPE_CHECKING:
    from brokers.capabilities import RateBudget
    from gateway.engine import Engine

FIRED_WAIT_NS = 1_000_000_000  # the least wait of an entry that fired: a full kernel buffer must not cost it
TICK_NS = 1_000_000  # a timer for the next token is no finer than that; what has come together leaves together


class Turn(IntEnum):
    """What became of an order whose turn had come."""

    GONE = 0  # its message left, or there is nothing more to send for it
    BLOCKED = 1  # the link takes nothing now: nothing else can leave either
    HELD = 2  # a doubt or a kill switch holds it back: others may pass


def wait_ns(row: Mapping[str, Any]) -> int:
    """How long an entry may stay in line; -1 without an end."""
    longest_ns = int(row["max_queue_ns"])
    return max(longest_ns, FIRED_WAIT_NS) if row["triggered"] and longest_ns >= 0 else longest_ns


class Egress:
    """The lines to one broker. All calls on the loop thread."""

    def __init__(
        self, engine: Engine, budget: RateBudget, take_turn: Callable[[int], Turn], on_tokens: Callable[[], None]
    ) -> None:
        """take_turn: send what an order is in line for. on_tokens: called when the rate lets more out."""
        self._engine = engine
        self._bucket = TokenBucket(budget, engine.clock.mono_ns) if budget.messages_per_s else None
        reserve = budget.reserved_burst
        self._spare = {Rank.EXITS: 0, Rank.CANCELS: -(-reserve // 2), Rank.REDUCTIONS: reserve, Rank.ENTRIES: reserve}
        self._take_turn = take_turn
        self._on_tokens = on_tokens
        self._lines: dict[Rank, dict[int, int]] = {rank: {} for rank in Rank}  # order -> since when, monotonic
        self.in_line: dict[int, Rank] = {}  # order -> its line
        self._ends: list[tuple[int, int]] = []  # heap of (wall, order): entries that may not wait for ever
        self.held: dict[int, int] = {}  # order -> since when: a doubt or a kill switch keeps it out of line
        self._wake_ns = 0  # when the line is to be looked at for tokens, monotonic; 0: not at all
        self.refusals = 0  # messages that the broker refused for their rate

    # --- what may leave now ------------------------------------------------------------------------------------------

    def may_pass(self, count: int) -> bool:
        """Whether so many messages may leave at once, past lines that are empty, whatever they are for."""
        if self.in_line:
            return False
        bucket = self._bucket
        return bucket is None or bucket.has(count, spare=self._spare[Rank.ENTRIES])

    def may_ask(self, is_moving: bool) -> bool:
        """Whether a question may leave now: after exits and cancels, before all else. is_moving: the lines are open."""
        if self._bucket is None:
            return True
        if is_moving and (self._lines[Rank.EXITS] or self._lines[Rank.CANCELS]):
            return False  # the router asks when they have left
        return self._has_token(Rank.REDUCTIONS)

    def has_left(self, count: int) -> None:
        """So many messages have left."""
        if self._bucket is not None and not (PLANTED and is_on("spend_no_tokens")):
            self._bucket.spend(count)

    def was_refused(self) -> None:
        """The broker has refused a message for its rate: it counts more than we do, so nothing more leaves for now."""
        self.refusals += 1
        if self._bucket is not None:
            reach("egress.over_the_rate")
            self._bucket.empty()

    def _has_token(self, rank: Rank) -> bool:
        bucket = self._bucket
        if bucket is None or bucket.has(1, spare=self._spare[rank]):
            return True
        delay_ns = max(TICK_NS, bucket.wait_ns(spare=self._spare[rank]))
        due_ns = self._engine.clock.mono_ns() + delay_ns
        if not self._wake_ns or due_ns < self._wake_ns:  # an exit needs less than what waits for the whole reserve
            self._wake_ns = due_ns
            self._engine.later(delay_ns, lambda: self._wake(due_ns))
        return False

    def _wake(self, due_ns: int) -> None:
        if self._wake_ns == due_ns:  # else an earlier one has come, and whoever still waits has set another
            self._wake_ns = 0
            self._on_tokens()

    # --- the lines ---------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        """Orders in line, and those that are held back."""
        return len(self.in_line) + len(self.held)

    def put(self, order: int) -> None:
        """At the end of the line of its rank; one that is in line for something else changes over."""
        rank = Rank(self._engine.views.rank(order))
        if PLANTED and is_on("exits_wait_their_turn"):
            rank = Rank.ENTRIES
        since_ns = self.held.pop(order, self._engine.clock.mono_ns())
        old = self.in_line.get(order)
        if old is rank:
            return
        if old is not None:
            del self._lines[old][order]
        self.in_line[order] = rank
        self._lines[rank][order] = since_ns

    def put_until(self, order: int, row: Mapping[str, Any]) -> None:
        """Likewise an order that never left: what is not bound to reduce waits no longer than it may."""
        self.put(order)
        if not row["reduce_only"] and (longest_ns := wait_ns(row)) >= 0:
            heapq.heappush(self._ends, (row["live_ns"] + longest_ns, order))

    def take(self, order: int) -> None:
        """Out of the line, and from where it is held back."""
        rank = self.in_line.pop(order, None)
        if rank is not None:
            del self._lines[rank][order]
        self.held.pop(order, None)

    def overdue(self, wall_ns: int) -> list[int]:
        """Orders in line that have waited as long as they may, each told once."""
        found = []
        while self._ends and self._ends[0][0] <= wall_ns:
            _, order = heapq.heappop(self._ends)
            if order in self.in_line:
                found.append(order)
        return found

    def move(self, *ranks: Rank) -> bool:
        """Let these lines move; whether they are empty now."""
        for rank in ranks:
            line = self._lines[rank]
            while line:
                if not self._has_token(rank):
                    return False
                order = next(iter(line))
                turn = self._take_turn(order)
                if turn is Turn.BLOCKED:
                    return False
                if order in line:  # not so when its end took it out
                    since_ns = line[order]
                    self.take(order)
                    if turn is Turn.HELD:
                        self.held[order] = since_ns
        return True

    def rouse(self) -> None:
        """What is held back gets in line again."""
        for order in list(self.held):
            self.put(order)

    # --- what people see ---------------------------------------------------------------------------------------------

    def depths(self) -> dict[str, tuple[int, int]]:
        """By rank: orders in line, and for how long the oldest, ns. One that ended in line counts until its turn."""
        now_ns = self._engine.clock.mono_ns()
        found = {rank.name.lower(): _depth(line, now_ns) for rank, line in self._lines.items()}
        found["held"] = _depth(self.held, now_ns)
        return found


def _depth(line: dict[int, int], now_ns: int) -> tuple[int, int]:
    return len(line), now_ns - next(iter(line.values())) if line else 0
