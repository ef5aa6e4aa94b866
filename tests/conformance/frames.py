"""Holds any recorded frame against the checked-in AsyncAPI document, with a validator that is not the server's decoder.

As a tap: ``check = FrameCheck()``, then ``check("in", raw)`` for what a client sent, ``check("out", raw)`` for
what the server sent, or ``backstay.Gateway(..., tap=check)``.
Unknown members are forbidden in both directions here, although clients must ignore them.
"""

import json
from pathlib import Path
from typing import Any

import jsonschema
import msgspec

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "api" / "asyncapi.json"


class FrameMismatchError(AssertionError):
    """A frame that the document does not allow."""


class FrameCheck:
    """Validators by direction and ``t``; ``seen`` and ``codes_seen`` say which messages and codes the traffic had."""

    def __init__(self, document: Path = DOCUMENT) -> None:
        contract = json.loads(document.read_text())
        schemas = contract["components"]["schemas"]
        for schema in schemas.values():
            _forbid_unknown(schema)
        requests = {_target(ref) for op in _operations(contract, "receive") for ref in op["messages"]}
        self.known: dict[tuple[str, str], str] = {}
        self._validators: dict[tuple[str, str], jsonschema.Draft202012Validator] = {}
        for struct_name, message in contract["components"]["messages"].items():
            direction = "in" if struct_name in requests else "out"
            key = (direction, message["name"])
            root = {"$ref": message["payload"]["$ref"], "components": {"schemas": schemas}}
            self.known[key] = struct_name
            self._validators[key] = jsonschema.Draft202012Validator(root)
        self.error_codes: set[str] = set(contract["x-error-codes"])
        self.seen: set[tuple[str, str]] = set()
        self.codes_seen: set[str] = set()

    def __call__(self, direction: str, raw: bytes, *, msgpack: bool = False) -> None:
        """Raise FrameMismatchError unless ``raw`` is one message that may go ``in`` or ``out``."""
        frame = msgspec.msgpack.decode(raw) if msgpack else json.loads(raw, object_pairs_hook=_no_duplicates)
        if not isinstance(frame, dict):
            raise FrameMismatchError(f"{direction}: not an object: {raw[:200]!r}")
        key = (direction, str(frame.get("t")))
        validator = self._validators.get(key)
        if validator is None:
            raise FrameMismatchError(f"{direction}: no message {key[1]!r}: {raw[:200]!r}")
        error = jsonschema.exceptions.best_match(validator.iter_errors(frame))
        if error is not None:
            raise FrameMismatchError(f"{direction} {key[1]} {error.json_path}: {error.message}: {raw[:400]!r}")
        self._note(key, frame)

    def _note(self, key: tuple[str, str], frame: dict[str, Any]) -> None:
        self.seen.add(key)
        code = frame.get("code")
        if code is not None:
            if not code.startswith("RC_") and code not in self.error_codes:
                raise FrameMismatchError(f"{key[1]}: code {code} is not in the document")
            self.codes_seen.add(code)


def _operations(contract: dict[str, Any], action: str) -> list[dict[str, Any]]:
    return [operation for operation in contract["operations"].values() if operation["action"] == action]


def _target(ref: dict[str, str]) -> str:
    return ref["$ref"].rpartition("/")[2]


def _forbid_unknown(schema: Any) -> None:
    if isinstance(schema, dict):
        if "properties" in schema:
            schema["additionalProperties"] = False
        for value in schema.values():
            _forbid_unknown(value)
    elif isinstance(schema, list):
        for value in schema:
            _forbid_unknown(value)


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise FrameMismatchError(f"a member occurs twice: {[name for name, _ in pairs]}")
    return members
