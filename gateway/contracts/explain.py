"""Turns a failed decode of a request into the code, path and text of an ``err``, and recovers the request's id."""

import re
from typing import Any, get_args, get_type_hints

import msgspec

from gateway.contracts import requests
from gateway.contracts.values import INT53_END, Dec

# Bytes that are not UTF-8 inside a string, and brackets nested without end, raise errors that are not msgspec's own.
DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_AT = re.compile(r" - at `\$\.?(?P<path>.*)`$")
_FIELD = re.compile(r"(?P<what>missing required|contains unknown) field `(?P<name>.*?)`")
_NUMBER = re.compile(r"Expected `str.*got `(int|float)`")
_INDEX = re.compile(r"\[[^]]*\]$")


def _is_decimal(annotation: Any) -> bool:
    return annotation is Dec or annotation == Dec or any(_is_decimal(arg) for arg in get_args(annotation))


def _decimal_members() -> frozenset[str]:
    structs = (item for item in vars(requests).values() if isinstance(item, type) and issubclass(item, msgspec.Struct))
    hints = (get_type_hints(struct, include_extras=True) for struct in structs)
    return frozenset(name for members in hints for name, annotation in members.items() if _is_decimal(annotation))


DECIMAL_MEMBERS = _decimal_members()


def explain_decode_error(exc: Exception) -> tuple[str, str, str]:
    """The error code, the path of the member (empty: the whole frame) and a sentence for what a decoder raised.

    Paths look like ``px``, ``trigger.stop_px`` or ``items[2].qty``.
    """
    message = str(exc)
    if not isinstance(exc, msgspec.ValidationError):
        return "MALFORMED", "", f"not a well-formed frame: {message}"
    at = _AT.search(message)
    path = at["path"] if at else ""
    reason = message[: at.start()] if at else message
    field = _FIELD.search(reason)
    if field:
        path = f"{path}.{field['name']}" if path else field["name"]
        reason = "required member is missing" if field["what"] == "missing required" else "no such member"
    elif not path:
        return "MALFORMED", "", f"a request is one object: {message}"
    last = _INDEX.sub("", path).rpartition(".")[2]
    if last == "t":
        return "UNKNOWN_REQUEST", path, f"t names no request of this version: {reason}"
    if last in DECIMAL_MEMBERS and (_NUMBER.search(reason) or "of length" in reason):
        return "BAD_DECIMAL", path, f'{path} is a decimal: write it as a string, such as "187.20"'
    return "BAD_FIELD", path, f"{path}: {reason}"


class _Id(msgspec.Struct, frozen=True, gc=False):
    id: int


_json_id = msgspec.json.Decoder(_Id).decode
_msgpack_id = msgspec.msgpack.Decoder(_Id).decode


def recover_id(raw: bytes, *, msgpack: bool = False) -> int | None:
    """The request id of a frame that is an object but no valid request; None: there is nothing to answer to."""
    try:
        request_id = (_msgpack_id if msgpack else _json_id)(raw).id
    except DECODE_ERRORS:
        return None
    return request_id if 1 <= request_id < INT53_END else None
