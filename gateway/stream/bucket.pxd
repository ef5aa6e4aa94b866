"""A token bucket in integers."""
from libc.stdint cimport int64_t

cdef class Bucket:
    cdef readonly int64_t per_s
    cdef readonly int64_t burst
    cdef int64_t cost_ns
    cdef int64_t credit_ns
    cdef int64_t stamp_ns
    cpdef int64_t take(self, int64_t mono_ns, int64_t count=*) noexcept
