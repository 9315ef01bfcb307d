from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wampasgi.errors import (
    INVALID_ARGUMENT,
    INVALID_URI,
    PROTOCOL_VIOLATION,
    InvalidPayload,
    InvalidURI,
    RemoteProtocolError,
)
from wampasgi.protocol import messages
from wampasgi.protocol.ids import MAX_ID
from wampasgi.protocol.messages import MESSAGE_NAMES, MESSAGES, Message
from wampasgi.protocol.parsing import parse

ROLES = {"roles": {"subscriber": {}, "callee": {"features": {"progressive_call_results": True}}}}

# A valid list for each type, with all optional elements.
VALID: dict[str, list[Any]] = {
    "HELLO": [1, "realm1", ROLES],
    "WELCOME": [2, 9129137332, {"roles": {"broker": {}}}],
    "ABORT": [3, {"message": "no"}, "com.bad", [1], {"a": 2}],
    "CHALLENGE": [4, "wampcra", {"salt": "s"}],
    "AUTHENTICATE": [5, "c2lnbmVk", {"e": 1}],
    "GOODBYE": [6, {}, "wamp.close.close_realm"],
    "ERROR": [8, 48, 7, {}, "com.bad", [1], {"a": 2}],
    "PUBLISH": [16, 7, {}, "com.t", [1], {"a": 2}],
    "PUBLISHED": [17, 7, 8],
    "SUBSCRIBE": [32, 7, {}, "com.t"],
    "SUBSCRIBED": [33, 7, 8],
    "UNSUBSCRIBE": [34, 7, 8],
    "UNSUBSCRIBED": [35, 7],
    "EVENT": [36, 8, 9, {}, [1], {"a": 2}],
    "CALL": [48, 7, {}, "com.p", [1], {"a": 2}],
    "CANCEL": [49, 7, {}],
    "RESULT": [50, 7, {}, [1], {"a": 2}],
    "REGISTER": [64, 7, {}, "com.p"],
    "REGISTERED": [65, 7, 8],
    "UNREGISTER": [66, 7, 8],
    "UNREGISTERED": [67, 7],
    "INVOCATION": [68, 7, 8, {}, [1], {"a": 2}],
    "INTERRUPT": [69, 7, {}],
    "YIELD": [70, 7, {}, [1], {"a": 2}],
}

# The name of each element in the specification and its kind.
FIELDS: dict[str, str] = {
    "HELLO": "Realm:uri Details:dict",
    "WELCOME": "Session:id Details:dict",
    "ABORT": "Details:dict Reason:uri Arguments:list ArgumentsKw:dict",
    "CHALLENGE": "AuthMethod:str Extra:dict",
    "AUTHENTICATE": "Signature:str Extra:dict",
    "GOODBYE": "Details:dict Reason:uri",
    "ERROR": "REQUEST.Type:code REQUEST.Request:id Details:dict Error:uri Arguments:list ArgumentsKw:dict",
    "PUBLISH": "Request:id Options:dict Topic:uri Arguments:list ArgumentsKw:dict",
    "PUBLISHED": "Request:id Publication:id",
    "SUBSCRIBE": "Request:id Options:dict Topic:uri",
    "SUBSCRIBED": "Request:id Subscription:id",
    "UNSUBSCRIBE": "Request:id Subscription:id",
    "UNSUBSCRIBED": "Request:id",
    "EVENT": "Subscription:id Publication:id Details:dict Arguments:list ArgumentsKw:dict",
    "CALL": "Request:id Options:dict Procedure:uri Arguments:list ArgumentsKw:dict",
    "CANCEL": "Request:id Options:dict",
    "RESULT": "Request:id Details:dict Arguments:list ArgumentsKw:dict",
    "REGISTER": "Request:id Options:dict Procedure:uri",
    "REGISTERED": "Request:id Registration:id",
    "UNREGISTER": "Request:id Registration:id",
    "UNREGISTERED": "Request:id",
    "INVOCATION": "Request:id Registration:id Details:dict Arguments:list ArgumentsKw:dict",
    "INTERRUPT": "Request:id Options:dict",
    "YIELD": "Request:id Options:dict Arguments:list ArgumentsKw:dict",
}

