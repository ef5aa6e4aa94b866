"""Events to the clients that follow or asked, once their record is durable."""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from hotpath.hist cimport Histogram
from hotpath.wire cimport Renderer

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
    cdef public uint32_t replies             # answers that are no events and wait their turn
    cdef object on_slow
    cdef public object on_lag                # called once each time the half of the limit is passed
    cdef readonly uint64_t frames
    cdef int add(self, const char* text, Py_ssize_t size) except -1
    cdef int add_parts(self, const char* a, Py_ssize_t na, const char* b, Py_ssize_t nb) except -1
    cpdef int flush(self) except -1
    cdef int _frame(self, uint8_t opcode, const char* a, Py_ssize_t na, const char* b, Py_ssize_t nb) except -1

cdef class Follower:
    cdef readonly Outbox outbox
    cdef readonly uint32_t account
    cdef public uint64_t next_seq            # next event of the account that this client must see
    cdef public bint live                    # false: reads the journal until it has caught up

cdef class Fanout:
    cdef Renderer names
    cdef list followers                      # account row -> list of Follower
    cdef readonly list heads                 # account row -> last event let out
    cdef dict askers                         # record seq -> [(outbox, re, in_ns, left)]
    cdef object waiting                      # (record seq, account, acct_seq, text, what makes it, or None, outbox or None)
    cdef readonly Histogram ack              # request read to its answer written
    cdef readonly uint64_t delivered
    cdef readonly uint64_t loaded            # last record taken
    cdef readonly uint64_t durable           # last record let out
    cdef public object on_behind             # called with a follower that fell behind
    cdef int _settled(self, Outbox outbox, uint64_t seq, list touched) except -1
    cdef int _event(self, uint64_t seq, uint32_t account, uint64_t acct_seq, bytes text, int64_t wall_ns, list touched) except -1
    cdef bint _asked_by(self, list asked, Outbox outbox)
    cdef int _answer(self, Outbox outbox, bytes text, int64_t re, int64_t in_ns, int64_t left, int64_t wall_ns) except -1
