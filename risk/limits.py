"""Limits of an account: decimal strings at the edge, the fixed-point row of the gate inside, most restrictive wins.

A limit of 0 lets nothing pass; there is no "unlimited", and an account without a row is refused with RC_NO_LIMIT.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Final

from hotpath.fixed import from_e4, from_e9, to_e4, to_e9

RATE_MAX = 1_000_000  # tokens a second, and burst
OPEN_ORDERS_MAX = 10_000_000
COLLAR_BPS_MAX = 10_000
LEVERAGE_BPS_MAX = 1_000_000


class LimitsInvalid(ValueError):
    """All that is wrong with a set of limits, at once: one line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """One account's (or key's) hard limits. The defaults are a retail cash account's."""

    max_order_qty_e9: int = to_e9("10000")  # SZ-MAX-QTY: 10,000 shares
    max_order_notional_e4: int = to_e4("100000")  # SZ-MAX-NOTIONAL: 100,000 in the account's currency
    max_position_qty_e9: int = to_e9("20000")  # CR-POS-QTY: two full orders of one instrument, worst case
    max_gross_e4: int = to_e4("200000")  # CR-OPEN-EXPO: 2 x equity, for the equity that the notional limit suggests
    leverage_bps_e9: int = to_e9("10000")  # CR-BUYPOWER: exact, cash only
    collar_bps_e9: int = to_e9("500")  # PX-COLLAR: 5 %, large caps
    max_open_orders: int = 500  # OPEN-ORDERS
    order_rate_per_s: int = 20  # RATE-ORDER
    order_burst: int = 40
    msg_rate_per_s: int = 50  # RATE-MSG
    msg_burst: int = 100

    @classmethod
    def parse(cls, values: Mapping[str, object], base: AccountLimits | None = None) -> AccountLimits:
        """Limits from wire members (see EDGES); what is missing comes from `base`. Raises LimitsInvalid."""
        row = asdict(DEFAULTS if base is None else base)
        problems = [f"{name}: no such limit" for name in values if name not in EDGES]
        for name, edge in EDGES.items():
            if name not in values:
                continue
            try:
                row[edge.field] = edge.parse(values[name])
            except (TypeError, ValueError) as error:
                problems.append(f"{name}: {error}")
        for kind in ("order", "msg"):
            if row[f"{kind}_rate_per_s"] > 0 and row[f"{kind}_burst"] == 0:
                problems.append(f"{kind}_burst: 0 would let nothing pass; use {kind}_rate_per_s 0 to say so")
        if problems:
            raise LimitsInvalid(problems)
        return cls(**row)

    def to_wire(self) -> dict[str, str | int]:
        """Members as the order API shows them."""
        row = self.to_gate()
        return {name: edge.render(row[edge.field]) for name, edge in EDGES.items()}

    def to_gate(self) -> dict[str, int]:
        """The members of `hotpath.checks.Limits`, for Gate.set_limits."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Edge:
    """How one limit is written outside: its kind, the largest value that is not a typing error, and what it means."""

    field: str
    kind: str  # qty, money, bps, count
    most: int
    about: str
    unit: str

    def parse(self, value: object) -> int:
        if self.kind == "count":
            if not isinstance(value, int) or isinstance(value, bool):
                raise TypeError(f"must be a whole number, not {value!r}")
            parsed = value
        else:
            if not isinstance(value, str):
                raise TypeError(f"must be a decimal string, not {value!r}")
            parsed = to_e4(value) if self.kind == "money" else to_e9(value)
        if not 0 <= parsed <= self.most:
            raise ValueError(f"must be from 0 to {self.render(self.most)}, not {value}")
        return parsed

    def render(self, value: int) -> str | int:
        if self.kind == "count":
            return value
        return from_e4(value) if self.kind == "money" else from_e9(value)


QTY_MAX_E9 = to_e9("9000000000")
MONEY_MAX_E4 = to_e4("900000000000000")
EDGES: Final[dict[str, Edge]] = {
    "max_order_qty": Edge("max_order_qty_e9", "qty", QTY_MAX_E9, "Quantity of one order.", "units"),
    "max_order_notional": Edge("max_order_notional_e4", "money", MONEY_MAX_E4, "Value of one order.", "money"),
    "max_position_qty": Edge(
        "max_position_qty_e9", "qty", QTY_MAX_E9, "Position if every open order fills, per instrument.", "units"
    ),
    "max_gross": Edge("max_gross_e4", "money", MONEY_MAX_E4, "Sum of worst-case exposures.", "money"),
    "leverage_bps": Edge(
        "leverage_bps_e9", "bps", LEVERAGE_BPS_MAX * 10**9,
        "Buying power as a part of cash; 10000 is a cash account.", "bps",
    ),
    "collar_bps": Edge(
        "collar_bps_e9", "bps", COLLAR_BPS_MAX * 10**9,
        "Limit price at most this far from the reference; also a market order's collar.", "bps",
    ),
    "max_open_orders": Edge("max_open_orders", "count", OPEN_ORDERS_MAX, "Orders open at once.", "orders"),
    "order_rate_per_s": Edge("order_rate_per_s", "count", RATE_MAX, "New orders.", "1/s"),
    "order_burst": Edge("order_burst", "count", RATE_MAX, "Burst of new orders.", "orders"),
    "msg_rate_per_s": Edge("msg_rate_per_s", "count", RATE_MAX, "Place and replace together; cancels are free.", "1/s"),
    "msg_burst": Edge("msg_burst", "count", RATE_MAX, "Burst of those.", "messages"),
}  # fmt: skip
DEFAULTS: Final = AccountLimits()


def most_restrictive(first: AccountLimits, *others: AccountLimits) -> AccountLimits:
    """The smaller of each limit over firm, account, key and so on: a narrower scope can only tighten."""
    rows = [asdict(row) for row in (first, *others)]
    return AccountLimits(**{field.name: min(row[field.name] for row in rows) for field in fields(AccountLimits)})
