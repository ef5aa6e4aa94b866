"""The whole state of a shard: tables, counters, and the records that have not been handed to the journal yet."""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from hotpath.checks cimport Gate
from hotpath.enums cimport Direction, Hold, OrdStatus, Side, Stage, TriggerKind
from hotpath.orders cimport OrderRow, OrderTable
from hotpath.quotes cimport QuoteTable
from hotpath.records cimport HaltBody, InstrumentBody, OrderEvent, Terms
from hotpath.stops cimport TriggerIndex
from hotpath.wire cimport Renderer
from gateway.core.clocks cimport Clocks
from gateway.core.links cimport Links
from gateway.core.recorder cimport Op, Recorder
from gateway.core.trails cimport Trails

cdef enum:
    NO_ROW = 0xFFFFFFFF
    GROUP_ROWS_MAX = 1000                    # records in one atomic group: it must fit the smallest segment's half

cdef enum:
    SOURCES = 5                              # PriceSource values

cdef struct FiredSpan:                       # prices of one source that wait for their turn to fire orders; 0 = none
    int64_t low_px_e9
    int64_t high_px_e9

cdef class State(Recorder):
    cdef readonly OrderTable orders
    cdef readonly QuoteTable quotes
    cdef readonly TriggerIndex stops
    cdef readonly Clocks clocks              # orders that are held for a time
    cdef readonly Links links
    cdef bint is_deferring                   # ties are settled later: what is under way must not be disturbed
    cdef readonly Gate gate
    cdef readonly Renderer names
    cdef readonly dict accounts              # name (str) -> row
    cdef readonly list account_names
    cdef readonly object halts               # risk.halts.HaltBook: what HALT_CHANGED said
    cdef readonly dict revisions             # (order, rev) -> (acct_seq of its answer, content hash)
    cdef readonly dict batches               # (account, acct_seq) of each batch -> number of its items
    cdef readonly dict suspects              # order -> None: it may have left before a crash; in the order of asking
    cdef readonly dict limit_versions        # account row -> version of its limits
    cdef readonly uint32_t shard
    cdef readonly bytes history              # 16 bytes
    cdef char history_tag[8]
    cdef readonly uint64_t events
    cdef uint64_t kind_counts[96]
    cdef uint64_t done_counts[288]           # orders that ended, by ord_status * 32 + reason
    cdef uint64_t* acct_seqs                 # last event of each account
    cdef FiredSpan* fired_px                 # by instrument and source
    cdef uint32_t* held                      # by instrument: orders that rest here for a price
    cdef readonly dict tight                 # instrument -> {age limit below the instrument's (ns): how many of those have it}
    cdef readonly int64_t last_wall_ns       # of the last record: the last sign of life that a restart finds
    cdef readonly Trails trails               # those that trail, in turn
    cdef uint64_t doubts                     # open orders that are in doubt
    cdef uint32_t* order_before              # chain of all orders of each account, the newest first
    cdef uint32_t* order_last                # by account; NO_ROW = none
    cdef uint32_t* open_next                 # chain of the open orders of each account, in order of acceptance
    cdef uint32_t* open_prev
    cdef uint32_t* open_head                 # by account; NO_ROW = none
    cdef uint32_t* open_tail

    cdef OrderEvent* begin(self, uint32_t order) noexcept nogil
    cdef uint64_t commit_replaced(self, uint32_t order) except 0
    # Session, tag, signal, parent's name and group of an order in one run, and their five sizes.
    cdef bytes texts_of(self, uint32_t order, uint8_t* sizes)
    cdef int _settle(self) except -1
    cdef int _count(self, uint32_t account, uint64_t acct_seq) except -1
    cdef int _apply_order(self, int kind, const char* payload, Py_ssize_t size, int64_t wall_ns) except -1
    cdef int _reserve(self, OrderRow* row) except -1
    cdef int _tighten(self, const Terms* terms, int change) except -1
    cdef int _watch(self, uint32_t order, OrderRow* row, bint is_moved, int64_t extreme_px_e9) except -1
    cdef int _set_session(self, uint32_t instrument, bint is_open, bint is_halted, bint is_restricted) except -1
    cdef int _arm_trail(self, uint32_t order, OrderRow* row, int64_t extreme_px_e9) except -1
    cdef int _apply_world(self, int kind, const char* payload, Py_ssize_t size, int64_t wall_ns) except -1
    cdef int _suspect(self) except -1
    cdef bint begin_doubt(self, uint32_t order) except -1
    cdef int _unreserve(self, OrderRow* row) except -1
    cdef int _reserve_again(self, uint32_t order) except -1
    cdef int _list(self, const InstrumentBody* body) except -1
    cdef int _halt(self, const HaltBody* body, const char* tail, int64_t wall_ns) except -1
    cdef void _chain(self, uint32_t order, uint32_t account) noexcept nogil
    cdef void _link(self, uint32_t order, uint32_t account) noexcept nogil
    cdef void _unlink(self, uint32_t order, uint32_t account) noexcept nogil

cdef inline bint is_same_trail(const Terms* a, const Terms* b) noexcept nogil:
    return a.trail_e9 == b.trail_e9 and a.trail_unit == b.trail_unit and a.stop_px_e9 == b.stop_px_e9

cdef inline bint begins_late(State s, const Terms* t) noexcept nogil:
    """A trail that begins at the next price, where older ones have yet to fire: they must not move it."""
    return t.trigger == TriggerKind.TRAIL and t.stop_px_e9 == 0 and s.fired_px[t.instrument * SOURCES + t.source].high_px_e9 != 0

cdef inline bint is_doubted(const OrderRow* row) noexcept nogil:
    return row.stage == Stage.IN_DOUBT

cdef inline bint is_held(const OrderRow* row) noexcept nogil:                # rests here for a trigger
    return row.ord_status == OrdStatus.HELD and row.hold == Hold.HOLD_TRIGGER

cdef inline bint is_watched(const OrderRow* row) noexcept nogil:             # rests here for a price
    return is_held(row) and row.terms.trigger != TriggerKind.TIME

cdef inline int64_t due_of(const Terms* terms, int64_t armed_ns) noexcept nogil:
    """When a time order fires by the wall clock, if it is armed then."""
    return terms.at_ns if terms.at_ns else armed_ns + terms.after_ns

cdef inline int direction_of(const Terms* terms) noexcept nogil:             # a sell stop and a buy touch fire downwards
    return Direction.DOWN if (terms.trigger != TriggerKind.TOUCH) == (terms.side == Side.SELL) else Direction.UP

cdef inline int armed_direction(const OrderRow* row) noexcept nogil:         # a trail that is not active waits for a gain
    cdef int direction = direction_of(&row.terms)
    if row.terms.trigger == TriggerKind.TRAIL and not row.is_trailing:
        return Direction.UP if direction == Direction.DOWN else Direction.DOWN
    return direction

cdef inline bint fires_down(State s, uint32_t instrument, int source, int64_t stop_px_e9) noexcept nogil:
    """Whether a price that waits for its turn to fire orders is at or below the stop."""
    return 0 < s.fired_px[instrument * SOURCES + source].low_px_e9 <= stop_px_e9

cdef inline bint fires_up(State s, uint32_t instrument, int source, int64_t stop_px_e9) noexcept nogil:
    return 0 < stop_px_e9 <= s.fired_px[instrument * SOURCES + source].high_px_e9
