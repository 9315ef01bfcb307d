"""The meta API and testaments with Autobahn and uvicorn."""

# Autobahn's signatures have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.serializer import JsonSerializer, MsgPackSerializer
from autobahn.wamp.types import (
    CloseDetails,
    ComponentConfig,
    RegisterOptions,
    SessionDetails,
    SubscribeOptions,
)

from tests.clients.server_process import ServerProcess

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

TIMEOUT = 5.0
REALM = "watched"


class Client(ApplicationSession):
    """An Autobahn session that a test controls."""

    def __init__(self) -> None:
        super().__init__(ComponentConfig(REALM))
        loop = asyncio.get_running_loop()
        self.joined: asyncio.Future[SessionDetails] = loop.create_future()
        self.left: asyncio.Future[CloseDetails] = loop.create_future()
        self.events: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def onJoin(self, details: SessionDetails) -> None:
        self.joined.set_result(details)

    def onLeave(self, details: CloseDetails) -> None:
        self.left.set_result(details)
        super().onLeave(details)

    async def watch(self, topic: str, match: str = "exact") -> int:
        def on_event(*args: Any) -> None:
            self.events.put_nowait((topic, *args))

        subscription = await self.subscribe(on_event, topic, SubscribeOptions(match=match))
        subscription_id: int = subscription.id
        return subscription_id

    async def next_event(self) -> tuple[Any, ...]:
        async with asyncio.timeout(TIMEOUT):
            return await self.events.get()

    async def call_of(self, kind: str, name: str, *args: Any, **kwargs: Any) -> Any:
        async with asyncio.timeout(TIMEOUT):
            return await self.call(f"wamp.{kind}.{name}", *args, **kwargs)


@asynccontextmanager
async def connected(url: str, serializer: Any) -> AsyncIterator[tuple[Client, SessionDetails]]:
    client = Client()
    runner = ApplicationRunner(url, REALM, serializers=[serializer])
    transport, _ = await runner.run(lambda config: client, start_loop=False)
    try:
        async with asyncio.timeout(TIMEOUT):
            yield client, await client.joined
    finally:
        transport.close()
        if not client.left.done():
            async with asyncio.timeout(TIMEOUT):
                await client.left


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """The backend for Autobahn, which supports only asyncio and Twisted."""
    return "asyncio"


@pytest.fixture(params=[JsonSerializer, MsgPackSerializer])
def serializer(request: pytest.FixtureRequest) -> Any:
    return request.param()


async def test_autobahn_gets_events_of_joining_and_leaving_sessions(
    server: ServerProcess, serializer: Any
) -> None:
    async with connected(server.url, serializer) as (watcher, _):
        await watcher.watch("wamp.session.on_join")
        await watcher.watch("wamp.session.on_leave")

        async with connected(server.url, serializer) as (_, details):
            topic, joined = await watcher.next_event()
            assert (topic, joined["session"]) == ("wamp.session.on_join", details.session)
            assert (joined["authid"], joined["authrole"]) == (details.authid, details.authrole)
            assert await watcher.call_of("session", "get", details.session) == joined

        left = await watcher.next_event()
        assert left == ("wamp.session.on_leave", details.session, details.authid, details.authrole)
        assert await watcher.call_of("session", "count") == 1


async def test_autobahn_kills_a_session(server: ServerProcess, serializer: Any) -> None:
    async with (
        connected(server.url, serializer) as (killer, own),
        connected(server.url, serializer) as (victim, details),
    ):
        await killer.call_of(
            "session", "kill", details.session, reason="com.example.go", message="good night"
        )

        closed = await victim.left
        assert (closed.reason, closed.message) == ("com.example.go", "good night")
        assert await killer.call_of("session", "list") == [own.session]
        with pytest.raises(ApplicationError) as raised:
            await killer.call_of("session", "kill", own.session)
        assert raised.value.error == "wamp.error.no_such_session"


async def test_autobahn_reads_registrations_and_subscriptions(server: ServerProcess, serializer: Any) -> None:
    async with connected(server.url, serializer) as (client, details):
        await client.watch("wamp.registration.on_register")
        registration = await client.register(print, "com.example.", RegisterOptions(match="prefix"))
        subscription_id = await client.watch("com.example.topic")

        assert await client.next_event() == (
            "wamp.registration.on_register",
            details.session,
            registration.id,
        )
        lookup = await client.call_of("registration", "lookup", "com.example.", {"match": "prefix"})
        assert lookup == registration.id
        assert await client.call_of("registration", "match", "com.example.any") == registration.id
        assert await client.call_of("registration", "match", "org.example") is None
        found = await client.call_of("registration", "get", registration.id)
        assert (found["uri"], found["match"], found["invoke"]) == ("com.example.", "prefix", "single")
        assert await client.call_of("subscription", "match", "com.example.topic") == [subscription_id]
        subscribers = await client.call_of("subscription", "list_subscribers", subscription_id)
        assert subscribers == [details.session]


@pytest.mark.parametrize("flushed", [False, True])
async def test_testament_is_published_unless_it_was_flushed(
    server: ServerProcess, serializer: Any, flushed: bool
) -> None:
    async with connected(server.url, serializer) as (watcher, _):
        await watcher.watch("com.myapp.mytopic")
        await watcher.watch("wamp.session.on_leave")
        async with connected(server.url, serializer) as (client, details):
            # The two calls are those in the examples of the specification.
            await client.call_of("session", "add_testament", "com.myapp.mytopic", ["Seeya!"], {})
            if flushed:
                await client.call_of("session", "flush_testaments", scope="destroyed")

        if not flushed:
            assert await watcher.next_event() == ("com.myapp.mytopic", "Seeya!")
        assert (await watcher.next_event())[:2] == ("wamp.session.on_leave", details.session)
