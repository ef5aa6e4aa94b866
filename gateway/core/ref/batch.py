"""Twin of gateway.core.batch: all items of a batch or none (order-api section 5), in one atomic group of records.

Each item is checked with the exposure of the items before it held at the gate; then all of that is undone to the last
bit, and only when every item passed are the records written.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.contracts.requests import CancelItem, PlaceItem, ReplaceItem
from gateway.core.ref import terms as asked
from gateway.core.ref.intake import REQUEST, Intake, Repeated
from gateway.core.ref.relations import Earlier
from gateway.core.ref.state import State
from gateway.core.ref.terms import Refused
from hotpath.enums import OrdStatus, OrdType, Pending, Stage
from hotpath.ref import records as rec
from hotpath.ref.ledger import Pair
from hotpath.ref.orders import OrderRow
from hotpath.ref.records import Terms

Item = PlaceItem | ReplaceItem | CancelItem


@dataclass(frozen=True, slots=True)
class Prepared:
    """An item that passed."""

    order: int  # not of a place: it has no row yet
    ref_px_e9: int
    terms: Terms
    content: int


@dataclass(frozen=True, slots=True)
class Books:
    """What holding the items may change at the gate, as it was."""

    pairs: dict[tuple[int, int], Pair]
    resting: dict[tuple[int, int, int], dict[int, int]]
    gross_e4: int
    open_orders: int


class Batch:
    """Runs batches through an intake of the same shard."""

    def __init__(self, state: State, intake: Intake) -> None:
        self.state = state
        self.intake = intake
        self.items: list[Prepared] = []

    def run(
        self, account: int, items: list[Item], session: bytes, deadline_ns: int, wall_ns: int, mono_ns: int
    ) -> tuple[int, int]:
        """(answer, item): sequence of the `batch` record, 0 for a repetition (`dup_seq`), or a refusal, its item."""
        self.state.wall_ns = wall_ns
        self.items = []
        books = self._books(account)
        at, repeats, head = -1, 0, 0
        names: dict[str, None] = {}
        try:
            for at, item in enumerate(items):
                if item.cl_ord_id in names:
                    raise Refused(asked.BAD_COMBINATION, "cl_ord_id", "one item for each order in a batch")
                names[item.cl_ord_id] = None
                try:
                    self._try(account, item, deadline_ns, mono_ns)
                except Repeated:
                    head = self.intake.dup_seq - at - 1
                    repeats += 1
                    if repeats != at + 1 or self.state.batches.get((account, head)) != len(items):
                        raise self._apart(item) from None
                else:
                    if repeats:
                        raise self._apart(item)
        except Refused as refusal:
            return self.intake.refuse(refusal), at
        finally:
            self._undo(account, books)
            self.intake.ahead = []
        if repeats:
            self.intake.dup_seq = head
            return 0, -1
        return self._write(account, items, session), -1

    def _apart(self, item: Item) -> Refused:
        """A part of the batch was asked before, but not as this batch."""
        if isinstance(item, CancelItem) and self.intake.order >= 0:
            if self.state.orders.rows[self.intake.order].is_done:
                return Refused(asked.ORDER_DONE, "cl_ord_id", f"order {item.cl_ord_id} is done")
            return Refused(asked.ORDER_CLOSING, "cl_ord_id", "a cancel of the order was asked before")
        if isinstance(item, ReplaceItem):
            return Refused(asked.REV_CONFLICT, "rev", "a part of this batch was asked before")
        return Refused(asked.CL_ORD_ID_CONFLICT, "cl_ord_id", "a part of this batch was asked before")

    # --- trying -------------------------------------------------------------------------------------------------------

    def _try(self, account: int, item: Item, deadline_ns: int, mono_ns: int) -> None:
        """Check one item and hold its exposure. Raises Refused or Repeated."""
        orders, intake = self.state.orders, self.intake
        if isinstance(item, PlaceItem):
            terms, content = intake.admit(account, item, deadline_ns, mono_ns, False)
            if orders.count + len(self.items) >= orders.capacity:
                raise Refused(asked.BUSY, "", "the order table has no room for the whole batch")
            self._keep(0, terms, content)
            intake.ahead.append(Earlier(item, terms))
            self.state.gate.count_open_py(account, 1)
            if not (terms.trigger or terms.parent):
                self._hold(account, terms, 0, 0, terms.order_qty_e9, intake.decision["ref_px_e9"])
        elif isinstance(item, ReplaceItem):
            terms, content = intake.revise(account, item, deadline_ns, mono_ns, False)
            self._keep(intake.order, terms, content)
            self._hold_change(account, orders.rows[intake.order], terms)
        else:
            self._may_cancel(account, item.cl_ord_id, deadline_ns)
            self._keep(intake.order, Terms(), 0)

    def _keep(self, order: int, terms: Terms, content: int) -> None:
        self.items.append(Prepared(order, self.intake.decision["ref_px_e9"], terms, content))

    def _may_cancel(self, account: int, cl_ord_id: str, deadline_ns: int) -> None:
        row = self.intake.known(account, cl_ord_id)
        if row.cancel_acct_seq and (row.pending == Pending.PENDING_CANCEL or row.is_done):
            self.intake.dup_seq = row.cancel_acct_seq
            raise Repeated
        if row.is_done:
            raise Refused(asked.ORDER_DONE, "cl_ord_id", f"order {cl_ord_id} is done")
        self.intake.in_time(deadline_ns)

    def _hold_change(self, account: int, row: OrderRow, terms: Terms) -> None:
        """A replace holds the new terms, or the larger of both while the broker decides."""
        if row.ord_status == OrdStatus.HELD:
            return
        qty_e9, px_e9 = terms.order_qty_e9 - row.cum_qty_e9, self.intake.decision["ref_px_e9"]
        if row.ord_status != OrdStatus.PENDING_NEW or row.stage != Stage.QUEUED:
            qty_e9, px_e9 = max(qty_e9, row.reserved_qty_e9), max(px_e9, row.reserved_px_e9)
        self._hold(account, terms, row.reserved_qty_e9, row.reserved_px_e9, qty_e9, px_e9)

    def _hold(self, account: int, t: Terms, old_qty_e9: int, old_px_e9: int, qty_e9: int, px_e9: int) -> None:
        """Hold at the gate what the item's record will."""
        if self.state.gate.rereserve_py(
            account, t.instrument, t.side, old_qty_e9, old_px_e9, qty_e9, px_e9, bool(t.reduce_only),
            t.ord_type == OrdType.LIMIT,
        ):  # fmt: skip
            raise ValueError(f"the gate cannot hold {qty_e9} at {px_e9}")

    def _books(self, account: int) -> Books:
        gate = self.state.gate
        row = gate.accounts[account]
        resting = {key: dict(book) for key, book in gate.resting.items()}
        return Books(dict(gate.pairs), resting, row.gross_e4, row.open_orders)

    def _undo(self, account: int, books: Books) -> None:
        """The gate as it was: releasing would leave high-water marks that no record explains."""
        gate = self.state.gate
        gate.pairs, gate.resting = books.pairs, books.resting
        gate.accounts[account].gross_e4 = books.gross_e4
        gate.accounts[account].open_orders = books.open_orders

    # --- writing ------------------------------------------------------------------------------------------------------

    def _write(self, account: int, items: list[Item], session: bytes) -> int:
        """The records, as one atomic group: every item passed a moment ago, on the same state."""
        state, intake = self.state, self.intake
        event = rec.AccountEvent(state.acct_seqs[account] + 1, account, number=len(items))
        state.is_grouped = True
        seq = state.emit(rec.BATCH_EV, rec.pack(event))
        for count, (item, one) in enumerate(zip(items, self.items, strict=True), 1):
            state.is_grouped = count < len(items)
            intake.decision["ref_px_e9"] = one.ref_px_e9
            if isinstance(item, PlaceItem):
                intake.accept(account, item, one.terms, one.content, session)
            elif isinstance(item, ReplaceItem):
                intake.replace_row(one.order, one.terms, item.rev, one.content)
            else:
                intake.cancel_row(one.order, REQUEST)
        state.is_grouped = False
        return seq
