"""The terms of a new order as a caller gives them, and their wire form."""

from typing import Any, Literal, TypedDict

from backstay._wire import requests as wire
from backstay.decimals import Number, decimal_text
from backstay.triggers import Trigger

Side = Literal["buy", "sell"]
Tif = Literal["day", "gtc", "gtd", "ioc", "fok", "opg", "cls"]


class Terms(TypedDict, total=False):
    """Everything about a new order but symbol, side and quantity. Without ``px`` it is a market order."""

    px: Number
    trigger: Trigger
    tif: Tif
    expire_ns: int
    hours: Literal["regular", "extended"]
    reduce_only: bool
    post_only: bool
    display_qty: Number
    collar_bps: Number
    stp: Literal["cancel_new", "cancel_old", "cancel_both", "decrement", "allow"]
    max_queue_ms: int
    after: str | tuple[str, Literal["fill", "full"]]
    oco: str
    tag: str
    confirm: list[str]
    signal: str
    cl_ord_id: str


_DECIMALS = frozenset(("px", "display_qty", "collar_bps"))


def _after(after: str | tuple[str, Literal["fill", "full"]]) -> wire.After:
    """The order to wait for by name, and whether its first fill is enough (`fill`, as by default)."""
    return wire.After(cl_ord_id=after) if isinstance(after, str) else wire.After(cl_ord_id=after[0], on=after[1])


def wire_members(side: Side, symbol: str, qty: Number, terms: Terms) -> dict[str, Any]:
    """The members of a ``place``; TypeError for a float and for a term that does not exist."""
    members: dict[str, Any] = {
        "symbol": symbol,
        "side": side,
        "ord_type": "limit" if "px" in terms else "market",
        "qty": decimal_text(qty, "qty"),
    }
    for name, value in terms.items():
        if name in _DECIMALS:
            members[name] = decimal_text(value, name)  # type: ignore[arg-type]  # the TypedDict says which are Numbers
        elif name == "trigger":
            members[name] = terms["trigger"].to_wire()
        elif name == "after":
            members[name] = _after(terms["after"])
        elif name not in Terms.__annotations__:
            raise TypeError(f"an order has no term {name!r}")
        else:
            members[name] = value
    return members
