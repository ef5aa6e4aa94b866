"""Twin of hotpath.quotes: one plain object for each instrument, the rules of "what qualifies as a price" in words."""

from dataclasses import asdict, dataclass, field
from typing import Any

from hotpath.ref.feeds import FEEDS_MAX, NO_FEED, Feeds, Line, Newest, Quote, put_print, put_quote
from hotpath.ref.fixed import MAX_E9, scale

CROSSED, LOCKED, ONE_SIDED, BACKWARD, GAP, BAD_VALUE, OUT_OF_SESSION, OUTSIDE_QUOTE, ASIDE = (
    1 << bit for bit in range(9)
)
FLAG_NAMES = (
    "crossed", "locked", "one_sided", "backward", "gap", "bad_value", "out_of_session", "outside_quote", "aside",
)  # fmt: skip
LAST, BID, ASK, MID = 0, 1, 2, 3


@dataclass(slots=True)
class Instrument:
    symbol: str
    tick_e9: int
    lot_e9: int
    min_qty_e9: int
    max_age_ns: int
    outside_bps_e9: int
    asset_class: int
    dense_seq: int
    bid_px_e9: int = 0
    ask_px_e9: int = 0
    bid_qty_e9: int = 0
    ask_qty_e9: int = 0
    quote_mono_ns: int = 0
    quote_venue_ns: int = 0
    quote_seq: int = 0
    last_px_e9: int = 0
    last_qty_e9: int = 0
    last_mono_ns: int = 0
    last_venue_ns: int = 0
    last_seq: int = 0
    flags_quote: int = 0
    flags_last: int = 0
    is_open: int = 1
    is_halted: int = 0
    is_restricted: int = 0
    is_lock_confirmed: int = 0
    quote_feed: int = NO_FEED  # whose quote is in force
    last_feed: int = NO_FEED
    seen_ns: int = 0  # receipt of the newest data that was forgotten with its connection
    lead: int = NO_FEED  # market that is believed here

    @property
    def is_trading(self) -> bool:
        return bool(self.is_open) and not self.is_halted

    def has_young_quote(self, mono_ns: int, max_age_ns: int) -> bool:
        return self.quote_mono_ns != 0 and mono_ns - self.quote_mono_ns <= max_age_ns

    def has_young_last(self, mono_ns: int, max_age_ns: int) -> bool:
        return self.last_mono_ns != 0 and mono_ns - self.last_mono_ns <= max_age_ns

    def near(self, px_e9: int, low_e9: int, high_e9: int) -> bool:
        """Within outside_bps of the span [low, high]."""
        bps = 10_000 * 10**9
        below, above = (edge * self.outside_bps_e9 // bps for edge in (low_e9, high_e9))
        return low_e9 - below <= px_e9 <= high_e9 + above

    def is_outside_quote(self, own: Quote, px_e9: int, mono_ns: int) -> bool:
        """By the quote of the print's own feed, or by the one in force where the feed gives none."""
        if own.mono_ns:
            stamp_ns, flags, low_e9, high_e9 = own.mono_ns, own.flags, own.bid_px_e9, own.ask_px_e9
        else:
            stamp_ns, flags, low_e9, high_e9 = self.quote_mono_ns, self.flags_quote, self.bid_px_e9, self.ask_px_e9
        if not stamp_ns or mono_ns - stamp_ns > self.max_age_ns or flags & (CROSSED | ONE_SIDED | OUT_OF_SESSION):
            return False
        return not self.near(px_e9, low_e9, high_e9)


def _is_backward(feed_seq: int, last_seq: int, venue_ns: int, last_venue_ns: int) -> bool:
    return (feed_seq != 0 and feed_seq <= last_seq) or (venue_ns != 0 and venue_ns < last_venue_ns)


def _is_gap(is_dense: bool, feed_seq: int, last_seq: int) -> bool:
    return is_dense and feed_seq != 0 and last_seq != 0 and feed_seq != last_seq + 1


def _is_positive(value: int) -> bool:
    return 0 < value <= MAX_E9


def _is_side(px_e9: int, qty_e9: int) -> bool:
    return (px_e9 == 0 and qty_e9 == 0) or (_is_positive(px_e9) and _is_positive(qty_e9))


@dataclass(slots=True)
class QuoteTable:
    capacity: int
    rows: list[Instrument] = field(default_factory=list)
    counters: list[list[dict[str, int]]] = field(default_factory=list)  # by feed, then by instrument
    index_of: dict[str, int] = field(default_factory=dict)  # symbol -> row
    feeds: Feeds = field(init=False)

    def __post_init__(self) -> None:
        self.set_feeds([0])

    def set_feeds(self, markets: list[int]) -> None:
        """The feeds, by the number of the market that each is of; all of them up, none has said anything."""
        if not 1 <= len(markets) <= FEEDS_MAX or not all(0 <= market < FEEDS_MAX for market in markets):
            raise ValueError(f"1 to {FEEDS_MAX} feeds, and as many markets at most: {markets}")
        self.feeds = Feeds(list(markets), self.rows)
        self.counters = [[_no_counts() for _ in self.rows] for _ in markets]
        for at in self.rows:
            at.quote_feed = at.last_feed = at.lead = NO_FEED
            at.quote_mono_ns = at.last_mono_ns = 0

    @property
    def feed_count(self) -> int:
        return len(self.feeds.markets)

    def set_priced(self, feed: int, rows: list[int]) -> None:
        """The instruments that a feed prices; what it says of others is put aside."""
        for row, line in enumerate(self.feeds.lines[feed]):
            line.is_priced = int(row in rows)

    def set_up(self, feed: int, is_up: bool, mono_ns: int) -> list[int]:
        """A feed's connection was made or lost. Rows where another feed stands in for it."""
        self.feeds.is_up[feed] = is_up
        for row, line in enumerate(self.feeds.lines[feed]):
            if line.is_priced:
                self.feeds.remember_said(feed, row)
            if line.is_priced and is_up:
                self.feeds.reset(feed, row)
                line.since_ns = mono_ns
        return self.relieve(mono_ns)

    def relieve(self, mono_ns: int) -> list[int]:
        """Rows where another market stands in from now."""
        if self.feed_count == 1:
            return []
        return [row for row in range(self.count) if self.feeds.stand_in(row, mono_ns)]

    def leaders(self) -> list[int]:
        """The feed of each instrument's newest data in force, NO_FEED for none."""
        return [at.quote_feed if at.quote_mono_ns >= at.last_mono_ns else at.last_feed for at in self.rows]

    def expect_from(self, mono_ns: int) -> None:
        """From now on each feed may be expected to speak of what it prices."""
        for lines in self.feeds.lines:
            for line in lines:
                line.since_ns = mono_ns

    @property
    def count(self) -> int:
        return len(self.rows)

    def row_of(self, symbol: str) -> int:
        """Row of a symbol, -1 when there is none."""
        return self.index_of.get(symbol, -1)

    def symbol_of(self, row: int) -> str:
        return self.rows[row].symbol

    def add(
        self,
        symbol: str,
        *,
        tick_e9: int,
        lot_e9: int,
        min_qty_e9: int,
        max_age_ns: int,
        outside_bps_e9: int,
        asset_class: int,
        dense_quotes: bool = False,
        dense_trades: bool = False,
    ) -> int:
        if not symbol or symbol in self.index_of:
            raise ValueError(f"symbol is empty or already there: {symbol!r}")
        if not (_is_positive(tick_e9) and _is_positive(lot_e9) and 0 <= min_qty_e9 <= MAX_E9):
            raise ValueError(f"{symbol}: tick and lot must be positive, minimum quantity not negative")
        if max_age_ns <= 0 or outside_bps_e9 < 0 or not 0 <= asset_class <= 3:
            raise ValueError(f"{symbol}: max_age_ns, outside_bps_e9 or asset_class out of range")
        if len(self.rows) == self.capacity:
            raise OverflowError(f"instrument table is full: capacity={self.capacity}")
        dense_seq = int(dense_quotes) | int(dense_trades) << 1
        self.rows.append(
            Instrument(symbol, tick_e9, lot_e9, min_qty_e9, max_age_ns, outside_bps_e9, asset_class, dense_seq)
        )
        for lines, counters in zip(self.feeds.lines, self.counters, strict=True):
            lines.append(Line())
            counters.append(_no_counts())
        self.index_of[symbol] = len(self.rows) - 1
        return len(self.rows) - 1

    def _count(self, feed: int, row: int, flags: int, kind: str) -> int:
        counters = self.counters[feed][row]
        if not flags & (BACKWARD | BAD_VALUE | ASIDE):
            counters[kind] += 1
        for bit, name in enumerate(FLAG_NAMES):
            counters[name] += flags >> bit & 1
        return flags

    def quote(
        self,
        row: int,
        bid_px_e9: int,
        bid_qty_e9: int,
        ask_px_e9: int,
        ask_qty_e9: int,
        feed_seq: int,
        venue_ns: int,
        mono_ns: int,
        feed: int = 0,
    ) -> int:
        if feed >= self.feed_count:
            return BAD_VALUE
        at, line = self.rows[row], self.feeds.lines[feed][row]
        own = line.quote
        if not line.is_priced:
            return self._count(feed, row, ASIDE, "quotes")
        if not _is_side(bid_px_e9, bid_qty_e9) or not _is_side(ask_px_e9, ask_qty_e9):
            return self._count(feed, row, BAD_VALUE, "quotes")
        if _is_backward(feed_seq, own.seq, venue_ns, own.venue_ns):
            return self._count(feed, row, BACKWARD, "quotes")
        is_two_sided = bid_px_e9 > 0 and ask_px_e9 > 0
        is_locked = is_two_sided and bid_px_e9 == ask_px_e9
        was_locked = bool(own.flags & LOCKED)
        flags = 0 if is_two_sided else ONE_SIDED
        flags |= CROSSED if is_two_sided and bid_px_e9 > ask_px_e9 else 0
        flags |= LOCKED if is_locked else 0
        flags |= GAP if _is_gap(bool(at.dense_seq & 1), feed_seq, own.seq) else 0
        flags |= 0 if at.is_trading else OUT_OF_SESSION
        own.is_lock_confirmed = int(is_locked and was_locked and own.bid_px_e9 == bid_px_e9)
        own.bid_px_e9, own.bid_qty_e9, own.ask_px_e9, own.ask_qty_e9 = bid_px_e9, bid_qty_e9, ask_px_e9, ask_qty_e9
        own.mono_ns = line.since_ns = mono_ns
        own.venue_ns, own.seq, own.flags = venue_ns or own.venue_ns, feed_seq or own.seq, flags
        known = Newest(at.quote_feed, at.quote_seq, at.quote_venue_ns, at.quote_mono_ns)
        if self.feed_count > 1 and not self.feeds.takes(at, known, Newest(feed, feed_seq, venue_ns, mono_ns), "quote"):
            return self._count(feed, row, flags | ASIDE, "quotes")
        put_quote(at, own, feed)
        return self._count(feed, row, flags, "quotes")

    def trade(
        self, row: int, px_e9: int, qty_e9: int, feed_seq: int, venue_ns: int, mono_ns: int, feed: int = 0
    ) -> int:
        if feed >= self.feed_count:
            return BAD_VALUE
        at, line = self.rows[row], self.feeds.lines[feed][row]
        own = line.last
        if not line.is_priced:
            return self._count(feed, row, ASIDE, "trades")
        if not _is_positive(px_e9) or not _is_positive(qty_e9):
            return self._count(feed, row, BAD_VALUE, "trades")
        if _is_backward(feed_seq, own.seq, venue_ns, own.venue_ns):
            return self._count(feed, row, BACKWARD, "trades")
        is_outside = at.is_outside_quote(line.quote, px_e9, mono_ns)
        failed_only_that = bool(own.is_outside) and not own.flags & OUT_OF_SESSION
        is_confirmed = failed_only_that and at.near(px_e9, own.px_e9, own.px_e9)
        flags = OUTSIDE_QUOTE if is_outside and not is_confirmed else 0
        flags |= GAP if _is_gap(bool(at.dense_seq & 2), feed_seq, own.seq) else 0
        flags |= 0 if at.is_trading else OUT_OF_SESSION
        own.is_outside = int(is_outside)
        own.px_e9, own.qty_e9 = px_e9, qty_e9
        own.mono_ns = line.since_ns = mono_ns
        own.venue_ns, own.seq, own.flags = venue_ns or own.venue_ns, feed_seq or own.seq, flags
        known = Newest(at.last_feed, at.last_seq, at.last_venue_ns, at.last_mono_ns)
        if self.feed_count > 1 and not self.feeds.takes(at, known, Newest(feed, feed_seq, venue_ns, mono_ns), "last"):
            return self._count(feed, row, flags | ASIDE, "trades")
        put_print(at, own, feed)
        return self._count(feed, row, flags, "trades")

    def trigger(self, row: int, source: int, mono_ns: int) -> int:
        at = self.rows[row]
        if not at.is_trading:
            return 0
        if source == LAST:
            is_clean = not at.flags_last & (OUT_OF_SESSION | OUTSIDE_QUOTE)
            return at.last_px_e9 if is_clean and at.has_young_last(mono_ns, at.max_age_ns) else 0
        is_clean = not at.flags_quote & (CROSSED | OUT_OF_SESSION)
        is_settled = not at.flags_quote & LOCKED or bool(at.is_lock_confirmed)
        if not (is_clean and is_settled and at.has_young_quote(mono_ns, at.max_age_ns)):
            return 0
        mid_e9 = 0 if at.flags_quote & ONE_SIDED else (at.bid_px_e9 + at.ask_px_e9) // 2
        return {BID: at.bid_px_e9, ASK: at.ask_px_e9, MID: mid_e9}.get(source, 0)

    def age(self, row: int, source: int, mono_ns: int) -> int:
        """Age of the data that `trigger` judges by."""
        at = self.rows[row]
        return mono_ns - (at.last_mono_ns if source == LAST else at.quote_mono_ns)

    def reference(self, row: int, mono_ns: int, max_age_ns: int = 0) -> int:
        at = self.rows[row]
        limit_ns = min(max_age_ns, at.max_age_ns) if max_age_ns > 0 else at.max_age_ns
        if at.has_young_quote(mono_ns, limit_ns) and not at.flags_quote & (CROSSED | LOCKED | ONE_SIDED):
            return (at.bid_px_e9 + at.ask_px_e9) // 2
        if at.has_young_last(mono_ns, limit_ns) and not at.flags_last & OUTSIDE_QUOTE:
            return at.last_px_e9
        return 0

    def collar(self, row: int, is_buy: bool, bps_e9: int, mono_ns: int) -> int:
        """Limit price of a market order with a collar, so many bps beyond its side; 0 without a fresh price."""
        px_e9 = self.trigger(row, ASK if is_buy else BID, mono_ns) or self.reference(row, mono_ns)
        if px_e9 <= 0:
            return 0
        tick_e9 = self.rows[row].tick_e9
        most_e9 = MAX_E9 - MAX_E9 % tick_e9
        try:
            off_e9 = scale(px_e9, bps_e9)
        except OverflowError:
            off_e9 = most_e9  # beyond all prices
        if is_buy:
            return min(-(-(px_e9 + off_e9) // tick_e9) * tick_e9, most_e9)
        px_e9 = max(px_e9 - off_e9, 0)
        return max(px_e9 - px_e9 % tick_e9, tick_e9)

    def fresh(self, row: int, mono_ns: int) -> bool:
        at = self.rows[row]
        return at.has_young_quote(mono_ns, at.max_age_ns) or at.has_young_last(mono_ns, at.max_age_ns)

    def set_state(
        self, row: int, is_open: bool | None = None, is_halted: bool | None = None, is_restricted: bool | None = None
    ) -> None:
        at = self.rows[row]
        at.is_open = at.is_open if is_open is None else int(is_open)
        at.is_halted = at.is_halted if is_halted is None else int(is_halted)
        at.is_restricted = at.is_restricted if is_restricted is None else int(is_restricted)
        if not at.is_trading:
            at.flags_quote |= OUT_OF_SESSION
            at.flags_last |= OUT_OF_SESSION
            for lines in self.feeds.lines:
                lines[row].quote.flags |= OUT_OF_SESSION
                lines[row].last.flags |= OUT_OF_SESSION

    def restart_feed(self, row: int, feed: int = 0) -> None:
        """A new connection of a feed: numbering starts afresh, nothing of it qualifies until new data came."""
        self.feeds.reset(feed, row)

    def line(self, row: int, feed: int) -> dict[str, Any]:
        """What a feed said last of an instrument, in force or not."""
        return asdict(self.feeds.lines[feed][row])

    def snapshot(self, row: int) -> dict[str, Any]:
        """Everything known about an instrument."""
        at = self.rows[row]
        return {name: getattr(at, name) for name in Instrument.__slots__}

    def counters_of(self, row: int, feed: int | None = None) -> dict[str, int]:
        """Counts of applied updates and of each flag since the start, of one feed or of all."""
        feeds = self.counters if feed is None else [self.counters[feed]]
        return {name: sum(counters[row][name] for counters in feeds) for name in _no_counts()}


def _no_counts() -> dict[str, int]:
    return dict.fromkeys(("quotes", "trades", *FLAG_NAMES), 0)
