"""Orders that wait for a time."""
from libc.stdint cimport int64_t, uint32_t, uint8_t
from libcpp.pair cimport pair
from libcpp.set cimport set as tree
from libcpp.unordered_map cimport unordered_map
from libcpp.vector cimport vector

ctypedef pair[int64_t, uint32_t] Hour        # when, and the order that waits for it: the earliest first, then by arrival

cdef class Clocks:
    cdef unordered_map[uint32_t, int64_t] due_ns
    cdef vector[tree[Hour]] lines            # by instrument
    cdef vector[uint8_t] is_shut             # by instrument: it does not trade, and nothing there comes due
    cdef tree[Hour] heads                    # the first of each line that is not shut
    cdef int _hide(self, uint32_t instrument) except -1
    cdef int _show(self, uint32_t instrument) except -1
    cpdef int keep(self, uint32_t order, uint32_t instrument, int64_t due_ns) except -1
    cpdef int let(self, uint32_t instrument, bint is_trading) except -1
    cpdef int64_t next_due(self, int64_t wall_ns) except -2
