"""Orders that trail, looked at in turn: telling their clients where the stop is by now costs the same whatever their number.

No part of the state: what is told is a record of its own.
"""
from libc.stdint cimport uint32_t


cdef class Trails:
    """A ring of order rows.

    Args:
        orders: capacity of the order table.
    """

    def __cinit__(self, uint32_t orders):
        self.is_listed.assign(orders, 0)

    cdef void add(self, uint32_t order) noexcept nogil:
        if not self.is_listed[order]:
            self.is_listed[order] = 1
            self.rows.push_back(order)

    cdef uint32_t next(self) noexcept nogil:
        if self.rows.empty():
            return NONE_TRAILS
        self.at = self.at + 1 if self.at + 1 < self.rows.size() else 0
        return self.rows[self.at]

    cdef void drop(self) noexcept nogil:
        self.is_listed[self.rows[self.at]] = 0
        self.rows[self.at] = self.rows.back()
        self.rows.pop_back()
        self.at = self.at - 1 if self.at else (self.rows.size() - 1 if self.rows.size() else 0)

    def __len__(self) -> int:
        return self.rows.size()
