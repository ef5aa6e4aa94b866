"""A link's message budget: a token bucket whose last part is kept for cancels and protective orders."""

from __future__ import annotations

from collections.abc import Callable

from brokers.capabilities import RateBudget

SECOND_NS = 1_000_000_000


class TokenBucket:
    """Credit in nanoseconds of refill, so that no fraction of a token is lost. Bound: `burst`."""

    def __init__(self, budget: RateBudget, mono_ns: Callable[[], int]) -> None:
        if not 0 <= budget.reserved_burst < budget.burst or budget.messages_per_s < 1:
            raise ValueError(f"budget leaves no room for entries: {budget}")
        self._token_ns = SECOND_NS // budget.messages_per_s
        self._full_ns = self._token_ns * budget.burst
        self._reserve_ns = self._token_ns * budget.reserved_burst
        self._mono_ns = mono_ns
        self._credit_ns = self._full_ns
        self._stamp_ns = mono_ns()

    def take(self, *, is_reserved: bool) -> bool:
        """Spend one message; entries (`is_reserved` False) cannot touch the reserve."""
        now_ns = self._mono_ns()
        self._credit_ns = min(self._full_ns, self._credit_ns + now_ns - self._stamp_ns)
        self._stamp_ns = now_ns
        if self._credit_ns < self._token_ns + (0 if is_reserved else self._reserve_ns):
            return False
        self._credit_ns -= self._token_ns
        return True

    def give_back(self) -> None:
        """Undo a `take` whose message did not leave."""
        self._credit_ns += self._token_ns

    def wait_ns(self, *, is_reserved: bool) -> int:
        """How long after the last `take` until the next one of this kind passes."""
        return max(0, self._token_ns + (0 if is_reserved else self._reserve_ns) - self._credit_ns)
