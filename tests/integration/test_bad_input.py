"""Bad input over real sockets: each frame gets a coded error or a close with a reason, and nothing changes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from picows import WSMsgType

from tests.integration.conftest import Running
from tests.integration.raw_client import MSGPACK, RawClient, connect, log_in, read_secret, sign
from tests.integration.world import World, audit, make_world

SYMBOL = "BADUSDT"
KEYS = """
[[keys]]
name = "reader"
kind = "hmac"
secret_file = "keys/reader.secret"
create = true
scopes = ["read"]
accounts = ["B0"]
[[keys]]
name = "canceler"
kind = "hmac"
secret_file = "keys/canceler.secret"
create = true
scopes = ["cancel"]
accounts = ["B0"]
[[keys]]
name = "narrow"
kind = "hmac"
secret_file = "keys/narrow.secret"
create = true
scopes = ["read", "trade"]
accounts = ["B0"]
symbols = ["ETH*"]
[[keys]]
name = "expired"
kind = "hmac"
secret_file = "keys/expired.secret"
create = true
scopes = ["read", "trade"]
accounts = ["B0"]
expires_ns = 1000
[[keys]]
name = "elsewhere"
kind = "hmac"
secret_file = "keys/elsewhere.secret"
create = true
scopes = ["read", "trade"]
accounts = ["B0"]
networks = ["10.99.0.0/16"]
"""
ORDER: dict[str, Any] = {
    "cl_ord_id": "o", "symbol": SYMBOL, "side": "buy", "ord_type": "limit", "qty": "1", "px": "99.00", "tif": "gtc",
}  # fmt: skip
FAR = "9" * 40


class Bench(Running):
    """The running deployment, typed as what it is."""

    deployment: World


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    world = make_world(
        tmp_path_factory.mktemp("bad"), "B0", "B1", symbols=((SYMBOL, "0.01", "1"), ("ETHUSDT", "0.01", "0.001")),
        extra=KEYS, settings=("limits.api.auth_timeout_ms=1500",),
    )  # fmt: skip
    found = Bench(world)

    async def begin() -> None:
        await world.start()
        await world.opened()
        async with world.control() as control:
            await control.do("pause")

    try:
        found.run(begin())
        yield found
        found.run(audit(world))
    finally:
        found.run(world.stop())
        found.close()


async def quote(world: World) -> None:
    async with world.control() as control:
        await control.quote(SYMBOL, "100.00", "100.02")


def order(**changes: Any) -> dict[str, Any]:
    """A sound order with some members changed; None takes one out."""
    return {name: value for name, value in {**ORDER, **changes}.items() if value is not None}


# What is changed, the code, and the path that must be named.
REFUSED: list[tuple[dict[str, Any], str, str | None]] = [
    ({"qty": 1}, "BAD_DECIMAL", "qty"),
    ({"qty": 1.5}, "BAD_DECIMAL", "qty"),
    ({"px": 99}, "BAD_DECIMAL", "px"),
    ({"qty": ""}, "BAD_DECIMAL", "qty"),
    ({"qty": "-1"}, "BAD_FIELD", "qty"),
    ({"qty": "0"}, "BAD_FIELD", "qty"),
    ({"qty": "-0"}, "BAD_FIELD", "qty"),
    ({"px": "0"}, "BAD_FIELD", "px"),
    ({"px": "-1"}, "BAD_FIELD", "px"),
    ({"qty": "1.0000000001"}, "BAD_DECIMAL", "qty"),
    ({"px": "1.0000000001"}, "BAD_DECIMAL", "px"),
    ({"qty": "1e3"}, "BAD_DECIMAL", "qty"),
    ({"qty": "+1"}, "BAD_DECIMAL", "qty"),
    ({"qty": " 1"}, "BAD_DECIMAL", "qty"),
    ({"qty": "01"}, "BAD_DECIMAL", "qty"),
    ({"qty": "1."}, "BAD_DECIMAL", "qty"),
    ({"qty": ".5"}, "BAD_DECIMAL", "qty"),
    ({"qty": "NaN"}, "BAD_DECIMAL", "qty"),
    ({"qty": "\u0661"}, "BAD_DECIMAL", "qty"),
    ({"qty": "9200000000"}, "BAD_DECIMAL", "qty"),
    ({"qty": FAR}, "BAD_DECIMAL", "qty"),
    ({"px": FAR}, "BAD_DECIMAL", "px"),
    ({"px": "99.001"}, "BAD_TICK", "px"),
    ({"qty": "1.5"}, "BAD_LOT", "qty"),
    ({"px": "9199999999.99"}, "RC_MAX_NOTIONAL", None),
    ({"qty": "9199999999"}, "RC_MAX_QTY", None),
    ({"symbol": "NOPE"}, "UNKNOWN_SYMBOL", "symbol"),
    ({"symbol": ""}, "BAD_FIELD", "symbol"),
    ({"symbol": 7}, "BAD_FIELD", "symbol"),
    ({"account": "NOBODY"}, "ACCOUNT_DENIED", "account"),
    ({"account": "B1"}, "ACCOUNT_DENIED", "account"),
    ({"side": "BUY"}, "BAD_FIELD", "side"),
    ({"side": None}, "BAD_FIELD", "side"),
    ({"ord_type": "stop"}, "BAD_FIELD", "ord_type"),
    ({"ord_type": "market"}, "BAD_COMBINATION", "px"),
    ({"px": None}, "BAD_COMBINATION", "px"),
    ({"tif": "forever"}, "BAD_FIELD", "tif"),
    ({"tif": "gtd"}, "BAD_COMBINATION", "expire_ns"),
    ({"tif": "gtd", "expire_ns": 1}, "BAD_FIELD", "expire_ns"),
    ({"tif": "gtd", "expire_ns": -1}, "BAD_FIELD", "expire_ns"),
    ({"tif": "gtd", "expire_ns": 2**64}, "BAD_FIELD", "expire_ns"),
    ({"cl_ord_id": ""}, "BAD_FIELD", "cl_ord_id"),
    ({"cl_ord_id": "x" * 37}, "BAD_FIELD", "cl_ord_id"),
    ({"cl_ord_id": 'a"b'}, "BAD_FIELD", "cl_ord_id"),
    ({"cl_ord_id": "a b"}, "BAD_FIELD", "cl_ord_id"),
    ({"cl_ord_id": "\u00fc"}, "BAD_FIELD", "cl_ord_id"),
    ({"cl_ord_id": 5}, "BAD_FIELD", "cl_ord_id"),
    ({"stp_loss": "90"}, "BAD_FIELD", "stp_loss"),
    ({"trigger": {"kind": "stop", "stop_px": "101", "stp": 1}}, "BAD_FIELD", "trigger.stp"),
    ({"trigger": {"kind": "stop", "stop_px": 101}}, "BAD_DECIMAL", "trigger.stop_px"),
    ({"trigger": {"kind": "stop"}}, "BAD_COMBINATION", "trigger.stop_px"),
    ({"trigger": "stop"}, "BAD_FIELD", "trigger"),
    ({"trigger": {"kind": "trail"}}, "BAD_COMBINATION", "trigger.trail"),
    ({"trigger": {"kind": "trail", "trail": {}}}, "BAD_COMBINATION", "trigger.trail"),
    ({"trigger": {"kind": "trail", "trail": {"bps": "10", "pct": "1"}}}, "BAD_COMBINATION", "trigger.trail"),
    ({"trigger": {"kind": "trail", "trail": {"bps": "0"}}}, "BAD_FIELD", "trigger.trail.bps"),
    ({"trigger": {"kind": "trail", "trail": {"pct": "100"}}}, "BAD_FIELD", "trigger.trail.pct"),
    ({"trigger": {"kind": "trail", "trail": {"amount": 1.5}}}, "BAD_DECIMAL", "trigger.trail.amount"),
    ({"trigger": {"kind": "stop", "stop_px": "101", "trail": {"bps": "1"}}}, "BAD_COMBINATION", "trigger.trail"),
    ({"trigger": {"kind": "stop", "stop_px": "90", "source": "bid"}}, "TRIGGER_THROUGH", "trigger.stop_px"),
    ({"post_only": True}, "UNSUPPORTED", "post_only"),
    ({"after": {"cl_ord_id": "p"}}, "UNKNOWN_ORDER", "after.cl_ord_id"),
    ({"oco": "a b"}, "BAD_FIELD", "oco"),
    ({"reduce_only": 1}, "BAD_FIELD", "reduce_only"),
    ({"max_queue_ms": 2**53 - 1}, "BAD_FIELD", "max_queue_ms"),
    ({"max_queue_ms": -1}, "BAD_FIELD", "max_queue_ms"),
    ({"max_queue_ms": 1.5}, "BAD_FIELD", "max_queue_ms"),
    ({"tag": "x" * 65}, "BAD_FIELD", "tag"),
    ({"tag": "\U0001f600" * 64}, "BAD_FIELD", "tag"),
    ({"signal": 'a"b'}, "BAD_FIELD", "signal"),
    ({"deadline_ns": 1}, "DEADLINE_PASSED", "deadline_ns"),
    ({"deadline_ns": "soon"}, "BAD_FIELD", "deadline_ns"),
    ({"t": "plaec"}, "UNKNOWN_REQUEST", "t"),
    ({"t": 3}, "UNKNOWN_REQUEST", "t"),
    ({"t": "auth", "key": "B0", "session": "s", "sig": "x"}, "BAD_FIELD", None),
]  # fmt: skip


def test_each_bad_order_gets_its_code_and_changes_nothing(bench: Bench) -> None:
    async def scenario() -> list[str]:
        world = bench.deployment
        wrong = []
        async with await world.client("B0") as client:
            await quote(world)
            before = await world.last_seq()
            for at, (changes, code, path) in enumerate(REFUSED):
                if at % 20 == 0:
                    await quote(world)
                request = order(**{"t": "place", "id": client.last_id + 1, **changes})
                answer = await client.ask_raw(json.dumps(request), request["id"])
                if (answer["t"], answer.get("code")) != ("err", code) or (path and answer.get("path") != path):
                    wrong.append(f"{changes}: {answer}")
            assert await world.last_seq() == before
            assert not client.gone
        return wrong

    wrong = bench.run(scenario())
    assert not wrong, "\n".join(wrong)


FRAMES_THAT_CLOSE: list[tuple[str, bytes, WSMsgType]] = [
    ("not JSON", b"{nonsense", WSMsgType.TEXT),
    ("empty", b"", WSMsgType.TEXT),
    ("an array", b"[1,2,3]", WSMsgType.TEXT),
    ("a number", b"17", WSMsgType.TEXT),
    ("no id", b'{"t":"place"}', WSMsgType.TEXT),
    ("id is a string", b'{"t":"place","id":"1"}', WSMsgType.TEXT),
    ("id is negative", b'{"t":"place","id":-1}', WSMsgType.TEXT),
    ("id is too large", b'{"t":"place","id":9007199254740992}', WSMsgType.TEXT),
    ("id is huge", b'{"t":"place","id":' + b"9" * 400 + b"}", WSMsgType.TEXT),
    ("deep nesting", b'{"id":' + b"[" * 30_000, WSMsgType.TEXT),
    ("not UTF-8", b'{"t":"\xff\xfe"}', WSMsgType.TEXT),
    ("two objects", b'{"t":"get","id":1,"what":"time"}{}', WSMsgType.TEXT),
    ("binary on a JSON connection", b"\x00\xff" * 100, WSMsgType.BINARY),
    ("oversize", b'{"t":"get","id":1,"what":"time","x":"' + b"x" * 65_536 + b'"}', WSMsgType.TEXT),
]  # fmt: skip


@pytest.mark.parametrize(("name", "raw", "kind"), FRAMES_THAT_CLOSE, ids=[row[0] for row in FRAMES_THAT_CLOSE])
def test_a_frame_without_an_id_to_answer_to_closes_4002(bench: Bench, name: str, raw: bytes, kind: WSMsgType) -> None:
    async def scenario() -> None:
        world = bench.deployment
        async with await world.client("B1", "other") as other, await world.client("B0") as client:
            client.send_raw(raw, kind)
            assert await client.closed() == 4002
            assert (await other.ask("get", what="time"))["t"] == "res"

    bench.run(scenario())


def test_a_fragmented_message_closes_4002(bench: Bench) -> None:
    async def scenario() -> None:
        async with await bench.deployment.client("B0") as client:
            assert client.transport is not None
            client.transport.send(WSMsgType.TEXT, b'{"t":"get",', fin=False)
            client.transport.send(WSMsgType.CONTINUATION, b'"id":9,"what":"time"}')
            assert await client.closed() == 4002

    bench.run(scenario())


def test_a_frame_beyond_what_the_library_takes_ends_the_connection(bench: Bench) -> None:
    async def scenario() -> None:
        async with await bench.deployment.client("B0") as client:
            client.send_raw(b"x" * (3 << 20))
            await client.closed()

    bench.run(scenario())


def test_msgpack_garbage_closes_4002_and_sound_frames_round_trip(bench: Bench) -> None:
    async def scenario() -> None:
        world = bench.deployment
        async with await world.client("B0", "packed", offer=(MSGPACK, "backstay.v1.json")) as client:
            await quote(world)
            client.say("subscribe")
            await client.frame("live")
            accepted = await client.ask("place", **order(cl_ord_id="packed-1"))
            assert accepted["t"] == "accepted"
            assert accepted["order"]["px"] == "99"
            assert (await client.ask("place", **order(cl_ord_id="packed-1")))["dup"] is True
            assert (await client.ask("place", **order(cl_ord_id="packed-1", qty="2")))["code"] == "CL_ORD_ID_CONFLICT"
            await client.frame("new", cl_ord_id="packed-1")
            await client.ask("cancel", cl_ord_id="packed-1")
            await client.frame("canceled", cl_ord_id="packed-1")
            client.send_raw(b"\xc1\xc1\xc1")
            assert await client.closed() == 4002

    bench.run(scenario())


def test_ids_must_rise(bench: Bench) -> None:
    async def scenario() -> None:
        world = bench.deployment
        async with await world.client("B0") as client:
            assert (await client.ask_raw('{"t":"get","id":50,"what":"time"}', 50))["t"] == "res"
            before = await world.last_seq()
            for text in (json.dumps(order(t="place", id=50)), json.dumps(order(t="place", id=49))):
                client.frames.clear()
                answer = await client.ask_raw(text, json.loads(text)["id"])
                assert (answer["code"], answer["path"]) == ("BAD_FIELD", "id")
            assert await world.last_seq() == before

    bench.run(scenario())


@pytest.mark.parametrize(
    ("key", "t", "members", "code"),
    [
        ("reader", "place", ORDER, "SCOPE_DENIED"),
        ("reader", "cancel", {"cl_ord_id": "x"}, "SCOPE_DENIED"),
        ("reader", "cancel_all", {}, "SCOPE_DENIED"),
        ("reader", "batch", {"items": [{"t": "cancel", "cl_ord_id": "x"}]}, "SCOPE_DENIED"),
        ("canceler", "place", ORDER, "SCOPE_DENIED"),
        ("canceler", "replace", {"cl_ord_id": "x", "rev": 2, "qty": "1"}, "SCOPE_DENIED"),
        ("canceler", "get", {"what": "positions"}, "SCOPE_DENIED"),
        ("canceler", "subscribe", {}, "SCOPE_DENIED"),
        ("canceler", "cancel", {"cl_ord_id": "x"}, "UNKNOWN_ORDER"),
        ("narrow", "place", ORDER, "SYMBOL_DENIED"),
        ("narrow", "batch", {"items": [{"t": "place", **ORDER}]}, "SYMBOL_DENIED"),
        ("B0", "subscribe", {"account": "B1"}, "ACCOUNT_DENIED"),
        ("B0", "lease", {"name": "l", "mode": "renew", "ttl_ms": 1}, "UNSUPPORTED"),
    ],
)  # fmt: skip
def test_a_key_may_do_what_its_scopes_say_and_no_more(
    bench: Bench, key: str, t: str, members: dict[str, Any], code: str
) -> None:
    async def scenario() -> None:
        world = bench.deployment
        before = await world.last_seq()
        async with await log_in(world.ws_url, key, world.secret(key)) as client:
            assert (await client.ask(t, **members))["code"] == code
        assert await world.last_seq() == before

    bench.run(scenario())


def test_a_key_changes_no_order_of_a_symbol_that_is_not_its_own(bench: Bench) -> None:
    async def scenario() -> None:
        world = bench.deployment
        async with (
            await world.client("B0", "owner") as owner,
            await log_in(world.ws_url, "narrow", world.secret("narrow")) as narrow,
        ):
            await owner.ask("place", **{**ORDER, "cl_ord_id": "not-yours"})
            change = {"cl_ord_id": "not-yours", "rev": 2, "qty": "2"}
            assert (await narrow.ask("replace", **change))["code"] == "SYMBOL_DENIED"
            batch = await narrow.ask("batch", items=[{"t": "replace", **change}])
            assert (batch["code"], batch["path"]) == ("SYMBOL_DENIED", "items[0].cl_ord_id")
            await owner.ask("cancel", cl_ord_id="not-yours")

    bench.run(scenario())


# --- login ----------------------------------------------------------------------------------------------------------


async def refused_login(world: World, client: RawClient, key: str, sig: str) -> tuple[str, int]:
    answer = await client.ask("auth", key=key, session="raw", sig=sig)
    return answer["code"], await client.closed()


def test_a_signature_is_good_for_its_own_nonce_only(bench: Bench) -> None:
    async def scenario() -> None:
        world = bench.deployment
        secret = read_secret(world.secret("B0"))
        async with await connect(world.ws_url) as first, await connect(world.ws_url) as second:
            hello = await first.frame("hello")
            await second.frame("hello")
            sig = sign(secret, hello["aud"], hello["nonce"], "B0", "raw")
            assert (await first.ask("auth", key="B0", session="raw", sig=sig))["t"] == "welcome"
            again = await first.ask("auth", key="B0", session="raw", sig=sig)
            assert again["code"] == "UNKNOWN_REQUEST"
            assert await refused_login(world, second, "B0", sig) == ("AUTH_FAILED", 4001)

    bench.run(scenario())


@pytest.mark.parametrize(
    ("key", "sig", "expected"),
    [
        ("B0", "", ("AUTH_FAILED", 4001)),
        ("B0", "not base64!", ("AUTH_FAILED", 4001)),
        ("B0", "\u00e9", ("AUTH_FAILED", 4001)),
        ("B0", "AAAA", ("AUTH_FAILED", 4001)),
        ("nobody", "AAAA", ("AUTH_FAILED", 4001)),
        ("expired", None, ("KEY_REVOKED", 4003)),
        ("elsewhere", None, ("IP_DENIED", 4001)),
    ],
)  # fmt: skip
def test_a_login_that_fails_is_told_why_and_closed(
    bench: Bench, key: str, sig: str | None, expected: tuple[str, int]
) -> None:
    async def scenario() -> None:
        world = bench.deployment
        async with await connect(world.ws_url) as client:
            hello = await client.frame("hello")
            if sig is None:
                proof = sign(read_secret(world.secret(key)), hello["aud"], hello["nonce"], key, "raw")
            assert await refused_login(world, client, key, proof if sig is None else sig) == expected

    bench.run(scenario())


def test_who_asks_before_the_login_is_refused_and_who_comes_too_late_is_closed(bench: Bench) -> None:
    async def scenario() -> None:
        world = bench.deployment
        async with await connect(world.ws_url) as client:
            assert (await client.ask("place", **ORDER))["code"] == "AUTH_REQUIRED"
            assert await client.closed() == 4001
            assert not client.of("welcome")

    bench.run(scenario())


@pytest.mark.parametrize("session", ['a"b', "a\\b", "a\nb", "\u0000", "a b", "\U0001f600" * 36])
def test_a_session_name_outside_its_alphabet_is_refused(bench: Bench, session: str) -> None:
    async def scenario() -> None:
        world = bench.deployment
        async with await connect(world.ws_url) as client:
            hello = await client.frame("hello")
            sig = sign(read_secret(world.secret("B0")), hello["aud"], hello["nonce"], "B0", session)
            request = {"t": "auth", "id": 1, "key": "B0", "session": session, "sig": sig}
            answer = await client.ask_raw(json.dumps(request), 1)
            assert (answer.get("code"), answer.get("path")) == ("BAD_FIELD", "session")

    bench.run(scenario())


async def handshake(world: World, head: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.ws_port)
    writer.write(head.replace("\n", "\r\n").encode())
    async with asyncio.timeout(10):
        answer = await reader.read(4096)
    writer.close()
    return answer


UPGRADE = (
    "GET {path} HTTP/1.1\nHost: x\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\n{more}\n"
)


@pytest.mark.parametrize(
    ("path", "more", "status"),
    [
        ("/v1/ws", "Sec-WebSocket-Protocol: backstay.v2.json\n", b" 400 "),
        ("/v1/ws", "", b" 400 "),
        ("/v2/ws", "Sec-WebSocket-Protocol: backstay.v1.json\n", b" 404 "),
        ("/v1/ws", "Sec-WebSocket-Protocol: x, backstay.v1.json\n", b" 101 "),
    ],
)  # fmt: skip
def test_the_handshake_is_refused_with_a_status(bench: Bench, path: str, more: str, status: bytes) -> None:
    answer = bench.run(handshake(bench.deployment, UPGRADE.format(path=path, more=more)))
    assert status in answer.split(b"\r\n")[0]
    if status == b" 400 ":
        assert b"backstay.v1.json, backstay.v1.msgpack" in answer


def test_a_client_that_does_not_mask_is_cut_off(bench: Bench) -> None:
    async def scenario() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", bench.deployment.ws_port)
        more = "Sec-WebSocket-Protocol: backstay.v1.json\n"
        writer.write(UPGRADE.format(path="/v1/ws", more=more).replace("\n", "\r\n").encode())
        await reader.readuntil(b"\r\n\r\n")
        payload = b'{"t":"get","id":1,"what":"time"}'
        writer.write(bytes([0x81, len(payload)]) + payload)
        async with asyncio.timeout(10):
            while await reader.read(4096):
                pass
        return b"closed"

    assert bench.run(scenario()) == b"closed"
