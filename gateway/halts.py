"""Kill switches: set by one person, lifted by two; every change is a record and in force when the call returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hotpath.enums import HaltLevel, HaltScope, Reason
from risk.halts import Halt, HaltAction, HaltBook

if TYPE_CHECKING:
    from gateway.engine import Engine

LEVELS = {"no_new": HaltLevel.NO_NEW, "reduce_only": HaltLevel.REDUCE_ONLY, "cancel_all": HaltLevel.CANCEL_ALL}
LEVEL_NAMES = {level: name for name, level in LEVELS.items()}
SCOPE_NAMES = {HaltScope.GLOBAL: "global", HaltScope.ACCOUNT: "account", HaltScope.INSTRUMENT: "instrument"}


class Halts:
    """Writes the records of a shard's halts (`risk.halts` decides, the state owns them), cancels what a level says."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.world = engine.core.world(engine.state)

    def scope_of(self, text: str) -> tuple[int, int] | None:
        """`global`, `account:NAME` or `instrument:SYMBOL` as (scope, row); None when there is no such thing."""
        kind, _, name = text.partition(":")
        if text == "global":
            return HaltScope.GLOBAL, 0
        if kind == "account" and name in self.engine.state.accounts:
            return HaltScope.ACCOUNT, self.engine.state.accounts[name]
        if kind == "instrument" and (row := self.engine.state.quotes.row_of(name)) >= 0:
            return HaltScope.INSTRUMENT, row
        return None

    def set(self, scope: int, index: int, level: int, *, actor: str, reason: str, keep_protective: bool) -> Halt:
        """Trip a kill switch. From `cancel_all` on, what works in the scope is canceled. Raises HaltRefused."""
        engine = self.engine
        wall_ns = engine.clock.wall_ns()
        change = self.book.to_set(
            scope=HaltScope(scope), target=self._target(scope, index), level=HaltLevel(level), reason=reason,
            actor=actor, wall_ns=wall_ns,
        )  # fmt: skip
        self.world.change_halt(change, index)
        if level >= HaltLevel.CANCEL_ALL:
            self._cancel(scope, index, keep_protective, wall_ns)
        engine.flush()
        engine.on_status_change()
        return self.book.find(change.halt_id)

    def lift(self, halt: Halt, actor: str) -> bool:
        """Whether it is lifted now: the first person only asks for it. Raises HaltRefused when both are the same."""
        engine = self.engine
        wall_ns = engine.clock.wall_ns()
        if halt.lift_actor:
            change = self.book.to_confirm_lift(halt.halt_id, actor=actor, wall_ns=wall_ns)
        else:
            change = self.book.to_request_lift(halt.halt_id, actor=actor, reason=halt.reason, wall_ns=wall_ns)
        self.world.change_halt(change, self._index(halt))
        engine.flush()
        if change.action == HaltAction.LIFTED:
            engine.router.on_lifted()
            engine.on_status_change()
        return change.action == HaltAction.LIFTED

    def find(self, halt_id: str) -> Halt | None:
        """The halt in force of this id (`H` and its number)."""
        number = int(halt_id[1:]) if halt_id[:1] == "H" and halt_id[1:].isdecimal() else -1
        return next((halt for halt in self.book.active() if halt.halt_id == number), None)

    @property
    def book(self) -> HaltBook:
        return self.engine.state.halts

    def _target(self, scope: int, index: int) -> str:
        if scope == HaltScope.ACCOUNT:
            return str(self.engine.state.account_names[index])
        return self.engine.state.quotes.symbol_of(index) if scope == HaltScope.INSTRUMENT else ""

    def _index(self, halt: Halt) -> int:
        if halt.scope == HaltScope.ACCOUNT:
            return int(self.engine.state.accounts[halt.target])
        return self.engine.state.quotes.row_of(halt.target) if halt.scope == HaltScope.INSTRUMENT else 0

    def _cancel(self, scope: int, index: int, keep_protective: bool, wall_ns: int) -> None:
        engine = self.engine
        accounts = [index] if scope == HaltScope.ACCOUNT else range(len(engine.state.account_names))
        instrument = index if scope == HaltScope.INSTRUMENT else -1
        for account in accounts:
            for order in engine.views.select(account, instrument, 0, None, None, keep_protective):
                engine.intake.cancel_order(order, Reason.HALT, wall_ns)

    def listed(self, account: int | None) -> list[dict[str, Any]]:
        """Halts in force: all of them, or those that touch the account."""
        name = "" if account is None else self.engine.state.account_names[account]
        return [
            shown(halt)
            for halt in self.book.active()
            if account is None or halt.scope != HaltScope.ACCOUNT or halt.target == name
        ]


def shown(halt: Halt) -> dict[str, Any]:
    """A halt as the order API shows it."""
    return {
        "halt_id": f"H{halt.halt_id}",
        "scope": f"{SCOPE_NAMES[halt.scope]}:{halt.target}" if halt.target else "global",
        "level": LEVEL_NAMES[halt.level],
        "since_ns": halt.set_ns,
        "reason": halt.reason,
        "by": halt.actor,
    }
