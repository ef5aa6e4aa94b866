"""Pre-trade check: one decision called from Python with a prepared request, and in a compiled batch.

Bars: 0.6 us called from Python, 0.15 us in a batch. A batch is timed whole; `per_check_ns` is in extra_info.
"""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hotpath.checks import Gate, Request
from hotpath.enums import OrdType, Side
from hotpath.quotes import QuoteTable

E9, E4 = 10**9, 10**4
INSTRUMENTS = 100
BATCH = 10_000
LIMITS = {
    "max_order_qty_e9": 10_000 * E9,
    "max_order_notional_e4": 100_000 * E4,
    "max_position_qty_e9": 20_000 * E9,
    "max_gross_e4": 10_000_000 * E4,
    "leverage_bps_e9": 20_000 * E9,
    "collar_bps_e9": 500 * E9,
    "max_open_orders": 10_000,
    "order_rate_per_s": E9,  # a bucket that refills as fast as the loop runs: each check pays for it and passes
    "order_burst": E9,
    "msg_rate_per_s": E9,
    "msg_burst": E9,
}


def gate_with(accounts: int) -> Gate:
    """Accounts that hold positions and have orders open and resting, so that every control has work to do."""
    table = QuoteTable(INSTRUMENTS)
    for row in range(INSTRUMENTS):
        table.add(
            f"S{row}",
            tick_e9=E9 // 100,
            lot_e9=E9,
            min_qty_e9=E9,
            max_age_ns=2 * E9,
            outside_bps_e9=50 * E9,
            asset_class=0,
        )
        table.quote(row, 99_990_000_000, E9, 100_010_000_000, E9, 0, 0, 1_000)
    gate = Gate(table, accounts)
    for account in range(accounts):
        gate.open_account_py(account, account, 10_000_000 * E4)
        gate.set_limits_py(account, LIMITS)
        for step in range(3):
            instrument = (account + step) % INSTRUMENTS
            gate.fill_py(account, instrument, Side.BUY, 10 * E9, 100 * E9)
            gate.reserve_py(account, instrument, Side.SELL, 5 * E9, 110 * E9, True, True)
    return gate


def report(benchmark: Any, checks: int) -> None:
    if benchmark.stats is not None:
        benchmark.extra_info["per_check_ns"] = round(benchmark.stats.stats.min / checks * 1e9, 1)


@pytest.mark.parametrize("ord_type", [OrdType.LIMIT, OrdType.MARKET], ids=["limit", "market"])
def test_check_called_from_python(benchmark: Any, ord_type: OrdType) -> None:
    gate = gate_with(1_000)
    request = Request(account=7, instrument=7, side=Side.BUY, ord_type=ord_type, qty_e9=10 * E9,
                      px_e9=100 * E9 if ord_type == OrdType.LIMIT else 0, mono_ns=2_000)  # fmt: skip
    decide: Callable[[Request], int] = gate.decide
    assert decide(request) == 0
    benchmark(decide, request)
    report(benchmark, 1)


def test_check_refused_by_the_last_control(benchmark: Any) -> None:
    gate = gate_with(1_000)
    gate.set_limits_py(7, LIMITS | {"max_gross_e4": 3_100 * E4})
    request = Request(account=7, instrument=7, side=Side.BUY, ord_type=OrdType.LIMIT, qty_e9=10 * E9, px_e9=100 * E9,
                      mono_ns=2_000)  # fmt: skip
    assert gate.decide(request) != 0
    benchmark(gate.decide, request)
    report(benchmark, 1)


def test_same_check_in_a_compiled_loop(benchmark: Any) -> None:
    gate = gate_with(1_000)
    request = Request(account=7, instrument=7, side=Side.BUY, ord_type=OrdType.LIMIT, qty_e9=10 * E9, px_e9=100 * E9,
                      mono_ns=2_000)  # fmt: skip
    assert gate.bench_loop(request, 10) == 10
    benchmark(gate.bench_loop, request, BATCH)
    report(benchmark, BATCH)


@pytest.mark.parametrize("accounts", [1_000, 100_000])
def test_batch_over_many_accounts(benchmark: Any, accounts: int) -> None:
    """Random accounts and instruments: the rows are not in the cache."""
    gate = gate_with(accounts)
    draw = random.Random(1)
    rows = np.zeros((BATCH, 14), dtype=np.int64)
    for row in rows:
        account = draw.randrange(accounts)
        row[:6] = (account, (account + draw.randrange(4)) % INSTRUMENTS, Side.BUY, OrdType.LIMIT, 10 * E9, 100 * E9)
    rows[:, 8] = 2_000
    controls = np.zeros(BATCH, dtype=np.int32)
    assert gate.check_many(rows, controls) == BATCH
    benchmark(gate.check_many, rows, controls)
    report(benchmark, BATCH)
