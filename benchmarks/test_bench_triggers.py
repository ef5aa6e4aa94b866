"""Trigger index, quotes, fixed point and histogram: micro benches, and the ratios that the bars are set on.

`pytest benchmarks/test_bench_triggers.py --benchmark-only` for the times; the bars of the trigger index are measured in
one run, with 1 and with 1,000,000 resting, and printed (`-s`) by `test_bars_of_the_trigger_index`.
"""

from typing import Any

import pytest

from benchmarks.trigger_bars import DOWN, E9, LAST, MARKET, TICK, bars_of_the_trigger_index, resting
from hotpath import fixed
from hotpath.hist import Histogram
from hotpath.quotes import QuoteTable
from hotpath.stops import TriggerIndex


@pytest.fixture(scope="module", params=[1, 1_000, 1_000_000])
def stops(request: pytest.FixtureRequest) -> TriggerIndex:
    return resting(request.param)


def test_no_trigger_tick_from_python(benchmark: Any, stops: TriggerIndex) -> None:
    assert benchmark(stops.check, 0, LAST, MARKET * TICK) is False


def test_no_trigger_tick_in_a_compiled_loop_of_1000(benchmark: Any, stops: TriggerIndex) -> None:
    assert benchmark(stops.check_loop, 0, LAST, MARKET * TICK, 1_000) == 0


def test_cancel_and_arm_1000_times(benchmark: Any, stops: TriggerIndex) -> None:
    assert benchmark(stops.churn_loop, 0, 1, stops.armed, 1_000) == 0


@pytest.mark.parametrize("offsets", [1, 20, 200])
def test_new_high_moves_100000_trailing_stops(benchmark: Any, offsets: int) -> None:
    stops = TriggerIndex(1, 100_000)
    for handle in range(100_000):
        stops.arm_trailing(handle, 0, LAST, DOWN, (handle % offsets + 1) * 100 * TICK, False, TICK, MARKET * TICK)
    highs = iter(range(MARKET + 1, 10**9))
    assert benchmark(lambda: stops.advance(0, LAST, next(highs) * TICK)) == offsets


def test_ten_thousand_fire_in_batches_of_256(benchmark: Any) -> None:
    def setup() -> tuple[tuple[TriggerIndex], dict[str, Any]]:
        return (resting(10_000),), {}

    def fire(stops: TriggerIndex) -> int:
        fired = 0
        while batch := stops.take_fired(0, LAST, 1, 256):
            fired += len(batch)
        return fired

    assert benchmark.pedantic(fire, setup=setup, rounds=5) == 10_000


def test_bars_of_the_trigger_index() -> None:
    """Prints each figure beside its bar. Figures are not asserted: a shared machine would make the test a coin."""
    print()
    for name, value, bar in bars_of_the_trigger_index():
        print(f"{name:<80} {value:8.2f}   bar {bar:6.1f}   {'PASS' if value <= bar else 'FAIL'}")


def test_quote_update_from_python(benchmark: Any) -> None:
    quotes = QuoteTable(1)
    quotes.add("A", tick_e9=TICK, lot_e9=1, min_qty_e9=1, max_age_ns=E9, outside_bps_e9=50 * E9, asset_class=1)
    assert benchmark(quotes.quote, 0, 100 * E9, E9, 101 * E9, E9, 0, 0, 1) == 0


def test_decimal_text_to_fixed_point(benchmark: Any) -> None:
    assert benchmark(fixed.to_e9, b"61837.63000000") == 61_837_630_000_000


def test_histogram_record(benchmark: Any) -> None:
    benchmark(Histogram().record, 19_500)
