"""The retained events of a realm: for each topic what a new subscriber gets at once.

Spec: Advanced Profile, "Event Retention".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from wampasgi.router.matching import matcher
from wampasgi.router.stored_events import StoredEvent
from wampasgi.types import Match

#: How many events with a limited audience are retained of one topic, beside one that everybody may have.
LIMITED_PER_TOPIC: Final = 10


class RetainedEvents:
    """Retained events by topic: at most ``max_events``, which take about ``max_size`` bytes at most.

    Of a topic those are kept that are the most recent one for somebody: the last one that everybody may have
    and, beside it, newer ones with black- or whitelists, :data:`LIMITED_PER_TOPIC` at most. As a publisher
    mostly is excluded from its own event, there can be one more, which is for that publisher. When a bound is
    passed the oldest events go, of whatever topic. An event that is too large by itself is not retained; what
    it would have replaced goes all the same, because it is out of date.
    """

    def __init__(self, *, max_events: int, max_size: int) -> None:
        self._max_events = max_events
        self._max_size = max_size
        self._size = 0
        # Each topic's and all events, both oldest first.
        self._by_topic: dict[str, list[StoredEvent]] = {}
        self._by_age: OrderedDict[StoredEvent, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_age)

    def __iter__(self) -> Iterator[StoredEvent]:
        """All events, oldest first."""
        return iter(self._by_age)

    @property
    def size(self) -> int:
        """About the bytes that all events take."""
        return self._size

    def set_bounds(self, *, max_events: int, max_size: int) -> None:
        """Change the bounds, at once."""
        self._max_events = max_events
        self._max_size = max_size
        self._evict()

    def retain(self, event: StoredEvent) -> None:
        """Make this the retained event of its topic, for all who may have it."""
        before = list(self._by_topic.get(event.topic, ()))
        remaining = _not_superseded([*before, event])
        for old in before:
            if old not in remaining:
                self._remove(old)
        if event.size > self._max_size:
            return
        self._by_topic.setdefault(event.topic, []).append(event)
        self._by_age[event] = None
        self._size += event.size
        self._evict()

    def find(
        self, topic: str, match: Match, may_have: Callable[[StoredEvent], bool], *, most: int
    ) -> list[StoredEvent]:
        """Return of each topic that a subscription is to the most recent event that somebody may have.

        In the order in which they were published; where there are more than ``most``, these are the newest.
        """
        if match == "exact":
            events = iter(reversed(self._by_topic.get(topic, [])))
        else:
            is_match = matcher(match, topic)
            events = (event for event in reversed(self._by_age) if is_match(event.topic))
        found: dict[str, StoredEvent] = {}
        for event in events:
            if len(found) >= most:
                break
            if event.topic not in found and may_have(event):
                found[event.topic] = event
        return list(reversed(found.values()))

    def clear(self, topic: str, match: Match) -> int:
        """Forget the events of a topic, or of all that match a pattern, and return how many there were."""
        is_match = matcher(match, topic)
        events = [event for event in self._by_age if is_match(event.topic)]
        for event in events:
            self._remove(event)
        return len(events)

    def _evict(self) -> None:
        while len(self._by_age) > self._max_events or self._size > self._max_size:
            self._remove(next(iter(self._by_age)))

    def _remove(self, event: StoredEvent) -> None:
        del self._by_age[event]
        self._size -= event.size
        of_topic = self._by_topic[event.topic]
        of_topic.remove(event)
        if not of_topic:
            del self._by_topic[event.topic]


def _not_superseded(events: list[StoredEvent]) -> list[StoredEvent]:
    """Return those of a topic's events, given oldest first, that are the most recent one for somebody."""
    remaining: list[StoredEvent] = []
    limited = 0
    for event in reversed(events):
        if any(_supersedes(newer, event) for newer in remaining):
            continue
        if event.lists:
            limited += 1
            if limited <= LIMITED_PER_TOPIC:
                remaining.append(event)
            continue
        # Two without lists that are not made needless by each other exclude different publishers: what is
        # older than both reaches nobody.
        complete = event.excluded_id is None or any(not newer.lists for newer in remaining)
        remaining.append(event)
        if complete:
            break
    return remaining


def _supersedes(newer: StoredEvent, older: StoredEvent) -> bool:
    """Whether everybody who may have the older event may have the newer one, too."""
    if newer.excluded_id is not None and newer.excluded_id not in _excluded_ids(older):
        return False
    for name, values in newer.lists.items():
        if name.startswith("eligible"):
            if name not in older.lists or not older.lists[name] <= values:
                return False
        elif not values <= (
            _excluded_ids(older) if name == "exclude" else older.lists.get(name, frozenset())
        ):
            return False
    return True


def _excluded_ids(event: StoredEvent) -> frozenset[int]:
    listed = event.lists.get("exclude", frozenset())
    return listed if event.excluded_id is None else listed | {event.excluded_id}
