"""Kill switches over HTTP: one key sets, two keys lift (order-api.md, section 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiohttp import web

from gateway.contracts import rest
from gateway.halts import LEVELS, shown
from gateway.ops.gate import Gate
from gateway.ops.refusal import Refusal, read_body, respond
from gateway.ops.tokens import Caller
from hotpath.enums import HaltLevel
from risk.halts import HaltRefused

if TYPE_CHECKING:
    from gateway.app import Gateway


class HaltSwitches:
    """The kill switches of one gateway."""

    def __init__(self, gateway: Gateway, gate: Gate) -> None:
        self.engine = gateway.shard.engine
        self.halts = gateway.shard.engine.halts
        self.gate = gate

    async def listed(self, request: web.Request) -> web.Response:
        """`GET /v1/halts`: all for `ops`, else those that touch the key's accounts."""
        caller = self.gate.reads(request)
        found = self._visible(caller)
        await self.gate.durable()
        return respond({"halts": found})

    def _visible(self, caller: Caller) -> list[dict[str, Any]]:
        halts = self.halts.listed(None)
        if caller.key.is_ops:
            return halts
        mine = {f"account:{name}" for name in caller.key.accounts}
        return [halt for halt in halts if not halt["scope"].startswith("account:") or halt["scope"] in mine]

    async def set(self, request: web.Request) -> web.Response:
        """`POST /v1/halts`: in force when the call returns."""
        caller = self.gate.operator(request)
        body: rest.HaltBody = await read_body(request, rest.HaltBody)
        return await self.gate.once(request, caller, lambda: self._set(caller, body))

    async def _set(self, caller: Caller, body: rest.HaltBody) -> web.Response:
        self.gate.must_not_drain()
        level = LEVELS.get(body.level)
        if level is None:
            raise Refusal("UNSUPPORTED", f"level {body.level} is not offered by this deployment", path="level")
        if level >= HaltLevel.CANCEL_ALL and body.keep is None:
            raise Refusal("BAD_COMBINATION", "cancel_all must state keep", path="keep")
        scope = self.halts.scope_of(body.scope)
        if scope is None:
            raise Refusal("BAD_FIELD", "global, account:NAME or instrument:SYMBOL, of what is here", path="scope")
        kind, index = scope
        try:
            halt = self.halts.set(
                kind, index, level, actor=caller.key.name, reason=body.reason, keep_protective=body.keep == "protective"
            )
        except HaltRefused as refused:
            raise Refusal("BAD_FIELD", str(refused)) from refused
        if not self.gate.engine.is_admitting:  # it acts all the same; a restart will not know of it
            return respond(shown(halt), 202)
        await self.gate.committed()
        return respond(shown(halt))

    async def lift(self, request: web.Request) -> web.Response:
        """`DELETE /v1/halts/{id}`: 202 for the first key, 200 with the halt that is no more for a second one."""
        caller = self.gate.operator(request)
        halt_id = request.match_info["id"]
        return await self.gate.once(request, caller, lambda: self._lift(caller, halt_id))

    async def _lift(self, caller: Caller, halt_id: str) -> web.Response:
        self.gate.must_admit()
        halt = self.halts.find(halt_id)
        if halt is None:
            raise Refusal("BAD_FIELD", "no such kill switch is on", path="id")
        try:
            is_lifted = self.halts.lift(halt, caller.key.name)
        except HaltRefused as refused:
            raise Refusal("SCOPE_DENIED", str(refused)) from refused
        await self.gate.committed()
        return respond(shown(halt), 200 if is_lifted else 202)
