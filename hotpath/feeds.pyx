"""Several feeds of one instrument: whose quote and print are in force.

Each feed has a row of its own for each instrument (`FeedRow`): its numbering, its last quote and print. What is in force is one
of them at a time:

- Feeds of one *market* carry the venue's own times and numbers: what is newest by them counts, whoever brings it first. Another
  feed's copy of it, and all that is older, is put aside.
- Between markets one *leads*. Another takes over with its next update when the leader's connections are down or its newest data
  is older than half of the instrument's limit; and at once (`stand_in`), with what it said last if that is fresher, when they are
  down or it is beyond the whole of the limit.
  It then leads until the same befalls it, so that the prices of two venues do not alternate.
"""
from libc.string cimport memset
from hotpath.plants cimport APPLY_OLDER_OF_TWO_FEEDS, is_planted

cdef enum:
    SET_BACK_NS = 60000000000     # no feed lags so far behind another of its market: the venue has set its clock


cdef inline bint is_later(const Newest* one, const Newest* other) noexcept nogil:
    """In the market's order. Of equal times without a number the same feed's is the later one: it came second."""
    if one.venue_ns != other.venue_ns:
        return one.venue_ns > other.venue_ns
    return one.seq > other.seq or (one.seq == 0 and one.feed == other.feed)


cdef inline bint is_within(int64_t stamp_ns, int64_t mono_ns, int64_t limit_ns) noexcept nogil:
    return stamp_ns != 0 and mono_ns - stamp_ns <= limit_ns


cdef inline bint is_market_up(const FeedTable* table, uint32_t market, uint32_t but) noexcept nogil:
    """Whether a feed of the market is connected, `but` left out."""
    cdef uint32_t feed
    for feed in range(table.count):
        if feed != but and table.is_up[feed] and table.markets[feed] == market:
            return True
    return False


cdef inline int64_t lead_mono_ns(const FeedTable* table, const InstrumentRow* at) noexcept nogil:
    """Receipt of the newest data in force that is the leader's; 0 for none."""
    cdef int64_t newest = 0
    if at.quote_feed != NO_FEED and table.markets[at.quote_feed] == at.lead:
        newest = at.quote_mono_ns
    if at.last_feed != NO_FEED and table.markets[at.last_feed] == at.lead and at.last_mono_ns > newest:
        newest = at.last_mono_ns
    return newest


cdef inline bint is_led(const FeedTable* table, const InstrumentRow* at, int64_t mono_ns, int64_t limit_ns) noexcept nogil:
    """Whether a market leads that is connected, and whose newest data is within the limit."""
    return (at.lead != NO_FEED and is_market_up(table, at.lead, NO_FEED)
            and is_within(lead_mono_ns(table, at), mono_ns, limit_ns))


cdef inline Newest said_by(const FeedTable* table, uint32_t feed, uint32_t row, bint is_print) noexcept nogil:
    """What a feed said last of one kind; `mono_ns` 0 for nothing."""
    cdef const FeedRow* line = line_of(table, feed, row)
    cdef Newest it
    it.feed = feed
    it.seq = line.last.seq if is_print else line.quote.seq
    it.venue_ns = line.last.venue_ns if is_print else line.quote.venue_ns
    it.mono_ns = line.last.mono_ns if is_print else line.quote.mono_ns
    return it


cdef inline bint goes_back(const InstrumentRow* at, const Newest* known, const Newest* new) noexcept nogil:
    """Nothing goes back in its market's time, unless the venue's clock did: then what was said ends at its limit."""
    return (not is_later(new, known) and not (known.venue_ns - new.venue_ns > SET_BACK_NS
                                              and not is_within(known.mono_ns, new.mono_ns, at.max_age_ns)))


cdef bint is_overtaken(const FeedTable* table, const InstrumentRow* at, const Newest* new, bint is_print) noexcept nogil:
    """Whether another feed of its market said it, or what came after it, before."""
    cdef uint32_t feed
    cdef Newest other
    for feed in range(table.count):
        if feed == new.feed or table.markets[feed] != table.markets[new.feed]:
            continue
        other = said_by(table, feed, <uint32_t>(at - table.rows), is_print)
        if other.venue_ns != 0 and new.venue_ns != 0 and goes_back(at, &other, new):
            return True
    return False


