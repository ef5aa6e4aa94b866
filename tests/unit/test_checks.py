"""The gate, control by control: at the boundary, one step inside, one step outside; and what records do to exposure."""

from typing import Any

import numpy as np
import pytest

from hotpath.checks import Gate, Request
from hotpath.enums import Control, HaltLevel, HaltScope, OrdType, Side, Stp
from hotpath.quotes import QuoteTable

E9, E4 = 10**9, 10**4
BUY, SELL = Side.BUY, Side.SELL
LIMITS = {
    "max_order_qty_e9": 100 * E9,
    "max_order_notional_e4": 10_000 * E4,
    "max_position_qty_e9": 150 * E9,
    "max_gross_e4": 14_000 * E4,
    "leverage_bps_e9": 20_000 * E9,
    "collar_bps_e9": 500 * E9,
    "max_open_orders": 3,
    "order_rate_per_s": 1_000_000,
    "order_burst": 1_000,
    "msg_rate_per_s": 1_000_000,
    "msg_burst": 1_000,
}


class Bench:
    """A gate over one instrument quoted 99.99 to 100.01, and two accounts of one beneficial owner."""

    def __init__(self, **limits: int) -> None:
        self.quotes = QuoteTable(2)
        self.quotes.add("AAPL", tick_e9=E9 // 100, lot_e9=E9, min_qty_e9=2 * E9, max_age_ns=1_000,
                        outside_bps_e9=50 * E9, asset_class=0)  # fmt: skip
        self.quotes.quote(0, 99_990_000_000, E9, 100_010_000_000, E9, 0, 0, 1_000)
        self.gate = Gate(self.quotes, 4)
        for account in (0, 1):
            assert self.gate.open_account_py(account, 7, 7_000 * E4) == 0
            assert self.gate.set_limits_py(account, LIMITS | limits) == 0

    def check(self, side: int = BUY, qty: int = 10, px: int | None = 100, **more: Any) -> dict[str, int]:
        """Whole units; px None is a market order."""
        order: dict[str, Any] = {"account": 0, "instrument": 0, "side": side, "qty_e9": qty * E9, "mono_ns": 1_000}
        order |= {"ord_type": OrdType.MARKET} if px is None else {"ord_type": OrdType.LIMIT, "px_e9": px * E9}
        return self.gate.check_py(**order | more)

    def control(self, *args: Any, **more: Any) -> Control:
        return Control(self.check(*args, **more)["control"])

    def hold(self, qty: int, px: int = 100) -> None:
        """A position of so many units."""
        assert self.gate.fill_py(0, 0, BUY if qty > 0 else SELL, abs(qty) * E9, px * E9) == 0

    def reserve(self, side: int, qty: int, px: int, reduce_only: bool = False, resting: bool = False) -> None:
        assert self.gate.reserve_py(0, 0, side, qty * E9, px * E9, reduce_only, resting) == 0


def numbers(decision: dict[str, int]) -> tuple[Control, int, int, int]:
    return Control(decision["control"]), decision["limit"], decision["value"], decision["passes"]


def test_an_order_within_all_limits_passes_with_its_price() -> None:
    decision = Bench().check()
    assert decision["control"] == Control.PASS
    assert decision["ref_px_e9"] == 100 * E9
    assert decision["tokens_left"] == 999


def test_an_account_without_limits_passes_nothing() -> None:
    bench = Bench()
    assert bench.control(account=3) == Control.NO_LIMIT
    bench.gate.open_account_py(2, 8, E4)
    assert bench.control(account=2) == Control.NO_LIMIT
    assert bench.control(account=2**31) == Control.NO_LIMIT


@pytest.mark.parametrize("name", sorted(LIMITS.keys() - {"collar_bps_e9"}))
def test_a_limit_of_zero_lets_nothing_pass(name: str) -> None:
    assert Bench(**{name: 0}).control() != Control.PASS


