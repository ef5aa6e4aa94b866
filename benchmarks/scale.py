"""How much of everything a run does."""

from __future__ import annotations

import msgspec


class Scale(msgspec.Struct, frozen=True):
    """The full run, by default."""

    rounds: int = 5
    closed: int = 4_000  # messages of a closed loop, a round
    rates: tuple[int, ...] = (1_000, 2_000, 8_000)
    durable_rates: tuple[int, ...] = (1_000, 2_000, 10_000)
    paced_ms: int = 1_500  # of each rate, a round
    commits: int = 300  # of the bare writer, a round
    stops: int = 100_000  # resting in tick to wire
    ticks: int = 3_000  # of a closed loop, a round
    connections: int = 16
    windows: tuple[int, ...] = (8, 32, 64)
    pipelined: int = 40_000  # orders of all connections, a round
    journalled: int = 1_000_000
    resting: int = 100_000
    peers: tuple[int, ...] = (1, 100, 1_000, 10_000)
    is_quick: bool = False


QUICK = Scale(
    rounds=1, closed=200, rates=(1_000,), durable_rates=(1_000,), paced_ms=200, commits=20, stops=2_000, ticks=200,
    windows=(8,), pipelined=1_600, journalled=5_000, resting=500, peers=(1, 10), is_quick=True,
)  # fmt: skip
