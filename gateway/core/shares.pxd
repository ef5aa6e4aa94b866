"""How much of its quantity each order has that waits for another or shares with others."""
from libc.stdint cimport int64_t, uint32_t
from hotpath.enums cimport TriggerKind
from hotpath.orders cimport OrderRow
from hotpath.records cimport Terms
from gateway.core.state cimport State

cdef inline bint is_stop(const Terms* terms) noexcept nogil:                 # the camp of a group's member
    return terms.trigger == TriggerKind.STOP or terms.trigger == TriggerKind.TRAIL or terms.trigger == TriggerKind.TIME

cdef inline bint is_exit(const Terms* parent, const Terms* terms) noexcept nogil:
    """Whether a child takes back what its parent brings."""
    return parent.instrument == terms.instrument and parent.side != terms.side

# What the fills of `parent` leave such terms of their whole quantity.
cdef int64_t part_of(State s, const OrderRow* parent, const Terms* terms) noexcept nogil
# The quantity that would be in force of an order if its client asked for `whole_e9`; 0 when nothing is left of it.
cdef int64_t share_of(State s, uint32_t order, int64_t whole_e9) noexcept nogil
# What the gate holds for the other camp of its group: the same position's exit a second time, so it does not count.
cdef int64_t spared_qty(State s, uint32_t order) noexcept nogil
# What a group will have filled beyond the most that it ever shared, once the order has filled `more_e9`.
cdef int64_t excess_after(State s, uint32_t order, int64_t more_e9) noexcept nogil
cdef int tell_excess(State s, uint32_t order, int64_t excess_e9) except -1
cpdef settle(State s)
cpdef heal(State s, int64_t wall_ns)
cpdef list rivals(State s, uint32_t order)
