"""The end of a turn in compiled code."""
from libc.stdint cimport int64_t, uint64_t
from libcpp.deque cimport deque
from gateway.core.state cimport State
from gateway.journal.writer cimport JournalWriter
from gateway.stream.fanout cimport Fanout
from hotpath.hist cimport Histogram

cdef struct Handed:                          # a run of records that the journal has, and since when
    uint64_t last_seq
    int64_t mono_ns

cdef class Turn:
    cdef State state
    cdef Fanout fanout
    cdef object journal
    cdef JournalWriter writer                # the same, where it is the native one
    cdef object mono_ns
    cdef object wall_ns
    cdef object act
    cdef Histogram times
    cdef Py_ssize_t run_bytes_max
    cdef bint is_durable
    cdef deque[Handed] handed
    cdef uint64_t _submit(self, const char* data, Py_ssize_t size, uint64_t last) except? 0
    cpdef settle(self, uint64_t durable_seq)
