from __future__ import annotations

import itertools
from typing import Any

import pytest

from wampasgi.protocol.messages import Event
from wampasgi.router.event_history import EventHistory, Filters
from wampasgi.router.stored_events import StoredEvent, store
from wampasgi.types import Match

TOPIC = "com.mycompany.log"


def event(publication_id: int, topic: str = TOPIC, text: str = "") -> StoredEvent:
    return store(Event(0, publication_id, {}, [text], None), topic, {}, excluded_id=None)


def history(*entries: tuple[str, Match, int], max_size: int = 10**6) -> EventHistory:
    """A history whose clock advances by a second with each event."""
    seconds = itertools.count(1)
    kept = EventHistory(now=lambda: f"2026-11-23T10:00:{next(seconds):02}.500Z", max_size=max_size)
    for topic, match, limit in entries:
        kept.keep(topic, match, limit=limit)
    return kept


def of_five() -> EventHistory:
    """A history of publications 105 to 101 at 10:00:01.5 to 10:00:05.5: IDs are not in order of time."""
    kept = history((TOPIC, "exact", 10))
    for publication_id in (105, 104, 103, 102, 101):
        kept.store(event(publication_id))
    return kept


def found(kept: EventHistory, uri: str = TOPIC, match: Match = "exact", **filters: Any) -> list[int]:
    records, _ = kept.find(uri, match, Filters(**filters), lambda event: True)
    return [record.event.publication_id for record in records]


# Storing


@pytest.mark.parametrize(
    ("topic", "options", "wanted"),
    [
        (TOPIC, {}, True),
        ("com.other", {}, False),
        (TOPIC, {"eligible_authrole": ["admin"], "exclude_authid": [], "exclude_me": True}, True),
        (TOPIC, {"exclude": [1]}, False),
        (TOPIC, {"eligible": []}, False),
    ],
)
def test_event_with_lists_of_session_ids_is_not_stored(
    topic: str, options: dict[str, Any], wanted: bool
) -> None:
    assert history((TOPIC, "exact", 5)).wants(topic, options) is wanted


def test_history_without_configured_topics_stores_nothing() -> None:
    assert not history().wants(TOPIC, {})


def test_each_subscription_has_the_history_of_the_specifications_example() -> None:
    kept = history((TOPIC, "prefix", 10))
    topics = [f"{TOPIC}.{name}" for name in ("auth", "basket", "basket", "basket", "checkout")]
    for publication_id, topic in enumerate(topics, 1):
        kept.store(event(publication_id, topic))

    assert found(kept, f"{TOPIC}.auth") == [1]
    assert found(kept, f"{TOPIC}.basket") == [2, 3, 4]
    assert found(kept, TOPIC, "prefix") == [1, 2, 3, 4, 5]
    assert found(kept, "com.mycompany.log.", "wildcard") == [1, 2, 3, 4, 5]


def test_subscription_without_a_log_for_all_its_topics_has_no_history() -> None:
    kept = history((f"{TOPIC}.", "prefix", 10))
    kept.store(event(1, f"{TOPIC}.auth"))
    assert found(kept, f"{TOPIC}.", "prefix") == [1]
    assert found(kept, TOPIC, "prefix") == []
    assert found(kept, "com..log.", "wildcard") == []


def test_each_log_keeps_its_configured_number_of_events() -> None:
    kept = history((TOPIC, "prefix", 5), (f"{TOPIC}.rare", "exact", 2))
    for publication_id in range(1, 5):
        kept.store(event(publication_id, f"{TOPIC}.rare"))
    for publication_id in range(5, 9):
        kept.store(event(publication_id, f"{TOPIC}.often"))

    assert found(kept, TOPIC, "prefix") == [4, 5, 6, 7, 8]
    # The events of both logs, without duplicates and in order.
    assert found(kept, f"{TOPIC}.rare") == [3, 4]
    assert found(kept, f"{TOPIC}.often") == [5, 6, 7, 8]


def test_keeps_returns_whether_exactly_this_pattern_has_a_log() -> None:
    kept = history((TOPIC, "prefix", 5))
    assert kept.keeps(TOPIC, "prefix")
    assert not kept.keeps(TOPIC, "exact")


