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
    """Its clock goes on by a second with each event."""
    seconds = itertools.count(1)
    kept = EventHistory(now=lambda: f"2026-11-23T10:00:{next(seconds):02}.500Z", max_size=max_size)
    for topic, match, limit in entries:
        kept.keep(topic, match, limit=limit)
    return kept


def of_five() -> EventHistory:
    """Publications 105 to 101 at one to five seconds and a half past ten; the IDs are in no order."""
    kept = history((TOPIC, "exact", 10))
    for publication_id in (105, 104, 103, 102, 101):
        kept.store(event(publication_id))
    return kept


def found(kept: EventHistory, uri: str = TOPIC, match: Match = "exact", **filters: Any) -> list[int]:
    records, _ = kept.find(uri, match, Filters(**filters), lambda event: True)
    return [record.event.publication_id for record in records]


# What is stored


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
def test_event_with_session_ids_to_choose_by_is_not_stored(
    topic: str, options: dict[str, Any], wanted: bool
) -> None:
    assert history((TOPIC, "exact", 5)).wants(topic, options) is wanted


def test_nothing_is_wanted_where_nothing_is_configured() -> None:
    assert not history().wants(TOPIC, {})


def test_history_is_that_of_each_subscription_as_in_the_specification() -> None:
    kept = history((TOPIC, "prefix", 10))
    topics = [f"{TOPIC}.{name}" for name in ("auth", "basket", "basket", "basket", "checkout")]
    for publication_id, topic in enumerate(topics, 1):
        kept.store(event(publication_id, topic))

    assert found(kept, f"{TOPIC}.auth") == [1]
    assert found(kept, f"{TOPIC}.basket") == [2, 3, 4]
    assert found(kept, TOPIC, "prefix") == [1, 2, 3, 4, 5]
    assert found(kept, "com.mycompany.log.", "wildcard") == [1, 2, 3, 4, 5]


def test_subscription_that_is_not_kept_as_a_whole_has_no_history() -> None:
    kept = history((f"{TOPIC}.", "prefix", 10))
    kept.store(event(1, f"{TOPIC}.auth"))
    assert found(kept, f"{TOPIC}.", "prefix") == [1]
    assert found(kept, TOPIC, "prefix") == []
    assert found(kept, "com..log.", "wildcard") == []


def test_each_log_keeps_as_many_events_as_it_was_told() -> None:
    kept = history((TOPIC, "prefix", 5), (f"{TOPIC}.rare", "exact", 2))
    for publication_id in range(1, 5):
        kept.store(event(publication_id, f"{TOPIC}.rare"))
    for publication_id in range(5, 9):
        kept.store(event(publication_id, f"{TOPIC}.often"))

    assert found(kept, TOPIC, "prefix") == [4, 5, 6, 7, 8]
    # What either log still has, each event once and in order.
    assert found(kept, f"{TOPIC}.rare") == [3, 4]
    assert found(kept, f"{TOPIC}.often") == [5, 6, 7, 8]


def test_log_knows_what_it_was_told_to_keep() -> None:
    kept = history((TOPIC, "prefix", 5))
    assert kept.keeps(TOPIC, "prefix")
    assert not kept.keeps(TOPIC, "exact")


def test_bytes_too_many_cost_the_oldest() -> None:
    size = event(1).size
    kept = history((TOPIC, "exact", 10), max_size=2 * size)
    for publication_id in range(1, 6):
        kept.store(event(publication_id))
    assert found(kept) == [4, 5]
    kept.set_max_size(size)
    assert found(kept) == [5]


def test_bytes_are_those_of_the_events_that_are_still_there() -> None:
    size = event(1).size
    kept = history((TOPIC, "exact", 2), max_size=2 * size)
    for publication_id in range(1, 6):
        kept.store(event(publication_id))
    assert found(kept) == [4, 5]


def test_event_that_is_larger_than_a_log_is_not_stored_and_costs_no_other() -> None:
    kept = history((TOPIC, "exact", 10), max_size=5_000)
    kept.store(event(1))
    kept.store(event(2, text="x" * 5_000))
    kept.store(event(3))
    assert found(kept) == [1, 3]


def test_record_tells_when_it_was_stored() -> None:
    kept = of_five()
    (first, *_), _ = kept.find(TOPIC, "exact", Filters(), lambda event: True)
    assert first.timestamp == "2026-11-23T10:00:01.500Z"


def test_events_that_somebody_may_not_have_are_left_out_before_the_limit_counts() -> None:
    kept = of_five()
    records, more = kept.find(TOPIC, "exact", Filters(limit=2), lambda event: event.publication_id % 2 == 0)
    assert [record.event.publication_id for record in records] == [104, 102]
    assert not more


@pytest.mark.parametrize(("limit", "more"), [(None, False), (5, False), (4, True), (1, True)])
def test_history_tells_whether_the_limit_has_cut_it_off(limit: int | None, more: bool) -> None:
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
def test_filters_narrow_the_history_down(filters: dict[str, Any], expected: list[int]) -> None:
    assert found(of_five(), **filters) == expected


def test_one_topic_of_a_pattern_is_chosen_and_bounds_may_be_of_another() -> None:
    kept = history(("com.", "prefix", 10))
    for publication_id, topic in enumerate(["com.a", "com.b", "com.a", "com.b"], 1):
        kept.store(event(publication_id, topic))
    assert found(kept, "com.", "prefix", topic="com.b") == [2, 4]
    assert found(kept, "com.", "prefix", topic="com.b", after_publication=3) == [4]
