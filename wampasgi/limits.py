"""The limits that protect the server and its sessions from other sessions."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final, Literal, TypeAlias, get_args

from wampasgi.errors import ConfigurationError

#: The reaction to a client whose send queue is full.
OverflowPolicy: TypeAlias = Literal["disconnect", "drop_oldest_events"]

_OPTIONAL: Final = frozenset(
    (
        "arguments",
        "authentication_failures",
        "byte_rate",
        "containers",
        "handler_timeout",
        "idle_timeout",
        "message_rate",
        "nesting_depth",
        "pending_connections",
        "pending_connections_per_address",
        "sessions",
        "sessions_per_address",
        "uri_length",
        "values",
        "write_timeout",
    )
)

# HELLO needs five levels: the message, Details, roles, a role and its features.
_MIN_NESTING_DEPTH: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits on time and memory, for an application or for the sessions of one realm.

    Times are in seconds, sizes in bytes. The defaults suit clients on the public internet. None turns off a
    limit that allows it. An error or ABORT that a limit causes names the limit.
    """

    #: Time for HELLO and authentication, from the opened WebSocket or the end of its previous session to
    #: WELCOME.
    handshake_timeout: float = 10.0
    #: Time for a client to answer our GOODBYE and to read the remaining messages.
    close_timeout: float = 5.0
    #: Time in which a client must read something while messages wait for it. After that its session ends, and
    #: the fast transport aborts its socket.
    write_timeout: float | None = 10.0
    #: Time for the code after the ``yield`` of a lifespan handler or gatekeeper.
    teardown_timeout: float = 10.0
    #: Time until a client's call of one of the realm's own procedures has a result, or between two
    #: progressive results. After that the handler is cancelled and the caller gets ``wamp.error.timeout``.
    handler_timeout: float | None = None
    #: Time that a client may stay silent. WebSocket pings do not count. After that it gets GOODBYE with
    #: ``wamp.error.timeout``, at most an eighth of this time later.
    idle_timeout: float | None = None
    #: Sessions of a realm, including those in the handshake. Further ones are aborted with
    #: ``wamp.error.unavailable``.
    sessions: int | None = 10_000
    #: Sessions from one address, or one /64 network of IPv6. The address is ``scope["client"]``: behind a
    #: proxy it is the proxy's, unless the server is configured to trust the proxy's headers. Clients without
    #: an address are not counted.
    sessions_per_address: int | None = None
    #: WebSockets without a session: before WELCOME, and after the end of a session. Further ones are refused
    #: with status 503. This limit and the next one are the application's.
    pending_connections: int | None = 1000
    #: The same for one address, as ``sessions_per_address`` counts it.
    pending_connections_per_address: int | None = None
    #: Failed logins of one authid from one address, or one /64 network of IPv6, in ``authentication_window``.
    #: Further logins have to wait, or are refused with ``wamp.error.unavailable``. For one address with all
    #: its authids, and for one authid from all addresses, ten times as many may fail; further ones wait for
    #: at most a second.
    authentication_failures: int | None = 10
    #: Time in which this number of failed logins is forgotten.
    authentication_window: float = 300.0
    #: Size of a WebSocket message. A larger one aborts the session with
    #: ``wamp.error.payload_size_exceeded``. The server has its own limit (uvicorn: ``--ws-max-size``).
    message_size: int = 256 * 1024
    #: Size of HELLO and AUTHENTICATE. It is smaller because HELLO's data stays in memory for the whole
    #: session. ``message_size`` applies to them, too.
    handshake_size: int = 16 * 1024
    #: Nesting depth of the lists and dicts in a message, including the message itself. A deeper one aborts
    #: the session with ``wamp.error.protocol_violation``. None means the depth that all serializers can
    #: write, about 250.
    nesting_depth: int | None = None
    #: Lists and dicts in a message, including the message itself. More of them abort the session with
    #: ``wamp.error.payload_size_exceeded``. They are counted before they are decoded, except with a custom
    #: serializer.
    containers: int | None = 10_000
    #: Arguments of a message, positional and by keyword together. More of them abort the session with
    #: ``wamp.error.payload_size_exceeded``. The attributes of Options and Details count, too.
    arguments: int | None = 10_000
    #: Values in a message, at all depths: each item of a list and each value of a dict. More of them abort
    #: the session with ``wamp.error.payload_size_exceeded``.
    values: int | None = 50_000
    #: Characters of a URI. Requests with a longer one are answered with ``wamp.error.invalid_uri``.
    uri_length: int | None = 1024
    #: Messages per second that are handled for one session. Faster clients are slowed down by backpressure:
    #: the next message waits, and nothing is read after it. A publication counts as one more message for each
    #: EVENT that the publisher itself receives, and for every 100 EVENTs to others. A SUBSCRIBE counts as one
    #: more for each retained event.
    message_rate: float | None = None
    #: Messages that a session may send in one burst before ``message_rate`` applies.
    message_burst: int = 100
    #: Bytes per second, as received, that are handled for one session. Faster clients are slowed down in the
    #: same way. The rate limits apply together.
    byte_rate: float | None = None
    #: Bytes that a session may send in one burst before ``byte_rate`` applies. A message that is larger waits
    #: until ``byte_rate`` has paid for the rest.
    byte_burst: int = 1024 * 1024
    #: Messages in the send queue of a client that reads too slowly. ``overflow`` decides what happens when
    #: the queue is full.
    outbound_messages: int = 10_000
    #: Bytes in the send queue.
    outbound_bytes: int = 16 * 1024 * 1024
    #: ``"disconnect"`` ends the session of a client that reads too slowly, with ABORT
    #: ``wamp.error.payload_size_exceeded``. ``"drop_oldest_events"`` drops the oldest queued events instead
    #: and ends the session if no events are queued, because other messages are never dropped.
    overflow: OverflowPolicy = "disconnect"
    #: Requests of one session that are handled at the same time. At the limit, further calls of the realm's
    #: own procedures wait in a queue, and all other messages are handled. As many again may wait, including
    #: the requests that wait because an earlier one keeps the session busy. Only then reading pauses.
    requests_in_flight: int = 256
    #: Size of these requests as received. At the limit, further calls wait, up to the same size again. The
    #: same limit applies separately to the calls counted by ``routed_calls``, where further ones are refused,
    #: and to the publications counted by ``events_waiting``.
    requests_bytes: int = 8 * 1024 * 1024
    #: Calls of one session that wait for results from other clients. Further ones are refused.
    routed_calls: int = 10_000
    #: Subscriptions of one session. Further ones are refused.
    subscriptions: int = 1000
    #: Registrations of one session. Further ones are refused.
    registrations: int = 1000
    #: Testaments of one session. Further ones are refused.
    testaments: int = 100
    #: Approximate memory of one session's testaments.
    testament_bytes: int = 256 * 1024
    #: Approximate memory of the descriptions that one session gives to its procedures, with
    #: ``wamp.reflection.define``. Further ones are refused.
    definition_bytes: int = 256 * 1024
    #: Publications of one session that wait for the server's own subscribers. At the limit, further requests
    #: wait, up to ``requests_in_flight`` of them.
    events_waiting: int = 1000

    #: Events that a realm retains, and their approximate memory. Beyond that the oldest are dropped.
    retained_events: int = 10_000
    retained_bytes: int = 8 * 1024 * 1024
    #: Retained events that one SUBSCRIBE to a pattern receives, the newest ones.
    retained_per_subscribe: int = 1000
    #: Approximate memory of the events of one ``keep_history``. Beyond that the oldest are dropped.
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
            elif value is None and field.name in _OPTIONAL:
                continue
            elif isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise ConfigurationError(f"Limits.{field.name} is {value!r}: it must be a number above zero")
        if self.nesting_depth is not None and self.nesting_depth < _MIN_NESTING_DEPTH:
            raise ConfigurationError(
                f"Limits.nesting_depth is {self.nesting_depth!r}: it must be at least {_MIN_NESTING_DEPTH}, "
                f"the depth of a HELLO"
            )
