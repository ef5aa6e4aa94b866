"""A private deployment: venue and gateway as child processes in one folder, on free ports of loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from gateway.child import Child, command
from gateway.config import Config, load
from gateway.demo.control import VenueControl
from gateway.venue import ADMIN_KEY, ADMIN_SECRET_FILE

if TYPE_CHECKING:
    from gateway.commands.rest_client import RestClient

HOST = "127.0.0.1"
LEDGER = "venue.ledger"
LOG = "processes.log"
UNPRICED = "backstay_unpriced_instruments"
OPS_KEYS = ("ops-1", "ops-2")
# Accounts that may do much: a demonstration and its tests are bounded by what they try, not by their limits.
LIMITS = """[accounts.limits]
max_order_qty = "100000"
max_order_notional = "10000000"
max_position_qty = "1000000"
max_gross = "100000000"
leverage_bps = "100000"
collar_bps = "500"
order_rate_per_s = 2000
order_burst = 4000
msg_rate_per_s = 4000
msg_burst = 8000
"""
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")
PORT_MIN = 12_000
PORT_TRIES = 50
SYMBOLS = (
    ("BTCUSDT", "0.1", "0.001"), ("ETHUSDT", "0.01", "0.001"), ("SOLUSDT", "0.01", "0.01"), ("XRPUSDT", "0.0001", "1"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What a deployment consists of."""

    accounts: Sequence[str]
    symbols: Sequence[tuple[str, str, str]] = SYMBOLS  # name, tick, lot
    venue: str = ""  # lines of the [venue] table
    extra: str = ""  # tables of its own
    limits: str = LIMITS
    cash: str = "10000000"
    settings: Sequence[str] = ()  # `--set` of the gateway
    feeds: Sequence[str] = ()  # names of several feeds of the venue's market, each by a line of its own
    feed_options: str = ""  # lines of each of their tables
    policy: str = ""  # of all accounts

    def toml(self, data_dir: Path) -> str:
        """The configuration file: one trading key for each account, two for operations."""
        parts = [f'[gateway]\ndata_dir = "{data_dir}"\nws_port = 0\nhttp_port = 0\n']
        parts.append('[broker.sim]\naddress = "tcp://127.0.0.1:0"\n')
        parts.append(f'[venue]\nws_port = 0\nledger = "{data_dir / LEDGER}"\n{self.venue}\n')
        parts.append("[limits.api]\nplace_per_s = 2000\nplace_burst = 4000\nget_per_s = 200\nget_burst = 400\n")
        parts += [
            f'[[instruments]]\nsymbol = "{name}"\ntick = "{tick}"\nlot = "{lot}"\nmin_qty = "{lot}"\n'
            for name, tick, lot in self.symbols
        ]
        parts += [f'[[feeds]]\nname = "{name}"\nmarket = "venue"\n{self.feed_options}\n' for name in self.feeds]
        parts += [
            f'[[accounts]]\nname = "{name}"\ncash = "{self.cash}"\npolicy = "{self.policy}"\n{self.limits}'
            for name in self.accounts
        ]
        parts += [_key(name, ("read", "trade"), name) for name in self.accounts]
        parts += [_key(name, ("read", "cancel", "ops"), "*") for name in OPS_KEYS]
        parts.append(self.extra)
        return "\n".join(parts)


def lasting_port() -> int:
    """A free port for a server that is killed and started again; 0, for any, where the system keeps none apart.

    Ports of the range that outgoing connections draw from are not safe: while the server is down a client that tries
    to reach it may be given the very port, connects to itself (TCP allows that), and the server cannot come back.
    """
    first = int(EPHEMERAL.read_text().split()[0]) if EPHEMERAL.exists() else 0
    for port in Random().sample(range(PORT_MIN, first), PORT_TRIES) if first >= PORT_MIN + PORT_TRIES else ():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:  # somebody's
                continue
        return port
    return 0


def _key(name: str, scopes: Sequence[str], account: str) -> str:
    listed = ", ".join(f'"{scope}"' for scope in scopes)
    return (
        f'[[keys]]\nname = "{name}"\nkind = "hmac"\nsecret_file = "keys/{name}.secret"\ncreate = true\n'
        f'scopes = [{listed}]\naccounts = ["{account}"]\n'
    )