cdef bint takes(const FeedTable* table, InstrumentRow* at, const Newest* known, const Newest* new, bint is_print) noexcept nogil:
    cdef uint32_t market = table.markets[new.feed]
    if known.feed == NO_FEED:
        if is_overtaken(table, at, new, is_print):
            return False
        if at.lead == NO_FEED:
            at.lead = market
        return True
    if table.markets[known.feed] == market:
        if new.venue_ns != 0 and known.venue_ns != 0:
            return not goes_back(at, known, new) or is_planted(APPLY_OLDER_OF_TWO_FEEDS)
        if new.feed == known.feed:
            return True
    elif is_overtaken(table, at, new, is_print):
        return False
    elif market == at.lead:
        return True                            # another stood in for a kind of data that the leader had not given yet
    if is_led(table, at, new.mono_ns, at.max_age_ns // 2):
        # It leads by its other kind of data: another stands in for this one, of which it says nothing any more.
        return not is_within(known.mono_ns, new.mono_ns, at.max_age_ns)
    at.lead = market
    return True


cdef bint stand_in(const FeedTable* table, uint32_t row, int64_t mono_ns) noexcept nogil:
    cdef InstrumentRow* at = table.rows + row
    cdef const FeedRow* line
    cdef uint32_t feed
    cdef uint32_t best = NO_FEED
    cdef int64_t stamp_ns
    cdef int64_t newest_ns = lead_mono_ns(table, at)
    if is_led(table, at, mono_ns, at.max_age_ns):
        return False
    for feed in range(table.count):
        line = line_of(table, feed, row)
        stamp_ns = max(line.quote.mono_ns, line.last.mono_ns)
        if not table.is_up[feed] or table.markets[feed] == at.lead:
            continue
        if stamp_ns > newest_ns and is_within(stamp_ns, mono_ns, at.max_age_ns):
            best, newest_ns = feed, stamp_ns
    if best == NO_FEED:
        return False
    at.lead = table.markets[best]
    put_newest(table, row)
    return True


cdef void put_newest(const FeedTable* table, uint32_t row) noexcept nogil:
    """What the leading market said last comes in force. A kind of data that it has not given stays as it is."""
    cdef InstrumentRow* at = table.rows + row
    cdef Newest quote, last, it
    cdef uint32_t feed
    quote.feed = last.feed = NO_FEED
    for feed in range(table.count):
        if not table.is_up[feed] or table.markets[feed] != at.lead:
            continue
        it = said_by(table, feed, row, False)
        if it.mono_ns != 0 and (quote.feed == NO_FEED or is_later(&it, &quote)):
            quote = it
        it = said_by(table, feed, row, True)
        if it.mono_ns != 0 and (last.feed == NO_FEED or is_later(&it, &last)):
            last = it
    if quote.feed != NO_FEED:
        put_quote(at, &line_of(table, quote.feed, row).quote, quote.feed)
    if last.feed != NO_FEED:
        put_print(at, &line_of(table, last.feed, row).last, last.feed)


cdef void remember_said(const FeedTable* table, uint32_t feed, uint32_t row) noexcept nogil:
    cdef InstrumentRow* at = table.rows + row
    cdef const FeedRow* line = line_of(table, feed, row)
    if at.lead != table.markets[feed]:         # it was put aside, and would have stood in
        at.seen_ns = max(at.seen_ns, max(line.quote.mono_ns, line.last.mono_ns))


cdef void reset_feed(const FeedTable* table, uint32_t feed, uint32_t row) noexcept nogil:
    cdef InstrumentRow* at = table.rows + row
    cdef FeedRow* line = line_of(table, feed, row)
    memset(&line.quote, 0, sizeof(Quote))
    memset(&line.last, 0, sizeof(Print))
    if is_market_up(table, table.markets[feed], feed):
        return                                 # what is in force is the market's, and the other feed goes on from it
    at.seen_ns = max(at.seen_ns, max(at.quote_mono_ns, at.last_mono_ns))
    if at.quote_feed == feed:
        at.quote_feed = NO_FEED
        at.quote_seq = 0
        at.quote_venue_ns = at.quote_mono_ns = 0
    if at.last_feed == feed:
        at.last_feed = NO_FEED
        at.last_seq = 0
        at.last_venue_ns = at.last_mono_ns = 0
    if at.lead == table.markets[feed]:
        at.lead = NO_FEED
