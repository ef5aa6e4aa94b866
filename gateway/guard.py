"""Feed loss: tells each account whose resting stops nobody can judge, since when, and when they are watched again.

An instrument is *blind* while orders rest on it for a trigger and its newest data is older than its limit
(order-api.md, section 8). It is always an alert: the account's `guard` event, a log line, a metric. Where the policy of
the account says `flatten`, its position there is closed, once, with an event of what was done. After a restart the time
since the last record is one in which nobody watched: `unguarded`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

import structlog

from gateway.core.state import State
from gateway.core.views import Views
from gateway.core.watch import Watch
from gateway.core.world import World
from gateway.options import PolicyOptions

log = structlog.get_logger("guard")
CHECK_NS = 100_000_000
NEVER_NS = 1 << 62  # the age of data that is not there: every order is blind


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
    blind_ns: int = 0  # since when nobody could judge them in this life, monotonic
    closed: set[int] = field(default_factory=set)  # accounts whose position was flattened
    count: int = 0  # orders that were concerned when the accounts were told
    is_all: bool = True  # of those that rest there; false: some take older data than others


class Guard:
    """Watches the watching of one shard; the caller flushes what it writes."""

    def __init__(
        self, state: State, watch: Watch, views: Views, world: World, flatten: Callable[[int, int, str], str]
    ) -> None:
        """flatten(account, instrument, name): closes a position by orders whose names begin so; says what it did."""
        self._state = state
        self._watch = watch
        self._views = views
        self._world = world
        self._losses: dict[int, Loss] = {}
        self._flatten = flatten
        self._due_ns = 0
        self.policies: dict[int, PolicyOptions] = {}  # by account; the defaults for any other
        self.unguarded_ns = 0  # sum over instruments of the times in which resting stops were not watched

    @property
    def blind(self) -> list[int]:
        """Instruments on which stops rest that nobody can judge now."""
        return [row for row, loss in self._losses.items() if loss.state == Protection.BLIND]

    def start(self, wall_ns: int, mono_ns: int, last_wall_ns: int) -> None:
        """Stops that a restart found have not been watched since the last record before it, `last_wall_ns`."""
        self._watch.watch_from(mono_ns, wall_ns)
        for row in self._views.held():
            self._losses[row] = Loss(Protection.UNGUARDED, last_wall_ns)
        self._tell(dict.fromkeys(self._losses, (b"restart", NEVER_NS)), wall_ns)

    def on_timer(self, wall_ns: int, mono_ns: int) -> None:
        """Look at each instrument with resting stops, ten times a second."""
        if mono_ns < self._due_ns:
            return
        self._due_ns = mono_ns + CHECK_NS
        silent = {row: (age_ns, count) for row, age_ns, count in self._watch.silent(mono_ns)}
        if not silent and not self._losses:
            return
        self._lost(silent, wall_ns, mono_ns)
        self._apply(wall_ns, mono_ns)
        back = {row for row in self._losses if row not in silent and self._watch.is_seen(row, mono_ns)}
        self._returned(back, wall_ns)
        self._forget(silent)

    def _lost(self, silent: dict[int, tuple[int, int]], wall_ns: int, mono_ns: int) -> None:
        """Tell of what is blind now and was not, or concerns more orders since."""
        causes = {}
        held = self._views.held() if silent else {}
        for row, (age_ns, count) in silent.items():
            loss = self._losses.get(row)
            if loss is None or loss.state == Protection.UNGUARDED:
                since_ns = wall_ns - age_ns if loss is None else loss.since_ns
                self._losses[row] = Loss(Protection.BLIND, since_ns, blind_ns=mono_ns)
                loss = self._losses[row]
                causes[row] = b"feed silent", age_ns
                log.warning("blind", symbol=self._state.quotes.symbol_of(row), orders=count, age_ns=age_ns)
            elif count > loss.count:
                causes[row] = b"feed silent", age_ns
            if count == held[row] and not loss.is_all:  # who knows of some orders is told of the rest
                loss.told.clear()
                causes[row] = b"feed silent", age_ns
            loss.count, loss.is_all = max(loss.count, count), count == held[row]
        self._tell(causes, wall_ns)

    def _tell(self, causes: dict[int, tuple[bytes, int]], wall_ns: int) -> None:
        """A `guard` to each account that has orders there and does not know yet."""
        if not causes:
            return
        ages = {row: age_ns for row, (_, age_ns) in causes.items()}
        for (account, row), orders in self._views.resting(ages).items():
            loss = self._losses[row]
            if account not in loss.told:
                loss.told.add(account)
                self._record(account, row, loss.state, causes[row][0], orders, loss.since_ns, wall_ns)

    def _apply(self, wall_ns: int, mono_ns: int) -> None:
        """The policy `flatten`, where an instrument has been blind for as long as the account allows."""
        if not any(policy.on_feed_loss == "flatten" for policy in self.policies.values()):
            return
        due = [
            (row, account)
            for row, loss in self._losses.items()
            for account in sorted(loss.told - loss.closed)
            if loss.state == Protection.BLIND and self._is_due(account, mono_ns - loss.blind_ns)
        ]
        resting = self._views.resting(dict.fromkeys((row for row, _ in due), NEVER_NS)) if due else {}
        for row, account in due:
            if (account, row) in resting:  # else its stops there have ended meanwhile
                loss = self._losses[row]
                loss.closed.add(account)
                done = self._flatten(account, row, f"guard-{row}-{loss.since_ns}")
                log.warning("flatten", symbol=self._state.quotes.symbol_of(row), account=account, done=done)
                orders = resting[account, row]
                self._record(account, row, Protection.BLIND, done.encode(), orders, loss.since_ns, wall_ns)

    def _is_due(self, account: int, blind_ns: int) -> bool:
        policy = self.policies.get(account)
        if policy is None or policy.on_feed_loss != "flatten":
            return False
        return blind_ns >= policy.flatten_after_ms * 1_000_000

    def _returned(self, rows: set[int], wall_ns: int) -> None:
        """Data is back: say so to all who were told, and count the time."""
        resting = self._views.resting(dict.fromkeys(rows, NEVER_NS)) if rows else {}
        for row in sorted(rows):
            loss = self._losses.pop(row)
            self.unguarded_ns += max(0, wall_ns - loss.since_ns)
            symbol = self._state.quotes.symbol_of(row)
            log.warning("watched again", symbol=symbol, unwatched_ns=wall_ns - loss.since_ns)
            for account in sorted(loss.told):
                orders = resting.get((account, row), b"")
                self._record(account, row, Protection.ARMED, b"data is back", orders, loss.since_ns, wall_ns)

    def _forget(self, silent: dict[int, tuple[int, int]]) -> None:
        """Where nothing rests any more, there is nothing to guard."""
        held = self._views.held()
        for row in [row for row in self._losses if row not in silent and row not in held]:
            del self._losses[row]

    def _record(
        self, account: int, row: int, state: Protection, cause: bytes, orders: bytes, since_ns: int, wall_ns: int
    ) -> None:
        symbol = self._state.quotes.symbol_of(row).encode()
        self._world.guard(account, state, symbol, cause, orders, since_ns, wall_ns)