class Deployment:
    """Venue and gateway of one plan. Use it as an async context manager."""

    def __init__(self, data_dir: Path, plan: Plan) -> None:
        self.data_dir = data_dir
        self.plan = plan
        self.file = data_dir / "backstay.toml"
        self.ws_port = 0
        self.http_port = 0
        self.order_port = 0
        self.ready: dict[str, Any] = {}
        self._venue: Child | None = None
        self._gateway: Child | None = None
        self._log: IO[bytes] | None = None

    @property
    def ws_url(self) -> str:
        """The order API."""
        return f"ws://{HOST}:{self.ws_port}/v1/ws"

    @property
    def http_url(self) -> str:
        """The REST companions."""
        return f"http://{HOST}:{self.http_port}"

    @property
    def ledger(self) -> Path:
        """What the venue took and said, by itself."""
        return self.data_dir / LEDGER

    def secret(self, key: str) -> str:
        """File of a key's secret."""
        return str(self.data_dir / "keys" / f"{key}.secret")

    def config(self) -> Config:
        """The configuration, as the processes read it."""
        return load(self.file)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Write the configuration, start venue and gateway. Raises ChildFailed; what was started is ended then."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.file.write_text(self.plan.toml(self.data_dir))
        self._log = (self.data_dir / LOG).open("ab")
        try:
            self._venue = Child("venue", command("venue", "--config", str(self.file)), log=self._log)
            ports = await self._venue.start()
            self.order_port = ports["order_port"]
            url = f"ws://{HOST}:{ports['feed_port']}/stream?"
            self._feeds = [
                f"feeds.{number}.url={url}line={name}&streams=" for number, name in enumerate(self.plan.feeds)
            ] or [f"feeds.0.url={url}streams="]
            await self.start_gateway()
        finally:
            if not self.ready:
                await self.stop()

    async def start_gateway(self) -> dict[str, Any]:
        """Start it (again, on the ports that it had); returns its ready line."""
        self.ws_port = self.ws_port or lasting_port()
        self.http_port = self.http_port or lasting_port()
        settings = [
            *self._feeds,
            f"broker.sim.address=tcp://{HOST}:{self.order_port}",
            f"gateway.ws_port={self.ws_port}",
            f"gateway.http_port={self.http_port}",
            *self.plan.settings,
        ]
        argv = ["--config", str(self.file)]
        for setting in settings:
            argv += ["--set", setting]
        self._gateway = Child("gateway", self.gateway_command(*argv), log=self._log)
        self.ready = await self._gateway.start()
        self.ws_port, self.http_port = self.ready["ws_port"], self.ready["http_port"]
        return self.ready

    def gateway_command(self, *arguments: str) -> list[str]:
        """How the gateway is started; a test may put another process in its place."""
        return command("gateway", *arguments)

    async def stop_gateway(self) -> dict[str, Any]:
        """SIGTERM; its last word."""
        if self._gateway is None:
            return {}
        await self._gateway.stop()
        return self._gateway.last_line

    async def kill_gateway(self) -> None:
        """SIGKILL."""
        if self._gateway is not None:
            await self._gateway.kill()

    @property
    def gateway_pid(self) -> int:
        """Process id of the gateway."""
        return self._gateway.pid if self._gateway is not None and self._gateway.is_running else 0

    async def stop(self) -> dict[str, Any]:
        """End both, the gateway first; the gateway's last word."""
        last = await self.stop_gateway()
        if self._venue is not None:
            await self._venue.stop()
        if self._log is not None:
            self._log.close()
            self._log = None
        return last

    def control(self) -> VenueControl:
        """The venue's control channel."""
        secret_file = self.data_dir / ADMIN_SECRET_FILE
        return VenueControl(HOST, self.order_port, ADMIN_KEY, secret_file)

    async def settled(self, timeout_s: float = 10.0) -> None:
        """Wait until the gateway takes orders and has a price of all that the venue makes prices of."""
        from gateway.commands.rest_client import RestClient

        config = self.config()
        unmade = len(config.instruments) - len(config.venue.symbols) if config.venue.symbols else 0
        async with RestClient(self.http_url, key="", secret=self.secret(OPS_KEYS[0])) as rest:
            async with asyncio.timeout(timeout_s):
                while True:
                    if await self._is_settled(rest, unmade):
                        return
                    await asyncio.sleep(0.05)

    @staticmethod
    async def _is_settled(rest: RestClient, unpriced: int) -> bool:
        """A feed is fresh from its first frame on, whichever instrument that is of: the prices are asked for apart."""
        from gateway.commands.rest_client import RestRefused

        try:
            await rest.probe("/readyz")
        except RestRefused:
            return False
        page = await rest.text("/metrics")
        return any(float(line.split()[1]) <= unpriced for line in page.splitlines() if line.startswith(f"{UNPRICED} "))
