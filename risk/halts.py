"""Kill switches: who stopped what and why, and the two people that it takes to start again (controls, section 8).

Pure: a question comes in, the HaltChange that answers it goes out, and only `apply` moves the book. The gateway
journals each change and applies the record, live and in replay, with `effective` for Gate.set_halt. Setting is never
denied for want of approval; lifting needs two persons.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from typing import Any

from hotpath.enums import HaltLevel, HaltScope

ACTOR_MAX = 64  # bytes of UTF-8, as a record holds them
REASON_MAX = 240
ACTIVE_MAX = 10_000  # halts in force at once; a further one is refused, and a wider one does what it would have done


class HaltAction(IntEnum):
    SET = 0
    LIFT_REQUESTED = 1
    LIFTED = 2


class HaltRefused(ValueError):
    """The request changed nothing; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """One kill switch in force. `target` is an account or a symbol, empty for the global scope."""

    halt_id: int
    scope: HaltScope
    target: str
    level: HaltLevel
    reason: str
    actor: str
    set_ns: int
    lift_actor: str = ""
    lift_reason: str = ""
    lift_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltChange:
    """What happened, as it is journaled. `effective` is the level of (scope, target) from now on."""

    action: HaltAction
    halt_id: int
    scope: HaltScope
    target: str
    level: HaltLevel
    effective: HaltLevel
    actor: str
    reason: str
    wall_ns: int


class HaltBook:
    """All kill switches in force. The strictest of a scope and target is the effective one."""

    def __init__(self) -> None:
        self._active: dict[int, Halt] = {}
        self._last_id = 0

    def to_set(
        self, *, scope: HaltScope, target: str, level: HaltLevel, reason: str, actor: str, wall_ns: int
    ) -> HaltChange:
        """Trip a kill switch. A second one on the same target stands beside the first and is lifted apart."""
        if HaltLevel(level) == HaltLevel.ARMED:
            raise HaltRefused("level armed stops nothing: lift the halts in force instead")
        if (scope == HaltScope.GLOBAL) == bool(target):
            raise HaltRefused("a global halt has no target, every other one names its account or symbol")
        if len(self._active) >= ACTIVE_MAX:
            raise HaltRefused(f"{ACTIVE_MAX} halts are in force: set one of a wider scope")
        _require(actor=actor, reason=reason)
        return HaltChange(
            action=HaltAction.SET,
            halt_id=self._last_id + 1,
            scope=HaltScope(scope),
            target=target,
            level=HaltLevel(level),
            effective=max(HaltLevel(level), self.effective(scope, target)),
            actor=actor,
            reason=reason,
            wall_ns=wall_ns,
        )

    def to_request_lift(self, halt_id: int, *, actor: str, reason: str, wall_ns: int) -> HaltChange:
        """First person: ask to lift, with a cause. Asking again replaces the earlier request."""
        halt = self.find(halt_id)
        _require(actor=actor, reason=reason)
        effective = self.effective(halt.scope, halt.target)
        return _change(HaltAction.LIFT_REQUESTED, halt, effective, actor, reason, wall_ns)

    def to_confirm_lift(self, halt_id: int, *, actor: str, wall_ns: int) -> HaltChange:
        """Second, different person: lift it."""
        halt = self.find(halt_id)
        _require(actor=actor, reason="confirmed")
        if not halt.lift_actor:
            raise HaltRefused(f"halt {halt_id}: nobody asked to lift it")
        if actor == halt.lift_actor:
            raise HaltRefused(f"halt {halt_id}: {actor} asked to lift it, so another person must confirm")
        rest = [other.level for other in self._of(halt.scope, halt.target) if other.halt_id != halt_id]
        effective = max(rest, default=HaltLevel.ARMED)
        return _change(HaltAction.LIFTED, halt, effective, actor, halt.lift_reason, wall_ns)

    def apply(self, change: HaltChange) -> None:
        """Take a change as it was journaled; the only thing that moves the book."""
        if change.action == HaltAction.SET:
            self._active[change.halt_id] = Halt(
                halt_id=change.halt_id,
                scope=change.scope,
                target=change.target,
                level=change.level,
                reason=change.reason,
                actor=change.actor,
                set_ns=change.wall_ns,
            )
            self._last_id = max(self._last_id, change.halt_id)
        elif change.action == HaltAction.LIFT_REQUESTED:
            halt = self.find(change.halt_id)
            self._active[change.halt_id] = replace(
                halt, lift_actor=change.actor, lift_reason=change.reason, lift_ns=change.wall_ns
            )
        else:
            del self._active[self.find(change.halt_id).halt_id]

    def find(self, halt_id: int) -> Halt:
        if halt_id not in self._active:
            raise HaltRefused(f"halt {halt_id} is not in force")
        return self._active[halt_id]

    def active(self) -> list[Halt]:
        """In the order in which they were set."""
        return list(self._active.values())

    def effective(self, scope: HaltScope, target: str) -> HaltLevel:
        """Strictest level on exactly this scope and target; the gate itself combines the scopes."""
        return max((halt.level for halt in self._of(scope, target)), default=HaltLevel.ARMED)

    def _of(self, scope: HaltScope, target: str) -> list[Halt]:
        return [halt for halt in self._active.values() if halt.scope == scope and halt.target == target]

    def to_dict(self) -> dict[str, Any]:
        rows = [asdict(halt) | {"scope": int(halt.scope), "level": int(halt.level)} for halt in self._active.values()]
        return {"last_id": self._last_id, "active": rows}

    @classmethod
    def from_dict(cls, state: dict[str, Any]) -> HaltBook:
        book = cls()
        book._last_id = state["last_id"]
        for row in state["active"]:
            halt = Halt(**row | {"scope": HaltScope(row["scope"]), "level": HaltLevel(row["level"])})
            book._active[halt.halt_id] = halt
        return book


def _change(action: HaltAction, halt: Halt, effective: HaltLevel, actor: str, reason: str, wall_ns: int) -> HaltChange:
    return HaltChange(
        action=action,
        halt_id=halt.halt_id,
        scope=halt.scope,
        target=halt.target,
        level=halt.level,
        effective=effective,
        actor=actor,
        reason=reason,
        wall_ns=wall_ns,
    )


def _require(*, actor: str, reason: str) -> None:
    for name, text, most in (("actor", actor, ACTOR_MAX), ("reason", reason, REASON_MAX)):
        if not text.strip():
            raise HaltRefused(f"{name} is required")
        if len(text.encode()) > most:
            raise HaltRefused(f"{name} is longer than {most} bytes")
