"""From the list that a serializer decoded to a message, with every field checked.

Whatever breaks the specification raises :class:`~wampasgi.errors.RemoteProtocolError`, whose text names the
message and the field, and shows at most a few characters of what the peer sent. A request whose URI breaks
the URI rules raises :class:`~wampasgi.errors.InvalidURI`, which names that request: only it is refused.
Attributes of Options and Details that are not known here are let through unseen.

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
from wampasgi.protocol.uris import MATCH_POLICIES, VALID_URIS, check_pattern
from wampasgi.types import Match, RawMessage, URICheck

_SHOWN: Final = 40


_Parser: TypeAlias = Callable[[RawMessage, URICheck], Message]


def parse(raw: object, uri_check: URICheck = "loose") -> Message:
    """Make the message that ``raw``, a decoded list ``[code, ...]``, stands for.

    The lists and dicts in it become those of the message, uncopied. ``uri_check`` is the policy for realms,
    topics and procedures; reasons and error URIs are held to the loose rules, which alone are mandatory,
    because they name nothing of this router's. Any type of message is read, whichever side sends it.
    """
    if type(raw) is list and raw and type(raw[0]) is int and (parser := _PARSERS.get(raw[0])) is not None:
        return parser(raw, uri_check)
    raise RemoteProtocolError(_why_no_message(raw))


def _why_no_message(raw: object) -> str:
    if not isinstance(raw, list):
        return f"a message must be a list, got {_kind(raw)}"
    if not raw:
        return "a message must not be an empty list: it begins with the message type code"
    if type(raw[0]) is not int:
        return f"a message type code must be an integer, got {_kind(raw[0])}"
    return f"there is no message type with code {_shown(raw[0])}"


# What the texts say


def _kind(value: object) -> str:
    return type(value).__name__


def _shown(value: object) -> str:
    """Show a peer's value, shortened; containers by their type alone."""
    if isinstance(value, str):
        return repr(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!r} and more"
    if isinstance(value, int):
        # Decoders give 64 bits at most, but str() refuses far longer integers.
        return str(value) if value.bit_length() <= 64 else f"an integer of {value.bit_length()} bits"
    return f"a {_kind(value)} with other content"


def _wrong(field: str, expected: str, value: object, expected_type: type) -> RemoteProtocolError:
    got = _shown(value) if type(value) is expected_type else _kind(value)
    return RemoteProtocolError(f"{field} must be {expected}, got {got}")


def _wrong_id(field: str, value: object) -> RemoteProtocolError:
    return _wrong(field, "an ID, an integer from 1 to 2^53", value, int)


def _wrong_length(message: str, raw: RawMessage, least: int, most: int) -> RemoteProtocolError:
    expected = str(least) if least == most else f"{least} to {most}"
    return RemoteProtocolError(f"{message} must have {expected} elements, got {len(raw)}")


# Fields


def _check_length(message: str, raw: RawMessage, length: int) -> None:
    if len(raw) != length:
        raise _wrong_length(message, raw, length, length)


def _payload(message: str, raw: RawMessage, head: int) -> tuple[list[Any] | None, dict[str, Any] | None]:
    """Check the length and take Arguments and ArgumentsKw, which follow ``head`` elements."""
    length = len(raw) - head
    if length == 0:
        return None, None
    if length != 1 and length != 2:
        raise _wrong_length(message, raw, head, head + 2)
    args = raw[head]
    if type(args) is not list:
        raise _wrong(f"{message}.Arguments", "a list", args, list)
    if length == 1:
        return args, None
    kwargs = raw[head + 1]
    if type(kwargs) is not dict or not _has_str_keys(kwargs):
        raise _wrong_dict(f"{message}.ArgumentsKw", kwargs)
    return args, kwargs


def _id(field: str, value: object) -> int:
    if type(value) is int and 0 < value <= MAX_ID:
        return value
    raise _wrong_id(field, value)


def _str(field: str, value: object) -> str:
    if type(value) is str:
        return value
    raise _wrong(field, "a string", value, str)


def _has_str_keys(value: dict[Any, Any]) -> bool:
    for key in value:  # noqa: SIM110 (a generator costs more than the keys)
        if type(key) is not str:
            return False
    return True


def _dict(field: str, value: object) -> dict[str, Any]:
    if type(value) is dict and _has_str_keys(value):
        return value
    raise _wrong_dict(field, value)


def _wrong_dict(field: str, value: object) -> RemoteProtocolError:
    return _wrong(field, "a dict with strings as keys", value, dict)


