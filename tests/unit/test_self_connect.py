"""TCP can connect a dial to its own port: each of our clients notices, and leaves the port to its server."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest

from backstay.clock import ServerClock, SystemClock
from backstay.credentials import Credentials, load_secret
from backstay.socket_link import open_socket
from brokers.sim.link import Wire
from gateway.demo import deployment
from gateway.demo.deployment import lasting_port
from gateway.feeds.binance import BinanceFeed

HOST = "127.0.0.1"
ENDS_S = 2.0  # far below each client's own time limit: it is the guard that ended it


class Unlucky(asyncio.SelectorEventLoop):
    """Each dial gets, as its own port, the very port that it dials: by chance elsewhere, here for certain."""

    async def create_connection(self, factory: Any, host: Any = None, port: Any = None, **options: Any) -> Any:
        if "sock" not in options or options["sock"] is None:
            options["local_addr"] = (host, port)
        return await super().create_connection(factory, host, port, **options)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        if sock.getsockname()[1] == 0:
            sock.bind(address)
        await super().sock_connect(sock, address)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=Unlucky) as runner:
        runner.run(scenario)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def serve(port: int) -> None:
    """What a server does that comes back. Raises OSError where something holds its port."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((HOST, port))
        server.listen()


def test_the_link_to_a_venue_that_is_down() -> None:
    async def scenario() -> None:
        port, lost = unused_port(), asyncio.Event()
        wire = Wire(lambda wire, line: None, lambda wire: lost.set(), lambda: None)
        await asyncio.get_running_loop().create_connection(lambda: wire, HOST, port)
        async with asyncio.timeout(ENDS_S):
            await lost.wait()
        assert "itself" in wire.cause
        await asyncio.sleep(0)  # the transport closes behind the callback that told us
        serve(port)

    run(scenario())


def test_a_feed_that_is_down() -> None:
    async def scenario() -> None:
        port = unused_port()
        feed = BinanceFeed(
            f"ws://{HOST}:{port}/", lambda payload, mono_ns: None, lambda up, cause: None, mono_ns=time.monotonic_ns,
            rng=Random(1), backoff_ms_first=60_000, backoff_ms_max=60_000,
        )  # fmt: skip
        await feed._connect()
        assert "itself" in feed.health.cause and not feed.health.is_up
        serve(port)

    run(scenario())


@pytest.mark.parametrize("ssl_context", [None, ssl.create_default_context()])
def test_a_client_of_a_gateway_that_is_down(ssl_context: ssl.SSLContext | None) -> None:
    async def scenario() -> None:
        port = unused_port()
        scheme = "ws" if ssl_context is None else "wss"
        credentials = Credentials("k1", "s1", load_secret("hmac:" + "00" * 32))
        with pytest.raises(ConnectionRefusedError, match="itself"):
            await open_socket(
                f"{scheme}://{HOST}:{port}/v1/ws", credentials=credentials, aud=HOST, ssl_context=ssl_context,
                on_frame=lambda link, frame: None, clock=ServerClock(SystemClock()),
            )  # fmt: skip
        serve(port)

    run(scenario())


def test_a_server_that_is_started_again_has_a_port_that_no_dial_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = tmp_path / "range"
    monkeypatch.setattr(deployment, "EPHEMERAL", known)
    assert lasting_port() == 0  # no system that says
    known.write_text("20000\t60999\n")
    ports = {lasting_port() for _ in range(20)}
    assert min(ports) >= deployment.PORT_MIN and max(ports) < 20_000
    for port in ports:
        serve(port)
    known.write_text("1024\t65535\n")  # it keeps none apart
    assert lasting_port() == 0
