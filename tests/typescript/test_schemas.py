from __future__ import annotations

from typing import Any

import pytest

from wampasgi.typescript.schemas import SchemaConverter, comment_of
from wampasgi.typescript.types import render

MODELS = {"Order": "Order", "a/b c": "abC"}


def type_of(schema: Any, warnings: list[str] | None = None) -> str:
    reported: list[str] = []
    text = render(SchemaConverter(MODELS, reported.append).convert(schema, "value"))
    if warnings is None:
        assert not reported
    else:
        warnings += reported
    return text


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "uuid", "minLength": 1}, "string"),
        ({"type": "string", "format": "binary"}, "string | Uint8Array"),
        ({"type": "integer"}, "number"),
        ({"type": "number"}, "number"),
        ({"type": "boolean"}, "boolean"),
        ({"type": "null"}, "null"),
        ({"type": ["string", "null"]}, "string | null"),
        (False, "never"),
        ({"const": "a"}, '"a"'),
        ({"const": None}, "null"),
        ({"enum": ["a", 2, 1.5, True, None], "type": "string"}, '"a" | 2 | 1.5 | true | null'),
        ({"const": [1, {"a": []}]}, "[1, { a: [] }]"),
    ],
)
def test_scalar(schema: Any, expected: str) -> None:
    assert type_of(schema) == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "array", "items": {"type": "string"}}, "string[]"),
        ({"items": {"type": ["string", "null"]}}, "(string | null)[]"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "null"}}}, "null[][]"),
        ({"type": "array", "items": False}, "[]"),
        ({"prefixItems": [{"type": "null"}], "minItems": 1, "maxItems": 1}, "[null]"),
        (
            {"prefixItems": [{"type": "null"}, {"type": "string"}], "minItems": 1, "items": False},
            "[null, string?]",
        ),
        ({"prefixItems": [{"type": ["null", "string"]}], "maxItems": 1}, "[(null | string)?]"),
        (
            {"prefixItems": [{"type": "null"}], "minItems": 1, "items": {"type": "string"}},
            "[null, ...string[]]",
        ),
        ({"prefixItems": [{"type": "null"}], "minItems": 1}, "[null, ...unknown[]]"),
        ({"prefixItems": []}, "unknown[]"),
    ],
)
def test_array(schema: Any, expected: str) -> None:
    assert type_of(schema) == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {"properties": {"a": {"type": "null"}, "b": {"type": "null"}}, "required": ["a"]},
            "{ a: null; b?: null }",
        ),
        ({"type": "object", "properties": {"a-b": {"type": "null"}}}, '{ "a-b"?: null }'),
        ({"type": "object"}, "{ [key: string]: unknown }"),
        ({"type": "object", "additionalProperties": True}, "{ [key: string]: unknown }"),
        ({"type": "object", "additionalProperties": False}, "Record<string, never>"),
        ({"additionalProperties": {"type": "null"}}, "{ [key: string]: null }"),
        (
            {
                "properties": {"a": {"type": "null"}},
                "required": ["a"],
                "additionalProperties": {"type": "string"},
            },
            "{ a: null; [key: string]: string | null }",
        ),
        (
            {"properties": {"a": {"type": "null"}}, "additionalProperties": {"type": "string"}},
            "{ a?: null; [key: string]: string | null | undefined }",
        ),
        (
            {"properties": {"a": {"type": "null"}}, "additionalProperties": True},
            "{ a?: null; [key: string]: unknown }",
        ),
        ({"patternProperties": {"^a": {"type": "null"}}}, "{ [key: string]: null }"),
        (
            {"propertyNames": {"enum": ["a", "b"]}, "additionalProperties": {"type": "null"}},
            '{ [K in "a" | "b"]?: null }',
        ),
        (
            {"propertyNames": {"maxLength": 3}, "additionalProperties": {"type": "null"}},
            "{ [key: string]: null }",
        ),
        ({"required": ["a"]}, "{ a: unknown }"),
    ],
)
def test_object(schema: Any, expected: str) -> None:
    assert type_of(schema) == expected


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"oneOf": [{"$ref": "#/$defs/Order"}, {"type": "string"}, {"type": "string"}]}, "Order | string"),
        (
            {"anyOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "integer"}]},
            "string | null | number",
        ),
        ({"allOf": [{"$ref": "#/$defs/Order"}]}, "Order"),
        (
            {"allOf": [{"$ref": "#/$defs/Order"}, {"properties": {"a": {"type": "null"}}}]},
            "Order & { a?: null }",
        ),
        (
            {"allOf": [{"anyOf": [{"type": "string"}, {"type": "null"}]}, {"$ref": "#/$defs/Order"}]},
            "(string | null) & Order",
        ),
        ({"$ref": "#/$defs/Order", "description": "An order", "default": None}, "Order"),
        ({"$ref": "#/$defs/a~1b%20c"}, "abC"),
    ],
)
def test_combination(schema: Any, expected: str) -> None:
    assert type_of(schema) == expected


@pytest.mark.parametrize(
    ("schema", "warning"),
    [
        ({}, "value: it accepts any value, so the type is unknown"),
        ({"title": "Anything", "default": 1}, "value: it accepts any value, so the type is unknown"),
        (True, "value: it accepts any value, so the type is unknown"),
        ({"x-python-type": "app.Clock"}, "value: app.Clock has no JSON Schema, so the type is unknown"),
        (
            {"$ref": "#/$defs/Missing"},
            "value: the schema '#/$defs/Missing' does not exist, so the type is unknown",
        ),
    ],
)
def test_value_without_a_type_is_unknown_with_a_warning(schema: Any, warning: str) -> None:
    warnings: list[str] = []

    assert type_of(schema, warnings) == "unknown"
    assert warnings == [warning]


def test_warning_names_the_property() -> None:
    warnings: list[str] = []
    nested: dict[str, Any] = {"properties": {"a": {"items": {"properties": {"b": {}}}}}}

    assert type_of(nested, warnings) == "{ a?: { b?: unknown }[] }"
    assert warnings == ["value.a.b: it accepts any value, so the type is unknown"]


def test_comment_has_what_the_type_does_not_say() -> None:
    schema = {
        "description": " Text\nmore ",
        "format": "date",
        "default": "DE",
        "deprecated": True,
        "title": "X",
    }

    assert comment_of(schema) == ("Text", "more", "@format date", '@default "DE"', "@deprecated")


@pytest.mark.parametrize("schema", [True, {"default": None}, {"default": "x" * 80}, {"deprecated": False}])
def test_comment_is_empty_if_there_is_nothing_to_say(schema: Any) -> None:
    assert comment_of(schema) == ()
