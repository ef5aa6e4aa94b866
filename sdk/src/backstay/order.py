"""A handle on one order: where it stands, and what can be asked of it."""

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from backstay._wire import requests as wire
from backstay._wire.events import Accepted, CancelRejected, OrderEvent, Rejected, ReplaceRejected
from backstay._wire.notices import OrderState
from backstay.book import DONE, Row
from backstay.decimals import Number, optional_text
from backstay.errors import Refused
from backstay.terms import Tif
from backstay.triggers import Trigger

if TYPE_CHECKING:
    from backstay.gateway import Gateway

WORKING = frozenset(("new", "partially_filled"))


class Order:
    """An order of the gateway's account, by name. It follows the local book, so its properties need no waiting."""

    def __init__(self, gateway: "Gateway", cl_ord_id: str, first: Accepted | OrderState) -> None:
        self._gateway = gateway
        self._first = first
        self.cl_ord_id = cl_ord_id

    def __repr__(self) -> str:
        state = self.state
        return (
            f"Order({self.cl_ord_id!r}, {state.ord_status}, {state.cum_qty} of {state.order.qty} {state.order.symbol})"
        )

    @property
    def state(self) -> OrderState:
        """The whole order at the last applied event."""
        row = self._row()
        if row is not None:
            return row.state()
        return self._first if isinstance(self._first, OrderState) else Row(self._first.order, self._first).state()

    @property
    def ord_status(self) -> str:
        """``held``, ``pending_new``, ``new``, ``partially_filled``, or done: see ``is_done``."""
        return self.state.ord_status

    @property
    def is_done(self) -> bool:
        """No instruction acts on it any more."""
        return self.state.ord_status in DONE

    @property
    def cum_qty(self) -> Decimal:
        """What was filled."""
        return self.state.cum_qty

    @property
    def leaves_qty(self) -> Decimal:
        """What may still be filled."""
        return self.state.leaves_qty

    @property
    def avg_px(self) -> Decimal | None:
        """The average price of its fills."""
        return self.state.avg_px

    async def working(self, timeout: float | None = None) -> OrderState:
        """Wait until the broker has it. Refused when it ends before that; Unanswered when ``timeout`` seconds pass.

        An order held for a trigger is with no broker before it fires.
        """
        state = await self._until(lambda last: last.ord_status in WORKING or last.ord_status in DONE, timeout)
        if state.ord_status in DONE and not state.cum_qty:
            raise self._refusal(state)
        return state

    async def done(self, timeout: float | None = None) -> OrderState:
        """Wait until it is filled, canceled, expired or rejected."""
        return await self._until(lambda last: last.ord_status in DONE, timeout)

    async def replace(
        self,
        *,
        qty: Number | None = None,
        px: Number | None = None,
        trigger: Trigger | None = None,
        tif: Tif | None = None,
        expire_ns: int | None = None,
        timeout: float | None = None,
    ) -> "Order":
        """Ask for new terms; returns when that is durable. The revision number is chosen here."""
        members = {
            "qty": optional_text(qty, "qty"),
            "px": optional_text(px, "px"),
            "trigger": None if trigger is None else trigger.to_wire(),
            "tif": tif,
            "expire_ns": expire_ns,
        }
        row = self._row()
        rev = (row.asked_rev if row is not None else self._first.rev) + 1
        if row is not None:
            row.asked_rev = rev
        try:
            await self._gateway.ask(wire.Replace, {"cl_ord_id": self.cl_ord_id, "rev": rev, **members}, timeout)
        except Refused:
            row = self._row()
            if row is not None and row.asked_rev == rev:
                row.asked_rev = rev - 1  # an error means that the number was not used
            raise
        return self

    async def cancel(self, timeout: float | None = None) -> "Order":
        """Ask for its end; returns when that is durable (``await order.done()`` waits for the end itself).

        An order that is already canceled is no error: a cancel that was sent again after a reconnect finds just that.
        """
        try:
            await self._gateway.ask(wire.Cancel, {"cl_ord_id": self.cl_ord_id}, timeout)
        except Refused as refused:
            status = refused.detail.get("order", {}).get("ord_status", self.state.ord_status)
            if refused.code != "ORDER_DONE" or status != "canceled":
                raise
        return self

    def _row(self) -> Row | None:
        return self._gateway.row(self.cl_ord_id)

    async def _until(self, wanted: Callable[[OrderEvent | OrderState], bool], timeout: float | None) -> OrderState:
        return await self._gateway.until(self.cl_ord_id, self.state, wanted, timeout)

    def _refusal(self, state: OrderState) -> Refused:
        row = self._row()
        last = None if row is None else row.last
        detail = {"ord_status": state.ord_status, "cl_ord_id": self.cl_ord_id}
        if isinstance(last, Rejected | ReplaceRejected | CancelRejected):
            text = last.broker_text or f"{self.cl_ord_id} was refused after it was accepted"
            return Refused(last.code, "fix", text, detail)
        return Refused("ORDER_DONE", "never", f"{self.cl_ord_id} is {state.ord_status}", detail)
