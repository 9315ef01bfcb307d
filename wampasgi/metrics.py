"""The counters of a realm."""

from __future__ import annotations

from typing import TypeAlias

#: Group to name to value: ``metrics["calls"]["results"]``.
Metrics: TypeAlias = dict[str, dict[str, int]]


class Counts:
    """The counters of one realm. The code that does the work increments the attributes."""

    __slots__ = (
        "aborted",
        "authentication_failures",
        "bytes_received",
        "bytes_sent",
        "call_errors",
        "canceled",
        "delayed_logins",
        "dropped",
        "events",
        "joined",
        "other_errors",
        "overflows",
        "own_events",
        "publications",
        "results",
        "unreported_failures",
    )

    def __init__(self) -> None:
        #: Sessions that got WELCOME, and sessions that got ABORT before or after WELCOME.
        self.joined = 0
        self.aborted = 0
        #: Failed authentications, by method and reason.
        self.authentication_failures: dict[tuple[str, str], int] = {}
        #: Logins that had to wait because of failures, and failures that the application was not told about.
        self.delayed_logins = 0
        self.unreported_failures = 0
        #: Clients' calls by outcome, for procedures of the server and of other clients.
        self.results = 0
        self.call_errors = 0
        self.canceled = 0
        #: ERRORs for requests other than calls.
        self.other_errors = 0
        #: Publications, all EVENTs that were sent, and those of them that the realm itself received.
        self.publications = 0
        self.events = 0
        self.own_events = 0
        #: Overflows of send queues, and the messages that were dropped because of them.
        self.overflows = 0
        self.dropped = 0
        #: Bytes of serialized messages, without WebSocket framing.
        self.bytes_received = 0
        self.bytes_sent = 0
