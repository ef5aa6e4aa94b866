"""Twin of hotpath.hist: keeps every value, and rounds it up to the end of its bucket when asked."""

from collections.abc import Iterable
from dataclasses import dataclass, field

INT64_MAX = 2**63 - 1
TOP_NS = 2**37


def highest_of(value_ns: int) -> int:
    """Largest value in the same bucket: exact below 1024 ns, then 128 buckets to an octave."""
    if value_ns < 1024:
        return value_ns
    width = 1 << (value_ns.bit_length() - 8)
    return value_ns // width * width + width - 1


@dataclass(slots=True)
class Histogram:
    values: list[int] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.values)

    @property
    def sum_ns(self) -> int:
        return min(sum(self.values), INT64_MAX)

    @property
    def min_ns(self) -> int:
        return min(self.values, default=0)

    @property
    def max_ns(self) -> int:
        return max(self.values, default=0)

    def record(self, ns: int) -> None:
        self.values.append(max(ns, 0))

    def percentile(self, p: float) -> int:
        if not 0 <= p <= 100:
            raise ValueError(f"percentile out of range: {p}")
        if not self.values:
            return 0
        rank = max(1, -(-round(p * 1000) * self.count // 100_000))
        value_ns = sorted(self.values)[rank - 1]
        is_in_last = value_ns >= TOP_NS - 2**29
        return self.max_ns if is_in_last else min(highest_of(value_ns), self.max_ns)

    def buckets(self, bounds_ns: Iterable[int]) -> list[int]:
        last = TOP_NS - 2**29  # the last bucket has no upper end
        return [
            self.count if bound >= self.max_ns else sum(v < last and highest_of(v) <= bound for v in self.values)
            for bound in bounds_ns
        ]

    def merge(self, other: "Histogram") -> None:
        self.values.extend(other.values)

    def reset(self) -> None:
        self.values.clear()

    def snapshot(self) -> dict[str, int]:
        percentiles = {"p50_ns": 50.0, "p90_ns": 90.0, "p99_ns": 99.0, "p999_ns": 99.9}
        return {
            "count": self.count,
            "sum_ns": self.sum_ns,
            "min_ns": self.min_ns,
            "max_ns": self.max_ns,
            **{name: self.percentile(p) for name, p in percentiles.items()},
        }
