"""The messages of WAMP: one class per type, with conversion to the list that is serialized.

Treat a message as immutable, including the lists and dicts in it: one EVENT may be sent to a thousand
subscribers. (The classes are not frozen because that would cost a microsecond per message.)

``args`` and ``kwargs`` are the application payload, Arguments and ArgumentsKw, or None if absent.
``to_list`` omits empty ones, except for an empty Arguments list before ArgumentsKw.

Spec: Basic Profile, "Messages"; Advanced Profile, "Additional Messages".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeAlias

from wampasgi.errors import WAMPError
from wampasgi.types import RawMessage

#: The options of PUBLISH, CALL and YIELD that describe the payload: the current ones (``ppt_``) and the older
#: ones that clients still use. Broker and dealer forward them, because the receiver needs them to decode the
#: payload. Spec: Advanced Profile, "Payload Passthru Mode".
PAYLOAD_OPTIONS: Final = frozenset(
    ["ppt_scheme", "ppt_serializer", "ppt_cipher", "ppt_keyid", "enc_algo", "enc_key", "enc_serializer"]
)


def _with_payload(message: RawMessage, args: list[Any] | None, kwargs: dict[str, Any] | None) -> RawMessage:
    if kwargs:
        message.append(args or [])
        message.append(kwargs)
    elif args:
        message.append(args)
    return message


# Session lifecycle


@dataclass(slots=True)
class Hello:
    """A client's request to join a realm: ``[HELLO, Realm|uri, Details|dict]``."""

    code: ClassVar[int] = 1
    realm: str
    details: dict[str, Any]

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [1, self.realm, self.details]


@dataclass(slots=True)
class Welcome:
    """The router's confirmation that the session is open: ``[WELCOME, Session|id, Details|dict]``."""

    code: ClassVar[int] = 2
    session_id: int
    details: dict[str, Any]

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [2, self.session_id, self.details]


@dataclass(slots=True)
class Abort:
    """The immediate end of a session, sent by either side and never answered.

    ``[ABORT, Details|dict, Reason|uri, Arguments|list, ArgumentsKw|dict]``, the last two optional.
    """

    code: ClassVar[int] = 3
    details: dict[str, Any]
    reason: str
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return _with_payload([3, self.details, self.reason], self.args, self.kwargs)


@dataclass(slots=True)
class Challenge:
    """The router's request to authenticate: ``[CHALLENGE, AuthMethod|string, Extra|dict]``."""

    code: ClassVar[int] = 4
    method: str
    extra: dict[str, Any]

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [4, self.method, self.extra]


@dataclass(slots=True)
class Authenticate:
    """The client's answer to CHALLENGE: ``[AUTHENTICATE, Signature|string, Extra|dict]``.

    The signature may be a ticket, which is a secret, so ``repr`` omits it.
    """

    code: ClassVar[int] = 5
    signature: str = field(repr=False)
    extra: dict[str, Any]

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [5, self.signature, self.extra]


@dataclass(slots=True)
class Goodbye:
    """The close of a session by either side, or the answer to it: ``[GOODBYE, Details|dict, Reason|uri]``."""

    code: ClassVar[int] = 6
    details: dict[str, Any]
    reason: str

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [6, self.details, self.reason]


@dataclass(slots=True)
class Error:
    """The answer to a failed request. ``request_type`` is the type code of that request.

    ``[ERROR, REQUEST.Type|int, REQUEST.Request|id, Details|dict, Error|uri, Arguments|list,
    ArgumentsKw|dict]``, the last two optional.
    """

    code: ClassVar[int] = 8
    request_type: int
    request_id: int
    details: dict[str, Any]
    error: str
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None

    @classmethod
    def answering(cls, request_type: int, request_id: int, error: WAMPError) -> Error:
        """Return the ERROR for a request that failed with ``error``."""
        return cls(request_type, request_id, {}, error.uri, list(error.args), error.kwargs)

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        message = [8, self.request_type, self.request_id, self.details, self.error]
        return _with_payload(message, self.args, self.kwargs)


# Publish and subscribe


