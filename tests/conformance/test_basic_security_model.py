"""Basic Profile, "Security Model": ordering guarantees."""

from __future__ import annotations

import anyio
import pytest

from tests.conformance.clients import (
    CALL,
    EVENT,
    INVOCATION,
    PUBLISH,
    REGISTER,
    REGISTERED,
    SUBSCRIBE,
    SUBSCRIBED,
    TOPIC,
    basic_clients,
    register,
    subscribe,
    topics_of,
)
from wampasgi import Application

pytestmark = pytest.mark.anyio


def slow_to_decide() -> Application:
    """A router that takes the longer to decide, the shorter the URI is."""
    app = Application()

    @app.authorizer
    async def may(uri: str) -> bool:
        for _ in range(20 - len(uri)):
            await anyio.lowlevel.checkpoint()
        return True

    return app


async def test_events_of_one_publisher_reach_a_subscriber_in_order() -> None:
    async with basic_clients(2, slow_to_decide()) as [publisher, subscriber]:
        await subscribe(subscriber, "a")
        await subscribe(subscriber, "a.long.topic")
        order = ["a", "a.long.topic", "a.long.topic", "a", "a", "a.long.topic"]
        for request_id, topic in enumerate(order, 1):
            await publisher.send(PUBLISH, request_id, {}, topic, [topic])

        assert topics_of([await subscriber.receive() for _ in order]) == order


async def test_subscribed_is_sent_before_any_event_for_the_topic() -> None:
    async with basic_clients(2, slow_to_decide()) as [publisher, subscriber]:
        await subscriber.send(SUBSCRIBE, 1, {}, TOPIC)
        for request_id in range(1, 50):
            await publisher.send(PUBLISH, request_id, {}, TOPIC)
        await publisher.ask(PUBLISH, 50, {"acknowledge": True}, TOPIC)

        assert (await subscriber.receive())[0] == SUBSCRIBED
        while subscriber.arrived():
            assert (await subscriber.receive())[0] == EVENT


async def test_invocations_of_one_caller_reach_a_callee_in_order() -> None:
    async with basic_clients(2, slow_to_decide()) as [caller, callee]:
        await register(callee, "a")
        await register(callee, "a.long.procedure")
        order = ["a", "a.long.procedure", "a.long.procedure", "a", "a", "a.long.procedure"]
        for request_id, procedure in enumerate(order, 1):
            await caller.send(CALL, request_id, {}, procedure, [procedure])

        assert topics_of([await callee.receive() for _ in order]) == order


async def test_registered_is_sent_before_any_invocation_of_the_procedure() -> None:
    async with basic_clients(1, slow_to_decide()) as [client]:
        await client.send(REGISTER, 1, {}, "a")
        await client.send(CALL, 2, {}, "a")

        assert [(await client.receive())[0] for _ in range(2)] == [REGISTERED, INVOCATION]
