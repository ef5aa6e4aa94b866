"""The comparison of core and twin fires: each planted fault of the twin is found by the random histories."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from tests.property.order_chooser import Chooser
from tests.property.order_model import Order, Orders
from tests.property.order_world import Pair

HISTORIES, STEPS = 40, 500


def forgets_what_is_owed(patch: pytest.MonkeyPatch) -> None:
    real = Orders.canceled
    patch.setattr(Orders, "canceled", lambda self, row, cum=0: real(self, row, 0))


def counts_executions_twice(patch: pytest.MonkeyPatch) -> None:
    real: Callable[..., str] = Orders.trade

    def trade(self: Orders, row: int, exec_id: bytes, *rest: Any) -> str:
        self.orders[row].execs.pop(exec_id, None)
        return real(self, row, exec_id, *rest)

    patch.setattr(Orders, "trade", trade)


def forgets_that_a_fill_was_broken(patch: pytest.MonkeyPatch) -> None:
    real: Callable[..., str] = Orders.trade_canceled

    def trade_canceled(self: Orders, row: int, exec_id: bytes, *rest: Any) -> str:
        verdict = real(self, row, exec_id, *rest)
        self.orders[row].execs.pop(exec_id, None)
        return verdict

    patch.setattr(Orders, "trade_canceled", trade_canceled)


def reserves_the_old_terms_only(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Order, "reserved_qty_e9", property(lambda self: max(self.leaves_qty_e9, self.owed_qty_e9)))


def takes_any_revision(patch: pytest.MonkeyPatch) -> None:
    real: Callable[..., str] = Orders.may_replace

    def may_replace(self: Orders, account: int, name: str, rev: int, *rest: Any, **more: Any) -> str:
        verdict = real(self, account, name, rev, *rest, **more)
        return "record" if verdict == "REV_CONFLICT" else verdict

    patch.setattr(Orders, "may_replace", may_replace)


def lets_a_new_overtake_an_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Order, "allows", lambda self, event: event in ("new", "trade", "sent"))


@pytest.mark.parametrize(
    "plant",
    [
        forgets_what_is_owed,
        counts_executions_twice,
        forgets_that_a_fill_was_broken,
        reserves_the_old_terms_only,
        takes_any_revision,
        lets_a_new_overtake_an_end,
    ],
    ids=lambda plant: plant.__name__,
)
def test_planted_fault_is_found(plant: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch)
    with pytest.raises((AssertionError, KeyError, ValueError)):
        drive()


def drive() -> None:
    for seed in range(HISTORIES):
        pair = Pair()
        chooser = Chooser(random.Random(seed), pair)
        for _ in range(STEPS):
            chooser.step()
        pair.compare_all()
