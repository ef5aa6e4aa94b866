"""Holds live HTTP answers against the checked-in OpenAPI document, with a separate validator."""

import json
from pathlib import Path
from typing import Any

import jsonschema

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "api" / "openapi.json"


class RestCheck:
    """Call it with what was asked and what came back. Unknown members are forbidden."""

    def __init__(self) -> None:
        self.document: dict[str, Any] = json.loads(DOCUMENT.read_text())
        for schema in self.document["components"]["schemas"].values():
            _forbid_unknown(schema)
        self.seen: set[tuple[str, str]] = set()

    def __call__(self, method: str, path: str, status: int, body: Any) -> None:
        """AssertionError unless the document has this answer to this call."""
        template = self._template(path.partition("?")[0])
        responses = self.document["paths"][template][method.lower()]["responses"]
        response = responses.get(str(status), responses.get("default"))
        assert response is not None, f"{method} {template}: no answer {status}"
        if "$ref" in response:
            response = self.document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        schema = {**response["content"]["application/json"]["schema"], "components": self.document["components"]}
        error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(body))
        assert error is None, f"{method} {template} {status} {error.json_path}: {error.message}: {body}"
        self.seen.add((method.lower(), template))

    def _template(self, path: str) -> str:
        parts = path.split("/")
        for template in self.document["paths"]:
            wanted = template.split("/")
            if len(wanted) == len(parts) and all(
                want == part or want.startswith("{") for want, part in zip(wanted, parts, strict=True)
            ):
                return str(template)
        raise AssertionError(f"no path for {path}")


def _forbid_unknown(schema: Any) -> None:
    """Close every object of a schema."""
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            _forbid_unknown(part)
    elif isinstance(schema, list):
        for part in schema:
            _forbid_unknown(part)
