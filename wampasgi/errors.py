"""The exceptions of the package and the URIs that the WAMP specification defines.

The exception tree::

    WAMPError               an ERROR: handlers raise it to send one, calls raise it when they receive one
      SubscribeError        raised by a topic's gatekeeper to refuse a subscription
      InvalidArgument       the payload does not match the handler's parameters
    ProtocolError
      LocalProtocolError    we tried to send an invalid message: a bug on our side
        UnserializableValue a value that the serializer does not support
      RemoteProtocolError   the peer sent an invalid message: ABORT with wamp.error.protocol_violation
        UnsupportedValue    a value that the serializer can read but not carry
        InvalidRequest      an invalid message that is refused with ERROR, without ending the session
          InvalidURI        a request with an invalid URI: wamp.error.invalid_uri
          InvalidPayload    a message with an invalid payload: wamp.error.invalid_argument
    ConnectionClosed        the session is over, with the reason URI and the side that closed it
    ConfigurationError      raised at registration or start-up, never during a session
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from inspect import get_annotations
from typing import Any, ClassVar, Final, Literal

# Basic Profile, "Basic Profile URIs": interaction
INVALID_URI: Final = "wamp.error.invalid_uri"
NO_SUCH_PROCEDURE: Final = "wamp.error.no_such_procedure"
PROCEDURE_ALREADY_EXISTS: Final = "wamp.error.procedure_already_exists"
NO_SUCH_REGISTRATION: Final = "wamp.error.no_such_registration"
NO_SUCH_SUBSCRIPTION: Final = "wamp.error.no_such_subscription"
INVALID_ARGUMENT: Final = "wamp.error.invalid_argument"
CANCELED: Final = "wamp.error.canceled"
PAYLOAD_SIZE_EXCEEDED: Final = "wamp.error.payload_size_exceeded"

# Basic Profile, "Basic Profile URIs": session close
SYSTEM_SHUTDOWN: Final = "wamp.close.system_shutdown"
CLOSE_REALM: Final = "wamp.close.close_realm"
GOODBYE_AND_OUT: Final = "wamp.close.goodbye_and_out"
PROTOCOL_VIOLATION: Final = "wamp.error.protocol_violation"

# Basic Profile, "Basic Profile URIs": authorization
NOT_AUTHORIZED: Final = "wamp.error.not_authorized"
AUTHORIZATION_FAILED: Final = "wamp.error.authorization_failed"
NO_SUCH_REALM: Final = "wamp.error.no_such_realm"
NO_SUCH_ROLE: Final = "wamp.error.no_such_role"

# Advanced Profile, "Session Meta API"
NO_SUCH_SESSION: Final = "wamp.error.no_such_session"

# Advanced Profile, "URIs"
CLOSE_KILLED: Final = "wamp.close.killed"
AUTHENTICATION_FAILED: Final = "wamp.error.authentication_failed"
AUTHORIZATION_DENIED: Final = "wamp.error.authorization_denied"
NO_MATCHING_AUTH_METHOD: Final = "wamp.error.no_matching_auth_method"
OPTION_NOT_ALLOWED: Final = "wamp.error.option_not_allowed"
OPTION_DISALLOWED_DISCLOSE_ME: Final = "wamp.error.option_disallowed.disclose_me"
TIMEOUT: Final = "wamp.error.timeout"
UNAVAILABLE: Final = "wamp.error.unavailable"
NETWORK_FAILURE: Final = "wamp.error.network_failure"
NO_AVAILABLE_CALLEE: Final = "wamp.error.no_available_callee"
FEATURE_NOT_SUPPORTED: Final = "wamp.error.feature_not_supported"

# Not in the specification, but common among implementations for an exception in a handler.
RUNTIME_ERROR: Final = "wamp.error.runtime_error"

# Our own. The status follows, as in "http.error.404".
HTTP_ERROR: Final = "http.error"


# The loose rules for URIs.
_URI: Final = re.compile(r"[^\s.#]+(?:\.[^\s.#]+)*")

# Marks a field without a default.
_REQUIRED: Final[Any] = object()


class WAMPError(Exception):
    """A WAMP error: an error URI with a payload.

    Raise it in a handler to answer the request with this ERROR. In-process calls and test clients raise it
    when they receive an ERROR.

    ``uri`` is the error URI, ``args`` the positional payload and ``kwargs`` the keyword payload.

    A subclass can declare its URI, and the keyword payload as annotated fields, which descriptions of the
    realm show::

        class LimitExceeded(WAMPError, uri="com.bank.limit"):
            limit: int
            currency: str = "EUR"

        raise LimitExceeded("not today", limit=500)

    Its constructor takes no URI. It raises TypeError for a missing field, and for a keyword that is no field
    unless the class has none.
    """

    uri: str
    kwargs: dict[str, Any]

    #: The fields of a subclass in their order, with their defaults. None if it declares no URI.
    _fields: ClassVar[Mapping[str, Any] | None] = None

    def __init_subclass__(cls, *, uri: str | None = None, **options: Any) -> None:
        super().__init_subclass__(**options)
        if uri is not None:
            given: object = uri
            if not (isinstance(given, str) and _URI.fullmatch(given)):
                raise TypeError(f"{cls.__qualname__}: {uri!r} is not a valid error URI")
            cls.uri = uri
        if uri is None and cls._fields is None:
            return
        fields: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            # Base classes without a URI can declare fields, too.
            if issubclass(base, WAMPError) and base is not WAMPError:
                for name in _field_names(base):
                    fields[name] = vars(base).get(name, fields.get(name, _REQUIRED))
        cls._fields = fields

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if self._fields is None:
            if not args or not isinstance(args[0], str):
                raise TypeError(f"{type(self).__name__} needs the error URI as its first argument")
            self.uri, *payload = args
        else:
            payload = [*args]
            kwargs = self._with_defaults(self._fields, kwargs)
            self.__dict__.update((name, kwargs[name]) for name in self._fields)
        super().__init__(*payload)
        self.kwargs = kwargs

    @classmethod
    def fields(cls) -> tuple[str, ...]:
        """Return the names of the fields that a subclass with a URI has, those of base classes first."""
        return tuple(cls._fields or ())

    def _with_defaults(self, fields: Mapping[str, Any], kwargs: dict[str, Any]) -> dict[str, Any]:
        values = {**fields, **kwargs}
        missing = sorted(name for name, value in values.items() if value is _REQUIRED)
        unknown = sorted(kwargs.keys() - fields.keys()) if fields else []
        if missing or unknown:
            problem = f"misses the fields {missing}" if missing else f"has no fields {unknown}"
            raise TypeError(f"{type(self).__name__} {problem}")
        return values

    def __str__(self) -> str:
        payload = [repr(value) for value in self.args]
        payload += [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"{self.uri}: {', '.join(payload)}" if payload else self.uri

    def __reduce__(self) -> tuple[Any, ...]:
        # BaseException would call the class with only ``args``, without the URI.
        return (_rebuild_error, (type(self), self.args, self.__dict__.copy()))


def _field_names(cls: type[WAMPError]) -> list[str]:
    """Return the annotated names of a class itself that are fields of its errors."""
    names = [
        name
        for name, annotation in get_annotations(cls).items()
        if not name.startswith("_") and "ClassVar" not in str(annotation)
    ]
    for name in names:
        if name in ("uri", "kwargs") or hasattr(WAMPError, name):
            raise TypeError(f"{cls.__qualname__}: a field of an error must not be named {name!r}")
        if isinstance(vars(cls).get(name), list | dict | set):
            raise TypeError(
                f"{cls.__qualname__}: all errors would share the default of {name!r}: use a tuple, or leave "
                f"out the default"
            )
    return names


def _rebuild_error(cls: type[Exception], args: tuple[Any, ...], attributes: dict[str, Any]) -> Exception:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(attributes)
    return error


class SubscribeError(WAMPError):
    """An error that a topic's gatekeeper raises to refuse a subscription. The subscriber gets this ERROR.

    Its first argument is the error URI, by default ``wamp.error.not_authorized``.
    """

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        if not args and self._fields is None:
            args = (NOT_AUTHORIZED,)
        super().__init__(*args, **kwargs)


class InvalidArgument(WAMPError):
    """A payload that does not match the handler's parameters: ``wamp.error.invalid_argument``.

    ``kwargs["errors"]`` lists the invalid arguments as ``{"argument": name, "reason": text, ...}``.
    """

    def __init__(self, /, *args: Any, **kwargs: Any) -> None:
        declares_uri = self._fields is not None
        super().__init__(*(() if declares_uri else (INVALID_ARGUMENT,)), *args, **kwargs)


class ProtocolError(Exception):
    """A message that the WAMP specification does not allow."""


class LocalProtocolError(ProtocolError):
    """A message from this side that the protocol does not allow."""


class UnserializableValue(LocalProtocolError):
    """A value that the session's serializer does not support."""


