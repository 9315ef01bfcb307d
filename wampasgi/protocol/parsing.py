"""Parses the list that a serializer decoded into a message, and validates every field.

A violation of the specification raises :class:`~wampasgi.errors.RemoteProtocolError`. Its text names the
message and the field and quotes at most a few characters of the peer's data. A request whose URI breaks the
URI rules raises :class:`~wampasgi.errors.InvalidURI`, which names the request, because only that request is
refused. So is a request with null as Arguments or ArgumentsKw, or with keys that are not text, which clients
send by mistake: :class:`~wampasgi.errors.InvalidPayload`. Unknown attributes of Options and Details pass
unchecked.

Spec: Basic Profile, "Messages" and "Protocol Errors"; the advanced features for their options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, cast

from wampasgi.errors import InvalidURI, RemoteProtocolError
from wampasgi.protocol import messages
from wampasgi.protocol.ids import MAX_ID
from wampasgi.protocol.messages import Message
from wampasgi.protocol.options import (
    CALL_RULES,
    EVENT_RULES,
    HELLO_RULES,
    INVOCATION_RULES,
    MODE_RULES,
    PASSTHRU_RULES,
    PROGRESS_RULES,
    PUBLISH_RULES,
    REGISTER_RULES,
    SUBSCRIBE_RULES,
    UNREGISTERED_RULES,
    UNSUBSCRIBED_RULES,
    WELCOME_RULES,
    YIELD_RULES,
    Rules,
)
from wampasgi.protocol.refusals import rejection
from wampasgi.protocol.uris import MATCH_POLICIES, VALID_URIS, check_pattern
from wampasgi.types import Match, RawMessage, URICheck

_MAX_QUOTED: Final = 40


_Parser: TypeAlias = Callable[[RawMessage, URICheck], Message]


def parse(raw: object, uri_check: URICheck = "loose") -> Message:
    """Parse ``raw``, a decoded list ``[code, ...]``, into a message.

    The message shares the lists and dicts of ``raw``. ``uri_check`` is the policy for realms, topics and
    procedures. Reasons and error URIs only have to follow the loose rules, the mandatory ones, because they
    name nothing on this router. Messages of all types are accepted, including those that only routers send.
    """
    if type(raw) is list and raw and type(raw[0]) is int and (parser := _PARSERS.get(raw[0])) is not None:
        return parser(raw, uri_check)
    raise RemoteProtocolError(_describe_invalid(raw))


def _describe_invalid(raw: object) -> str:
    if not isinstance(raw, list):
        return f"a message must be a list, got {_type_name(raw)}"
    if not raw:
        return "a message must not be an empty list: it begins with the message type code"
    if type(raw[0]) is not int:
        return f"a message type code must be an integer, got {_type_name(raw[0])}"
    return f"there is no message type with code {_describe(raw[0])}"


# Error messages


def _type_name(value: object) -> str:
    return type(value).__name__


def _describe(value: object) -> str:
    """Describe a peer's value. Long strings are truncated; containers are described by their type."""
    if isinstance(value, str):
        return repr(value) if len(value) <= _MAX_QUOTED else f"{value[:_MAX_QUOTED]!r}... (truncated)"
    if isinstance(value, int):
        # Serializers return at most 64 bits, but callers may pass integers that are too long for str().
        return str(value) if value.bit_length() <= 64 else f"an integer of {value.bit_length()} bits"
    return f"a {_type_name(value)} with invalid content"


def _field_error(field: str, expected: str, value: object, expected_type: type) -> RemoteProtocolError:
    # A bool is no int here. A dict may be a subclass whose keys are not text.
    is_expected = isinstance(value, expected_type) and type(value) is not bool
    got = _describe(value) if is_expected else _type_name(value)
    return RemoteProtocolError(f"{field} must be {expected}, got {got}")


def _id_error(field: str, value: object) -> RemoteProtocolError:
    return _field_error(field, "an ID, an integer from 1 to 2^53", value, int)


