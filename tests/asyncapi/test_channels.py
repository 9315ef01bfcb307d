from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.asyncapi.conftest import Check, resolve
from tests.asyncapi.descriptions import Description, interface, parameter, payload, procedure, shop, topic
from wampasgi.asyncapi import asyncapi_document


def document_of(**parts: Any) -> Any:
    return asyncapi_document([interface(**parts)], title="Shop", version="1.0")


def shop_document() -> Any:
    return asyncapi_document([shop()], title="Shop", version="1.0")


# Procedures


def test_procedure_receives_calls_and_replies_on_its_channel() -> None:
    document = shop_document()
    create = shop()["procedures"][0]

    assert document["operations"]["shop.orders.create.call"] == {
        "action": "receive",
        "channel": {"$ref": "#/channels/shop.orders.create"},
        "summary": "Place an order",
        "description": create["description"],
        "tags": [{"name": "orders"}],
        "messages": [{"$ref": "#/channels/shop.orders.create/messages/call"}],
        "reply": {
            "channel": {"$ref": "#/channels/shop.orders.create"},
            "messages": [
                {"$ref": "#/channels/shop.orders.create/messages/result"},
                {"$ref": "#/channels/shop.orders.create/messages/com.shop.sold_out"},
            ],
        },
        "x-wamp": {"deprecated": False, "progressive": False},
    }


def test_channel_of_a_procedure_has_the_facts_of_wamp() -> None:
    channel = shop_document()["channels"]["till.open"]

    assert channel["address"] == "till.open"
    assert channel["x-wamp"] == {
        "realm": "shop",
        "kind": "procedure",
        "uri": "till.open",
        "match": "exact",
        "provider": "client",
    }


def test_progressive_results_are_reply_messages() -> None:
    document = shop_document()

    progress = document["channels"]["shop.stock.count"]["messages"]["progress"]
    replies = document["operations"]["shop.stock.count.call"]["reply"]["messages"]
    assert {"$ref": "#/channels/shop.stock.count/messages/progress"} in replies
    assert document["operations"]["shop.stock.count.call"]["x-wamp"]["progressive"] is True
    assert progress["x-wamp"] == {"type": "RESULT", "progress": True}
    assert Draft7Validator(progress["payload"]).is_valid({"args": [0.5]})
    assert not Draft7Validator(progress["payload"]).is_valid({"args": ["half"]})


def test_declared_errors_are_shared_messages() -> None:
    document = document_of(
        procedures=[procedure("a", errors=["e"]), procedure("b", errors=["e"])],
        errors=[{"uri": "e", "description": "Too late.", "payload": payload({"type": "integer"})}],
    )

    message = document["components"]["messages"]["e"]
    assert document["channels"]["a"]["messages"]["e"] == {"$ref": "#/components/messages/e"}
    assert document["channels"]["b"]["messages"]["e"] == {"$ref": "#/components/messages/e"}
    assert message["description"] == "Too late."
    assert message["x-wamp"] == {"type": "ERROR", "uri": "e"}
    assert Draft7Validator(message["payload"]).is_valid({"args": [1]})


def test_error_with_the_name_of_a_message_has_a_key_of_its_own(check_document: Check) -> None:
    document = document_of(procedures=[procedure("a", errors=["call", "result"])])

    assert list(document["channels"]["a"]["messages"]) == ["call", "result", "error.call", "error.result"]
    check_document(document)


def test_examples_of_a_procedure_are_valid_calls() -> None:
    document = shop_document()
    call = document["channels"]["shop.orders.create"]["messages"]["call"]
    # References are resolved from the root of a schema.
    validator = Draft7Validator({**call["payload"], "components": document["components"]})

    assert call["examples"][0]["summary"] == "Two cups"
    assert all(validator.is_valid(example["payload"]) for example in call["examples"])
    assert not validator.is_valid({"args": [[{"sku": ""}], {"street": "Main St 1", "city": "Ulm"}]})


def test_example_without_arguments_has_an_empty_payload(check_document: Check) -> None:
    example: Description = {"summary": None, "args": [], "kwargs": {}}
    document = document_of(procedures=[procedure("a", parameters=[], examples=[example])])

    assert document["channels"]["a"]["messages"]["call"]["examples"] == [{"payload": {}}]
    check_document(document)


