"""Repeating calls on the loop, without drift of their own making."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timers:
    """The repeating calls of a process; all end together."""

    def __init__(self) -> None:
        self._handles: dict[int, asyncio.TimerHandle] = {}
        self._next = 0

    def every(self, loop: asyncio.AbstractEventLoop, period_ns: int, call: Callable[[], None]) -> None:
        """Call it each `period_ns`, from one period on; a call that came late is not made up for."""
        number = self._next
        self._next += 1

        def run() -> None:
            self._handles[number] = loop.call_later(period_ns / 1e9, run)
            call()

        self._handles[number] = loop.call_later(period_ns / 1e9, run)

    def cancel(self) -> None:
        """End them all."""
        for handle in self._handles.values():
            handle.cancel()
        self._handles.clear()
