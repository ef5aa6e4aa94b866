"""The order protocol as an AsyncAPI 3.0 document, generated from the typed messages (order-api.md, section 13)."""

import hashlib
from functools import cache

import msgspec

from gateway.contracts import events, notices, requests
from gateway.contracts.errors import CLOSE_CODES, ERRORS
from gateway.contracts.messages import BATCH_ITEMS_MAX, FRAME_BYTES_MAX, SUBPROTOCOLS
from gateway.contracts.schema import ERROR, EVENTS, NOTICES, REQUESTS, Json, components, render, tag_of

API_VERSION = "1.0"

REPLIES: dict[type[msgspec.Struct], tuple[type[msgspec.Struct], ...]] = {
    requests.Auth: (notices.Welcome,),
    requests.Subscribe: (notices.Sync,),
    requests.Unsubscribe: (notices.Res,),
    requests.Place: (events.Accepted, notices.Res),
    requests.Replace: (events.PendingReplace, events.Replaced),
    requests.Cancel: (events.PendingCancel, events.Canceled),
    requests.CancelAll: (events.AllCanceled,),
    requests.Batch: (events.Batched,),
    requests.Lease: (events.Leased, notices.Res),
    requests.Get: (notices.Res,),
    requests.Bye: (notices.Res,),
}


def document() -> Json:
    """The whole document as plain data."""
    messages = (*REQUESTS, *EVENTS, *NOTICES, ERROR)
    return {
        "asyncapi": "3.0.0",
        "info": _info(),
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {
                "host": "{host}",
                "protocol": "wss",
                "description": "Plain ws only on loopback or a Unix socket.",
                "variables": {"host": {"default": "127.0.0.1:8080", "description": "where this deployment listens"}},
            }
        },
        "channels": {
            "orders": {
                "address": "/v1/ws",
                "description": "One message in each frame, both ways; the member t says which message it is.",
                "messages": {struct.__name__: _ref("messages", struct) for struct in messages},
                "bindings": {"ws": _websocket_binding()},
            }
        },
        "operations": {
            **{tag_of(struct): _request_operation(struct) for struct in REQUESTS},
            **{f"send_{tag_of(struct)}": _send_operation(struct) for struct in (*EVENTS, *NOTICES, ERROR)},
        },
        "components": {
            "messages": {struct.__name__: _message(struct) for struct in messages},
            "schemas": components(list(messages), keep_discriminator=False),
            "correlationIds": {
                "request": {"location": "$message.payload#/id", "description": "strictly increasing on a connection"},
                "answer": {"location": "$message.payload#/re", "description": "the id of the request answered"},
            },
        },
        "x-error-codes": {kind.code: _error_row(kind.retry, kind.text) for kind in ERRORS.values()},
        "x-close-codes": {str(code): meaning for code, meaning in CLOSE_CODES.items()},
        "x-limits": {"frame_bytes": FRAME_BYTES_MAX, "batch_items": BATCH_ITEMS_MAX, "auth_ms": 5000},
    }


@cache
def asyncapi_json() -> bytes:
    """The bytes that are checked in as ``docs/api/asyncapi.json`` and served at ``/v1/asyncapi.json``."""
    return render(document())


@cache
def spec_sha256() -> str:
    """The fingerprint of the contract, as ``hello.spec`` states it."""
    return hashlib.sha256(asyncapi_json()).hexdigest()


def _info() -> Json:
    return {
        "title": "Backstay order API",
        "version": API_VERSION,
        "description": "Requests, and the events of an account's journal. An acknowledgement is the event that a "
        "request created; an error means that nothing happened. docs/order-api.md explains the rules.",
        "license": {"name": "Apache-2.0"},
    }


def _websocket_binding() -> Json:
    return {
        "method": "GET",
        "headers": {
            "type": "object",
            "properties": {"Sec-WebSocket-Protocol": {"type": "string", "enum": list(SUBPROTOCOLS)}},
            "required": ["Sec-WebSocket-Protocol"],
        },
        "bindingVersion": "0.1.0",
    }


def _ref(kind: str, struct: type[msgspec.Struct]) -> Json:
    return {"$ref": f"#/components/{kind}/{struct.__name__}"}


def _in_channel(struct: type[msgspec.Struct]) -> Json:
    return {"$ref": f"#/channels/orders/messages/{struct.__name__}"}


def _summary(struct: type[msgspec.Struct]) -> str:
    return (struct.__doc__ or "").strip().splitlines()[0]


def _message(struct: type[msgspec.Struct]) -> Json:
    message: Json = {"name": tag_of(struct), "summary": _summary(struct), "payload": _ref("schemas", struct)}
    if struct in REQUESTS:
        message["correlationId"] = {"$ref": "#/components/correlationIds/request"}
    elif "re" in struct.__struct_fields__:
        message["correlationId"] = {"$ref": "#/components/correlationIds/answer"}
    return message


def _request_operation(struct: type[msgspec.Struct]) -> Json:
    return {
        "action": "receive",
        "channel": {"$ref": "#/channels/orders"},
        "summary": _summary(struct),
        "messages": [_in_channel(struct)],
        "reply": {
            "channel": {"$ref": "#/channels/orders"},
            "messages": [_in_channel(answer) for answer in (*REPLIES[struct], ERROR)],
        },
    }


def _send_operation(struct: type[msgspec.Struct]) -> Json:
    return {
        "action": "send",
        "channel": {"$ref": "#/channels/orders"},
        "summary": _summary(struct),
        "messages": [_in_channel(struct)],
    }


def _error_row(retry: str, text: str) -> Json:
    return {"retry": retry, "text": text}