def test_deprecated_procedure_is_marked() -> None:
    document = document_of(procedures=[procedure("a", deprecated=True)])

    assert document["operations"]["a.call"]["x-wamp"]["deprecated"] is True
    assert document["channels"]["a"]["messages"]["call"]["payload"]["deprecated"] is True
    assert "deprecated" not in document["channels"]["a"]["messages"]["result"]["payload"]


# Topics


def test_topic_sends_events_to_subscribers() -> None:
    document = shop_document()

    operation = document["operations"]["shop.orders.changed.event"]
    assert operation["action"] == "send"
    assert operation["messages"] == [{"$ref": "#/channels/shop.orders.changed/messages/event"}]
    assert "reply" not in operation
    assert "shop.orders.changed.publish" not in document["operations"]
    assert resolve(document, operation["messages"][0]["$ref"])["x-wamp"] == {"type": "EVENT"}


def test_subscriber_receives_publications_of_clients() -> None:
    document = shop_document()

    operation = document["operations"]["shop.sensors.prefix.publish"]
    message = resolve(document, operation["messages"][0]["$ref"])
    assert operation["action"] == "receive"
    assert "shop.sensors.prefix.event" not in document["operations"]
    assert message["x-wamp"]["type"] == "PUBLISH"
    assert [parameter["name"] for parameter in message["x-wamp"]["parameters"]] == ["value"]
    assert Draft7Validator(message["payload"]).is_valid({"args": [20.5]})


def test_topic_for_subscribers_and_publishers_has_two_operations(check_document: Check) -> None:
    chat = topic(
        "chat",
        publish=True,
        event=payload({"type": "string"}),
        parameters=[parameter("text", {"type": "string"})],
        examples=[{"summary": None, "args": ["hi"], "kwargs": {}}],
    )
    document = document_of(topics=[chat])

    actions = {key: operation["action"] for key, operation in document["operations"].items()}
    messages = document["channels"]["chat"]["messages"]
    assert actions == {"chat.event": "send", "chat.publish": "receive"}
    assert messages["publication"]["examples"] == [{"payload": {"args": ["hi"]}}]
    assert "examples" not in messages["event"]
    check_document(document)


def test_examples_of_a_topic_without_publishers_are_events() -> None:
    example = {"summary": "Greeting", "args": ["hi"], "kwargs": {"to": "all"}}
    document = document_of(topics=[topic("chat", examples=[example])])

    assert document["channels"]["chat"]["messages"]["event"]["examples"] == [
        {"summary": "Greeting", "payload": {"args": ["hi"], "kwargs": {"to": "all"}}}
    ]


def test_topic_that_no_client_may_use_has_no_operations(check_document: Check) -> None:
    document = document_of(topics=[topic("internal", subscribe=False)])

    assert list(document["channels"]) == ["internal"]
    assert document["operations"] == {}
    check_document(document)


# Addresses


@pytest.mark.parametrize(
    ("uri", "match", "key", "address", "parameters"),
    [
        ("a.b", "exact", "a.b", "a.b", []),
        ("a.b.", "prefix", "a.b.prefix", "a.b.{rest}", ["rest"]),
        ("a.b", "prefix", "a.b.prefix", "a.b{rest}", ["rest"]),
        ("", "prefix", "prefix", "{rest}", ["rest"]),
        ("a..c.", "wildcard", "a._.c.wildcard", "a.{part_1}.c.{part_2}", ["part_1", "part_2"]),
        (r"^a\.\d+$", "regex", "_a_._d__.regex", None, []),
        ("a.{b}", "exact", "a._b_", None, []),
    ],
)
def test_address_of_a_pattern_has_parameters(
    uri: str, match: str, key: str, address: str | None, parameters: list[str], check_document: Check
) -> None:
    document = document_of(procedures=[procedure(uri, match=match)])

    (found,) = document["channels"]
    channel = document["channels"][found]
    assert found == key
    assert channel["address"] == address
    assert list(channel.get("parameters", {})) == parameters
    assert channel["x-wamp"]["uri"] == uri
    assert channel["x-wamp"]["match"] == match
    check_document(document)
