"""Trigger index: which resting orders a price fires. A price ladder with cached best; trailing groups share a watermark.

A handle is the order's row number (uint32). Per instrument x source x direction there is one ladder.
"""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t

cdef struct TriggerLine:                 # one instrument x source x direction; layout owned by stops.pyx
    int64_t best_px_e9                   # nearest trigger price: max resting for DOWN, min for UP; sentinel when empty
    void* ladder

cdef class TriggerIndex:
    cdef TriggerLine* lines              # instruments * 5 sources * 2 directions
    cdef readonly uint32_t instruments
    cdef readonly uint64_t armed
    cdef void* impl
    # arm/disarm: 0 ok, -1 no room / bad arguments / handle state wrong (already armed, not armed)
    cdef int arm(self, uint32_t handle, uint32_t instrument, int source, int direction, int64_t trigger_px_e9) noexcept nogil
    cdef int arm_trail(self, uint32_t handle, uint32_t instrument, int source, int direction, int64_t offset_e9,
                       int offset_is_bps, int64_t tick_e9, int64_t extreme_px_e9) noexcept nogil
    cdef int disarm(self, uint32_t handle) noexcept nogil
    cdef bint is_armed(self, uint32_t handle) noexcept nogil
    # Hot: true when a price on this source fires something (or moves a trailing watermark: see advance_trails).
    cdef bint fires(self, uint32_t instrument, int source, int64_t px_e9) noexcept nogil
    # Move the watermarks of trailing groups; call before fires/pop_fired for a qualifying price. Returns groups moved.
    cdef int advance_trails(self, uint32_t instrument, int source, int64_t px_e9) noexcept nogil
    # Take up to `cap` fired handles out of the index, nearest price first, then arming order; call again while == cap.
    cdef int pop_fired(self, uint32_t instrument, int source, int64_t px_e9, uint32_t* out, int cap) noexcept nogil
    # Present trigger price of a handle (for a trailing stop: computed from its group's watermark); 0 when not armed.
    cdef int64_t trigger_px(self, uint32_t handle) noexcept nogil