def test_oldest_events_are_evicted_over_the_size_limit() -> None:
    size = event(1).size
    kept = history((TOPIC, "exact", 10), max_size=2 * size)
    for publication_id in range(1, 6):
        kept.store(event(publication_id))
    assert found(kept) == [4, 5]
    kept.set_max_size(size)
    assert found(kept) == [5]


def test_evicted_events_do_not_count_towards_the_size_limit() -> None:
    size = event(1).size
    kept = history((TOPIC, "exact", 2), max_size=2 * size)
    for publication_id in range(1, 6):
        kept.store(event(publication_id))
    assert found(kept) == [4, 5]


def test_event_over_the_size_limit_is_not_stored_and_evicts_no_other() -> None:
    kept = history((TOPIC, "exact", 10), max_size=5_000)
    kept.store(event(1))
    kept.store(event(2, text="x" * 5_000))
    kept.store(event(3))
    assert found(kept) == [1, 3]


def test_record_has_the_time_of_publication() -> None:
    kept = of_five()
    (first, *_), _ = kept.find(TOPIC, "exact", Filters(), lambda event: True)
    assert first.timestamp == "2026-11-23T10:00:01.500Z"


def test_limit_counts_only_events_that_the_reader_may_receive() -> None:
    kept = of_five()
    records, more = kept.find(TOPIC, "exact", Filters(limit=2), lambda event: event.publication_id % 2 == 0)
    assert [record.event.publication_id for record in records] == [104, 102]
    assert not more


@pytest.mark.parametrize(("limit", "more"), [(None, False), (5, False), (4, True), (1, True)])
def test_find_returns_whether_the_limit_cut_events_off(limit: int | None, more: bool) -> None:
    for reverse in False, True:
        filters = Filters(limit=limit, reverse=reverse)
        assert of_five().find(TOPIC, "exact", filters, lambda event: True)[1] is more


# Filters

THIRD = "2026-11-23T10:00:03.500Z"


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [105, 104, 103, 102, 101]),
        ({"reverse": True}, [101, 102, 103, 104, 105]),
        ({"limit": 2}, [105, 104]),
        ({"limit": 2, "reverse": True}, [101, 102]),
        ({"limit": 9}, [105, 104, 103, 102, 101]),
        ({"from_time": THIRD}, [103, 102, 101]),
        ({"after_time": THIRD}, [102, 101]),
        ({"before_time": THIRD}, [105, 104]),
        ({"until_time": THIRD}, [105, 104, 103]),
        ({"from_time": "2026-11-23T11:00:03.5+01:00"}, [103, 102, 101]),
        ({"from_time": "2026-11-23T10:00:03.5000001Z"}, [102, 101]),
        ({"from_publication": 103}, [103, 102, 101]),
        ({"after_publication": 103}, [102, 101]),
        ({"before_publication": 103}, [105, 104]),
        ({"until_publication": 103}, [105, 104, 103]),
        ({"after_publication": 105, "limit": 2}, [104, 103]),
        ({"before_publication": 101, "limit": 2, "reverse": True}, [102, 103]),
        ({"from_publication": 104, "until_publication": 102}, [104, 103, 102]),
        ({"from_publication": 102, "until_publication": 104}, []),
        ({"after_time": "2026-11-23T10:00:01.5Z", "before_publication": 102}, [104, 103]),
        ({"after_publication": 999}, []),
        ({"until_publication": 999}, []),
        ({"topic": TOPIC}, [105, 104, 103, 102, 101]),
        ({"topic": "com.other"}, []),
    ],
)
def test_filters_restrict_the_history(filters: dict[str, Any], expected: list[int]) -> None:
    assert found(of_five(), **filters) == expected


def test_topic_filter_allows_publications_of_other_topics_as_bounds() -> None:
    kept = history(("com.", "prefix", 10))
    for publication_id, topic in enumerate(["com.a", "com.b", "com.a", "com.b"], 1):
        kept.store(event(publication_id, topic))
    assert found(kept, "com.", "prefix", topic="com.b") == [2, 4]
    assert found(kept, "com.", "prefix", topic="com.b", after_publication=3) == [4]
