"""Orders whose price is through and that must not leave yet: to be confirmed, or to see the condition false first."""
from libc.stdint cimport int64_t, uint32_t, uint8_t, INT64_MAX
from libc.stdlib cimport calloc, free
from libcpp.deque cimport deque
from libcpp.map cimport map as tree
from cython.operator cimport dereference, preincrement

ctypedef tree[uint32_t, deque[Waiting]] Queues


cdef class Through:
    """The queues of a number of lines.

    Args:
        lines: how many there are; nothing waits, and all are watched.
    """

    def __cinit__(self, Py_ssize_t lines):
        self.look = <uint8_t*>calloc(lines, 1)
        self.term = <uint32_t*>calloc(lines, sizeof(uint32_t))
        self.due_ns = <int64_t*>calloc(lines, sizeof(int64_t))
        self.impl = <void*>new Queues()
        if self.look == NULL or self.term == NULL or self.due_ns == NULL:
            raise MemoryError("no room for the lines of the watch")

    def __dealloc__(self):
        cdef Queues* queues = <Queues*>self.impl
        free(self.look)
        free(self.term)
        free(self.due_ns)
        del queues

    cdef void put(self, uint32_t line, const Waiting* item) noexcept:
        (<Queues*>self.impl)[0][line].push_back(item[0])
        self.look[line] |= Look.WAITS

    cdef bint take(self, uint32_t line, Waiting* out) noexcept:
        cdef Queues* queues = <Queues*>self.impl
        cdef tree[uint32_t, deque[Waiting]].iterator at = queues.find(line)
        if at == queues.end():
            return False
        out[0] = dereference(at).second.front()
        dereference(at).second.pop_front()
        if dereference(at).second.empty():
            queues.erase(at)
            self.look[line] &= ~<uint8_t>Look.WAITS
        return True

    cdef size_t begin(self, uint32_t line) noexcept:
        cdef Queues* queues = <Queues*>self.impl
        cdef tree[uint32_t, deque[Waiting]].iterator at = queues.find(line)
        self.due_ns[line] = INT64_MAX
        return 0 if at == queues.end() else dereference(at).second.size()

    cdef void due(self, uint32_t line, int64_t due_ns) noexcept:
        self.due_ns[line] = min(self.due_ns[line], due_ns)

    cdef int64_t next_due(self, int64_t line, int64_t mono_ns) noexcept:
        cdef Queues* queues = <Queues*>self.impl
        cdef tree[uint32_t, deque[Waiting]].iterator at = queues.lower_bound(<uint32_t>line)
        while at != queues.end():
            if self.due_ns[dereference(at).first] <= mono_ns:
                return dereference(at).first
            preincrement(at)
        return -1
