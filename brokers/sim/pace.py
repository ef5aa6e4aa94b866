"""The venue's message rate: how many messages each key may send, counted as they arrive."""

from __future__ import annotations

SECOND_NS = 1_000_000_000


class Pace:
    """A token bucket for each key. Credit is exact, in messages times a second's nanoseconds."""

    def __init__(self) -> None:
        self.refused = 0  # messages, all keys together
        self._credits: dict[str, tuple[int, int]] = {}  # key -> (credit, when)

    def takes(self, key: str, rate_per_s: int, burst: int, now_ns: int) -> bool:
        """Whether one more message of the key is inside its rate; one that is not costs nothing."""
        full = max(1, burst) * SECOND_NS
        credit, before_ns = self._credits.get(key, (full, now_ns))
        credit = min(full, credit + max(0, now_ns - before_ns) * rate_per_s)
        is_inside = credit >= SECOND_NS
        self._credits[key] = (credit - SECOND_NS if is_inside else credit, now_ns)
        self.refused += not is_inside
        return is_inside
