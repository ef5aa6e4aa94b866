"""Instruments and their top of book: what was applied, how old it is, and whether it may fire a trigger."""
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from hotpath.enums cimport ASK, BID, LAST, MID
from hotpath.feeds cimport (
    FEEDS_MAX, NO_FEED, FeedRow, Newest, Print, Quote, line_of, put_print, put_quote, remember_said, reset_feed, stand_in, takes,
)
from hotpath.fixed cimport MAX_E9
from hotpath.plants cimport TRIGGER_ON_STALE_QUOTE, is_planted

cdef extern from "hotpath/src/fixed.hpp" namespace "backstay" nogil:
    int scale_bps(int64_t value, int64_t bps_e9, int64_t* out) noexcept

cdef enum:
    DENSE_QUOTES = 1
    DENSE_TRADES = 2
    UNFIT_QUOTE = 65              # CROSSED | OUT_OF_SESSION
    UNFIT_PRINT = 192             # OUT_OF_SESSION | OUTSIDE_QUOTE
    UNFIT_MID = 7                 # CROSSED | LOCKED | ONE_SIDED: prices no order


cdef inline bint is_young(int64_t stamp_ns, int64_t mono_ns, int64_t max_age_ns) noexcept nogil:
    return stamp_ns != 0 and (mono_ns - stamp_ns <= max_age_ns or is_planted(TRIGGER_ON_STALE_QUOTE))


cdef inline bint is_side(int64_t px_e9, int64_t qty_e9) noexcept nogil:
    """Missing altogether, or a sound price with a sound size."""
    if px_e9 == 0 and qty_e9 == 0:
        return True
    return 0 < px_e9 <= MAX_E9 and 0 < qty_e9 <= MAX_E9


cdef inline bint is_backward(uint64_t feed_seq, uint64_t last_seq, int64_t venue_ns, int64_t last_venue_ns) noexcept nogil:
    """A repeat counts as backward: it is no news, so it must neither refresh the age nor confirm anything."""
    if feed_seq != 0 and feed_seq <= last_seq:
        return True
    return venue_ns != 0 and venue_ns < last_venue_ns


cdef inline bint is_gap(uint64_t feed_seq, uint64_t last_seq) noexcept nogil:
    return feed_seq != 0 and last_seq != 0 and feed_seq - last_seq != 1


cdef inline bint is_near(int64_t px_e9, int64_t low_e9, int64_t high_e9, int64_t bps_e9) noexcept nogil:
    """Within `bps` of the span [low, high]; a margin beyond int64 is no bound at all."""
    cdef int64_t margin_e9 = 0
    if px_e9 < low_e9:
        return scale_bps(low_e9, bps_e9, &margin_e9) != 0 or low_e9 - px_e9 <= margin_e9
    if px_e9 > high_e9:
        return scale_bps(high_e9, bps_e9, &margin_e9) != 0 or px_e9 - high_e9 <= margin_e9
    return True


cdef inline bint is_outside_quote(const InstrumentRow* at, const Quote* own, int64_t px_e9, int64_t mono_ns) noexcept nogil:
    """Further than outside_bps from a quote that is fresh, two-sided, in session and not crossed: the feed's own, or that in
    force where the feed gives none."""
    if own.mono_ns != 0:
        if own.flags & (CROSSED | ONE_SIDED | OUT_OF_SESSION) or not is_young(own.mono_ns, mono_ns, at.max_age_ns):
            return False
        return not is_near(px_e9, own.bid_px_e9, own.ask_px_e9, at.outside_bps_e9)
    if at.flags_quote & (CROSSED | ONE_SIDED | OUT_OF_SESSION) or not is_young(at.quote_mono_ns, mono_ns, at.max_age_ns):
        return False
    return not is_near(px_e9, at.bid_px_e9, at.ask_px_e9, at.outside_bps_e9)


