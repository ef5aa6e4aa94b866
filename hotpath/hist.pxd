"""Native latency histogram: each ns up to 1 us has its own bucket, then 128 to an octave (under 0.8 % error) to 137 s."""
from libc.stdint cimport int64_t, uint64_t

cdef class Histogram:
    cdef uint64_t* counts
    cdef Py_ssize_t size
    cdef readonly uint64_t count
    cdef readonly int64_t sum_ns          # stays at its maximum rather than wrap
    cdef readonly int64_t min_ns          # 0 while empty
    cdef readonly int64_t max_ns
    cdef void add(self, int64_t value_ns) noexcept nogil     # a negative value (a clock that stepped) counts as 0
