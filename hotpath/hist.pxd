"""Native latency histogram: log-linear buckets (HDR layout, 3 significant digits up to 1 us, then <= 1 % error) to 100 s."""
from libc.stdint cimport int64_t, uint64_t

cdef class Histogram:
    cdef uint64_t* counts
    cdef Py_ssize_t size
    cdef readonly uint64_t count
    cdef readonly int64_t sum_ns
    cdef readonly int64_t min_ns
    cdef readonly int64_t max_ns
    cdef void add(self, int64_t value_ns) noexcept nogil
