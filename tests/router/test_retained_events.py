from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wampasgi.protocol.messages import Event
from wampasgi.router.retained_events import LIMITED_PER_TOPIC, RetainedEvents
from wampasgi.router.stored_events import StoredEvent, store
from wampasgi.types import Match

TOPIC = "com.myapp.topic"
IDS = itertools.count(1)


def event(topic: str = TOPIC, *, excluded: int | None = None, text: str = "", **options: Any) -> StoredEvent:
    message = Event(0, next(IDS), {}, [text], None)
    return store(message, topic, options, excluded_id=excluded)


def retaining(*events: StoredEvent, max_events: int = 1000, max_size: int = 10**6) -> RetainedEvents:
    retained = RetainedEvents(max_events=max_events, max_size=max_size)
    for one in events:
        retained.retain(one)
    return retained


def find(
    retained: RetainedEvents, topic: str = TOPIC, match: Match = "exact", *, session: int = 1, most: int = 100
) -> list[StoredEvent]:
    return retained.find(
        topic,
        match,
        lambda candidate: candidate.excluded_id != session and candidate.admits(session, {}),
        most=most,
    )


def found(retained: RetainedEvents, *sessions: int) -> list[StoredEvent | None]:
    """The retained event that each of these sessions gets."""
    return [next(iter(find(retained, session=session)), None) for session in sessions]


# Events of one topic


def test_new_retained_event_replaces_the_previous_one() -> None:
    old, new = event(), event()
    retained = retaining(old, new)
    assert list(retained) == [new]
    assert find(retained) == [new]
    assert retained.size == new.size


def test_each_topic_has_its_own_event() -> None:
    one, other = event("com.one"), event("com.other")
    retained = retaining(one, other)
    assert find(retained, "com.one") == [one]
    assert find(retained, "com.other") == [other]
    assert find(retained, "com") == []


def test_event_for_some_sessions_is_retained_until_the_next_one_for_all() -> None:
    for_all, for_one = event(), event(eligible=[1])
    retained = retaining(for_all, for_one)
    assert found(retained, 1, 2) == [for_one, for_all]

    latest = event()
    retained.retain(latest)
    assert list(retained) == [latest]


@pytest.mark.parametrize(
    ("older", "newer", "retained"),
    [
        ({"eligible": [1]}, {"eligible": [1]}, False),
        ({"eligible": [1]}, {"eligible": [1, 2]}, False),
        ({"eligible": [1, 2]}, {"eligible": [1]}, True),
        ({"eligible": [1]}, {"exclude": [2]}, True),
        ({"eligible_authid": ["a"]}, {"eligible_authrole": ["a"]}, True),
        ({"exclude": [1, 2]}, {"exclude": [2]}, False),
        ({"exclude": [1]}, {"exclude": [1, 2]}, True),
        ({"exclude_authid": ["a", "b"]}, {"exclude_authid": ["a"]}, False),
        ({"exclude_authid": ["a"]}, {"exclude_authid": ["a", "b"]}, True),
        ({"exclude_authid": ["a"]}, {"exclude_authrole": ["a"]}, True),
        ({"exclude": [1], "eligible_authid": ["a"]}, {"exclude": [1]}, False),
        ({"exclude": [1]}, {"exclude": [1], "eligible_authid": ["a"]}, True),
        ({"excluded": 1}, {"excluded": 1}, False),
        ({"excluded": 1}, {"excluded": 2}, True),
        ({"excluded": 1}, {"exclude": [1]}, False),
        ({"exclude": [1]}, {"excluded": 1}, False),
        ({"excluded": 1, "eligible": [2]}, {"eligible": [2]}, False),
        ({"eligible": [2]}, {"excluded": 1, "eligible": [2]}, True),
    ],
)
def test_older_event_is_retained_unless_the_newer_one_reaches_all_its_sessions(
    older: dict[str, Any], newer: dict[str, Any], retained: bool
) -> None:
    first, second = event(**older), event(**newer)
    assert list(retaining(first, second)) == ([first, second] if retained else [second])


def test_publisher_gets_the_previous_event_of_another_publisher() -> None:
    by_one, by_two = event(excluded=1), event(excluded=2)
    assert found(retaining(by_one, by_two), 1, 2, 3) == [by_two, by_one, by_two]


def test_topic_with_many_publishers_has_two_events() -> None:
    events = [event(excluded=publisher) for publisher in range(100)]
    retained = retaining(*events)
    assert list(retained) == events[-2:]


