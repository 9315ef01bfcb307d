from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.asyncapi.conftest import Check
from tests.asyncapi.descriptions import interface, parameter, payload, procedure, shop, topic
from wampasgi.asyncapi import ASYNCAPI_VERSIONS, RealmFacts, asyncapi_document, server_object
from wampasgi.errors import ConfigurationError


def document_of(*interfaces: Any, **options: Any) -> Any:
    return asyncapi_document(interfaces, **({"title": "Shop", "version": "1.0"} | options))


@pytest.mark.parametrize("version", ASYNCAPI_VERSIONS)
def test_document_of_a_shop_is_valid(version: str, check_document: Check) -> None:
    document = document_of(
        shop(),
        interface("admins", procedures=[procedure("stop")]),
        description="Sells cups.",
        servers={"production": "wss://shop.example.com/ws"},
        realms={"shop": RealmFacts(authmethods=["ticket", "wampcra"])},
        asyncapi_version=version,
    )

    assert document["asyncapi"] == version
    assert document["info"] == {"title": "Shop", "version": "1.0", "description": "Sells cups."}
    check_document(document)


def test_document_of_an_empty_realm_is_valid(check_document: Check) -> None:
    document = document_of(interface())

    assert document["channels"] == document["operations"] == {}
    assert "servers" not in document
    check_document(document)


def test_document_of_strange_names_is_valid(check_document: Check) -> None:
    strange = "a b/~é{x}?y"
    document = document_of(
        interface(
            "realm/ü",
            procedures=[
                procedure(strange, errors=[strange, "call", "not.described"], tags=["t", "t"]),
                procedure("a_b/~é{x}?y"),
                procedure("", match="prefix"),
                procedure("..", match="wildcard"),
                procedure(r"^a\.(b|c)$", match="regex"),
            ],
            topics=[topic(strange), topic("", match="prefix", publish=True)],
            errors=[{"uri": strange, "description": None, "payload": payload({"$ref": "#/$defs/A~1B"})}],
            **{"$defs": {"A/B": {"type": "string"}, "A_B": {"type": "integer"}}},
        )
    )

    assert len(document["channels"]) == 7
    assert sorted(document["components"]["schemas"]) == ["realm__.A_B", "realm__.A_B_2"]
    check_document(document)


def test_realms_with_their_authentication_methods_are_at_the_top() -> None:
    document = document_of(shop(), interface("b"), realms={"shop": RealmFacts(authmethods=("ticket",))})

    assert document["x-wamp"] == {"realms": {"b": {"authmethods": []}, "shop": {"authmethods": ["ticket"]}}}


def test_order_of_realms_and_entries_does_not_change_the_document() -> None:
    first, second = shop(), interface("b", procedures=[procedure("stop"), procedure("shop.orders.create")])
    expected = json.dumps(document_of(first, second))
    for part in ("procedures", "topics", "errors"):
        random.Random(3).shuffle(first[part])
        second[part].reverse()

    assert json.dumps(document_of(second, first)) == expected


def test_description_is_not_changed() -> None:
    description = shop()

    document_of(description)

    assert description == shop()


def test_realm_that_occurs_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="described twice"):
        document_of(interface("a"), interface("a"))


def test_unsupported_version_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'2\.6\.0' is not supported: 3\.0\.0 and 3\.1\.0 are"):
        document_of(interface(), asyncapi_version="2.6.0")


# The same URI as procedure and topic, and in several realms


def test_procedure_and_topic_with_the_same_uri_are_two_channels(check_document: Check) -> None:
    document = document_of(interface(procedures=[procedure("state")], topics=[topic("state")]))

    assert list(document["channels"]) == ["state.procedure", "state.topic"]
    assert {channel["address"] for channel in document["channels"].values()} == {"state"}
    check_document(document)


def test_procedures_of_two_realms_with_the_same_uri_are_two_channels(check_document: Check) -> None:
    document = document_of(
        interface("a", procedures=[procedure("stop"), procedure("go")]),
        interface("b", procedures=[procedure("stop")]),
    )

    assert list(document["channels"]) == ["a.stop", "b.stop", "go"]
    assert document["channels"]["b.stop"]["x-wamp"]["realm"] == "b"
    check_document(document)


def models(**properties: Any) -> dict[str, Any]:
    order = {"type": "object", "properties": {"line": {"$ref": "#/$defs/Line"}}}
    return {"Order": order, "Line": {"type": "object", "properties": properties}}


def test_equal_models_of_two_realms_are_one_component(check_document: Check) -> None:
    schemas = {"procedures": [procedure("p", result=payload({"$ref": "#/$defs/Order"}))], "$defs": models()}
    document = document_of(interface("a", **schemas), interface("b", **schemas))

    assert list(document["components"]["schemas"]) == ["Line", "Order"]
    check_document(document)


def test_models_that_differ_in_a_nested_model_have_the_realm_as_prefix(check_document: Check) -> None:
    procedures = [procedure("p", result=payload({"$ref": "#/$defs/Order"}))]
    document = document_of(
        interface("a", procedures=procedures, **{"$defs": models()}),
        interface("b", procedures=procedures, **{"$defs": models(sku={"type": "string"})}),
    )

    assert list(document["components"]["schemas"]) == ["a.Line", "a.Order", "b.Line", "b.Order"]
    assert document["components"]["schemas"]["b.Order"]["properties"]["line"] == {
        "$ref": "#/components/schemas/b.Line"
    }
    assert "#/components/schemas/b.Order" in json.dumps(document["channels"]["b.p"])
    check_document(document)


def test_errors_that_differ_between_realms_have_the_realm_as_prefix(check_document: Check) -> None:
    def realm(name: str, description: str | None) -> Any:
        error = {"uri": "e", "description": description, "payload": None}
        return interface(name, procedures=[procedure("p", errors=["e"])], errors=[error])

    document = document_of(realm("a", None), realm("b", "Too late."))

    assert list(document["components"]["messages"]) == ["a.e", "b.e"]
    assert document["channels"]["b.p"]["messages"]["e"] == {"$ref": "#/components/messages/b.e"}
    check_document(document)


# Servers


def test_server_has_host_protocol_and_path() -> None:
    assert server_object("wss://shop.example.com:8443/ws") == {
        "host": "shop.example.com:8443",
        "protocol": "wss",
        "pathname": "/ws",
    }
    assert server_object("ws://[::1]") == {"host": "[::1]", "protocol": "ws"}


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://example.com/ws", "must begin with ws:// or wss://"),
        ("example.com", "must begin with ws:// or wss://"),
        ("ws:///ws", "have a host"),
        ("ws://example.com:port/", "Port could not be cast"),
        ("wss://ann:secret@example.com/", "has credentials"),
        ("wss://example.com/?token=a", "a query"),
        ("wss://{host}/", "braces"),
    ],
)
def test_invalid_url_of_a_server_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be the URL of a server") as caught:
        server_object(url)

    assert reason in str(caught.value)


def test_invalid_name_of_a_server_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'a b' cannot be the name of a server"):
        document_of(interface(), servers={"a b": "ws://example.com"})


def test_parameter_names_of_a_procedure_are_kept_in_their_order() -> None:
    parameters = [parameter("b", True), parameter("a", {}, kind="keyword_only", aliases=["A"])]
    document = document_of(interface(procedures=[procedure("p", parameters=parameters)]))

    assert document["channels"]["p"]["messages"]["call"]["x-wamp"]["parameters"] == [
        {"name": "b", "kind": "positional_or_keyword", "required": True, "aliases": []},
        {"name": "a", "kind": "keyword_only", "required": True, "aliases": ["A"]},
    ]
