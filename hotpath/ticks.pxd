"""Market-data frames to ticks: a strict scanner of the Binance combined-stream frames that the hot path uses."""
from libc.stdint cimport int64_t, uint64_t, uint32_t, int32_t
from hotpath.quotes cimport QuoteTable

cpdef enum TickKind:
    TICK_MALFORMED = -1     # not a frame that the format allows: counted, never applied
    TICK_OTHER = 0          # a sound frame of a stream that prices nothing here (depth, ...)
    TICK_QUOTE = 1
    TICK_TRADE = 2
    TICK_UNKNOWN_SYMBOL = 3

cdef struct Tick:
    int32_t kind
    uint32_t instrument
    int64_t bid_px_e9
    int64_t bid_qty_e9
    int64_t ask_px_e9
    int64_t ask_qty_e9
    int64_t px_e9           # trade
    int64_t qty_e9
    int64_t venue_ns        # from T (else E), 0 when the frame has none (spot bookTicker)
    uint64_t feed_seq       # u of bookTicker, t of trade

cdef class TickParser:
    cdef readonly QuoteTable quotes
    cdef object feed_symbols                  # feed's name (upper case) -> instrument row
    cdef void* impl
    cdef int parse(self, const char* data, Py_ssize_t size, Tick* out) noexcept nogil    # returns out.kind
