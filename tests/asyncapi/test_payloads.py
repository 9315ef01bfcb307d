from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.asyncapi.descriptions import parameter, payload
from wampasgi.asyncapi.payloads import any_payload, arguments_payload, described_payload
from wampasgi.asyncapi.schemas import SchemaComponents

INTEGER = {"type": "integer"}
TEXT = {"type": "string"}


def convert(schema: Any) -> Any:
    return SchemaComponents({"r": {}}).convert("r", schema)


def is_valid(schema: Any, *args: Any, **kwargs: Any) -> bool:
    """Return the answer for a payload, which must be the same if an empty list of arguments is absent."""
    Draft7Validator.check_schema(schema)
    sent = {"args": list(args)} | ({"kwargs": kwargs} if kwargs else {})
    answer = Draft7Validator(schema).is_valid(sent)
    if not args:
        del sent["args"]
        assert Draft7Validator(schema).is_valid(sent) == answer
    return answer


def test_required_parameter_is_sent_by_position_or_by_name() -> None:
    schema = arguments_payload([parameter("a", INTEGER), parameter("b", TEXT)], convert)

    assert is_valid(schema, 1, "x")
    assert is_valid(schema, 1, b="x")
    assert is_valid(schema, a=1, b="x")
    assert not is_valid(schema)
    assert not is_valid(schema, 1)
    assert not is_valid(schema, b="x")
    assert not is_valid(schema, "x", "x")
    assert not is_valid(schema, 1, b=2)


def test_surplus_arguments_are_invalid() -> None:
    schema = arguments_payload([parameter("a", INTEGER)], convert)

    assert not is_valid(schema, 1, 2)
    assert not is_valid(schema, 1, c=2)


def test_optional_parameter_may_be_absent() -> None:
    schema = arguments_payload([parameter("a", INTEGER, required=False)], convert)

    assert "allOf" not in schema
    assert is_valid(schema)
    assert is_valid(schema, 1)
    assert not is_valid(schema, None)


def test_positional_only_parameter_is_not_sent_by_name() -> None:
    schema = arguments_payload([parameter("a", INTEGER, kind="positional_only")], convert)

    assert schema["required"] == ["args"]
    assert is_valid(schema, 1)
    assert not is_valid(schema, a=1)


def test_keyword_only_parameter_is_not_sent_by_position() -> None:
    schema = arguments_payload([parameter("a", INTEGER, kind="keyword_only")], convert)

    assert schema["required"] == ["kwargs"]
    assert is_valid(schema, a=1)
    assert not is_valid(schema, 1)
    assert not is_valid(schema)


@pytest.mark.parametrize("kind", ["positional_or_keyword", "keyword_only"])
def test_required_parameter_may_be_sent_by_an_alias(kind: str) -> None:
    schema = arguments_payload([parameter("a", INTEGER, kind=kind, aliases=["A", "first"])], convert)

    assert is_valid(schema, A=1)
    assert is_valid(schema, first=1)
    assert not is_valid(schema, first="x")
    assert not is_valid(schema, other=1)
    assert not is_valid(schema)


def test_remaining_arguments_have_the_schemas_of_their_parameters() -> None:
    parameters = [
        parameter("a", TEXT),
        parameter("more", INTEGER, kind="rest"),
        parameter("options", INTEGER, kind="keyword_rest"),
    ]
    schema = arguments_payload(parameters, convert)

    assert is_valid(schema, "x", 1, 2, c=3)
    assert not is_valid(schema, "x", "y")
    assert not is_valid(schema, "x", c="y")


def test_procedure_without_parameters_takes_no_arguments() -> None:
    schema = arguments_payload([], convert)

    assert is_valid(schema)
    assert not is_valid(schema, 1)
    assert not is_valid(schema, a=1)


@pytest.mark.parametrize("schema", [arguments_payload(None, convert), described_payload(None, convert)])
def test_undescribed_payload_may_be_anything(schema: Any) -> None:
    assert schema == any_payload()
    assert is_valid(schema)
    assert is_valid(schema, 1, "x", a=None)


def test_result_has_the_described_values() -> None:
    schema = described_payload(payload(INTEGER, TEXT), convert)

    assert is_valid(schema, 1, "x")
    assert not is_valid(schema, 1)
    assert not is_valid(schema, 1, "x", 2)
    assert not is_valid(schema, 1, "x", a=2)


def test_result_without_values_is_empty() -> None:
    schema = described_payload(payload(), convert)

    assert is_valid(schema)
    assert not is_valid(schema, None)


def test_result_of_any_length_has_the_schema_of_its_items() -> None:
    args = {"type": "array", "prefixItems": [], "minItems": 0, "items": INTEGER}
    schema = described_payload({"args": args, "kwargs": None}, convert)

    assert is_valid(schema)
    assert is_valid(schema, 1, 2, 3)
    assert not is_valid(schema, 1, "x")


@pytest.mark.parametrize("items", [{}, True])
def test_items_that_may_be_anything_are_not_described(items: Any) -> None:
    args = {"type": "array", "prefixItems": [], "minItems": 0, "items": items}
    schema = described_payload({"args": args, "kwargs": None}, convert)

    assert schema["properties"]["args"] == {"type": "array"}


def test_keyword_values_of_an_error_are_required() -> None:
    kwargs = {"type": "object", "properties": {"sku": TEXT}, "required": ["sku"]}
    schema = described_payload(payload(kwargs=kwargs), convert)

    assert is_valid(schema, sku="cup")
    assert not is_valid(schema)
    assert not is_valid(schema, sku=1)