@dataclass(slots=True)
class Publish:
    """A publisher's event.

    ``[PUBLISH, Request|id, Options|dict, Topic|uri, Arguments|list, ArgumentsKw|dict]``, the last two
    optional. If the publisher encoded (usually: encrypted) the arguments itself, ``payload`` replaces both
    and ``options["enc_algo"]`` names the algorithm.
    """

    code: ClassVar[int] = 16
    request_id: int
    options: dict[str, Any]
    topic: str
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None
    payload: bytes | None = None

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        message = [16, self.request_id, self.options, self.topic]
        if self.payload is not None:
            return [*message, self.payload]
        return _with_payload(message, self.args, self.kwargs)


@dataclass(slots=True)
class Published:
    """The broker's acknowledgement of PUBLISH: ``[PUBLISHED, PUBLISH.Request|id, Publication|id]``."""

    code: ClassVar[int] = 17
    request_id: int
    publication_id: int

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [17, self.request_id, self.publication_id]


@dataclass(slots=True)
class Subscribe:
    """A subscriber's request for a topic's events: ``[SUBSCRIBE, Request|id, Options|dict, Topic|uri]``."""

    code: ClassVar[int] = 32
    request_id: int
    options: dict[str, Any]
    topic: str

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [32, self.request_id, self.options, self.topic]


@dataclass(slots=True)
class Subscribed:
    """The broker's acknowledgement of SUBSCRIBE: ``[SUBSCRIBED, SUBSCRIBE.Request|id, Subscription|id]``."""

    code: ClassVar[int] = 33
    request_id: int
    subscription_id: int

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [33, self.request_id, self.subscription_id]


@dataclass(slots=True)
class Unsubscribe:
    """A request to end a subscription: ``[UNSUBSCRIBE, Request|id, SUBSCRIBED.Subscription|id]``."""

    code: ClassVar[int] = 34
    request_id: int
    subscription_id: int

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [34, self.request_id, self.subscription_id]


@dataclass(slots=True)
class Unsubscribed:
    """The broker's acknowledgement of UNSUBSCRIBE: ``[UNSUBSCRIBED, UNSUBSCRIBE.Request|id]``.

    If the broker revokes a subscription, the request ID is 0 and ``details`` has its ID and optionally a
    reason: ``[UNSUBSCRIBED, 0, Details|dict]``. Spec: Advanced Profile, "Subscription Revocation".
    """

    code: ClassVar[int] = 35
    request_id: int
    details: dict[str, Any] | None = None

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [35, self.request_id] if self.details is None else [35, self.request_id, self.details]


@dataclass(slots=True)
class Event:
    """The delivery of a publication to a subscriber.

    ``[EVENT, SUBSCRIBED.Subscription|id, PUBLISHED.Publication|id, Details|dict, PUBLISH.Arguments|list,
    PUBLISH.ArgumentsKw|dict]``, the last two optional; ``payload`` as in :class:`Publish`.
    """

    code: ClassVar[int] = 36
    subscription_id: int
    publication_id: int
    details: dict[str, Any]
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None
    payload: bytes | None = None

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        message = [36, self.subscription_id, self.publication_id, self.details]
        if self.payload is not None:
            return [*message, self.payload]
        return _with_payload(message, self.args, self.kwargs)


# Routed remote procedure calls


@dataclass(slots=True)
class Call:
    """A caller's call of a procedure.

    ``[CALL, Request|id, Options|dict, Procedure|uri, Arguments|list, ArgumentsKw|dict]``, the last two
    optional. ``options["timeout"]`` is in milliseconds.
    """

    code: ClassVar[int] = 48
    request_id: int
    options: dict[str, Any]
    procedure: str
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        message = [48, self.request_id, self.options, self.procedure]
        return _with_payload(message, self.args, self.kwargs)


@dataclass(slots=True)
class Cancel:
    """A caller's request to cancel a call: ``[CANCEL, CALL.Request|id, Options|dict]``.

    ``options["mode"]`` is ``"skip"``, ``"kill"`` or ``"killnowait"``.
    """

    code: ClassVar[int] = 49
    request_id: int
    options: dict[str, Any]

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [49, self.request_id, self.options]


