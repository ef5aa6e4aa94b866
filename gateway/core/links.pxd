"""Which orders wait for which, and which share one quantity."""
from libc.stdint cimport int64_t, uint32_t
from libcpp.deque cimport deque
from hotpath.orders cimport OrderTable

cdef enum:
    MEMBERS_MAX = 32                         # of one group, and children of one order: what one fill may touch

cdef struct Due:                             # an order whose ties have yet to be settled, and the record about it
    uint32_t order
    int kind

cdef class Links:
    cdef OrderTable orders
    cdef uint32_t* child_first               # by parent; all of these are rows + 1, 0 = none, chains in order of acceptance
    cdef uint32_t* child_last
    cdef uint32_t* child_next
    cdef uint32_t* mate_next                 # by member of a group
    cdef uint32_t* mate_last                 # by first member
    cdef dict newest                         # (account, text of the group) -> first member of the newest
    cdef deque[Due] due
    cdef dict armed                          # instruments on which a parent has armed an order since they were last judged
    cdef dict late                           # let live behind prices that have yet to fire on their line
    cdef dict grown                          # order -> number of the event, in this life, that armed it or gave it more
    cdef int tie(self, uint32_t order) except -1
    cdef bint touches(self, uint32_t order) noexcept nogil
    # All that the order shares with, itself among them, in order of acceptance; returns how many.
    cdef int members(self, uint32_t order, uint32_t* out) noexcept nogil
    cdef int children(self, uint32_t order, uint32_t* out) noexcept nogil
    cdef int _walk(self, uint32_t at, const uint32_t* chain, uint32_t* out) noexcept nogil
    # First member of the group that the text names now; -1 when there is none, or all of it is done.
    cdef int64_t group_of(self, uint32_t account, bytes oco) except -2
