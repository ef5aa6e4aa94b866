"""Closes the position of one account in one instrument: market orders that only reduce, through the normal checks.

The orders are like any client's: durable before they leave, cut to what other reducing orders leave of the position,
and told as events. A limit on one order's size makes several of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.contracts.requests import PlaceItem
from gateway.core.terms import Refusal
from hotpath.enums import Side
from hotpath.fixed import from_e9
from risk.catalogue import explain

if TYPE_CHECKING:
    from gateway.engine import Engine

ORDERS_MAX = 16  # of one closing
QUEUE_MS_MAX = 60_000  # how long they may wait for a broker link: the position may be another one by then
SESSION = b"guard"
TAG = "feed-loss"
UNIT_QTY = 1  # of what would pass, in `Intake.decision`


class Flatten:
    """Writes the orders; the caller flushes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def close(self, account: int, instrument: int, name: str) -> str:
        """What was done, for the account's event. name: begins the orders' names, of at most 32 characters."""
        lot_e9 = int(self._engine.state.quotes.snapshot(instrument)["lot_e9"])
        side, left_e9 = self._to_close(account, instrument)
        left_e9 -= left_e9 % lot_e9
        if left_e9 == 0:
            return "flatten: nothing to close"
        placed = 0
        why = ""
        while left_e9 > 0 and placed < ORDERS_MAX and not why:
            taken_e9, why = self._place(account, instrument, side, left_e9, f"{name}-{placed + 1}")
            left_e9 -= taken_e9
            placed += taken_e9 > 0
        done = f"flatten: {placed} orders to {side}" if placed > 1 else f"flatten: {name}-1" if placed else "flatten"
        if not left_e9:
            return done
        return f"{done}; {from_e9(left_e9)} refused: {why}" if why else f"{done}; {from_e9(left_e9)} left"

    def _to_close(self, account: int, instrument: int) -> tuple[str, int]:
        """The side that reduces the position, and what other reducing orders leave of it."""
        reducible = self._engine.state.gate.reducible_qty_py
        to_sell_e9 = reducible(account, instrument, Side.SELL)
        return ("sell", to_sell_e9) if to_sell_e9 else ("buy", reducible(account, instrument, Side.BUY))

    def _place(self, account: int, instrument: int, side: str, qty_e9: int, name: str) -> tuple[int, str]:
        """One order of at most so much: how much it takes, and the code of what stands in the way of any."""
        engine, intake = self._engine, self._engine.intake
        symbol = engine.state.quotes.symbol_of(instrument)
        for _ in range(2):  # a control says what would pass: that is asked for then
            req = PlaceItem(
                cl_ord_id=name, symbol=symbol, side=side, ord_type="market", qty=from_e9(qty_e9), tif="ioc",  # type: ignore[arg-type]
                reduce_only=True, max_queue_ms=QUEUE_MS_MAX, tag=TAG,
            )  # fmt: skip
            clock = engine.clock
            answer = intake.place(account, req, SESSION, 0, False, clock.wall_ns(), clock.mono_ns())
            if answer >= 0:  # 0: it was placed before
                return qty_e9, ""
            if answer != Refusal.CONTROL:
                return 0, Refusal(answer).name
            decision = intake.decision
            if decision["passes_unit"] != UNIT_QTY or not 0 < decision["passes"] < qty_e9:
                break
            qty_e9 = decision["passes"]
        code, _, _ = explain(intake.decision, account=engine.state.account_names[account], symbol=symbol)
        return 0, code
