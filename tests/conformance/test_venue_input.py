"""The venue's order socket and bad input: each line gets a coded answer or a stated close; nobody else is disturbed."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import uvloop

from brokers.sim.config import MarketConfig, VenueConfig
from brokers.sim.server import Venue
from brokers.sim.session import sign

pytestmark = pytest.mark.e2e
DEADLINE_S = 20


class Client:
    """A raw connection to the order port."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    async def __aenter__(self) -> Client:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._venue.order_port)
        self.hello = await self.hear()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()

    async def hear(self) -> dict[str, Any]:
        """The next message; an empty one at the end of the connection."""
        async with asyncio.timeout(DEADLINE_S):
            line = await self.reader.readline()
        return json.loads(line) if line else {}

    def say(self, line: bytes | dict[str, Any]) -> None:
        self.writer.write((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n")

    async def log_in(self, key: str = "demo", secret: str = "demo-secret", role: str = "trade") -> dict[str, Any]:
        sig = sign(secret, self.hello["challenge"], key, role)
        self.say({"t": "login", "key": key, "role": role, "sig": sig})
        return await self.hear()


def on_venue(scenario: Any, **options: Any) -> None:
    async def run() -> None:
        venue = Venue(VenueConfig(market=MarketConfig(source="none"), symbols=("BTCUSDT",), **options))
        await venue.start()
        await scenario(venue)
        await venue.stop()

    uvloop.run(run())


def order(id: str, **terms: Any) -> dict[str, Any]:
    sound = {
        "t": "new",
        "id": id,
        "sym": "BTCUSDT",
        "side": "buy",
        "type": "limit",
        "tif": "gtc",
        "qty": "1",
        "px": "5",
    }
    return {**sound, **terms}


BAD_LINES = (
    b"not json", b"[]", b"null", b'{"t":"new"}', b'{"t":"zork"}', b'{"t":"new","id":7}', b"\xff\xfe\x00",
    b'{"t":"pong"}', b"[" * 3000, json.dumps(order("x", qty=1)).encode(),
)  # fmt: skip


def test_a_line_that_is_no_message_is_answered_and_the_session_goes_on() -> None:
    async def scenario(venue: Venue) -> None:
        async with Client(venue) as client:
            assert (await client.log_in())["t"] == "welcome"
            for line in BAD_LINES:
                client.say(line)
                assert (await client.hear())["code"] == "BAD_MESSAGE", line
            client.say(order("good"))
            assert (await client.hear())["t"] == "ack"
            assert venue.stats()["orders"] == 1

    on_venue(scenario)


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"qty": "0"}, "qty"), ({"qty": "-1"}, "qty"), ({"qty": "1e3"}, "qty"), ({"qty": "0.0000000001"}, "qty"),
        ({"qty": "9" * 30}, "qty"), ({"px": None}, "price"), ({"px": "0"}, "price"), ({"px": "NaN"}, "price"),
        ({"sym": "NOPE"}, "symbol"), ({"side": "up"}, "other"), ({"tif": "opg"}, "other"), ({"type": "peg"}, "other"),
            ({"type": "stop"}, "price"), ({"type": "stop", "stop": "0"}, "price"), ({"stop": "95"}, "other"),
            ({"type": "stop_limit", "stop": "95", "px": None}, "price"),
        ({"tif": "gtd", "exp": 1}, "other"), ({"type": "market"}, "session"), ({"id": "x" * 37}, "other"),
        ({"id": ""}, "other"), ({"id": "caf\u00e9"}, "other"),
    ],
)  # fmt: skip
def test_an_order_with_unsound_terms_is_rejected_with_its_reason(terms: dict[str, Any], reason: str) -> None:
    async def scenario(venue: Venue) -> None:
        async with Client(venue) as client:
            await client.log_in()
            client.say({**order("o1"), **terms})
            answer = await client.hear()
            assert (answer["t"], answer["reason"]) == ("rejected", reason)

    on_venue(scenario)


def test_a_hundred_bad_lines_and_an_endless_line_close_the_session() -> None:
    async def scenario(venue: Venue) -> None:
        for flood in (b"x\n" * 100, b"y" * 5000):
            async with Client(venue) as client:
                await client.log_in()
                client.writer.write(flood)
                codes = []
                while message := await client.hear():
                    codes.append(message["code"])
                assert codes[-1] in ("BAD_MESSAGES", "TOO_LONG")

    on_venue(scenario)


def test_nobody_gets_in_without_the_secret_or_with_an_old_proof() -> None:
    async def scenario(venue: Venue) -> None:
        async with Client(venue) as client:
            client.say(order("o1"))
            assert (await client.hear())["code"] == "LOGIN_FIRST"
        for key, secret, role in (("demo", "wrong", "trade"), ("who", "x", "trade"), ("demo", "demo-secret", "admin")):
            async with Client(venue) as client:
                assert (await client.log_in(key, secret, role))["code"] == "AUTH"
                assert await client.hear() == {}
        async with Client(venue) as first, Client(venue) as second:
            second.hello = first.hello  # a proof made for another connection
            assert (await second.log_in())["code"] == "AUTH"
        assert venue.stats()["orders"] == 0

    on_venue(scenario)


def test_a_read_session_asks_and_cannot_trade_and_a_second_trader_replaces_the_first() -> None:
    async def scenario(venue: Venue) -> None:
        async with Client(venue) as trader, Client(venue) as reader, Client(venue) as rival:
            await trader.log_in()
            await reader.log_in(role="read")
            trader.say(order("o1"))
            assert (await trader.hear())["t"] == "ack"
            reader.say(order("o2"))
            assert (await reader.hear())["code"] == "NOT_ALLOWED"
            reader.say({"t": "orders"})
            state = await reader.hear()
            assert (state["id"], state["status"], state["leaves"]) == ("o1", "new", "1")
            assert (await reader.hear())["count"] == 1
            await rival.log_in()
            assert (await trader.hear())["code"] == "REPLACED"
            rival.say({"t": "mass_cancel"})
            assert (await rival.hear())["t"] == "canceled"
            assert (await rival.hear())["count"] == 1
            reader.say({"t": "positions"})
            assert (await reader.hear())["items"] == []

    on_venue(scenario)


def test_sessions_beyond_the_bound_are_told_so() -> None:
    async def scenario(venue: Venue) -> None:
        async with Client(venue), Client(venue) as second:
            assert second.hello["code"] == "FULL"

    on_venue(scenario, sessions_max=1)
