"""Advanced Profile, "Pattern-based Subscription"."""

from __future__ import annotations

import pytest

from tests.conformance.clients import (
    BASIC_ROLES,
    EVENT,
    PUBLISH,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
    assert_nothing_came,
    asyncio_only,
    joined,
    open_router,
    roles,
    subscribe,
)

pytestmark = pytest.mark.anyio

PATTERNS = roles("pattern_based_subscription")


async def dispatched(match: str, pattern: str, topics: list[str]) -> list[str]:
    """Those of the topics whose events a subscriber of the pattern gets, with the topic in each of them."""
    async with joined(open_router(), BASIC_ROLES, PATTERNS) as [publisher, subscriber]:
        subscription_id = await subscribe(subscriber, pattern, match=match)
        for number, topic in enumerate(topics, 1):
            await publisher.ask(PUBLISH, number, {"acknowledge": True}, topic, ["Hello, world!"])
        received = []
        while subscriber.arrived():
            event = await subscriber.receive()
            assert event[:2] == [EVENT, subscription_id]
            assert set(event[3]) == ({"topic"} if match != "exact" else set())
            assert event[4] == ["Hello, world!"]
            received.append(event[3].get("topic", pattern))
    return received


@asyncio_only
async def test_prefix_matches_whatever_begins_with_it() -> None:
    matching = [
        "com.myapp.topic.emergency.11",
        "com.myapp.topic.emergency-low",
        "com.myapp.topic.emergency.category.severe",
        "com.myapp.topic.emergency",
    ]

    assert await dispatched("prefix", matching[3], [*matching, "com.myapp.topic.emerge"]) == matching


@asyncio_only
async def test_wildcard_matches_exactly_one_component() -> None:
    matching = ["com.myapp.foo.userevent", "com.myapp.bar.userevent", "com.myapp.a12.userevent"]
    others = ["com.myapp.foo.userevent.bar", "com.myapp.foo.user", "com.myapp2.foo.userevent"]

    assert await dispatched("wildcard", "com.myapp..userevent", matching + others) == matching


@asyncio_only
async def test_pattern_without_an_empty_component_still_names_the_topic() -> None:
    assert await dispatched("wildcard", "com.myapp", ["com.myapp", "com.myapp.a"]) == ["com.myapp"]


@asyncio_only
async def test_exact_is_the_default_and_matches_nothing_else() -> None:
    assert await dispatched("exact", "com.myapp", ["com.myapp", "com.myapp.a", "com.myap"]) == ["com.myapp"]


async def test_event_is_delivered_for_each_matching_subscription_as_the_same_publication() -> None:
    async with joined(open_router(), BASIC_ROLES, PATTERNS) as [publisher, subscriber]:
        ids = {
            await subscribe(subscriber, "com.myapp.a", 1),
            await subscribe(subscriber, "com.myapp", 2, match="prefix"),
            await subscribe(subscriber, "com", 3, match="prefix"),
            await subscribe(subscriber, "com..a", 4, match="wildcard"),
        }
        published = await publisher.ask(PUBLISH, 1, {"acknowledge": True}, "com.myapp.a")
        events = [await subscriber.receive() for _ in ids]
        await assert_nothing_came(subscriber)

    assert {event[1] for event in events} == ids
    assert len(ids) == 4
    assert {event[2] for event in events} == {published[2]}
    assert sorted(event[3].get("topic", "") for event in events) == ["", *["com.myapp.a"] * 3]


async def test_all_subscribers_of_one_subscription_are_given_the_same_id() -> None:
    async with joined(open_router(), PATTERNS, PATTERNS) as [one, other]:
        for number, match in enumerate(["exact", "prefix", "wildcard"], 1):
            subscription_id = await subscribe(one, "com.myapp", number, match=match)
            assert await subscribe(other, "com.myapp", number, match=match) == subscription_id
            # And to subscribe again gives it again.
            assert await subscribe(one, "com.myapp", 9, match=match) == subscription_id


async def test_subset_of_a_pattern_cannot_be_unsubscribed() -> None:
    async with joined(open_router(), BASIC_ROLES, PATTERNS) as [publisher, subscriber]:
        pattern = await subscribe(subscriber, "com.myapp", 1, match="prefix")
        exact = await subscribe(subscriber, "com.myapp.a", 2)
        assert await subscriber.ask(UNSUBSCRIBE, 3, exact) == [UNSUBSCRIBED, 3]
        await publisher.send(PUBLISH, 1, {}, "com.myapp.a")
        assert (await subscriber.receive())[1] == pattern
