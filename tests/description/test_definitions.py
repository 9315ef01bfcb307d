from __future__ import annotations

import math
from typing import Any

import pytest

from wampasgi import InvalidArgument
from wampasgi.description import (
    Definition,
    ErrorDescription,
    Interface,
    PayloadDescription,
    ProcedureDescription,
    check_definition,
    with_definitions,
)

REF = {"$ref": "#/$defs/Order"}
EMPTY = Interface(realm="default", definitions={})


def payload(schema: Any) -> dict[str, Any]:
    return {"args": {"type": "array", "prefixItems": [schema]}, "kwargs": None}


WHOLE: dict[str, Any] = {
    "summary": "Open the till",
    "description": "It makes a *sound*.",
    "tags": ["till"],
    "deprecated": True,
    "parameters": [
        {"name": "order", "kind": "keyword_only", "required": False, "schema": REF, "aliases": ["o"]},
        {"name": "rest", "kind": "rest"},
    ],
    "result": payload(REF),
    "progressive": True,
    "progress": {"args": {"type": "array"}},
    "errors": [{"uri": "com.till.jammed", "description": "Hit it.", "payload": payload(REF)}],
    "examples": [{"summary": "One", "args": [1], "kwargs": {"order": {"$ref": "a value"}}}],
    "$defs": {"Order": {"type": "object", "properties": {"parent": REF}}},
}


def errors_of(definition: Any) -> list[dict[str, Any]]:
    with pytest.raises(InvalidArgument) as refused:
        check_definition(definition)
    assert refused.value.uri == "wamp.error.invalid_argument"
    errors: list[dict[str, Any]] = refused.value.kwargs["errors"]
    assert all(error["argument"] == "definition" for error in errors)
    assert all(isinstance(error["type"], str) for error in errors)
    return errors


# The check


def test_empty_and_whole_definitions_are_valid() -> None:
    check_definition({})
    check_definition(WHOLE)


@pytest.mark.parametrize(
    ("definition", "path"),
    [
        ({"uri": "com.till"}, ["uri"]),
        ({"summary": 1}, ["summary"]),
        ({"description": ["text"]}, ["description"]),
        ({"tags": "till"}, ["tags"]),
        ({"tags": ["till", ""]}, ["tags", 1]),
        ({"tags": ["t" * 201]}, ["tags", 0]),
        ({"deprecated": 1}, ["deprecated"]),
        ({"parameters": {}}, ["parameters"]),
        ({"parameters": [{}]}, ["parameters", 0, "name"]),
        ({"parameters": [{"name": "a", "kind": "keyword"}]}, ["parameters", 0, "kind"]),
        ({"parameters": [{"name": "a"}, {"name": "b", "schema": True}]}, ["parameters", 1, "schema"]),
        ({"parameters": [{"name": "a", "aliases": [1]}]}, ["parameters", 0, "aliases", 0]),
        ({"result": {}}, ["result", "args"]),
        ({"result": {"args": {}, "kwargs": []}}, ["result", "kwargs"]),
        ({"progress": {"args": {}, "more": 1}}, ["progress", "more"]),
        ({"progressive": None}, ["progressive"]),
        ({"errors": ["com.till.jammed"]}, ["errors", 0]),
        ({"errors": [{"uri": "not a URI"}]}, ["errors", 0, "uri"]),
        ({"errors": [{"uri": "com.a", "payload": {"args": 1}}]}, ["errors", 0, "payload", "args"]),
        ({"examples": [{"args": {}}]}, ["examples", 0, "args"]),
        ({"examples": [{"kwargs": []}]}, ["examples", 0, "kwargs"]),
        ({"$defs": {"Order": []}}, ["$defs", "Order"]),
    ],
)
def test_error_names_the_path_of_the_mistake(definition: Any, path: list[Any]) -> None:
    [error] = errors_of(definition)
    assert error["path"] == path


def test_message_names_the_first_mistake() -> None:
    with pytest.raises(InvalidArgument, match=r"argument 'definition'\['tags'\]\[0\]: "):
        check_definition({"tags": [1, 2]})


def test_name_of_a_definition_needs_no_escapes() -> None:
    [error] = errors_of({"$defs": {"a/b": {}}})
    assert error["path"][:2] == ["$defs", "a/b"]


