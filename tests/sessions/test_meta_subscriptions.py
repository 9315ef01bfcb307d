"""Subscriptions in the meta API."""

from __future__ import annotations

import re

import pytest

from tests.specification import CALL, ISO_8601_UTC, UNSUBSCRIBE
from tests.wamp_client import clients, trusting_app

pytestmark = pytest.mark.anyio


# Listing subscriptions


async def test_subscriptions_are_listed_by_match_policy() -> None:
    async with clients(trusting_app(), "ann", "bob") as [ann, bob]:
        assert await ann.call("wamp.subscription.list") == {"exact": [], "prefix": [], "wildcard": []}
        exact = [await ann.subscribe("com.a"), await bob.subscribe("com.b")]
        prefix = await ann.subscribe("com.", match="prefix")
        wildcard = await bob.subscribe("com..x", match="wildcard")

        assert await ann.call("wamp.subscription.list") == {
            "exact": exact,
            "prefix": [prefix],
            "wildcard": [wildcard],
        }


async def test_lookup_finds_a_subscription_under_its_match_policy_only() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        exact = await ann.subscribe("com.a")
        prefix = await ann.subscribe("com.a", match="prefix")

        lookup = "wamp.subscription.lookup"
        assert await ann.call(lookup, "com.a") == exact
        assert await ann.call(lookup, "com.a", {"match": None}) == exact
        assert await ann.call(lookup, "com.a", {"match": "prefix"}) == prefix
        assert await ann.call(lookup, "com.a", {"match": "wildcard"}) is None
        assert await ann.call(lookup, "com.a.b") is None


async def test_match_lists_all_subscriptions_that_an_event_goes_to() -> None:
    async with clients(trusting_app(), "ann", "bob") as [ann, bob]:
        exact = await ann.subscribe("com.a.x")
        prefix = await bob.subscribe("com.", match="prefix")
        wildcard = await ann.subscribe("com..x", match="wildcard")

        assert await ann.call("wamp.subscription.match", "com.a.x") == [exact, prefix, wildcard]
        assert await ann.call("wamp.subscription.match", "com.b") == [prefix]


async def test_match_is_null_if_there_is_no_subscription() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        answer = await ann.request(CALL, {}, "wamp.subscription.match", ["com.a"])

        assert answer[3] == [None]


async def test_get_returns_the_details_of_a_subscription() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        subscription_id = await ann.subscribe("com..x", match="wildcard")

        details = await ann.call("wamp.subscription.get", subscription_id)

        assert re.fullmatch(ISO_8601_UTC, details.pop("created"))
        assert details == {"id": subscription_id, "uri": "com..x", "match": "wildcard"}


async def test_subscribers_of_a_subscription_are_listed_and_counted() -> None:
    async with clients(trusting_app(), "ann", "bob") as [ann, bob]:
        subscription_id = await ann.subscribe("com.a")
        await bob.subscribe("com.a")

        listed = await ann.call("wamp.subscription.list_subscribers", subscription_id)

        assert listed == [ann.id, bob.id]
        assert await ann.call("wamp.subscription.count_subscribers", subscription_id) == 2


@pytest.mark.parametrize("name", ["get", "list_subscribers", "count_subscribers"])
async def test_unknown_subscription_is_no_such_subscription(name: str) -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        subscription_id = await ann.subscribe("com.a")
        await ann.request(UNSUBSCRIBE, subscription_id)

        uri = await ann.call_error(f"wamp.subscription.{name}", subscription_id)
        assert uri == "wamp.error.no_such_subscription"
