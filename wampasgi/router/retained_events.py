"""The retained events of a realm, which new subscribers of a topic get at once.

Spec: Advanced Profile, "Event Retention".
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from wampasgi.router.matching import matcher
from wampasgi.router.stamps import Stamp
from wampasgi.router.stored_events import StoredEvent
from wampasgi.types import Match

#: The maximum number of events with black- or whitelists that are retained for one topic.
LIMITED_PER_TOPIC: Final = 10


class RetainedEvents:
    """Retained events by topic: at most ``max_events``, of about ``max_size`` bytes in total.

    Each event is retained as long as it is the most recent one that some session may receive. So a topic has
    the latest event for everybody, and newer ones with black- or whitelists, at most
    :data:`LIMITED_PER_TOPIC`. Since publishers are usually excluded from their own events, there can be one
    more event, which is for that publisher.

    Over the limits, the oldest events of all topics are evicted. An event that alone is over ``max_size`` is
    not retained, but the events that it supersedes are removed nevertheless, because they are out of date.
    """

    def __init__(self, *, max_events: int, max_size: int) -> None:
        self._max_events = max_events
        self._max_size = max_size
        self._size = 0
        # The events of each topic, and all events, both oldest first.
        self._by_topic: dict[str, list[StoredEvent]] = {}
        self._by_age: OrderedDict[StoredEvent, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._by_age)

    def __iter__(self) -> Iterator[StoredEvent]:
        """Iterate over all events, oldest first."""
        return iter(self._by_age)

    @property
    def size(self) -> int:
        """The approximate size of all events in bytes."""
        return self._size

    def set_bounds(self, *, max_events: int, max_size: int) -> None:
        """Change the limits, with immediate effect."""
        self._max_events = max_events
        self._max_size = max_size
        self._evict()

    def retain(self, event: StoredEvent) -> None:
        """Retain an event, and remove the events of its topic that it supersedes."""
        before = list(self._by_topic.get(event.topic, ()))
        known = _in_order([*before, event])
        remaining = _not_superseded(known)
        for old in before:
            if old not in remaining:
                self._remove(old)
        if event.size > self._max_size or event not in remaining:
            return
        self._by_topic[event.topic] = [old for old in known if old in remaining]
        newest = next(reversed(self._by_age), None)
        self._by_age[event] = None
        if newest is not None and _in_order([newest, event])[0] is event:
            self._by_age = OrderedDict.fromkeys(_in_order([*self._by_age]))
        self._size += event.size
        self._evict()

    def find(
        self, topic: str, match: Match, may_have: Callable[[StoredEvent], bool], *, most: int
    ) -> list[StoredEvent]:
        """Return the most recent event of each topic of a subscription for which ``may_have`` is true.

        The events are in the order of publication. If there are more than ``most``, the newest are returned.
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

    def clear(self, topic: str, match: Match, *, before: Stamp | None = None) -> int:
        """Remove the events of a topic or of all topics that match a pattern, and return their number.

        With ``before``, events with a later stamp remain.
        """
        is_match = matcher(match, topic)
        events = [
            event
            for event in self._by_age
            if is_match(event.topic) and (before is None or event.stamp is None or event.stamp < before)
        ]
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


def _in_order(events: list[StoredEvent]) -> list[StoredEvent]:
    """Sort events, of which the last one may come from another worker and be older than the others."""
    if events[-1].stamp is None:
        return events
    return sorted(events, key=lambda event: event.stamp or (0, 0))


def _not_superseded(events: list[StoredEvent]) -> list[StoredEvent]:
    """Return the events that are the most recent one for any session, of one topic's events, oldest first."""
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
        # If neither of two events without lists supersedes the other, they exclude different publishers.
        # Together they reach every session, so that all older events are out of date.
        complete = event.excluded_id is None or any(not newer.lists for newer in remaining)
        remaining.append(event)
        if complete:
            break
    return remaining


def _supersedes(newer: StoredEvent, older: StoredEvent) -> bool:
    """Return whether all sessions that may receive the older event may receive the newer one, too."""
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
