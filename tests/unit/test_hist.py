"""Histogram: exact where it is fine, within one percent elsewhere, whole at its ends."""

import pytest

from hotpath.hist import Histogram


def filled(*values_ns: int) -> Histogram:
    histogram = Histogram()
    for value_ns in values_ns:
        histogram.record(value_ns)
    return histogram


def test_an_empty_histogram_answers_zero() -> None:
    histogram = Histogram()
    assert set(histogram.snapshot().values()) == {0}
    assert histogram.buckets([1, 10]) == [0, 0]


def test_percentiles_are_exact_up_to_a_microsecond() -> None:
    histogram = filled(*range(1, 1001))
    assert [histogram.percentile(p) for p in (0, 50, 99, 99.9, 100)] == [1, 500, 990, 999, 1000]


def test_larger_values_are_off_by_less_than_one_percent_and_never_above_the_maximum() -> None:
    for value_ns in (1_025, 19_500, 1_234_567, 500_000_000, 99_999_999_999):
        histogram = filled(value_ns, value_ns * 2)
        assert value_ns <= histogram.percentile(50) <= value_ns * 1.01
        assert histogram.percentile(100) == value_ns * 2


def test_values_out_of_range_are_counted_at_the_ends() -> None:
    histogram = filled(-5, 10**15, 2**63 - 1)
    assert (histogram.min_ns, histogram.max_ns, histogram.sum_ns) == (0, 2**63 - 1, 2**63 - 1)
    assert histogram.percentile(1) == 0
    assert histogram.percentile(99) == 2**63 - 1
    assert histogram.buckets([0, 10**12, 2**63 - 1]) == [1, 1, 3]


def test_buckets_are_cumulative() -> None:
    histogram = filled(10, 20, 20, 5_000, 10**9)
    assert histogram.buckets([9, 10, 20, 1_000, 10_000, 10**9]) == [0, 1, 3, 3, 4, 5]
    with pytest.raises(ValueError, match="ascend"):
        histogram.buckets([2, 1])


def test_merge_adds_and_reset_forgets() -> None:
    first, second = filled(5, 7), filled(1, 900_000)
    first.merge(second)
    first.merge(Histogram())
    assert (first.count, first.sum_ns, first.min_ns, first.max_ns) == (4, 900_013, 1, 900_000)
    first.reset()
    assert first.snapshot() == Histogram().snapshot()
    assert second.count == 2


def test_a_percentile_out_of_range_is_refused() -> None:
    for p in (-0.1, 100.1, float("nan")):
        with pytest.raises(ValueError, match="percentile"):
            Histogram().percentile(p)