def _length_error(message: str, raw: RawMessage, least: int, most: int) -> RemoteProtocolError:
    expected = str(least) if least == most else f"{least} to {most}"
    return RemoteProtocolError(f"{message} must have {expected} elements, got {len(raw)}")


# Fields


def _check_length(message: str, raw: RawMessage, length: int) -> None:
    if len(raw) != length:
        raise _length_error(message, raw, length, length)


def _payload(message: str, raw: RawMessage, head: int) -> tuple[list[Any] | None, dict[str, Any] | None]:
    """Check the length and return Arguments and ArgumentsKw, which follow ``head`` elements."""
    length = len(raw) - head
    if length == 0:
        return None, None
    if length != 1 and length != 2:
        raise _length_error(message, raw, head, head + 2)
    args = raw[head]
    if type(args) is not list:
        violation = _field_error(f"{message}.Arguments", "a list", args, list)
        raise violation if args is not None else rejection(raw, str(violation))
    if length == 1:
        return args, None
    kwargs = raw[head + 1]
    if type(kwargs) is not dict or not _has_str_keys(kwargs):
        violation = _dict_error(f"{message}.ArgumentsKw", kwargs)
        raise rejection(raw, str(violation)) if kwargs is None or isinstance(kwargs, dict) else violation
    return args, kwargs


def _id(field: str, value: object) -> int:
    if type(value) is int and 0 < value <= MAX_ID:
        return value
    raise _id_error(field, value)


def _str(field: str, value: object) -> str:
    if type(value) is str:
        return value
    raise _field_error(field, "a string", value, str)


def _has_str_keys(value: dict[Any, Any]) -> bool:
    for key in value:  # noqa: SIM110 (a generator would take longer than the loop)
        if type(key) is not str:
            return False
    return True


def _dict(field: str, value: object) -> dict[str, Any]:
    if type(value) is dict and _has_str_keys(value):
        return value
    raise _dict_error(field, value)


def _dict_error(field: str, value: object) -> RemoteProtocolError:
    return _field_error(field, "a dict with strings as keys", value, dict)


def _attributes(field: str, value: object, rules: Rules) -> dict[str, Any]:
    """Return Options or Details after checking the known attributes against their rules.

    A known attribute that is null counts as absent, because JavaScript clients send null for undefined.
    """
    attributes = _dict(field, value)
    if None in attributes.values():
        attributes = {
            name: attribute
            for name, attribute in attributes.items()
            if attribute is not None or name not in rules
        }
    for name, attribute in attributes.items():
        rule = rules.get(name)
        if rule is not None and not rule.holds(attribute):
            raise _field_error(f"{field}.{name}", rule.expected, attribute, rule.type)
    return attributes


def _request_uri_error(
    field: str, value: object, code: int, request_id: int, uri_check: URICheck
) -> RemoteProtocolError:
    uri = _str(field, value)
    return _uri_error(field, uri, uri_check, request_type=code, request_id=request_id)


def _request_pattern(
    field: str, raw: RawMessage, options: dict[str, Any], request_id: int, uri_check: URICheck
) -> str:
    """Return the topic of SUBSCRIBE or procedure of REGISTER after checking it for ``options.match``."""
    code, uri = raw[0], _str(field, raw[3])
    match = options.get("match", "exact") if options else "exact"
    # An unknown match policy gets the most lenient check, because a later stage reports it more precisely.
    policy = cast("Match", match) if match in MATCH_POLICIES else "wildcard"
    if check_pattern(uri, policy, uri_check):
        return uri
    raise _uri_error(field, uri, uri_check, request_type=code, request_id=request_id)


def _uri_error(
    field: str,
    uri: str,
    uri_check: URICheck,
    *,
    request_type: int | None = None,
    request_id: int | None = None,
) -> InvalidURI:
    return InvalidURI(
        f"{field} is not a valid URI by the {uri_check} rules, got {_describe(uri)}",
        request_type=request_type,
        request_id=request_id,
    )


