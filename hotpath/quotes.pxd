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
    uint32_t pad

cdef class QuoteTable:
    cdef InstrumentRow* rows
    cdef readonly uint32_t capacity
    cdef readonly uint32_t count
    cdef dict index_of            # symbol -> row
    cdef list symbols
    cdef uint64_t* counters       # QUOTE_COUNTERS each instrument: applied quotes, applied trades, then one per flag bit
    # Both return the QuoteFlag bits of the update; BACKWARD or BAD_VALUE mean nothing was applied.
    cdef uint32_t on_quote(self, uint32_t row, int64_t bid_px_e9, int64_t bid_qty_e9, int64_t ask_px_e9,
                           int64_t ask_qty_e9, uint64_t feed_seq, int64_t venue_ns, int64_t mono_ns) noexcept nogil
    cdef uint32_t on_trade(self, uint32_t row, int64_t px_e9, int64_t qty_e9, uint64_t feed_seq, int64_t venue_ns,
                           int64_t mono_ns) noexcept nogil
    # Reference price for pricing and collars: mid of a fresh clean two-sided quote, else fresh last, else 0. Ages by mono_ns.
    cdef int64_t reference_px(self, uint32_t row, int64_t mono_ns, int64_t max_age_ns) noexcept nogil
