"""Whether an order may wait for another one, or share with others, as it asks to."""
from libc.stdint cimport uint32_t
from libcpp.vector cimport vector
from hotpath.records cimport Terms
from gateway.core.terms cimport TermsReader

cdef enum:
    AHEAD = 0xFFFFFFFF                       # `Terms.parent` of an order whose parent stands before it in its batch

# Tie the terms to a parent and find no fault with the group; `ahead` are the new orders before it in its batch.
cdef int relate(TermsReader r, uint32_t account, object req, Terms* t, list ahead, const vector[Terms]* terms) except 1
# Whether new terms suit what the order is tied to.
cdef int revise(TermsReader r, uint32_t order, const Terms* t) except 1
