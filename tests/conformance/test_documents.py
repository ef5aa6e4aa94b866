"""The checked-in API documents: generated, valid against the meta-schemas, complete."""

import copy
import json
from pathlib import Path

import jsonschema
import pytest
from openapi_spec_validator import validate as validate_openapi

from gateway.contracts import asyncapi, openapi
from gateway.contracts.export import ROOT, generated

META = json.loads((Path(__file__).parent / "schemas" / "asyncapi-3.0.0.json").read_text())


@pytest.mark.parametrize("name", sorted(generated()))
def test_checked_in_file_equals_generated(name: str) -> None:
    assert (ROOT / name).read_bytes() == generated()[name], "run: python -m gateway.contracts.export"


def test_asyncapi_document_is_valid() -> None:
    jsonschema.Draft7Validator(META).validate(asyncapi.document())


def test_asyncapi_meta_schema_notices_a_broken_document() -> None:
    document = copy.deepcopy(asyncapi.document())
    document["operations"]["place"]["action"] = "shout"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(META).validate(document)


def test_openapi_document_is_valid() -> None:
    validate_openapi(openapi.document())


@pytest.mark.parametrize("document", [asyncapi.document(), openapi.document()], ids=["asyncapi", "openapi"])
def test_every_reference_resolves(document: dict[str, object]) -> None:
    def walk(node: object) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                target: object = document
                for step in node["$ref"].removeprefix("#/").split("/"):
                    assert isinstance(target, dict)
                    assert step in target, node["$ref"]
                    target = target[step]
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)


def test_each_component_schema_is_valid_json_schema() -> None:
    for schema in asyncapi.document()["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft7Validator.check_schema(schema)


def test_a_reply_is_told_from_the_other_replies_by_t() -> None:
    document = asyncapi.document()
    for name, operation in document["operations"].items():
        replies = [ref["$ref"].rpartition("/")[2] for ref in operation.get("reply", {}).get("messages", [])]
        marks = [document["components"]["messages"][reply]["name"] for reply in replies]
        assert len(set(marks)) == len(marks), name
