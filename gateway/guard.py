"""Feed loss: tells each account whose resting stops nobody can judge, since when, and when they are watched again.

An instrument is *blind* while orders rest on it for a trigger and its newest data is older than its limit
(order-api.md, section 8). The action is to alert: the account's `guard` event, a log line, a metric and the feed's
state. After a restart the time since the last record is one in which nobody watched: `unguarded`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import structlog

from gateway.core.state import State
from gateway.core.views import Views
from gateway.core.watch import Watch
from gateway.core.world import World

log = structlog.get_logger("guard")
CHECK_NS = 100_000_000


class Protection(IntEnum):
    """`AccountEvent.state` of a `guard` record."""

    UNGUARDED = 0
    ARMED = 1
    BLIND = 2


@dataclass(slots=True)
class Loss:
    """One instrument whose stops are not watched, and the accounts that know."""

    state: Protection
    since_ns: int
    told: set[int] = field(default_factory=set)
    count: int = 0  # orders that rested there when the accounts were told


class Guard:
    """Watches the watching of one shard; the caller flushes what it writes."""

    def __init__(self, state: State, watch: Watch, views: Views, world: World) -> None:
        self._state = state
        self._watch = watch
        self._views = views
        self._world = world
        self._losses: dict[int, Loss] = {}
        self._due_ns = 0
        self.unguarded_ns = 0  # sum over instruments of the times in which resting stops were not watched

    @property
    def blind(self) -> list[int]:
        """Instruments on which stops rest that nobody can judge now."""
        return [row for row, loss in self._losses.items() if loss.state == Protection.BLIND]

    def start(self, wall_ns: int, mono_ns: int, last_wall_ns: int) -> None:
        """Stops that a restart found have not been watched since the last record before it, `last_wall_ns`."""
        self._watch.watch_from(mono_ns)
        for row in self._views.held():
            self._losses[row] = Loss(Protection.UNGUARDED, last_wall_ns)
        self._tell(dict.fromkeys(self._losses, b"restart"), wall_ns)

    def on_timer(self, wall_ns: int, mono_ns: int) -> bool:
        """Look at each instrument with resting stops, ten times a second; whether something changed."""
        if mono_ns < self._due_ns:
            return False
        self._due_ns = mono_ns + CHECK_NS
        silent = dict(self._watch.silent(mono_ns))
        if not silent and not self._losses:
            return False
        found = self._lost(silent, wall_ns)
        back = {row for row in self._losses if row not in silent and self._watch.is_seen(row, mono_ns)}
        self._returned(back, wall_ns)
        self._forget(silent)
        return bool(found or back)

    def _lost(self, silent: dict[int, int], wall_ns: int) -> dict[int, bytes]:
        """Tell of what is blind now and was not, or has gathered more orders since."""
        held = self._views.held()
        causes = {}
        for row, age_ns in silent.items():
            loss = self._losses.get(row)
            if loss is None or loss.state == Protection.UNGUARDED:
                since_ns = wall_ns - age_ns if loss is None else loss.since_ns
                self._losses[row] = Loss(Protection.BLIND, since_ns)
                causes[row] = b"feed silent"
                log.warning("blind", symbol=self._state.quotes.symbol_of(row), orders=held[row], age_ns=age_ns)
            elif held[row] > loss.count:
                causes[row] = b"feed silent"
        self._tell(causes, wall_ns)
        return causes

    def _tell(self, causes: dict[int, bytes], wall_ns: int) -> None:
        """A `guard` to each account that has orders there and does not know yet."""
        if not causes:
            return
        held = self._views.held()
        for (account, row), orders in self._views.resting(set(causes)).items():
            loss = self._losses[row]
            loss.count = held.get(row, 0)
            if account not in loss.told:
                loss.told.add(account)
                self._record(account, row, loss.state, causes[row], orders, loss.since_ns, wall_ns)

    def _returned(self, rows: set[int], wall_ns: int) -> None:
        """Data is back: say so to all who were told, and count the time."""
        resting = self._views.resting(rows) if rows else {}
        for row in sorted(rows):
            loss = self._losses.pop(row)
            self.unguarded_ns += max(0, wall_ns - loss.since_ns)
            symbol = self._state.quotes.symbol_of(row)
            log.warning("watched again", symbol=symbol, unwatched_ns=wall_ns - loss.since_ns)
            for account in sorted(loss.told):
                orders = resting.get((account, row), b"")
                self._record(account, row, Protection.ARMED, b"data is back", orders, loss.since_ns, wall_ns)

    def _forget(self, silent: dict[int, int]) -> None:
        """Where nothing rests any more, there is nothing to guard."""
        held = self._views.held()
        for row in [row for row in self._losses if row not in silent and row not in held]:
            del self._losses[row]

    def _record(
        self, account: int, row: int, state: Protection, cause: bytes, orders: bytes, since_ns: int, wall_ns: int
    ) -> None:
        symbol = self._state.quotes.symbol_of(row).encode()
        self._world.guard(account, state, symbol, cause, orders, since_ns, wall_ns)