# Invalid values for each kind of element, and a part of the error message.
WRONG: dict[str, list[tuple[Any, str]]] = {
    "id": [
        (0, "must be an ID, an integer from 1 to 2^53, got 0"),
        (-5, "got -5"),
        (MAX_ID + 1, "got 9007199254740993"),
        (10**5000, "got an integer of 16610 bits"),
        (True, "got bool"),
        (7.0, "got float"),
        ("7", "got str"),
        (None, "got NoneType"),
        ([7], "got list"),
    ],
    "str": [
        (5, "must be a string, got int"),
        (None, "got NoneType"),
        (b"bytes", "got bytes"),
        ([], "got list"),
    ],
    "uri": [
        (5, "must be a string, got int"),
        (None, "got NoneType"),
        (b"com.p", "got bytes"),
        ({}, "got dict"),
    ],
    "dict": [
        ([], "must be a dict with strings as keys, got list"),
        (None, "got NoneType"),
        ("{}", "got str"),
        ({1: 2}, "got a dict with invalid content"),
        ({"roles": {}, None: 2}, "got a dict with invalid content"),
    ],
    "list": [
        ({}, "must be a list, got dict"),
        (None, "got NoneType"),
        ("ab", "got str"),
        ((1,), "got tuple"),
        (b"x", "got bytes"),
    ],
    "code": [
        (True, "must be the code of a request that ERROR answers, got bool"),
        ("48", "got str"),
        (0, "got 0"),
        (1, "got 1"),
        (49, "got 49"),
        (50, "got 50"),
        (1000, "got 1000"),
    ],
}

SHORTEST = {
    name: 1 + len([field for field in fields.split() if not field.startswith("Arguments")])
    for name, fields in FIELDS.items()
}


def wrong_fields() -> list[Any]:
    return [
        pytest.param(name, place, field, value, text, id=f"{name}.{field}-{text}")
        for name, fields in FIELDS.items()
        for place, (field, kind) in enumerate((item.split(":") for item in fields.split()), 1)
        for value, text in WRONG[kind]
    ]


def refused(raw: object, **options: Any) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as raised:
        parse(raw, **options)
    assert str(raised.value) == raised.value.message
    return raised.value


# Valid messages


@pytest.mark.parametrize("name", VALID)
def test_valid_message_is_parsed_to_its_class_and_back(name: str) -> None:
    raw = VALID[name]

    message = parse(raw)

    assert type(message) is MESSAGES[raw[0]]
    assert message.to_list() == raw


def test_examples_cover_every_message() -> None:
    assert sorted(VALID) == sorted(FIELDS) == sorted(MESSAGE_NAMES.values())


@pytest.mark.parametrize("name", [name for name in VALID if SHORTEST[name] < len(VALID[name])])
def test_payload_may_be_omitted(name: str) -> None:
    whole, shortest = VALID[name], SHORTEST[name]

    messages_of_each_length: list[Any] = [parse(whole[:length]) for length in range(shortest, shortest + 3)]

    assert [(message.args, message.kwargs) for message in messages_of_each_length] == [
        (None, None),
        ([1], None),
        ([1], {"a": 2}),
    ]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (VALID["HELLO"], messages.Hello(realm="realm1", details=ROLES)),
        (VALID["ERROR"], messages.Error(48, 7, {}, "com.bad", [1], {"a": 2})),
        (
            VALID["PUBLISH"],
            messages.Publish(request_id=7, options={}, topic="com.t", args=[1], kwargs={"a": 2}),
        ),
        (
            VALID["EVENT"],
            messages.Event(subscription_id=8, publication_id=9, details={}, args=[1], kwargs={"a": 2}),
        ),
        (
            VALID["CALL"],
            messages.Call(request_id=7, options={}, procedure="com.p", args=[1], kwargs={"a": 2}),
        ),
        (VALID["INVOCATION"], messages.Invocation(7, 8, {}, [1], {"a": 2})),
        (VALID["UNSUBSCRIBE"], messages.Unsubscribe(request_id=7, subscription_id=8)),
        (VALID["YIELD"], messages.Yield(request_id=7, options={}, args=[1], kwargs={"a": 2})),
    ],
)
def test_fields_have_the_positions_of_the_specification(raw: list[Any], message: Message) -> None:
    assert parse(raw) == message


