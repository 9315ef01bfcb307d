"""Advanced Profile, "Pattern-based Subscription"."""

from __future__ import annotations

import pytest

from tests.conformance.vocabulary import between_workers
from tests.specification import EVENT, PUBLISH, UNSUBSCRIBE, UNSUBSCRIBED
from tests.wamp_client import BASIC, announcing, clients, open_app

pytestmark = pytest.mark.anyio

PATTERNS = announcing("pattern_based_subscription")


async def received_topics(match: str, pattern: str, topics: list[str]) -> list[str]:
    """Publish to each topic, and return the topics whose events a subscriber of the pattern receives."""
    async with clients(open_app(), BASIC, PATTERNS) as [publisher, subscriber]:
        subscription_id = await subscriber.subscribe(pattern, match=match)
        for topic in topics:
            await publisher.publish(topic, "Hello, world!")
        received = []
        while await subscriber.settled():
            event = await subscriber.receive()
            assert event[:2] == [EVENT, subscription_id]
            assert set(event[3]) == ({"topic"} if match != "exact" else set())
            assert event[4] == ["Hello, world!"]
            received.append(event[3].get("topic", pattern))
    return received


@between_workers
async def test_prefix_matches_every_uri_that_begins_with_it() -> None:
    matching = [
        "com.myapp.topic.emergency.11",
        "com.myapp.topic.emergency-low",
        "com.myapp.topic.emergency.category.severe",
        "com.myapp.topic.emergency",
    ]

    assert await received_topics("prefix", matching[3], [*matching, "com.myapp.topic.emerge"]) == matching


@between_workers
async def test_wildcard_matches_exactly_one_component() -> None:
    matching = ["com.myapp.foo.userevent", "com.myapp.bar.userevent", "com.myapp.a12.userevent"]
    others = ["com.myapp.foo.userevent.bar", "com.myapp.foo.user", "com.myapp2.foo.userevent"]

    assert await received_topics("wildcard", "com.myapp..userevent", matching + others) == matching


@between_workers
async def test_event_for_a_wildcard_without_empty_components_also_has_its_topic() -> None:
    assert await received_topics("wildcard", "com.myapp", ["com.myapp", "com.myapp.a"]) == ["com.myapp"]


@between_workers
async def test_exact_subscription_matches_no_other_topic() -> None:
    assert await received_topics("exact", "com.myapp", ["com.myapp", "com.myapp.a", "com.myap"]) == [
        "com.myapp"
    ]


async def test_event_is_delivered_for_each_matching_subscription_as_the_same_publication() -> None:
    async with clients(open_app(), BASIC, PATTERNS) as [publisher, subscriber]:
        ids = {
            await subscriber.subscribe("com.myapp.a"),
            await subscriber.subscribe("com.myapp", match="prefix"),
            await subscriber.subscribe("com", match="prefix"),
            await subscriber.subscribe("com..a", match="wildcard"),
        }
        publication_id = await publisher.publish("com.myapp.a")
        events = [await subscriber.receive() for _ in ids]
        await subscriber.expect_nothing()

    assert {event[1] for event in events} == ids
    assert len(ids) == 4
    assert {event[2] for event in events} == {publication_id}
    assert sorted(event[3].get("topic", "") for event in events) == ["", *["com.myapp.a"] * 3]


async def test_all_subscribers_of_a_subscription_get_the_same_id() -> None:
    async with clients(open_app(), PATTERNS, PATTERNS) as [one, other]:
        for match in "exact", "prefix", "wildcard":
            subscription_id = await one.subscribe("com.myapp", match=match)
            assert await other.subscribe("com.myapp", match=match) == subscription_id
            # Subscribing again gives the same ID again.
            assert await one.subscribe("com.myapp", match=match) == subscription_id


async def test_subset_of_a_pattern_cannot_be_unsubscribed() -> None:
    async with clients(open_app(), BASIC, PATTERNS) as [publisher, subscriber]:
        pattern = await subscriber.subscribe("com.myapp", match="prefix")
        exact = await subscriber.subscribe("com.myapp.a")
        assert await subscriber.ask(UNSUBSCRIBE, 3, exact) == [UNSUBSCRIBED, 3]
        await publisher.send(PUBLISH, 1, {}, "com.myapp.a")
        assert (await subscriber.expect(EVENT))[1] == pattern
