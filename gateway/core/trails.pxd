"""Orders that trail, looked at in turn."""
from libc.stdint cimport uint32_t, uint8_t
from libcpp.vector cimport vector

cdef enum:
    NONE_TRAILS = 0xFFFFFFFF

cdef class Trails:
    cdef vector[uint32_t] rows
    cdef vector[uint8_t] is_listed           # by order row
    cdef size_t at
    cdef void add(self, uint32_t order) noexcept nogil
    cdef uint32_t next(self) noexcept nogil  # the one whose turn it is, NONE_TRAILS when there is none
    cdef void drop(self) noexcept nogil      # the one that `next` gave: the last takes its place