def test_payload_is_not_copied() -> None:
    args, kwargs, options = [{"large": "payload"}], {"a": 1}, {"timeout": 5}

    message = parse([48, 7, options, "com.p", args, kwargs])

    assert isinstance(message, messages.Call)
    assert message.args is args
    assert message.kwargs is kwargs
    assert message.options is options


@pytest.mark.parametrize("request_type", [16, 32, 34, 48, 64, 66, 68])
def test_error_may_answer_every_request_that_can_fail(request_type: int) -> None:
    message = parse([8, request_type, 7, {}, "com.bad"])

    assert message == messages.Error(request_type, 7, {}, "com.bad")


@pytest.mark.parametrize("number", [1, MAX_ID])
@pytest.mark.parametrize("name", ["CALL", "PUBLISH", "YIELD", "SUBSCRIBE"])
def test_ids_from_1_to_2_to_the_53_are_accepted(name: str, number: int) -> None:
    message: Any = parse([VALID[name][0], number, *VALID[name][2:]])

    assert message.request_id == number


@pytest.mark.parametrize("name", [name for name in VALID if "dict" in FIELDS[name]])
def test_unknown_attributes_are_ignored(name: str) -> None:
    raw = list(VALID[name])
    place = next(place for place, item in enumerate(raw) if isinstance(item, dict))
    raw[place] = {**raw[place], "x_unheard_of": object, "_own": None}

    assert parse(raw).to_list() == raw


# Values that are not messages


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (None, "a message must be a list, got NoneType"),
        ({}, "a message must be a list, got dict"),
        ("[48]", "a message must be a list, got str"),
        ((48, 7, {}, "com.p"), "a message must be a list, got tuple"),
        ([], "a message must not be an empty list"),
        ([None], "a message type code must be an integer, got NoneType"),
        (["48"], "a message type code must be an integer, got str"),
        ([True, "realm1", ROLES], "a message type code must be an integer, got bool"),
        ([48.0, 7, {}, "com.p"], "a message type code must be an integer, got float"),
        ([[48], 7, {}, "com.p"], "a message type code must be an integer, got list"),
        ([{}], "a message type code must be an integer, got dict"),
        ([0], "there is no message type with code 0"),
        ([-1], "there is no message type with code -1"),
        ([7, {}], "there is no message type with code 7"),
        ([10**4000], "there is no message type with code an integer of 13288 bits"),
    ],
)
def test_value_that_is_not_a_message_is_a_violation(raw: object, text: str) -> None:
    error = refused(raw)

    assert type(error) is RemoteProtocolError
    assert error.message.startswith(text)
    assert error.uri == PROTOCOL_VIOLATION


@pytest.mark.parametrize("name", VALID)
def test_wrong_number_of_elements_is_a_violation(name: str) -> None:
    raw, shortest = VALID[name], SHORTEST[name]

    too_short, too_long = refused(raw[: shortest - 1]), refused([*raw, {}])
    bare = refused(raw[:1])

    expected = str(shortest) if len(raw) == shortest else f"{shortest} to {len(raw)}"
    assert too_short.message == f"{name} must have {expected} elements, got {shortest - 1}"
    assert too_long.message == f"{name} must have {expected} elements, got {len(raw) + 1}"
    assert bare.message == f"{name} must have {expected} elements, got 1"


@pytest.mark.parametrize(("name", "place", "field", "value", "text"), wrong_fields())
def test_error_names_the_field_of_wrong_type_or_range(
    name: str, place: int, field: str, value: object, text: str
) -> None:
    raw = list(VALID[name])
    raw[place] = value

    error = refused(raw)

    assert error.message.startswith(f"{name}.{field} must be ")
    assert text in error.message
    refused_alone = value is None or (field == "ArgumentsKw" and isinstance(value, dict))
    if name in ("CALL", "PUBLISH", "YIELD") and field.startswith("Arguments") and refused_alone:
        assert type(error) is InvalidPayload
        assert (error.request_type, error.request_id) == (raw[0], raw[1])
        assert error.uri == INVALID_ARGUMENT
    else:
        assert type(error) is RemoteProtocolError
        assert error.uri == PROTOCOL_VIOLATION


