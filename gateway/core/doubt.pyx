"""The cancel of an order of which nobody knows whether it left before a crash."""
from libc.stdint cimport int64_t, uint16_t, uint32_t
from libc.string cimport memcpy
from hotpath.enums cimport Hold, OrdStatus, Pending, Stage
from hotpath.records cimport Kind, OrderEvent, TextBody
from gateway.core.state cimport OP_CANCEL, State


cdef int64_t cancel_suspect(State s, uint32_t order, int reason) except? -100:
    """A held order that may be at the broker cannot be called canceled: it is in doubt, its cancel waits, both or neither."""
    cdef bytes cause = b"it may have fired before the restart"
    cdef int grouped = s.grouped
    cdef OrderEvent* ev = s.begin(order)
    cdef TextBody* body = <TextBody*>s.body()
    cdef int64_t seq
    ev.ord_status = OrdStatus.PENDING_NEW
    ev.stage = Stage.IN_DOUBT
    ev.hold = Hold.HOLD_NONE
    body.since_ns = s.wall_ns
    body.code_size = <uint16_t>len(cause)
    memcpy(s.body() + sizeof(TextBody), <const char*>cause, len(cause))
    s.grouped = 1
    s.commit(Kind.IN_DOUBT_EV, sizeof(TextBody) + len(cause))
    s.grouped = grouped
    ev = s.begin(order)
    ev.reason = reason
    ev.pending = Pending.PENDING_CANCEL
    seq = <int64_t>s.commit(Kind.PENDING_CANCEL_EV, 0)
    s.effect(OP_CANCEL, order)
    return seq
