"""Publications that are kept, for who subscribes or asks later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from sys import getsizeof
from typing import Any, Final

from wampasgi.protocol.messages import Event
from wampasgi.router.interfaces import SessionDetails
from wampasgi.router.publish_options import BLACKLISTS, WHITELISTS, conditions, select

# What an event without any payload takes.
_BASE_SIZE: Final = 500


@dataclass(slots=True, eq=False)
class StoredEvent:
    """One publication with what decides who may have it.

    ``details`` are EVENT.Details as they were published, the topic aside. ``lists`` are the black- and
    whitelists of PUBLISH.Options, ``excluded_id`` is the publisher where it did not want its own event.
    ``size`` is about what it takes in memory, in bytes.
    """

    publication_id: int
    topic: str
    details: Mapping[str, Any]
    lists: Mapping[str, frozenset[Any]]
    excluded_id: int | None
    args: list[Any] | None
    kwargs: dict[str, Any] | None
    payload: bytes | None
    size: int

    def admits(self, session_id: int, sessions: Mapping[int, SessionDetails]) -> bool:
        """Whether the black- and whitelists let a session have the event."""
        return not self.lists or bool(select([session_id], conditions(self.lists, sessions)))

    def details_for(self, match: str) -> dict[str, Any]:
        """EVENT.Details for a subscription with this match policy."""
        return dict(self.details) if match == "exact" else {**self.details, "topic": self.topic}


def store(event: Event, topic: str, options: Mapping[str, Any], *, excluded_id: int | None) -> StoredEvent:
    """Keep an event as it was published: its payload is copied, for handlers may change what they got."""
    lists = {
        name: frozenset(values)
        for name, values in options.items()
        if name in WHITELISTS or name in BLACKLISTS
    }
    (args, kwargs, details), size = copied([event.args, event.kwargs, event.details])
    size += _BASE_SIZE + getsizeof(event.payload)
    size += sum([getsizeof(values) + sum(map(getsizeof, values)) for values in lists.values()])
    return StoredEvent(
        event.publication_id, topic, details, lists, excluded_id, args, kwargs, event.payload, size
    )


def copied(value: Any, *, most: float = inf) -> tuple[Any, int]:
    """Copy the lists and dicts of a payload, and return the copy with about the bytes that all of it takes.

    What is found to take more than ``most`` is not copied to its end.
    Without recursion, because peers choose the depth.
    """
    outermost, size = [value], 0
    waiting: list[Any] = [outermost]
    # A container that occurs twice is copied once, or one that holds itself would have no end.
    copies: dict[int, Any] = {}
    while waiting and size <= most:
        container = waiting.pop()
        for place, item in list(container.items() if type(container) is dict else enumerate(container)):
            if id(item) in copies:
                container[place] = copies[id(item)]
                continue
            size += getsizeof(item)
            if type(item) is list or type(item) is tuple:
                copy: Any = list(item)
            elif type(item) is dict:
                copy = dict(item)
                size += sum(map(getsizeof, item))
            else:
                continue
            container[place] = copies[id(item)] = copy
            waiting.append(copy)
    return outermost[0], size
