"""Stops of all kinds, placed at random times and distances on a tape."""

from __future__ import annotations

from random import Random

from tests.replay.reference import BUY, CENTI_BPS, SELL, SOURCES, Series, Stop

KINDS = ("stop", "touch", "amount", "bps")
FAR_BPS = 30  # stops rest up to so far from the market
GRID = 4_000  # at most so many distinct amounts: the index bounds them for each line


def place(series: dict[str, Series], frames: int, count: int, seed: int) -> list[Stop]:
    """Sorted by time of arming; none is through the price in force, or the first one, when it is armed."""
    draw = Random(seed)
    times = sorted(draw.randrange(frames) for _ in range(count))
    return [_stop(draw, series, armed_at) for armed_at in times]


def _stop(draw: Random, series: dict[str, Series], armed_at: int) -> Stop:
    source, side, kind = draw.choice(SOURCES), draw.choice((SELL, BUY)), draw.choice(KINDS)
    of = series[source]
    before = int(of.frame.searchsorted(armed_at)) - 1
    market = int(of.px[max(before, 0)])
    far = market * FAR_BPS // 10_000
    # As many near as far: most fire, some only after a long run, some never.
    steps = max(1, int(far ** draw.random()) // 2)
    falls = (side == SELL) != (kind == "touch")
    if kind in ("stop", "touch"):
        size = (market - 1) // 2 * 2 - 2 * (steps - 1) if falls else -(-(market + 1) // 2) * 2 + 2 * (steps - 1)
        return Stop(armed_at, source, side, kind, size)
    if kind == "amount":
        grain = max(1, far // GRID)
        return Stop(armed_at, source, side, kind, max(2, 2 * steps // grain * grain))
    size = max(2 * CENTI_BPS // market + 1, int((FAR_BPS * 100) ** draw.random()))
    return Stop(armed_at, source, side, kind, size)
