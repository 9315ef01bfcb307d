"""Basic Profile, "Security Model": ordering guarantees."""

from __future__ import annotations

import anyio
import pytest

from tests.conformance.vocabulary import TOPIC
from tests.specification import CALL, EVENT, INVOCATION, PUBLISH, REGISTER, REGISTERED, SUBSCRIBE, SUBSCRIBED
from tests.wamp_client import BASIC, clients
from wampasgi import Application

pytestmark = pytest.mark.anyio


def slow_router() -> Application:
    """A router that takes longer to authorize shorter URIs."""
    app = Application()

    @app.authorizer
    async def may(uri: str) -> bool:
        for _ in range(20 - len(uri)):
            await anyio.lowlevel.checkpoint()
        return True

    return app


async def test_events_of_one_publisher_reach_a_subscriber_in_order() -> None:
    async with clients(slow_router(), BASIC, BASIC) as [publisher, subscriber]:
        await subscriber.subscribe("a")
        await subscriber.subscribe("a.long.topic")
        order = ["a", "a.long.topic", "a.long.topic", "a", "a", "a.long.topic"]
        for request_id, topic in enumerate(order, 1):
            await publisher.send(PUBLISH, request_id, {}, topic, [topic])

        assert [await subscriber.event() for _ in order] == [[topic] for topic in order]


async def test_subscribed_is_sent_before_any_event_for_the_topic() -> None:
    async with clients(slow_router(), BASIC, BASIC) as [publisher, subscriber]:
        await subscriber.send(SUBSCRIBE, 1, {}, TOPIC)
        for request_id in range(1, 50):
            await publisher.send(PUBLISH, request_id, {}, TOPIC)
        await publisher.publish(TOPIC)

        await subscriber.expect(SUBSCRIBED)
        while await subscriber.settled():
            await subscriber.expect(EVENT)


async def test_invocations_of_one_caller_reach_a_callee_in_order() -> None:
    async with clients(slow_router(), BASIC, BASIC) as [caller, callee]:
        await callee.register("a")
        await callee.register("a.long.procedure")
        order = ["a", "a.long.procedure", "a.long.procedure", "a", "a", "a.long.procedure"]
        for request_id, procedure in enumerate(order, 1):
            await caller.send(CALL, request_id, {}, procedure, [procedure])

        assert [(await callee.expect(INVOCATION))[4] for _ in order] == [[procedure] for procedure in order]


async def test_registered_is_sent_before_any_invocation_of_the_procedure() -> None:
    async with clients(slow_router(), BASIC) as [client]:
        await client.send(REGISTER, 1, {}, "a")
        await client.send(CALL, 2, {}, "a")

        await client.expect(REGISTERED)
        await client.expect(INVOCATION)