class RemoteProtocolError(ProtocolError):
    """A message from the peer that the protocol does not allow. Its session is aborted with ``uri``.

    Spec: Basic Profile, "Protocol Errors".
    """

    def __init__(self, message: str, *, uri: str = PROTOCOL_VIOLATION) -> None:
        super().__init__(message)
        self.message = message
        self.uri = uri

    def __reduce__(self) -> tuple[Any, ...]:
        # BaseException would call the class without the keyword arguments.
        return (_rebuild_error, (type(self), self.args, self.__dict__.copy()))


class UnsupportedValue(RemoteProtocolError):
    """A message with a value that the serializer can read, but that cannot be passed on.

    ``head`` contains the elements at the beginning of the message that were read, at most four. They tell
    which request to refuse.
    """

    def __init__(self, message: str, head: Sequence[object] = ()) -> None:
        super().__init__(message)
        self.head = tuple(head[:4])


class InvalidRequest(RemoteProtocolError):
    """An invalid message that is refused alone, if it is a request.

    ``request_type`` and ``request_id`` identify the request. Both are None if the message cannot be answered
    with ERROR, as for HELLO; then its session is aborted. ``expects_answer`` is False for a PUBLISH without
    acknowledgement.
    """

    def __init__(
        self,
        message: str,
        *,
        uri: str,
        request_type: int | None = None,
        request_id: int | None = None,
        expects_answer: bool = True,
    ) -> None:
        super().__init__(message, uri=uri)
        self.expects_answer = expects_answer
        self.request_type = request_type
        self.request_id = request_id


