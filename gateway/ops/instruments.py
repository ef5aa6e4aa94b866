"""Instruments over HTTP: what can be traded, and on which grid."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.ops.gate import Gate
from gateway.ops.refusal import Refusal, respond
from gateway.stream import answers

if TYPE_CHECKING:
    from gateway.app import Gateway

TURN_ROWS = 256


class Instruments:
    """The instruments of one gateway."""

    def __init__(self, gateway: Gateway, gate: Gate) -> None:
        self.engine = gateway.shard.engine
        self.gate = gate

    async def listed(self, request: web.Request) -> web.Response:
        """`GET /v1/instruments`."""
        self.gate.reads(request)
        found = []
        for row in range(self.engine.state.quotes.count):
            found.append(answers.instrument(self.engine, row))
            if row % TURN_ROWS == TURN_ROWS - 1:
                await asyncio.sleep(0)
        return respond({"instruments": found})

    async def one(self, request: web.Request) -> web.Response:
        """`GET /v1/instruments/{symbol}`."""
        self.gate.reads(request)
        row = self.engine.state.quotes.row_of(request.match_info["symbol"])
        if row < 0:
            raise Refusal("UNKNOWN_SYMBOL")
        return respond(answers.instrument(self.engine, row))
