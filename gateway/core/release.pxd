"""An order that fires: the checks of a release, the record, and the way out."""
from libc.stdint cimport int64_t, uint64_t, uint32_t
from libcpp.deque cimport deque
from hotpath.checks cimport Decision
from hotpath.feeds cimport FEEDS_MAX
from hotpath.orders cimport OrderRow
from hotpath.records cimport TriggeredBody
from hotpath.ticks cimport Tick
from gateway.core.state cimport State

cdef enum:
    FEED_NAME_MAX = 36

cdef enum Cause:                         # of a judgement
    UPDATE = 0                           # a frame of the feed
    SWEEP = 1                            # the prices in force again, for orders that came since
    TIMER = 2                            # the time for which a condition has held

cdef struct Refused:                     # a check at release said no
    uint32_t order
    int control

cdef struct Firing:                      # a price that fires, with what proves it
    Tick tick
    uint32_t instrument
    int source
    int64_t px_e9
    int64_t bid_px_e9
    int64_t ask_px_e9
    int64_t bid_qty_e9
    int64_t ask_qty_e9
    int64_t mono_ns                      # when it was judged: an update at its receipt
    int64_t age_ns                       # of the data then
    int64_t wall_ns                      # of the data's receipt
    int64_t left                         # waiting orders that it has yet to look at; -1: not counted yet
    uint32_t feed
    int cause
    bint reaches                         # it reaches orders of the index
    bint missed                          # what it reaches may have been reached while nobody watched

cdef struct FeedName:
    char text[FEED_NAME_MAX]
    int size

cdef class Release:
    cdef State state
    cdef deque[uint32_t] fired
    cdef deque[Refused] refused
    cdef Decision verdict
    cdef readonly uint64_t triggered
    cdef FeedName feeds[FEEDS_MAX]
    cdef int _decided(self) noexcept nogil
    cdef int64_t _limit_px(self, const OrderRow* row, int64_t stop_px_e9) noexcept nogil
    cdef void _put_evidence(self, TriggeredBody* body, const Firing* firing) noexcept nogil
    cdef int _release(self, uint32_t order, const Firing* firing, int64_t mono_ns, uint32_t ticks, bint missed) except -1
    cdef void _state_check(self, TriggeredBody* body) noexcept nogil
    cdef int _put_feed(self, TriggeredBody* body, uint32_t feed) noexcept nogil
    cdef int _flat(self, uint32_t order) except -1
    cdef int64_t _gap_bps(self, int64_t px_e9, int64_t stop_px_e9) noexcept nogil