def _uri(field: str, value: object) -> str:
    """Return a reason or error URI after checking it."""
    uri = _str(field, value)
    if VALID_URIS["loose"][uri]:
        return uri
    raise _field_error(field, "a URI", uri, str)


_CLIENT_ROLES: Final = ("publisher", "subscriber", "caller", "callee")


def _check_client_roles(details: dict[str, Any]) -> None:
    roles = _dict("HELLO.Details.roles", details.get("roles"))
    announced = [role for role in _CLIENT_ROLES if role in roles]
    if not announced:
        raise RemoteProtocolError(
            "HELLO.Details.roles must contain at least one of publisher, subscriber, caller, callee"
        )
    for role in announced:
        attributes = _dict(f"HELLO.Details.roles.{role}", roles[role])
        if "features" in attributes:
            _dict(f"HELLO.Details.roles.{role}.features", attributes["features"])


# Session lifecycle


def _hello(raw: RawMessage, uri_check: URICheck) -> Message:
    _check_length("HELLO", raw, 3)
    details = _attributes("HELLO.Details", raw[2], HELLO_RULES)
    _check_client_roles(details)
    realm = _str("HELLO.Realm", raw[1])
    if not VALID_URIS[uri_check][realm]:
        raise _uri_error("HELLO.Realm", realm, uri_check)
    return messages.Hello(realm, details)


def _welcome(raw: RawMessage, _: URICheck) -> Message:
    _check_length("WELCOME", raw, 3)
    session_id = _id("WELCOME.Session", raw[1])
    return messages.Welcome(session_id, _attributes("WELCOME.Details", raw[2], WELCOME_RULES))


def _abort(raw: RawMessage, _: URICheck) -> Message:
    args, kwargs = _payload("ABORT", raw, 3)
    details = _dict("ABORT.Details", raw[1])
    return messages.Abort(details, _uri("ABORT.Reason", raw[2]), args, kwargs)


def _challenge(raw: RawMessage, _: URICheck) -> Message:
    _check_length("CHALLENGE", raw, 3)
    return messages.Challenge(_str("CHALLENGE.AuthMethod", raw[1]), _dict("CHALLENGE.Extra", raw[2]))


def _authenticate(raw: RawMessage, _: URICheck) -> Message:
    _check_length("AUTHENTICATE", raw, 3)
    signature = _str("AUTHENTICATE.Signature", raw[1])
    return messages.Authenticate(signature, _dict("AUTHENTICATE.Extra", raw[2]))


def _goodbye(raw: RawMessage, _: URICheck) -> Message:
    _check_length("GOODBYE", raw, 3)
    return messages.Goodbye(_dict("GOODBYE.Details", raw[1]), _uri("GOODBYE.Reason", raw[2]))


#: The requests that ERROR can answer. CANCEL has no answer of its own.
_ANSWERED_BY_ERROR: Final = frozenset(
    request.code
    for request in (
        messages.Publish,
        messages.Subscribe,
        messages.Unsubscribe,
        messages.Call,
        messages.Register,
        messages.Unregister,
        messages.Invocation,
    )
)


def _error(raw: RawMessage, _: URICheck) -> Message:
    args, kwargs = _payload("ERROR", raw, 5)
    request_type = raw[1]
    if type(request_type) is not int or request_type not in _ANSWERED_BY_ERROR:
        raise _field_error(
            "ERROR.REQUEST.Type", "the code of a request that ERROR answers", request_type, int
        )
    request_id = _id("ERROR.REQUEST.Request", raw[2])
    details = _attributes("ERROR.Details", raw[3], PASSTHRU_RULES)
    return messages.Error(request_type, request_id, details, _uri("ERROR.Error", raw[4]), args, kwargs)


# Publish and subscribe


