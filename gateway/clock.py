"""The time port: who needs the time is given a Clock, so that a simulation can be the clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks that must not be mixed: `wall_ns` stamps records and may jump, `mono_ns` measures waits and ages."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""
        ...

    def mono_ns(self) -> int:
        """Nanoseconds from an arbitrary start; never goes back."""
        ...


class SystemClock:
    """The machine's clocks. Cost of a call: about 40 ns."""

    __slots__ = ()

    wall_ns = staticmethod(time.time_ns)
    mono_ns = staticmethod(time.monotonic_ns)