class InvalidURI(InvalidRequest):
    """A message whose URI breaks the URI rules.

    Spec: Basic Profile, "Incorrect URIs".
    """

    def __init__(
        self,
        message: str,
        *,
        request_type: int | None = None,
        request_id: int | None = None,
        expects_answer: bool = True,
    ) -> None:
        super().__init__(
            message,
            uri=INVALID_URI,
            request_type=request_type,
            request_id=request_id,
            expects_answer=expects_answer,
        )


class InvalidPayload(InvalidRequest):
    """A request, or an answer to an INVOCATION, whose payload is invalid or cannot be passed on.

    ``request_type`` is the type of the message itself. For YIELD and ERROR, ``request_id`` is the ID of the
    INVOCATION. ``options`` and ``uri_field`` are the Options and the procedure or topic of the request, empty
    if they could not be read.
    """

    request_type: int
    request_id: int

    def __init__(
        self,
        message: str,
        *,
        request_type: int,
        request_id: int,
        expects_answer: bool = True,
        options: Mapping[str, Any] | None = None,
        uri_field: str = "",
    ) -> None:
        super().__init__(
            message,
            uri=INVALID_ARGUMENT,
            request_type=request_type,
            request_id=request_id,
            expects_answer=expects_answer,
        )
        self.options = options or {}
        self.uri_field = uri_field


class ConnectionClosed(ConnectionError):
    """The end of a session or its connection. Nothing more can be sent or received on it.

    ``reason`` is the closing URI, ``closed_by`` the side that started to close: ``"client"`` or ``"server"``.
    """

    def __init__(self, reason: str, *, closed_by: Literal["client", "server"]) -> None:
        super().__init__(f"session closed by the {closed_by}: {reason}")
        self.reason = reason
        self.closed_by: Literal["client", "server"] = closed_by

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild_error, (type(self), self.args, self.__dict__.copy()))


class ConfigurationError(ValueError):
    """A mistake in the setup of the application, raised at registration or start-up with a hint to fix it."""
