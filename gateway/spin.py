"""Busy polling: for who owns a core, the loop spins a while after the last work instead of blocking in the kernel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Spinner:
    """Keeps the loop awake for `spin_ns` after `activity` last changed; asleep it costs nothing.

    A blocked loop pays several microseconds to be woken (docs/benchmarks.md). Never under a real-time scheduler: the
    kernel throttles a spinning real-time thread.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, spin_ns: int, mono_ns: Callable[[], int], activity: Callable[[], int]
    ) -> None:
        """activity: a number that changes whenever there was work."""
        self._loop = loop
        self._spin_ns = spin_ns
        self._mono_ns = mono_ns
        self._activity = activity
        self._seen = -1
        self._until_ns = 0
        self._is_spinning = False

    def look(self) -> None:
        """Called now and then: begin to spin when there was work since."""
        if not self._is_spinning and self._activity() != self._seen:
            self._is_spinning = True
            self._turn()

    def _turn(self) -> None:
        now = self._mono_ns()
        count = self._activity()
        if count != self._seen:
            self._seen = count
            self._until_ns = now + self._spin_ns
        if now < self._until_ns:
            self._loop.call_soon(self._turn)
        else:
            self._is_spinning = False
