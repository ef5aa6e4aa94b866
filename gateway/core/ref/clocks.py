"""Twin of gateway.core.clocks: orders that wait for a time, the earliest first."""

from __future__ import annotations


class Clocks:
    """The times of a shard; nothing comes due on an instrument that does not trade."""

    def __init__(self, instruments: int) -> None:
        self.hours: dict[int, tuple[int, int]] = {}  # order -> when it is due, its instrument
        self.is_shut = [False] * instruments

    def keep(self, order: int, instrument: int, due_ns: int) -> int:
        """Let an order of the instrument wait for this time (wall clock) and no other; 0: for none."""
        self.hours.pop(order, None)
        if due_ns:
            self.hours[order] = due_ns, instrument
        return 0

    def let(self, instrument: int, is_trading: bool) -> int:
        """Whether what waits on the instrument may come due."""
        self.is_shut[instrument] = not is_trading
        return 0

    def next_due(self, wall_ns: int) -> int:
        """The order that is due first by that time and may come due; -1: none."""
        hours = self.hours.items()
        due = [(due_ns, order) for order, (due_ns, at) in hours if due_ns <= wall_ns and not self.is_shut[at]]
        return min(due)[1] if due else -1

    @property
    def count(self) -> int:
        """How many orders wait."""
        return len(self.hours)
