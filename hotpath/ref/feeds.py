"""Twin of hotpath.feeds: several feeds of one instrument, and whose quote and print are in force.

Feeds of one market carry the venue's own times and numbers: the newest by them counts, whoever brings it. Between
markets one leads; another takes over when the leader is down or its data is old.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hotpath.ref.quotes import Instrument

FEEDS_MAX = 16
NO_FEED = 255
SET_BACK_NS = 60_000_000_000  # no feed lags so far behind another of its market: the venue has set its clock


@dataclass(slots=True)
class Quote:
    """The last top of book that one feed gave of one instrument."""

    bid_px_e9: int = 0
    ask_px_e9: int = 0
    bid_qty_e9: int = 0
    ask_qty_e9: int = 0
    mono_ns: int = 0
    venue_ns: int = 0
    seq: int = 0
    flags: int = 0
    is_lock_confirmed: int = 0


@dataclass(slots=True)
class Print:
    """The last trade that one feed gave of one instrument."""

    px_e9: int = 0
    qty_e9: int = 0
    mono_ns: int = 0
    venue_ns: int = 0
    seq: int = 0
    flags: int = 0
    is_outside: int = 0


@dataclass(slots=True)
class Line:
    """What one feed says of one instrument, in force or not."""

    quote: Quote = field(default_factory=Quote)
    last: Print = field(default_factory=Print)
    since_ns: int = 0  # when it said something last, or since when it is expected to
    is_priced: int = 1

    @property
    def mono_ns(self) -> int:
        return max(self.quote.mono_ns, self.last.mono_ns)


@dataclass(frozen=True, slots=True)
class Newest:
    """Who said something of one kind last, and where it stands in the market's order."""

    feed: int
    seq: int
    venue_ns: int
    mono_ns: int

    def is_later(self, other: Newest) -> bool:
        """Of equal times without a number the same feed's is the later one: it came second."""
        if self.venue_ns != other.venue_ns:
            return self.venue_ns > other.venue_ns
        return self.seq > other.seq or (self.seq == 0 and self.feed == other.feed)


def _goes_back(at: Instrument, known: Newest, new: Newest) -> bool:
    """Nothing goes back in its market's time, unless the venue's clock did: then what was said ends at its limit."""
    has_been_set_back = known.venue_ns - new.venue_ns > SET_BACK_NS
    is_over = known.mono_ns == 0 or new.mono_ns - known.mono_ns > at.max_age_ns
    return not new.is_later(known) and not (has_been_set_back and is_over)


def put_quote(at: Instrument, quote: Quote, feed: int) -> None:
    """A feed's quote is in force from here."""
    at.bid_px_e9, at.bid_qty_e9, at.ask_px_e9, at.ask_qty_e9 = (
        quote.bid_px_e9, quote.bid_qty_e9, quote.ask_px_e9, quote.ask_qty_e9,
    )  # fmt: skip
    at.quote_mono_ns, at.quote_venue_ns, at.quote_seq = quote.mono_ns, quote.venue_ns, quote.seq
    at.flags_quote, at.is_lock_confirmed, at.quote_feed = quote.flags, quote.is_lock_confirmed, feed


def put_print(at: Instrument, last: Print, feed: int) -> None:
    """A feed's print is in force from here."""
    at.last_px_e9, at.last_qty_e9 = last.px_e9, last.qty_e9
    at.last_mono_ns, at.last_venue_ns, at.last_seq = last.mono_ns, last.venue_ns, last.seq
    at.flags_last, at.last_feed = last.flags, feed


