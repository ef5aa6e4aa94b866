"""A link's message rate: a token bucket, of which callers leave a part untouched by their rank."""
from libc.stdint cimport int64_t

cdef int64_t SECOND_NS = 1000000000


cdef class TokenBucket:
    """Credit in nanoseconds of refill, so that no fraction of a token is lost. Bound: `burst`.

    It starts empty: what the process before this one has sent, the broker still counts.

    Args:
        budget: a `RateBudget` with a rate. mono_ns: the monotonic clock.

    Raises ValueError when the budget leaves no room for entries.
    """

    cdef int64_t token_ns
    cdef int64_t full_ns
    cdef int64_t credit_ns
    cdef int64_t stamp_ns
    cdef object mono_ns

    def __init__(self, budget, mono_ns):
        if not 0 <= budget.reserved_burst < budget.burst or budget.messages_per_s < 1:
            raise ValueError(f"budget leaves no room for entries: {budget}")
        self.token_ns = -(-SECOND_NS // <int64_t>budget.messages_per_s)      # rounded up: never faster than declared
        self.full_ns = self.token_ns * <int64_t>budget.burst
        self.mono_ns = mono_ns
        self.credit_ns = 0
        self.stamp_ns = mono_ns()

    def has(self, int64_t count, *, int64_t spare) -> bool:
        """Whether so many messages may leave now and `spare` tokens would still be there after them."""
        cdef int64_t now_ns = self.mono_ns()
        cdef int64_t gained = now_ns - self.stamp_ns
        self.credit_ns = self.full_ns if gained >= self.full_ns - self.credit_ns else self.credit_ns + gained
        self.stamp_ns = now_ns
        return self.credit_ns >= self.token_ns * (count + spare)

    def spend(self, int64_t count) -> None:
        """So many messages have left, for which `has` said yes."""
        self.credit_ns -= self.token_ns * count

    def empty(self) -> None:
        """The broker has refused a message for its rate: it counts more than we did."""
        self.credit_ns = 0
        self.stamp_ns = self.mono_ns()

    def wait_ns(self, *, int64_t spare) -> int:
        """How long after the last `has` until one message may leave beside so many spare tokens."""
        return max(0, self.token_ns * (1 + spare) - self.credit_ns)
