"""Market data in, fired orders out: one compiled call from a feed's frame to the orders that it releases.

Nothing here awaits, logs, or allocates per resting order. A gap that fires more orders than one batch takes leaves the rest
in a backlog of lines, which the engine drains between other work (`drain`). Each price of the backlog first looks at the
orders that wait on its line to be confirmed (`through`), then takes what it reaches out of the index.
"""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from libc.string cimport memset
from libcpp.deque cimport deque
from libcpp.vector cimport vector
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from hotpath.enums cimport *
from hotpath.orders cimport OrderRow
from hotpath.feeds cimport FEEDS_MAX, InstrumentRow, line_of
from hotpath.plants cimport BLIND_BY_ONE_FEED, is_planted
from hotpath.quotes cimport ASIDE, BACKWARD, BAD_VALUE
from hotpath.records cimport *
from hotpath.ticks cimport TICK_QUOTE, TICK_TRADE, Tick, TickParser
from hotpath.stops cimport hits_at, moves_at, trail_px
from gateway.core.links cimport Due
from gateway.core.release cimport Cause, Firing, Release
from gateway.core.shares cimport settle
from gateway.core.state cimport SOURCES, FiredSpan, State, direction_of, due_of, is_held
from gateway.core.through cimport Look, Through, Waiting
from gateway.core.trails cimport NONE_TRAILS

cdef enum:
    BATCH_MAX = 256                      # orders released in one turn of the loop
    LOOKS_MAX = 4096                     # waiting orders looked at in one
    TELL_NS = 250000000                  # at most so often a client is told where its trailing stop is


