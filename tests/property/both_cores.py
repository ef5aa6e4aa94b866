"""The compiled and the readable core side by side: every call goes to both, and their answers must be the same.

`BOTH` is a core like any other, so whatever drives one core (histories of orders, an engine, a simulated shard) drives
the comparison.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from gateway.core import COMPILED, Core
from gateway.core.ref import READABLE
from hotpath.ticket import Ticket
from hotpath.wire import Renderer

PLAIN = (int, str, bytes, memoryview, list, tuple, dict, type(None))
TICKET = (
    "order", "rev", "broker_cl_ord_id", "orig_broker_cl_ord_id", "broker_order_id", "symbol", "side", "ord_type", "tif",
    "protective", "qty_e9", "px_e9", "expire_ns",
)  # fmt: skip


class Apart(AssertionError):
    """The two cores gave two answers."""


def _shown(value: Any) -> Any:
    if isinstance(value, Ticket):
        return tuple(getattr(value, name) for name in TICKET)
    if isinstance(value, list | tuple):
        return [_shown(item) for item in value]
    return value


def _halves(value: Any, side: int) -> Any:
    return value._sides[side] if isinstance(value, Both) else value


class Both:
    """One object of each core under one name."""

    def __init__(self, compiled: Any, readable: Any) -> None:
        object.__setattr__(self, "_sides", (compiled, readable))

    def __getattr__(self, name: str) -> Any:
        values = [getattr(side, name) for side in self._sides]
        if callable(values[0]):
            return _called(name, values)
        return _same(name, *values)

    def __setattr__(self, name: str, value: Any) -> None:
        for side in self._sides:
            setattr(side, name, value)


def _same(name: str, compiled: Any, readable: Any) -> Any:
    if isinstance(compiled, Renderer):  # one class renders for both
        return compiled
    if isinstance(compiled, (*PLAIN, Ticket)):
        if _shown(compiled) != _shown(readable):
            raise Apart(f"{name}: compiled {_shown(compiled)!r}, readable {_shown(readable)!r}")
        return compiled
    return Both(compiled, readable)


def _called(name: str, calls: list[Callable[..., Any]]) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        answers: list[Any] = []
        for side, one in enumerate(calls):
            mine = {key: _halves(value, side) for key, value in named.items()}
            try:
                answers.append(one(*(_halves(arg, side) for arg in args), **mine))
            except (ValueError, OverflowError) as error:
                answers.append(f"{type(error).__name__}: {error}")
        if answers[0] == answers[1] and str(answers[0]).startswith(("ValueError: ", "OverflowError: ")):
            raise ValueError(answers[0])
        return _same(f"{name}{args}{named or ''}", *answers)

    return call


def _maker(name: str) -> Any:
    makers = [getattr(core, name) for core in (COMPILED, READABLE)]

    def make(*args: Any, **named: Any) -> Both:
        sides = [maker(*(_halves(arg, side) for arg in args), **named) for side, maker in enumerate(makers)]
        return Both(*sides)

    return make


BOTH = cast(Core, Core(**{name: _maker(name) for name in Core.__slots__}))
