"""The venue's control channel, from outside: set quotes, print trades, ask for counts (docs/venue.md)."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from brokers.sim.session import sign
from gateway.secret_store import read_secret

ANSWER_S = 10.0


class ControlRefused(Exception):
    """The venue did not do it."""


class VenueControl:
    """One admin session."""

    def __init__(self, host: str, port: int, key: str, secret_file: Path) -> None:
        self._host = host
        self._port = port
        self._key = key
        self._secret_file = secret_file
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        secret = read_secret("venue.admin", env="", file=self._secret_file, create=False, environ={})
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        hello = await self._read()
        sig = sign(secret.hex(), hello["challenge"], self._key, "admin")
        self._write({"t": "login", "key": self._key, "role": "admin", "sig": sig})
        welcome = await self._read()
        if welcome["t"] != "welcome":
            raise ControlRefused(str(welcome))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()

    async def quote(self, symbol: str, bid: str, ask: str, qty: str = "100000") -> None:
        """Set the touch; it was published, and matched, when this returns."""
        await self.do("quote", sym=symbol, bid=bid, bid_qty=qty, ask=ask, ask_qty=qty)

    async def trade(self, symbol: str, px: str, qty: str) -> None:
        """Print a trade."""
        await self.do("trade", sym=symbol, px=px, qty=qty)

    async def stats(self) -> dict[str, int]:
        """What the venue counted."""
        answer = await self.do("stats")
        counts: dict[str, int] = answer.get("stats", answer)
        return counts

    async def do(self, action: str, **members: Any) -> dict[str, Any]:
        """One admin message and its answer."""
        self._write({"t": "admin", "do": action, **members})
        answer = await self._read()
        if answer["t"] == "error":
            raise ControlRefused(str(answer))
        return answer

    def _write(self, message: dict[str, Any]) -> None:
        assert self._writer is not None  # used as a context manager
        self._writer.write(msgspec.json.encode(message) + b"\n")

    async def _read(self) -> dict[str, Any]:
        """The next message that is no ping; the venue's pings are answered on the way."""
        assert self._reader is not None
        async with asyncio.timeout(ANSWER_S):
            while True:
                message: dict[str, Any] = msgspec.json.decode(await self._reader.readline())
                if message["t"] != "ping":
                    return message
                self._write({"t": "pong", "id": message["id"]})
