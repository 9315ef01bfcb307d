from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.asyncapi.descriptions import Description, interface, parameter, payload, procedure, shop, topic
from wampasgi.asyncapi import RealmFacts, asyncapi_document
from wampasgi.asyncapi.differences import document_differences

INTEGER = {"type": "integer"}
TEXT = {"type": "string"}


def document_of(*interfaces: Description, **options: Any) -> Any:
    return asyncapi_document(interfaces, **({"title": "Shop", "version": "1.0"} | options))


def differences(before: Description, after: Description) -> list[str]:
    return document_differences(document_of(before), document_of(after))


def with_procedure(**fields: Any) -> Description:
    return interface(procedures=[procedure("p", **fields)])


def with_topic(**fields: Any) -> Description:
    return interface(topics=[topic("t", **fields)])


def test_equal_documents_have_no_differences() -> None:
    assert differences(shop(), shop()) == []


def change_shop(change: Callable[[Description], None]) -> list[str]:
    after = deepcopy(shop())
    change(after)
    return differences(shop(), after)


def test_procedure_that_is_new_is_one_difference() -> None:
    assert change_shop(lambda after: after["procedures"].append(procedure("shop.close", errors=["e"]))) == [
        "error e added",
        "procedure shop.close added",
    ]


def test_procedure_that_is_missing_is_one_difference() -> None:
    assert change_shop(lambda after: after["procedures"].pop(0)) == ["procedure shop.orders.create removed"]


def test_pattern_is_named_with_its_policy() -> None:
    assert change_shop(lambda after: after["topics"].pop(1)) == ["topic shop.sensors. (prefix) removed"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], [parameter("a", INTEGER)], "parameter a added"),
        ([parameter("a", INTEGER), parameter("b", TEXT)], [parameter("b", TEXT)], "parameter a removed"),
        ([parameter("a", INTEGER)], [parameter("a", TEXT)], "parameter a: schema changed"),
        ([parameter("a", INTEGER)], [parameter("a", INTEGER, required=False)], "parameter a is now optional"),
        ([parameter("a", INTEGER, required=False)], [parameter("a", INTEGER)], "parameter a is now required"),
        (
            [parameter("a", INTEGER)],
            [parameter("a", {**INTEGER, "default": 1})],
            "parameter a: default added",
        ),
        ([parameter("a", INTEGER)], [parameter("a", INTEGER, aliases=["b"])], "parameter a: aliases changed"),
        (
            [parameter("a", INTEGER), parameter("b", TEXT)],
            [parameter("a", INTEGER), parameter("b", TEXT, kind="keyword_only")],
            "parameter b: kind changed",
        ),
        (
            [parameter("a", INTEGER, kind="positional_only")],
            [parameter("a", TEXT, kind="positional_only")],
            "parameter a: schema changed",
        ),
        (
            [parameter("a", INTEGER), parameter("b", TEXT)],
            [parameter("b", TEXT), parameter("a", INTEGER)],
            "order of parameters changed",
        ),
        (
            [parameter("a", INTEGER, kind="keyword_only"), parameter("b", TEXT, kind="keyword_only")],
            [parameter("b", TEXT, kind="keyword_only"), parameter("a", INTEGER, kind="keyword_only")],
            None,
        ),
    ],
)
def test_change_of_a_parameter_is_named(before: Any, after: Any, expected: str | None) -> None:
    found = differences(with_procedure(parameters=before), with_procedure(parameters=after))

    assert found == ["the document changed" if expected is None else f"procedure p: {expected}"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({}, {"result": payload(INTEGER)}, ["result changed"]),
        ({}, {"progressive": True}, ["progressive results added"]),
        (
            {"progressive": True},
            {"progressive": True, "progress": payload()},
            ["progressive results changed"],
        ),
        ({}, {"summary": "Stop"}, ["summary added"]),
        ({"description": "a"}, {"description": "b"}, ["description changed"]),
        ({"tags": ["x"]}, {}, ["tags removed"]),
        ({}, {"provider": "client"}, ["provider changed"]),
        ({}, {"examples": [{"summary": None, "args": [1], "kwargs": {}}]}, ["examples changed"]),
        ({}, {"parameters": []}, ["description of the arguments added"]),
    ],
)
def test_change_of_a_procedure_is_named(before: Any, after: Any, expected: list[str]) -> None:
    found = differences(with_procedure(**before), with_procedure(**after))

    assert found == [f"procedure p: {line}" for line in expected]


def test_deprecation_is_named() -> None:
    before, after = with_procedure(parameters=[]), with_procedure(parameters=[], deprecated=True)

    assert differences(before, after) == ["procedure p is now deprecated"]
    assert differences(after, before) == ["procedure p is now not deprecated"]


def test_declared_error_that_is_new_is_named() -> None:
    found = differences(with_procedure(), with_procedure(errors=["e"]))

    assert found == ["error e added", "procedure p: error e added"]


def test_change_of_the_events_of_a_topic_is_named() -> None:
    assert differences(with_topic(), with_topic(event=payload(TEXT))) == ["topic t: event changed"]


def test_change_of_the_publications_of_a_topic_is_named() -> None:
    before = with_topic(publish=True, parameters=[parameter("a", TEXT)])
    after = with_topic(publish=True, parameters=[parameter("a", INTEGER)])

    assert differences(before, after) == ["topic t: parameter a: schema changed"]


def test_change_of_a_model_is_named() -> None:
    def change(after: Description) -> None:
        models = after["$defs"]
        models["Order"]["required"].remove("total")
        models["Address"]["properties"]["zip"] = TEXT
        models["OrderLine"]["additionalProperties"] = True
        models["Voucher"] = {"type": "object", "properties": {"code": TEXT}}

    assert change_shop(change) == [
        "model Address: property zip added",
        "model Order: property total is now optional",
        "model OrderLine: schema changed",
        "model Voucher added",
    ]


def test_change_of_an_error_is_named() -> None:
    def change(after: Description) -> None:
        after["errors"][0]["description"] = "Nothing is left."

    assert change_shop(change) == ["error com.shop.sold_out changed"]


def test_procedures_of_several_realms_are_named_with_their_realm() -> None:
    other = interface("b", procedures=[procedure("stop")])

    assert document_differences(document_of(shop(), interface("b")), document_of(shop(), other)) == [
        "procedure stop of realm b added"
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"title": "Store"}, "info: title changed"),
        ({"servers": {"main": "ws://example.com"}}, "server main added"),
        ({"realms": {"shop": RealmFacts(authmethods=["ticket"])}}, "realm shop changed"),
        ({"asyncapi_version": "3.0.0"}, "the document changed"),
    ],
)
def test_change_outside_of_the_channels_is_named(options: Any, expected: str) -> None:
    assert document_differences(document_of(shop()), document_of(shop(), **options)) == [expected]


@pytest.mark.parametrize(
    "broken",
    [
        None,
        [],
        "asyncapi",
        {"channels": [], "components": 1, "info": None, "operations": {"x": None}},
        {"channels": {"a": None, "b": {"messages": {"call": 1, "result": None}, "x-wamp": {"uri": 1}}}},
        {"channels": {"a": {"messages": {"call": {"x-wamp": {"parameters": [None, {"name": []}]}}}}}},
        {
            "operations": {"x": {"channel": {"$ref": 1}, "summary": []}},
            "components": {"schemas": {"A": True}},
        },
    ],
)
def test_file_that_people_have_broken_is_compared_all_the_same(broken: Any) -> None:
    assert document_differences(broken, document_of(shop()))
    assert document_differences(document_of(shop()), broken)
