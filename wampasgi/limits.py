"""Every bound that keeps one session from hurting another."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal, TypeAlias, get_args

from wampasgi.errors import ConfigurationError

#: What happens where more waits for a client than may.
OverflowPolicy: TypeAlias = Literal["disconnect", "drop_oldest_events"]

_MAY_BE_NONE: Final = frozenset(
    (
        "handler_timeout",
        "idle_timeout",
        "message_rate",
        "nesting_depth",
        "sessions",
        "sessions_per_address",
        "uri_length",
    )
)

# HELLO itself: the message, Details, roles, a role, its features.
_LEAST_DEPTH: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on time and memory, for an application or, given to a realm, for its sessions.

    Times are seconds, sizes bytes. The defaults suit clients on the public internet; those that can be None
    are off then. What a client is answered because of a limit names it.
    """

    #: From the opened WebSocket, or the end of the last session on it, to WELCOME: HELLO and authentication.
    handshake_timeout: float = 10.0
    #: How long a client may take to answer our GOODBYE, and to read what is still to be sent.
    close_timeout: float = 5.0
    #: How long what stands after the ``yield`` of a lifespan handler or gatekeeper may take.
    teardown_timeout: float = 10.0
    #: How long a client's call of one of the realm's own procedures may take, or the time between two of its
    #: progressive results. Then the handler is cancelled, and the caller gets ``wamp.error.timeout``.
    handler_timeout: float | None = None
    #: How long a client may send nothing; WebSocket pings do not count. Then it gets GOODBYE
    #: ``wamp.error.timeout``, after an eighth of the time more at the latest.
    idle_timeout: float | None = None
    #: Sessions of a realm, those that are being opened included; one more is aborted with
    #: ``wamp.error.unavailable``.
    sessions: int | None = 10_000
    #: The same from one address, or one /64 of IPv6, as the server gives it in ``scope["client"]``: behind a
    #: proxy that is the proxy's unless the server is told to trust its headers. Clients without an address
    #: are not counted.
    sessions_per_address: int | None = None
    #: The largest WebSocket message that is read; a larger one aborts the session with
    #: ``wamp.error.payload_size_exceeded``. The server has a limit of its own (uvicorn: ``--ws-max-size``).
    message_size: int = 1024 * 1024
    #: The same of HELLO and AUTHENTICATE, for a session keeps what HELLO says for as long as it lasts. A
    #: smaller ``message_size`` holds for them, too.
    handshake_size: int = 16 * 1024
    #: How deeply the lists and dicts of a message may be nested, itself included; a deeper one aborts the
    #: session with ``wamp.error.protocol_violation``. With None it is what every serializer can write again,
    #: about 250.
    nesting_depth: int | None = None
    #: Characters of a URI: a request with a longer one is answered ``wamp.error.invalid_uri``.
    uri_length: int | None = 1024
    #: Messages a second that one session is read at most; what it sends faster than that waits in its socket.
    message_rate: float | None = None
    #: How many messages a session may send at once before ``message_rate`` slows it down.
    message_burst: int = 100
    #: Messages that wait for a client that reads too slowly; ``overflow`` says what happens with one more.
    outbound_messages: int = 10_000
    #: The same in bytes.
    outbound_bytes: int = 16 * 1024 * 1024
    #: ``"disconnect"`` ends the session of a client that reads too slowly, with ABORT
    #: ``wamp.error.payload_size_exceeded``; ``"drop_oldest_events"`` drops the events that have waited
    #: longest, and ends the session only where there are none: nothing else is ever dropped.
    overflow: OverflowPolicy = "disconnect"
    #: Requests of one session that are being handled; at the limit the session is not read from.
    requests_in_flight: int = 256
    #: The bytes of these as they came; at the limit the session is not read from. The same number holds for
    #: the calls of ``routed_calls``, one more being refused, and the publications of
    #: ``events_waiting``.
    requests_bytes: int = 8 * 1024 * 1024
    #: Calls of one session that wait for the answers of other clients; one more is refused.
    routed_calls: int = 10_000
    #: Subscriptions of one session; one more is refused.
    subscriptions: int = 1000
    #: Procedures that one session has registered; one more is refused.
    registrations: int = 1000
    #: Testaments of one session; one more is refused.
    testaments: int = 100
    #: About the bytes of memory that these may take.
    testament_bytes: int = 256 * 1024
    #: Publications of one session that wait for the server's own subscribers; at the limit it is not
    #: read from.
    events_waiting: int = 1000

    #: Events that a realm retains, and about the bytes of memory that they may take; when there are more, the
    #: oldest go.
    retained_events: int = 10_000
    retained_bytes: int = 8 * 1024 * 1024
    #: Retained events that one SUBSCRIBE to a pattern is sent, the newest.
    retained_per_subscribe: int = 1000
    #: About the bytes of memory that the events of one ``keep_history`` may take; when there are more, the
    #: oldest go.
    history_bytes: int = 8 * 1024 * 1024

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "overflow":
                policies = get_args(OverflowPolicy)
                if value not in policies:
                    raise ConfigurationError(
                        f"Limits.overflow is {value!r}: it must be {' or '.join(policies)}"
                    )
            elif value is None and field.name in _MAY_BE_NONE:
                continue
            elif isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise ConfigurationError(f"Limits.{field.name} is {value!r}: it must be a number above zero")
        if self.nesting_depth is not None and self.nesting_depth < _LEAST_DEPTH:
            raise ConfigurationError(
                f"Limits.nesting_depth is {self.nesting_depth!r}: it must be {_LEAST_DEPTH} at least, "
                f"for so deep is a HELLO"
            )
