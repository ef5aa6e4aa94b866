"""Events to the clients that follow or asked, once their record is durable."""
from libc.stdint cimport int64_t, uint64_t, uint32_t

cdef class Outbox:
    cdef readonly object transport           # write(bytes), get_write_buffer_size()
    cdef int fd                              # >= 0: write to the socket at once when nothing is queued in the transport
    cdef char* buffer
    cdef Py_ssize_t size
    cdef Py_ssize_t capacity
    cdef readonly Py_ssize_t limit_bytes
    cdef readonly bint binary                # MessagePack subprotocol
    cdef readonly bint closed
    cdef readonly bint lagging               # past half of the limit
    cdef public uint64_t awaits_seq          # record of the last answer under way, 0 = none
    cdef public uint32_t unanswered
    cdef readonly uint64_t frames
    cdef int add(self, const char* text, Py_ssize_t size) except -1
    cdef int add_parts(self, const char* a, Py_ssize_t na, const char* b, Py_ssize_t nb) except -1
    cpdef int flush(self) except -1
