"""The HTTP server beside the order API: routes, and the one place where refusals become answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog
from aiohttp import web

from gateway.ops.accounts import Accounts
from gateway.ops.gate import Gate
from gateway.ops.halts import HaltSwitches
from gateway.ops.health import Health
from gateway.ops.instruments import Instruments
from gateway.ops.refusal import BODY_BYTES_MAX, Refusal
from gateway.ops.tokens import Tokens

if TYPE_CHECKING:
    from gateway.app import Gateway

log = structlog.get_logger("ops")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SHUTDOWN_S = 1.0


class OpsServer:
    """Health, metrics and the REST companions, on the gateway's own loop."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.tokens = Tokens(
            gateway.shard.stream.keys, gateway.config.gateway.audience, gateway.clock, gateway.machine.token_bytes
        )  # fmt: skip
        self.health = Health(gateway)
        gate = Gate(gateway, self.tokens)
        self.app = web.Application(middlewares=[answer_refusals], client_max_size=BODY_BYTES_MAX)
        self.app.add_routes(self._routes(gateway, gate))
        self.runner = web.AppRunner(self.app, access_log=None, shutdown_timeout=SHUTDOWN_S)

    def _routes(self, gateway: Gateway, gate: Gate) -> list[web.RouteDef]:
        health, accounts = self.health, Accounts(gateway, gate)
        halts, instruments = HaltSwitches(gateway, gate), Instruments(gateway, gate)
        account = "/v1/accounts/{account}"
        return [
            web.get("/healthz", health.alive),
            web.get("/readyz", health.ready),
            web.get("/metrics", health.scrape),
            web.get("/v1/asyncapi.json", health.asyncapi),
            web.get("/v1/openapi.json", health.openapi),
            web.get("/v1/token", self.tokens.challenge),
            web.post("/v1/token", self.tokens.issue),
            web.get("/v1/instruments", instruments.listed),
            web.get("/v1/instruments/{symbol}", instruments.one),
            web.get(f"{account}/orders", accounts.orders),
            web.get(f"{account}/orders/{{cl_ord_id}}", accounts.order),
            web.get(f"{account}/orders/{{cl_ord_id}}/explain", accounts.explain),
            web.get(f"{account}/events", accounts.events),
            web.get(f"{account}/positions", accounts.positions),
            web.get(f"{account}/limits", accounts.limits),
            web.post(f"{account}/cancel_all", accounts.cancel_all),
            web.get("/v1/halts", halts.listed),
            web.post("/v1/halts", halts.set),
            web.delete("/v1/halts/{id}", halts.lift),
        ]

    async def start(self) -> int:
        """Listen; returns the port."""
        options = self.gateway.config.gateway
        await self.runner.setup()
        site = web.TCPSite(self.runner, options.host, options.http_port)
        await site.start()
        return int(self.runner.addresses[0][1])

    async def close(self) -> None:
        """Answer what is under way, and close the port."""
        await self.runner.cleanup()


@web.middleware
async def answer_refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refusals in the words of the taxonomy; where nothing can be known, no answer at all (order-api.md, G2)."""
    try:
        return await handler(request)
    except Refusal as refusal:
        return refusal.response()
    except web.HTTPNotFound:
        return Refusal("UNKNOWN_REQUEST", "no such path").response_as(404)
    except web.HTTPMethodNotAllowed as error:
        refused = Refusal("UNKNOWN_REQUEST", f"this path takes {', '.join(sorted(error.allowed_methods))}")
        return refused.response_as(405, {"Allow": ", ".join(sorted(error.allowed_methods))})
    except ConnectionAbortedError as error:
        log.error("no answer given", path=request.path, why=str(error))
        if request.transport is not None:
            request.transport.abort()
        raise