def test_at_most_ten_mistakes_are_reported_and_their_keys_are_cut() -> None:
    errors = errors_of({"k" * 1000 + str(number): 1 for number in range(20)})
    assert len(errors) == 10
    assert all(len(error["path"][0]) == 103 for error in errors)


@pytest.mark.parametrize(
    "ref", ["#/$defs/Missing", "#/$defs/Order/properties/parent", "#", "https://example.com/a"]
)
def test_schema_refers_only_to_definitions(ref: str) -> None:
    [error] = errors_of({**WHOLE, "result": payload({"$ref": ref})})
    assert error["reason"] == f"a schema refers to {ref.removeprefix('#/$defs/')!r}, which is not in $defs"


def test_definitions_refer_only_to_definitions() -> None:
    [error] = errors_of({"$defs": {"A": {"$ref": "#/$defs/B"}}})
    assert "'B'" in error["reason"]


@pytest.mark.parametrize("value", [math.nan, math.inf, 2**64, b"bytes", "\0binary", {"\0": 1}, {1: 2}])
def test_value_that_json_lacks_is_refused(value: Any) -> None:
    errors_of({"examples": [{"args": [[value]]}]})


def nested(levels: int) -> dict[str, Any]:
    """Return a definition with this number of levels of lists and dicts."""
    schema: dict[str, Any] = {}
    for _ in range(levels - 3):
        schema = {"items": schema}
    return {"result": {"args": schema}}


def test_definition_is_not_nested_deeper_than_descriptions_can_be() -> None:
    check_definition(nested(100))
    [error] = errors_of(nested(101))
    assert error["reason"] == "it has more than 100 levels of lists and dicts"


# Definitions


def test_definition_is_a_description_of_a_clients_procedure() -> None:
    found = Definition("prefix", "com.till.", WHOLE).procedure
    assert (found.uri, found.match, found.provider) == ("com.till.", "prefix", "client")
    assert (found.summary, found.description) == ("Open the till", "It makes a *sound*.")
    assert (found.tags, found.deprecated, found.errors) == (("till",), True, ("com.till.jammed",))
    assert (found.result, found.progressive) == (PayloadDescription(WHOLE["result"]["args"]), True)
    assert found.progress == PayloadDescription({"type": "array"})
    assert found.parameters is not None
    [order, rest] = found.parameters
    assert (order.name, order.kind, order.required, order.aliases) == ("order", "keyword_only", False, ("o",))
    assert (rest.kind, rest.required, rest.schema) == ("rest", True, {})
    [example] = found.examples
    assert (example.summary, example.args) == ("One", [1])


def test_procedure_without_a_definition_is_described_by_its_uri() -> None:
    found = with_definitions(EMPTY, [Definition("exact", "com.till", {})])
    assert found.procedures == (ProcedureDescription(uri="com.till", match="exact", provider="client"),)
    assert (found.errors, found.definitions) == ((), {})


def test_definition_adds_its_errors_and_schemas() -> None:
    found = with_definitions(EMPTY, [Definition("exact", "com.till", WHOLE)])
    assert found.definitions == WHOLE["$defs"]
    [error] = found.errors
    assert error == ErrorDescription(
        uri="com.till.jammed", description="Hit it.", payload=PayloadDescription(WHOLE["result"]["args"])
    )


def test_error_of_the_realm_takes_precedence() -> None:
    own = ErrorDescription(uri="com.till.jammed", description="The realm's")
    interface = Interface(realm="default", errors=(own,), definitions={})
    assert with_definitions(interface, [Definition("exact", "com.till", WHOLE)]).errors == (own,)


def test_procedures_of_the_realm_come_first() -> None:
    own = ProcedureDescription(uri="com.own", match="exact", provider="realm")
    interface = Interface(realm="default", procedures=(own,), definitions={})
    found = with_definitions(interface, [Definition("exact", "com.till", {})])
    assert [entry.uri for entry in found.procedures] == ["com.own", "com.till"]


def of_order(order: Any, **more: Any) -> dict[str, Any]:
    """Return a definition that uses this schema as its ``Order`` everywhere."""
    return {**WHOLE, "$defs": {"Order": order, **more}}


