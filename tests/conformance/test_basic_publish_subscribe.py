"""Basic Profile, "Publish and Subscribe"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.vocabulary import TOPIC
from tests.specification import (
    EVENT,
    INVALID_URI,
    NO_SUCH_SUBSCRIPTION,
    NOT_AUTHORIZED,
    PUBLISH,
    PUBLISHED,
    SUBSCRIBE,
    SUBSCRIBED,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
)
from tests.wamp_client import BASIC, clients, connect, open_app
from wampasgi import Application, Realm

pytestmark = pytest.mark.anyio

ACKNOWLEDGE = {"acknowledge": True}


# Subscribing and unsubscribing


async def test_subscriber_receives_future_events_only() -> None:
    async with clients(open_app(), BASIC, BASIC) as [publisher, subscriber]:
        await publisher.publish(TOPIC, "past")
        subscription_id = await subscriber.subscribe(TOPIC)
        publication_id = await publisher.publish(TOPIC, "future")

        assert await subscriber.receive() == [EVENT, subscription_id, publication_id, {}, ["future"]]


async def test_subscriber_may_subscribe_to_several_topics() -> None:
    async with clients(open_app(), BASIC, BASIC) as [publisher, subscriber]:
        one, other = await subscriber.subscribe("a.one"), await subscriber.subscribe("a.other")
        assert one != other
        for request_id, topic in enumerate(["a.other", "a.third", "a.one"], 1):
            await publisher.send(PUBLISH, request_id, {}, topic)

        assert [(await subscriber.expect(EVENT))[1] for _ in range(2)] == [other, one]


async def test_subscribing_again_is_answered_with_the_existing_subscription() -> None:
    async with clients(open_app(), BASIC, BASIC) as [publisher, subscriber]:
        subscription_id = await subscriber.subscribe(TOPIC)
        assert await subscriber.request(SUBSCRIBE, {}, TOPIC) == [SUBSCRIBED, 2, subscription_id]
        await publisher.publish(TOPIC)

        # An event is dispatched for a given subscription only once.
        assert (await subscriber.receive())[:2] == [EVENT, subscription_id]
        await subscriber.expect_nothing()


async def test_one_unsubscribe_ends_a_subscription_that_was_requested_twice() -> None:
    async with clients(open_app(), BASIC, BASIC) as [publisher, subscriber]:
        subscription_id = await subscriber.subscribe(TOPIC)
        await subscriber.subscribe(TOPIC)
        assert await subscriber.request(UNSUBSCRIBE, subscription_id) == [UNSUBSCRIBED, 3]
        assert await subscriber.request_error(UNSUBSCRIBE, subscription_id) == NO_SUCH_SUBSCRIPTION
        await publisher.publish(TOPIC)
        await subscriber.expect_nothing()


async def test_subscription_that_is_not_allowed_is_answered_with_not_authorized() -> None:
    async with clients(Application(), BASIC) as [client]:
        assert await client.request_error(SUBSCRIBE, {}, TOPIC) == NOT_AUTHORIZED


async def test_unsubscribed_session_receives_no_more_events_and_others_still_do() -> None:
    async with clients(open_app(), BASIC, BASIC, BASIC) as [publisher, leaving, staying]:
        subscription_id = await leaving.subscribe(TOPIC)
        assert await staying.subscribe(TOPIC) == subscription_id
        assert await leaving.request(UNSUBSCRIBE, subscription_id) == [UNSUBSCRIBED, 2]
        await publisher.publish(TOPIC)

        await staying.expect(EVENT)
        await leaving.expect_nothing()


async def test_unsubscribe_fails_for_an_unknown_subscription_or_that_of_another_session() -> None:
    async with clients(open_app(), BASIC, BASIC) as [one, other]:
        subscription_id = await one.subscribe(TOPIC)
        for unknown in subscription_id, subscription_id + 1000:
            assert await other.request_error(UNSUBSCRIBE, unknown) == NO_SUCH_SUBSCRIPTION
        await other.publish(TOPIC)
        await one.expect(EVENT)


async def test_subscription_ends_with_its_session() -> None:
    async with clients(open_app(), BASIC, BASIC) as [publisher, subscriber]:
        subscription_id = await subscriber.subscribe(TOPIC)
        await subscriber.leave()
        await subscriber.join()
        assert await subscriber.request_error(UNSUBSCRIBE, subscription_id) == NO_SUCH_SUBSCRIPTION
        await publisher.publish(TOPIC)
        await subscriber.expect_nothing()


async def test_lost_connection_ends_its_subscriptions() -> None:
    async with clients(open_app(), BASIC, BASIC) as [publisher, subscriber]:
        await subscriber.subscribe(TOPIC)
        await subscriber.disconnect()
        await subscriber.wait_served()
        await publisher.publish(TOPIC)


# Publishing and events


@pytest.mark.parametrize("options", [{}, {"acknowledge": False}], ids=str)
async def test_publication_is_unacknowledged_by_default(options: dict[str, Any]) -> None:
    async with clients(open_app(), BASIC, BASIC) as [publisher, subscriber]:
        await subscriber.subscribe(TOPIC)
        await publisher.send(PUBLISH, 1, options, TOPIC)
        await subscriber.expect(EVENT)
        await publisher.expect_nothing()


@pytest.mark.parametrize("options", [{}, {"acknowledge": False}], ids=str)
async def test_unacknowledged_publication_is_not_answered_even_if_it_fails(
    options: dict[str, Any],
) -> None:
    async with clients(Application(), BASIC) as [client]:
        await client.send(PUBLISH, 1, options, TOPIC)
        await client.send(PUBLISH, 2, options, "not a uri")
        await client.send(PUBLISH, 3, options, "wamp.reserved")
        await client.send(PUBLISH, 4, {**options, "disclose_me": True}, TOPIC)
        await client.expect_nothing()


async def test_acknowledged_publication_is_answered_with_published() -> None:
    async with clients(open_app(), BASIC, BASIC) as [publisher, subscriber]:
        await subscriber.subscribe(TOPIC)
        published = await publisher.ask(PUBLISH, 239714735, ACKNOWLEDGE, TOPIC)
        event = await subscriber.receive()

    assert published == [PUBLISHED, 239714735, event[2]]


async def test_acknowledged_publication_without_subscribers_is_successful() -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.publish("com.nobody.listens")


async def test_acknowledged_publication_that_fails_is_answered_with_error() -> None:
    async with clients(Application(), BASIC) as [client]:
        assert await client.request_error(PUBLISH, ACKNOWLEDGE, TOPIC) == NOT_AUTHORIZED
        assert await client.request_error(PUBLISH, ACKNOWLEDGE, "a b") == INVALID_URI


async def test_publisher_never_receives_its_own_event() -> None:
    async with clients(open_app(), BASIC, BASIC) as [publisher, other]:
        await publisher.subscribe(TOPIC)
        await other.subscribe(TOPIC)
        await publisher.send(PUBLISH, 1, {}, TOPIC)
        await other.expect(EVENT)
        await publisher.expect_nothing()


async def test_event_is_sent_to_all_subscribers_of_the_topic_and_to_nobody_else() -> None:
    async with clients(open_app(), *[BASIC] * 5) as [publisher, one, other, third, stranger]:
        for client in one, other, third:
            await client.subscribe(TOPIC)
        await stranger.subscribe("com.myapp.mytopic11")
        published = await publisher.ask(PUBLISH, 1, ACKNOWLEDGE, TOPIC, ["Hello"], {"a": 1})
        events = [await client.receive() for client in (one, other, third)]
        await stranger.expect_nothing()

    assert all(event == [EVENT, events[0][1], published[2], {}, ["Hello"], {"a": 1}] for event in events)


async def test_topics_are_compared_exactly() -> None:
    async with clients(open_app(), BASIC, BASIC) as [publisher, subscriber]:
        await subscriber.subscribe("com.myapp.Topic")
        for topic in "com.myapp.topic", "com.myapp", "com.myapp.Topic.a":
            await publisher.publish(topic)
        await subscriber.expect_nothing()


async def test_realms_do_not_share_topics() -> None:
    realms = [Realm("com.one"), Realm("com.other")]
    for realm in realms:
        realm.allow_all()
    app = Application(realms)
    async with connect(app) as one, connect(app) as other:
        await one.join("com.one")
        await other.join("com.other")
        await one.subscribe(TOPIC)
        await other.publish(TOPIC)
        await one.expect_nothing()
