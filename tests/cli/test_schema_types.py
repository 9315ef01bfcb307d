from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from wampasgi.cli.schema_types import ALL, accepted_types, is_binary, json_type

DEFINITIONS = {
    "Text": {"type": "string"},
    "Tree": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/Tree"}]},
    "Data": {"anyOf": [{"type": "string", "format": "binary"}, {"type": "null"}]},
}


@pytest.mark.parametrize(
    ("schema", "types"),
    [
        ({}, ALL),
        (True, ALL),
        (False, frozenset()),
        ({"type": "string"}, {"string"}),
        ({"type": "number"}, {"number", "integer"}),
        ({"type": ["null", "string"]}, {"null", "string"}),
        ({"anyOf": [{"type": "null"}, {"type": "array"}]}, {"null", "array"}),
        ({"oneOf": [{"type": "null"}, {"$ref": "#/$defs/Text"}]}, {"null", "string"}),
        ({"allOf": [{"$ref": "#/$defs/Text"}], "description": "x"}, {"string"}),
        ({"type": ["null", "string"], "$ref": "#/$defs/Text"}, {"string"}),
        ({"const": 1}, {"integer"}),
        ({"enum": ["a", None, True, 1.5]}, {"string", "null", "boolean", "number"}),
        ({"$ref": "#/$defs/Missing"}, ALL),
    ],
)
def test_types_of_a_schema(schema: Any, types: set[str]) -> None:
    assert accepted_types(schema, DEFINITIONS) == types


def test_schema_that_refers_to_itself_ends() -> None:
    assert "null" in accepted_types({"$ref": "#/$defs/Tree"}, DEFINITIONS)
    assert not is_binary({"$ref": "#/$defs/Tree"}, DEFINITIONS)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string", "format": "binary"}, True),
        ({"$ref": "#/$defs/Data"}, True),
        ({"allOf": [{"$ref": "#/$defs/Data"}]}, True),
        ({"type": "string"}, False),
        (True, False),
    ],
)
def test_schema_of_bytes_is_known(schema: Any, expected: bool) -> None:
    assert is_binary(schema, DEFINITIONS) is expected


TYPES = st.sampled_from(sorted(ALL))
SCHEMAS = st.recursive(
    st.one_of(
        st.just({}),
        TYPES.map(lambda name: {"type": name}),
        st.lists(TYPES, min_size=1, max_size=3, unique=True).map(lambda names: {"type": names}),
        st.sampled_from([None, True, 1, 1.5, "a", [1], {"a": 1}]).map(lambda value: {"const": value}),
    ),
    lambda inner: st.tuples(
        st.sampled_from(["anyOf", "oneOf", "allOf"]), st.lists(inner, min_size=1, max_size=3)
    ).map(lambda pair: {pair[0]: pair[1]}),
    max_leaves=6,
)
VALUES = st.sampled_from([None, True, 0, 1, -1.5, "", "a", [], [1], {}, {"a": 1}])


@given(SCHEMAS, VALUES)
def test_type_of_each_valid_value_is_accepted(schema: Any, value: Any) -> None:
    if Draft202012Validator(schema).is_valid(value):
        assert json_type(value) in accepted_types(schema, {})
