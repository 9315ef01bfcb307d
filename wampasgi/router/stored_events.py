"""Publications that are stored for later, as retained events or in the event history."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy as shallow_copy
from dataclasses import dataclass
from math import inf
from sys import getsizeof
from types import NoneType
from typing import Any, Final

from wampasgi.protocol.messages import Event
from wampasgi.router.interfaces import SessionDetails
from wampasgi.router.publish_options import BLACKLISTS, WHITELISTS, conditions, select
from wampasgi.router.stamps import Stamp

# The approximate size in bytes of an event without payload, and of a number.
_BASE_SIZE: Final = 500
_NUMBER_SIZE: Final = 28

_NUMBERS: Final = frozenset((bool, float, int, NoneType))


@dataclass(slots=True, eq=False)
class StoredEvent:
    """A publication, and the lists that select its recipients.

    ``details`` is EVENT.Details as published, without the topic. ``lists`` are the black- and whitelists of
    PUBLISH.Options. ``excluded_id`` is the publisher if it is excluded from its own event. ``size`` is the
    approximate size in memory, in bytes. ``stamp`` orders the events of several workers; without others it is
    None. ``timestamp`` is the RFC 3339 time of an event that is ``logged`` in the history.
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
    retained: bool = False
    logged: bool = False
    stamp: Stamp | None = None
    timestamp: str | None = None

    def admits(self, session_id: int, sessions: Mapping[int, SessionDetails]) -> bool:
        """Return whether the black- and whitelists allow a session to receive the event."""
        return not self.lists or bool(select([session_id], conditions(self.lists, sessions)))

    def details_for(self, match: str) -> dict[str, Any]:
        """Return EVENT.Details for a subscription with this match policy."""
        return dict(self.details) if match == "exact" else {**self.details, "topic": self.topic}


def store(event: Event, topic: str, options: Mapping[str, Any], *, excluded_id: int | None) -> StoredEvent:
    """Return an event for storage. Its payload is copied, because handlers may change the original."""
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
    """Copy the lists and dicts of a payload, and return the copy with its approximate size in bytes.

    Copying stops when the size exceeds ``most``.
    """
    # No recursion, because peers choose the depth.
    outermost, size = [value], 0
    waiting: list[Any] = [outermost]
    # Each container is copied once, so that one which contains itself does not cause an infinite loop.
    copies: dict[int, Any] = {}
    while waiting and size <= most:
        container = waiting.pop()
        places = list(container.items()) if isinstance(container, dict) else enumerate(container)
        for place, item in places:
            kind = type(item)
            if kind in _NUMBERS:
                size += _NUMBER_SIZE
                continue
            if kind is str or kind is bytes:
                size += getsizeof(item)
                continue
            if id(item) in copies:
                container[place] = copies[id(item)]
                continue
            size += getsizeof(item)
            if kind is list or kind is tuple:
                copy: Any = list(item)
            elif kind is dict:
                copy = dict(item)
            elif isinstance(item, list | dict):
                # A value that only one serialization format has. Its copy keeps its origin.
                copy = shallow_copy(item)
            else:
                continue
            if isinstance(copy, dict):
                size += sum(map(getsizeof, copy))
            container[place] = copies[id(item)] = copy
            waiting.append(copy)
    return outermost[0], size
