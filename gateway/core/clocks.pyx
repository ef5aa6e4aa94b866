"""Orders that wait for a time, the earliest first; those of an instrument that does not trade wait on, at no cost.

A part of the state that follows from its orders and instruments: `State` alone changes it, and a snapshot does not hold it.
"""
from libc.stdint cimport int64_t, uint32_t
from cython.operator cimport dereference


cdef class Clocks:
    """The times of a shard.

    Args:
        instruments: how many there may be; all of them trade.
    """

    def __cinit__(self, uint32_t instruments):
        self.lines.resize(instruments)
        self.is_shut.assign(instruments, 0)

    cdef int _hide(self, uint32_t instrument) except -1:
        if not self.is_shut[instrument] and not self.lines[instrument].empty():
            self.heads.erase(dereference(self.lines[instrument].begin()))
        return 0

    cdef int _show(self, uint32_t instrument) except -1:
        if not self.is_shut[instrument] and not self.lines[instrument].empty():
            self.heads.insert(dereference(self.lines[instrument].begin()))
        return 0

    cpdef int keep(self, uint32_t order, uint32_t instrument, int64_t due_ns) except -1:
        """Let an order of the instrument wait for this time (wall clock) and no other; 0: for none. Cost: O(log n)."""
        cdef int64_t before_ns = self.due_ns[order] if self.due_ns.count(order) else 0
        if due_ns == before_ns:
            return 0
        self._hide(instrument)
        if before_ns:
            self.lines[instrument].erase(Hour(before_ns, order))
            self.due_ns.erase(order)
        if due_ns:
            self.lines[instrument].insert(Hour(due_ns, order))
            self.due_ns[order] = due_ns
        return self._show(instrument)

    cpdef int let(self, uint32_t instrument, bint is_trading) except -1:
        """Whether what waits on the instrument may come due."""
        self._hide(instrument)
        self.is_shut[instrument] = not is_trading
        return self._show(instrument)

    cpdef int64_t next_due(self, int64_t wall_ns) except -2:
        """The order that is due first by that time and may come due; -1: none."""
        if self.heads.empty() or dereference(self.heads.begin()).first > wall_ns:
            return -1
        return dereference(self.heads.begin()).second

    @property
    def count(self) -> int:
        """How many orders wait."""
        return self.due_ns.size()