@dataclass(slots=True)
class Feeds:
    """The feeds of a table: the market of each, which are up, what each said last of each instrument."""

    markets: list[int]
    instruments: list[Instrument]
    is_up: list[bool] = field(default_factory=list)
    lines: list[list[Line]] = field(default_factory=list)  # by feed, then by instrument

    def __post_init__(self) -> None:
        self.is_up = [True] * len(self.markets)
        self.lines = [[Line() for _ in self.instruments] for _ in self.markets]

    def takes(self, at: Instrument, known: Newest, new: Newest, kind: str) -> bool:
        """Whether an update comes in force instead of what is known of its kind; moves the lead if need be."""
        market = self.markets[new.feed]
        if known.feed == NO_FEED:
            if self._is_overtaken(at, new, kind):
                return False
            at.lead = market if at.lead == NO_FEED else at.lead
            return True
        if self.markets[known.feed] == market:
            if new.venue_ns and known.venue_ns:
                return not _goes_back(at, known, new)
            if new.feed == known.feed:
                return True
        elif self._is_overtaken(at, new, kind):
            return False
        elif market == at.lead:
            return True
        if self._is_led(at, new.mono_ns, at.max_age_ns // 2):  # by its other kind of data, perhaps
            return known.mono_ns == 0 or new.mono_ns - known.mono_ns > at.max_age_ns
        at.lead = market
        return True

    def _is_overtaken(self, at: Instrument, new: Newest, kind: str) -> bool:
        """Whether another feed of its market said it, or what came after it, before."""
        row = next(row for row, one in enumerate(self.instruments) if one is at)
        for feed, lines in enumerate(self.lines):
            it: Quote | Print = getattr(lines[row], kind)
            is_of_it = feed != new.feed and self.markets[feed] == self.markets[new.feed]
            is_told = it.venue_ns != 0 and new.venue_ns != 0
            if is_of_it and is_told and _goes_back(at, Newest(feed, it.seq, it.venue_ns, it.mono_ns), new):
                return True
        return False

    def stand_in(self, row: int, mono_ns: int) -> bool:
        """Let another market lead where the one that does is down or old. Whether what is in force changed."""
        at = self.instruments[row]
        if self._is_led(at, mono_ns, at.max_age_ns):
            return False
        others = {
            feed: lines[row].mono_ns
            for feed, lines in enumerate(self.lines)
            if self.is_up[feed]
            and self.markets[feed] != at.lead
            and lines[row].mono_ns > self._lead_mono_ns(at)
            and mono_ns - lines[row].mono_ns <= at.max_age_ns
        }
        if not others:
            return False
        at.lead = self.markets[max(others, key=lambda feed: others[feed])]
        quotes = list(self._said("quote", at.lead, row))
        if quotes:
            newest = _newest(quotes)
            put_quote(at, self.lines[newest.feed][row].quote, newest.feed)
        prints = list(self._said("last", at.lead, row))
        if prints:
            newest = _newest(prints)
            put_print(at, self.lines[newest.feed][row].last, newest.feed)
        return True

    def remember_said(self, feed: int, row: int) -> None:
        """A connection ends, or has ended: how long nothing was heard counts from its last word too."""
        at, line = self.instruments[row], self.lines[feed][row]
        if at.lead != self.markets[feed]:  # it was put aside, and would have stood in
            at.seen_ns = max(at.seen_ns, line.quote.mono_ns, line.last.mono_ns)

    def reset(self, feed: int, row: int) -> None:
        """A new connection: what the feed brought is forgotten, unless another feed of its market goes on from it."""
        at = self.instruments[row]
        line = self.lines[feed][row]
        line.quote, line.last = Quote(), Print()
        if self._is_market_up(self.markets[feed], but=feed):
            return
        at.seen_ns = max(at.seen_ns, at.quote_mono_ns, at.last_mono_ns)
        if at.quote_feed == feed:
            at.quote_feed = NO_FEED
            at.quote_seq = at.quote_venue_ns = at.quote_mono_ns = 0
        if at.last_feed == feed:
            at.last_feed = NO_FEED
            at.last_seq = at.last_venue_ns = at.last_mono_ns = 0
        if at.lead == self.markets[feed]:
            at.lead = NO_FEED

    def _said(self, kind: str, market: int, row: int) -> Iterator[Newest]:
        for feed, lines in enumerate(self.lines):
            it: Quote | Print = getattr(lines[row], kind)
            if self.is_up[feed] and self.markets[feed] == market and it.mono_ns:
                yield Newest(feed, it.seq, it.venue_ns, it.mono_ns)

    def _is_market_up(self, market: int, but: int = NO_FEED) -> bool:
        return any(
            up and at == market
            for feed, (up, at) in enumerate(zip(self.is_up, self.markets, strict=True))
            if feed != but
        )

    def _is_led(self, at: Instrument, mono_ns: int, limit_ns: int) -> bool:
        """Whether a market leads that is connected, and whose newest data is within the limit."""
        if at.lead == NO_FEED or not self._is_market_up(at.lead):
            return False
        newest_ns = self._lead_mono_ns(at)
        return newest_ns != 0 and mono_ns - newest_ns <= limit_ns

    def _lead_mono_ns(self, at: Instrument) -> int:
        """Receipt of the newest data in force that is the leader's; 0 for none."""
        stamps = [
            stamp_ns
            for feed, stamp_ns in ((at.quote_feed, at.quote_mono_ns), (at.last_feed, at.last_mono_ns))
            if feed != NO_FEED and self.markets[feed] == at.lead
        ]
        return max(stamps, default=0)


def _newest(said: list[Newest]) -> Newest:
    """The later one, the first of equals."""
    best = said[0]
    for one in said[1:]:
        if one.is_later(best):
            best = one
    return best