cdef class Watch(Release):
    """The market side of the core.

    Args:
        state: the shard's state. parser: turns frames into ticks of the state's instruments.
    """

    cdef readonly TickParser parser
    cdef deque[Firing] backlog
    cdef vector[uint32_t] spans              # of `State.fired_px`, to be cleared with the backlog
    cdef readonly uint64_t frames
    cdef uint32_t handles[256]
    cdef uint64_t malformed[FEEDS_MAX]       # frames that could not be read
    cdef int64_t frame_ns[FEEDS_MAX]         # receipt of the last frame
    cdef int64_t lag_ns[FEEDS_MAX]           # of the last frame that says when the venue sent it
    cdef Through through
    cdef uint8_t* look                       # of `through`
    cdef vector[uint32_t] kept               # reached by a price that is too old for them: armed again after it
    cdef vector[int64_t] seen_ns             # by instrument: the newest data so far, or since when it is watched
    cdef int64_t born_ns                     # wall clock: since when, in this life, somebody watches
    cdef vector[int64_t] session_ns          # by instrument: since when its session is as it is; 0: since before the start

    def __cinit__(self, State state not None, TickParser parser not None):
        self.parser = parser
        self.through = Through(state.quotes.capacity * SOURCES)
        self.look = self.through.look
        self.seen_ns.assign(state.quotes.capacity, 0)
        self.session_ns.assign(state.quotes.capacity, 0)

    def malformed_of(self, uint32_t feed) -> int:
        """Frames of a feed that could not be read."""
        return self.malformed[feed] if feed < FEEDS_MAX else 0

    def last_frame_ns(self, uint32_t feed) -> int:
        """When the last frame of a feed was received, by the monotonic clock; 0 for none yet."""
        return self.frame_ns[feed] if feed < FEEDS_MAX else 0

    def frame_lag_ns(self, uint32_t feed) -> int:
        """How long after the venue's own time the last frame of a feed came, clocks as they are; 0 when none has said it."""
        return self.lag_ns[feed] if feed < FEEDS_MAX else 0

    def feed_frame(self, bytes frame not None, int64_t mono_ns, int64_t wall_ns, uint32_t feed=0) -> int:
        """Apply one market-data frame; returns how many orders fired: `take_fired` and `next_refused` give them.

        Where orders have yet to be looked at (`has_backlog`) it is at least 1. Less than zero: none fired, but trailing stops moved; their records wait for the journal.

        Args:
            mono_ns, wall_ns: the clocks when the frame was received; ages are measured from `mono_ns`.
            feed: number of the feed that it came from (`name_feed`).
        """
        cdef Tick tick
        cdef int before
        if feed >= FEEDS_MAX:
            raise IndexError(f"no feed {feed}")
        self.frames += 1
        self.frame_ns[feed] = mono_ns
        self.parser.parse(PyBytes_AS_STRING(frame), PyBytes_GET_SIZE(frame), &tick)
        if tick.kind > 0 and tick.venue_ns:
            self.lag_ns[feed] = wall_ns - tick.venue_ns
        if tick.kind == TICK_QUOTE:
            before = self._decided()
            self._quote(&tick, mono_ns, wall_ns, feed)
            return self._outcome(before)
        if tick.kind == TICK_TRADE:
            before = self._decided()
            self._trade(&tick, mono_ns, wall_ns, feed)
            return self._outcome(before)
        if tick.kind < 0:
            self.malformed[feed] += 1
        return 0

    cdef int _outcome(self, int before) noexcept nogil:
        cdef int fired = self._decided() - before
        if fired or not self.backlog.empty():
            return max(fired, 1)
        return -<int>(self.state.out_size > 0)

    cdef int _quote(self, const Tick* tick, int64_t mono_ns, int64_t wall_ns, uint32_t feed) except -1:
        cdef uint32_t flags = self.state.quotes.on_quote(
            tick.instrument, tick.bid_px_e9, tick.bid_qty_e9, tick.ask_px_e9, tick.ask_qty_e9, tick.feed_seq, tick.venue_ns, mono_ns,
            feed,
        )
        if flags & (BACKWARD | BAD_VALUE | ASIDE):
            return 0
        self._judge(tick, PriceSource.BID, mono_ns, wall_ns)
        self._judge(tick, PriceSource.ASK, mono_ns, wall_ns)
        self._judge(tick, PriceSource.MID, mono_ns, wall_ns)
        return 0

    cdef int _trade(self, const Tick* tick, int64_t mono_ns, int64_t wall_ns, uint32_t feed) except -1:
        cdef uint32_t flags = self.state.quotes.on_trade(
            tick.instrument, tick.px_e9, tick.qty_e9, tick.feed_seq, tick.venue_ns, mono_ns, feed
        )
        if flags & (BACKWARD | BAD_VALUE | ASIDE):
            return 0
        self._judge(tick, PriceSource.LAST, mono_ns, wall_ns)
        return 0

    cdef int _judge(self, const Tick* tick, int source, int64_t mono_ns, int64_t wall_ns) except -1:
        cdef int64_t px = self.state.quotes.trigger_px(tick.instrument, source, mono_ns)
        cdef bint fires
        if px == 0:
            return 0
        fires = self.state.stops.fires(tick.instrument, source, px)
        if not fires and not self.look[tick.instrument * SOURCES + source]:
            return 0
        return self._look_at(tick, source, px, fires, mono_ns, wall_ns)

    cdef int _look_at(self, const Tick* tick, int source, int64_t px_e9, bint fires, int64_t mono_ns, int64_t wall_ns) except -1:
        """An update that concerns an order, or may: one that waits, one of the index, or one that a queued price reaches."""
        cdef uint8_t* look = &self.look[tick.instrument * SOURCES + source]
        cdef bint missed = look[0] & Look.UNWATCHED != 0
        cdef bint reaches = fires and self._reaches(tick.instrument, source, px_e9, wall_ns)
        look[0] &= ~<uint8_t>Look.UNWATCHED
        if not reaches and not look[0]:
            return 0
        return self._queue(tick, source, px_e9, Cause.UPDATE, reaches, missed, 0, mono_ns, wall_ns)

    cdef bint _reaches(self, uint32_t instrument, int source, int64_t px_e9, int64_t wall_ns) except -1:
        """Move what trails, then whether the price fires anything.

        Behind older prices that have yet to fire there, it moves nothing before its turn: they would fire what it moved.
        """
        if self.look[instrument * SOURCES + source] & Look.QUEUED:
            return True
        return self._reaches_now(instrument, source, px_e9, wall_ns)

    cdef bint _reaches_now(self, uint32_t instrument, int source, int64_t px_e9, int64_t wall_ns) except -1:
        if moves_at(self.state.stops, instrument, source, px_e9):
            self._mark(instrument, source, px_e9, wall_ns)
            return hits_at(self.state.stops, instrument, source, px_e9)
        return True

    cdef int _queue(self, const Tick* tick, int source, int64_t px_e9, int cause, bint reaches, bint missed, int64_t age_ns,
                    int64_t mono_ns, int64_t wall_ns) except -1:
        cdef const InstrumentRow* row = &self.state.quotes.rows[tick.instrument]
        cdef Firing firing
        firing.tick = tick[0]
        firing.instrument = tick.instrument
        firing.source = source
        firing.px_e9 = px_e9
        firing.bid_px_e9 = row.bid_px_e9
        firing.ask_px_e9 = row.ask_px_e9
        firing.bid_qty_e9 = row.bid_qty_e9
        firing.ask_qty_e9 = row.ask_qty_e9
        firing.feed = row.last_feed if source == PriceSource.LAST else row.quote_feed
        firing.mono_ns = mono_ns
        firing.age_ns = age_ns
        firing.wall_ns = wall_ns - age_ns
        firing.left = -1
        firing.cause = cause
        firing.reaches = reaches
        firing.missed = missed
        self.backlog.push_back(firing)
        if reaches:
            self._span(tick.instrument, source, px_e9)
        if self.backlog.size() == 1:
            self.drain(mono_ns, wall_ns)
        return 0

    cdef int _mark(self, uint32_t instrument, int source, int64_t px_e9, int64_t wall_ns) except -1:
        """Trailing stops move by a record, one for all of them: after a crash each is where the last one on disk put it."""
        cdef State s = self.state
        cdef TrailMarkBody* body = <TrailMarkBody*>s.scratch
        s.wall_ns = wall_ns
        memset(body, 0, sizeof(TrailMarkBody))
        body.px_e9 = px_e9
        body.instrument = instrument
        body.source = <uint8_t>source
        s.emit(Kind.TRAIL_MARK, sizeof(TrailMarkBody))
        return 0

    cpdef int tell_trails(self, int64_t wall_ns, int most) except -1:
        """Tell the clients of up to `most` trailing stops where they are, as far as they moved and it is time; returns how many.

        In turn over all of them: with very many, each is told less often, and the loop stays free.
        """
        cdef State s = self.state
        cdef uint32_t order
        cdef OrderRow* row
        cdef int64_t stop_px_e9
        cdef int told = 0
        s.wall_ns = wall_ns
        for _ in range(min(most, <int>s.trails.rows.size())):
            order = s.trails.next()
            if order == NONE_TRAILS:
                break
            row = &s.orders.rows[order]
            if not (is_held(row) and row.is_trailing):
                s.trails.drop()
                continue
            stop_px_e9 = s.stops.trigger_px(order)
            if stop_px_e9 and stop_px_e9 != row.told_stop_px_e9 and wall_ns - row.told_stop_ns >= TELL_NS:
                self._trailed(order, stop_px_e9, s.stops.extreme_px(order), False)
                told += 1
        return told

    cdef int _trailed(self, uint32_t order, int64_t stop_px_e9, int64_t extreme_px_e9, bint activated) except -1:
        cdef TrailedBody* body
        self.state.begin(order)
        body = <TrailedBody*>self.state.body()
        body.stop_px_e9 = stop_px_e9
        body.extreme_px_e9 = extreme_px_e9
        body.activated = activated
        self.state.commit(Kind.TRAILED, sizeof(TrailedBody))
        return 0

    cdef void _span(self, uint32_t instrument, int source, int64_t px_e9) noexcept nogil:
        """Remember what has yet to fire orders: one that comes now must not be fired by a price of before it."""
        self.look[instrument * SOURCES + source] = self.look[instrument * SOURCES + source] | <uint8_t>Look.QUEUED
        cdef FiredSpan* span = &self.state.fired_px[instrument * SOURCES + source]
        self.spans.push_back(instrument * SOURCES + source)
        if span.low_px_e9 == 0 or px_e9 < span.low_px_e9:
            span.low_px_e9 = px_e9
        span.high_px_e9 = max(span.high_px_e9, px_e9)

    def sweep(self, uint32_t instrument, int64_t mono_ns, int64_t wall_ns) -> int:
        """Judge the prices in force again (an order with `if_through: fire` was just accepted)."""
        cdef int before = self._decided()
        cdef int source
        cdef int64_t px
        for source in range(PriceSource.MARK):
            px = self.state.quotes.trigger_px(instrument, source, mono_ns)
            if px and self.state.stops.fires(instrument, source, px) and self._reaches(instrument, source, px, wall_ns):
                self._again(instrument, source, px, Cause.SWEEP, mono_ns, wall_ns)
        return self._outcome(before)

    def confirm_due(self, int64_t mono_ns, int64_t wall_ns) -> int:
        """Fire what has been through for as long as it asked, where the price that says so is still fresh."""
        cdef int before = self._decided()
        cdef int64_t line = self.through.next_due(0, mono_ns)
        cdef int64_t px
        while line >= 0:
            px = self.state.quotes.trigger_px(<uint32_t>(line // SOURCES), line % SOURCES, mono_ns)
            if px:
                self._again(<uint32_t>(line // SOURCES), line % SOURCES, px, Cause.TIMER, mono_ns, wall_ns)
            line = self.through.next_due(line + 1, mono_ns)
        return self._outcome(before)

    cdef int _again(self, uint32_t instrument, int source, int64_t px_e9, int cause, int64_t mono_ns, int64_t wall_ns) except -1:
        """Judge by the price in force, whose receipt was some time ago."""
        cdef const InstrumentRow* row = &self.state.quotes.rows[instrument]
        cdef bint is_print = source == PriceSource.LAST
        cdef Tick tick
        memset(&tick, 0, sizeof(tick))
        tick.instrument = instrument
        tick.qty_e9 = row.last_qty_e9 if is_print else 0
        tick.feed_seq = row.last_seq if is_print else row.quote_seq
        tick.venue_ns = row.last_venue_ns if is_print else row.quote_venue_ns
        return self._queue(&tick, source, px_e9, cause, cause == Cause.SWEEP, False,
                           self.state.quotes.age_ns(instrument, source, mono_ns), mono_ns, wall_ns)

    def fire_due(self, int64_t mono_ns, int64_t wall_ns, int most) -> int:
        """Fire up to `most` of the time orders that are due and whose market trades, the earliest first; returns how many."""
        cdef int64_t order = self.state.clocks.next_due(wall_ns)
        cdef int count = 0
        self.state.wall_ns = wall_ns
        while order >= 0 and count < most:
            self._strike(<uint32_t>order, mono_ns, wall_ns)
            count += 1
            order = self.state.clocks.next_due(wall_ns)
        return count

    cdef int _strike(self, uint32_t order, int64_t mono_ns, int64_t wall_ns) except -1:
        """The hour of an order has come. Its evidence is the clock, and the reference price of that moment if there is one."""
        cdef const OrderRow* row = &self.state.orders.rows[order]
        cdef Firing firing
        memset(&firing, 0, sizeof(firing))
        firing.source = PriceSource.CLOCK
        firing.px_e9 = self.state.quotes.reference_px(row.terms.instrument, mono_ns, 0)
        firing.mono_ns, firing.wall_ns = mono_ns, wall_ns
        firing.feed = FEEDS_MAX                          # of none
        firing.missed = max(due_of(&row.terms, row.live_ns), row.live_ns) < self.born_ns
        return self._release(order, &firing, mono_ns, 0, firing.missed)

    def watch_from(self, int64_t mono_ns, int64_t wall_ns) -> None:
        """From now on data may be expected: what has none yet is as old as the time since. What was due before was missed."""
        cdef uint32_t row
        self.born_ns = wall_ns
        self.seen_ns.assign(self.state.quotes.capacity, mono_ns)
        self.state.quotes.expect_from(mono_ns)
        for row in range(self.state.quotes.capacity):
            self._unwatched(row)

    def on_session(self, uint32_t instrument, int64_t mono_ns) -> None:
        """The session of an instrument has changed: its first price is judged as one that nobody could have missed, and no
        confirmation lasts beyond a session."""
        cdef uint32_t line
        self.seen_ns[instrument] = self.session_ns[instrument] = mono_ns
        for line in range(instrument * SOURCES, (instrument + 1) * SOURCES):
            self.look[line] &= ~<uint8_t>Look.UNWATCHED
            self.through.term[line] += 1

    cdef void _unwatched(self, uint32_t instrument) noexcept nogil:
        """What its next prices reach may have been reached while nobody watched."""
        cdef uint32_t line
        for line in range(instrument * SOURCES, (instrument + 1) * SOURCES):
            self.look[line] = self.look[line] | <uint8_t>Look.UNWATCHED

    cdef int64_t _age_ns(self, uint32_t instrument, int64_t mono_ns) noexcept nogil:
        """Age of the newest quote or print. A new connection forgets the old data, not when it came."""
        cdef const InstrumentRow* row = &self.state.quotes.rows[instrument]
        cdef int64_t newest = max(row.seen_ns, max(row.quote_mono_ns, row.last_mono_ns))
        if is_planted(BLIND_BY_ONE_FEED):
            return mono_ns - line_of(&self.state.quotes.feeds, 0, instrument).since_ns
        if newest > self.seen_ns[instrument]:
            self.seen_ns[instrument] = newest
        return mono_ns - self.seen_ns[instrument]

    def silent(self, int64_t mono_ns) -> list:
        """(instrument, age_ns, orders) of those in session whose data is older than the limit of orders that rest there."""
        cdef uint32_t row
        cdef int blind
        cdef int64_t age_ns
        found = []
        for row in range(self.state.quotes.count):
            if self.state.held[row] and self.state.quotes.rows[row].is_open and not self.state.quotes.rows[row].is_halted:
                age_ns = self._age_ns(row, mono_ns)
                if age_ns > self.state.quotes.rows[row].max_age_ns:
                    found.append((row, age_ns, self.state.held[row]))
                    if self.seen_ns[row] > self.session_ns[row]:     # else: no price of this session yet
                        self._unwatched(row)
                elif row in self.state.tight:
                    blind = sum([count for limit_ns, count in self.state.tight[row].items() if limit_ns < age_ns])
                    if blind:
                        found.append((row, age_ns, blind))
        return found

    def unheard(self, uint32_t feed, int64_t mono_ns) -> list:
        """Instruments in session on which orders rest, of which a feed that prices them said nothing for too long."""
        cdef uint32_t row
        cdef const InstrumentRow* at
        found = []
        for row in range(self.state.quotes.count):
            at = &self.state.quotes.rows[row]
            if self.state.held[row] and at.is_open and not at.is_halted and line_of(&self.state.quotes.feeds, feed, row).is_priced:
                if mono_ns - line_of(&self.state.quotes.feeds, feed, row).since_ns > at.max_age_ns:
                    found.append(row)
        return found

    def is_seen(self, uint32_t instrument, int64_t mono_ns) -> bool:
        """Whether there is data of the instrument within its limit."""
        return self.state.quotes.is_fresh(instrument, mono_ns)

    def has_backlog(self) -> bool:
        """Whether a price that fired has orders left to release."""
        return not self.backlog.empty()

    cpdef int drain(self, int64_t mono_ns, int64_t wall_ns) except -1:
        """Release up to one batch, the oldest price first, each in price-time order; returns how many."""
        cdef Firing* firing
        cdef int total = 0
        cdef int looks = 0
        cdef int n, i, room
        self.state.wall_ns = wall_ns
        while not self.backlog.empty():
            firing = &self.backlog.front()
            if firing.left < 0:
                firing.left = self.through.begin(firing.instrument * SOURCES + firing.source)
                firing.reaches = firing.reaches and self._reaches_now(firing.instrument, firing.source, firing.px_e9, wall_ns)
            while firing.left > 0 and total < BATCH_MAX and looks < LOOKS_MAX:
                firing.left -= 1
                looks += 1
                total += self._confirm(firing, mono_ns)
            room = BATCH_MAX - total
            if firing.left > 0 or room == 0:
                return total
            n = 0
            if firing.reaches:
                n = self.state.stops.pop_fired(firing.instrument, firing.source, firing.px_e9, self.handles, room)
            total += n
            for i in range(n):
                self._reached(self.handles[i], firing, mono_ns)
            if n == room:
                return total
            for i in range(<int>self.kept.size()):
                self.state._watch(self.kept[i], &self.state.orders.rows[self.kept[i]], False, 0)
            self.kept.clear()
            self.backlog.pop_front()
        while not self.spans.empty():
            memset(&self.state.fired_px[self.spans.back()], 0, sizeof(FiredSpan))
            self.look[self.spans.back()] &= ~<uint8_t>Look.QUEUED
            self.spans.pop_back()
        if self.state.links.late:
            self._let_trail()
        return total

    cdef int _let_trail(self) except -1:
        """Trails whose parents were filled behind prices that had yet to fire there begin at the next price now."""
        for order in self.state.links.late:
            self.state.links.due.push_back(Due(order, 0))
        self.state.links.late.clear()
        settle(self.state)
        return 0

    cdef int _reached(self, uint32_t order, const Firing* firing, int64_t mono_ns) except -1:
        """An order that the index gave up: it leaves, or waits until enough confirms it."""
        cdef const Terms* terms = &self.state.orders.rows[order].terms
        cdef uint32_t line = firing.instrument * SOURCES + firing.source
        cdef bint parks = firing.missed and terms.rearm_missed
        cdef Waiting item
        if self._is_waiting_trail(order):
            return self._activate(order, firing.px_e9)
        if firing.age_ns > self._limit_ns(terms):
            self.kept.push_back(order)
            return 0
        if not parks and terms.confirm_ticks <= 1 and terms.confirm_ns == 0:
            return self._release(order, firing, mono_ns, 1, firing.missed)
        item.since_ns = firing.mono_ns
        item.seen_ns = firing.mono_ns - firing.age_ns
        item.level_px_e9 = self.state.stops.popped_px(order)
        item.order = order
        item.ticks = firing.cause == Cause.UPDATE
        item.term = self.through.term[line]
        item.missed = firing.missed
        item.parked = parks
        self.through.put(line, &item)
        if terms.confirm_ns and not parks:
            self.through.due(line, item.since_ns + terms.confirm_ns)
        return 0

    cdef int64_t _limit_ns(self, const Terms* terms) noexcept nogil:
        """Data older than this does not fire the order: its own word, within the instrument's."""
        cdef int64_t limit_ns = self.state.quotes.rows[terms.instrument].max_age_ns
        return min(limit_ns, terms.max_age_ns) if terms.max_age_ns else limit_ns

    cdef int _confirm(self, const Firing* firing, int64_t mono_ns) except -1:
        """Look at the order that has waited longest on a line: it fires (1), waits on, or rests in the index again."""
        cdef uint32_t line = firing.instrument * SOURCES + firing.source
        cdef Waiting item
        cdef OrderRow* row
        cdef bint is_through
        if not self.through.take(line, &item):
            return 0
        row = &self.state.orders.rows[item.order]
        if not is_held(row) or self.state.stops.is_armed(item.order):      # it ended, or was armed anew: with other terms, say
            return 0
        if direction_of(&row.terms) == Direction.DOWN:
            is_through = firing.px_e9 <= item.level_px_e9
        else:
            is_through = firing.px_e9 >= item.level_px_e9
        if not is_through:
            return self.state._watch(item.order, row, False, 0)
        if not item.parked and self._counts(&item, &row.terms, firing):
            self._release(item.order, firing, mono_ns, item.ticks, item.missed)
            return 1
        self.through.put(line, &item)
        return 0

    cdef bint _counts(self, Waiting* item, const Terms* terms, const Firing* firing) noexcept:
        """Count a judgement that found the condition true; whether it is enough."""
        cdef uint32_t line = firing.instrument * SOURCES + firing.source
        cdef int64_t limit_ns = self._limit_ns(terms)
        if item.term != self.through.term[line]:                           # another session: everything anew
            item.term, item.ticks, item.since_ns, item.missed = self.through.term[line], 0, firing.mono_ns, 0
        elif terms.confirm_ns and firing.mono_ns - firing.age_ns - item.seen_ns > limit_ns:
            item.ticks, item.since_ns = 0, firing.mono_ns                  # nobody knows what it was in between
        item.seen_ns = firing.mono_ns - firing.age_ns
        item.ticks += firing.cause == Cause.UPDATE
        if terms.confirm_ns == 0:
            return item.ticks >= terms.confirm_ticks
        if firing.age_ns > limit_ns:                                       # the next update tells
            return False
        if firing.mono_ns - item.since_ns >= terms.confirm_ns:
            return True
        self.through.due(line, item.since_ns + terms.confirm_ns)
        return False

    cdef bint _is_waiting_trail(self, uint32_t order) noexcept nogil:
        cdef const OrderRow* row = &self.state.orders.rows[order]
        return row.terms.trigger == TriggerKind.TRAIL and not row.is_trailing

    cdef int _activate(self, uint32_t order, int64_t px_e9) except -1:
        """The activation price was reached: the stop trails from here on."""
        cdef const Terms* t = &self.state.orders.rows[order].terms
        cdef int64_t tick_e9 = self.state.quotes.rows[t.instrument].tick_e9
        return self._trailed(order, trail_px(direction_of(t), t.trail_e9, t.trail_unit, tick_e9, px_e9), px_e9, True)
