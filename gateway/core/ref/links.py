"""Twin of gateway.core.links: which orders wait for which, and which share one quantity; derived from the order rows.

No part of the state's bytes: what an order is tied to stands in its terms, and loading them ties it again.
"""

from __future__ import annotations

from collections import deque

from hotpath.ref.orders import OrderTable

MEMBERS_MAX = 32  # of one group, and children of one order: what one fill may touch


class Links:
    """The ties of the orders of one shard."""

    def __init__(self, orders: OrderTable) -> None:
        self.orders = orders
        self.by_parent: dict[int, list[int]] = {}  # in order of acceptance, as the members of a group
        self.by_first: dict[int, list[int]] = {}
        self.newest: dict[tuple[int, int], int] = {}  # (account, text of the group) -> first member of the newest
        self.due: deque[tuple[int, int]] = deque()  # (order, kind of record) whose ties have yet to be settled
        self.late: dict[int, None] = {}  # let live behind prices that have yet to fire on their line
        self.grown: dict[int, int] = {}  # order -> number of the event, in this life, that armed it or gave it more
        self.armed: dict[int, None] = {}  # instruments on which a parent has armed an order since they were last judged

    def tie(self, order: int) -> None:
        """An order was accepted."""
        row = self.orders.rows[order]
        if row.terms.parent:
            self.by_parent.setdefault(row.terms.parent - 1, []).append(order)
        if row.terms.group:
            self.by_first.setdefault(row.terms.group - 1, []).append(order)
            self.newest[row.account, row.oco] = row.terms.group - 1

    def touches(self, order: int) -> bool:
        """Whether what happens to the order concerns another one."""
        terms = self.orders.rows[order].terms
        return bool(terms.parent or terms.group) or order in self.by_parent

    def members(self, order: int) -> list[int]:
        """All that the order shares with, itself among them, in order of acceptance."""
        group = self.orders.rows[order].terms.group
        return self.by_first[group - 1] if group else [order]

    def children(self, order: int) -> list[int]:
        return self.by_parent.get(order, [])

    def group_of(self, account: int, oco: bytes) -> int:
        """First member of the group that the text names now; -1 when there is none, or all of it is done."""
        first = self.newest.get((account, self.orders.text_ids.get(oco, 0)), -1)
        if first < 0 or all(row.is_done and row.owed_qty_e9 <= 0 for row in self._rows(first)):
            return -1
        return first

    def _rows(self, first: int) -> list:  # type: ignore[type-arg]
        return [self.orders.rows[order] for order in self.by_first[first]]

    def take_armed(self) -> list[int]:
        """Instruments on which a parent has armed an order since the last call."""
        taken, self.armed = list(self.armed), {}
        return taken
