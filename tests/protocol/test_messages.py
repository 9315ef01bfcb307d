from __future__ import annotations

from typing import Any

import pytest

from wampasgi.protocol import messages
from wampasgi.protocol.messages import MESSAGE_NAMES, MESSAGES, Message

# For each type, a message with all its fields and the corresponding list.
WHOLE: list[tuple[Message, list[Any]]] = [
    (messages.Hello("realm1", {"roles": {"caller": {}}}), [1, "realm1", {"roles": {"caller": {}}}]),
    (messages.Welcome(9129137332, {"roles": {"broker": {}}}), [2, 9129137332, {"roles": {"broker": {}}}]),
    (
        messages.Abort({"message": "no"}, "com.bad", [1], {"a": 2}),
        [3, {"message": "no"}, "com.bad", [1], {"a": 2}],
    ),
    (messages.Challenge("wampcra", {"salt": "s"}), [4, "wampcra", {"salt": "s"}]),
    (messages.Authenticate("c2lnbmVk", {"e": 1}), [5, "c2lnbmVk", {"e": 1}]),
    (
        messages.Goodbye({"message": "bye"}, "wamp.close.close_realm"),
        [6, {"message": "bye"}, "wamp.close.close_realm"],
    ),
    (
        messages.Error(48, 7, {"d": 1}, "com.bad", [1], {"a": 2}),
        [8, 48, 7, {"d": 1}, "com.bad", [1], {"a": 2}],
    ),
    (
        messages.Publish(7, {"acknowledge": True}, "com.t", [1], {"a": 2}),
        [16, 7, {"acknowledge": True}, "com.t", [1], {"a": 2}],
    ),
    (messages.Published(7, 8), [17, 7, 8]),
    (messages.Subscribe(7, {"match": "prefix"}, "com.t"), [32, 7, {"match": "prefix"}, "com.t"]),
    (messages.Subscribed(7, 8), [33, 7, 8]),
    (messages.Unsubscribe(7, 8), [34, 7, 8]),
    (messages.Unsubscribed(7), [35, 7]),
    (
        messages.Unsubscribed(0, {"subscription": 8, "reason": "moved"}),
        [35, 0, {"subscription": 8, "reason": "moved"}],
    ),
    (messages.Event(8, 9, {"topic": "com.t"}, [1], {"a": 2}), [36, 8, 9, {"topic": "com.t"}, [1], {"a": 2}]),
    (
        messages.Call(7, {"timeout": 500}, "com.p", [1], {"a": 2}),
        [48, 7, {"timeout": 500}, "com.p", [1], {"a": 2}],
    ),
    (messages.Cancel(7, {"mode": "kill"}), [49, 7, {"mode": "kill"}]),
    (messages.Result(7, {"progress": True}, [1], {"a": 2}), [50, 7, {"progress": True}, [1], {"a": 2}]),
    (messages.Register(7, {"match": "wildcard"}, "com..p"), [64, 7, {"match": "wildcard"}, "com..p"]),
    (messages.Registered(7, 8), [65, 7, 8]),
    (messages.Unregister(7, 8), [66, 7, 8]),
    (messages.Unregistered(7), [67, 7]),
    (
        messages.Unregistered(0, {"registration": 8, "reason": "moved"}),
        [67, 0, {"registration": 8, "reason": "moved"}],
    ),
    (
        messages.Invocation(7, 8, {"procedure": "com.p"}, [1], {"a": 2}),
        [68, 7, 8, {"procedure": "com.p"}, [1], {"a": 2}],
    ),
    (messages.Interrupt(7, {"mode": "killnowait"}), [69, 7, {"mode": "killnowait"}]),
    (messages.Yield(7, {"progress": True}, [1], {"a": 2}), [70, 7, {"progress": True}, [1], {"a": 2}]),
]

