from __future__ import annotations

import pytest

from wampasgi.errors import INVALID_URI, InvalidURI, WAMPError
from wampasgi.protocol.messages import Call, Goodbye, Hello, Message, Publish, Register, Subscribe, Unregister
from wampasgi.protocol.uri_limits import MOST_COMPONENTS, check_components, check_uri_length


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (Publish(7, {"acknowledge": True}, "com.t"), "topic"),
        (Subscribe(7, {}, "com.t"), "topic"),
        (Call(7, {}, "com.p"), "procedure"),
        (Register(7, {}, "com.p"), "procedure"),
    ],
    ids=["PUBLISH", "SUBSCRIBE", "CALL", "REGISTER"],
)
def test_request_with_too_long_uri_is_refused(message: Message, field: str) -> None:
    check_uri_length(message, 5)

    with pytest.raises(InvalidURI) as raised:
        check_uri_length(message, 4)

    error = raised.value
    assert error.message == f"the {field} has 5 characters, over the limit uri_length of 4"
    assert (error.request_type, error.request_id) == (message.code, 7)
    assert error.expects_answer
    assert error.uri == INVALID_URI


def test_length_is_counted_in_characters_and_not_in_bytes() -> None:
    check_uri_length(Call(7, {}, "\U0001f4ac" * 10), 10)


@pytest.mark.parametrize("options", [{}, {"acknowledge": False}])
def test_publication_without_acknowledgement_expects_no_answer(options: dict[str, bool]) -> None:
    with pytest.raises(InvalidURI) as raised:
        check_uri_length(Publish(7, dict(options), "com.t"), 4)

    assert not raised.value.expects_answer


def test_error_for_a_too_long_realm_names_no_request() -> None:
    with pytest.raises(InvalidURI, match="the realm has 6 characters") as raised:
        check_uri_length(Hello("realm1", {}), 5)

    assert (raised.value.request_type, raised.value.request_id) == (None, None)


def test_messages_without_the_uri_of_a_realm_topic_or_procedure_are_not_limited() -> None:
    check_uri_length(Goodbye({}, "wamp.close.close_realm"), 1)
    check_uri_length(Unregister(7, 8), 1)


def test_wildcard_pattern_with_too_many_components_is_refused() -> None:
    longest = "." * (MOST_COMPONENTS - 1)
    check_components(longest, "wildcard")

    with pytest.raises(WAMPError) as raised:
        check_components(longest + ".", "wildcard")

    assert raised.value.uri == INVALID_URI
    assert raised.value.args == ("a wildcard pattern may have at most 32 components, got 33",)


@pytest.mark.parametrize("match", ["exact", "prefix"])
def test_only_components_of_wildcard_patterns_are_limited(match: str) -> None:
    check_components(".".join("a" * 100), match)
