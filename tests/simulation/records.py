"""The record of what happened in a simulation, to check it afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

from tests.simulation.engine import Engine
from wampasgi.protocol.messages import Error, Result

if TYPE_CHECKING:
    from tests.simulation.client import Client

Key = tuple[str, str]

UNAVAILABLE = "wamp.error.unavailable"


def matches(match: str, pattern: str, topic: str) -> bool:
    if match == "prefix":
        return topic.startswith(pattern)
    if match == "exact":
        return topic == pattern
    of_pattern, of_topic = pattern.split("."), topic.split(".")
    return len(of_pattern) == len(of_topic) and all(
        part in ("", other) for part, other in zip(of_pattern, of_topic, strict=True)
    )


@dataclass(eq=False)
class InvocationRecord:
    """One INVOCATION at a callee; ``state`` is open, answered, unavailable or dropped."""

    callee: Client
    request_id: int
    parts: int = 1
    progress: int = 0
    state: str = "open"


@dataclass(eq=False)
class CallRecord:
    number: int
    caller: Client
    request_id: int
    procedure: str
    options: dict[str, Any]
    #: The time of the last step towards the answer.
    touched: float
    parts: int = 1
    finals: list[Result | Error] = field(default_factory=list)
    progress: int = 0
    invocations: list[InvocationRecord] = field(default_factory=list)

    def invoked(self, callee: Client, request_id: int, part: int) -> InvocationRecord:
        """Record an INVOCATION. No callee may get a call twice, nor a second callee after the first."""
        known = next((found for found in self.invocations if found.callee is callee), None)
        if known is not None and part:
            assert known.request_id == request_id
            assert known.parts == part, f"part {part} of call {self.number} follows {known.parts} others"
            known.parts += 1
            return known
        assert known is None, f"call {self.number} was sent twice to one callee"
        assert not part, f"call {self.number} begins with part {part}"
        open_ = [found for found in self.invocations if found.state != "unavailable"]
        assert not open_, f"call {self.number} was sent to a second callee"
        record = InvocationRecord(callee, request_id)
        self.invocations.append(record)
        return record

    @property
    def waits(self) -> bool:
        """Return whether a callee that is there still has to answer."""
        return any(found.state == "open" and found.callee.present for found in self.invocations)


@dataclass(eq=False)
class PublicationRecord:
    number: int
    time: float
    publisher: Client | None
    topic: str
    options: dict[str, Any]
    #: True if only handlers of the realm may get it.
    to_server: bool = False

    def admits(self, client: Client) -> bool:
        """Return whether the lists and the exclusion of the publisher admit a client."""
        if self.to_server:
            return False
        if client is self.publisher and self.options.get("exclude_me", True):
            return False
        for suffix, value in (("", client.id), ("_authid", client.authid), ("_authrole", client.authrole)):
            if value in self.options.get(f"exclude{suffix}", ()):
                return False
            eligible = self.options.get(f"eligible{suffix}")
            if eligible is not None and value not in eligible:
                return False
        return True


@dataclass(eq=False)
class SubscriptionRecord:
    key: Key
    since: float
    until: float = float("inf")
    #: The numbers of the publications that arrived, and the last one of each publisher.
    received: set[int] = field(default_factory=set)
    last: dict[int, int] = field(default_factory=dict)
    testaments: list[int] = field(default_factory=list)

    def event(self, publisher_id: int, number: int) -> None:
        assert self.last.get(publisher_id, -1) < number, "events of a publisher are out of order or doubled"
        self.last[publisher_id] = number
        self.received.add(number)


class Records:
    """Everything that happened on one side: in the cluster, or in the single process beside it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.numbers = count(1)
        #: True if each action ends before the next one begins.
        self.settled = False
        self.clients: dict[int, Client] = {}
        self.everybody: list[Client] = []
        self.calls: dict[int, CallRecord] = {}
        self.publications: dict[int, PublicationRecord] = {}
        #: The numbers of the publications that handlers of the realm got, which must be once each.
        self.handled: set[int] = set()

    @property
    def now(self) -> float:
        return self.engine.now