# The types with an application payload: class, the other fields, and the list without the payload.
WITH_PAYLOAD: list[tuple[type[Any], list[Any], list[Any]]] = [
    (messages.Abort, [{}, "com.bad"], [3, {}, "com.bad"]),
    (messages.Error, [48, 7, {}, "com.bad"], [8, 48, 7, {}, "com.bad"]),
    (messages.Publish, [7, {}, "com.t"], [16, 7, {}, "com.t"]),
    (messages.Event, [8, 9, {}], [36, 8, 9, {}]),
    (messages.Call, [7, {}, "com.p"], [48, 7, {}, "com.p"]),
    (messages.Result, [7, {}], [50, 7, {}]),
    (messages.Invocation, [7, 8, {}], [68, 7, 8, {}]),
    (messages.Yield, [7, {}], [70, 7, {}]),
]


def name_of(value: object) -> str | None:
    if isinstance(value, type):
        return value.__name__
    return MESSAGE_NAMES[value.code] if hasattr(value, "code") else ""


@pytest.mark.parametrize(("message", "raw"), WHOLE, ids=name_of)
def test_message_is_converted_to_the_list_of_the_specification(message: Message, raw: list[Any]) -> None:
    assert message.to_list() == raw


def test_examples_cover_every_message() -> None:
    assert {type(message) for message, _ in WHOLE} == set(MESSAGES.values())


@pytest.mark.parametrize(("message", "raw"), WHOLE, ids=name_of)
def test_type_code_and_name_map_to_the_class(message: Message, raw: list[Any]) -> None:
    assert message.code == raw[0]
    assert MESSAGES[raw[0]] is type(message)
    assert MESSAGE_NAMES[raw[0]] == type(message).__name__.upper()


@pytest.mark.parametrize(("cls", "fields", "head"), WITH_PAYLOAD, ids=name_of)
@pytest.mark.parametrize(
    ("args", "kwargs", "tail"),
    [
        (None, None, []),
        ([], None, []),
        (None, {}, []),
        ([], {}, []),
        ([1, None], None, [[1, None]]),
        ([1], {}, [[1]]),
        (None, {"a": 1}, [[], {"a": 1}]),
        ([], {"a": 1}, [[], {"a": 1}]),
        ([1], {"a": 1}, [[1], {"a": 1}]),
    ],
)
def test_empty_payload_is_omitted(
    cls: type[Any],
    fields: list[Any],
    head: list[Any],
    args: list[Any] | None,
    kwargs: dict[str, Any] | None,
    tail: list[Any],
) -> None:
    assert cls(*fields, args, kwargs).to_list() == head + tail
    assert cls(*fields, args=args, kwargs=kwargs).to_list() == head + tail


@pytest.mark.parametrize(("cls", "fields", "head"), WITH_PAYLOAD, ids=name_of)
def test_payload_is_absent_by_default(cls: type[Any], fields: list[Any], head: list[Any]) -> None:
    message = cls(*fields)

    assert (message.args, message.kwargs) == (None, None)
    assert message.to_list() == head


@pytest.mark.parametrize("payload", [b"\x82\xa5", b""])
def test_encoded_payload_replaces_the_arguments(payload: bytes) -> None:
    algorithm = {"enc_algo": "cryptobox"}

    published = messages.Publish(7, algorithm, "com.t", payload=payload)
    delivered = messages.Event(8, 9, algorithm, payload=payload)

    assert published.to_list() == [16, 7, algorithm, "com.t", payload]
    assert delivered.to_list() == [36, 8, 9, algorithm, payload]


def test_list_contains_the_payload_without_copying_it() -> None:
    args, kwargs = [{"large": "payload"}], {"a": 1}

    raw = messages.Event(8, 9, {}, args, kwargs).to_list()

    assert raw[4] is args
    assert raw[5] is kwargs


def test_messages_with_equal_fields_are_equal() -> None:
    assert messages.Subscribed(7, 8) == messages.Subscribed(7, 8)
    assert messages.Subscribed(7, 8) != messages.Subscribed(7, 9)
    other: Message = messages.Registered(7, 8)
    assert messages.Subscribed(7, 8) != other


def test_messages_have_no_other_attributes() -> None:
    with pytest.raises(AttributeError):
        messages.Subscribed(7, 8).subscripton_id = 9  # type: ignore[attr-defined]


def test_repr_of_authenticate_omits_the_signature() -> None:
    assert "hunter2" not in repr(messages.Authenticate("hunter2", {}))
