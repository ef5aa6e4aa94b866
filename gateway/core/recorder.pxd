"""Records on their way out, and the effects that wait for them."""
from libc.stdint cimport int64_t, uint64_t, uint32_t

cpdef enum Op:
    OP_SUBMIT = 1
    OP_CANCEL = 2
    OP_REPLACE = 3

cdef class Recorder:
    cdef readonly uint32_t epoch
    cdef readonly uint64_t seq               # last record
    cdef char* out                           # framed records, not yet taken
    cdef Py_ssize_t out_size
    cdef Py_ssize_t out_capacity
    cdef char* scratch                       # payload under construction
    cdef public int64_t wall_ns              # of the present turn: stamps records
    cdef int grouped                         # inside an atomic group
    cdef bint is_torn                        # a record could not be applied: nothing goes on from here
    cdef void* impl                          # event positions and effects

    cdef int make_room(self, uint32_t accounts) except -1
    cdef int apply(self, int kind, const char* payload, Py_ssize_t size, int64_t wall_ns) except -1
    cdef char* body(self) noexcept nogil
    cdef uint64_t commit(self, int kind, Py_ssize_t body_bytes) except 0
    cdef uint64_t emit(self, int kind, Py_ssize_t payload_bytes) except 0
    cdef int demand_whole(self) except -1
    cdef void effect(self, int op, uint32_t order) noexcept nogil
    cpdef placed(self, uint64_t base, Py_ssize_t size=*)
    cpdef uint64_t whole(self, uint64_t durable_seq) noexcept
    cpdef list take_effects(self, uint64_t durable_seq)
    cdef void told_together(self, uint64_t first) noexcept
    cdef void lies_at(self, uint32_t account, uint64_t position) noexcept
    cdef bytes positions_image(self, uint32_t accounts)
    cdef int load_positions(self, uint32_t accounts, bytes image) except -1
