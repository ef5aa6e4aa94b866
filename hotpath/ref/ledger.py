"""Twin of hotpath.ledger: what a reservation or a fill does to a pair and its account, in plain integers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from hotpath.enums import Side
from hotpath.ref.fixed import E9, INT64_MAX, multiply, notional

LIMIT_FIELDS = (
    "max_order_qty_e9",
    "max_order_notional_e4",
    "max_position_qty_e9",
    "max_gross_e4",
    "leverage_bps_e9",
    "collar_bps_e9",
    "max_open_orders",
    "order_rate_per_s",
    "order_burst",
    "msg_rate_per_s",
    "msg_burst",
)


def fits(value: int) -> int:
    if abs(value) > INT64_MAX:
        raise OverflowError("value does not fit in 64 bits")
    return value


@dataclass
class Bucket:
    tokens_ns: int = 0
    stamp_ns: int = 0
    cost_ns: int = 0
    cap_ns: int = 0

    def configure(self, rate_per_s: int, burst: int, *, is_new: bool) -> None:
        self.cost_ns = -(-E9 // rate_per_s) if rate_per_s else 0
        self.cap_ns = burst * self.cost_ns
        self.tokens_ns = self.cap_ns if is_new else min(self.tokens_ns, self.cap_ns)

    def credit(self, mono_ns: int) -> int:
        return min(self.cap_ns, self.tokens_ns + max(mono_ns - self.stamp_ns, 0))

    def holds(self, mono_ns: int) -> bool:
        return self.cost_ns > 0 and self.credit(mono_ns) >= self.cost_ns

    def wait_ns(self, mono_ns: int) -> int:
        return self.cost_ns - self.credit(mono_ns) if self.cost_ns <= self.cap_ns else 0

    def charge(self, mono_ns: int) -> int:
        self.tokens_ns = self.credit(mono_ns) - self.cost_ns
        self.stamp_ns = max(self.stamp_ns, mono_ns)
        return self.tokens_ns // self.cost_ns


@dataclass
class Account:
    group: int
    cash_e4: int
    limits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LIMIT_FIELDS, 0))
    has_limits: bool = False
    halt_level: int = 0
    realised_e4: int = 0
    fees_e4: int = 0
    gross_e4: int = 0
    open_orders: int = 0
    orders: Bucket = field(default_factory=Bucket)
    messages: Bucket = field(default_factory=Bucket)


@dataclass
class Pair:
    account: int
    instrument: int
    pos_qty_e9: int = 0
    avg_px_e9: int = 0
    open_buy_qty_e9: int = 0
    open_sell_qty_e9: int = 0
    open_reduce_sell_qty_e9: int = 0
    open_reduce_buy_qty_e9: int = 0
    realised_e4: int = 0
    mark_px_e9: int = 0
    long_px_e9: int = 0
    short_px_e9: int = 0
    expo_e4: int = 0

    def open_qty(self, side: int) -> int:
        return self.open_buy_qty_e9 if side == Side.BUY else self.open_sell_qty_e9

    def open_reduce_qty(self, side: int) -> int:
        return self.open_reduce_buy_qty_e9 if side == Side.BUY else self.open_reduce_sell_qty_e9

    def signed_pos(self, side: int) -> int:
        """Position seen from a side: an order of that side makes a positive one larger."""
        return self.pos_qty_e9 if side == Side.BUY else -self.pos_qty_e9

    def worst(self, side: int = Side.BUY, open_qty_e9: int | None = None) -> int:
        """Largest absolute position if open orders fill, with `open_qty_e9` on `side`; partial fills lie between."""
        same = self.open_qty(side) if open_qty_e9 is None else open_qty_e9
        other = self.open_qty(Side.SELL if side == Side.BUY else Side.BUY)
        signed = self.signed_pos(side)
        return fits(max(abs(signed + same), abs(signed - other)))

    def moved(self, side: int, delta_e9: int, reduce_only: bool) -> Pair:
        """With more or less open on a side; of what is bound to reduce there is never more than of all."""
        total = fits(self.open_qty(side) + delta_e9)
        bound = fits(self.open_reduce_qty(side) + (delta_e9 if reduce_only else 0))
        if not 0 <= bound <= total:
            raise OverflowError("more leaves than there is")
        if side == Side.BUY:
            return replace(self, open_buy_qty_e9=total, open_reduce_buy_qty_e9=bound)
        return replace(self, open_sell_qty_e9=total, open_reduce_sell_qty_e9=bound)

    def side_value_e4(self, side: int, open_qty_e9: int, px_e9: int) -> int:
        """What a side can become, in money; nothing while it stays on the other side of zero."""
        return notional(px_e9, fits(max(self.signed_pos(side) + open_qty_e9, 0)))

    def value(self, side: int, px_e9: int) -> None:
        """Exposure after `side` grew at px_e9 (0: it did not grow): the worse side at its highest price."""
        self.worst()
        if side == Side.BUY:
            self.long_px_e9 = max(self.long_px_e9, px_e9)
        else:
            self.short_px_e9 = max(self.short_px_e9, px_e9)
        if self.pos_qty_e9 <= 0 and self.open_buy_qty_e9 == 0:
            self.long_px_e9 = 0
        if self.pos_qty_e9 >= 0 and self.open_sell_qty_e9 == 0:
            self.short_px_e9 = 0
        bought = self.side_value_e4(Side.BUY, self.open_buy_qty_e9, self.long_px_e9)
        sold = self.side_value_e4(Side.SELL, self.open_sell_qty_e9, self.short_px_e9)
        self.expo_e4 = max(bought, sold)

    def fields(self) -> tuple[int, ...]:
        """In the order of the compiled row, which is that of the dump."""
        return (
            self.pos_qty_e9,
            self.avg_px_e9,
            self.open_buy_qty_e9,
            self.open_sell_qty_e9,
            self.open_reduce_sell_qty_e9,
            self.open_reduce_buy_qty_e9,
            self.realised_e4,
            self.mark_px_e9,
            self.long_px_e9,
            self.short_px_e9,
            self.expo_e4,
            self.account,
            self.instrument,
        )


def booked(pair: Pair, side: int, qty_e9: int, px_e9: int) -> tuple[Pair, int]:
    """The pair after a fill, and the realised P&L: average cost; a flip closes at the average."""
    pos = pair.pos_qty_e9
    signed = qty_e9 if side == Side.BUY else -qty_e9
    after = replace(pair, pos_qty_e9=fits(pos + signed), mark_px_e9=px_e9)
    if pos == 0 or (pos > 0) == (signed > 0):
        cost, size = pair.avg_px_e9 * abs(pos) + px_e9 * qty_e9, abs(pos) + qty_e9
        after.avg_px_e9 = -(-cost // size) if side == Side.BUY else cost // size
        return after, 0
    closing = min(qty_e9, abs(pos))
    profit_e4 = multiply(px_e9 - pair.avg_px_e9, closing if pos > 0 else -closing)
    after.realised_e4 = fits(pair.realised_e4 + profit_e4)
    if qty_e9 >= abs(pos):
        after.avg_px_e9 = px_e9 if qty_e9 > abs(pos) else 0
    return after, profit_e4
