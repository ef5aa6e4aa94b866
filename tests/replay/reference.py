"""When each stop fires on a tape, by the text of docs/order-api.md alone: one stop at a time, over whole arrays.

Nothing here is shared with the product, the reading of the frames included. Prices are integers in half ticks, so that
a mid between two ticks is exact; events are numbered by their frame.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from tests.replay.tape import MAX_AGE_NS, OUTSIDE_BPS, Tape

SOURCES = ("last", "bid", "ask", "mid")
JUDGED = {"last": 0, "bid": 0, "ask": 1, "mid": 2}  # the order in which one frame's prices are judged
SELL, BUY = 0, 1
CENTI_BPS = 1_000_000  # of a whole
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stop:
    """One order: `armed_at` is the number of the frame before which it was armed. Prices and amounts in half ticks.

    `kind`: "stop", "touch", "amount" or "bps" (in hundredths); `size` is the trigger price of the first two, else the
    trail. `activation`: the price that a trail waits for, 0 for none.
    """

    armed_at: int
    source: str
    side: int
    kind: str
    size: int
    activation: int = 0

    @property
    def falls(self) -> bool:
        """Whether a price at or below its stop fires it."""
        return (self.side == SELL) != (self.kind == "touch")


@dataclass(frozen=True, slots=True)
class Series:
    """The prices of a source that may fire, in order: of which frame, and how much."""

    frame: Ints
    px: Ints


@dataclass(frozen=True, slots=True)
class Firing:
    """`frame` and `px` that fired it; its trigger price by then, and since when it was there."""

    frame: int
    px: int
    stop: int
    arrived: int


class _Quotes:
    """The quote in force and whether it may fire."""

    def __init__(self) -> None:
        self.bid = self.ask = 0
        self.received_ns = 0
        self.number = self.venue_ms = 0
        self.is_crossed = self.is_locked = False

    def take(self, data: dict[str, object], bid: int, ask: int, now_ns: int) -> dict[str, int]:
        """The prices of this update that qualify, by source; nothing for one whose time or number went back."""
        number, venue_ms = int(str(data["u"])), int(str(data.get("T", data.get("E", 0))))
        if number <= self.number or (venue_ms and venue_ms < self.venue_ms):
            return {}
        is_locked = bid == ask
        is_confirmed = is_locked and self.is_locked and self.bid == bid
        self.bid, self.ask, self.received_ns = bid, ask, now_ns
        self.number, self.venue_ms = number, max(venue_ms, self.venue_ms)
        self.is_crossed, self.is_locked = bid > ask > 0, is_locked
        if self.is_crossed or (is_locked and not is_confirmed):
            return {}
        found = {"bid": bid, "ask": ask, "mid": (bid + ask) // 2 if bid and ask else 0}
        return {source: px for source, px in found.items() if px}

    def is_far(self, px: int, now_ns: int) -> bool:
        """Outside the quote by more than it may be, where a fresh one of two sides says so."""
        if not (self.bid and self.ask) or self.is_crossed or now_ns - self.received_ns > MAX_AGE_NS:
            return False
        return _is_beyond(px, self.bid, self.ask)


def _is_beyond(px: int, low: int, high: int) -> bool:
    return px * 10_000 < low * (10_000 - OUTSIDE_BPS) or px * 10_000 > high * (10_000 + OUTSIDE_BPS)


class _Prints:
    """The last sale, and whether it was confirmed."""

    def __init__(self) -> None:
        self.number = self.venue_ms = self.px = 0
        self.was_far = False

    def take(self, data: dict[str, object], px: int, now_ns: int, quotes: _Quotes) -> dict[str, int]:
        number, venue_ms = int(str(data["t"])), int(str(data["T"]))
        if data.get("X", "MARKET") != "MARKET" or number <= self.number or venue_ms < self.venue_ms:
            return {}
        is_far = quotes.is_far(px, now_ns)
        is_confirmed = self.was_far and not _is_beyond(px, self.px, self.px)
        self.number, self.venue_ms, self.px, self.was_far = number, venue_ms, px, is_far
        return {} if is_far and not is_confirmed else {"last": px}


def qualifying(tape: Tape) -> dict[str, Series]:
    """The prices that may fire, by source."""
    quotes, prints = _Quotes(), _Prints()
    found: dict[str, list[tuple[int, int]]] = {source: [] for source in SOURCES}

    def units(text: str) -> int:
        return int(Decimal(text) / tape.tick * 2)

    for frame, (now_ns, text) in enumerate(tape.frames):
        message = json.loads(text)
        data, kind = message.get("data", {}), message.get("stream", "").partition("@")[2]
        prices: dict[str, int] = {}
        if kind == "bookTicker":
            prices = quotes.take(data, units(data["b"]), units(data["a"]), now_ns)
        elif kind == "trade":
            prices = prints.take(data, units(data["p"]), now_ns, quotes)
        for source, px in prices.items():
            found[source].append((frame, px))
    columns = {source: np.array(rows, dtype=np.int64).reshape(-1, 2) for source, rows in found.items()}
    return {source: Series(rows[:, 0].copy(), rows[:, 1].copy()) for source, rows in columns.items()}


def trail_stops(stop: Stop, extremes: Ints) -> Ints:
    """The stop of each extreme, on the tick away from the market."""
    whole = 2 * CENTI_BPS  # half ticks to ticks, and hundredths of a basis point to one
    if stop.kind == "amount":
        return (extremes - stop.size) // 2 * 2 if stop.falls else -(-(extremes + stop.size) // 2) * 2
    if stop.falls:
        return extremes * (CENTI_BPS - stop.size) // whole * 2
    return -(-extremes * (CENTI_BPS + stop.size) // whole) * 2


def firing_of(stop: Stop, series: Series) -> Firing | None:
    """The first qualifying price at or through its stop, after it was armed."""
    start = int(np.searchsorted(series.frame, stop.armed_at))
    px, frame = series.px[start:], series.frame[start:]
    if stop.kind in ("stop", "touch"):
        through = px <= stop.size if stop.falls else px >= stop.size
        at = int(np.argmax(through)) if through.any() else -1
        return None if at < 0 else Firing(int(frame[at]), int(px[at]), stop.size, 2 * stop.armed_at)
    if stop.activation:
        active = px >= stop.activation if stop.falls else px <= stop.activation
        begin = int(np.argmax(active)) if active.any() else len(px)
        px, frame = px[begin:], frame[begin:]
    extremes = np.maximum.accumulate(px) if stop.falls else np.minimum.accumulate(px)
    stops = trail_stops(stop, extremes)
    through = px <= stops if stop.falls else px >= stops
    if not through.any():
        return None
    at = int(np.argmax(through))
    moved = np.flatnonzero(np.diff(stops[: at + 1]))
    arrived = int(frame[moved[-1] + 1]) if len(moved) else int(frame[0])
    return Firing(int(frame[at]), int(px[at]), int(stops[at]), 2 * arrived + 1)


def firings(stops: list[Stop], series: dict[str, Series]) -> list[tuple[int, int, int]]:
    """(frame, price, number of the stop) of all that fire, in the order in which they do.

    Of one frame: bid before ask before mid; what a falling price fires before what a rising one does; the nearest
    trigger first; at one trigger price who has been there longest: since it was armed, or since its trail last moved.
    Trails moved by the same price stand by amount before bps, the shorter first, then as they were armed.
    """
    rows = []
    for number, stop in enumerate(stops):
        fired = firing_of(stop, series[stop.source])
        if fired is not None:
            trail = (0, 0) if stop.kind in ("stop", "touch") else (1 + (stop.kind == "bps"), stop.size)
            order = (
                fired.frame,
                JUDGED[stop.source],
                not stop.falls,
                -fired.stop if stop.falls else fired.stop,
                fired.arrived,
                *trail,
                number,
            )
            rows.append((order, fired))
    rows.sort(key=lambda row: row[0])
    return [(fired.frame, fired.px, int(order[-1])) for order, fired in rows]
