"""Each feed's state as operators and clients see it: `fresh`, `stale` or `down`, looked at ten times a second.

A connected feed is *stale* when nothing at all has come for its `stale_ms`, or when orders rest on an instrument that
it prices and has said nothing of for longer than the instrument's `max_age_ms`: whatever other feeds say meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import structlog

from gateway.core.watch import Watch
from gateway.options import FeedOptions

log = structlog.get_logger("feeds")
CHECK_NS = 100_000_000
FeedState = Literal["fresh", "stale", "down"]


def market_numbers(options: Sequence[FeedOptions]) -> list[int]:
    """The number of each feed's market: feeds that name the same one share it, any other is a market of its own."""
    numbers: dict[str, int] = {}
    found = []
    for at, feed in enumerate(options):
        found.append(numbers.setdefault(feed.market, at) if feed.market else at)
    return found


class FeedStates:
    """Owner of the states of one shard's feeds. A feed is known by its number, its place in the configuration."""

    def __init__(
        self, options: Sequence[FeedOptions], watch: Watch, on_change: Callable[[str, FeedState], None]
    ) -> None:
        """on_change: is told each new state, by the feed's name."""
        self._options = options
        self._watch = watch
        self._on_change = on_change
        self._due_ns = 0
        self._since_ns = [0] * len(options)  # of the present connection, monotonic
        self.states: list[FeedState] = ["down"] * len(options)

    def is_up(self, number: int) -> bool:
        """Whether the feed is connected."""
        return self.states[number] != "down"

    def number_of(self, name: str) -> int:
        """Raises ValueError when no feed has that name."""
        return [feed.name for feed in self._options].index(name)

    def connected(self, number: int, up: bool, mono_ns: int) -> None:
        """The feed's connection was made or lost."""
        self._since_ns[number] = mono_ns
        self._set(number, "fresh" if up else "down", "connected" if up else "lost")

    def on_timer(self, mono_ns: int) -> None:
        """Look at each connected feed."""
        if mono_ns < self._due_ns:
            return
        self._due_ns = mono_ns + CHECK_NS
        for number in range(len(self._options)):
            if self.is_up(number):
                why = self._silence(number, mono_ns)
                self._set(number, "stale" if why else "fresh", why or "it speaks again")

    def _silence(self, number: int, mono_ns: int) -> str:
        """What the feed does not speak of; empty when there is nothing to say against it."""
        newest_ns = max(self._watch.last_frame_ns(number), self._since_ns[number])
        if mono_ns - newest_ns > self._options[number].stale_ms * 1_000_000:
            return "silent"
        rows = self._watch.unheard(number, mono_ns)
        return f"silent on {len(rows)} instruments with resting stops" if rows else ""

    def _set(self, number: int, state: FeedState, why: str) -> None:
        if self.states[number] == state:
            return
        self.states[number] = state
        name = self._options[number].name
        if state == "fresh":
            log.info("feed", feed=name, state=state, why=why)
        else:
            log.warning("feed", feed=name, state=state, why=why)
        self._on_change(name, state)
