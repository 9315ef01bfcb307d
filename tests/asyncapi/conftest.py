from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.npm_packages import install_packages
from wampasgi.asyncapi import ASYNCAPI_VERSIONS

Check = Callable[[Any], None]


@pytest.fixture(scope="session")
def validators(request: pytest.FixtureRequest) -> dict[str, Draft7Validator]:
    """The schemas that the AsyncAPI initiative publishes, by version of the specification."""
    manifest = Path(__file__).with_name("package.json")
    folder = install_packages(request, manifest, purpose="schemas of AsyncAPI")
    schemas = folder / "node_modules" / "@asyncapi" / "specs" / "schemas"
    return {
        version: Draft7Validator(json.loads((schemas / f"{version}.json").read_text(encoding="utf-8")))
        for version in ASYNCAPI_VERSIONS
    }


@pytest.fixture
def check_document(validators: dict[str, Draft7Validator]) -> Check:
    """A function that fails if a document violates the official schema or one of its references is wrong."""

    def check(document: Any) -> None:
        errors = validators[document["asyncapi"]].iter_errors(document)
        assert [f"{error.json_path}: {error.message}" for error in errors] == []
        for reference in references(document):
            assert resolve(document, reference) is not None, reference
        for operation in document["operations"].values():
            check_operation(operation)

    return check


def check_operation(operation: Any) -> None:
    """Check that the messages of an operation and of its reply are messages of their channels."""
    for part in filter(None, (operation, operation.get("reply"))):
        for message in part["messages"]:
            assert message["$ref"].startswith(f"{part['channel']['$ref']}/messages/")


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [reference for item in value for reference in references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [reference for item in value.values() for reference in references(item)]


def resolve(document: Any, reference: str) -> Any:
    """Return the target of a reference. Raises KeyError if it does not exist."""
    start, *parts = reference.split("/")
    assert start == "#"
    for part in parts:
        document = document[part]
    return document