def test_errors_truncate_long_values() -> None:
    secret = "s" * 10_000

    for raw in ([49, 7, {"mode": secret}], [48, 7, {}, secret + " "], [6, {}, "#" + secret]):
        error = refused(raw)
        assert "sss" in error.message
        assert len(error.message) < 200


# URIs


@pytest.mark.parametrize("uri", ["", ".", "com..p", "com.p.", "com.my proc", "com.p#", "com.p\n", ".com"])
@pytest.mark.parametrize(
    ("name", "field"),
    [("PUBLISH", "Topic"), ("SUBSCRIBE", "Topic"), ("CALL", "Procedure"), ("REGISTER", "Procedure")],
)
def test_invalid_uri_refuses_only_that_request(name: str, field: str, uri: str) -> None:
    code = VALID[name][0]

    error = refused([code, 23, {}, uri])

    assert isinstance(error, InvalidURI)
    assert error.message == f"{name}.{field} is not a valid URI by the loose rules, got {uri!r}"
    assert (error.request_type, error.request_id) == (code, 23)
    assert error.uri == INVALID_URI


@pytest.mark.parametrize("name", ["PUBLISH", "SUBSCRIBE", "CALL", "REGISTER"])
def test_strict_policy_applies_to_requests(name: str) -> None:
    raw = [VALID[name][0], 23, {}, "com.myApp"]

    assert parse(raw).to_list() == raw
    error = refused(raw, uri_check="strict")

    assert isinstance(error, InvalidURI)
    assert "by the strict rules, got 'com.myApp'" in error.message


def test_error_for_an_invalid_realm_names_no_request() -> None:
    for uri, policy in (("my realm", "loose"), ("", "loose"), ("myRealm", "strict")):
        error = refused([1, uri, ROLES], uri_check=policy)

        assert isinstance(error, InvalidURI)
        assert "HELLO.Realm" in error.message
        assert (error.request_type, error.request_id) == (None, None)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ([3, {}, "not a uri"], "ABORT.Reason"),
        ([6, {}, "not a uri"], "GOODBYE.Reason"),
        ([8, 68, 7, {}, "not a uri"], "ERROR.Error"),
    ],
)
def test_invalid_reason_or_error_uri_is_a_violation(raw: list[Any], field: str) -> None:
    error = refused(raw)

    assert type(error) is RemoteProtocolError
    assert error.message == f"{field} must be a URI, got 'not a uri'"


@pytest.mark.parametrize("raw", [[3, {}, "com.myApp"], [6, {}, "com.myApp"], [8, 68, 7, {}, "com.myApp"]])
def test_reasons_and_error_uris_only_follow_the_loose_rules(raw: list[Any]) -> None:
    assert parse(raw, uri_check="strict").to_list() == raw


@pytest.mark.parametrize(
    ("options", "uri", "valid"),
    [
        ({}, "com..t", False),
        ({"match": "exact"}, "com.t", True),
        ({"match": "exact"}, "com.t.", False),
        ({"match": "prefix"}, "com.t.", True),
        ({"match": "prefix"}, "com.t", True),
        ({"match": "prefix"}, "", True),
        ({"match": "prefix"}, "com..t", False),
        ({"match": "wildcard"}, "com..t", True),
        ({"match": "wildcard"}, "..", True),
        ({"match": "wildcard"}, "com. .t", False),
        # An unknown match policy is refused later, not by the parser.
        ({"match": "regex"}, "com..t", True),
        ({"match": "regex"}, "com.t", True),
        ({"match": "regex"}, "com.^[a-z]#", False),
    ],
)
@pytest.mark.parametrize("code", [32, 64])
def test_empty_components_are_only_valid_in_patterns(
    code: int, options: dict[str, Any], uri: str, valid: bool
) -> None:
    if valid:
        assert parse([code, 7, options, uri]).to_list() == [code, 7, options, uri]
    else:
        error = refused([code, 7, options, uri])
        assert isinstance(error, InvalidURI)
        assert (error.request_type, error.request_id) == (code, 7)


@pytest.mark.parametrize("code", [16, 48])
def test_publish_and_call_refuse_patterns(code: int) -> None:
    assert isinstance(refused([code, 7, {"match": "wildcard"}, "com..t"]), InvalidURI)


