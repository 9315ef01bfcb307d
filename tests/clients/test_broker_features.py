"""Retained events, event history and revoked subscriptions with Autobahn and uvicorn."""

# Autobahn's signatures have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.message import Unsubscribed
from autobahn.wamp.serializer import CBORSerializer, JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import ComponentConfig, PublishOptions, SessionDetails, SubscribeOptions

from tests.clients.server_process import ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

TIMEOUT = 5.0
REALM = "watched"
GET_EVENTS, LOOKUP = "wamp.subscription.get_events", "wamp.subscription.lookup"


class Client(ApplicationSession):
    """An Autobahn session that a test controls."""

    def __init__(self) -> None:
        super().__init__(ComponentConfig(REALM))
        loop = asyncio.get_running_loop()
        self.joined: asyncio.Future[SessionDetails] = loop.create_future()
        self.left: asyncio.Future[None] = loop.create_future()
        self.events: asyncio.Queue[tuple[Any, bool | None, str]] = asyncio.Queue()
        self.revoked: list[Unsubscribed] = []

    def onJoin(self, details: SessionDetails) -> None:
        self.joined.set_result(details)

    def onLeave(self, details: Any) -> None:
        self.left.set_result(None)
        super().onLeave(details)

    def onMessage(self, msg: Any) -> Any:
        if isinstance(msg, Unsubscribed) and msg.request == 0:
            # Autobahn announces support for this message, but then treats it as a protocol violation.
            self.revoked.append(msg)
            return None
        return super().onMessage(msg)

    async def listen(self, topic: str, match: str = "exact", *, get_retained: bool = False) -> Any:
        def on_event(value: Any, details: Any) -> None:
            self.events.put_nowait((value, details.retained, details.topic))

        options = SubscribeOptions(match=match, get_retained=get_retained, details=True)
        return await self.subscribe(on_event, topic, options)

    async def next_event(self) -> tuple[Any, bool | None, str]:
        async with asyncio.timeout(TIMEOUT):
            return await self.events.get()

    async def say(self, topic: str, value: Any, *, retain: bool = False) -> None:
        await self.publish(topic, value, options=PublishOptions(acknowledge=True, retain=retain))


@asynccontextmanager
async def connected(url: str, serializer: Any) -> AsyncIterator[Client]:
    client = Client()
    runner = ApplicationRunner(url, REALM, serializers=[serializer])
    transport, _ = await runner.run(lambda config: client, start_loop=False)
    try:
        async with asyncio.timeout(TIMEOUT):
            await client.joined
        yield client
    finally:
        transport.close()
        if not client.left.done():
            async with asyncio.timeout(TIMEOUT):
                await client.left


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The backend for Autobahn, which supports only asyncio and Twisted."""
    return "asyncio"


@pytest.fixture(params=[JsonSerializer, MsgPackSerializer, CBORSerializer])
def serializer(request: pytest.FixtureRequest) -> Any:
    return request.param()


async def test_autobahn_gets_retained_events(server: ServerProcess, serializer: Any) -> None:
    async with (
        connected(server.url, serializer) as publisher,
        connected(server.url, serializer) as late,
    ):
        await publisher.say("com.example.state.a", 1, retain=True)
        await publisher.say("com.example.state.b", 2, retain=True)
        await publisher.say("com.example.state.a", b"\x00\xff", retain=True)
        await late.listen("com.example.state.", "prefix", get_retained=True)
        events = [await late.next_event(), await late.next_event()]
        await publisher.say("com.example.state.a", 4)
        live = await late.next_event()

    assert events == [(2, True, "com.example.state.b"), (b"\x00\xff", True, "com.example.state.a")]
    assert live == (4, None, "com.example.state.a")


async def test_autobahn_reads_the_event_history(server: ServerProcess, serializer: Any) -> None:
    async with connected(server.url, serializer) as client, asyncio.timeout(TIMEOUT):
        for number in range(5):
            await client.say("com.example.log.door", number)
        subscription_id = await client.call(LOOKUP, "com.example.log.", {"match": "prefix"})
        result = await client.call(GET_EVENTS, subscription_id)
        newest = await client.call(GET_EVENTS, subscription_id, limit=1, reverse=True)

    assert [event["args"] for event in result.results] == [[2], [3], [4]]
    assert [event["details"]["topic"] for event in result.results] == ["com.example.log.door"] * 3
    assert result.kwresults == {"more": False}
    assert newest.results == (result.results[-1],)


async def test_autobahn_gets_unsubscribed_for_a_revoked_subscription(
    server: ServerProcess, serializer: Any
) -> None:
    async with connected(server.url, serializer) as client, asyncio.timeout(TIMEOUT):
        subscription = await client.listen("com.example.room")
        assert await client.call("revoke.subscription", "com.example.room") == 1

    assert [(message.subscription, message.reason) for message in client.revoked] == [
        (subscription.id, "moved")
    ]
