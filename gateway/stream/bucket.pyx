"""A token bucket in integers, for the rates of a key."""
from libc.stdint cimport int64_t


cdef class Bucket:
    """Refills evenly up to its burst.

    Args:
        per_s: tokens a second. burst: tokens that it holds when full.
    """

    def __init__(self, int64_t per_s, int64_t burst):
        self.per_s = per_s
        self.burst = burst
        self.cost_ns = 1000000000 // per_s
        self.credit_ns = burst * self.cost_ns

    cpdef int64_t take(self, int64_t mono_ns, int64_t count=1) noexcept:
        """Take `count` tokens or none of them: what is left, or -1."""
        cdef int64_t full = self.burst * self.cost_ns
        if mono_ns > self.stamp_ns:
            self.credit_ns = full if mono_ns - self.stamp_ns >= full - self.credit_ns else self.credit_ns + mono_ns - self.stamp_ns
            self.stamp_ns = mono_ns
        if self.credit_ns < self.cost_ns * count:
            return -1
        self.credit_ns -= self.cost_ns * count
        return self.credit_ns // self.cost_ns

    def give_back(self, int64_t count) -> None:
        """Undo a `take`: what it was for did not happen."""
        self.credit_ns += self.cost_ns * count

    def wait_ns(self) -> int:
        """Time until one token is there."""
        return max(0, self.cost_ns - self.credit_ns)
