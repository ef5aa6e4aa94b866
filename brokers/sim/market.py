"""Where the venue's market comes from: a seeded generator of many symbols, or a recording. Both give Binance frames."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from random import Random

import msgspec

from brokers.sim.quirks import MILLION
from hotpath.fixed import from_e9, to_e9

E9 = 1_000_000_000
MILLI = 1000  # the walk moves in thousandths of a tick
NAMES = ("BTC", "ETH", "SOL", "XRP", "BNB", "ADA", "LTC", "LINK", "DOT", "AVAX")
PRICES = ("61800", "2650", "155", "0.6", "510", "0.35", "60", "10", "4.5", "22")
TICKS = ("0.1", "0.01", "0.01", "0.0001", "0.01", "0.0001", "0.01", "0.001", "0.001", "0.001")


class MarketEvent(msgspec.Struct, frozen=True, gc=False):
    """One frame as it is published, and what it means for matching (`kind`: quote, trade, or "" for neither)."""

    at_ns: int  # since the start of the source
    stream: str
    frame: bytes
    kind: str = ""
    sym: str = ""
    bid_px_e9: int = 0
    bid_qty_e9: int = 0
    ask_px_e9: int = 0
    ask_qty_e9: int = 0
    px_e9: int = 0
    qty_e9: int = 0


class Symbol(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One generated instrument; decimal text in configuration."""

    name: str
    px: str
    tick: str
    lot: str = "0.001"
    vol_ticks_milli: int = 800  # usual move of the mid between two updates, thousandths of a tick
    size_lots: int = 2000  # usual size of the touch


