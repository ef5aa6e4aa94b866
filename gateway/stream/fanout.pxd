"""Events to the clients that follow or asked, once their record is durable."""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from libcpp.deque cimport deque
from cpython.ref cimport PyObject
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
    cdef public bint announces               # its replay is under way: `live` follows

cdef struct Ask:                             # a request whose answer is the event of a record
    uint64_t seq
    int64_t re
    int64_t in_ns
    int64_t left
    PyObject* outbox                         # held by `asking`; NULL once its connection has gone

cdef struct Item:                            # an event, or a reply that is none, on its way out
    uint64_t seq                             # leaves when this record is durable
    uint64_t acct_seq
    int64_t at                               # where its text begins, counted from the first text ever
    uint32_t account
    int size                                 # of its text; -1: nobody wanted it
    bint is_reply                            # what and whose it is stands in `replies`

cdef cppclass Line:
    deque[Ask] asks                          # by record
    deque[Item] items                        # in the order of leaving
    char* texts
    int64_t capacity
    int64_t text_base                        # what `texts` begins with, and where the next text goes
    int64_t text_end

cdef class Fanout:
    cdef Renderer names
    cdef list followers                      # account row -> list of Follower
    cdef readonly list heads                 # account row -> last event let out
    cdef Line* line                          # holds no Python object: the collector would not see it
    cdef dict asking                         # outboxes that `asks` means -> None
    cdef object replies                      # deque of (outbox, text or what makes it), in the order of their items
    cdef readonly Histogram ack              # request read to its answer written
    cdef readonly uint64_t delivered
    cdef readonly uint64_t loaded            # last record taken
    cdef readonly uint64_t durable           # last record let out
    cdef public object on_behind             # called with a follower that fell behind
    cpdef ask(self, uint64_t seq, Outbox outbox, int64_t re, int64_t in_ns, int64_t left)
    cpdef int deliver(self, uint64_t durable_seq, int64_t wall_ns) except -1
    cdef int load_run(self, const char* data, Py_ssize_t size) except -1
    cdef bint _is_asked(self, uint64_t seq) noexcept
    cdef int _catch_up(self, const Item* item, Outbox outbox) except -1
    cdef bint _is_asked_by(self, uint64_t seq, Outbox outbox) noexcept
    cdef int _wait(self, uint64_t seq, object what, Outbox outbox) except -1
    cdef int _make_room(self) except -1
    cdef int _event(self, const Item* item, int64_t wall_ns, list touched) except -1
    cdef int _answer(self, Outbox outbox, const char* text, Py_ssize_t size, const Ask* ask, int64_t wall_ns) except -1