def _event_payload(
    message: str, raw: RawMessage, attributes_at: int
) -> tuple[list[Any] | None, dict[str, Any] | None, bytes | None]:
    """Return Arguments, ArgumentsKw and the encoded payload, which replaces both if ``enc_algo`` is set."""
    if len(raw) == 5 and type(raw[4]) is bytes:
        attributes = raw[attributes_at]
        if type(attributes) is dict and "enc_algo" in attributes:
            return None, None, raw[4]
    return *_payload(message, raw, 4), None


# CALL, PUBLISH and YIELD are checked inline: they are most of the messages that a busy router receives, and a
# function call per field would double the time.
def _publish(raw: RawMessage, uri_check: URICheck) -> Message:
    args, kwargs, payload = (
        (raw[4], None, None) if len(raw) == 5 and type(raw[4]) is list else _event_payload("PUBLISH", raw, 2)
    )
    request_id, options, topic = raw[1], raw[2], raw[3]
    if type(request_id) is not int or not 0 < request_id <= MAX_ID:
        raise _id_error("PUBLISH.Request", request_id)
    if options or type(options) is not dict:
        options = _attributes("PUBLISH.Options", options, PUBLISH_RULES)
    if type(topic) is not str or not VALID_URIS[uri_check][topic]:
        error = _request_uri_error("PUBLISH.Topic", topic, 16, request_id, uri_check)
        if isinstance(error, InvalidURI):
            error.expects_answer = options.get("acknowledge", False)
        raise error
    return messages.Publish(request_id, options, topic, args, kwargs, payload)


def _subscribe(raw: RawMessage, uri_check: URICheck) -> Message:
    _check_length("SUBSCRIBE", raw, 4)
    request_id = _id("SUBSCRIBE.Request", raw[1])
    options = _attributes("SUBSCRIBE.Options", raw[2], SUBSCRIBE_RULES)
    topic = _request_pattern("SUBSCRIBE.Topic", raw, options, request_id, uri_check)
    return messages.Subscribe(request_id, options, topic)


def _event(raw: RawMessage, _: URICheck) -> Message:
    args, kwargs, payload = _event_payload("EVENT", raw, 3)
    subscription_id = _id("EVENT.Subscription", raw[1])
    publication_id = _id("EVENT.Publication", raw[2])
    details = _attributes("EVENT.Details", raw[3], EVENT_RULES)
    return messages.Event(subscription_id, publication_id, details, args, kwargs, payload)


# Routed remote procedure calls


def _call(raw: RawMessage, uri_check: URICheck) -> Message:
    if len(raw) == 5 and type(raw[4]) is list:
        _, request_id, options, procedure, args = raw
        kwargs = None
    else:
        args, kwargs = _payload("CALL", raw, 4)
        request_id, options, procedure = raw[1:4]
    if type(request_id) is not int or not 0 < request_id <= MAX_ID:
        raise _id_error("CALL.Request", request_id)
    if options or type(options) is not dict:
        options = _attributes("CALL.Options", options, CALL_RULES)
    if type(procedure) is not str or not VALID_URIS[uri_check][procedure]:
        raise _request_uri_error("CALL.Procedure", procedure, 48, request_id, uri_check)
    return messages.Call(request_id, options, procedure, args, kwargs)


def _cancel(raw: RawMessage, _: URICheck) -> Message:
    _check_length("CANCEL", raw, 3)
    return messages.Cancel(_id("CANCEL.Request", raw[1]), _attributes("CANCEL.Options", raw[2], MODE_RULES))


def _result(raw: RawMessage, _: URICheck) -> Message:
    args, kwargs = _payload("RESULT", raw, 3)
    request_id = _id("RESULT.Request", raw[1])
    details = _attributes("RESULT.Details", raw[2], PROGRESS_RULES)
    return messages.Result(request_id, details, args, kwargs)


