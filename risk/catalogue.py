"""The control catalogue: for each control of the gate its code, id, FIX OrdRejReason, retry class and sentence.

Codes and ids are those of the published control catalogue and never change: clients branch on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hotpath.enums import Control, HaltLevel
from hotpath.fixed import from_e4, from_e9

Retry = Literal["never", "fix", "later"]

_UNIT_QTY, _UNIT_PX, _UNIT_MONEY, _UNIT_COUNT, _UNIT_NS = range(1, 6)  # Decision.unit
_PASSES = {_UNIT_QTY: "qty", _UNIT_PX: "px", _UNIT_MONEY: "amount", _UNIT_COUNT: "count", _UNIT_NS: "retry_ns"}


@dataclass(frozen=True, slots=True)
class Row:
    """One control. `text` may name {value} {limit} {account} {symbol} {scope}; `hint` is left out without {passes}."""

    code: str
    control: str
    fix_103: int
    retry: Retry
    text: str
    hint: str = ""
    is_soft: bool = False  # the sender may pass it with `confirm`; the gate has only hard limits so far


CATALOGUE: dict[Control, Row] = {
    Control.KILL_GATE: Row(
        "RC_KILLED", "KILL-GATE", 0, "later", "kill switch {value} is in force for {scope}: only what it allows passes"
    ),
    Control.NO_LIMIT: Row(
        "RC_NO_LIMIT", "NO-LIMIT", 3, "never", "account {account} has no limits: nothing passes until they are set"
    ),
    Control.RESTRICT_LIST: Row("RC_RESTRICTED", "RESTRICT-FIRM", 12, "never", "{symbol} is on the restricted list"),
    Control.SESSION_CAL: Row(
        "RC_CLOSED", "SESSION-CAL", 2, "later", "the market of {symbol} is closed: send it when the session opens"
    ),
    Control.HALT_SYM: Row("RC_HALTED", "HALT-SYM", 2, "later", "{symbol} is halted: send it after the reopening"),
    Control.DUP_ID: Row(
        "RC_DUPLICATE_ID", "DUP-ID", 6, "never", "this cl_ord_id was used before in account {account}: choose another"
    ),
    Control.SYN_LOT: Row(
        "RC_BAD_QTY",
        "SYN-LOT",
        13,
        "fix",
        "quantity {value} does not fit the lot or minimum {limit} of {symbol}",
        "; {passes} does",
    ),
    Control.SYN_TICK: Row(
        "RC_BAD_TICK", "SYN-TICK", 18, "fix", "price {value} is not on the tick {limit} of {symbol}", "; {passes} is"
    ),
    Control.SZ_MAX_QTY: Row(
        "RC_MAX_QTY",
        "SZ-MAX-QTY",
        3,
        "fix",
        "order quantity {value} is above {limit} for account {account}",
        "; {passes} passes",
    ),
    Control.SZ_MAX_NOTIONAL: Row(
        "RC_MAX_NOTIONAL",
        "SZ-MAX-NOTIONAL",
        3,
        "fix",
        "order notional {value} is above {limit} for account {account}",
        "; at this price {passes} passes",
    ),
    Control.PX_STALE: Row(
        "RC_STALE_QUOTE",
        "PX-STALE",
        8,
        "later",
        "market data of {symbol} is too old to judge by ({value}, at most {limit}): only orders that reduce pass",
    ),
    Control.PX_COLLAR: Row(
        "RC_PRICE_COLLAR",
        "PX-COLLAR",
        16,
        "fix",
        "price {value} is beyond the collar at {limit} for {symbol}",
        "; {passes} is the nearest that passes",
    ),
    Control.PX_MKT_CONVERT: Row(
        "RC_NO_REFERENCE",
        "PX-MKT-CONVERT",
        16,
        "later",
        "there is no fresh price to bound a market order in {symbol}: send a limit order, or wait for data",
    ),
    Control.RATE_MSG: Row(
        "RC_RATE",
        "RATE-MSG",
        0,
        "later",
        "more than {limit} messages a second for account {account}",
        "; again in {passes}",
    ),
    Control.RATE_ORDER: Row(
        "RC_ORDER_RATE",
        "RATE-ORDER",
        0,
        "later",
        "more than {limit} new orders a second for account {account}",
        "; again in {passes}",
    ),
    Control.OPEN_ORDERS: Row(
        "RC_OPEN_ORDERS",
        "OPEN-ORDERS",
        3,
        "later",
        "this would be open order {value} of account {account}, {limit} is the most: cancel one first",
    ),
    Control.SMP: Row(
        "RC_SELF_MATCH",
        "SMP",
        0,
        "fix",
        "price {value} could trade with an own order resting at {limit} in {symbol}",
        "; {passes} could not",
    ),
    Control.REDUCE_ONLY_CTL: Row(
        "RC_NOT_REDUCING",
        "REDUCE-ONLY",
        3,
        "fix",
        "quantity {value} would do more than reduce: {limit} of the position in {symbol} is left to reduce-only orders",
        "; {passes} passes",
    ),
    Control.CR_POS_QTY: Row(
        "RC_POS_LIMIT",
        "CR-POS-QTY",
        3,
        "fix",
        "the position in {symbol} could become {value}, above {limit} for account {account}",
        "; {passes} passes",
    ),
    Control.CR_GROSS: Row(
        "RC_CREDIT_NET",
        "CR-OPEN-EXPO",
        3,
        "fix",
        "exposure could become {value}, above {limit} for account {account}",
        "; at this price {passes} passes",
    ),
    Control.CR_BUYPOWER: Row(
        "RC_BUYING_POWER",
        "CR-BUYPOWER",
        3,
        "fix",
        "exposure could become {value}, above the buying power {limit} of account {account}",
        "; at this price {passes} passes",
    ),
    Control.OVERFLOW: Row(
        "RC_MALFORMED",
        "SYN-FIELDS",
        11,
        "fix",
        "quantity {value} times its price is beyond what any account can hold: send less",
    ),
    Control.STALE_QUEUE: Row(
        "RC_QUEUE_EXPIRED",
        "STALE-QUEUE",
        4,
        "never",
        "the order waited in line longer than it may: look at the market and send a new one",
    ),
}


def row_of(control: int) -> Row:
    """The row of a control. Raises KeyError for PASS, ValueError for a number that is no control."""
    return CATALOGUE[Control(control)]


def code_of(control: int) -> str:
    """Code on the wire, such as RC_MAX_NOTIONAL."""
    return row_of(control).code


def retry_of(control: int) -> Retry:
    """When the same request may be sent again."""
    return row_of(control).retry


def explain(decision: Mapping[str, int], *, account: str, symbol: str) -> tuple[str, str, dict[str, Any]]:
    """Code, sentence and `detail` of a refusal, numbers as decimal strings (order-api.md, section 2)."""
    control = Control(decision["control"])
    row = CATALOGUE[control]
    unit, passes, passes_unit = decision["unit"], decision["passes"], decision["passes_unit"]
    detail: dict[str, Any] = {"control": row.control, "scope": _scope(decision["scope"], account, symbol)}
    if unit:
        detail |= {"limit": _number(decision["limit"], unit), "value": _number(decision["value"], unit)}
    if passes_unit and passes > 0:
        detail["passes"] = {_PASSES[passes_unit]: _number(passes, passes_unit)}
    if row.is_soft:
        detail["soft"] = True
    names = {"account": account, "symbol": symbol, "scope": detail["scope"], "passes": _words(passes, passes_unit)}
    names |= {"limit": _words(decision["limit"], unit), "value": _words(decision["value"], unit)}
    if control == Control.KILL_GATE:
        names["value"] = HaltLevel(decision["value"]).name.lower()
        detail |= {"limit": HaltLevel.ARMED.name.lower(), "value": names["value"]}
    text = row.text + (row.hint if "passes" in detail else "")
    return row.code, text.format_map(names), detail


def _scope(scope: int, account: str, symbol: str) -> str:
    return ("global", f"account:{account}", f"instrument:{symbol}", f"account:{account}/{symbol}")[scope]


def _number(value: int, unit: int) -> str | int:
    """As in `detail`: decimals are strings, counts and nanoseconds integers."""
    if unit == _UNIT_MONEY:
        return from_e4(value)
    return value if unit in (_UNIT_COUNT, _UNIT_NS) else from_e9(value)


def _words(value: int, unit: int) -> str:
    """As in the sentence: durations in milliseconds; an age of -1 is that of data which never came."""
    if unit != _UNIT_NS:
        return str(_number(value, unit))
    if value < 0:
        return "none yet"
    whole_ms, rest_us = divmod(value // 1_000, 1_000)
    return f"{whole_ms}.{rest_us:03d}".rstrip("0").rstrip(".") + " ms"
