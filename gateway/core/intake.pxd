"""What clients ask for: checked, decided in one call, and turned into records."""
from libc.stdint cimport int64_t, uint64_t, uint32_t
from libcpp.vector cimport vector
from hotpath.checks cimport Decision
from hotpath.records cimport Terms
from hotpath.orders cimport OrderRow
from gateway.core.terms cimport TermsReader

cdef class Intake(TermsReader):
    cdef Decision verdict
    cdef public uint64_t dup_seq            # account sequence of the answer that is repeated
    cdef readonly int64_t order               # row that the last call was about, -1 none
    cdef public bint link_up
    cdef bint _has_trail_room(self, const Terms* t) noexcept nogil
    cdef list ahead                         # new orders before this one in its batch, and their terms
    cdef vector[Terms] ahead_terms
    cdef int _check(self, uint32_t account, const Terms* t, const OrderRow* old, int64_t mono_ns, bint dry, bint release=*,
                    int64_t spared_e9=*) except 1
    cdef int _tie(self, uint32_t account, object req, Terms* t, uint32_t order) except -1
    cdef bint _through(self, const Terms* t, int64_t armed_ns, int64_t mono_ns) noexcept nogil
    cdef int64_t _find(self, uint32_t account, str cl_ord_id) except -2
    cdef int64_t _accept(self, uint32_t account, object req, Terms* t, uint64_t content, bytes session) except? -100
    cdef int64_t _cancel_row(self, uint32_t order, int reason) except? -100
    cdef int _live(self, const Terms* t, uint32_t account, int64_t mono_ns, bint dry) except 1
    cdef int64_t _replace_row(self, uint32_t order, Terms* t, uint32_t rev, uint64_t content) except? -100
    cdef int _admit(self, uint32_t account, object req, int64_t deadline_ns, int64_t mono_ns, bint dry, Terms* terms, uint64_t* content) except -100
    cdef int _revise(self, uint32_t account, object req, int64_t deadline_ns, int64_t mono_ns, bint dry, Terms* terms, uint64_t* content) except -100
