from __future__ import annotations

import json
from typing import Any

from wampasgi.description.interface import (
    ErrorDescription,
    ExampleDescription,
    Interface,
    ParameterDescription,
    PayloadDescription,
    ProcedureDescription,
    TopicDescription,
    foreign_references,
    references,
)


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def parameter(name: str) -> ParameterDescription:
    return ParameterDescription("value", "positional_only", required=True, schema=ref(name))


def payload(name: str) -> PayloadDescription:
    return PayloadDescription({"type": "array", "prefixItems": [ref(name)]})


GET = ProcedureDescription(
    uri="com.get",
    match="exact",
    provider="realm",
    parameters=(parameter("Key"),),
    result=payload("Order"),
    progress=payload("Part"),
    errors=("com.missing",),
    examples=(ExampleDescription("One", ["a"], {"b": 1}),),
)
LIST = ProcedureDescription(uri="com.list", match="prefix", provider="realm", errors=("com.closed",))
CHANGED = TopicDescription(uri="com.changed", match="exact", provider="realm", event=payload("Change"))
SENT = TopicDescription(uri="com.sent", match="prefix", provider="realm", parameters=(parameter("Sent"),))
MISSING = ErrorDescription(
    uri="com.missing",
    payload=PayloadDescription({"type": "array"}, {"properties": {"key": ref("MissingKey")}}),
)
CLOSED = ErrorDescription(uri="com.closed")
DEFINITIONS: dict[str, Any] = {
    "Key": {"type": "string"},
    "Order": {"properties": {"lines": {"type": "array", "items": ref("Line")}, "parent": ref("Order")}},
    "Line": {"type": "object"},
    "Part": {"type": "number"},
    "Change": {"anyOf": [ref("Line"), {"type": "null"}]},
    "Sent": {"type": "integer"},
    "MissingKey": {"type": "string"},
}
WHOLE = Interface(
    realm="shop",
    procedures=(GET, LIST),
    topics=(CHANGED, SENT),
    errors=(MISSING, CLOSED),
    definitions=DEFINITIONS,
)


def test_json_form_has_the_keys_of_the_description() -> None:
    found = json.loads(json.dumps(WHOLE.to_dict()))
    assert list(found) == ["realm", "procedures", "topics", "errors", "$defs"]
    assert found["procedures"][0] == {
        "uri": "com.get",
        "match": "exact",
        "provider": "realm",
        "summary": None,
        "description": None,
        "tags": [],
        "deprecated": False,
        "parameters": [
            {
                "name": "value",
                "kind": "positional_only",
                "required": True,
                "schema": {"$ref": "#/$defs/Key"},
                "aliases": [],
            }
        ],
        "result": {"args": {"type": "array", "prefixItems": [ref("Order")]}, "kwargs": None},
        "progressive": False,
        "progress": {"args": {"type": "array", "prefixItems": [ref("Part")]}, "kwargs": None},
        "errors": ["com.missing"],
        "examples": [{"summary": "One", "args": ["a"], "kwargs": {"b": 1}}],
    }
    assert found["$defs"] == DEFINITIONS


def test_restricted_description_has_only_what_its_entries_need() -> None:
    found = WHOLE.restricted_to([GET], [CHANGED])
    assert (found.procedures, found.topics, found.errors) == ((GET,), (CHANGED,), (MISSING,))
    assert found.definitions.keys() == {"Key", "Order", "Line", "Part", "Change", "MissingKey"}
    assert found.realm == "shop"


def test_restricted_description_has_definitions_of_topics_alone() -> None:
    found = WHOLE.restricted_to([], iter([SENT]))
    assert not found.errors
    assert found.definitions.keys() == {"Sent"}


def test_description_that_is_restricted_to_nothing_is_empty() -> None:
    assert WHOLE.restricted_to([], []) == Interface(realm="shop", definitions={})


def test_procedure_has_its_definitions() -> None:
    found = WHOLE.describe_procedure("com.get", "exact")
    assert found is not None
    assert found["uri"] == "com.get"
    # Errors have entries of their own.
    assert found["$defs"].keys() == {"Key", "Order", "Line", "Part"}


def test_topic_has_its_definitions() -> None:
    found = WHOLE.describe_topic("com.changed", "exact")
    assert found is not None
    assert (found["uri"], found["$defs"].keys()) == ("com.changed", {"Change", "Line"})


def test_error_has_its_definitions() -> None:
    found = WHOLE.describe_error("com.missing")
    assert found is not None
    assert (found["uri"], found["$defs"].keys()) == ("com.missing", {"MissingKey"})


def test_entries_of_the_same_uri_have_their_own_definitions() -> None:
    pattern = ProcedureDescription(uri="com.get", match="prefix", provider="realm", result=payload("Part"))
    topic = TopicDescription(uri="com.get", match="exact", provider="realm", event=payload("Sent"))
    error = ErrorDescription(uri="com.get", payload=payload("MissingKey"))
    whole = Interface(
        realm="shop",
        procedures=(GET, pattern),
        topics=(topic,),
        errors=(error,),
        definitions=DEFINITIONS,
    )
    # In any order, because the definitions are looked for once.
    for _ in range(2):
        found = [
            whole.describe_procedure("com.get", "exact"),
            whole.describe_procedure("com.get", "prefix"),
            whole.describe_topic("com.get", "exact"),
            whole.describe_error("com.get"),
        ]
        assert [set(each["$defs"]) for each in found if each is not None] == [
            {"Key", "Order", "Line", "Part"},
            {"Part"},
            {"Sent"},
            {"MissingKey"},
        ]


def test_unknown_entries_are_none() -> None:
    assert WHOLE.describe_procedure("com.get", "prefix") is None
    assert WHOLE.describe_procedure("com.unknown", "exact") is None
    assert WHOLE.describe_topic("com.sent", "exact") is None
    assert WHOLE.describe_error("com.get") is None


def test_reference_to_a_missing_definition_is_left_alone() -> None:
    broken = Interface(realm="shop", procedures=(GET,), definitions={})
    found = broken.describe_procedure("com.get", "exact")
    assert found is not None
    assert found["$defs"] == {}


def test_references_are_found_at_any_depth() -> None:
    schema: Any = ref("Deep")
    for _ in range(5000):
        schema = {"anyOf": [schema]}
    assert list(references(schema)) == ["Deep"]
    assert sorted(references([ref("A"), (ref("B"), {"properties": {"$ref": ref("C")}})])) == ["A", "B", "C"]


def test_foreign_references_are_those_to_anything_but_definitions() -> None:
    schema = {"items": ref("A"), "not": {"$ref": "#/properties/a"}, "then": {"$ref": "https://example.com/a"}}
    assert sorted(foreign_references(schema)) == ["#/properties/a", "https://example.com/a"]
    assert list(references(schema)) == ["A"]
