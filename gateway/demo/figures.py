"""Distributions as people read them: p50, p99, p99.9 and the largest."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


class Spread(msgspec.Struct, frozen=True):
    """A distribution of nanoseconds; all 0 when nothing was measured."""

    count: int
    p50_ns: int
    p99_ns: int
    p999_ns: int
    max_ns: int

    def text(self) -> str:
        """One line for a person."""
        if not self.count:
            return "nothing measured"
        parts = (("p50", self.p50_ns), ("p99", self.p99_ns), ("p99.9", self.p999_ns), ("max", self.max_ns))
        return ", ".join(f"{name} {readable(value)}" for name, value in parts) + f" ({self.count})"


def spread(values_ns: Iterable[int]) -> Spread:
    """The distribution of these values: each figure is one that was measured, the one at or above the rank."""
    values = sorted(values_ns)
    if not values:
        return Spread(0, 0, 0, 0, 0)

    def at(per_mille: int) -> int:
        return values[min(len(values) - 1, len(values) * per_mille // 1000)]

    return Spread(len(values), at(500), at(990), at(999), values[-1])


def readable(value_ns: int) -> str:
    """Nanoseconds in the unit that fits."""
    if value_ns < 1_000_000:
        return f"{value_ns / 1_000:.0f} µs"
    return f"{value_ns / 1_000_000:.1f} ms"
