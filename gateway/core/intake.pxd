"""What clients ask for: checked, decided in one call, and turned into records."""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from hotpath.checks cimport CheckRequest, Decision
from hotpath.records cimport Terms
from hotpath.orders cimport OrderRow
from gateway.core.state cimport State

cpdef enum Refusal:
    """Why a request had no effect; negative, so that a positive answer is a record's sequence and 0 a repetition."""
    CONTROL = -1                # `Intake.decision` says which
    CL_ORD_ID_CONFLICT = -2
    UNKNOWN_ORDER = -3
    ORDER_DONE = -4
    ORDER_CLOSING = -5
    ORDER_IN_DOUBT = -6
    REV_CONFLICT = -7
    TRIGGER_THROUGH = -8
    UNSUPPORTED = -9
    BAD_FIELD = -10
    BAD_DECIMAL = -11
    BAD_COMBINATION = -12
    UNKNOWN_SYMBOL = -13
    DEADLINE_PASSED = -14
    LINK_DOWN = -15
    BUSY = -16
    BAD_TICK = -17
    BAD_LOT = -18
    DRY_PASSED = -19            # no refusal: a dry run that would have been accepted

cdef class Intake:
    cdef State state
    cdef Decision verdict
    cdef readonly str path
    cdef readonly str text
    cdef public uint64_t dup_seq            # account sequence of the answer that is repeated
    cdef readonly int64_t order               # row that the last call was about, -1 none
    cdef int64_t* day_ends
    cdef uint8_t* sources                   # by instrument: PriceSource + 1 that triggers watch by default, 0 = by asset class
    cdef public bint link_up
    cdef int _refuse(self, int code, str path, str text) except 1
    cdef int _decimal(self, object text, str path, int64_t* out) except 1
    cdef int _terms(self, object req, Terms* t) except 1
    cdef int _trigger(self, object trigger, Terms* t) except 1
    cdef int _move_trigger(self, object trigger, Terms* t) except 1
    cdef int _grid(self, const Terms* t) except 1
    cdef int _check(self, uint32_t account, const Terms* t, const OrderRow* old, int64_t mono_ns, bint dry, bint release=*) except 1
    cdef int64_t _day_end(self, uint32_t instrument) noexcept
    cdef bint _through(self, const Terms* t, int64_t mono_ns) noexcept nogil
    cdef int64_t _find(self, uint32_t account, str cl_ord_id) except -2
    cdef int64_t _accept(self, uint32_t account, object req, Terms* t, uint64_t content, bytes session) except? -100
    cdef int64_t _cancel_row(self, uint32_t order, int reason) except? -100
    cdef int _live(self, const Terms* t, uint32_t account, int64_t mono_ns, bint dry) except 1
    cdef int _unsupported(self, object req, Terms* t) except 1
    cdef int _nearest(self, int code, str path, int64_t value_e9) except 1
    cdef uint64_t _content(self, const Terms* t, object req) except? 0
    cdef int _changes(self, object req, Terms* t) except 1
    cdef uint64_t _change_content(self, object req) except? 0
    cdef int64_t _replace_row(self, uint32_t order, Terms* t, uint32_t rev, uint64_t content) except? -100
    cdef int _admit(self, uint32_t account, object req, int64_t deadline_ns, int64_t mono_ns, bint dry, Terms* terms, uint64_t* content) except -100
    cdef int _revise(self, uint32_t account, object req, int64_t deadline_ns, int64_t mono_ns, bint dry, Terms* terms, uint64_t* content) except -100
