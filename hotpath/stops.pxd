"""Trigger index: which resting orders a price fires. A price ladder with cached best; trailing groups share a watermark.

A handle is the order's row number (uint32). Per instrument x source x direction there is one ladder. Prices lie in
1 .. MAX_E9; a price of 0 ("none qualifies") never fires and never moves anything.
"""
from libc.stdint cimport int64_t, uint64_t, uint32_t, uint8_t

cdef extern from "hotpath/src/triggers.hpp" namespace "backstay" nogil:
    ctypedef struct TriggerLine "backstay::Line":   # one instrument x source x direction
        int64_t best_px_e9 "best_px"                # nearest trigger price: max resting for DOWN, min for UP
        int64_t move_px_e9 "move_px"                # from here on a price moves a trailing stop
    bint line_fires(const TriggerLine* lines, uint32_t instruments, uint32_t instrument, int source,
                    int64_t px_e9) noexcept
    cdef cppclass Triggers:
        pass
    int64_t trail_px "backstay::Triggers::trail_px"(int direction, int64_t offset_e9, int is_bps, int64_t tick_e9,
                                                    int64_t extreme_px_e9) noexcept   # stop of an extreme; 0 = none can fire

cdef class TriggerIndex:
    cdef TriggerLine* lines              # instruments * 5 sources * 2 directions
    cdef readonly uint32_t instruments
    cdef readonly uint32_t handles
    cdef readonly uint64_t armed
    cdef Triggers* impl
    # Unit of an instrument's plain trigger prices (1e-9 until set). -1: unknown instrument, no price, or stops rest already.
    cdef int set_tick_e9(self, uint32_t instrument, int64_t tick_e9) noexcept nogil
    # arm/disarm: 0 ok, -1 no room / bad arguments / handle state wrong (already armed, not armed) / price off the tick
    cdef int arm(self, uint32_t handle, uint32_t instrument, int source, int direction, int64_t trigger_px_e9) noexcept nogil
    # extreme 0: starts at the first price that advance_trails sees. At most 4096 distinct offsets on a line.
    cdef int arm_trail(self, uint32_t handle, uint32_t instrument, int source, int direction, int64_t offset_e9,
                       int offset_is_bps, int64_t tick_e9, int64_t extreme_px_e9) noexcept nogil
    cdef int disarm(self, uint32_t handle) noexcept nogil
    cdef bint is_armed(self, uint32_t handle) noexcept nogil
    # Hot: true when a price on this source fires something (or moves a trailing watermark: see advance_trails).
    cdef bint fires(self, uint32_t instrument, int source, int64_t px_e9) noexcept nogil
    # Move the watermarks of trailing groups; call before fires/pop_fired for a qualifying price. Returns groups moved.
    cdef int advance_trails(self, uint32_t instrument, int source, int64_t px_e9) noexcept nogil
    # Take up to `cap` fired handles out of the index, DOWN before UP, nearest price first, then the order of arrival at
    # that price (arming; for a trailing stop its last move); call again while == cap.
    cdef int pop_fired(self, uint32_t instrument, int source, int64_t px_e9, uint32_t* out, int cap) noexcept nogil
    # Present trigger price of a handle (for a trailing stop: computed from its group's watermark); 0 when not armed or
    # when its trail has not started or is out of range.
    cdef int64_t trigger_px(self, uint32_t handle) noexcept nogil
    # The extreme that arm_trail needs to put a trailing stop back where it is; 0 when it has not started.
    cdef int64_t extreme_px(self, uint32_t handle) noexcept nogil
    # Where a handle that pop_fired took out last stood, until it is armed again.
    cdef int64_t popped_px(self, uint32_t handle) noexcept nogil
    # Whether one more distance should come to the line; arm_trail takes it regardless.
    cdef bint has_trail_room(self, uint32_t instrument, int source, int direction, int64_t offset_e9, int offset_is_bps,
                             int64_t tick_e9) noexcept nogil

# Whether a price moves a trailing stop of a source.
cdef inline bint moves_at(TriggerIndex index, uint32_t instrument, int source, int64_t px_e9) noexcept nogil:
    cdef const TriggerLine* pair = index.lines + (<size_t>instrument * 5 + source) * 2
    return px_e9 >= pair[0].move_px_e9 or px_e9 <= pair[1].move_px_e9

# Whether a price fires a stop of a source.
cdef inline bint hits_at(TriggerIndex index, uint32_t instrument, int source, int64_t px_e9) noexcept nogil:
    cdef const TriggerLine* pair = index.lines + (<size_t>instrument * 5 + source) * 2
    return px_e9 <= pair[0].best_px_e9 or px_e9 >= pair[1].best_px_e9

# The same as index.fires, compiled into the caller.
cdef inline bint fires_at(TriggerIndex index, uint32_t instrument, int source, int64_t px_e9) noexcept nogil:
    return line_fires(index.lines, index.instruments, instrument, source, px_e9)