def test_number_of_events_with_lists_per_topic_is_limited() -> None:
    for_all = event()
    for_one = [event(eligible=[session]) for session in range(1, 50)]
    retained = retaining(for_all, *for_one)
    assert list(retained) == [for_all, *for_one[-LIMITED_PER_TOPIC:]]
    assert found(retained, 1, 49) == [for_all, for_one[-1]]


SESSIONS = range(1, 5)
AUDIENCES = st.fixed_dictionaries(
    {},
    optional={
        "excluded": st.sampled_from(SESSIONS),
        "exclude": st.lists(st.sampled_from(SESSIONS)),
        "eligible": st.lists(st.sampled_from(SESSIONS)),
    },
)


@settings(deadline=None)
@given(st.lists(AUDIENCES, max_size=LIMITED_PER_TOPIC))
def test_every_session_gets_the_most_recent_event_that_it_would_have_received(
    audiences: list[dict[str, Any]],
) -> None:
    events = [event(**audience) for audience in audiences]

    def last(received: Iterable[StoredEvent]) -> StoredEvent | None:
        return next(reversed(list(received)), None)

    expected = [
        last(one for one in events if one.excluded_id != session and one.admits(session, {}))
        for session in SESSIONS
    ]
    assert found(retaining(*events), *SESSIONS) == expected


# Patterns


def test_pattern_finds_the_event_of_each_topic_in_the_order_of_publication() -> None:
    first, second, third = event("com.b.x"), event("com.a.x"), event("com.c.y")
    retained = retaining(first, second, third, event("org.a.x"))
    assert find(retained, "com.", "prefix") == [first, second, third]
    assert find(retained, "com..x", "wildcard") == [first, second]
    assert find(retained, "com.b", "prefix") == [first]
    assert find(retained, "com.", "exact") == []


def test_topic_with_a_new_event_moves_to_the_end() -> None:
    retained = retaining(event("com.a"), other := event("com.b"), again := event("com.a"))
    assert find(retained, "com.", "prefix") == [other, again]


def test_pattern_finds_only_events_that_the_session_may_receive() -> None:
    for_all, for_two = event("com.a"), event("com.a", eligible=[2])
    retained = retaining(for_all, for_two, event("com.b", eligible=[2]))
    assert find(retained, "com.", "prefix", session=1) == [for_all]
    assert len(find(retained, "com.", "prefix", session=2)) == 2


def test_pattern_finds_the_newest_events_up_to_the_maximum() -> None:
    events = [event(f"com.{number}") for number in range(10)]
    assert find(retaining(*events), "com.", "prefix", most=3) == events[-3:]


# Limits


def test_oldest_event_is_evicted_over_the_maximum_number() -> None:
    events = [event(f"com.{number}") for number in range(5)]
    retained = retaining(*events, max_events=3)
    assert list(retained) == events[-3:]
    assert find(retained, "com.0") == []


def test_oldest_events_are_evicted_over_the_size_limit() -> None:
    size = event().size
    events = [event(f"com.{number}") for number in range(5)]
    retained = retaining(*events, max_size=3 * size)
    assert list(retained) == events[-3:]
    assert retained.size == 3 * size


def test_event_over_the_size_limit_is_not_retained_but_removes_superseded_ones() -> None:
    small, other = event(), event("com.other")
    retained = retaining(small, other, max_size=10_000)
    retained.retain(event(text="x" * 10_000))
    assert list(retained) == [other]
    assert retained.size == other.size


def test_smaller_limits_take_effect_at_once() -> None:
    events = [event(f"com.{number}") for number in range(5)]
    retained = retaining(*events)
    retained.set_bounds(max_events=2, max_size=10**6)
    assert list(retained) == events[-2:]


# Clearing


def test_clearing_a_topic_removes_its_events_and_frees_their_size() -> None:
    retained = retaining(event(), event(eligible=[1]), other := event("com.other"))
    assert retained.clear(TOPIC, "exact") == 2
    assert list(retained) == [other]
    assert retained.clear(TOPIC, "exact") == 0


def test_clearing_a_pattern_clears_all_matching_topics() -> None:
    retained = retaining(event("com.a"), event("com.b"), event("org.a"))
    assert retained.clear("com.", "prefix") == 2
    assert retained.clear("", "prefix") == 1
    assert (len(retained), retained.size) == (0, 0)
