"""Trigger index: the typed face of hotpath/src/triggers.hpp, and the same calls for Python."""
from libc.stdint cimport INT64_MAX, INT64_MIN
from libc.stdlib cimport free
from libc.string cimport memset

cdef extern from "stdlib.h" nogil:
    void* aligned_alloc(size_t alignment, size_t size) noexcept

cdef extern from "hotpath/src/trigger_loops.hpp" namespace "backstay" nogil:
    cdef cppclass Core "backstay::Triggers":
        uint64_t armed
        int set_tick(uint32_t instrument, int64_t tick) noexcept
        int arm(uint32_t handle, uint32_t instrument, int source, int direction, int64_t px) noexcept
        int arm_trail(uint32_t handle, uint32_t instrument, int source, int direction, int64_t offset, int is_bps,
                      int64_t tick, int64_t extreme) noexcept
        int disarm(uint32_t handle) noexcept
        bint is_armed(uint32_t handle) noexcept
        int advance(uint32_t instrument, int source, int64_t px) noexcept
        int pop(uint32_t instrument, int source, int64_t px, uint32_t* out, int cap) noexcept
        int64_t trigger_px(uint32_t handle) noexcept
        int64_t extreme_px(uint32_t handle) noexcept
        int64_t popped_px(uint32_t handle) noexcept
        bint has_trail_room(uint32_t instrument, int source, int direction, int64_t offset, int is_bps, int64_t tick) noexcept
        uint64_t bytes() noexcept
    Core* create "backstay::Triggers::create"(TriggerLine* lines, uint32_t instruments, uint32_t handles) noexcept
    uint64_t loop "backstay::check_loop"(const TriggerLine* lines, uint32_t instruments, uint32_t instrument, int source,
                                         int64_t px, uint64_t n) noexcept
    uint64_t churn "backstay::churn_loop"(Triggers* core, uint32_t first, uint32_t step, uint32_t count, uint64_t n) noexcept
    uint64_t climb "backstay::climb_loop"(Triggers* core, uint32_t instrument, int source, int64_t px, int64_t step,
                                          uint64_t n) noexcept

cdef enum:
    LINES_PER_INSTRUMENT = 10
    BATCH_MAX = 65536


