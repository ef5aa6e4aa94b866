"""Idempotency-Key: the same key again gets the same answer again, and nothing happens twice."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from aiohttp import web

from gateway.ops.refusal import Refusal, read_raw
from gateway.ops.tokens import Caller

KEPT_MAX = 4_096
KEY_MAX = 64


class Answers:
    """The last answers to mutations that carried a key."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], tuple[bytes, asyncio.Future[tuple[int, bytes]]]] = OrderedDict()

    async def once(
        self, request: web.Request, caller: Caller, run: Callable[[], Awaitable[web.Response]]
    ) -> web.Response:
        """Run the mutation, or give the answer that its key got before."""
        name = request.headers.get("Idempotency-Key")
        if name is None:
            return await run()
        if not 1 <= len(name) <= KEY_MAX:
            raise Refusal("BAD_FIELD", f"1 to {KEY_MAX} characters", path="Idempotency-Key")
        content = f"{request.method} {request.path}\n".encode() + await read_raw(request)
        place = (caller.key.name, name)
        known = self._kept.get(place)
        if known is not None:
            if known[0] != content:
                raise Refusal("BAD_FIELD", "this key was used for another request", path="Idempotency-Key")
            status, body = await asyncio.shield(known[1])
            return web.Response(body=body, status=status, content_type="application/json")
        answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._kept[place] = (content, answer)
        try:
            response = await run()
            answer.set_result((response.status, bytes(response.body or b"")))  # type: ignore[arg-type]
        finally:
            if not answer.done():  # refused, or the connection is gone: the key is free again
                del self._kept[place]
                answer.set_exception(Refusal("BUSY", "the first request of this key was not answered: send it again"))
                answer.exception()  # nobody need be waiting for it
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return response
