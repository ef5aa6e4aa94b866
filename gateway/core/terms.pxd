"""A client's request as the terms of an order."""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t
from hotpath.records cimport Terms
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

cdef bint name_ok(const char* text, Py_ssize_t size) noexcept nogil

cdef class TermsReader:
    cdef State state
    cdef readonly str path
    cdef readonly str text
    cdef int64_t* day_ends
    cdef uint8_t* sources                   # by instrument: PriceSource + 1 that triggers watch by default, 0 = by asset class
    cdef int _refuse(self, int code, str path, str text) except 1
    cdef int _decimal(self, object text, str path, int64_t* out) except 1
    cdef int _number(self, object text, str path, int64_t* out) except 1
    cdef int _trail(self, object trigger, Terms* t) except 1
    cdef int _distance(self, object trail, str path, int64_t* distance_e9, uint8_t* unit) except 1
    cdef int _terms(self, object req, Terms* t) except 1
    cdef int _trigger(self, object trigger, Terms* t) except 1
    cdef int _hour(self, object trigger, Terms* t) except 1
    cdef int _held_here(self, object trigger) except 1
    cdef int _move_trigger(self, object trigger, Terms* t) except 1
    cdef int _confirmation(self, object confirm, Terms* t) except 1
    cdef int _grid(self, const Terms* t) except 1
    cdef int64_t _day_end(self, uint32_t instrument) noexcept
    cdef int _unsupported(self, object req, Terms* t) except 1
    cdef int _nearest(self, int code, str path, int64_t value_e9) except 1
    cdef uint64_t _content(self, const Terms* t, object req) except? 0
    cdef int _changes(self, object req, Terms* t) except 1
    cdef uint64_t _change_content(self, object req) except? 0