def test_wrong_type_is_reported_before_an_invalid_uri() -> None:
    for raw in ([48, 0, {}, "com..p"], [48, 7, {"timeout": -1}, "com..p"], [48, 7, {}, "com..p", {}]):
        assert type(refused(raw)) is RemoteProtocolError
    assert type(refused([48, 7, {}, "com..p", None])) is InvalidPayload


# Payloads that refuse only the request


@pytest.mark.parametrize(
    ("options", "expects_answer"),
    [({}, False), ({"acknowledge": False}, False), ({"acknowledge": True}, True), (5, False)],
)
def test_only_an_acknowledged_publication_with_an_invalid_payload_is_answered(
    options: object, expects_answer: bool
) -> None:
    error = refused([16, 7, options, "com.t", None])

    assert isinstance(error, InvalidPayload)
    assert error.expects_answer is expects_answer


def test_error_with_an_invalid_payload_names_its_invocation() -> None:
    error = refused([8, 68, 7, {}, "com.bad", None])

    assert isinstance(error, InvalidPayload)
    assert (error.request_type, error.request_id) == (8, 7)


@pytest.mark.parametrize(
    "raw",
    [[48, 0, {}, "com.p", None], [8, 48, 7, {}, "com.bad", None], [36, 7, 8, {}, None], [50, 7, {}, None]],
    ids=str,
)
def test_invalid_payload_without_a_request_is_a_violation(raw: list[Any]) -> None:
    assert type(refused(raw)) is RemoteProtocolError


# Options and Details

BOOLS = (True, False)
NOT_BOOLS: tuple[Any, ...] = (1, 0, "yes", [])
STRS = ("", "x")
NOT_STRS = (5, b"x", ["x"])
STR_LISTS: tuple[Any, ...] = ([], ["a"], ["a", "b"])
NOT_STR_LISTS: tuple[Any, ...] = ("a", [1], ["a", None], {"a": 1}, [["a"]])
ID_LISTS: tuple[Any, ...] = ([], [1], [1, MAX_ID])
NOT_ID_LISTS: tuple[Any, ...] = (1, [0], [True], ["1"], [1, MAX_ID + 1], {1: 1})
TIMEOUTS = (0, 1, 10**9)
NOT_TIMEOUTS = (-1, 1.5, True, "5")
MODES = ("skip", "kill", "killnowait")
NOT_MODES = ("", "Kill", "killwait", 1, ["kill"])

