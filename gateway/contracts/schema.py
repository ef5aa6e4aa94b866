"""JSON Schemas of the typed messages, as the AsyncAPI and OpenAPI documents share them."""

from typing import Any, get_args

import msgspec

from gateway.contracts.events import AccountEvents, OrderEvents
from gateway.contracts.notices import Err, Notices
from gateway.contracts.requests import Request

REF = "#/components/schemas/{name}"
Json = dict[str, Any]

REQUESTS: tuple[type[msgspec.Struct], ...] = get_args(Request)
EVENTS: tuple[type[msgspec.Struct], ...] = (*get_args(OrderEvents), *get_args(AccountEvents))
NOTICES: tuple[type[msgspec.Struct], ...] = get_args(Notices)
ERROR: type[msgspec.Struct] = Err


def tag_of(struct: type[msgspec.Struct]) -> str:
    """The value of ``t`` that marks a message."""
    return str(struct.__struct_config__.tag)


def components(types: list[Any], *, keep_discriminator: bool) -> Json:
    """The schema of each type and of all that they refer to, by name, in a stable order.

    A client must ignore members that it does not know in what the server sends, so only what a client sends forbids
    them. The discriminator is written for OpenAPI; AsyncAPI means another thing by the same word.
    """
    _, found = msgspec.json.schema_components(types, ref_template=REF)
    sent_by_clients = _reached(found, [struct.__name__ for struct in types if _is_request(struct)])
    for name, schema in found.items():
        if name not in sent_by_clients:
            schema.pop("additionalProperties", None)
        if not keep_discriminator:
            _drop(schema, "discriminator")
    return {name: found[name] for name in sorted(found)}


def _is_request(struct: Any) -> bool:
    return isinstance(struct, type) and (struct in REQUESTS or struct.__name__.endswith("Body"))


def _reached(found: Json, names: list[str]) -> set[str]:
    reached: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(_references(found[name]))
    return reached


def _references(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        here = [schema["$ref"].rpartition("/")[2]] if isinstance(schema.get("$ref"), str) else []
        return here + [name for value in schema.values() for name in _references(value)]
    if isinstance(schema, list):
        return [name for value in schema for name in _references(value)]
    return []


def _drop(schema: Any, member: str) -> None:
    if isinstance(schema, dict):
        if isinstance(schema.get(member), dict):
            del schema[member]
        for value in schema.values():
            _drop(value, member)
    elif isinstance(schema, list):
        for value in schema:
            _drop(value, member)


def render(document: Json) -> bytes:
    """The document as it is checked in and served: stable bytes, one line for each small thing."""
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