def test_equal_schemas_share_a_name() -> None:
    schema = {"type": "object"}
    found = with_definitions(
        Interface(realm="default", definitions={"Order": schema}),
        [Definition("exact", "com.a", of_order(schema)), Definition("exact", "com.b", of_order(schema))],
    )
    assert found.definitions == {"Order": schema}


def test_schema_of_the_realm_keeps_its_name() -> None:
    own, other = {"type": "object"}, {"type": "array", "items": REF}
    found = with_definitions(
        Interface(realm="default", definitions={"Order": own}),
        [Definition("exact", "com.till", {**of_order(other), "progress": payload(REF)})],
    )
    renamed = {"$ref": "#/$defs/com.till.Order"}
    assert found.definitions == {"Order": own, "com.till.Order": {"type": "array", "items": renamed}}
    [procedure] = found.procedures
    assert procedure.parameters is not None
    assert procedure.parameters[0].schema == renamed
    assert procedure.parameters[1].schema == {}
    for part in (procedure.result, procedure.progress, found.errors[0].payload):
        assert part is not None
        assert part.args["prefixItems"] == [renamed]
    # Examples are values, not schemas.
    assert procedure.examples[0].kwargs == {"order": {"$ref": "a value"}}


def test_equal_schemas_that_refer_to_different_ones_do_not_share_a_name() -> None:
    order = {"items": {"$ref": "#/$defs/Line"}}
    found = with_definitions(
        EMPTY,
        [
            Definition("exact", "com.a", of_order(order, Line={"type": "string"})),
            Definition("exact", "com.b", of_order(order, Line={"type": "number"})),
        ],
    )
    [_, second] = found.procedures
    assert second.result is not None
    assert second.result.args["prefixItems"] == [{"$ref": "#/$defs/com.b.Order"}]
    assert found.definitions["com.b.Order"] == {"items": {"$ref": "#/$defs/com.b.Line"}}
    assert found.definitions["com.b.Line"] == {"type": "number"}
    assert found.definitions["Line"] == {"type": "string"}


def test_names_stay_unique_if_procedures_have_the_same_uri() -> None:
    matches: Any = ("exact", "prefix", "wildcard")
    found = with_definitions(
        Interface(realm="default", definitions={"Order": {"const": "realm"}}),
        [Definition(match, "com/till~x", of_order({"const": match})) for match in matches],
    )
    names = [entry.result.args["prefixItems"][0]["$ref"] for entry in found.procedures if entry.result]
    assert names == [
        "#/$defs/com_till_x.Order",
        "#/$defs/com_till_x.Order.2",
        "#/$defs/com_till_x.Order.3",
    ]
    constants = [found.definitions[name.removeprefix("#/$defs/")] for name in names]
    assert constants == [{"const": match} for match in matches]


def test_new_names_of_one_definition_are_unique() -> None:
    found = with_definitions(
        Interface(realm="default", definitions={"Order": {"const": 1}, "com.till.Order": {"const": 2}}),
        [Definition("exact", "com.till", of_order({"const": 3}, **{"Order.2": {"const": 4}}))],
    )
    assert found.definitions == {
        "Order": {"const": 1},
        "com.till.Order": {"const": 2},
        "com.till.Order.2": {"const": 3},
        "com.till.Order.2.2": {"const": 4},
    }


def test_discriminator_refers_to_renamed_schemas() -> None:
    union = {
        "oneOf": [{"$ref": "#/$defs/Cat"}],
        "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat"}},
        "properties": {"mapping": {"items": {"$ref": "#/$defs/Cat"}}},
    }
    found = with_definitions(
        Interface(realm="default", definitions={"Order": {}}),
        [Definition("exact", "com.till", of_order(union, Cat={"type": "object"}))],
    )
    renamed = found.definitions["com.till.Order"]
    assert renamed["discriminator"] == {"propertyName": "kind", "mapping": {"cat": "#/$defs/com.till.Cat"}}
    assert renamed["oneOf"] == [{"$ref": "#/$defs/com.till.Cat"}]
    assert renamed["properties"]["mapping"]["items"] == {"$ref": "#/$defs/com.till.Cat"}
