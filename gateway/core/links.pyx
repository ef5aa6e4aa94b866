"""Which orders wait for which, and which share one quantity; derived from the order rows.

No part of the state's bytes: what an order is tied to stands in its terms, and loading them ties it again.
"""
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport calloc, free
from hotpath.orders cimport OrderRow, OrderTable, is_done


cdef class Links:
    """The ties of the orders of one shard.

    Args:
        orders: the table that the orders are in.
    """

    def __cinit__(self, OrderTable orders not None):
        cdef size_t rows = orders.capacity
        self.orders = orders
        self.newest, self.armed, self.grown, self.late = {}, {}, {}, {}
        self.child_first = <uint32_t*>calloc(rows, sizeof(uint32_t))
        self.child_last = <uint32_t*>calloc(rows, sizeof(uint32_t))
        self.child_next = <uint32_t*>calloc(rows, sizeof(uint32_t))
        self.mate_next = <uint32_t*>calloc(rows, sizeof(uint32_t))
        self.mate_last = <uint32_t*>calloc(rows, sizeof(uint32_t))
        if (self.child_first == NULL or self.child_last == NULL or self.child_next == NULL or self.mate_next == NULL
                or self.mate_last == NULL):
            raise MemoryError(f"no room for the ties of {rows} orders")

    def __dealloc__(self):
        free(self.child_first)
        free(self.child_last)
        free(self.child_next)
        free(self.mate_next)
        free(self.mate_last)

    cdef int tie(self, uint32_t order) except -1:
        """An order was accepted."""
        cdef OrderRow* row = &self.orders.rows[order]
        cdef uint32_t at
        if row.terms.parent > order or row.terms.group > order + 1:
            raise ValueError(f"order row {order} is tied to one that comes after it")
        if row.terms.parent:
            at = row.terms.parent - 1
            if self.child_first[at]:
                self.child_next[self.child_last[at] - 1] = order + 1
            else:
                self.child_first[at] = order + 1
            self.child_last[at] = order + 1
        if row.terms.group:
            at = row.terms.group - 1
            if at != order:
                self.mate_next[self.mate_last[at] - 1] = order + 1
            self.mate_last[at] = order + 1
            self.newest[(row.account, row.oco)] = at
        return 0

    cdef bint touches(self, uint32_t order) noexcept nogil:
        """Whether what happens to the order concerns another one."""
        cdef const OrderRow* row = &self.orders.rows[order]
        return row.terms.parent != 0 or row.terms.group != 0 or self.child_first[order] != 0

    cdef int members(self, uint32_t order, uint32_t* out) noexcept nogil:
        cdef uint32_t at = self.orders.rows[order].terms.group
        if at == 0:
            out[0] = order
            return 1
        return self._walk(at, self.mate_next, out)

    cdef int children(self, uint32_t order, uint32_t* out) noexcept nogil:
        return self._walk(self.child_first[order], self.child_next, out)

    cdef int _walk(self, uint32_t at, const uint32_t* chain, uint32_t* out) noexcept nogil:
        cdef int n = 0
        while at and n < MEMBERS_MAX:
            out[n] = at - 1
            n += 1
            at = chain[at - 1]
        return n

    cdef int64_t group_of(self, uint32_t account, bytes oco) except -2:
        cdef uint32_t members[MEMBERS_MAX]
        cdef OrderRow* row
        cdef int i, n
        first = self.newest.get((account, self.orders.text_ids.get(oco, 0)))
        if first is None:
            return -1
        n = self.members(<uint32_t>first, members)
        for i in range(n):
            row = &self.orders.rows[members[i]]
            if not is_done(row.ord_status) or row.owed_qty_e9 > 0:
                return <int64_t>first
        return -1

    def take_armed(self) -> list:
        """Instruments on which a parent has armed an order since the last call."""
        taken = list(self.armed)
        self.armed = {}
        return taken
