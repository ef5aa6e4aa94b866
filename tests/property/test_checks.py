"""The gate: kernel and twin agree on every decision and on state bytes; passed orders never breach a limit."""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from hotpath.checks import Gate as Kernel
from hotpath.enums import Control, HaltLevel, OrdType, Side
from hotpath.fixed import scale
from hotpath.quotes import QuoteTable
from hotpath.ref.checks import Gate as Twin
from hotpath.ref.ledger import LIMIT_FIELDS

# One example runs STEPS steps; BACKSTAY_PROPERTY_STEPS is the total, spread over the examples.
STEPS = 500
EXAMPLES = max(20, int(os.environ.get("BACKSTAY_PROPERTY_STEPS", "10000")) // STEPS)
E9 = 10**9
LOT, TICK = E9, E9 // 100
ACCOUNTS, INSTRUMENTS = 3, 2
MAX = 2**63 - 1


def market(draw: random.Random) -> QuoteTable:
    table = QuoteTable(INSTRUMENTS + 1)
    for row in range(INSTRUMENTS):
        table.add(f"S{row}", tick_e9=TICK, lot_e9=LOT, min_qty_e9=draw.choice((0, LOT, 3 * LOT)), max_age_ns=50,
                  outside_bps_e9=300 * E9, asset_class=row)  # fmt: skip
    return table


def move_market(draw: random.Random, table: QuoteTable, mono_ns: int) -> None:
    row = draw.randrange(INSTRUMENTS)
    kind = draw.random()
    bid = draw.choice((100, 100, 100, 101, 97)) * E9 + draw.randint(0, 99) * TICK
    if kind < 0.7:
        ask = bid + draw.choice((1, 1, 1, 2, 50, 0, -1)) * TICK
        table.quote(row, bid, LOT, ask if draw.random() > 0.05 else 0, LOT if ask else 0, 0, 0, mono_ns)
    elif kind < 0.95:
        table.trade(row, bid, LOT, 0, 0, mono_ns)
    elif kind < 0.98:
        table.set_state(row, draw.random() > 0.1, draw.random() < 0.1, draw.random() < 0.1)
    elif kind < 0.985:
        table.restart_feed(row)
    else:
        table.set_state(row, True, False, False)


def limits(draw: random.Random) -> dict[str, int]:
    row = {
        "max_order_qty_e9": draw.choice((5, 50, 500)) * LOT + draw.choice((0, 0, 7)),
        "max_order_notional_e4": draw.choice((5_000, 50_000)) * 10**4,
        "max_position_qty_e9": draw.choice((20, 200)) * LOT + draw.choice((0, 0, 7)),
        "max_gross_e4": draw.choice((3_000, 30_000)) * 10**4 + draw.choice((0, 1)),
        "leverage_bps_e9": draw.choice((10_000, 20_000)) * E9,
        "collar_bps_e9": draw.choice((0, 100, 500, 30_000)) * E9 + draw.choice((0, 1)),
        "max_open_orders": draw.choice((2, 1000)),
        "order_rate_per_s": draw.choice((10**7, 3 * 10**8, E9)),
        "order_burst": draw.choice((1, 100)),
        "msg_rate_per_s": draw.choice((10**7, E9)),
        "msg_burst": draw.choice((1, 100)),
    }
    if draw.random() < 0.1:
        row[draw.choice(LIMIT_FIELDS)] = draw.choice((0, 0, -1, MAX))
    return row


def quantity(draw: random.Random) -> int:
    if draw.random() < 0.03:
        return draw.choice((0, -1, 1, LOT + 1, MAX, MAX // 2 // LOT * LOT, -MAX))
    return draw.choice((1, 2, 3, 5, 10, 40, 100)) * LOT


def price(draw: random.Random) -> int:
    if draw.random() < 0.03:
        return draw.choice((0, -TICK, 1, MAX, MAX // TICK * TICK, TICK + 1))
    return 100 * E9 + draw.randint(-100, 200) * TICK


def request(draw: random.Random, mono_ns: int) -> dict[str, Any]:
    rq: dict[str, Any] = {
        "account": draw.choice((0, 1)) if draw.random() < 0.95 else draw.choice((2, ACCOUNTS)),
        "instrument": draw.choice((*range(INSTRUMENTS), 0)) if draw.random() > 0.01 else INSTRUMENTS,
        "side": draw.choice((Side.BUY, Side.SELL)),
        "ord_type": draw.choice((OrdType.LIMIT, OrdType.LIMIT, OrdType.MARKET)),
        "qty_e9": quantity(draw),
        "mono_ns": mono_ns - draw.choice((0, 0, 0, 1)),
    }
    if rq["ord_type"] == OrdType.LIMIT:
        rq["px_e9"] = price(draw)
    for name, chance in (("reduce_only", 0.3), ("is_release", 0.15), ("is_held", 0.1), ("is_dry", 0.1), ("stp", 0.2)):
        if draw.random() < chance:
            rq[name] = 1
    if draw.random() < 0.2:
        rq["old_qty_e9"], rq["old_px_e9"] = quantity(draw), price(draw)
    return rq


def change(draw: random.Random) -> tuple[str, tuple[Any, ...]]:
    """A record's effect; many are ones that the gate must refuse without a trace."""
    account, instrument = draw.choice((0, 1, 2, ACCOUNTS)), draw.randrange(INSTRUMENTS)
    side, flags = draw.choice((Side.BUY, Side.SELL)), (draw.random() < 0.3, draw.random() < 0.4)
    kind = draw.random()
    if kind < 0.35:
        return "reserve_py", (account, instrument, side, quantity(draw), price(draw), *flags)
    if kind < 0.55:
        return "unreserve_py", (account, instrument, side, quantity(draw), price(draw), *flags)
    if kind < 0.65:
        old = (quantity(draw), price(draw))
        return "rereserve_py", (account, instrument, side, *old, quantity(draw), price(draw), *flags)
    if kind < 0.9:
        return "fill_py", (account, instrument, side, quantity(draw), price(draw), draw.choice((0, 7, -3, 10**6)))
    if kind < 0.93:
        return "count_open_py", (account, draw.choice((1, 1, -1)))
    if kind < 0.97:
        return "set_limits_py", (account, limits(draw))
    if kind < 0.98:
        return "open_account_py", (account, draw.choice((7, 8)), draw.choice((10**8, 10**9, -1)))
    level = draw.choice(
        (HaltLevel.ARMED, HaltLevel.ARMED, HaltLevel.NO_NEW, HaltLevel.REDUCE_ONLY, HaltLevel.FLATTEN, 5)
    )
    return "set_halt_py", (draw.randrange(4), draw.randrange(3), level)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_kernel_equals_twin_over_random_histories(seed: int) -> None:
    draw = random.Random(seed)
    table, mono_ns = market(draw), 1_000
    kernel, twin = Kernel(table, ACCOUNTS), Twin(table, ACCOUNTS)
    for account in range(2):
        for gate in (kernel, twin):
            assert gate.open_account_py(account, 7, 10**8) == 0
        first = limits(draw)
        assert kernel.set_limits_py(account, first) == twin.set_limits_py(account, first)
    for _ in range(STEPS):
        mono_ns += draw.choice((0, 1, 5, 30))
        kind = draw.random()
        if kind < 0.15:
            move_market(draw, table, mono_ns)
        elif kind < 0.6:
            rq = request(draw, mono_ns)
            assert kernel.check_py(**rq) == twin.check_py(**rq), rq
        else:
            name, args = change(draw)
            assert getattr(kernel, name)(*args) == getattr(twin, name)(*args), (name, args)
    image = kernel.dump_py()
    assert image == twin.dump_py()
    again = Kernel(table, ACCOUNTS)
    again.load_py(image)
    assert again.dump_py() == image


@dataclass
class Order:
    account: int
    instrument: int
    side: int
    left_e9: int
    px_e9: int
    reduce_only: bool
    resting: bool

    def where(self) -> tuple[int, int, int]:
        return self.account, self.instrument, self.side


@dataclass
class Desk:
    """Callers of the gate: reserve what passed, and let the venue fill, cancel and replace in any order."""

    draw: random.Random
    table: QuoteTable
    gate: Kernel
    orders: list[Order] = field(default_factory=list)

    def place(self, mono_ns: int) -> None:
        rq = request(self.draw, mono_ns)
        rq = {k: v for k, v in rq.items() if k not in ("is_held", "is_dry", "is_release", "old_qty_e9", "old_px_e9")}
        decision = self.gate.check_py(**rq)
        if decision["control"] != Control.PASS:
            return
        order = Order(rq["account"], rq["instrument"], rq["side"], rq["qty_e9"], decision["ref_px_e9"],
                      bool(rq.get("reduce_only")), rq["ord_type"] == OrdType.LIMIT)  # fmt: skip
        before = self.gate.account(order.account)["gross_e4"]
        code = self.gate.reserve_py(*order.where(), order.left_e9, order.px_e9, order.reduce_only, order.resting)
        assert code == 0
        self.admitted(order.account, before)
        self.orders.append(order)

    def admitted(self, account: int, before_e4: int) -> None:
        row = self.gate.account(account)
        power_e4 = scale(row["cash_e4"], row["limits"]["leverage_bps_e9"])
        assert row["gross_e4"] <= max(before_e4, min(power_e4, row["limits"]["max_gross_e4"]))

    def fill(self, order: Order) -> None:
        qty = self.draw.randint(1, order.left_e9 // LOT) * LOT
        px = order.px_e9 or 100 * E9
        if order.side == Side.BUY and self.draw.random() < 0.5:
            px -= self.draw.randint(0, min(px // TICK - 1, 300)) * TICK  # a buy may fill better
        ends = qty == order.left_e9
        self.gate.unreserve_py(*order.where(), qty, order.px_e9, order.reduce_only, order.resting and ends)
        assert self.gate.fill_py(*order.where(), qty, px, self.draw.choice((0, 5))) == 0
        order.left_e9 -= qty
        if ends:
            self.orders.remove(order)

    def cancel(self, order: Order) -> None:
        code = self.gate.unreserve_py(*order.where(), order.left_e9, order.px_e9, order.reduce_only, order.resting)
        assert code == 0
        self.orders.remove(order)

    def replace(self, order: Order, mono_ns: int) -> None:
        """Hold the larger of old and new, then either may turn out to be in force."""
        qty, px = quantity(self.draw), price(self.draw)
        account, instrument, side = order.where()
        decision = self.gate.check_py(account=account, instrument=instrument, side=side, ord_type=OrdType.LIMIT,
                                      qty_e9=qty, px_e9=px, old_qty_e9=order.left_e9, old_px_e9=order.px_e9,
                                      mono_ns=mono_ns, reduce_only=order.reduce_only)  # fmt: skip
        if decision["control"] != Control.PASS or not order.resting:
            return
        before = self.gate.account(account)["gross_e4"]
        held = max(qty, order.left_e9)
        move = self.gate.rereserve_py
        assert move(*order.where(), order.left_e9, order.px_e9, held, px, order.reduce_only, True) == 0
        self.admitted(account, before)
        if self.draw.random() < 0.5:
            assert move(*order.where(), held, px, qty, px, order.reduce_only, True) == 0
            order.left_e9, order.px_e9 = qty, px
        else:
            assert move(*order.where(), held, px, order.left_e9, order.px_e9, order.reduce_only, True) == 0

    def step(self, mono_ns: int) -> None:
        kind = self.draw.random()
        if kind < 0.5 or not self.orders:
            self.place(mono_ns)
            return
        order = self.draw.choice(self.orders)
        if kind < 0.8:
            self.fill(order)
        elif kind < 0.9:
            self.cancel(order)
        else:
            self.replace(order, mono_ns)

    def pairs(self) -> Iterator[dict[str, int]]:
        yield from self.gate.pairs_py()


def worst(pair: dict[str, int]) -> int:
    pos = pair["pos_qty_e9"]
    return max(abs(pos + pair["open_buy_qty_e9"]), abs(pos - pair["open_sell_qty_e9"]))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_no_history_of_passed_orders_breaches_a_limit(seed: int) -> None:
    """Invariant I9. Sells fill at their reserved price here: a better one is a move of the market, not of the order."""
    draw = random.Random(seed)
    table, mono_ns = market(draw), 1_000
    desk = Desk(draw, table, Kernel(table, ACCOUNTS))
    rules = {"order_rate_per_s": E9, "order_burst": E9, "msg_rate_per_s": E9, "msg_burst": E9, "max_open_orders": 10**6}
    for account in range(ACCOUNTS):
        assert desk.gate.open_account_py(account, account, draw.choice((10**7, 10**8))) == 0
        row = limits(draw) | rules
        while min(row.values()) < 0:
            row = limits(draw) | rules
        assert desk.gate.set_limits_py(account, row) == 0
    highest = [0] * ACCOUNTS
    for _ in range(STEPS):
        mono_ns += draw.choice((0, 1, 5))
        if draw.random() < 0.2:
            move_market(draw, table, mono_ns)
        desk.step(mono_ns)
        for account in range(ACCOUNTS):
            highest[account] = max(highest[account], desk.gate.account(account)["gross_e4"])
            assert highest[account] <= desk.gate.account(account)["limits"]["max_gross_e4"]
        for pair in desk.pairs():
            assert worst(pair) <= desk.gate.account(pair["account"])["limits"]["max_position_qty_e9"]
    for account in range(ACCOUNTS):
        mine = [pair["expo_e4"] for pair in desk.pairs() if pair["account"] == account]
        assert desk.gate.account(account)["gross_e4"] == sum(mine)


SIZED = {Control.SZ_MAX_QTY, Control.SZ_MAX_NOTIONAL, Control.REDUCE_ONLY_CTL, Control.CR_POS_QTY, Control.CR_GROSS,
         Control.CR_BUYPOWER}  # fmt: skip


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_what_passes_is_the_largest_that_passes(seed: int) -> None:
    draw = random.Random(seed)
    table, mono_ns = market(draw), 1_000
    desk = Desk(draw, table, Kernel(table, ACCOUNTS))
    for account in range(ACCOUNTS):
        desk.gate.open_account_py(account, account, 10**8)
        desk.gate.set_limits_py(account, limits(draw))
    for _ in range(STEPS // 4):
        mono_ns += draw.choice((0, 1, 100))
        move_market(draw, table, mono_ns)
        desk.step(mono_ns)
        rq = request(draw, mono_ns) | {"is_dry": True}
        refusal = desk.gate.check_py(**rq)
        if refusal["control"] not in SIZED or (rq.get("is_release") and rq.get("reduce_only")):
            continue  # the release of what truly reduces passes beyond any size
        if refusal["passes"]:
            retry = desk.gate.check_py(**rq | {"qty_e9": refusal["passes"]})
            assert retry["control"] != refusal["control"], (rq, refusal, retry)
        larger = refusal["passes"] + LOT
        if refusal["passes"] and larger < rq["qty_e9"]:
            retry = desk.gate.check_py(**rq | {"qty_e9": larger})
            assert retry["control"] == refusal["control"], (rq, refusal, retry)
