"""Alive, ready, metrics and the documents: what a probe asks without a key."""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING

from aiohttp import web

from gateway.contracts import rest
from gateway.contracts.asyncapi import asyncapi_json
from gateway.contracts.notices import Feed
from gateway.contracts.openapi import openapi_json
from gateway.metrics import Metrics
from gateway.ops.readings import take
from gateway.ops.refusal import respond

if TYPE_CHECKING:
    from gateway.app import Gateway


def version() -> str:
    """Version of the installed distribution; a tree that was never installed has none."""
    try:
        return metadata.version("backstay-gateway")
    except metadata.PackageNotFoundError:
        return "0"


class Health:
    """The probes of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.version = version()
        self.metrics = Metrics(lambda: take(gateway, self.version), bounds_us=gateway.config.metrics.bounds_us)

    async def alive(self, request: web.Request) -> web.Response:
        """`GET /healthz`: the loop answers."""
        return respond(rest.Health(alive=True, version=self.version))

    async def ready(self, request: web.Request) -> web.Response:
        """`GET /readyz`: 200 while orders are taken, 503 with what stands in the way."""
        readiness = self.readiness()
        return respond(readiness, 200 if readiness.ready else 503)

    def readiness(self) -> rest.Readiness:
        """Orders are taken while the journal lives; what a link or feed that is down keeps waiting is named."""
        stream, engine = self.gateway.shard.stream, self.gateway.shard.engine
        links = stream.links()
        feeds = self._feeds()
        waiting = [f"link {name} is {link.state}" for name, link in links.items() if link.state != "up"]
        waiting += [f"feed {name} is {feeds[name].state}" for name in self._missed(feeds)]
        journal = "up" if engine.is_admitting else "stopped"
        if not engine.is_admitting:
            waiting.insert(0, f"journal: {engine.stop_cause}")
        if stream.is_draining:
            waiting.insert(0, "the gateway is closing")
        return rest.Readiness(
            ready=not waiting, journal=journal, links=links, feeds=feeds, waiting_for=waiting or None
        )  # fmt: skip

    def _feeds(self) -> dict[str, Feed]:
        gateway = self.gateway
        now = gateway.clock.mono_ns()
        found = {}
        for options, feed, state in zip(gateway.config.feeds, gateway.feeds, gateway.shard.feeds.states, strict=True):
            age_ns = feed.health.age_ns(now)
            found[options.name] = Feed(
                state="stale" if state == "fresh" and age_ns is None else state,
                age_ms=None if age_ns is None else age_ns // 1_000_000,
            )
        return found

    def _missed(self, feeds: dict[str, Feed]) -> list[str]:
        """Feeds that are not fresh and price an instrument that no fresh feed prices."""
        priced = {name: set(self.gateway.shard.feed_symbols(name)) for name in feeds}
        fresh = set().union(*(priced[name] for name, feed in feeds.items() if feed.state == "fresh"))
        return [name for name, feed in feeds.items() if feed.state != "fresh" and not priced[name] <= fresh]

    async def scrape(self, request: web.Request) -> web.Response:
        """`GET /metrics`."""
        body, content_type = self.metrics.render(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    async def asyncapi(self, request: web.Request) -> web.Response:
        """`GET /v1/asyncapi.json`."""
        return web.Response(body=asyncapi_json(), content_type="application/json")

    async def openapi(self, request: web.Request) -> web.Response:
        """`GET /v1/openapi.json`."""
        return web.Response(body=openapi_json(), content_type="application/json")
