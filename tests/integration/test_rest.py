"""The REST companions on a running gateway: what each key may ask, what is answered, and that the document says so."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from backstay import Gateway, Refused, Stop
from gateway.commands.rest_client import RestClient, RestRefused
from tests.integration.conftest import Running
from tests.integration.rest_check import RestCheck

pytestmark = pytest.mark.e2e
check = RestCheck()
ALERTS = Path(__file__).resolve().parents[2] / "deploy" / "prometheus" / "alerts.yml"


def ask(
    running: Running, key: str, method: str, path: str, body: Any = None, *, name: str | None = None
) -> tuple[int, Any]:
    """Status and answer, held against the document."""
    return running.run(_ask(running, key, method, path, body, name))


async def _ask(running: Running, key: str, method: str, path: str, body: Any, name: str | None) -> tuple[int, Any]:
    deployment = running.deployment
    async with RestClient(deployment.http_url, key=key, secret=deployment.secret(key)) as rest:
        status, answer = 200, None
        try:
            answer = await rest.ask(method, path, body, idempotency_key=name)
            status = rest.status
        except RestRefused as refused:
            status, answer = refused.status, refused.failure
        check(method, path, status, answer)
        return status, answer


async def _raw(
    running: Running, method: str, path: str, *, data: bytes | None = None, headers: dict[str, str] | None = None
) -> tuple[int, bytes, dict[str, str]]:
    url = running.deployment.http_url + path
    async with aiohttp.ClientSession() as http, http.request(method, url, data=data, headers=headers) as response:
        return response.status, await response.read(), dict(response.headers)


async def _client(running: Running, account: str, session: str) -> Gateway:
    deployment = running.deployment
    client = Gateway(
        deployment.ws_url, key=account, secret=deployment.secret(account), account=account, session=session
    )
    await client.open()
    return client


def test_probes_answer_without_a_key(running: Running) -> None:
    for path in ("/healthz", "/readyz"):
        status, body, _ = running.run(_raw(running, "GET", path))
        assert status == 200
        check("GET", path, status, json.loads(body))


def test_the_served_documents_are_the_ones_checked_in(running: Running) -> None:
    for name in ("asyncapi", "openapi"):
        status, body, _ = running.run(_raw(running, "GET", f"/v1/{name}.json"))
        checked_in = check.document if name == "openapi" else None
        assert status == 200
        assert json.loads(body)["info"]["version"] == check.document["info"]["version"]
        assert checked_in is None or json.loads(body)["paths"] == checked_in["paths"]


def test_metrics_parse_and_show_the_parts(running: Running) -> None:
    status, body, headers = running.run(_raw(running, "GET", "/metrics"))
    families = {family.name for family in text_string_to_metric_families(body.decode())}
    assert status == 200
    assert headers["Content-Type"].startswith("text/plain")
    wanted = {
        "backstay_ack_latency_seconds", "backstay_tick_to_wire_latency_seconds", "backstay_loop_lag_seconds",
        "backstay_orders", "backstay_resting_stops", "backstay_feed_age_seconds", "backstay_journal_queue_bytes",
        "backstay_journal_sync_seconds", "backstay_sessions", "backstay_queue_depth",
    }  # fmt: skip
    assert wanted <= families


def test_every_alert_rule_asks_for_what_the_page_has(running: Running) -> None:
    _, body, _ = running.run(_raw(running, "GET", "/metrics"))
    samples = {sample.name for family in text_string_to_metric_families(body.decode()) for sample in family.samples}
    asked = set(re.findall(r"backstay_[a-z_]+", ALERTS.read_text()))
    assert asked - samples == set()


def test_without_a_token_nothing_of_an_account_is_told(running: Running) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic QTE6"}):
        status, body, answered = running.run(_raw(running, "GET", "/v1/accounts/A1/orders", headers=headers))
        assert (status, json.loads(body)["code"]) == (401, "AUTH_REQUIRED")
        assert answered["WWW-Authenticate"] == "Bearer"
        check("GET", "/v1/accounts/A1/orders", status, json.loads(body))


def test_a_challenge_serves_once_and_only_for_its_signer(running: Running) -> None:
    async def work() -> list[tuple[int, str]]:
        deployment = running.deployment
        found = []
        async with aiohttp.ClientSession(deployment.http_url) as http:
            async with http.get("/v1/token") as response:
                challenge = await response.json()
            check("GET", "/v1/token", 200, challenge)
            client = RestClient(deployment.http_url, key="A1", secret=deployment.secret("A1"))
            body = client.signed(challenge)
            for changed in ({"key": "A2"}, {"nonce": "AAAA"}, {}, {}):
                async with http.post("/v1/token", json={**body, **changed}) as response:
                    answer = await response.json()
                    check("POST", "/v1/token", response.status, answer)
                    found.append((response.status, answer.get("code", "token")))
        return found

    assert running.run(work()) == [(401, "AUTH_FAILED"), (401, "AUTH_FAILED"), (200, "token"), (401, "AUTH_FAILED")]


def test_a_key_sees_its_own_account_only(running: Running) -> None:
    status, answer = ask(running, "A1", "GET", "/v1/accounts/A2/orders")
    assert (status, answer["code"]) == (403, "ACCOUNT_DENIED")
    status, answer = ask(running, "A1", "GET", "/v1/accounts/NOBODY/positions")
    assert (status, answer["code"]) == (403, "ACCOUNT_DENIED")
    assert ask(running, "ops-1", "GET", "/v1/accounts/A2/positions")[0] == 200


def test_instruments_are_listed_and_found(running: Running) -> None:
    status, listed = ask(running, "A1", "GET", "/v1/instruments")
    assert status == 200
    assert [item["symbol"] for item in listed["instruments"]] == ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]
    assert ask(running, "A1", "GET", "/v1/instruments/ETHUSDT") == (200, listed["instruments"][1])
    status, answer = ask(running, "A1", "GET", "/v1/instruments/NONE")
    assert (status, answer["code"]) == (404, "UNKNOWN_SYMBOL")


async def _position_with_stop(running: Running, account: str) -> str:
    client = await _client(running, account, "rest")
    entry = await client.buy("BTCUSDT", "0.1")
    await entry.done(timeout=10)
    stop = await client.sell("BTCUSDT", "0.1", trigger=Stop("1000"), reduce_only=True, tif="gtc")
    await client.buy("BTCUSDT", "0.1", px="59000", tif="gtc")
    await client.close()
    return stop.cl_ord_id


def test_orders_events_and_positions_are_those_of_the_socket(running: Running) -> None:
    name = running.run(_position_with_stop(running, "A1"))
    _, orders = ask(running, "A1", "GET", "/v1/accounts/A1/orders")
    assert [order["ord_status"] for order in orders["orders"][:2]] == ["filled", "held"]
    _, held = ask(running, "A1", "GET", "/v1/accounts/A1/orders?ord_status=held")
    assert [order["cl_ord_id"] for order in held["orders"]] == [name]
    assert ask(running, "A1", "GET", f"/v1/accounts/A1/orders/{name}") == (200, held["orders"][0])
    status, told = ask(running, "A1", "GET", f"/v1/accounts/A1/orders/{name}/explain")
    assert (status, told["cl_ord_id"], told["ord_status"]) == (200, name, held["orders"][0]["ord_status"])
    status, answer = ask(running, "A1", "GET", "/v1/accounts/A1/orders/none")
    assert (status, answer["code"]) == (404, "UNKNOWN_ORDER")
    _, positions = ask(running, "A1", "GET", "/v1/accounts/A1/positions")
    assert [(item["symbol"], item["pos_qty"]) for item in positions["positions"]] == [("BTCUSDT", "0.1")]
    assert ask(running, "A1", "GET", "/v1/accounts/A1/limits")[0] == 200


def test_events_page_by_sequence_without_a_gap(running: Running) -> None:
    _, whole = ask(running, "A1", "GET", "/v1/accounts/A1/events?limit=10000")
    found: list[Any] = []
    while True:
        after = found[-1]["seq"] if found else 0
        _, page = ask(running, "A1", "GET", f"/v1/accounts/A1/events?after_seq={after}&limit=3")
        if not page["events"]:
            break
        found += page["events"]
    assert [event["seq"] for event in found] == list(range(1, whole["head"] + 1))
    assert found == whole["events"]


@pytest.mark.parametrize(
    ("query", "path"),
    [("limit=0", "limit"), ("limit=x", "limit"), ("after_seq=-1", "after_seq"), ("limit=10001", "limit")],
)  # fmt: skip
def test_a_bad_query_is_refused_with_its_path(running: Running, query: str, path: str) -> None:
    status, answer = ask(running, "A1", "GET", f"/v1/accounts/A1/events?{query}")
    assert (status, answer["code"], answer["path"]) == (422, "BAD_FIELD", path)


def test_cancel_all_keeps_protective_orders_and_answers_once(running: Running) -> None:
    body = {"keep": "protective", "symbol": "BTCUSDT"}
    status, first = ask(running, "A1", "POST", "/v1/accounts/A1/cancel_all", body, name="once")
    assert (status, first["count"], first["keep"]) == (200, 1, "protective")
    assert ask(running, "A1", "POST", "/v1/accounts/A1/cancel_all", body, name="once") == (200, first)
    status, answer = ask(running, "A1", "POST", "/v1/accounts/A1/cancel_all", {}, name="once")
    assert (status, answer["path"]) == (422, "Idempotency-Key")
    _, again = ask(running, "A1", "POST", "/v1/accounts/A1/cancel_all", body, name="twice")
    assert (again["count"], again["seq"] > first["seq"]) == (0, True)
    _, held = ask(running, "A1", "GET", "/v1/accounts/A1/orders?ord_status=held")
    assert len(held["orders"]) == 1


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"{", 400, "MALFORMED"),
        (b"\xff\xfe", 400, "MALFORMED"),
        (b"[]", 400, "MALFORMED"),
        (b'{"keep":"all"}', 422, "BAD_FIELD"),
        (b'{"sidee":"buy"}', 422, "BAD_FIELD"),
        (b'{"symbol":"NONE"}', 404, "UNKNOWN_SYMBOL"),
        (b'{"tag":"' + b"x" * 20_000 + b'"}', 413, "TOO_LARGE"),
        (b"[" * 10_000, 400, "MALFORMED"),
    ],
)
def test_a_bad_body_gets_its_code_and_cancels_nothing(running: Running, data: bytes, status: int, code: str) -> None:
    async def work() -> tuple[int, Any]:
        deployment = running.deployment
        async with RestClient(deployment.http_url, key="A1", secret=deployment.secret("A1")) as rest:
            await rest.login()
            headers = {"Authorization": f"Bearer {rest.token}"}
            found, body, _ = await _raw(running, "POST", "/v1/accounts/A1/cancel_all", data=data, headers=headers)
            return found, json.loads(body)

    _, before = ask(running, "A1", "GET", "/v1/accounts/A1/positions")
    found, answer = running.run(work())
    check("POST", "/v1/accounts/A1/cancel_all", found, answer)
    assert (found, answer["code"]) == (status, code)
    _, after = ask(running, "A1", "GET", "/v1/accounts/A1/positions")
    assert before["head"] == after["head"]


def test_paths_and_methods_that_are_not_there_are_refused_in_the_taxonomy(running: Running) -> None:
    status, body, _ = running.run(_raw(running, "GET", "/v2/anything"))
    assert (status, json.loads(body)["code"]) == (404, "UNKNOWN_REQUEST")
    status, body, headers = running.run(_raw(running, "PUT", "/v1/halts"))
    assert (status, json.loads(body)["code"], headers["Allow"]) == (405, "UNKNOWN_REQUEST", "GET, HEAD, POST")


def test_a_kill_switch_takes_one_key_to_set_and_two_to_lift(running: Running) -> None:
    async def place() -> str:
        client = await _client(running, "A2", "halted")
        try:
            order = await client.buy("ETHUSDT", "0.1", px="2600", tif="gtc")
            await order.cancel()
            return "accepted"
        except Refused as refused:
            return refused.code
        finally:
            await client.close()

    body = {"scope": "account:A2", "level": "no_new", "reason": "drill"}
    status, answer = ask(running, "A2", "POST", "/v1/halts", body)
    assert (status, answer["code"]) == (403, "SCOPE_DENIED")
    assert running.run(place()) == "accepted"
    status, halt = ask(running, "ops-1", "POST", "/v1/halts", body, name="drill")
    assert (status, halt["by"], halt["scope"]) == (200, "ops-1", "account:A2")
    assert ask(running, "ops-1", "POST", "/v1/halts", body, name="drill") == (200, halt)
    assert running.run(place()) == "RC_KILLED"
    assert [h["halt_id"] for h in ask(running, "A2", "GET", "/v1/halts")[1]["halts"]] == [halt["halt_id"]]
    assert ask(running, "A3", "GET", "/v1/halts")[1] == {"halts": []}
    path = f"/v1/halts/{halt['halt_id']}"
    assert ask(running, "ops-1", "DELETE", path)[0] == 202
    status, answer = ask(running, "ops-1", "DELETE", path)
    assert (status, answer["code"]) == (403, "SCOPE_DENIED")
    assert running.run(place()) == "RC_KILLED"
    assert ask(running, "ops-2", "DELETE", path)[0] == 200
    assert running.run(place()) == "accepted"
    assert ask(running, "ops-2", "DELETE", path)[0] == 422


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"scope": "account:NOBODY", "level": "no_new", "reason": "x"}, "scope"),
        ({"scope": "global", "level": "cancel_all", "reason": "x"}, "keep"),
        ({"scope": "global", "level": "flatten", "reason": "x", "keep": "none"}, "level"),
        ({"scope": "global", "level": "loud", "reason": "x"}, "level"),
        ({"scope": "global", "level": "no_new"}, "reason"),
    ],
)
def test_a_kill_switch_that_says_too_little_is_refused(running: Running, body: Any, path: str) -> None:
    status, answer = ask(running, "ops-1", "POST", "/v1/halts", body)
    assert (status, answer["path"]) == (422, path)
    assert ask(running, "ops-1", "GET", "/v1/halts")[1] == {"halts": []}


def test_queries_have_a_bucket_of_their_own(running: Running) -> None:
    async def work() -> list[str]:
        deployment = running.deployment
        async with RestClient(deployment.http_url, key="A3", secret=deployment.secret("A3")) as rest:
            await rest.login()

            async def one() -> str:
                try:
                    await rest.ask("GET", "/v1/accounts/A3/positions")
                except RestRefused as refused:
                    return f"{refused.status} {refused.failure['code']} {refused.failure['retry_ns'] > 0}"
                return "200"

            return list(await asyncio.gather(*(one() for _ in range(1500))))

    answers = running.run(work())
    assert set(answers) == {"200", "429 RATE_LIMITED True"}
    assert answers.count("200") >= 400


def test_every_path_of_the_document_was_asked(running: Running) -> None:
    """Runs last in this module: a schema that no live answer was held against is dead."""
    spoken = {
        (method, path)
        for path, calls in check.document["paths"].items()
        for method, call in calls.items()
        if "application/json" in call["responses"]["200"].get("content", {}) and not path.endswith(".json")
    }
    assert spoken - check.seen == set()