def test_kill_beats_everything_and_names_the_strictest_scope() -> None:
    bench = Bench()
    bench.gate.set_halt_py(HaltScope.ACCOUNT, 0, HaltLevel.NO_NEW)
    bench.gate.set_halt_py(HaltScope.INSTRUMENT, 0, HaltLevel.REDUCE_ONLY)
    decision = bench.check(qty=10**6, account=0)
    assert (decision["control"], decision["scope"], decision["value"]) == (Control.KILL_GATE, 2, HaltLevel.REDUCE_ONLY)
    assert bench.gate.set_halt_py(HaltScope.INSTRUMENT, 0, HaltLevel.ARMED) == 0
    assert bench.check()["scope"] == 1
    assert bench.control(account=1) == Control.PASS
    assert bench.gate.set_halt_py(HaltScope.GLOBAL, 0, 9) == -1


@pytest.mark.parametrize(
    ("level", "plain", "bound", "release"),
    [
        (HaltLevel.ARMED, True, True, True),
        (HaltLevel.NO_NEW, True, True, True),
        (HaltLevel.REDUCE_ONLY, False, True, True),
        (HaltLevel.CANCEL_ALL, False, False, True),
        (HaltLevel.FLATTEN, False, False, True),
    ],
)
def test_what_reduces_passes_under_which_level(level: int, plain: bool, bound: bool, release: bool) -> None:
    bench = Bench()
    bench.hold(50)
    bench.gate.set_halt_py(HaltScope.GLOBAL, 0, level)
    passed = [
        bench.control(SELL, 50),
        bench.control(SELL, 50, reduce_only=True),
        bench.control(SELL, 50, reduce_only=True, is_release=True),
    ]
    assert [control == Control.PASS for control in passed] == [plain, bound, release]
    if level != HaltLevel.ARMED:
        assert bench.control(SELL, 51, reduce_only=True, is_release=True) == Control.KILL_GATE
        assert bench.control(BUY, 10) == Control.KILL_GATE


def test_a_protective_release_meets_no_limit_but_a_market_that_does_not_trade() -> None:
    bench = Bench(max_open_orders=0, order_rate_per_s=0, msg_rate_per_s=0)
    bench.hold(50)
    bench.reserve(BUY, 5, 100, resting=True)
    narrow = {name: 1 for name in LIMITS if name.startswith(("max_", "leverage", "collar"))}
    assert bench.gate.set_limits_py(0, LIMITS | narrow) == 0
    bench.quotes.set_state(0, True, False, True)  # restricted
    how: dict[str, Any] = {"reduce_only": True, "is_release": True, "stp": Stp.CANCEL_NEW}
    assert bench.control(SELL, 50, **how) == bench.control(SELL, 1, **how) == Control.PASS
    assert bench.control(SELL, 50, 900, **how) == bench.control(SELL, 50, None, **how) == Control.PASS
    assert bench.check(SELL, 50, 900, **how)["ref_px_e9"] == 900 * E9
    stale = bench.check(SELL, 50, None, mono_ns=10**9, **how)
    assert (stale["control"], stale["ref_px_e9"]) == (Control.PASS, 0)
    assert bench.control(SELL, 51, **how) != Control.PASS  # it would turn the position round
    bench.quotes.set_state(0, True, True, False)
    assert bench.control(SELL, 50, **how) == Control.HALT_SYM
    bench.quotes.set_state(0, False, False, False)
    assert bench.control(SELL, 50, **how) == Control.SESSION_CAL
    bench.quotes.set_state(0, True, False, False)
    bench.hold(10**6)
    assert bench.control(SELL, 10**6, 9_000_000_000, **how) == Control.OVERFLOW


def test_protective_orders_are_not_charged_and_never_too_fast() -> None:
    bench = Bench(order_rate_per_s=1, order_burst=1, msg_rate_per_s=1, msg_burst=1)
    bench.hold(50)
    assert [bench.control(SELL, 5, reduce_only=True) for _ in range(3)] == [Control.PASS] * 3
    assert bench.control(SELL, 5, reduce_only=True, old_qty_e9=E9) == Control.PASS
    assert bench.gate.account(0)["order_bucket"]["tokens_ns"] == E9
    assert [bench.control() for _ in range(2)] == [Control.PASS, Control.RATE_ORDER]
    assert bench.control(SELL, 5, reduce_only=True) == Control.PASS


