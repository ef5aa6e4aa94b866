"""Journal records as the JSON events of the order API."""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from hotpath.frame cimport FrameHeader
from hotpath.records cimport AccountEvent, OrderEvent, ReplaceBody, Terms

cpdef enum:
    EVENT_MAX_BYTES = 4096               # room that a renderer needs for one event

cdef struct Name:
    int size
    char text[44]

cdef class Renderer:
    cdef Name* accounts
    cdef Name* symbols
    cdef readonly uint32_t account_capacity
    cdef readonly uint32_t symbol_capacity
    # One framed record as JSON without its closing brace; 0 for a record that is no account event.
    cdef Py_ssize_t render(self, const char* frame, char* out) noexcept nogil
    cdef char* put_order(self, char* p, const Terms* terms, const char* texts, const uint8_t* sizes) noexcept nogil
    cdef _set(self, Name* names, uint32_t capacity, uint32_t index, bytes name)
    cdef char* _lead(self, char* p, const char* kind, uint32_t account, uint64_t acct_seq, int64_t wall_ns) noexcept nogil
    cdef char* _body(self, char* p, int kind, const OrderEvent* ev, const char* body) noexcept nogil
    cdef char* _replace(self, char* p, int kind, const ReplaceBody* body) noexcept nogil
    cdef Py_ssize_t _account_event(self, const char* kind, const FrameHeader* head, const AccountEvent* ev, char* out) noexcept nogil
    cdef char* _halt(self, char* p, const AccountEvent* ev, const char* tail) noexcept nogil

cdef char* put_order_id(char* p, uint32_t order) noexcept nogil
cdef char* put_state(char* p, const char* cl_ord_id, int cl_size, uint32_t order, uint32_t rev, int ord_status, int stage,
                     int hold, int pending, int64_t cum_qty_e9, int64_t leaves_qty_e9, int64_t avg_px_e9) noexcept nogil
cdef char* put_id(char* p, const char* text, int size) noexcept nogil
cdef char* put_text(char* p, const char* text, int size) noexcept nogil
cdef char* put(char* p, const char* literal) noexcept nogil
cdef char* put_dec(char* p, int64_t value_e9) noexcept nogil
cdef char* put_int(char* p, int64_t value) noexcept nogil