cdef inline int64_t mid_px(const InstrumentRow* row) noexcept nogil:
    """Half way, a half unit of 1e-9 rounded down; written so that the sum cannot overflow. Needs bid <= ask."""
    return row.bid_px_e9 + (row.ask_px_e9 - row.bid_px_e9) // 2


cdef uint32_t note(uint64_t* counters, uint32_t flags) noexcept nogil:
    """Count each flag bit of an update."""
    cdef uint32_t rest = flags
    cdef int place = 2
    while rest:
        counters[place] = counters[place] + (rest & 1)
        rest >>= 1
        place += 1
    return flags


cdef uint32_t checked(QuoteTable table, object row) except? 0xFFFFFFFF:
    cdef uint32_t index = row
    if index >= table.count:
        raise IndexError(f"no instrument at row {index}")
    return index


cdef uint32_t checked_feed(QuoteTable table, object feed) except? 0xFFFFFFFF:
    cdef uint32_t index = feed
    if index >= table.feeds.count:
        raise IndexError(f"no feed {index}")
    return index


cdef class QuoteTable:
    """A fixed number of instrument rows. Units: prices and sizes 1e-9, times nanoseconds (mono_ns > 0)."""

    def __cinit__(self, uint32_t capacity):
        if capacity == 0:
            raise ValueError("capacity must be at least 1")
        self.rows = <InstrumentRow*>PyMem_Calloc(capacity, sizeof(InstrumentRow))
        if self.rows == NULL:
            raise MemoryError
        self.capacity = capacity
        self.count = 0
        self.index_of = {}
        self.symbols = []
        self.set_feeds([0])

    def __dealloc__(self):
        PyMem_Free(self.rows)
        PyMem_Free(self.feeds.lines)
        PyMem_Free(self.counters)

    cdef uint32_t on_quote(self, uint32_t row, int64_t bid_px_e9, int64_t bid_qty_e9, int64_t ask_px_e9, int64_t ask_qty_e9,
                           uint64_t feed_seq, int64_t venue_ns, int64_t mono_ns, uint32_t feed) noexcept nogil:
        if row >= self.count or feed >= self.feeds.count:
            return BAD_VALUE
        cdef InstrumentRow* at = self.rows + row
        cdef FeedRow* line = self.feeds.lines + <size_t>feed * self.capacity + row
        cdef Quote* own = &line.quote
        cdef uint64_t* counters = self.counters + (<size_t>feed * self.capacity + row) * QUOTE_COUNTERS
        cdef uint32_t flags = 0
        cdef Newest known, new
        if not line.is_priced:
            return note(counters, ASIDE)
        if not is_side(bid_px_e9, bid_qty_e9) or not is_side(ask_px_e9, ask_qty_e9):
            return note(counters, BAD_VALUE)
        if is_backward(feed_seq, own.seq, venue_ns, own.venue_ns):
            return note(counters, BACKWARD)
        cdef bint is_repeated_lock = False
        if bid_px_e9 == 0 or ask_px_e9 == 0:
            flags |= ONE_SIDED
        elif bid_px_e9 > ask_px_e9:
            flags |= CROSSED
        elif bid_px_e9 == ask_px_e9:
            flags |= LOCKED
            is_repeated_lock = own.flags & LOCKED and own.bid_px_e9 == bid_px_e9
        if at.dense_seq & DENSE_QUOTES and is_gap(feed_seq, own.seq):
            flags |= GAP
        if not at.is_open or at.is_halted:
            flags |= OUT_OF_SESSION
        own.is_lock_confirmed = is_repeated_lock
        own.bid_px_e9 = bid_px_e9
        own.bid_qty_e9 = bid_qty_e9
        own.ask_px_e9 = ask_px_e9
        own.ask_qty_e9 = ask_qty_e9
        own.mono_ns = line.since_ns = mono_ns
        if venue_ns != 0:
            own.venue_ns = venue_ns
        if feed_seq != 0:
            own.seq = feed_seq
        own.flags = flags
        if self.feeds.count > 1:
            known.feed, known.seq, known.venue_ns, known.mono_ns = at.quote_feed, at.quote_seq, at.quote_venue_ns, at.quote_mono_ns
            new.feed, new.seq, new.venue_ns, new.mono_ns = feed, feed_seq, venue_ns, mono_ns
            if not takes(&self.feeds, at, &known, &new, False):
                return note(counters, flags | ASIDE)
        put_quote(at, own, feed)
        counters[0] = counters[0] + 1
        return note(counters, flags) if flags else 0

    cdef uint32_t on_trade(self, uint32_t row, int64_t px_e9, int64_t qty_e9, uint64_t feed_seq, int64_t venue_ns,
                           int64_t mono_ns, uint32_t feed) noexcept nogil:
        if row >= self.count or feed >= self.feeds.count:
            return BAD_VALUE
        cdef InstrumentRow* at = self.rows + row
        cdef FeedRow* line = self.feeds.lines + <size_t>feed * self.capacity + row
        cdef Print* own = &line.last
        cdef uint64_t* counters = self.counters + (<size_t>feed * self.capacity + row) * QUOTE_COUNTERS
        cdef uint32_t flags = 0
        cdef Newest known, new
        if not line.is_priced:
            return note(counters, ASIDE)
        if not 0 < px_e9 <= MAX_E9 or not 0 < qty_e9 <= MAX_E9:
            return note(counters, BAD_VALUE)
        if is_backward(feed_seq, own.seq, venue_ns, own.venue_ns):
            return note(counters, BACKWARD)
        cdef bint is_outside = is_outside_quote(at, &line.quote, px_e9, mono_ns)
        # Only a print that failed this very test, and no other, can be confirmed, and only by the next one of its feed:
        # another feed's copy of it is the same print.
        cdef bint is_confirmed = (own.is_outside and not own.flags & OUT_OF_SESSION
                                  and is_near(px_e9, own.px_e9, own.px_e9, at.outside_bps_e9))
        if is_outside and not is_confirmed:
            flags |= OUTSIDE_QUOTE
        if at.dense_seq & DENSE_TRADES and is_gap(feed_seq, own.seq):
            flags |= GAP
        if not at.is_open or at.is_halted:
            flags |= OUT_OF_SESSION
        own.is_outside = is_outside
        own.px_e9 = px_e9
        own.qty_e9 = qty_e9
        own.mono_ns = line.since_ns = mono_ns
        if venue_ns != 0:
            own.venue_ns = venue_ns
        if feed_seq != 0:
            own.seq = feed_seq
        own.flags = flags
        if self.feeds.count > 1:
            known.feed, known.seq, known.venue_ns, known.mono_ns = at.last_feed, at.last_seq, at.last_venue_ns, at.last_mono_ns
            new.feed, new.seq, new.venue_ns, new.mono_ns = feed, feed_seq, venue_ns, mono_ns
            if not takes(&self.feeds, at, &known, &new, True):
                return note(counters, flags | ASIDE)
        put_print(at, own, feed)
        counters[1] = counters[1] + 1
        return note(counters, flags) if flags else 0

    cdef int64_t trigger_px(self, uint32_t row, int source, int64_t mono_ns) noexcept nogil:
        if row >= self.count:
            return 0
        cdef const InstrumentRow* at = self.rows + row
        if not at.is_open or at.is_halted:
            return 0
        if source == LAST:
            if at.flags_last & UNFIT_PRINT or not is_young(at.last_mono_ns, mono_ns, at.max_age_ns):
                return 0
            return at.last_px_e9
        if at.flags_quote & UNFIT_QUOTE or not is_young(at.quote_mono_ns, mono_ns, at.max_age_ns):
            return 0
        if at.flags_quote & LOCKED and not at.is_lock_confirmed:
            return 0
        if source == BID:
            return at.bid_px_e9
        if source == ASK:
            return at.ask_px_e9
        if source == MID and not at.flags_quote & ONE_SIDED:
            return mid_px(at)
        return 0

    cdef int64_t age_ns(self, uint32_t row, int source, int64_t mono_ns) noexcept nogil:
        if row >= self.count:
            return mono_ns
        if is_planted(TRIGGER_ON_STALE_QUOTE):
            return 0
        return mono_ns - (self.rows[row].last_mono_ns if source == LAST else self.rows[row].quote_mono_ns)

    cdef int64_t reference_px(self, uint32_t row, int64_t mono_ns, int64_t max_age_ns) noexcept nogil:
        if row >= self.count:
            return 0
        cdef const InstrumentRow* at = self.rows + row
        cdef int64_t limit_ns = at.max_age_ns
        if 0 < max_age_ns < limit_ns:
            limit_ns = max_age_ns
        if not at.flags_quote & UNFIT_MID and is_young(at.quote_mono_ns, mono_ns, limit_ns):
            return mid_px(at)
        if not at.flags_last & OUTSIDE_QUOTE and is_young(at.last_mono_ns, mono_ns, limit_ns):
            return at.last_px_e9
        return 0

    cdef int64_t collar_px(self, uint32_t row, bint is_buy, int64_t bps_e9, int64_t mono_ns) noexcept nogil:
        cdef int64_t px = self.trigger_px(row, ASK if is_buy else BID, mono_ns)
        if px == 0:
            px = self.reference_px(row, mono_ns, 0)
        if px <= 0:
            return 0
        cdef int64_t tick = self.rows[row].tick_e9
        cdef int64_t most = MAX_E9 - MAX_E9 % tick
        cdef int64_t off = 0
        if scale_bps(px, bps_e9, &off):
            off = most                                  # beyond all prices
        if is_buy:
            px += min(off, most - min(px, most))
            return min(px + (tick - px % tick) % tick, most)
        px = max(px - off, 0)
        return max(px - px % tick, tick)

    cdef bint is_fresh(self, uint32_t row, int64_t mono_ns) noexcept nogil:
        if row >= self.count:
            return False
        cdef const InstrumentRow* at = self.rows + row
        return is_young(at.quote_mono_ns, mono_ns, at.max_age_ns) or is_young(at.last_mono_ns, mono_ns, at.max_age_ns)

    cdef int set_session(self, uint32_t row, int is_open, int is_halted, int is_restricted) noexcept nogil:
        cdef uint32_t feed
        if row >= self.count:
            return -1
        cdef InstrumentRow* at = self.rows + row
        if is_open >= 0:
            at.is_open = is_open != 0
        if is_halted >= 0:
            at.is_halted = is_halted != 0
        if is_restricted >= 0:
            at.is_restricted = is_restricted != 0
        if not at.is_open or at.is_halted:
            # The reopening is judged by its own first data, never by what was in force when the session ended.
            at.flags_quote |= OUT_OF_SESSION
            at.flags_last |= OUT_OF_SESSION
            for feed in range(self.feeds.count):
                line_of(&self.feeds, feed, row).quote.flags |= OUT_OF_SESSION
                line_of(&self.feeds, feed, row).last.flags |= OUT_OF_SESSION
        return 0

    # --- the Python side ---------------------------------------------------------------------------------------------

    @property
    def feed_count(self):
        return self.feeds.count

    def set_feeds(self, list markets not None):
        """The feeds, by the number of the market that each is of; all of them up, none has said anything.

        A table begins with one. Raises ValueError for none, more than FEEDS_MAX, or a market beyond it.
        """
        cdef uint32_t feed, row
        if not 1 <= len(markets) <= FEEDS_MAX or not all(0 <= market < FEEDS_MAX for market in markets):
            raise ValueError(f"1 to {FEEDS_MAX} feeds, and as many markets at most: {markets}")
        cdef FeedRow* lines = <FeedRow*>PyMem_Calloc(<size_t>len(markets) * self.capacity, sizeof(FeedRow))
        cdef uint64_t* counters = <uint64_t*>PyMem_Calloc(<size_t>len(markets) * self.capacity * QUOTE_COUNTERS, sizeof(uint64_t))
        if lines == NULL or counters == NULL:
            PyMem_Free(lines)
            PyMem_Free(counters)
            raise MemoryError
        PyMem_Free(self.feeds.lines)
        PyMem_Free(self.counters)
        self.feeds.rows, self.feeds.lines, self.counters = self.rows, lines, counters
        self.feeds.capacity, self.feeds.count = self.capacity, <uint32_t>len(markets)
        for feed in range(self.feeds.count):
            self.feeds.markets[feed], self.feeds.is_up[feed] = markets[feed], 1
            for row in range(self.capacity):
                lines[<size_t>feed * self.capacity + row].is_priced = 1
        for row in range(self.count):
            self.rows[row].quote_feed = self.rows[row].last_feed = NO_FEED
            self.rows[row].lead = NO_FEED
            self.rows[row].quote_mono_ns = self.rows[row].last_mono_ns = 0

    def set_priced(self, feed, list rows not None):
        """The instruments that a feed prices; what it says of others is put aside."""
        cdef uint32_t which = checked_feed(self, feed)
        cdef uint32_t row
        for row in range(self.capacity):
            line_of(&self.feeds, which, row).is_priced = row in rows

    def set_up(self, feed, bint is_up, int64_t mono_ns):
        """A feed's connection was made, and all of it begins anew, or was lost. Rows where another feed stands in for it."""
        cdef uint32_t which = checked_feed(self, feed)
        cdef uint32_t row
        cdef FeedRow* line
        self.feeds.is_up[which] = is_up
        for row in range(self.count):
            line = line_of(&self.feeds, which, row)
            if line.is_priced:
                remember_said(&self.feeds, which, row)
            if line.is_priced and is_up:
                reset_feed(&self.feeds, which, row)
                line.since_ns = mono_ns
        return self.relieve(mono_ns)

    def relieve(self, int64_t mono_ns):
        """Rows where another market stands in from now, because the leading one is down or its data beyond its limit."""
        cdef uint32_t row
        if self.feeds.count == 1:
            return []
        return [row for row in range(self.count) if stand_in(&self.feeds, row, mono_ns)]

    def leaders(self):
        """The feed of each instrument's newest data in force, NO_FEED for none."""
        cdef uint32_t row
        return [self.rows[row].quote_feed if self.rows[row].quote_mono_ns >= self.rows[row].last_mono_ns
                else self.rows[row].last_feed for row in range(self.count)]

    def expect_from(self, int64_t mono_ns):
        """From now on each feed may be expected to speak of what it prices."""
        cdef size_t at
        for at in range(<size_t>self.feeds.count * self.capacity):
            self.feeds.lines[at].since_ns = mono_ns

    def add(self, str symbol, *, int64_t tick_e9, int64_t lot_e9, int64_t min_qty_e9, int64_t max_age_ns,
            int64_t outside_bps_e9, int asset_class, bint dense_quotes=False, bint dense_trades=False):
        """Row of a new instrument, open and not halted. Raises ValueError on bad data, OverflowError when full."""
        if not symbol or symbol in self.index_of:
            raise ValueError(f"symbol is empty or already there: {symbol!r}")
        if not (0 < tick_e9 <= MAX_E9 and 0 < lot_e9 <= MAX_E9 and 0 <= min_qty_e9 <= MAX_E9):
            raise ValueError(f"{symbol}: tick and lot must be positive, minimum quantity not negative")
        if max_age_ns <= 0 or outside_bps_e9 < 0 or not 0 <= asset_class <= 3:
            raise ValueError(f"{symbol}: max_age_ns, outside_bps_e9 or asset_class out of range")
        if self.count == self.capacity:
            raise OverflowError(f"instrument table is full: capacity={self.capacity}")
        cdef uint32_t row = self.count
        cdef InstrumentRow* at = self.rows + row
        at.tick_e9 = tick_e9
        at.lot_e9 = lot_e9
        at.min_qty_e9 = min_qty_e9
        at.max_age_ns = max_age_ns
        at.outside_bps_e9 = outside_bps_e9
        at.asset_class = asset_class
        at.dense_seq = (DENSE_QUOTES if dense_quotes else 0) | (DENSE_TRADES if dense_trades else 0)
        at.is_open = 1
        at.quote_feed = at.last_feed = NO_FEED
        at.lead = NO_FEED
        self.index_of[symbol] = row
        self.symbols.append(symbol)
        self.count += 1
        return row

    def row_of(self, str symbol):
        """Row of a symbol, -1 when there is none."""
        return self.index_of.get(symbol, -1)

    def symbol_of(self, row):
        return self.symbols[checked(self, row)]

    def snapshot(self, row):
        """Everything known about an instrument."""
        cdef uint32_t index = checked(self, row)
        cdef dict state = self.rows[index]
        del state["pad"]
        state["symbol"] = self.symbols[index]
        return state

    def line(self, row, feed):
        """What a feed said last of an instrument, in force or not."""
        cdef uint32_t index = checked(self, row)
        cdef dict state = line_of(&self.feeds, checked_feed(self, feed), index)[0]
        return state

    def counters_of(self, row, feed=None):
        """Counts of applied updates and of each flag since the start, of one feed or of all."""
        cdef uint32_t index = checked(self, row)
        feeds = range(self.feeds.count) if feed is None else (checked_feed(self, feed),)
        return {name: sum(self.counters[(<size_t>one * self.capacity + index) * QUOTE_COUNTERS + i] for one in feeds)
                for i, name in enumerate(COUNTER_NAMES)}

    def set_state(self, row, is_open=None, is_halted=None, is_restricted=None):
        cdef uint32_t index = checked(self, row)
        self.set_session(index, -1 if is_open is None else bool(is_open), -1 if is_halted is None else bool(is_halted),
                         -1 if is_restricted is None else bool(is_restricted))

    def quote(self, row, int64_t bid_px_e9, int64_t bid_qty_e9, int64_t ask_px_e9, int64_t ask_qty_e9,
              uint64_t feed_seq, int64_t venue_ns, int64_t mono_ns, uint32_t feed=0):
        """Apply a top of book; returns its QuoteFlag bits."""
        return self.on_quote(checked(self, row), bid_px_e9, bid_qty_e9, ask_px_e9, ask_qty_e9, feed_seq, venue_ns, mono_ns, feed)

    def trade(self, row, int64_t px_e9, int64_t qty_e9, uint64_t feed_seq, int64_t venue_ns, int64_t mono_ns, uint32_t feed=0):
        """Apply a print; returns its QuoteFlag bits."""
        return self.on_trade(checked(self, row), px_e9, qty_e9, feed_seq, venue_ns, mono_ns, feed)

    def trigger(self, row, int source, int64_t mono_ns):
        """The price of a source that may fire right now, 0 when none qualifies."""
        return self.trigger_px(checked(self, row), source, mono_ns)

    def age(self, row, int source, int64_t mono_ns):
        """Age of the data that `trigger` judges by."""
        return self.age_ns(checked(self, row), source, mono_ns)

    def reference(self, row, int64_t mono_ns, int64_t max_age_ns=0):
        """The price that values and collars orders, 0 when nothing is fresh. max_age_ns can only tighten the instrument's."""
        return self.reference_px(checked(self, row), mono_ns, max_age_ns)

    def fresh(self, row, int64_t mono_ns):
        return self.is_fresh(checked(self, row), mono_ns)

    def restart_feed(self, row, feed=0):
        """A new connection of a feed: numbering starts afresh, nothing of it qualifies until new data came."""
        reset_feed(&self.feeds, checked_feed(self, feed), checked(self, row))


COUNTER_NAMES = ("quotes", "trades", "crossed", "locked", "one_sided", "backward", "gap", "bad_value",
                 "out_of_session", "outside_quote", "aside")