def test_restriction_halt_and_session() -> None:
    bench = Bench()
    bench.quotes.set_state(0, is_open=False)
    assert bench.control() == Control.SESSION_CAL
    assert bench.control(is_held=True) == Control.PASS
    bench.quotes.set_state(0, is_halted=True)
    assert bench.control() == Control.HALT_SYM
    bench.quotes.set_state(0, is_restricted=True)
    assert bench.control(is_held=True) == Control.RESTRICT_LIST
    assert bench.control(instrument=1) == Control.SESSION_CAL


@pytest.mark.parametrize(
    ("qty_e9", "limit", "passes"),
    [
        (E9, 2 * E9, 2 * E9),
        (0, 2 * E9, 2 * E9),
        (-E9, 2 * E9, 2 * E9),
        (5 * E9 + 1, E9, 5 * E9),
        (2 * E9 - 1, 2 * E9, 2 * E9),
    ],
)
def test_lot_and_minimum(qty_e9: int, limit: int, passes: int) -> None:
    assert numbers(Bench().check(qty_e9=qty_e9)) == (Control.SYN_LOT, limit, qty_e9, passes)


@pytest.mark.parametrize(
    ("px_e9", "passes"),
    [(0, E9 // 100), (-1, E9 // 100), (100 * E9 + 1, 100 * E9), (100 * E9 + 6_000_000, 100 * E9 + 10_000_000)],
)
def test_tick_names_the_nearest(px_e9: int, passes: int) -> None:
    assert numbers(Bench().check(px_e9=px_e9)) == (Control.SYN_TICK, E9 // 100, px_e9, passes)


def test_size_and_notional_at_the_boundary() -> None:
    bench = Bench()
    assert bench.control(qty=100) == Control.PASS
    assert numbers(bench.check(qty=101)) == (Control.SZ_MAX_QTY, 100 * E9, 101 * E9, 100 * E9)
    assert numbers(bench.check(qty=100, px=101)) == (Control.SZ_MAX_NOTIONAL, 10_000 * E4, 10_100 * E4, 99 * E9)
    market = bench.check(qty=100, px=None)
    assert market["ref_px_e9"] == 105_020_000_000  # ask + 5 %, up to the tick: against the buyer
    assert numbers(market) == (Control.SZ_MAX_NOTIONAL, 10_000 * E4, 10_502 * E4, 95 * E9)
    assert bench.check(SELL, 10, None)["ref_px_e9"] == 94_990_000_000


def test_stale_data_refuses_what_adds_risk_only() -> None:
    bench = Bench()
    assert bench.control(mono_ns=2_000) == Control.PASS
    assert numbers(bench.check(mono_ns=2_001)) == (Control.PX_STALE, 1_000, 1_001, 0)
    assert bench.control(px=None, mono_ns=2_001) == Control.PX_STALE
    bench.hold(10)
    assert bench.control(SELL, 10, mono_ns=9_000) == Control.PASS
    assert bench.control(SELL, 10, None, mono_ns=9_000) == Control.PX_MKT_CONVERT
    bound = bench.check(SELL, 10, None, mono_ns=9_000, reduce_only=True)
    assert (bound["control"], bound["ref_px_e9"]) == (Control.PASS, 0)
    bench.quotes.restart_feed(0)
    assert numbers(bench.check(mono_ns=2_001)) == (Control.PX_STALE, 1_000, -1, 0)
    assert bench.control(px=None, mono_ns=2_001) == Control.PX_MKT_CONVERT


def test_collar_on_both_sides() -> None:
    bench = Bench()
    assert bench.control(px=105) == bench.control(px=95) == Control.PASS
    assert numbers(bench.check(px_e9=105_010_000_000)) == (Control.PX_COLLAR, 105 * E9, 105_010_000_000, 105 * E9)
    assert numbers(bench.check(px_e9=94_990_000_000)) == (Control.PX_COLLAR, 95 * E9, 94_990_000_000, 95 * E9)
    assert bench.control(px=50, is_held=True) == Control.PASS


def test_rate_buckets_charge_both_or_none() -> None:
    bench = Bench(order_rate_per_s=1_000_000, order_burst=2, msg_rate_per_s=1_000_000, msg_burst=4)
    assert bench.check(is_dry=True)["control"] == bench.check(is_release=True)["control"] == Control.PASS
    assert [bench.check()["tokens_left"] for _ in range(2)] == [1, 0]
    assert numbers(bench.check(mono_ns=1_400)) == (Control.RATE_ORDER, 1_000_000, 0, 600)
    assert [bench.control(old_qty_e9=E9) for _ in range(3)] == [Control.PASS, Control.PASS, Control.RATE_MSG]
    assert bench.control(mono_ns=1_999) == Control.RATE_ORDER
    assert bench.control(mono_ns=2_000) == Control.PASS
    assert bench.control(mono_ns=1_500) == Control.RATE_ORDER  # a clock that goes back earns nothing
    assert bench.control(qty=101, mono_ns=5_000) == Control.SZ_MAX_QTY
    assert bench.gate.account(0)["order_bucket"]["tokens_ns"] == 0  # refused before: not charged


def test_open_orders_count_new_ones_only() -> None:
    bench = Bench()
    bench.gate.count_open_py(0, 3)
    assert numbers(bench.check()) == (Control.OPEN_ORDERS, 3, 4, 0)
    assert bench.control(is_held=True) == Control.OPEN_ORDERS
    assert bench.control(old_qty_e9=E9) == bench.control(is_release=True) == Control.PASS
    bench.gate.count_open_py(0, -1)
    assert bench.control() == Control.PASS
    assert bench.gate.count_open_py(0, -3) == -1


def test_self_match_across_the_owner() -> None:
    bench = Bench()
    bench.reserve(SELL, 5, 101, resting=True)
    bench.reserve(SELL, 5, 100, resting=True)
    assert numbers(bench.check(account=1)) == (Control.SMP, 100 * E9, 100 * E9, 99_990_000_000)
    assert bench.control(account=1, px=99) == bench.control(account=1, stp=Stp.ALLOW) == Control.PASS
    assert bench.control(account=1, px=None) == Control.SMP
    assert bench.gate.unreserve_py(0, 0, SELL, 5 * E9, 100 * E9, False, True) == 0
    assert bench.gate.best_resting(7, 0, SELL) == 101 * E9
    assert bench.control(account=1) == Control.PASS
    bench.reserve(BUY, 5, 99, resting=True)
    assert numbers(bench.check(SELL, 10, 99)) == (Control.SMP, 99 * E9, 99 * E9, 99_010_000_000)


def test_reduce_only_beside_other_reduce_only_orders() -> None:
    bench = Bench()
    assert bench.control(SELL, reduce_only=True) == Control.REDUCE_ONLY_CTL
    assert bench.control(SELL, reduce_only=True, is_held=True) == Control.PASS
    bench.hold(50)
    bench.reserve(SELL, 20, 100, reduce_only=True)
    assert bench.gate.reducible_qty_py(0, 0, SELL) == 30 * E9
    assert bench.control(SELL, 30, reduce_only=True) == Control.PASS
    assert numbers(bench.check(SELL, 31, reduce_only=True)) == (Control.REDUCE_ONLY_CTL, 30 * E9, 31 * E9, 30 * E9)
    assert bench.control(SELL, 50, reduce_only=True, old_qty_e9=20 * E9) == Control.PASS  # its own part may grow
    assert bench.control(SELL, 20, reduce_only=True, old_qty_e9=20 * E9, is_release=True) == Control.PASS
    assert bench.control(BUY, reduce_only=True) == Control.REDUCE_ONLY_CTL


def test_position_is_judged_by_the_worst_case() -> None:
    bench = Bench(max_gross_e4=10**12, leverage_bps_e9=10**16)
    bench.hold(80)
    bench.reserve(BUY, 40, 100)
    assert bench.control(qty=30) == Control.PASS
    assert numbers(bench.check(qty=31)) == (Control.CR_POS_QTY, 150 * E9, 151 * E9, 30 * E9)
    assert bench.control(qty=70, old_qty_e9=40 * E9) == Control.PASS  # a replace holds the larger, once
    assert numbers(bench.check(qty=71, old_qty_e9=40 * E9))[0] == Control.CR_POS_QTY
    assert bench.control(SELL, 100) == Control.PASS  # the far end is 80 - 100
    bench.gate.set_limits_py(0, LIMITS | {"max_position_qty_e9": 50 * E9, "max_gross_e4": 10**12})
    assert bench.control(SELL, 100) == Control.PASS  # above the new limit already, and no worse


def test_gross_and_buying_power_count_orders_in_flight() -> None:
    bench = Bench()
    bench.reserve(BUY, 60, 100)
    assert bench.control(qty=80) == Control.PASS
    assert numbers(bench.check(qty=81)) == (Control.CR_GROSS, 14_000 * E4, 14_100 * E4, 80 * E9)
    bench.gate.set_limits_py(0, LIMITS | {"leverage_bps_e9": 10_000 * E9})
    assert numbers(bench.check(qty=11)) == (Control.CR_BUYPOWER, 7_000 * E4, 7_100 * E4, 10 * E9)
    assert bench.control(SELL, 60) == Control.PASS  # the worse side is still the buys'
    assert numbers(bench.check(SELL, 75)) == (Control.CR_BUYPOWER, 7_000 * E4, 7_500 * E4, 70 * E9)


def test_a_cheap_order_does_not_cheapen_what_is_open() -> None:
    bench = Bench()
    bench.reserve(BUY, 60, 100)
    assert bench.check(qty=81, px=96)["value"] == 14_100 * E4


def test_a_reducing_order_is_counted_when_it_could_open() -> None:
    """A take-profit costs nothing beside its position, until another sell could close that first."""
    bench = Bench()
    bench.hold(100)
    bench.reserve(SELL, 100, 104)
    assert bench.gate.account(0)["gross_e4"] == 10_000 * E4
    decision = bench.check(SELL, 100, 100)
    assert decision["control"] == Control.PASS
    bench.reserve(SELL, 100, 100)
    assert bench.gate.account(0)["gross_e4"] == 10_400 * E4
    bench.gate.unreserve_py(0, 0, SELL, 100 * E9, 100 * E9)
    bench.gate.fill_py(0, 0, SELL, 100 * E9, 100 * E9)
    assert bench.gate.account(0)["gross_e4"] == 10_400 * E4


def test_a_sell_below_the_market_is_worth_the_market() -> None:
    assert Bench(max_gross_e4=999 * E4).check(SELL, 10, 96)["value"] == 1_000 * E4


def test_products_that_do_not_fit_are_refused() -> None:
    bench = Bench(max_order_qty_e9=2**63 - 1)
    decision = bench.check(qty_e9=9 * 10**18, px_e9=9 * 10**18, is_held=True)
    assert decision["control"] == Control.OVERFLOW


def test_fills_by_average_cost_and_through_zero() -> None:
    bench = Bench()
    fill = bench.gate.fill_py
    fill(0, 0, BUY, 10 * E9, 100 * E9, 1 * E4)
    fill(0, 0, BUY, 5 * E9, 101 * E9)
    assert bench.gate.pair_of(0, 0)["avg_px_e9"] == 100_333_333_334  # type: ignore[index]  # against the holder: up
    fill(0, 0, SELL, 5 * E9, 110 * E9)
    fill(0, 0, SELL, 20 * E9, 90 * E9, -2_000)
    pair = bench.gate.pair_of(0, 0)
    assert pair is not None
    assert (pair["pos_qty_e9"], pair["avg_px_e9"], pair["mark_px_e9"]) == (-10 * E9, 90 * E9, 90 * E9)
    account = bench.gate.account(0)
    assert account["realised_e4"] == pair["realised_e4"] == 48_3333 - 103_3333
    assert account["fees_e4"] == 8_000
    assert account["cash_e4"] == 7_000 * E4 + account["realised_e4"] - 8_000
    assert account["gross_e4"] == pair["expo_e4"] == 900 * E4
    fill(0, 0, BUY, 10 * E9, 95 * E9)
    flat = bench.gate.pair_of(0, 0)
    assert flat is not None
    assert (flat["pos_qty_e9"], flat["avg_px_e9"], flat["expo_e4"], bench.gate.account(0)["gross_e4"]) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("unreserve_py", (0, 0, BUY, E9, 100 * E9)),
        ("unreserve_py", (0, 0, SELL, 0, 100 * E9, False, True)),
        ("reserve_py", (0, 0, BUY, -E9, 100 * E9)),
        ("reserve_py", (3, 0, BUY, E9, 100 * E9)),
        ("reserve_py", (0, 2, BUY, E9, 100 * E9)),
        ("reserve_py", (0, 0, 3, E9, 100 * E9)),
        ("reserve_py", (0, 0, BUY, 2**63 - 1, 2**63 - 1)),
        ("fill_py", (0, 0, BUY, 0, 100 * E9)),
        ("fill_py", (0, 0, BUY, E9, 0)),
        ("open_account_py", (0, 1, 0)),
        ("set_limits_py", (3, LIMITS)),
        ("set_limits_py", (0, LIMITS | {"collar_bps_e9": -1})),
    ],
)
def test_a_refused_record_changes_nothing(name: str, args: tuple[Any, ...]) -> None:
    bench = Bench()
    before = bench.gate.dump_py()
    assert getattr(bench.gate, name)(*args) == -1
    assert bench.gate.dump_py() == before


def test_dump_and_load_keep_everything_but_buckets() -> None:
    bench = Bench()
    bench.hold(30)
    bench.reserve(SELL, 20, 101, reduce_only=True, resting=True)
    bench.gate.count_open_py(0, 1)
    bench.gate.set_halt_py(HaltScope.INSTRUMENT, 1, HaltLevel.NO_NEW)
    bench.gate.set_halt_py(HaltScope.ACCOUNT, 1, HaltLevel.FLATTEN)
    image = bench.gate.dump_py()
    again = Gate(bench.quotes, 4)
    again.load_py(image)
    assert again.dump_py() == image
    assert again.pairs_py() == bench.gate.pairs_py()
    assert again.halts_py() == (0, {1: HaltLevel.NO_NEW})
    assert again.best_resting(7, 0, SELL) == 101 * E9
    for bad in (b"", image[:-1], image + b"\0", b"X" + image[1:]):
        with pytest.raises(ValueError, match="gate image"):
            Gate(bench.quotes, 4).load_py(bad)


def test_a_prepared_request_and_the_batch_agree_with_single_calls() -> None:
    bench = Bench()
    request = Request(
        account=0, instrument=0, side=BUY, ord_type=OrdType.LIMIT, qty_e9=10 * E9, px_e9=100 * E9, mono_ns=1_000
    )
    assert bench.gate.decide(request) == Control.PASS
    request.set(101 * E9, 100 * E9, 1_000)
    assert bench.gate.decide(request) == request.answer()["control"] == Control.SZ_MAX_QTY
    rows = np.zeros((3, 14), dtype=np.int64)
    rows[:, 2:6] = (BUY, OrdType.LIMIT, 10 * E9, 100 * E9)
    rows[:, 8] = 1_000
    rows[1, 4] = 101 * E9
    controls = np.zeros(3, dtype=np.int32)
    assert bench.gate.check_many(rows, controls) == 2
    assert controls.tolist() == [Control.PASS, Control.SZ_MAX_QTY, Control.PASS]
