"""Writes the checked-in documents and the SDK's wire models: ``python -m gateway.contracts.export``."""

import sys
from pathlib import Path

from gateway.contracts.asyncapi import asyncapi_json
from gateway.contracts.openapi import openapi_json
from gateway.contracts.sdk_wire import sdk_wire_sources

ROOT = Path(__file__).resolve().parents[2]


def generated() -> dict[str, bytes]:
    """Each checked-in file, relative to the project's root, and what it must hold."""
    return {
        "docs/api/asyncapi.json": asyncapi_json(),
        "docs/api/openapi.json": openapi_json(),
        **{f"sdk/src/backstay/_wire/{name}": text.encode() for name, text in sdk_wire_sources().items()},
    }


def main() -> int:
    for name, content in generated().items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return 0


if __name__ == "__main__":
    sys.exit(main())
