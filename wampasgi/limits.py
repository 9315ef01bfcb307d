"""Every bound that keeps one session from hurting another."""

from __future__ import annotations

from dataclasses import dataclass, fields

from wampasgi.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on time and memory, for an application or, given to a realm, for its sessions.

    Times are seconds, sizes bytes. The defaults suit clients on the public internet.
    """

    #: From the opened WebSocket, or the end of the last session on it, to WELCOME: HELLO and authentication.
    handshake_timeout: float = 10.0
    #: How long a client may take to answer our GOODBYE, and to read what is still to be sent.
    close_timeout: float = 5.0
    #: How long what stands after the ``yield`` of a lifespan handler or gatekeeper may take.
    teardown_timeout: float = 10.0
    #: The largest WebSocket message that is read; a larger one aborts the session with
    #: ``wamp.error.payload_size_exceeded``. The server has a limit of its own (uvicorn: ``--ws-max-size``).
    message_size: int = 1024 * 1024
    #: Messages that wait for a client that reads too slowly; one more ends its session.
    outbound_messages: int = 10_000
    #: The same in bytes.
    outbound_bytes: int = 16 * 1024 * 1024
    #: Requests of one session that are being handled; at the limit the session is not read from.
    requests_in_flight: int = 256
    #: Calls of one session that wait for the answers of other clients; one more is refused.
    routed_calls: int = 10_000
    #: Subscriptions of one session; one more is refused.
    subscriptions: int = 1000
    #: Procedures that one session has registered; one more is refused.
    registrations: int = 1000
    #: Testaments of one session; one more is refused.
    testaments: int = 100
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
            if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
                raise ConfigurationError(f"Limits.{field.name} is {value!r}: it must be a number above zero")