@dataclass(slots=True)
class Result:
    """The result of a call, or one of its progressive results.

    ``[RESULT, CALL.Request|id, Details|dict, YIELD.Arguments|list, YIELD.ArgumentsKw|dict]``, the last two
    optional.
    """

    code: ClassVar[int] = 50
    request_id: int
    details: dict[str, Any]
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return _with_payload([50, self.request_id, self.details], self.args, self.kwargs)


@dataclass(slots=True)
class Register:
    """A callee's request to register a procedure: ``[REGISTER, Request|id, Options|dict, Procedure|uri]``."""

    code: ClassVar[int] = 64
    request_id: int
    options: dict[str, Any]
    procedure: str

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [64, self.request_id, self.options, self.procedure]


@dataclass(slots=True)
class Registered:
    """The dealer's acknowledgement of REGISTER: ``[REGISTERED, REGISTER.Request|id, Registration|id]``."""

    code: ClassVar[int] = 65
    request_id: int
    registration_id: int

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [65, self.request_id, self.registration_id]


@dataclass(slots=True)
class Unregister:
    """A request to end a registration: ``[UNREGISTER, Request|id, REGISTERED.Registration|id]``."""

    code: ClassVar[int] = 66
    request_id: int
    registration_id: int

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [66, self.request_id, self.registration_id]


@dataclass(slots=True)
class Unregistered:
    """The dealer's acknowledgement of UNREGISTER: ``[UNREGISTERED, UNREGISTER.Request|id]``.

    If the dealer revokes a registration, the request ID is 0 and ``details`` has its ID and optionally a
    reason: ``[UNREGISTERED, 0, Details|dict]``. Spec: Advanced Profile, "Registration Revocation".
    """

    code: ClassVar[int] = 67
    request_id: int
    details: dict[str, Any] | None = None

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [67, self.request_id] if self.details is None else [67, self.request_id, self.details]


@dataclass(slots=True)
class Invocation:
    """The dealer's request to a callee to run a procedure.

    ``[INVOCATION, Request|id, REGISTERED.Registration|id, Details|dict, CALL.Arguments|list,
    CALL.ArgumentsKw|dict]``, the last two optional. ``details["timeout"]`` is in milliseconds.
    """

    code: ClassVar[int] = 68
    request_id: int
    registration_id: int
    details: dict[str, Any]
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        message = [68, self.request_id, self.registration_id, self.details]
        return _with_payload(message, self.args, self.kwargs)


@dataclass(slots=True)
class Interrupt:
    """The dealer's request to cancel an invocation: ``[INTERRUPT, INVOCATION.Request|id, Options|dict]``."""

    code: ClassVar[int] = 69
    request_id: int
    options: dict[str, Any]

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return [69, self.request_id, self.options]


@dataclass(slots=True)
class Yield:
    """A callee's result of an invocation, or one of its progressive results.

    ``[YIELD, INVOCATION.Request|id, Options|dict, Arguments|list, ArgumentsKw|dict]``, the last two optional.
    """

    code: ClassVar[int] = 70
    request_id: int
    options: dict[str, Any]
    args: list[Any] | None = None
    kwargs: dict[str, Any] | None = None

    def to_list(self) -> RawMessage:
        """Return the message as the list that is serialized."""
        return _with_payload([70, self.request_id, self.options], self.args, self.kwargs)


# fmt: off
#: A message of any type.
Message: TypeAlias = (
    Hello | Welcome | Abort | Challenge | Authenticate | Goodbye | Error
    | Publish | Published | Subscribe | Subscribed | Unsubscribe | Unsubscribed | Event
    | Call | Cancel | Result
    | Register | Registered | Unregister | Unregistered | Invocation | Interrupt | Yield
)

#: Message type code to class.
MESSAGES: Final[Mapping[int, type[Message]]] = {
    message.code: message
    for message in (
        Hello, Welcome, Abort, Challenge, Authenticate, Goodbye, Error,
        Publish, Published, Subscribe, Subscribed, Unsubscribe, Unsubscribed, Event,
        Call, Cancel, Result,
        Register, Registered, Unregister, Unregistered, Invocation, Interrupt, Yield,
    )
}
# fmt: on

#: Message type code to name in the specification, such as ``48`` to ``"CALL"``.
MESSAGE_NAMES: Final[Mapping[int, str]] = {
    code: message.__name__.upper() for code, message in MESSAGES.items()
}
