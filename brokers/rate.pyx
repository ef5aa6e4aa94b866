"""A link's message budget: a token bucket whose last part is kept for cancels and protective orders."""
from libc.stdint cimport int64_t

cdef int64_t SECOND_NS = 1000000000


cdef class TokenBucket:
    """Credit in nanoseconds of refill, so that no fraction of a token is lost. Bound: `burst`.

    Args:
        budget: a `RateBudget`. mono_ns: the monotonic clock.

    Raises ValueError when the budget leaves no room for entries.
    """

    cdef int64_t token_ns
    cdef int64_t full_ns
    cdef int64_t reserve_ns
    cdef int64_t credit_ns
    cdef int64_t stamp_ns
    cdef object mono_ns

    def __init__(self, budget, mono_ns):
        if not 0 <= budget.reserved_burst < budget.burst or budget.messages_per_s < 1:
            raise ValueError(f"budget leaves no room for entries: {budget}")
        self.token_ns = SECOND_NS // <int64_t>budget.messages_per_s
        self.full_ns = self.token_ns * <int64_t>budget.burst
        self.reserve_ns = self.token_ns * <int64_t>budget.reserved_burst
        self.mono_ns = mono_ns
        self.credit_ns = self.full_ns
        self.stamp_ns = mono_ns()

    def take(self, *, bint is_reserved) -> bool:
        """Spend one message; entries (`is_reserved` False) cannot touch the reserve."""
        cdef int64_t now_ns = self.mono_ns()
        cdef int64_t gained = now_ns - self.stamp_ns
        self.credit_ns = self.full_ns if gained >= self.full_ns - self.credit_ns else self.credit_ns + gained
        self.stamp_ns = now_ns
        if self.credit_ns < self.token_ns + (0 if is_reserved else self.reserve_ns):
            return False
        self.credit_ns -= self.token_ns
        return True

    def give_back(self) -> None:
        """Undo a `take` whose message did not leave."""
        self.credit_ns += self.token_ns

    def wait_ns(self, *, bint is_reserved) -> int:
        """How long after the last `take` until the next one of this kind passes."""
        return max(0, self.token_ns + (0 if is_reserved else self.reserve_ns) - self.credit_ns)
