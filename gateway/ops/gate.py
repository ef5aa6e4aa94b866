"""What stands before a handler: who asks, what the key may do, whether anything can be made durable."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.ops.refusal import Refusal
from gateway.ops.replay import Answers
from gateway.ops.tokens import Caller, Tokens

if TYPE_CHECKING:
    from gateway.app import Gateway

DURABLE_S = 5


class Gate:
    """Checks shared by all resources; each raises a Refusal."""

    def __init__(self, gateway: Gateway, tokens: Tokens) -> None:
        self.engine = gateway.shard.engine
        self.stream = gateway.shard.stream
        self.tokens = tokens
        self.answers = Answers()

    def reader(self, request: web.Request) -> tuple[Caller, int]:
        """Who asks about an account, and the account's row."""
        caller = self._may(request, "can_read")
        account = self._account(request, caller, any_account=False)
        self._take_query(caller)
        return caller, account

    def reads(self, request: web.Request) -> Caller:
        """Who asks about things that are no account's."""
        caller = self._may(request, "can_read")
        self._take_query(caller)
        return caller

    def canceler(self, request: web.Request) -> tuple[Caller, int]:
        """Who cancels in an account; scope `ops` reaches any account."""
        caller = self._may(request, "can_cancel")
        return caller, self._account(request, caller, any_account=caller.key.is_ops)

    def operator(self, request: web.Request) -> Caller:
        """Who works kill switches."""
        return self._may(request, "is_ops")

    def _may(self, request: web.Request, right: str) -> Caller:
        caller = self.tokens.caller(request)
        if not getattr(caller.key, right):
            raise Refusal("SCOPE_DENIED")
        return caller

    def _account(self, request: web.Request, caller: Caller, *, any_account: bool) -> int:
        name = request.match_info["account"]
        row = self.engine.state.accounts.get(name)
        if row is None or not (any_account or name in caller.key.accounts):
            raise Refusal("ACCOUNT_DENIED", path="account")
        return int(row)

    def _take_query(self, caller: Caller) -> None:
        bucket = caller.key.get
        if bucket.take(self.engine.clock.mono_ns()) < 0:
            raise Refusal("RATE_LIMITED", retry_ns=bucket.wait_ns())

    def must_admit(self) -> None:
        """A mutation needs a journal that takes it."""
        if not self.engine.is_admitting:
            raise Refusal("JOURNAL_STOPPED")
        self.must_not_drain()

    def must_not_drain(self) -> None:
        """A kill switch needs no disk, only a process that stays."""
        if self.stream.is_draining:
            raise Refusal("DRAINING")

    async def once(
        self, request: web.Request, caller: Caller, run: Callable[[], Awaitable[web.Response]]
    ) -> web.Response:
        """A mutation, once for each Idempotency-Key."""
        return await self.answers.once(request, caller, run)

    async def durable(self) -> None:
        """Before an answer to a question: wait until all that it states is on disk."""
        if not self.engine.is_admitting and self.engine.state.seq > self.engine.fanout.durable:
            raise Refusal("JOURNAL_STOPPED", "what is true now is not on disk: ask again after the restart")
        await self.committed()

    async def committed(self) -> None:
        """After a change: wait until it is on disk. ConnectionAbortedError when that cannot be known any more."""
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def resolve() -> None:
            if not reached.done():
                reached.set_result(None)

        self.engine.once_durable(resolve)
        try:
            async with asyncio.timeout(DURABLE_S):
                await reached
        except TimeoutError as error:
            raise ConnectionAbortedError("the disk gave no answer") from error
