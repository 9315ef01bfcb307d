"""The exceptions of the client.

The exception tree, with the classes of :mod:`wampasgi.errors` that the client raises, too::

    ConnectionError
      ConnectFailed         no WAMP session could be opened, and another attempt may succeed
      ConnectionLost        the connection ended while a request was pending
      ConnectionClosed      the session is over: GOODBYE or ABORT, or this side has left it
    WAMPError               an ERROR of the router or of a callee
      JoinRefused           ABORT before the session was open: wrong credentials, no such realm
    TimeoutError
      Timeout               a wait took too long; its text says what was awaited
    RemoteProtocolError     the router sent something that the protocol does not allow
    InvalidResult           a result, an event or a progressive result does not fit the requested type
    EventsDropped           a subscription's buffer was full
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from wampasgi.errors import ConfigurationError, WAMPError
from wampasgi.logs import logger_named
from wampasgi.protocol.messages import Error

logger = logger_named("wampasgi.client")


class ConnectFailed(ConnectionError):
    """A failed attempt to open a WebSocket and a session on it.

    ``retryable`` tells whether another attempt may succeed. It is False if the server speaks no WAMP or
    refused the WebSocket.
    """

    def __init__(self, text: str, *, retryable: bool = True) -> None:
        super().__init__(text)
        self.retryable = retryable


class ConnectionLost(ConnectionError):
    """The connection ended before the answer to a request arrived.

    ``sent`` tells whether the request may have reached the router. If it is False, the request had no effect
    and can be repeated.
    """

    def __init__(self, text: str, *, sent: bool) -> None:
        super().__init__(text)
        self.sent = sent

    def __reduce__(self) -> tuple[Any, ...]:
        return (_connection_lost, (str(self), self.sent))


def _connection_lost(text: str, sent: bool) -> ConnectionLost:
    return ConnectionLost(text, sent=sent)


class JoinRefused(WAMPError):
    """The router's ABORT instead of WELCOME. ``uri`` is the reason and ``message`` the router's text.

    The client does not retry after it, unless the reason says that the router is shutting down.
    """

    def __init__(self, uri: str, message: str = "", *, realm: str = "", details: Any = None) -> None:
        super().__init__(uri)
        self.message = message
        self.realm = realm
        self.details: dict[str, Any] = dict(details or {})

    def __str__(self) -> str:
        text = f"the router refused the session on realm {self.realm!r}: {self.uri}"
        return f"{text}: {self.message}" if self.message else text


class Timeout(TimeoutError):
    """A wait took longer than its timeout. The text names what was awaited."""


class InvalidResult(ValueError):
    """A value from a peer does not fit the type that the caller asked for.

    ``value`` is the value as it arrived, so nothing is lost.
    """

    def __init__(self, text: str, value: Any) -> None:
        super().__init__(text)
        self.value = value

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (str(self), self.value))


class EventsDropped(Exception):
    """A subscription has dropped ``count`` events because its buffer was full.

    It is raised once for each gap, after all events before the gap. The subscription goes on: the next
    iteration returns the events after the gap.
    """

    def __init__(self, topic: str, count: int, buffer: int) -> None:
        super().__init__(
            f"{count} events of {topic!r} were dropped because the buffer of {buffer} events was full:"
            " read events faster, or pass a larger buffer= to subscribe"
        )
        self.topic = topic
        self.count = count
        self.buffer = buffer

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.topic, self.count, self.buffer))


def errors_by_uri(errors: Iterable[type[WAMPError]]) -> dict[str, type[WAMPError]]:
    """Return classes of errors by their URI. Raises ConfigurationError for a class without one."""
    found: dict[str, type[WAMPError]] = {}
    for error in errors:
        given: object = error
        uri = getattr(given, "uri", None)
        if not (isinstance(given, type) and issubclass(given, WAMPError) and isinstance(uri, str)):
            raise ConfigurationError(f"errors= got {error!r}: pass subclasses of WAMPError with uri=")
        found[uri] = given
    return found


def exception_of(message: Error, classes: Mapping[str, type[WAMPError]]) -> WAMPError:
    """Return the exception for an ERROR: the class for its URI if the payload fits, else WAMPError."""
    args, kwargs = message.args or (), message.kwargs or {}
    declared = classes.get(message.error)
    if declared is not None:
        try:
            return declared(*args, **kwargs)
        except TypeError as error:
            logger.warning("%s does not fit the ERROR %r: %s", declared.__name__, message.error, error)
    return WAMPError(message.error, *args, **kwargs)
