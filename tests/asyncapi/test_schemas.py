from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator

from wampasgi.asyncapi.schemas import SchemaComponents

MODELS = {"Cat": {"type": "object"}, "A/B~C D": {"type": "string"}}


def convert(schema: Any) -> Any:
    return SchemaComponents({"r": MODELS}).convert("r", schema)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("#/$defs/Cat", "#/components/schemas/Cat"),
        ("#/$defs/Cat/properties/name", "#/components/schemas/Cat/properties/name"),
        ("#/$defs/A~1B~0C%20D", "#/components/schemas/A_B_C_D"),
    ],
)
def test_reference_to_a_definition_becomes_one_to_a_component(reference: str, expected: str) -> None:
    assert convert({"items": {"$ref": reference}}) == {"items": {"$ref": expected}}


@pytest.mark.parametrize("reference", ["#/$defs/Dog", "#", "https://example.com/schema", "Cat", 1])
def test_reference_without_a_target_allows_any_value(reference: Any) -> None:
    assert convert({"$ref": reference, "title": "Pet"}) == {"title": "Pet"}


def test_keywords_beside_a_reference_are_kept() -> None:
    schema = {"$ref": "#/$defs/Cat", "default": None, "allOf": [{"minProperties": 1}]}

    assert convert(schema) == {
        "allOf": [{"$ref": "#/components/schemas/Cat"}, {"minProperties": 1}],
        "default": None,
    }


@pytest.mark.parametrize(
    ("schema", "valid", "invalid"),
    [
        ({"prefixItems": [{"type": "string"}], "items": False}, [["a"]], [[1], ["a", 1]]),
        (
            {"prefixItems": [{"type": "string"}], "items": {"type": "integer"}},
            [["a"], ["a", 1]],
            [["a", "b"]],
        ),
        ({"prefixItems": [{"prefixItems": [{"const": 1}]}]}, [[[1]], [[1], 2]], [[[2]]]),
        ({"prefixItems": [], "items": {"type": "integer"}}, [[], [1]], [["a"]]),
        ({"dependentRequired": {"a": ["b"]}}, [{"a": 1, "b": 2}, {"b": 1}], [{"a": 1}]),
        (
            {"dependentSchemas": {"a": {"properties": {"b": {"prefixItems": [{"const": 1}]}}}}},
            [{"a": 1, "b": [1]}, {"b": [2]}],
            [{"a": 1, "b": [2]}],
        ),
        (
            {"if": {"type": "object"}, "then": {"prefixItems": []}, "else": {"not": {"const": 1}}},
            [{}, 2],
            [1],
        ),
    ],
)
def test_converted_schema_accepts_the_same_values(schema: Any, valid: list[Any], invalid: list[Any]) -> None:
    converted = convert(schema)

    for value in valid + invalid:
        assert Draft202012Validator(schema).is_valid(value) == (value in valid)
        assert Draft7Validator(converted).is_valid(value) == (value in valid)


def test_data_that_looks_like_a_schema_is_not_changed() -> None:
    data = {"$ref": "#/$defs/Cat", "prefixItems": [1]}
    schema = {"default": data, "const": data, "enum": [data], "examples": [data]}

    assert convert(schema) == schema


def test_properties_with_the_names_of_keywords_are_converted_as_schemas() -> None:
    cat, component = {"$ref": "#/$defs/Cat"}, {"$ref": "#/components/schemas/Cat"}

    assert convert({"properties": {"$ref": cat, "default": cat, "prefixItems": cat}}) == {
        "properties": dict.fromkeys(("$ref", "default", "prefixItems"), component)
    }


def test_discriminator_is_an_extension() -> None:
    discriminator = {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}}

    assert convert({"oneOf": [{"$ref": "#/$defs/Cat"}], "discriminator": discriminator}) == {
        "oneOf": [{"$ref": "#/components/schemas/Cat"}],
        "x-discriminator": {"propertyName": "kind", "mapping": {"cat": "#/components/schemas/Cat"}},
    }


def test_identifiers_that_would_change_the_base_of_references_are_omitted() -> None:
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:x", "type": "string"}

    assert convert(schema) == {"type": "string"}


def test_boolean_schemas_are_kept() -> None:
    assert convert(True) is True
    assert convert({"not": False, "anyOf": [True]}) == {"not": False, "anyOf": [True]}


def test_recursive_models_of_equal_content_are_one_component() -> None:
    tree = {"Tree": {"properties": {"children": {"items": {"$ref": "#/$defs/Tree"}}}}}
    components = SchemaComponents({"a": tree, "b": tree})

    assert components.to_dict() == {
        "Tree": {"properties": {"children": {"items": {"$ref": "#/components/schemas/Tree"}}}}
    }


def test_chains_of_models_that_differ_at_their_end_are_different_components() -> None:
    def chain(end: str) -> Any:
        links = {f"M{n}": {"properties": {"next": {"$ref": f"#/$defs/M{n + 1}"}}} for n in range(4)}
        return {**links, "M4": {"type": end}, "Other": {}}

    components = SchemaComponents({"a": chain("string"), "b": chain("integer"), "c": chain("string")})

    names = [f"{realm}.M{n}" for realm in "ab" for n in range(5)]
    assert list(components.to_dict()) == ["Other", *names]
    assert components.convert("c", {"$ref": "#/$defs/M0"}) == {"$ref": "#/components/schemas/a.M0"}


def test_component_with_the_key_that_another_one_gets_by_its_prefix_has_the_prefix_too() -> None:
    components = SchemaComponents({"a": {"M": True, "a.M": True}, "b": {"M": False}})

    assert sorted(components.to_dict()) == ["a.M", "a.a.M", "b.M"]
