"""The local copy of an account: orders and positions at the last event that was applied."""

from collections import deque
from collections.abc import Iterator, Mapping
from decimal import Decimal

from backstay._wire.events import (
    Accepted,
    Adjusted,
    OrderEvent,
    PendingReplace,
    PositionSet,
    Replaced,
    ReplaceRejected,
    Restated,
    Terms,
    Trade,
    TradeCanceled,
    TradeCorrected,
)
from backstay._wire.notices import OrderState, Position

DONE = frozenset(("filled", "canceled", "expired", "rejected"))
DONE_KEPT_MAX = 100_000  # finished orders remembered; the oldest are forgotten, open ones never


class Row:
    """One order: its terms, and the newest frame that states it (an event or a snapshot's line)."""

    __slots__ = ("asked_rev", "last", "terms")

    def __init__(self, terms: Terms, last: OrderEvent | OrderState) -> None:
        self.terms = terms
        self.last = last
        self.asked_rev = last.rev

    def state(self) -> OrderState:
        """The order as a snapshot would state it."""
        last = self.last
        if isinstance(last, OrderState):
            return last
        return OrderState(
            cl_ord_id=last.cl_ord_id,
            order_id=last.order_id,
            rev=last.rev,
            ord_status=last.ord_status,
            pending=last.pending,
            cum_qty=last.cum_qty,
            leaves_qty=last.leaves_qty,
            avg_px=last.avg_px,
            order=self.terms,
            stage=last.stage,
            hold=last.hold,
            ask_rev=self.asked_rev,
            seq=last.seq,
            ts_ns=last.ts_ns,
        )


class OrdersView(Mapping[str, OrderState]):
    """Orders by ``cl_ord_id``, stated when looked at."""

    def __init__(self, rows: dict[str, Row]) -> None:
        self._rows = rows

    def __getitem__(self, cl_ord_id: str) -> OrderState:
        return self._rows[cl_ord_id].state()

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class Book:
    """Applies events in order; the follower decides which ones."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.positions: dict[str, Position] = {}
        self._done: deque[str] = deque()

    @property
    def orders(self) -> Mapping[str, OrderState]:
        return OrdersView(self.rows)

    def load_order(self, state: OrderState) -> None:
        """Adopt an order as a snapshot states it."""
        row = Row(state.order, state)
        row.asked_rev = max(state.rev, state.ask_rev or 0)
        self.rows[state.cl_ord_id] = row
        if state.ord_status in DONE:
            self._remember_done(state.cl_ord_id)

    def load_position(self, position: Position) -> None:
        """Adopt a position as a snapshot states it."""
        self.positions[position.symbol] = position

    def apply_order(self, event: OrderEvent) -> Row | None:
        """Bring an order up to the event; None when its terms were never seen (it was done before the snapshot)."""
        row = self.rows.get(event.cl_ord_id)
        if row is None:
            terms = event.order if isinstance(event, Accepted | Restated | Replaced) else None
            if terms is None:
                return None
            row = self.rows[event.cl_ord_id] = Row(terms, event)
        else:
            row.last = event
            self._adopt_terms(row, event)
        if isinstance(event, Trade | TradeCorrected | TradeCanceled | Restated):
            self._move_position(row.terms, event)
        if event.ord_status in DONE:
            self._remember_done(event.cl_ord_id)
        return row

    def apply_position(self, event: PositionSet) -> None:
        """Adopt a position that no fill explains."""
        self.positions[event.symbol] = Position(symbol=event.symbol, pos_qty=event.pos_qty, avg_px=event.avg_px)

    @staticmethod
    def _adopt_terms(row: Row, event: OrderEvent) -> None:
        if isinstance(event, PendingReplace | Replaced | ReplaceRejected):
            row.asked_rev = max(row.asked_rev, event.ask_rev)
        if isinstance(event, Replaced):
            row.terms = event.order
        elif isinstance(event, Adjusted):
            row.terms = event.after
        elif isinstance(event, Restated) and event.order is not None:
            row.terms = event.order

    def _move_position(self, terms: Terms, event: Trade | TradeCorrected | TradeCanceled | Restated) -> None:
        if event.pos_qty is None:
            return
        symbol = terms.symbol
        before = self.positions.get(symbol)
        avg_px = _avg_px(before, event) if isinstance(event, Trade) else None
        self.positions[symbol] = Position(symbol=symbol, pos_qty=event.pos_qty, avg_px=avg_px)

    def _remember_done(self, cl_ord_id: str) -> None:
        self._done.append(cl_ord_id)
        if len(self._done) > DONE_KEPT_MAX:
            oldest = self._done.popleft()
            if oldest in self.rows and self.rows[oldest].last.ord_status in DONE:
                del self.rows[oldest]


def _avg_px(before: Position | None, trade: Trade) -> Decimal | None:
    """Average entry price after a fill: weighted while the position grows, kept while it shrinks, new past zero."""
    after = abs(trade.pos_qty)
    if not after:
        return None
    if before is None or not before.pos_qty:
        return trade.last_px
    held = abs(before.pos_qty)
    if (before.pos_qty > 0) != (trade.pos_qty > 0):
        return trade.last_px
    if after <= held or before.avg_px is None:
        return before.avg_px
    return (before.avg_px * held + trade.last_px * (after - held)) / after