ATTRIBUTES: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    "PUBLISH.Options.acknowledge": (BOOLS, NOT_BOOLS),
    "PUBLISH.Options.exclude_me": (BOOLS, NOT_BOOLS),
    "PUBLISH.Options.disclose_me": (BOOLS, NOT_BOOLS),
    "PUBLISH.Options.exclude": (ID_LISTS, NOT_ID_LISTS),
    "PUBLISH.Options.eligible": (ID_LISTS, NOT_ID_LISTS),
    "PUBLISH.Options.exclude_authid": (STR_LISTS, NOT_STR_LISTS),
    "PUBLISH.Options.exclude_authrole": (STR_LISTS, NOT_STR_LISTS),
    "PUBLISH.Options.eligible_authid": (STR_LISTS, NOT_STR_LISTS),
    "PUBLISH.Options.eligible_authrole": (STR_LISTS, NOT_STR_LISTS),
    "PUBLISH.Options.retain": (BOOLS, NOT_BOOLS),
    "PUBLISH.Options.enc_algo": (STRS, NOT_STRS),
    "PUBLISH.Options.ppt_scheme": (STRS, NOT_STRS),
    "SUBSCRIBE.Options.match": (("exact", "prefix", "wildcard", "regex"), NOT_STRS),
    "SUBSCRIBE.Options.get_retained": (BOOLS, NOT_BOOLS),
    "EVENT.Details.topic": (STRS, NOT_STRS),
    "EVENT.Details.retained": (BOOLS, NOT_BOOLS),
    "EVENT.Details.enc_algo": (STRS, NOT_STRS),
    "CALL.Options.timeout": (TIMEOUTS, NOT_TIMEOUTS),
    "CALL.Options.receive_progress": (BOOLS, NOT_BOOLS),
    "CALL.Options.progress": (BOOLS, NOT_BOOLS),
    "CALL.Options.disclose_me": (BOOLS, NOT_BOOLS),
    "CALL.Options.ppt_scheme": (STRS, NOT_STRS),
    "CANCEL.Options.mode": (MODES, NOT_MODES),
    "RESULT.Details.progress": (BOOLS, NOT_BOOLS),
    "REGISTER.Options.match": (("exact", "prefix", "wildcard", "regex"), NOT_STRS),
    "REGISTER.Options.invoke": (("single", "unheard-of"), NOT_STRS),
    "REGISTER.Options.concurrency": ((0, 1, 10**9), NOT_TIMEOUTS),
    "REGISTER.Options.disclose_caller": (BOOLS, NOT_BOOLS),
    "REGISTER.Options.forward_timeout": (BOOLS, NOT_BOOLS),
    "REGISTER.Options.force_reregister": (BOOLS, NOT_BOOLS),
    "INVOCATION.Details.procedure": (STRS, NOT_STRS),
    "INVOCATION.Details.timeout": (TIMEOUTS, NOT_TIMEOUTS),
    "INVOCATION.Details.receive_progress": (BOOLS, NOT_BOOLS),
    "INVOCATION.Details.progress": (BOOLS, NOT_BOOLS),
    "INTERRUPT.Options.mode": (MODES, NOT_MODES),
    "YIELD.Options.progress": (BOOLS, NOT_BOOLS),
    "YIELD.Options.ppt_scheme": (STRS, NOT_STRS),
    "WELCOME.Details.roles": (({}, {"broker": {}}), ([], "broker")),
    "HELLO.Details.authmethods": (STR_LISTS, NOT_STR_LISTS),
    "HELLO.Details.authid": (STRS, NOT_STRS),
    "HELLO.Details.authextra": (({}, {"a": 1}), ([], "a")),
}


def with_attribute(attribute: str, value: object) -> list[Any]:
    name, field, key = attribute.split(".")
    place = 1 + [item.split(":")[0] for item in FIELDS[name].split()].index(field)
    raw = list(VALID[name])
    raw[place] = {**raw[place], key: value}
    return raw


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_known_attribute_that_is_null_counts_as_absent(attribute: str) -> None:
    absent = with_attribute(attribute, None)
    for element in absent:
        if isinstance(element, dict):
            element.pop(attribute.split(".")[2], None)

    assert parse(with_attribute(attribute, None)) == parse(absent)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_known_attribute_accepts_values_of_its_type(attribute: str) -> None:
    for value in ATTRIBUTES[attribute][0]:
        raw = with_attribute(attribute, value)
        assert parse(raw).to_list() == raw


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_known_attribute_of_wrong_type_or_range_is_a_violation(attribute: str) -> None:
    for value in ATTRIBUTES[attribute][1]:
        error = refused(with_attribute(attribute, value))
        assert type(error) is RemoteProtocolError
        assert error.message.startswith(f"{attribute} must be "), value


@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        ("PUBLISH.Options.acknowledge", 1, "PUBLISH.Options.acknowledge must be a bool, got int"),
        (
            "PUBLISH.Options.exclude",
            [0],
            "PUBLISH.Options.exclude must be a list of session IDs, got a list with invalid content",
        ),
        (
            "CALL.Options.timeout",
            -1,
            "CALL.Options.timeout must be a number of milliseconds, 0 or more, got -1",
        ),
        (
            "CANCEL.Options.mode",
            "stop",
            'CANCEL.Options.mode must be "skip", "kill" or "killnowait", got ' + "'stop'",
        ),
    ],
)
def test_error_describes_the_expected_and_the_actual_value(attribute: str, value: object, text: str) -> None:
    assert refused(with_attribute(attribute, value)).message == text


