"""Kill switches: set by one person, lifted by two; every change is a record and in force when the call returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.core.world import World
from hotpath.enums import HaltLevel, HaltScope, Reason

if TYPE_CHECKING:
    from gateway.engine import Engine

LEVELS = {"no_new": HaltLevel.NO_NEW, "reduce_only": HaltLevel.REDUCE_ONLY, "cancel_all": HaltLevel.CANCEL_ALL}
LEVEL_NAMES = {level: name for name, level in LEVELS.items()}


class Halts:
    """The halts of a shard; the state owns them, this writes their records and cancels what a level says."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.world = World(engine.state)

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

    def set(self, scope: int, index: int, level: int, *, actor: str, reason: str, keep_protective: bool) -> str:
        """Trip a kill switch; returns its id. From `cancel_all` on, what works in the scope is canceled."""
        engine = self.engine
        state = engine.state
        number = max(state.halts, default=0) + 1 if state.halts else engine.state.seq + 1
        effective = max(level, self._effective(scope, index))
        wall_ns = engine.clock.wall_ns()
        self.world.change_halt(
            number, scope, index, level, effective, 0, actor.encode(), reason.encode(), wall_ns
        )  # fmt: skip
        if level >= HaltLevel.CANCEL_ALL:
            self._cancel(scope, index, keep_protective, wall_ns)
        engine.flush()
        engine.on_status_change()
        return f"H{number}"

    def lift(self, halt_id: str, actor: str) -> str:
        """`requested` after the first person, `lifted` after a second one, `same_person`, or `unknown`."""
        engine = self.engine
        number = int(halt_id[1:]) if halt_id[:1] == "H" and halt_id[1:].isdecimal() else -1
        halt = engine.state.halts.get(number)
        if halt is None:
            return "unknown"
        scope, index, level = halt["scope"], halt["index"], halt["level"]
        asked = halt["lift_requested_by"]
        if asked == actor:
            return "same_person"
        effective = self._effective(scope, index, without=number if asked else -1)
        action = 2 if asked else 1
        reason = halt["reason"].encode()
        self.world.change_halt(
            number, scope, index, level, effective, action, actor.encode(), reason, engine.clock.wall_ns()
        )  # fmt: skip
        engine.flush()
        if asked:
            engine.on_status_change()
        return "lifted" if asked else "requested"

    def _effective(self, scope: int, index: int, without: int = -1) -> int:
        levels = (
            halt["level"]
            for number, halt in self.engine.state.halts.items()
            if (halt["scope"], halt["index"]) == (scope, index) and number != without
        )
        return max(levels, default=HaltLevel.ARMED)

    def _cancel(self, scope: int, index: int, keep_protective: bool, wall_ns: int) -> None:
        engine = self.engine
        accounts = [index] if scope == HaltScope.ACCOUNT else range(len(engine.state.account_names))
        instrument = index if scope == HaltScope.INSTRUMENT else -1
        for account in accounts:
            for order in engine.views.select(account, instrument, 0, None, None, keep_protective):
                engine.intake.cancel_order(order, Reason.HALT, wall_ns)

    def listed(self, account: int | None) -> list[dict[str, Any]]:
        """Halts in force: all of them, or those that touch the account."""
        found = []
        for number, halt in self.engine.state.halts.items():
            if account is None or halt["scope"] != HaltScope.ACCOUNT or halt["index"] == account:
                found.append(
                    {
                        "halt_id": f"H{number}",
                        "scope": self._scope_name(halt["scope"], halt["index"]),
                        "level": LEVEL_NAMES[halt["level"]],
                        "since_ns": halt["since_ns"],
                        "reason": halt["reason"],
                        "by": halt["actor"],
                    }
                )
        return found

    def _scope_name(self, scope: int, index: int) -> str:
        if scope == HaltScope.ACCOUNT:
            return f"account:{self.engine.state.account_names[index]}"
        if scope == HaltScope.INSTRUMENT:
            return f"instrument:{self.engine.state.quotes.symbol_of(index)}"
        return "global"
