"""The cancel of an order of which nobody knows whether it left before a crash."""
from libc.stdint cimport int64_t, uint32_t
from gateway.core.state cimport State

cdef int64_t cancel_suspect(State s, uint32_t order, int reason) except? -100
