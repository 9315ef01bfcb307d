"""The event history of a realm: the events of the topics that it is configured for.

Spec: Advanced Profile, "Event History".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from operator import attrgetter, ge, gt, le, lt
from typing import Any, Final

from wampasgi.protocol.timestamps import nanoseconds
from wampasgi.router.matching import URIMap, covers, matcher
from wampasgi.router.stamps import Stamp
from wampasgi.router.stored_events import StoredEvent
from wampasgi.types import Match

#: Publications with these options are not stored: session IDs do not last, so that the lists would select the
#: wrong sessions later.
_SESSION_LISTS: Final = frozenset(["exclude", "eligible"])


@dataclass(frozen=True, slots=True)
class Record:
    """An event with the RFC 3339 time of its publication, and its position among all stored events."""

    place: Stamp
    timestamp: str
    event: StoredEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """The filters of a query for a history; None does not filter.

    The times are RFC 3339 timestamps that :func:`~wampasgi.protocol.timestamps.nanoseconds` can read.
    ``limit`` is the maximum number of events: the first ones or, with ``reverse``, the last ones.
    """

    reverse: bool = False
    limit: int | None = None
    from_time: str | None = None
    after_time: str | None = None
    before_time: str | None = None
    until_time: str | None = None
    topic: str | None = None
    from_publication: int | None = None
    after_publication: int | None = None
    before_publication: int | None = None
    until_publication: int | None = None


class EventHistory:
    """Logs of the latest events, one for each configured topic or topic pattern.

    ``now`` returns the time as an RFC 3339 timestamp. ``max_size`` is the approximate size limit of each log,
    in bytes.
    """

    def __init__(self, *, now: Callable[[], str], max_size: int) -> None:
        self._now = now
        self._max_size = max_size
        self._stored = 0
        self._logs: URIMap[_Log] = URIMap()

    def keeps(self, topic: str, match: Match) -> bool:
        """Return whether exactly this topic or pattern has a log."""
        return self._logs.get(match, topic) is not None

    def keep(self, topic: str, match: Match, *, limit: int) -> None:
        """Begin to log the latest ``limit`` events of a topic or pattern, which must not have a log yet."""
        self._logs.add(match, topic, _Log(topic, match, limit))

    def set_max_size(self, max_size: int) -> None:
        """Change the size limit of each log, with immediate effect."""
        self._max_size = max_size
        for log in self._logs:
            log.shrink(max_size)

    def wants(self, topic: str, options: Mapping[str, Any]) -> bool:
        """Return whether a publication with these options of PUBLISH is to be stored."""
        return (
            len(self._logs) > 0
            and (not options or _SESSION_LISTS.isdisjoint(options))
            and bool(self._logs.matches(topic))
        )

    def store(self, event: StoredEvent) -> None:
        """Log an event, unless it alone is over the size limit of a log."""
        if event.size > self._max_size:
            return
        self._stored += 1
        if event.timestamp is None:
            event.timestamp = self._now()
        record = Record(event.stamp or (self._stored, 0), event.timestamp, event)
        for log in self._logs.matches(event.topic):
            log.append(record)
            log.shrink(self._max_size)

    def events(self) -> list[StoredEvent]:
        """Return all events of all logs, each once."""
        return list(dict.fromkeys(record.event for log in self._logs for record in log.records))

    def find(
        self, topic: str, match: Match, filters: Filters, may_have: Callable[[StoredEvent], bool]
    ) -> tuple[list[Record], bool]:
        """Return the events of a subscription that pass the filters and ``may_have``.

        Only logs that cover all topics of the subscription are used. The events are in the order of
        publication, or in reverse order with ``reverse``. The bool tells whether the limit cut events off.
        """
        logs = [log for log in self._logs if covers(log.match, log.topic, match, topic)]
        is_match = matcher(match, topic)
        place = attrgetter("place")
        # An event in several logs is the same record in each.
        records = [
            record
            for _, same in groupby(merge(*[log.records for log in logs], key=place), key=place)
            if is_match((record := next(same)).event.topic)
        ]
        wanted = [
            record
            for record in _within(records, filters)
            if (filters.topic is None or record.event.topic == filters.topic) and may_have(record.event)
        ]
        if filters.reverse:
            wanted.reverse()
        limit = len(wanted) if filters.limit is None else filters.limit
        return wanted[:limit], len(wanted) > limit


class _Log:
    """The latest records of one topic or pattern."""

    __slots__ = ("_size", "match", "records", "topic")

    def __init__(self, topic: str, match: Match, limit: int) -> None:
        self.topic = topic
        self.match = match
        self.records: deque[Record] = deque(maxlen=limit)
        self._size = 0

    def append(self, record: Record) -> None:
        records = self.records
        # Events of other workers may arrive after later ones.
        later = len(records)
        while later and records[later - 1].place > record.place:
            later -= 1
        if len(records) == records.maxlen:
            if not later:
                return
            self._size -= records.popleft().event.size
            later -= 1
        records.insert(later, record)
        self._size += record.event.size

    def shrink(self, max_size: int) -> None:
        while self._size > max_size:
            self._size -= self.records.popleft().event.size


def _within(records: list[Record], filters: Filters) -> Iterator[Record]:
    """Return the records between the publications and times that the filters name.

    If a named publication is not among the records, because it is too old or of another topic, no record
    matches.
    """
    places = {record.event.publication_id: record.place for record in records}
    conditions: list[Callable[[Record], bool]] = []
    for bound, compare in _COMPARISONS.items():
        publication_id, timestamp = (getattr(filters, f"{bound}_{of}") for of in ("publication", "time"))
        if publication_id is not None:
            if publication_id not in places:
                return iter(())
            conditions.append(_comparing_places(compare, places[publication_id]))
        if timestamp is not None:
            time = nanoseconds(timestamp)
            assert time is not None
            conditions.append(_comparing_times(compare, time))
    return (record for record in records if all(condition(record) for condition in conditions))


_Comparison = Callable[[Any, Any], bool]

_COMPARISONS: Final[Mapping[str, _Comparison]] = {"from": ge, "after": gt, "before": lt, "until": le}


def _comparing_places(compare: _Comparison, place: Stamp) -> Callable[[Record], bool]:
    return lambda record: compare(record.place, place)


def _comparing_times(compare: _Comparison, time: int) -> Callable[[Record], bool]:
    return lambda record: compare(nanoseconds(record.timestamp) or 0, time)