cdef class TriggerIndex:
    """Index of resting triggers for a fixed number of instruments and handles. Prices in 1e-9.

    Plain trigger prices are multiples of the instrument's tick (`set_tick`); where none was set the unit is 1e-9, which
    is exact for any price but takes more memory. A price off the tick is refused with -1.
    """

    def __cinit__(self, uint32_t instruments, uint32_t handles):
        if not 0 < instruments <= 10_000_000 or not 0 < handles <= 1_000_000_000:
            raise ValueError(f"instruments or handles out of range: {instruments} {handles}")
        cdef size_t size = <size_t>instruments * LINES_PER_INSTRUMENT * sizeof(TriggerLine)
        self.lines = <TriggerLine*>aligned_alloc(64, size)      # a pair of lines is one cache line
        if self.lines == NULL:
            raise MemoryError
        memset(self.lines, 0, size)
        self.impl = <Triggers*>create(self.lines, instruments, handles)
        if self.impl == NULL:
            raise MemoryError
        self.instruments = instruments
        self.handles = handles

    def __dealloc__(self):
        if self.impl != NULL:
            del self.impl
        free(self.lines)

    cdef int set_tick_e9(self, uint32_t instrument, int64_t tick_e9) noexcept nogil:
        return (<Core*>self.impl).set_tick(instrument, tick_e9)

    cdef int arm(self, uint32_t handle, uint32_t instrument, int source, int direction,
                 int64_t trigger_px_e9) noexcept nogil:
        cdef int code = (<Core*>self.impl).arm(handle, instrument, source, direction, trigger_px_e9)
        self.armed = (<Core*>self.impl).armed
        return code

    cdef int arm_trail(self, uint32_t handle, uint32_t instrument, int source, int direction, int64_t offset_e9,
                       int offset_is_bps, int64_t tick_e9, int64_t extreme_px_e9) noexcept nogil:
        cdef int code = (<Core*>self.impl).arm_trail(handle, instrument, source, direction, offset_e9, offset_is_bps,
                                                     tick_e9, extreme_px_e9)
        self.armed = (<Core*>self.impl).armed
        return code

    cdef int disarm(self, uint32_t handle) noexcept nogil:
        cdef int code = (<Core*>self.impl).disarm(handle)
        self.armed = (<Core*>self.impl).armed
        return code

    cdef bint is_armed(self, uint32_t handle) noexcept nogil:
        return (<Core*>self.impl).is_armed(handle)

    cdef bint fires(self, uint32_t instrument, int source, int64_t px_e9) noexcept nogil:
        return line_fires(self.lines, self.instruments, instrument, source, px_e9)

    cdef int advance_trails(self, uint32_t instrument, int source, int64_t px_e9) noexcept nogil:
        return (<Core*>self.impl).advance(instrument, source, px_e9)

    cdef int pop_fired(self, uint32_t instrument, int source, int64_t px_e9, uint32_t* out, int cap) noexcept nogil:
        cdef int count = (<Core*>self.impl).pop(instrument, source, px_e9, out, cap)
        self.armed = (<Core*>self.impl).armed
        return count

    cdef int64_t trigger_px(self, uint32_t handle) noexcept nogil:
        return (<Core*>self.impl).trigger_px(handle)

    cdef int64_t extreme_px(self, uint32_t handle) noexcept nogil:
        return (<Core*>self.impl).extreme_px(handle)

    cdef int64_t popped_px(self, uint32_t handle) noexcept nogil:
        return (<Core*>self.impl).popped_px(handle)

    cdef bint has_trail_room(self, uint32_t instrument, int source, int direction, int64_t offset_e9, int offset_is_bps,
                             int64_t tick_e9) noexcept nogil:
        return (<Core*>self.impl).has_trail_room(instrument, source, direction, offset_e9, offset_is_bps, tick_e9)

    # --- the Python side ---------------------------------------------------------------------------------------------

    def set_tick(self, uint32_t instrument, int64_t tick_e9):
        """Unit of an instrument's plain trigger prices. Raises ValueError while stops rest by another one."""
        if self.set_tick_e9(instrument, tick_e9):
            raise ValueError(f"tick refused: instrument={instrument} tick_e9={tick_e9}")

    def arm_stop(self, uint32_t handle, uint32_t instrument, int source, int direction, int64_t trigger_px_e9):
        return self.arm(handle, instrument, source, direction, trigger_px_e9)

    def arm_trailing(self, uint32_t handle, uint32_t instrument, int source, int direction, int64_t offset_e9,
                     bint offset_is_bps, int64_t tick_e9, int64_t extreme_px_e9=0):
        return self.arm_trail(handle, instrument, source, direction, offset_e9, offset_is_bps, tick_e9, extreme_px_e9)

    def disarm_stop(self, uint32_t handle):
        return self.disarm(handle)

    def holds(self, uint32_t handle):
        """Whether the handle is armed."""
        return self.is_armed(handle)

    def check(self, uint32_t instrument, int source, int64_t px_e9):
        """Whether a price fires a stop or moves a trailing one."""
        return self.fires(instrument, source, px_e9)

    def advance(self, uint32_t instrument, int source, int64_t px_e9):
        """Move the trailing stops; returns the number of groups that moved."""
        return self.advance_trails(instrument, source, px_e9)

    def take_fired(self, uint32_t instrument, int source, int64_t px_e9, int cap=256):
        """Up to `cap` fired handles, in firing order, taken out of the index."""
        cdef uint32_t out[256]
        cdef list taken = []
        cdef int count, want, i
        if not 0 <= cap <= BATCH_MAX:
            raise ValueError(f"cap out of range: {cap}")
        while cap > 0:
            want = cap if cap < 256 else 256
            count = self.pop_fired(instrument, source, px_e9, out, want)
            for i in range(count):
                taken.append(out[i])
            if count < want:
                break
            cap -= count
        return taken

    def trigger_of(self, uint32_t handle):
        """Present trigger price in 1e-9; 0 when there is none."""
        return self.trigger_px(handle)

    def extreme_of(self, uint32_t handle):
        """The extreme that puts a trailing stop back where it is; 0 when it has not started."""
        return self.extreme_px(handle)

    def popped_of(self, uint32_t handle):
        """Where a handle that fired last stood, until it is armed again."""
        return self.popped_px(handle)

    def best_of(self, uint32_t instrument, int source, int direction):
        """Nearest trigger price of a line, None when none can fire."""
        if instrument >= self.instruments or not 0 <= source < 5 or not 0 <= direction <= 1:
            raise IndexError(f"no line: instrument={instrument} source={source} direction={direction}")
        cdef int64_t px_e9 = self.lines[(<size_t>instrument * 5 + source) * 2 + direction].best_px_e9
        return None if px_e9 == INT64_MIN or px_e9 == INT64_MAX else px_e9

    def memory_bytes(self):
        """Bytes held by the index: handles, lines, ladder nodes, groups."""
        return (<Core*>self.impl).bytes()

    def check_loop(self, uint32_t instrument, int source, int64_t px_e9, uint64_t n):
        """n checks in a compiled loop; returns how many fired (for benchmarks)."""
        return loop(self.lines, self.instruments, instrument, source, px_e9, n)

    def churn_loop(self, uint32_t first, uint32_t step, uint32_t count, uint64_t n):
        """n times, one of the handles first, first + step, ... (count of them) is disarmed and armed again as it was.

        Returns the number of failures (for benchmarks).
        """
        if count == 0 or first + (count - 1) * <uint64_t>step >= self.handles:
            raise ValueError(f"handles out of range: first={first} step={step} count={count}")
        return churn(self.impl, first, step, count, n)

    def climb_loop(self, uint32_t instrument, int source, int64_t px_e9, int64_t step_e9, uint64_t n):
        """n prices, `step_e9` apart, move trailing stops; returns how many groups moved (for benchmarks)."""
        return climb(self.impl, instrument, source, px_e9, step_e9, n)
