"""Basic Profile, "Publish and Subscribe"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.clients import (
    EVENT,
    GOODBYE,
    INVALID_URI,
    PUBLISH,
    PUBLISHED,
    SUBSCRIBE,
    SUBSCRIBED,
    TOPIC,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
    assert_error,
    assert_nothing_came,
    basic_clients,
    subscribe,
)
from tests.websocket import connect
from wampasgi import Application, Realm

pytestmark = pytest.mark.anyio

ACKNOWLEDGE = {"acknowledge": True}
NOT_AUTHORIZED = "wamp.error.not_authorized"
NO_SUCH_SUBSCRIPTION = "wamp.error.no_such_subscription"


# Subscribing and unsubscribing


async def test_subscriber_receives_future_events_only() -> None:
    async with basic_clients(2) as [publisher, subscriber]:
        await publisher.ask(PUBLISH, 1, ACKNOWLEDGE, TOPIC, ["past"])
        subscription_id = await subscribe(subscriber)
        publication_id = (await publisher.ask(PUBLISH, 2, ACKNOWLEDGE, TOPIC, ["future"]))[2]

        assert await subscriber.receive() == [EVENT, subscription_id, publication_id, {}, ["future"]]


async def test_subscriber_may_subscribe_to_several_topics() -> None:
    async with basic_clients(2) as [publisher, subscriber]:
        one, other = await subscribe(subscriber, "a.one"), await subscribe(subscriber, "a.other")
        assert one != other
        for request_id, topic in enumerate(["a.other", "a.third", "a.one"], 1):
            await publisher.send(PUBLISH, request_id, {}, topic)

        assert [(await subscriber.receive())[1] for _ in range(2)] == [other, one]


async def test_subscribing_again_is_answered_with_the_existing_subscription() -> None:
    async with basic_clients(2) as [publisher, subscriber]:
        subscription_id = await subscribe(subscriber, request_id=1)
        assert await subscriber.ask(SUBSCRIBE, 2, {}, TOPIC) == [SUBSCRIBED, 2, subscription_id]
        await publisher.ask(PUBLISH, 1, ACKNOWLEDGE, TOPIC)

        # An event is dispatched for a given subscription only once.
        assert (await subscriber.receive())[:2] == [EVENT, subscription_id]
        await assert_nothing_came(subscriber)


async def test_one_unsubscribe_ends_a_subscription_that_was_asked_for_twice() -> None:
    async with basic_clients(2) as [publisher, subscriber]:
        subscription_id = await subscribe(subscriber, request_id=1)
        await subscribe(subscriber, request_id=2)
        assert await subscriber.ask(UNSUBSCRIBE, 3, subscription_id) == [UNSUBSCRIBED, 3]
        answer = await subscriber.ask(UNSUBSCRIBE, 4, subscription_id)
        assert_error(answer, UNSUBSCRIBE, 4, NO_SUCH_SUBSCRIPTION)
        await publisher.ask(PUBLISH, 1, ACKNOWLEDGE, TOPIC)
        await assert_nothing_came(subscriber)


async def test_subscription_that_is_not_allowed_is_answered_with_not_authorized() -> None:
    async with basic_clients(1, Application()) as [client]:
        assert_error(await client.ask(SUBSCRIBE, 1, {}, TOPIC), SUBSCRIBE, 1, NOT_AUTHORIZED)


async def test_unsubscribed_session_receives_no_more_events_and_others_still_do() -> None:
    async with basic_clients(3) as [publisher, leaving, staying]:
        subscription_id = await subscribe(leaving)
        assert await subscribe(staying) == subscription_id
        assert await leaving.ask(UNSUBSCRIBE, 1, subscription_id) == [UNSUBSCRIBED, 1]
        await publisher.ask(PUBLISH, 1, ACKNOWLEDGE, TOPIC)

        assert (await staying.receive())[0] == EVENT
        await assert_nothing_came(leaving)


async def test_unsubscribe_of_an_unknown_or_another_sessions_subscription_is_an_error() -> None:
    async with basic_clients(2) as [one, other]:
        subscription_id = await subscribe(one)
        for request_id, unknown in enumerate([subscription_id, subscription_id + 1000], 1):
            answer = await other.ask(UNSUBSCRIBE, request_id, unknown)
            assert_error(answer, UNSUBSCRIBE, request_id, NO_SUCH_SUBSCRIPTION)
        await other.ask(PUBLISH, 3, ACKNOWLEDGE, TOPIC)
        assert (await one.receive())[0] == EVENT


async def test_subscription_ends_with_the_session() -> None:
    async with basic_clients(2) as [publisher, subscriber]:
        subscription_id = await subscribe(subscriber)
        await subscriber.ask(GOODBYE, {}, "wamp.close.close_realm")
        await subscriber.join()
        answer = await subscriber.ask(UNSUBSCRIBE, 1, subscription_id)
        assert_error(answer, UNSUBSCRIBE, 1, NO_SUCH_SUBSCRIPTION)
        await publisher.ask(PUBLISH, 1, ACKNOWLEDGE, TOPIC)
        await assert_nothing_came(subscriber)


async def test_lost_connection_ends_its_subscriptions() -> None:
    async with basic_clients(2) as [publisher, subscriber]:
        await subscribe(subscriber)
        await subscriber.disconnect()
        await subscriber.wait_served()
        assert (await publisher.ask(PUBLISH, 1, ACKNOWLEDGE, TOPIC))[0] == PUBLISHED


# Publishing and events


@pytest.mark.parametrize("options", [{}, {"acknowledge": False}], ids=str)
async def test_publication_is_unacknowledged_by_default(options: dict[str, Any]) -> None:
    async with basic_clients(2) as [publisher, subscriber]:
        await subscribe(subscriber)
        await publisher.send(PUBLISH, 1, options, TOPIC)
        assert (await subscriber.receive())[0] == EVENT
        await assert_nothing_came(publisher)


@pytest.mark.parametrize("options", [{}, {"acknowledge": False}], ids=str)
async def test_unacknowledged_publication_is_not_answered_even_where_it_fails(
    options: dict[str, Any],
) -> None:
    async with basic_clients(1, Application()) as [client]:
        await client.send(PUBLISH, 1, options, TOPIC)
        await client.send(PUBLISH, 2, options, "not a uri")
        await client.send(PUBLISH, 3, options, "wamp.reserved")
        await client.send(PUBLISH, 4, {**options, "disclose_me": True}, TOPIC)
        await assert_nothing_came(client)


async def test_acknowledged_publication_is_answered_with_published() -> None:
    async with basic_clients(2) as [publisher, subscriber]:
        await subscribe(subscriber)
        published = await publisher.ask(PUBLISH, 239714735, ACKNOWLEDGE, TOPIC)
        event = await subscriber.receive()

    assert published == [PUBLISHED, 239714735, event[2]]


async def test_acknowledged_publication_without_subscribers_is_successful() -> None:
    async with basic_clients(1) as [client]:
        answer = await client.ask(PUBLISH, 1, ACKNOWLEDGE, "com.nobody.listens")

    assert answer[:2] == [PUBLISHED, 1]
    assert len(answer) == 3


async def test_acknowledged_publication_that_fails_is_answered_with_error() -> None:
    async with basic_clients(1, Application()) as [client]:
        assert_error(await client.ask(PUBLISH, 1, ACKNOWLEDGE, TOPIC), PUBLISH, 1, NOT_AUTHORIZED)
        assert_error(await client.ask(PUBLISH, 2, ACKNOWLEDGE, "a b"), PUBLISH, 2, INVALID_URI)


async def test_publisher_never_receives_its_own_event() -> None:
    async with basic_clients(2) as [publisher, other]:
        await subscribe(publisher)
        await subscribe(other)
        await publisher.send(PUBLISH, 1, {}, TOPIC)
        assert (await other.receive())[0] == EVENT
        await assert_nothing_came(publisher)


async def test_event_goes_to_all_subscribers_of_the_topic_and_nobody_else() -> None:
    async with basic_clients(5) as [publisher, one, other, third, stranger]:
        for client in one, other, third:
            await subscribe(client)
        await subscribe(stranger, "com.myapp.mytopic11")
        published = await publisher.ask(PUBLISH, 1, ACKNOWLEDGE, TOPIC, ["Hello"], {"a": 1})
        events = [await client.receive() for client in (one, other, third)]
        await assert_nothing_came(stranger)

    assert all(event == [EVENT, events[0][1], published[2], {}, ["Hello"], {"a": 1}] for event in events)


async def test_topics_are_compared_exactly() -> None:
    async with basic_clients(2) as [publisher, subscriber]:
        await subscribe(subscriber, "com.myapp.Topic")
        for request_id, topic in enumerate(["com.myapp.topic", "com.myapp", "com.myapp.Topic.a"], 1):
            await publisher.ask(PUBLISH, request_id, ACKNOWLEDGE, topic)
        await assert_nothing_came(subscriber)


async def test_realms_do_not_share_topics() -> None:
    realms = [Realm("com.one"), Realm("com.other")]
    for realm in realms:
        realm.allow_all()
    app = Application(realms)
    async with connect(app) as one, connect(app) as other:
        await one.join("com.one")
        await other.join("com.other")
        await subscribe(one)
        await other.ask(PUBLISH, 1, ACKNOWLEDGE, TOPIC)
        await assert_nothing_came(one)
