"""Instruments and their top of book, with the age of the data on the local monotonic clock."""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from hotpath.feeds cimport FeedTable, InstrumentRow

cpdef enum QuoteFlag:
    """Bits of what an update was; 0 means clean and usable for triggers."""
    CROSSED = 1           # bid > ask
    LOCKED = 2            # bid == ask (usable after one more update, see order-api section 8)
    ONE_SIDED = 4         # a side is missing
    BACKWARD = 8          # venue time or feed sequence went back: update not applied
    GAP = 16              # feed sequence jumped where the feed promises none: applied, counted
    BAD_VALUE = 32        # price or size not positive / out of range: update not applied
    OUT_OF_SESSION = 64   # instrument closed or halted: applied, never fires
    OUTSIDE_QUOTE = 128   # print further than outside_bps from a fresh quote: unconfirmed
    ASIDE = 256           # known from another feed, or another feed leads: kept for its feed alone, not applied

cpdef enum:
    QUOTE_COUNTERS = 11           # applied quotes, applied trades, then one for each flag bit

cdef class QuoteTable:
    cdef InstrumentRow* rows
    cdef FeedTable feeds
    cdef readonly uint32_t capacity
    cdef readonly uint32_t count
    cdef dict index_of            # symbol -> row
    cdef list symbols
    cdef uint64_t* counters       # QUOTE_COUNTERS for each feed and instrument
    # Both return the QuoteFlag bits of the update; BACKWARD, BAD_VALUE or ASIDE mean that nothing in force has changed. A
    # missing side has price and size 0. feed_seq 0 and venue_ns 0 mean that the feed gives none; a repeated feed_seq is BACKWARD.
    cdef uint32_t on_quote(self, uint32_t row, int64_t bid_px_e9, int64_t bid_qty_e9, int64_t ask_px_e9, int64_t ask_qty_e9,
                           uint64_t feed_seq, int64_t venue_ns, int64_t mono_ns, uint32_t feed) noexcept nogil
    cdef uint32_t on_trade(self, uint32_t row, int64_t px_e9, int64_t qty_e9, uint64_t feed_seq, int64_t venue_ns,
                           int64_t mono_ns, uint32_t feed) noexcept nogil
    # Reference price for pricing and collars: mid of a fresh clean two-sided quote, else fresh last, else 0. Ages by mono_ns.
    cdef int64_t reference_px(self, uint32_t row, int64_t mono_ns, int64_t max_age_ns) noexcept nogil
    # The price of a source that may fire right now (fresh, in session, clean, confirmed), 0 when none qualifies.
    cdef int64_t trigger_px(self, uint32_t row, int source, int64_t mono_ns) noexcept nogil
    # Age of what `trigger_px` gives: of the quote in force, or of the last print.
    cdef int64_t age_ns(self, uint32_t row, int source, int64_t mono_ns) noexcept nogil
    # Limit price of a market order with a collar: that many bps beyond its side of the market, on the tick; 0 without a fresh price.
    cdef int64_t collar_px(self, uint32_t row, bint is_buy, int64_t bps_e9, int64_t mono_ns) noexcept nogil
    # Whether anything (quote or print) is younger than the instrument's max_age_ns; false means blind.
    cdef bint is_fresh(self, uint32_t row, int64_t mono_ns) noexcept nogil
    # Session state; -1 leaves a member as it is. Closing or halting disqualifies the data in force for good. 0 ok, -1 bad row.
    cdef int set_session(self, uint32_t row, int is_open, int is_halted, int is_restricted) noexcept nogil
