"""The tasks that write what sessions are sent: their context variables, and how they fail."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from starlette.middleware import Middleware

from tests.wamp_client import WAMPClient, connect
from wampasgi import Application, Realm
from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send

pytestmark = pytest.mark.anyio

SUBSCRIBE, SUBSCRIBED, PUBLISH, PUBLISHED, EVENT = 32, 33, 16, 17, 36

#: More events than are queued before they are written at once.
MANY = 100

#: A variable that a middleware sets for its connection, and a publisher for itself.
current: ContextVar[str] = ContextVar("current", default="nothing")
#: The client whose events a middleware's ``send`` has passed on.
sent_to: ContextVar[str] = ContextVar("sent_to", default="nobody")


class Names:
    """A middleware that sets ``current`` for each connection, unless its client is anonymous."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, _ = scope["client"]
        if not name.startswith("anonymous"):
            current.set(name)
        await self._app(scope, receive, send)


class Records:
    """A middleware whose ``send`` records the context variables of each event."""

    def __init__(self, app: ASGIApp, *, seen: list[tuple[str, str, str]]) -> None:
        self._app = app
        self._seen = seen

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        name, _ = scope["client"]

        async def record(event: ASGIEvent) -> None:
            message = event.get("message") or []
            if message[:1] == [EVENT] or event.get("text", "").startswith(f"[{EVENT},"):
                self._seen.append((name, current.get(), sent_to.get()))
                sent_to.set(name)
            await send(event)

        await self._app(scope, receive, record)


@dataclass
class Stage:
    """A realm, the app that serves it, and what its middleware has recorded of each event."""

    realm: Realm
    app: ASGIApp
    #: The client that the event is for, ``current`` and ``sent_to``.
    seen: list[tuple[str, str, str]] = field(default_factory=list)

    @asynccontextmanager
    async def client(self, name: str, *, buffer_size: float = math.inf) -> AsyncIterator[WAMPClient]:
        async with connect(self.app, client=(name, 1), buffer_size=buffer_size) as websocket:
            await websocket.join("chat")
            yield websocket

    def check(self, *names: str, events: int) -> None:
        """Assert that each client's events were sent with the variables of its own connection."""
        for name in names:
            expected = "nothing" if name.startswith("anonymous") else name
            seen = [(variable, before) for client, variable, before in self.seen if client == name]
            assert len(seen) == events
            assert {variable for variable, _ in seen} == {expected}
            assert {before for _, before in seen} <= {"nobody", name}


@pytest.fixture(params=["of the realm", "outside of the app"])
def stage(request: pytest.FixtureRequest) -> Stage:
    seen: list[tuple[str, str, str]] = []
    if request.param == "of the realm":
        realm = Realm("chat", middleware=[Middleware(Names), Middleware(Records, seen=seen)])
        stage = Stage(realm, Application([realm]), seen)
    else:
        realm = Realm("chat")
        stage = Stage(realm, Names(Records(Application([realm]), seen=seen)), seen)
    realm.allow_all()
    return stage


Publisher = Callable[[Stage, int], Awaitable[None]]


async def publish_in_a_task(stage: Stage, count: int) -> None:
    """Publish as the handler of an HTTP request does."""

    async def handle_request() -> None:
        current.set("the publisher's")
        for number in range(count):
            await stage.realm.publish("news", number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(handle_request)


async def publish_as_a_client(stage: Stage, count: int) -> None:
    async with stage.client("publisher") as websocket:
        for number in range(count):
            await websocket.send(PUBLISH, number + 1, {"acknowledge": number + 1 == count}, "news", [number])
        assert (await websocket.receive())[0] == PUBLISHED


PUBLISHERS = pytest.mark.parametrize("publish", [publish_in_a_task, publish_as_a_client])


async def subscribe(websocket: WAMPClient) -> None:
    assert (await websocket.ask(SUBSCRIBE, 1, {}, "news"))[0] == SUBSCRIBED


async def receive_events(websocket: WAMPClient, count: int) -> None:
    received: list[Any] = [(await websocket.receive())[-1] for _ in range(count)]
    assert received == [[number] for number in range(count)]


@PUBLISHERS
async def test_event_is_sent_with_the_context_variables_of_its_subscriber(
    stage: Stage, publish: Publisher
) -> None:
    names = ["anonymous 1", "first", "anonymous 2", "second", "third", "anonymous 3"]

    async with AsyncExitStack() as stack:
        websockets = [await stack.enter_async_context(stage.client(name)) for name in names]
        for websocket in websockets:
            await subscribe(websocket)
        await publish(stage, 1)
        for websocket in websockets:
            await receive_events(websocket, 1)
        stage.check(*names, events=1)
        await publish(stage, 1)
        for websocket in websockets:
            await receive_events(websocket, 1)

    stage.check(*names, events=2)


@PUBLISHERS
@pytest.mark.parametrize("name", ["subscriber", "anonymous"])
async def test_events_are_sent_with_the_variables_of_a_subscriber_that_reads_slowly(
    stage: Stage, publish: Publisher, name: str
) -> None:
    async with stage.client(name, buffer_size=0) as websocket:
        await subscribe(websocket)
        await publish(stage, 10)
        await anyio.wait_all_tasks_blocked()
        await receive_events(websocket, 10)

    stage.check(name, events=10)


@pytest.mark.parametrize("name", ["subscriber", "anonymous"])
async def test_many_events_of_one_turn_are_sent_with_the_variables_of_their_subscriber(
    stage: Stage, name: str
) -> None:
    """They are written as soon as there are many, in the turn of the publisher."""
    async with stage.client(name) as websocket:
        await subscribe(websocket)
        async with anyio.create_task_group() as tasks:
            for _ in range(MANY):
                tasks.start_soon(publish_in_a_task, stage, 1)
        for _ in range(MANY):
            await receive_events(websocket, 1)

    stage.check(name, events=MANY)


class Fails:
    """A middleware that cannot send an event."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def fail(event: ASGIEvent) -> None:
            if event.get("text", "").startswith(f"[{EVENT},"):
                raise ZeroDivisionError("in send")
            await send(event)

        await self._app(scope, receive, fail)


@pytest.mark.logs_failure
async def test_session_whose_events_cannot_be_sent_ends_at_once(caplog: pytest.LogCaptureFixture) -> None:
    realm = Realm("chat")
    realm.allow_all()

    async with connect(Fails(Application([realm]))) as websocket:
        await websocket.join("chat")
        await subscribe(websocket)
        await realm.publish("news", 1)
        await websocket.closed()
        await websocket.wait_served()

    (record,) = [record for record in caplog.records if record.name == "wampasgi.session"]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ExceptionGroup)
    assert record.exc_info[1].subgroup(ZeroDivisionError) is not None
    assert not realm.sessions
