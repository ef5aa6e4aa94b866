"""The REST companions as an OpenAPI 3.1 document, sharing its schemas with the order protocol (order-api.md, 11)."""

from functools import cache
from typing import Any

import msgspec

from gateway.contracts import notices, rest
from gateway.contracts.asyncapi import API_VERSION
from gateway.contracts.errors import ERRORS
from gateway.contracts.events import AllCanceled
from gateway.contracts.schema import Json, components, render
from gateway.contracts.values import OrdStatus

BODIES: tuple[type[msgspec.Struct], ...] = (
    rest.Health,
    rest.Readiness,
    rest.Instruments,
    notices.Instrument,
    rest.Orders,
    notices.OrderState,
    notices.Explained,
    rest.Events,
    rest.Positions,
    rest.AccountLimits,
    rest.CancelAllBody,
    AllCanceled,
    rest.HaltBody,
    notices.Halt,
    rest.Halts,
    rest.Challenge,
    rest.TokenBody,
    rest.Token,
    rest.Failure,
)


def document() -> Json:
    """The whole document as plain data."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Backstay REST companions",
            "version": API_VERSION,
            "description": "What must work where a WebSocket does not. Orders are placed over the socket only.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}],
        "paths": {**_process_paths(), **_account_paths(), **_halt_paths(), **_token_paths(), **_document_paths()},
        "components": {
            "schemas": components(list(BODIES), keep_discriminator=True),
            "responses": {"Failure": _json("refused: nothing happened", rest.Failure)},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
        "x-error-codes": {
            kind.code: {"retry": kind.retry, "http_status": kind.http_status, "text": kind.text}
            for kind in ERRORS.values()
        },
    }


@cache
def openapi_json() -> bytes:
    """The bytes that are checked in as ``docs/api/openapi.json`` and served at ``/v1/openapi.json``."""
    return render(document())


def _process_paths() -> Json:
    ready = _json("orders are taken", rest.Readiness)
    not_ready = _json("orders are not taken now", rest.Readiness)
    text = {"description": "Prometheus text", "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {
        "/healthz": {"get": _open("health", "Is the process alive?", {"200": _json("alive", rest.Health)})},
        "/readyz": {"get": _open("ready", "Are orders taken now?", {"200": ready, "503": not_ready})},
        "/metrics": {"get": _open("metrics", "Metrics.", {"200": text})},
        "/v1/instruments": {"get": _call("instruments", "What can be traded.", rest.Instruments)},
        "/v1/instruments/{symbol}": {
            "get": _call("instrument", "One instrument.", notices.Instrument, [_path("symbol")])
        },
    }


def _account_paths() -> Json:
    account = "/v1/accounts/{account}"
    a = _path("account")
    status = _query("ord_status", msgspec.json.schema(OrdStatus))
    orders = [a, status, _query("symbol"), _query("tag"), _query("since_seq", _INTEGER), _query("cursor")]
    events = [a, _query("after_seq", _INTEGER), _query("limit", {**_INTEGER, "minimum": 1, "maximum": 10_000})]
    return {
        f"{account}/orders": {"get": _call("orders", "Orders at the head.", rest.Orders, orders)},
        f"{account}/orders/{{cl_ord_id}}": {
            "get": _call("order", "One order.", notices.OrderState, [a, _path("cl_ord_id")])
        },
        f"{account}/orders/{{cl_ord_id}}/explain": {
            "get": _call("explain", "What became of an order and why.", notices.Explained, [a, _path("cl_ord_id")])
        },
        f"{account}/events": {"get": _call("events", "The events of the wire.", rest.Events, events)},
        f"{account}/positions": {"get": _call("positions", "Positions at the head.", rest.Positions, [a])},
        f"{account}/limits": {"get": _call("limits", "Room left by each control.", rest.AccountLimits, [a])},
        f"{account}/cancel_all": {
            "post": _call("cancel_all", "Cancel what the filters leave.", AllCanceled, [a, _KEY], rest.CancelAllBody)
        },
    }


def _halt_paths() -> Json:
    lift = _call("lift_halt", "Turn a kill switch off: takes two different keys.", notices.Halt, [_path("id"), _KEY])
    lift["responses"]["202"] = _json("asked for: a second, different key must confirm", notices.Halt)
    halt = _call("halt", "Turn a kill switch on, at once.", notices.Halt, [_KEY], rest.HaltBody)
    halt["responses"]["202"] = _json("in force, not on disk: set it again after the restart", notices.Halt)
    return {
        "/v1/halts": {
            "get": _call("halts", "The kill switches that are on.", rest.Halts),
            "post": halt,
        },
        "/v1/halts/{id}": {"delete": lift},
    }


def _token_paths() -> Json:
    challenge = _open("challenge", "What to sign.", {"200": _json("a nonce for one login", rest.Challenge)})
    token = _call("token", "A bearer token for 15 minutes.", rest.Token, None, rest.TokenBody)
    return {"/v1/token": {"get": challenge, "post": {**token, "security": []}}}


def _document_paths() -> Json:
    found = {"description": "the document", "content": {"application/json": {"schema": {"type": "object"}}}}
    return {
        "/v1/asyncapi.json": {"get": _open("asyncapi", "The order protocol.", {"200": found})},
        "/v1/openapi.json": {"get": _open("openapi", "This document.", {"200": found})},
    }


_INTEGER: Json = {"type": "integer", "minimum": 0}
_STRING: Json = {"type": "string", "minLength": 1}
_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "the same key again gets the same answer again",
    "schema": {"type": "string", "minLength": 1, "maxLength": 64},
}


def _path(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": _STRING}


def _query(name: str, schema: Json = _STRING) -> Json:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _json(description: str, struct: type[Any]) -> Json:
    schema = {"$ref": f"#/components/schemas/{struct.__name__}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _open(operation: str, summary: str, responses: Json) -> Json:
    return {"operationId": operation, "summary": summary, "security": [], "responses": responses}


def _call(
    operation: str,
    summary: str,
    answer: type[Any],
    parameters: list[Json] | None = None,
    body: type[Any] | None = None,
) -> Json:
    call: Json = {
        "operationId": operation,
        "summary": summary,
        "responses": {"200": _json("done", answer), "default": {"$ref": "#/components/responses/Failure"}},
    }
    if parameters:
        call["parameters"] = parameters
    if body is not None:
        schema = {"$ref": f"#/components/schemas/{body.__name__}"}
        call["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return call