def _register(raw: RawMessage, uri_check: URICheck) -> Message:
    _check_length("REGISTER", raw, 4)
    request_id = _id("REGISTER.Request", raw[1])
    options = _attributes("REGISTER.Options", raw[2], REGISTER_RULES)
    procedure = _request_pattern("REGISTER.Procedure", raw, options, request_id, uri_check)
    return messages.Register(request_id, options, procedure)


def _invocation(raw: RawMessage, _: URICheck) -> Message:
    args, kwargs = _payload("INVOCATION", raw, 4)
    request_id = _id("INVOCATION.Request", raw[1])
    registration_id = _id("INVOCATION.Registration", raw[2])
    details = _attributes("INVOCATION.Details", raw[3], INVOCATION_RULES)
    return messages.Invocation(request_id, registration_id, details, args, kwargs)


def _interrupt(raw: RawMessage, _: URICheck) -> Message:
    _check_length("INTERRUPT", raw, 3)
    request_id = _id("INTERRUPT.Request", raw[1])
    return messages.Interrupt(request_id, _attributes("INTERRUPT.Options", raw[2], MODE_RULES))


def _yield(raw: RawMessage, _: URICheck) -> Message:
    if len(raw) == 4 and type(raw[3]) is list:
        _, request_id, options, args = raw
        kwargs = None
    else:
        args, kwargs = _payload("YIELD", raw, 3)
        request_id, options = raw[1:3]
    if type(request_id) is not int or not 0 < request_id <= MAX_ID:
        raise _id_error("YIELD.Request", request_id)
    if options or type(options) is not dict:
        options = _attributes("YIELD.Options", options, YIELD_RULES)
    return messages.Yield(request_id, options, args, kwargs)


def _id_parser(message: Callable[..., Message], name: str, *fields: str) -> _Parser:
    """Return a parser for a message whose fields are all IDs."""

    def parse_ids(raw: RawMessage, _: URICheck) -> Message:
        _check_length(name, raw, 1 + len(fields))
        return message(*(_id(f"{name}.{field}", value) for field, value in zip(fields, raw[1:], strict=True)))

    return parse_ids


def _acknowledgement_parser(
    message: type[messages.Unsubscribed] | type[messages.Unregistered], name: str, rules: Rules
) -> _Parser:
    """Return a parser for a message that acknowledges a request or, with request ID 0, revokes.

    Spec: Advanced Profile, "Subscription Revocation" and "Registration Revocation".
    """
    acknowledged = _id_parser(message, name, "Request")

    def parse_acknowledgement(raw: RawMessage, uri_check: URICheck) -> Message:
        if len(raw) == 3 and type(raw[1]) is int and raw[1] == 0:
            return message(0, _attributes(f"{name}.Details", raw[2], rules))
        return acknowledged(raw, uri_check)

    return parse_acknowledgement


_PARSERS: Final[Mapping[int, _Parser]] = {
    1: _hello,
    2: _welcome,
    3: _abort,
    4: _challenge,
    5: _authenticate,
    6: _goodbye,
    8: _error,
    16: _publish,
    17: _id_parser(messages.Published, "PUBLISHED", "Request", "Publication"),
    32: _subscribe,
    33: _id_parser(messages.Subscribed, "SUBSCRIBED", "Request", "Subscription"),
    34: _id_parser(messages.Unsubscribe, "UNSUBSCRIBE", "Request", "Subscription"),
    35: _acknowledgement_parser(messages.Unsubscribed, "UNSUBSCRIBED", UNSUBSCRIBED_RULES),
    36: _event,
    48: _call,
    49: _cancel,
    50: _result,
    64: _register,
    65: _id_parser(messages.Registered, "REGISTERED", "Request", "Registration"),
    66: _id_parser(messages.Unregister, "UNREGISTER", "Request", "Registration"),
    67: _acknowledgement_parser(messages.Unregistered, "UNREGISTERED", UNREGISTERED_RULES),
    68: _invocation,
    69: _interrupt,
    70: _yield,
}
