"""Tapes: market-data frames with their times of receipt, as recorded or as a seed makes them, faults included."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random

import msgspec

SYMBOL = "BTCUSDT"
SPOT, FUTURES = "binance-spot-btcusdt_20240808.jsonl.gz", "binance-usdm-btcusdt_20240808.jsonl.gz"
TICKS = {SPOT: Decimal("0.01"), FUTURES: Decimal("0.1")}
MADE_TICK = Decimal("0.01")
MAX_AGE_NS = 2_000_000_000
OUTSIDE_BPS = 50  # a print further from a fresh quote than this is unconfirmed


@dataclass(frozen=True, slots=True)
class Tape:
    """`frames`: (local time of receipt in ns, the text frame); `tick`: the instrument's price step."""

    tick: Decimal
    frames: list[tuple[int, bytes]] = field(repr=False)


def recorded(folder: Path, name: str, most: int | None = None) -> Tape:
    """The first `most` frames of a recorded session."""
    frames = []
    with gzip.open(folder / name, "rb") as lines:
        for number, line in enumerate(lines):
            if number == most:
                break
            receipt, _, frame = line.rstrip(b"\n").partition(b" ")
            frames.append((int(receipt), frame))
    return Tape(TICKS[name], frames)


def _decimal(ticks: int) -> str:
    return str(ticks * MADE_TICK)


def _quote(number: int, venue_ms: int, bid: int, ask: int) -> bytes:
    """`bid` and `ask` in ticks; 0 is a missing side."""
    data = {
        "e": "bookTicker", "u": number, "s": SYMBOL, "b": _decimal(bid) if bid else "0", "B": "1" if bid else "0",
        "a": _decimal(ask) if ask else "0", "A": "2" if ask else "0", "T": venue_ms, "E": venue_ms,
    }  # fmt: skip
    return msgspec.json.encode({"stream": "btcusdt@bookTicker", "data": data})


def _trade(number: int, venue_ms: int, px: int, how: str = "MARKET") -> bytes:
    data = {
        "e": "trade", "E": venue_ms, "T": venue_ms, "s": SYMBOL, "t": number, "p": _decimal(px), "q": "0.5", "X": how,
    }  # fmt: skip
    return msgspec.json.encode({"stream": "btcusdt@trade", "data": data})


def made(seed: int, count: int) -> Tape:
    """A random walk in which one frame in eight is a fault: crossed, locked, one-sided, late, far off, or silence."""
    draw, frames = Random(seed), []
    now_ns, venue_ms, bid, spread = 1_723_161_255_000_000_000, 1_723_161_256_000, 6_000_000, 1
    for number in range(10, 10 + 10 * count, 10):
        now_ns += draw.randrange(1, 3_000_000)
        venue_ms += draw.randrange(2)
        bid += draw.choice((0, 0, 0, -1, 1, -3, 3, -40, 40)) if draw.random() < 0.99 else draw.randrange(-4_000, 4_000)
        spread = draw.choice((1, 1, 2, 10))
        fault = draw.random() * 8
        if draw.random() < 0.3:
            px, far = bid + draw.randint(0, spread), draw.choice((-1, 1)) * draw.randrange(31_000, 60_000)
            if fault < 0.25:
                frames += [
                    (now_ns, _trade(number + more, venue_ms, px + far)) for more in range(draw.choice((1, 1, 2, 4)))
                ]
            elif fault < 0.4:
                frames.append((now_ns, _trade(number - 10 * draw.randrange(1, 9), venue_ms, px + 2_000)))
            elif fault < 0.6:
                frames.append((now_ns, _trade(number, venue_ms - 5_000, px - 2_000)))
            elif fault < 0.8:
                frames.append((now_ns, _trade(number, venue_ms, px - 20_000, "INSURANCE_FUND")))
            else:
                frames.append((now_ns, _trade(number, venue_ms, px)))
            continue
        if fault < 0.2:
            frames.append((now_ns, _quote(number, venue_ms, bid + 500, bid - 500)))
        elif fault < 0.5:
            frames.append((now_ns, _quote(number, venue_ms, bid + 300, bid + 300)))
        elif fault < 0.6:
            frames += [(now_ns + more, _quote(number + more, venue_ms, bid - 200, bid - 200)) for more in range(2)]
        elif fault < 0.8:
            sides = draw.choice(((bid, 0), (0, bid + 1)))
            frames.append((now_ns, _quote(number, venue_ms, *sides)))
        elif fault < 0.9:
            frames.append((now_ns, _quote(number, venue_ms - 5_000, bid - 3_000, bid - 2_999)))
        elif fault < 1:
            now_ns += draw.randrange(3_000_000_000)
        else:
            frames.append((now_ns, _quote(number, venue_ms, bid, bid + spread)))
    return Tape(MADE_TICK, frames)
