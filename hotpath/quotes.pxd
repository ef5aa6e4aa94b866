"""Instruments and their top of book, with the age of the data on the local monotonic clock."""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t

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

cdef struct InstrumentRow:
    int64_t tick_e9
    int64_t lot_e9
    int64_t min_qty_e9
    int64_t max_age_ns            # older data than this never fires and never prices an order
    int64_t outside_bps_e9
    int64_t bid_px_e9             # 0 = no side
    int64_t ask_px_e9
    int64_t bid_qty_e9
    int64_t ask_qty_e9
    int64_t quote_mono_ns         # local monotonic receipt; 0 = never
    int64_t quote_venue_ns
    uint64_t quote_seq
    int64_t last_px_e9
    int64_t last_qty_e9
    int64_t last_mono_ns
    int64_t last_venue_ns
    uint64_t last_seq
    uint32_t flags_quote          # QuoteFlag bits of the quote in force
    uint32_t flags_last
    uint8_t is_open               # session
    uint8_t is_halted
    uint8_t is_restricted
    uint8_t asset_class           # 0 equity, 1 crypto, 2 future, 3 fx
    uint8_t dense_seq             # bit 0: quotes, bit 1: trades are numbered without gaps by the feed
    uint8_t is_lock_confirmed     # a second update repeated the locked price
    uint8_t is_last_outside       # the last print was outside the quote, confirmed or not
    uint8_t pad

cpdef enum:
    QUOTE_COUNTERS = 10           # applied quotes, applied trades, then one for each flag bit

cdef class QuoteTable:
    cdef InstrumentRow* rows
    cdef readonly uint32_t capacity
    cdef readonly uint32_t count
    cdef dict index_of            # symbol -> row
    cdef list symbols
    cdef uint64_t* counters       # QUOTE_COUNTERS for each instrument
    # Both return the QuoteFlag bits of the update; BACKWARD or BAD_VALUE mean nothing was applied. A missing side has
    # price and size 0. feed_seq 0 and venue_ns 0 mean that the feed gives none; a repeated feed_seq is BACKWARD.
    cdef uint32_t on_quote(self, uint32_t row, int64_t bid_px_e9, int64_t bid_qty_e9, int64_t ask_px_e9,
                           int64_t ask_qty_e9, uint64_t feed_seq, int64_t venue_ns, int64_t mono_ns) noexcept nogil
    cdef uint32_t on_trade(self, uint32_t row, int64_t px_e9, int64_t qty_e9, uint64_t feed_seq, int64_t venue_ns,
                           int64_t mono_ns) noexcept nogil
    # Reference price for pricing and collars: mid of a fresh clean two-sided quote, else fresh last, else 0. Ages by mono_ns.
    cdef int64_t reference_px(self, uint32_t row, int64_t mono_ns, int64_t max_age_ns) noexcept nogil
    # The price of a source that may fire right now (fresh, in session, clean, confirmed), 0 when none qualifies.
    cdef int64_t trigger_px(self, uint32_t row, int source, int64_t mono_ns) noexcept nogil
    # Limit price of a market order with a collar: that many bps beyond its side of the market, on the tick; 0 without a fresh price.
    cdef int64_t collar_px(self, uint32_t row, bint is_buy, int64_t bps_e9, int64_t mono_ns) noexcept nogil
    # Whether anything (quote or print) is younger than the instrument's max_age_ns; false means blind.
    cdef bint is_fresh(self, uint32_t row, int64_t mono_ns) noexcept nogil
    # Session state; -1 leaves a member as it is. Closing or halting disqualifies the data in force for good. 0 ok, -1 bad row.
    cdef int set_session(self, uint32_t row, int is_open, int is_halted, int is_restricted) noexcept nogil
    # A new feed connection: numbering and venue time start afresh, and nothing qualifies until new data came.
    cdef int reset_feed(self, uint32_t row) noexcept nogil
