"""This machine's clocks, and the server's as seen from here: deadlines do not depend on this machine's wall clock."""

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: `wall_ns` only makes names, `mono_ns` measures. A test or a simulation gives its own."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        ...

    def mono_ns(self) -> int:
        """Nanoseconds from an arbitrary start; never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    wall_ns = staticmethod(time.time_ns)
    mono_ns = staticmethod(time.monotonic_ns)


class ServerClock:
    """An offset from the local monotonic clock.

    A frame that took longer to come makes the server look earlier than it is, so a larger sample is adopted at once
    and a smaller one only by a sixteenth: deadlines err on the early side by little more than the best latency seen.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ns: int | None = None

    def observe(self, server_ns: int) -> None:
        sample = server_ns - self._clock.mono_ns()
        if self._offset_ns is None or sample > self._offset_ns:
            self._offset_ns = sample
        else:
            self._offset_ns += (sample - self._offset_ns) >> 4

    def now_ns(self) -> int | None:
        """Nanoseconds since 1970 by the server, or None before it was ever heard."""
        return None if self._offset_ns is None else self._clock.mono_ns() + self._offset_ns
