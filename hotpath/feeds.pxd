"""Several feeds of one instrument: whose quote and print are in force (the rule is in hotpath.quotes)."""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t

cpdef enum:
    FEEDS_MAX = 16
    NO_FEED = 255                 # nothing is in force, nobody leads

cdef struct Quote:                # the last top of book that one feed gave of one instrument
    int64_t bid_px_e9             # 0 = no side
    int64_t ask_px_e9
    int64_t bid_qty_e9
    int64_t ask_qty_e9
    int64_t mono_ns               # local monotonic receipt; 0 = never
    int64_t venue_ns
    uint64_t seq
    uint32_t flags                # QuoteFlag bits
    uint32_t is_lock_confirmed    # a second update repeated the locked price

cdef struct Print:                # the last trade that one feed gave of one instrument
    int64_t px_e9
    int64_t qty_e9
    int64_t mono_ns
    int64_t venue_ns
    uint64_t seq
    uint32_t flags
    uint32_t is_outside           # it was outside the quote, confirmed or not

cdef struct FeedRow:              # what one feed says of one instrument, in force or not
    Quote quote
    Print last
    int64_t since_ns              # when it said something last, or since when it is expected to
    uint64_t is_priced            # the feed is configured to price the instrument

cdef struct Newest:               # who said something of one kind last, and where it stands in the market's order
    uint32_t feed
    uint64_t seq
    int64_t venue_ns
    int64_t mono_ns

cdef struct InstrumentRow:        # static members, and what is in force
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
    uint8_t is_lock_confirmed
    uint8_t quote_feed            # whose quote is in force; NO_FEED: nobody's
    uint8_t last_feed
    int64_t seen_ns               # receipt of the newest data that was forgotten with its connection
    uint32_t lead                 # market that is believed here; NO_FEED: the first that speaks
    uint32_t pad

cdef struct FeedTable:
    InstrumentRow* rows
    FeedRow* lines                # by feed, then by instrument
    uint32_t capacity             # instruments
    uint32_t count                # feeds
    uint8_t markets[16]           # FEEDS_MAX: of each feed; feeds of one market carry the venue's own times
    uint8_t is_up[16]

# Whether an update comes in force instead of what is known of its kind; moves the lead to its market if need be.
cdef bint takes(const FeedTable* table, InstrumentRow* at, const Newest* known, const Newest* new, bint is_print) noexcept nogil
# Another market stands in where the one that leads is down or its data beyond its limit. Whether what is in force changed.
cdef bint stand_in(const FeedTable* table, uint32_t row, int64_t mono_ns) noexcept nogil
# A connection ends, or has ended: how long nothing was heard counts from its last word too.
cdef void remember_said(const FeedTable* table, uint32_t feed, uint32_t row) noexcept nogil
# A new connection of the feed: its numbering and venue time start afresh; what it brought qualifies no more, unless another
# feed of its market is up.
cdef void reset_feed(const FeedTable* table, uint32_t feed, uint32_t row) noexcept nogil

cdef inline FeedRow* line_of(const FeedTable* table, uint32_t feed, uint32_t row) noexcept nogil:
    return table.lines + <size_t>feed * table.capacity + row

cdef inline void put_quote(InstrumentRow* at, const Quote* quote, uint32_t feed) noexcept nogil:      # it is in force from here
    at.bid_px_e9 = quote.bid_px_e9
    at.bid_qty_e9 = quote.bid_qty_e9
    at.ask_px_e9 = quote.ask_px_e9
    at.ask_qty_e9 = quote.ask_qty_e9
    at.quote_mono_ns = quote.mono_ns
    at.quote_venue_ns = quote.venue_ns
    at.quote_seq = quote.seq
    at.flags_quote = quote.flags
    at.is_lock_confirmed = <uint8_t>quote.is_lock_confirmed
    at.quote_feed = <uint8_t>feed

cdef inline void put_print(InstrumentRow* at, const Print* last, uint32_t feed) noexcept nogil:
    at.last_px_e9 = last.px_e9
    at.last_qty_e9 = last.qty_e9
    at.last_mono_ns = last.mono_ns
    at.last_venue_ns = last.venue_ns
    at.last_seq = last.seq
    at.flags_last = last.flags
    at.last_feed = <uint8_t>feed
