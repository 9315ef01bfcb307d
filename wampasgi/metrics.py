"""What a realm has done so far, in numbers."""

from __future__ import annotations

from typing import TypeAlias

#: Numbers by name, in groups: ``metrics["calls"]["results"]``.
Metrics: TypeAlias = dict[str, dict[str, int]]


class Counts:
    """The counters of one realm: attributes that whoever does the work adds to."""

    __slots__ = (
        "aborted",
        "bytes_received",
        "bytes_sent",
        "call_errors",
        "canceled",
        "dropped",
        "events",
        "joined",
        "other_errors",
        "overflows",
        "own_events",
        "publications",
        "results",
    )

    def __init__(self) -> None:
        #: Sessions that got WELCOME, and those that got ABORT, before it or after.
        self.joined = 0
        self.aborted = 0
        #: How the calls of clients ended, whoever answered them.
        self.results = 0
        self.call_errors = 0
        self.canceled = 0
        #: ERRORs for requests other than calls.
        self.other_errors = 0
        #: Publications, the EVENTs that were sent, and those among them that the realm itself received.
        self.publications = 0
        self.events = 0
        self.own_events = 0
        #: How often a client read too slowly, and the messages that it lost.
        self.overflows = 0
        self.dropped = 0
        #: Of serialized messages, without the frames of WebSocket around them.
        self.bytes_received = 0
        self.bytes_sent = 0