def _attributes(field: str, value: object, rules: Rules) -> dict[str, Any]:
    """Take Options or Details, and hold the attributes that are known against their rules.

    A known one that is null, as JavaScript's clients write what they leave undefined, is as if it were
    absent.
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
            raise _wrong(f"{field}.{name}", rule.expected, attribute, rule.type)
    return attributes


def _wrong_request_uri(
    field: str, value: object, code: int, request_id: int, uri_check: URICheck
) -> RemoteProtocolError:
    uri = _str(field, value)
    return _invalid_uri(field, uri, uri_check, request_type=code, request_id=request_id)


def _request_pattern(
    field: str, raw: RawMessage, options: dict[str, Any], request_id: int, uri_check: URICheck
) -> str:
    """Take the topic of SUBSCRIBE or procedure of REGISTER, which ``options.match`` may make a pattern."""
    code, uri = raw[0], _str(field, raw[3])
    match = options.get("match", "exact") if options else "exact"
    # Of a policy that nobody knows, whoever answers it can say more than that its URI looks wrong.
    policy = cast("Match", match) if match in MATCH_POLICIES else "wildcard"
    if check_pattern(uri, policy, uri_check):
        return uri
    raise _invalid_uri(field, uri, uri_check, request_type=code, request_id=request_id)


def _invalid_uri(
    field: str,
    uri: str,
    uri_check: URICheck,
    *,
    request_type: int | None = None,
    request_id: int | None = None,
) -> InvalidURI:
    return InvalidURI(
        f"{field} is not a valid URI by the {uri_check} rules, got {_shown(uri)}",
        request_type=request_type,
        request_id=request_id,
    )


def _uri(field: str, value: object) -> str:
    """Take a reason or error URI."""
    uri = _str(field, value)
    if VALID_URIS["loose"][uri]:
        return uri
    raise _wrong(field, "a URI", uri, str)


_CLIENT_ROLES: Final = ("publisher", "subscriber", "caller", "callee")


def _check_client_roles(details: dict[str, Any]) -> None:
    roles = _dict("HELLO.Details.roles", details.get("roles"))
    announced = [role for role in _CLIENT_ROLES if role in roles]
    if not announced:
        raise RemoteProtocolError(
            "HELLO.Details.roles must have one or more of publisher, subscriber, caller, callee"
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
        raise _invalid_uri("HELLO.Realm", realm, uri_check)
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


#: The requests that can fail; CANCEL has no answer of its own.
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
        raise _wrong("ERROR.REQUEST.Type", "the code of a request that ERROR answers", request_type, int)
    request_id = _id("ERROR.REQUEST.Request", raw[2])
    details = _attributes("ERROR.Details", raw[3], PASSTHRU_RULES)
    return messages.Error(request_type, request_id, details, _uri("ERROR.Error", raw[4]), args, kwargs)


# Publish and subscribe


def _event_payload(
    message: str, raw: RawMessage, attributes_at: int
) -> tuple[list[Any] | None, dict[str, Any] | None, bytes | None]:
    """Take Arguments and ArgumentsKw, or the bytes in their place that Options or Details call encoded."""
    if len(raw) == 5 and type(raw[4]) is bytes:
        attributes = raw[attributes_at]
        if type(attributes) is dict and "enc_algo" in attributes:
            return None, None, raw[4]
    return *_payload(message, raw, 4), None


# CALL, PUBLISH and YIELD are checked in line, because they are nearly all that a busy router reads: a call
# for each field would double the time.
def _publish(raw: RawMessage, uri_check: URICheck) -> Message:
    args, kwargs, payload = (
        (raw[4], None, None) if len(raw) == 5 and type(raw[4]) is list else _event_payload("PUBLISH", raw, 2)
    )
    request_id, options, topic = raw[1], raw[2], raw[3]
    if type(request_id) is not int or not 0 < request_id <= MAX_ID:
        raise _wrong_id("PUBLISH.Request", request_id)
    if options or type(options) is not dict:
        options = _attributes("PUBLISH.Options", options, PUBLISH_RULES)
    if type(topic) is not str or not VALID_URIS[uri_check][topic]:
        error = _wrong_request_uri("PUBLISH.Topic", topic, 16, request_id, uri_check)
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
        raise _wrong_id("CALL.Request", request_id)
    if options or type(options) is not dict:
        options = _attributes("CALL.Options", options, CALL_RULES)
    if type(procedure) is not str or not VALID_URIS[uri_check][procedure]:
        raise _wrong_request_uri("CALL.Procedure", procedure, 48, request_id, uri_check)
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
        raise _wrong_id("YIELD.Request", request_id)
    if options or type(options) is not dict:
        options = _attributes("YIELD.Options", options, YIELD_RULES)
    return messages.Yield(request_id, options, args, kwargs)


def _ids(message: Callable[..., Message], name: str, *fields: str) -> _Parser:
    """Make the parser of a message that has nothing but IDs."""

    def parse_ids(raw: RawMessage, _: URICheck) -> Message:
        _check_length(name, raw, 1 + len(fields))
        return message(*(_id(f"{name}.{field}", value) for field, value in zip(fields, raw[1:], strict=True)))

    return parse_ids


def _ended(
    message: type[messages.Unsubscribed] | type[messages.Unregistered], name: str, rules: Rules
) -> _Parser:
    """Make the parser of a message that answers a request or, with the request ID 0, tells of a revocation.

    Spec: Advanced Profile, "Subscription Revocation" and "Registration Revocation".
    """
    acknowledged = _ids(message, name, "Request")

    def parse_ended(raw: RawMessage, uri_check: URICheck) -> Message:
        if len(raw) == 3 and type(raw[1]) is int and raw[1] == 0:
            return message(0, _attributes(f"{name}.Details", raw[2], rules))
        return acknowledged(raw, uri_check)

    return parse_ended


_PARSERS: Final[Mapping[int, _Parser]] = {
    1: _hello,
    2: _welcome,
    3: _abort,
    4: _challenge,
    5: _authenticate,
    6: _goodbye,
    8: _error,
    16: _publish,
    17: _ids(messages.Published, "PUBLISHED", "Request", "Publication"),
    32: _subscribe,
    33: _ids(messages.Subscribed, "SUBSCRIBED", "Request", "Subscription"),
    34: _ids(messages.Unsubscribe, "UNSUBSCRIBE", "Request", "Subscription"),
    35: _ended(messages.Unsubscribed, "UNSUBSCRIBED", UNSUBSCRIBED_RULES),
    36: _event,
    48: _call,
    49: _cancel,
    50: _result,
    64: _register,
    65: _ids(messages.Registered, "REGISTERED", "Request", "Registration"),
    66: _ids(messages.Unregister, "UNREGISTER", "Request", "Registration"),
    67: _ended(messages.Unregistered, "UNREGISTERED", UNREGISTERED_RULES),
    68: _invocation,
    69: _interrupt,
    70: _yield,
}