class Defects(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often published frames lie, in parts per million; matching always follows the truth."""

    malformed_ppm: int = 0  # cut or with a flipped bit
    crossed_ppm: int = 0  # bid above ask
    backward_ppm: int = 0  # an older time and sequence
    gap_ppm: int = 0  # the symbol is silent for `gap_updates` updates
    gap_updates: int = 200


def default_symbols(count: int) -> tuple[Symbol, ...]:
    """`count` symbols: ten that look like well-known pairs, then numbered ones at spread-out prices."""
    known = [
        Symbol(name=f"{n}USDT", px=p, tick=t, vol_ticks_milli=max(400, to_e9(p) // to_e9(t) // 200))
        for n, p, t in zip(NAMES, PRICES, TICKS, strict=True)
    ]
    more = [
        Symbol(name=f"S{i:04d}USDT", px=f"{20 + i * 7 % 480}", tick="0.01") for i in range(max(0, count - len(known)))
    ]
    return tuple((known + more)[:count])


def next_seq(seq: int, time_ms: int) -> int:
    """The next update id: it rises with venue time, so that scripted and generated updates can follow each other."""
    return max(seq + 1, time_ms * 1000)


def quote_frame(sym: str, bid: str, bid_qty: str, ask: str, ask_qty: str, seq: int, time_ms: int) -> bytes:
    """A USD-M futures book ticker on a combined stream."""
    return (
        f'{{"stream":"{sym.lower()}@bookTicker","data":{{"e":"bookTicker","u":{seq},"s":"{sym}","b":"{bid}","B":"{bid_qty}",'
        f'"a":"{ask}","A":"{ask_qty}","T":{time_ms},"E":{time_ms}}}}}'
    ).encode()


def trade_frame(sym: str, px: str, qty: str, seq: int, time_ms: int, *, is_buyer_maker: bool) -> bytes:
    """A USD-M futures trade on a combined stream."""
    return (
        f'{{"stream":"{sym.lower()}@trade","data":{{"e":"trade","E":{time_ms},"T":{time_ms},"s":"{sym}","t":{seq},"p":"{px}",'
        f'"q":"{qty}","X":"MARKET","m":{"true" if is_buyer_maker else "false"}}}}}'
    ).encode()


class _Walk:
    """One symbol's price: clustered volatility, rare jumps, a spread that returns to one tick."""

    def __init__(self, symbol: Symbol, rng: Random) -> None:
        self.name = symbol.name
        self.rng = rng
        self.tick_e9 = to_e9(symbol.tick)
        self.lot_e9 = to_e9(symbol.lot)
        self.size_lots = symbol.size_lots
        self.usual_vol = self.vol = symbol.vol_ticks_milli
        self.mid = self.anchor = to_e9(symbol.px) // self.tick_e9 * MILLI
        self.spread_ticks = 1
        self.seq = 0
        self.silent = 0
        self.touch = (0, 0, 0, 0)

    def _normal(self, scale: int) -> int:
        """About normal with deviation `scale`, in integers alone: the same on every machine."""
        return (self.rng.getrandbits(48).bit_count() - 24) * scale * 1000 // 3464

    def step(self) -> None:
        """Move the touch."""
        roll = self.rng.randrange(20_000)
        shock = abs(self._normal(self.vol)) * 5 // 4  # the mean of a normal's magnitude is 0.8 of its deviation
        self.vol += (self.usual_vol - self.vol) // 50 + (shock - self.vol) // 10
        self.vol = max(self.usual_vol // 4, min(self.vol, self.usual_vol * 12))
        if roll == 0:  # a jump, and the unrest that follows it
            self.mid += self.rng.choice((-1, 1)) * self.usual_vol * self.rng.randrange(20, 120)
            self.vol = self.usual_vol * 8
            self.spread_ticks += self.rng.randrange(3, 12)
        self.mid += self._normal(self.vol) + (self.anchor - self.mid) // 20_000
        self.mid = max(self.mid, self.anchor // 4)
        if roll % 4 == 0:
            self.spread_ticks += 1 if self.rng.randrange(self.usual_vol * 16) < self.vol else -1
        self.spread_ticks = max(1, min(self.spread_ticks, 25))
        bid = (self.mid - self.spread_ticks * MILLI // 2) // MILLI
        ask = bid + self.spread_ticks
        self.touch = (bid * self.tick_e9, self._size(), ask * self.tick_e9, self._size())

    def _size(self) -> int:
        """Mostly near the usual size, seldom ten times it, never nothing."""
        lots = self.rng.randrange(1, self.size_lots * 2)
        return (lots * 10 if lots % 16 == 0 else lots) * self.lot_e9


class Generator:
    """Frames of many symbols, paced at `rate_per_s` altogether; same seed, same frames."""

    def __init__(
        self, seed: int, symbols: tuple[Symbol, ...], rate_per_s: int, start_ms: int, defects: Defects | None = None
    ) -> None:
        if not symbols or rate_per_s < 1:
            raise ValueError("a generator needs symbols and a rate of at least one frame a second")
        self.rng = Random(seed)
        self.walks = [_Walk(symbol, self.rng) for symbol in symbols]
        self.step_ns = E9 // rate_per_s
        self.start_ms = start_ms
        self.defects = defects or Defects()

    def __iter__(self) -> Iterator[MarketEvent]:
        at_ns = 0
        for walk in self.walks:  # everybody has a quote before the first trade
            yield self._quote(walk, at_ns)
        while True:
            at_ns += self.step_ns // 2 + self.rng.randrange(self.step_ns + 1)
            walk = self.rng.choice(self.walks)
            event = self._trade(walk, at_ns) if self.rng.randrange(4) == 0 else self._quote(walk, at_ns)
            if walk.silent:
                walk.silent -= 1
                continue
            yield self._spoil(event, walk, at_ns)

    def _hits(self, ppm: int) -> bool:
        return ppm > 0 and self.rng.randrange(MILLION) < ppm

    def _time_ms(self, at_ns: int) -> int:
        return self.start_ms + at_ns // 1_000_000

    def _quote(self, walk: _Walk, at_ns: int) -> MarketEvent:
        walk.step()
        bid, bid_qty, ask, ask_qty = walk.touch
        time_ms = self._time_ms(at_ns)
        walk.seq = next_seq(walk.seq, time_ms)
        frame = quote_frame(
            walk.name, from_e9(bid), from_e9(bid_qty), from_e9(ask), from_e9(ask_qty), walk.seq, time_ms
        )
        return MarketEvent(
            at_ns, f"{walk.name.lower()}@bookTicker", frame, "quote", walk.name,
            bid_px_e9=bid, bid_qty_e9=bid_qty, ask_px_e9=ask, ask_qty_e9=ask_qty,
        )  # fmt: skip

    def _trade(self, walk: _Walk, at_ns: int) -> MarketEvent:
        bid, bid_qty, ask, ask_qty = walk.touch
        is_sale = bool(self.rng.getrandbits(1))
        px, room = (bid, bid_qty) if is_sale else (ask, ask_qty)
        qty = min(room, self.rng.randrange(1, walk.size_lots) * walk.lot_e9)
        time_ms = self._time_ms(at_ns)
        walk.seq = next_seq(walk.seq, time_ms)
        frame = trade_frame(walk.name, from_e9(px), from_e9(qty), walk.seq, time_ms, is_buyer_maker=is_sale)
        return MarketEvent(at_ns, f"{walk.name.lower()}@trade", frame, "trade", walk.name, px_e9=px, qty_e9=qty)

    def _spoil(self, event: MarketEvent, walk: _Walk, at_ns: int) -> MarketEvent:
        """The event as it is, or with a published frame that lies."""
        defects = self.defects
        frame = event.frame
        if self._hits(defects.gap_ppm):
            walk.silent = defects.gap_updates
        if self._hits(defects.malformed_ppm):
            spot = self.rng.randrange(len(frame))
            flipped = frame[:spot] + bytes([frame[spot] ^ 0x80]) + frame[spot + 1 :]
            return msgspec.structs.replace(event, frame=frame[:spot] if self.rng.getrandbits(1) else flipped)
        if event.kind != "quote":
            return event
        bid, bid_qty, ask, ask_qty = (from_e9(value) for value in walk.touch)
        if self._hits(defects.crossed_ppm):
            frame = quote_frame(walk.name, ask, ask_qty, bid, bid_qty, walk.seq, self._time_ms(at_ns))
        elif self._hits(defects.backward_ppm):
            frame = quote_frame(
                walk.name, bid, bid_qty, ask, ask_qty, walk.seq - 500_000, self._time_ms(at_ns) - 60_000
            )
        return msgspec.structs.replace(event, frame=frame)


class _Data(msgspec.Struct, gc=False):
    s: str = ""
    b: msgspec.Raw = msgspec.Raw(b"")
    B: str = ""
    a: msgspec.Raw = msgspec.Raw(b"")
    A: str = ""
    p: str = ""
    q: str = ""


class _Combined(msgspec.Struct, gc=False):
    stream: str = ""
    data: _Data = msgspec.field(default_factory=_Data)


_decoder = msgspec.json.Decoder(_Combined)


def read_frame(at_ns: int, frame: bytes) -> MarketEvent:
    """What a recorded frame means. A frame that cannot be read is published all the same, and matches nothing."""
    try:
        combined = _decoder.decode(frame)
        name, data = combined.stream, combined.data
        if name.endswith("@bookTicker"):
            return MarketEvent(
                at_ns, name, frame, "quote", data.s,
                bid_px_e9=to_e9(bytes(data.b)[1:-1]), bid_qty_e9=to_e9(data.B),
                ask_px_e9=to_e9(bytes(data.a)[1:-1]), ask_qty_e9=to_e9(data.A),
            )  # fmt: skip
        if name.endswith("@trade"):
            return MarketEvent(at_ns, name, frame, "trade", data.s, px_e9=to_e9(data.p), qty_e9=to_e9(data.q))
    except (msgspec.DecodeError, ValueError):
        return MarketEvent(at_ns, "", frame)
    return MarketEvent(at_ns, name, frame)


class Recording:
    """A `.jsonl` or `.jsonl.gz` file: receive time in nanoseconds, a space, the frame. Ends with it, or starts over."""

    def __init__(self, path: Path, *, repeats: bool = False) -> None:
        self.path = path
        self.repeats = repeats

    def __iter__(self) -> Iterator[MarketEvent]:
        offset_ns = 0
        while True:
            first_ns = at_ns = 0
            opened = gzip.open if self.path.suffix == ".gz" else open
            with opened(self.path, "rb") as lines:
                for line in lines:
                    stamp, _, frame = line.rstrip(b"\n").partition(b" ")
                    first_ns = first_ns or int(stamp)
                    at_ns = offset_ns + int(stamp) - first_ns
                    yield read_frame(at_ns, frame)
            if not self.repeats:
                return
            offset_ns = at_ns


MarketSource = Generator | Recording