@pytest.mark.parametrize(
    "roles",
    [
        {"publisher": {}},
        {"subscriber": {}},
        {"caller": {"features": {}}},
        {"callee": {"features": {"call_canceling": True}}, "x_unheard_of": None},
        {"publisher": {}, "subscriber": {}, "caller": {}, "callee": {}},
    ],
)
def test_hello_with_at_least_one_role_is_accepted(roles: dict[str, Any]) -> None:
    message = parse([1, "realm1", {"roles": roles}])

    assert message == messages.Hello("realm1", {"roles": roles})


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ({}, "HELLO.Details.roles must be a dict with strings as keys, got NoneType"),
        ({"roles": ["caller"]}, "HELLO.Details.roles must be a dict"),
        (
            {"roles": {}},
            "HELLO.Details.roles must contain at least one of publisher, subscriber, caller, callee",
        ),
        ({"roles": {"broker": {}}}, "HELLO.Details.roles must contain at least one of"),
        ({"roles": {"caller": True}}, "HELLO.Details.roles.caller must be a dict"),
        ({"roles": {"callee": {}, "caller": None}}, "HELLO.Details.roles.caller must be a dict"),
        ({"roles": {"caller": {"features": []}}}, "HELLO.Details.roles.caller.features must be a dict"),
    ],
)
def test_hello_with_invalid_roles_is_a_violation(details: dict[str, Any], text: str) -> None:
    error = refused([1, "realm1", details])

    assert type(error) is RemoteProtocolError
    assert error.message.startswith(text)


# Payloads encoded by the publisher


@pytest.mark.parametrize(("name", "place"), [("PUBLISH", 2), ("EVENT", 3)])
def test_encoded_payload_requires_its_algorithm(name: str, place: int) -> None:
    raw = [*VALID[name][:4], b"\x82"]
    assert refused(raw).message == f"{name}.Arguments must be a list, got bytes"

    raw[place] = {"enc_algo": "cryptobox"}
    message: Any = parse(raw)

    assert (message.args, message.kwargs, message.payload) == (None, None, b"\x82")
    assert message.to_list() == raw


@pytest.mark.parametrize(("name", "place"), [("PUBLISH", 2), ("EVENT", 3)])
def test_encoded_payload_must_be_the_last_element(name: str, place: int) -> None:
    raw = [*VALID[name][:4], b"\x82", {}]
    raw[place] = {"enc_algo": "cryptobox"}

    assert refused(raw).message == f"{name}.Arguments must be a list, got bytes"


def test_encoded_payload_with_invalid_options_is_a_violation() -> None:
    assert "PUBLISH.Arguments" in refused([16, 7, None, "com.t", b"\x82"]).message
    assert "enc_algo" in refused([16, 7, {"enc_algo": 5}, "com.t", b"\x82"]).message


# Random data

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5)
    | st.sampled_from(["com.t", "com..t", "realm1"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=3) | st.sampled_from(["roles", "match", "timeout", "exclude", "mode"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


CODED = st.builds(lambda code, rest: [code, *rest], st.sampled_from([*MESSAGES]), st.lists(VALUES))


@settings(deadline=None)
@given(VALUES | CODED)
def test_random_values_are_parsed_or_refused(raw: object) -> None:
    try:
        message = parse(raw)
    except RemoteProtocolError:
        return
    assert isinstance(raw, list)
    assert message.code == raw[0]


@settings(deadline=None)
@given(st.sampled_from([*VALID]), st.data())
def test_message_with_one_random_field_is_parsed_or_refused(name: str, data: st.DataObject) -> None:
    raw = list(VALID[name])
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(VALUES)
    try:
        message = parse(raw)
    except RemoteProtocolError:
        return
    assert parse(message.to_list()).to_list() == message.to_list()


@pytest.mark.parametrize("reason", [{}, {"reason": "moved"}])
def test_revocation_has_request_id_0_and_details(reason: dict[str, Any]) -> None:
    details: dict[str, Any] = {"registration": 8, **reason}
    assert parse([67, 0, details]) == messages.Unregistered(0, details)
    details = {"subscription": 8, **reason}
    assert parse([35, 0, details]) == messages.Unsubscribed(0, details)


@pytest.mark.parametrize(
    "fields",
    [[0, []], [0, {"registration": 0, "subscription": 0}], [0, {"reason": 5}], [1, {}], [False, {}], [0]],
)
def test_malformed_revocation_is_refused(fields: list[Any]) -> None:
    assert "UNREGISTERED" in refused([67, *fields]).message
    assert "UNSUBSCRIBED" in refused([35, *fields]).message
