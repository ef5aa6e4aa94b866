"""Trigger index, quotes, fixed point and histogram: micro benches, and the ratios that the bars are set on.

`pytest benchmarks/test_bench_triggers.py --benchmark-only` for the times; the bars of the trigger index are measured in
one run, with 1 and with 1,000,000 resting, and printed (`-s`) by `test_bars_of_the_trigger_index`.
"""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from hotpath import fixed
from hotpath.hist import Histogram
from hotpath.quotes import QuoteTable
from hotpath.stops import TriggerIndex

E9 = 10**9
TICK = E9 // 100
MARKET = 6_180_000  # ticks; stops rest up to 20 % below
SPREAD = 1_236_000
LAST, DOWN = 0, 0


def resting(count: int) -> TriggerIndex:
    stops, draw = TriggerIndex(1, max(count, 2)), random.Random(7)
    stops.set_tick(0, TICK)
    for handle in range(count):
        stops.arm_stop(handle, 0, LAST, DOWN, (MARKET - 1 - draw.randrange(SPREAD)) * TICK)
    return stops


@pytest.fixture(scope="module", params=[1, 1_000, 1_000_000])
def stops(request: pytest.FixtureRequest) -> TriggerIndex:
    return resting(request.param)


def best_ns(action: Callable[[], object], count: int, rounds: int = 7) -> float:
    """CPU time of one of `count` operations, the best of some rounds: what the code costs, not what else ran."""
    times = []
    for _ in range(rounds):
        begin = time.process_time_ns()
        action()
        times.append(time.process_time_ns() - begin)
    return min(times) / count


def test_no_trigger_tick_from_python(benchmark: Any, stops: TriggerIndex) -> None:
    assert benchmark(stops.check, 0, LAST, MARKET * TICK) is False


def test_no_trigger_tick_in_a_compiled_loop_of_1000(benchmark: Any, stops: TriggerIndex) -> None:
    assert benchmark(stops.check_loop, 0, LAST, MARKET * TICK, 1_000) == 0


def test_cancel_and_arm_1000_times(benchmark: Any, stops: TriggerIndex) -> None:
    assert benchmark(stops.churn_loop, stops.armed, 0, LAST, DOWN, 1_000) == 0


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


def bars_of_the_trigger_index(resting_max: int = 1_000_000, loops: int = 10_000_000) -> list[tuple[str, float, float]]:
    """(what, figure, bar) with one stop resting and with many, in one run."""
    one, many = resting(1), resting(resting_max)
    px_e9 = MARKET * TICK

    def from_python(stops: TriggerIndex) -> float:
        check, ticks = stops.check, range(loops // 50)

        def run() -> None:
            for _ in ticks:
                check(0, LAST, px_e9)

        return best_ns(run, loops // 50)

    def compiled(stops: TriggerIndex) -> float:
        return best_ns(lambda: stops.check_loop(0, LAST, px_e9, loops), loops)

    python_one, python_many = from_python(one), from_python(many)
    loop_one, loop_many = compiled(one), compiled(many)
    churn = best_ns(lambda: many.churn_loop(resting_max, 0, LAST, DOWN, resting_max // 2), resting_max)
    assert one.armed == 1
    assert many.armed == resting_max
    return [
        ("no-trigger tick from Python, ns", python_many, 80.0),
        ("no-trigger tick in a compiled loop, ns", loop_many, 5.0),
        ("1,000,000 resting against 1, from Python", python_many / python_one, 1.3),
        ("1,000,000 resting against 1, compiled", loop_many / loop_one, 1.3),
        ("arm or cancel among 1,000,000, at random, ns", churn, 300.0),
        ("bytes of index a stop", many.memory_bytes() / resting_max, 64.0),
    ]


def test_bars_of_the_trigger_index() -> None:
    """Prints each figure beside its bar. Figures are not asserted: a shared machine would make the test a coin."""
    print()
    for name, value, bar in bars_of_the_trigger_index():
        print(f"{name:<48} {value:8.2f}   bar {bar:6.1f}   {'PASS' if value <= bar else 'FAIL'}")


def test_quote_update_from_python(benchmark: Any) -> None:
    quotes = QuoteTable(1)
    quotes.add("A", tick_e9=TICK, lot_e9=1, min_qty_e9=1, max_age_ns=E9, outside_bps_e9=50 * E9, asset_class=1)
    assert benchmark(quotes.quote, 0, 100 * E9, E9, 101 * E9, E9, 0, 0, 1) == 0


def test_decimal_text_to_fixed_point(benchmark: Any) -> None:
    assert benchmark(fixed.to_e9, b"61837.63000000") == 61_837_630_000_000


def test_histogram_record(benchmark: Any) -> None:
    benchmark(Histogram().record, 19_500)
