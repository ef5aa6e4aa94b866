"""Orders whose price is through and that must not leave yet: each line of the trigger index has a queue of them.

A line is an instrument and one source of prices. What waits here is not in the index meanwhile, so that an update costs
nothing for what rests and something only for what is through. Nothing of it is journaled: a restart arms all that is held.
"""
from libc.stdint cimport int64_t, uint32_t, uint8_t

cdef enum Look:                          # bits of why the next qualifying price of a line is looked at, whether it fires or not
    WAITS = 1                            # orders wait here
    UNWATCHED = 2                        # the first one since nobody watched
    QUEUED = 4                           # a price of the line waits for its turn to fire orders

cdef struct Waiting:
    int64_t since_ns                     # local monotonic: the first judgement that counts
    int64_t seen_ns                      # of the data that was judged last
    int64_t level_px_e9                  # the trigger price that was reached
    uint32_t order
    uint32_t ticks                       # qualifying updates that count
    uint32_t term                        # of its line, when it came
    uint32_t rev                         # of the order: what was counted before a client's replace counts no more
    uint8_t missed                       # became true while nobody watched
    uint8_t parked                       # missed, and to fire only after the condition has been false

cdef class Through:
    cdef uint8_t* look                   # by line: Look bits
    cdef uint32_t* term                  # by line: a new one begins, and what was counted before it counts no more
    cdef int64_t* due_ns                 # by line: not later than the first order that time alone confirms
    cdef void* impl
    cdef void put(self, uint32_t line, const Waiting* item) noexcept
    cdef bint take(self, uint32_t line, Waiting* out) noexcept                 # the one that came first; False: nothing waits
    cdef size_t begin(self, uint32_t line) noexcept                            # how many wait; `due` is told anew of those that stay
    cdef void due(self, uint32_t line, int64_t due_ns) noexcept                # time alone confirms an order of the line then
    cdef int64_t next_due(self, int64_t line, int64_t mono_ns) noexcept        # the first line from `line` on that is due; -1: none
