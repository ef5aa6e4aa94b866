"""The life of an order, rule by rule: any word of clients and brokers at any moment, I4 and I6 judged after each.

The core is compared with its twin (`Pair`); the two invariants are judged from the told events alone, by code that
shares nothing with either. Hypothesis shrinks a failing life to the few words that break it.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.contracts.requests import CancelItem, PlaceItem, ReplaceItem, Trigger
from hotpath.enums import OrdStatus
from hotpath.fixed import to_e9
from tests.property.order_chooser import px_text
from tests.property.order_model import Orders
from tests.property.order_world import ACCOUNTS, CENT, E9, INSTRUMENTS, Pair
from tests.sim import reach

EXAMPLES = max(20, int(os.environ.get("BACKSTAY_PROPERTY_STEPS", "5000")) // 100)
LIVES = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None)
LEGAL = {*reach.transitions(), *reach.NOT_YET}

accounts = st.integers(0, ACCOUNTS - 1)
recent = st.integers(0, 5)  # 0: the newest order
lots = st.sampled_from((1, 2, 5, 10))
cents = st.integers(9_700, 10_300)
broker_cum = st.sampled_from((0, 1, 3, 10, 30))  # lots of its CumQty; 0 says nothing
is_late = st.sampled_from((False, False, False, True))


class Story:
    """What the told events add up to."""

    def __init__(self) -> None:
        self.heard = 0
        self.places: dict[tuple[str, str], str] = {}
        self.cums: dict[tuple[str, str], int] = {}
        self.fills: dict[tuple[str, str], dict[str, int]] = {}  # exec_id -> quantity, 0 once it is broken

    def hear(self, events: list[dict[str, Any]]) -> None:
        """The events since the last time."""
        for event in events[self.heard :]:
            if "cl_ord_id" in event:
                self._order(event, (event["account"], event["cl_ord_id"]))
        self.heard = len(events)

    def _order(self, event: dict[str, Any], key: tuple[str, str]) -> None:
        kind, fills = event["t"], self.fills.setdefault(key, {})
        moved = f"{self.places.get(key, 'none')}>{kind}"
        assert moved in LEGAL, f"I6: {moved}: {event}"
        self.places[key] = reach.place(event)
        if kind == "trade":
            assert event["exec_id"] not in fills, f"I4: counted twice: {event}"
            fills[event["exec_id"]] = to_e9(event["last_qty"])
        elif kind == "trade_canceled":
            assert fills[event["exec_id"]] == to_e9(event["before"]["last_qty"]), f"I4: broken twice: {event}"
            fills[event["exec_id"]] = 0
        cum = to_e9(event["cum_qty"])
        assert cum == sum(fills.values()), f"I4: cum_qty is not the sum of fills: {event}"
        assert cum >= self.cums.get(key, 0) or kind == "trade_canceled", f"I6: cum_qty falls: {event}"
        self.cums[key] = cum


class OrderLife(RuleBasedStateMachine):
    """Each rule is one word."""

    @initialize()
    def open(self) -> None:
        self.pair = Pair()
        self.story = Story()
        self.execs: list[tuple[int, bytes]] = []

    # --- clients ------------------------------------------------------------------------------------------------------

    def _item(self, name: str, side: str, qty: int, px: int | None, stop: int | None, reduces: bool) -> PlaceItem:
        trigger = None
        if stop is not None:
            trigger = Trigger(kind="stop", stop_px=px_text(stop), source="bid", if_through="fire")
        return PlaceItem(
            cl_ord_id=name, symbol=f"S{qty % INSTRUMENTS}", side=side, ord_type="limit" if px else "market",
            qty=str(qty), px=px_text(px) if px else None, tif="gtc", stp="allow", reduce_only=reduces, trigger=trigger,
        )  # type: ignore[arg-type]  # fmt: skip

    @rule(
        account=accounts, side=st.sampled_from(("buy", "sell")), qty=lots, px=st.none() | cents,
        stop=st.none() | st.none() | cents, reduces=st.booleans(), late=is_late,
    )  # fmt: skip
    def place(
        self, account: int, side: str, qty: int, px: int | None, stop: int | None, reduces: bool, late: bool
    ) -> None:
        name = f"o{len(self.pair.twin.orders)}"
        self.pair.place(account, self._item(name, side, qty, px, stop, reduces), late=late)

    @precondition(lambda self: self.pair.requests)
    @rule(at=recent, qty=st.none() | lots)
    def place_again(self, at: int, qty: int | None) -> None:
        """The same name: with the same content a repetition, with another a conflict."""
        account, name = list(self.pair.requests)[-1 - at % len(self.pair.requests)]
        old = self.pair.requests[account, name]
        item = old if qty is None else self._item(name, old.side, qty, None, None, False)
        self.pair.place(account, item)

    @precondition(lambda self: self.pair.twin.orders)
    @rule(at=recent, late=is_late)
    def cancel(self, at: int, late: bool) -> None:
        order = self.pair.twin.orders[self._row(at)]
        self.pair.cancel(order.account, order.cl_ord_id, late=late)

    @rule(account=accounts, keep=st.booleans())
    def cancel_all(self, account: int, keep: bool) -> None:
        self.pair.cancel_all(account, keep_protective=keep)

    def _replacement(self, at: int, ahead: int, qty: int | None, px: int | None) -> tuple[int, ReplaceItem]:
        order = self.pair.twin.orders[self._row(at)]
        px_or_none = px_text(px) if px and order.terms.px_e9 else None
        qty_text = str(qty) if qty or px_or_none is None else None
        item = ReplaceItem(
            cl_ord_id=order.cl_ord_id, rev=max(2, order.ask_rev + ahead), qty=qty_text if qty else (qty_text and "7"),
            px=px_or_none,
        )  # fmt: skip
        return order.account, item

    @precondition(lambda self: self.pair.twin.orders)
    @rule(at=recent, ahead=st.sampled_from((1, 1, 1, 0, 2)), qty=st.none() | lots, px=st.none() | cents, late=is_late)
    def replace(self, at: int, ahead: int, qty: int | None, px: int | None, late: bool) -> None:
        account, item = self._replacement(at, ahead, qty, px)
        self.pair.replace(account, item, late=late)

    @rule(account=accounts, parts=st.lists(st.tuples(st.sampled_from("pcr"), recent, lots), min_size=1, max_size=4))
    def batch(self, account: int, parts: list[tuple[str, int, int]]) -> None:
        items: dict[str, Any] = {}
        for at, (kind, back, qty) in enumerate(parts):
            name = f"b{len(self.pair.twin.orders)}.{at}"
            item: Any = self._item(name, "buy" if qty % 2 else "sell", qty, 10_000, None, False)
            if kind != "p" and self.pair.twin.orders:
                owner, item = self._replacement(back, 1, qty, None)
                if owner != account:
                    continue
                item = CancelItem(cl_ord_id=item.cl_ord_id) if kind == "c" else item
            items.setdefault(item.cl_ord_id, item)
        if items:
            self.pair.run_batch(account, list(items.values()))

    @precondition(lambda self: self.pair.last_batch)
    @rule()
    def batch_again(self) -> None:
        account, items = self.pair.last_batch
        self.pair.run_batch(account, items)

    # --- brokers, market, restarts ------------------------------------------------------------------------------------

    @precondition(lambda self: self.pair.twin.orders)
    @rule(
        at=recent,
        word=st.sampled_from(("sent", "new", "rejected", "cancel_rejected", "in_doubt", "requeue")),
    )
    def says(self, at: int, word: str) -> None:
        self.pair.report(word, self._row(at))

    @precondition(lambda self: self.pair.twin.orders)
    @rule(at=recent, qty=lots, px=cents, cum=broker_cum)
    def trade(self, at: int, qty: int, px: int, cum: int) -> None:
        row, exec_id = self._row(at), f"x{len(self.execs)}".encode()
        self.execs.append((row, exec_id))
        self.pair.report("trade", row, exec_id, qty * E9, px * CENT, cum * E9)

    @precondition(lambda self: self.execs)
    @rule(at=recent, qty=lots)
    def trade_again(self, at: int, qty: int) -> None:
        row, exec_id = self.execs[-1 - at % len(self.execs)]
        self.pair.report("trade", row, exec_id, qty * E9, E9, 0)

    @precondition(lambda self: self.execs)
    @rule(at=recent, cum=broker_cum)
    def bust(self, at: int, cum: int) -> None:
        row, exec_id = self.execs[-1 - at % len(self.execs)]
        self.pair.report("trade_canceled", row, exec_id, cum * E9)

    @precondition(lambda self: self.pair.twin.orders)
    @rule(at=recent, cum=broker_cum)
    def bust_early(self, at: int, cum: int) -> None:
        """It overtakes its fill, which `trade_again` may bring."""
        row, exec_id = self._row(at), f"x{len(self.execs)}".encode()
        self.execs.append((row, exec_id))
        self.pair.report("trade_canceled", row, exec_id, cum * E9)

    @precondition(lambda self: self.pair.twin.orders)
    @rule(at=recent, word=st.sampled_from(("canceled", "expired")), cum=broker_cum)
    def ends(self, at: int, word: str, cum: int) -> None:
        self.pair.report(word, self._row(at), cum * E9)

    @precondition(lambda self: self.pair.twin.orders)
    @rule(at=recent, back=st.integers(-1, 2), qty=st.none() | lots)
    def replaced(self, at: int, back: int, qty: int | None) -> None:
        """The revision that was asked for last, an earlier or a foreign one; with its terms, or with others."""
        row = self._row(at)
        order = self.pair.twin.orders[row]
        rev = max(1, order.ask_rev - back)
        asked = order.asks.get(rev, order.terms)
        self.pair.report("replaced", row, rev, asked.qty_e9 if qty is None else qty * E9, asked.px_e9)

    @precondition(lambda self: self.pair.twin.orders)
    @rule(at=recent, back=st.integers(-1, 2))
    def replace_rejected(self, at: int, back: int) -> None:
        row = self._row(at)
        self.pair.report("replace_rejected", row, max(1, self.pair.twin.orders[row].ask_rev - back))

    @precondition(lambda self: self.pair.twin.orders)
    @rule(
        at=recent, status=st.sampled_from(("new", "partially_filled", "filled", "canceled", "expired")), cum=broker_cum
    )
    def restate(self, at: int, status: str, cum: int) -> None:
        self.pair.report("restate", self._row(at), status, cum * E9)

    @precondition(lambda self: self.pair.twin.orders)
    @rule(at=recent, why=st.sampled_from(("queue", "tif")))
    def end_here(self, at: int, why: str) -> None:
        self.pair.report("end_here", self._row(at), why)

    @rule(instrument=st.integers(0, INSTRUMENTS - 1), px=cents)
    def quote(self, instrument: int, px: int) -> None:
        self.pair.quote(instrument, px)

    @rule()
    def restart(self) -> None:
        self.pair.restart()

    def _row(self, at: int) -> int:
        count = len(self.pair.twin.orders)
        return count - 1 - at % count

    # --- what holds after each of them --------------------------------------------------------------------------------

    @invariant()
    def told_events_and_quantities_keep_i4_and_i6(self) -> None:
        self.story.hear(self.pair.told)
        for row, order in enumerate(self.pair.twin.orders):
            real = self.pair.live.views.order(row)
            cum, leaves = real["cum_qty_e9"], real["leaves_qty_e9"]
            assert cum == self.story.cums[f"A{order.account}", order.cl_ord_id]
            if real["ord_status"] >= OrdStatus.FILLED:
                assert leaves == 0, f"I4: done with leaves: {real}"
            else:
                assert cum + leaves == max(cum, real["order_qty_e9"]), f"I4: {real}"

    @invariant()
    def gate_holds_what_orders_add_up_to(self) -> None:
        self.pair.compare_all()

    def teardown(self) -> None:
        if hasattr(self, "pair"):
            self.pair.compare_replay()


TestOrderLife = OrderLife.TestCase
TestOrderLife.settings = LIVES


def test_a_twin_that_counts_a_repeated_fill_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Orders.trade

    def trade(self: Orders, row: int, exec_id: bytes, *rest: Any) -> str:
        self.orders[row].execs.pop(exec_id, None)
        return real(self, row, exec_id, *rest)

    monkeypatch.setattr(Orders, "trade", trade)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            OrderLife, settings=settings(LIVES, max_examples=300, phases=[Phase.generate], print_blob=False)
        )
