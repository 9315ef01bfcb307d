"""The ways of messages if the server offers the extension ``wampasgi.frames``."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from tests.frame_line import DirectClient, direct_client
from tests.specification import (
    CALL,
    EVENT,
    GOODBYE,
    GOODBYE_AND_OUT,
    PUBLISH,
    PUBLISHED,
    RESULT,
)
from tests.wamp_client import connect, open_app
from wampasgi import Application, Realm, WAMPRoute
from wampasgi.transports.frame_channel import FRAMES, frame_channel
from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send

pytestmark = pytest.mark.anyio

#: Set by a middleware for its connection.
connection: ContextVar[str] = ContextVar("connection", default="nothing")


def echo_app(**options: Any) -> Application:
    app = open_app(**options)

    @app.procedure("echo")
    async def echo(value: Any) -> Any:
        return value

    @app.procedure("connection")
    async def current_connection() -> str:
        return connection.get()

    return app


class Watching:
    """A middleware that wraps one of the callables, or both, and records the types of all events."""

    def __init__(self, app: ASGIApp, *wrapped: str) -> None:
        self._app = app
        self._wrapped = wrapped
        self.received: list[ASGIEvent] = []
        self.sent: list[ASGIEvent] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watch_receive() -> ASGIEvent:
            self.received.append(await receive())
            return self.received[-1]

        async def watch_send(event: ASGIEvent) -> None:
            self.sent.append(event)
            await send(event)

        await self._app(
            scope,
            watch_receive if "receive" in self._wrapped else receive,
            watch_send if "send" in self._wrapped else send,
        )


async def exchange(client: DirectClient) -> None:
    """Exchange five messages each way."""
    for number in range(1, 6):
        assert await client.ask(CALL, number, {}, "echo", [number]) == [RESULT, number, {}, [number]]


# The extension


@pytest.mark.parametrize(
    "scope", [{}, {"extensions": None}, {"extensions": {}}, {"extensions": {"other": {}}}], ids=str
)
def test_server_need_not_offer_the_extension(scope: Scope) -> None:
    assert frame_channel(scope) is None


def test_extension_has_the_channel() -> None:
    channel = object()
    assert FRAMES == "wampasgi.frames"
    assert frame_channel({"extensions": {"wampasgi.frames": {"channel": channel}}}) is channel


# Which way is used


async def test_direct_ways_are_used_if_the_callables_are_the_servers_own() -> None:
    async with direct_client(echo_app()) as client:
        await exchange(client)
        assert client.channel.source.ways == ["direct"] * 5
        assert client.channel.ways == ["direct"] * 5


async def test_messages_of_the_handshake_are_events() -> None:
    async with direct_client(echo_app(), realm=None) as client:
        await client.join()
        assert client.channel.ways == ["event"]


@pytest.mark.parametrize("wrapped", [("receive",), ("send",), ("receive", "send")], ids=str)
async def test_callable_that_a_middleware_has_wrapped_is_used(wrapped: tuple[str, ...]) -> None:
    app = Watching(echo_app(), *wrapped)

    async with direct_client(app) as client:
        await exchange(client)
        assert client.channel.source.ways == (["event"] if "receive" in wrapped else ["direct"]) * 5
        assert client.channel.ways == (["event"] if "send" in wrapped else ["direct"]) * 5

    types = ["websocket.connect", *["websocket.receive"] * 6, "websocket.disconnect"]
    assert [event["type"] for event in app.received] == (types if "receive" in wrapped else [])
    types = ["websocket.accept", *["websocket.send"] * 6]
    assert [event["type"] for event in app.sent] == (types if "send" in wrapped else [])


async def test_middleware_that_wraps_nothing_leaves_the_direct_ways() -> None:
    async with direct_client(Watching(echo_app())) as client:
        await exchange(client)
        assert client.channel.source.ways == ["direct"] * 5
        assert client.channel.ways == ["direct"] * 5


class Realms:
    """A middleware of a realm that wraps ``receive``, ``send`` or both, and counts the messages."""

    def __init__(self, app: ASGIApp, *, wrapped: tuple[str, ...], counts: dict[str, int]) -> None:
        self._app = app
        self._wrapped = wrapped
        self._counts = counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted_receive() -> ASGIEvent:
            event = await receive()
            self._counts["receive"] += event["type"] == "wamp.message"
            return event

        async def counted_send(event: ASGIEvent) -> None:
            self._counts["send"] += event["type"] == "wamp.message"
            await send(event)

        await self._app(
            scope,
            counted_receive if "receive" in self._wrapped else receive,
            counted_send if "send" in self._wrapped else send,
        )


@pytest.mark.parametrize("wrapped", [(), ("receive",), ("send",), ("receive", "send")], ids=str)
async def test_middleware_of_a_realm_sees_every_message(wrapped: tuple[str, ...]) -> None:
    counts = {"receive": 0, "send": 0}
    realm = Realm("watched", middleware=[Middleware(Realms, wrapped=wrapped, counts=counts)])
    realm.allow_all()

    @realm.procedure("echo")
    async def echo(value: Any) -> Any:
        return value

    async with direct_client(Application([realm]), "watched") as client:
        await exchange(client)
        assert client.channel.source.ways == (["queue"] if "receive" in wrapped else ["direct"]) * 5
        assert client.channel.ways == (["event"] if "send" in wrapped else ["direct"]) * 5

    # HELLO comes before the realm, and WELCOME is sent by it.
    assert counts == {"receive": 5 * ("receive" in wrapped), "send": 6 * ("send" in wrapped)}


def mounted_in_starlette(app: Application) -> ASGIApp:
    return Starlette(routes=[WAMPRoute("/ws/", app)])


def mounted_in_fastapi(app: Application) -> ASGIApp:
    parent = FastAPI()
    parent.router.routes.append(WAMPRoute("/ws/", app))
    return parent


def mounted_as_app(app: Application) -> ASGIApp:
    return Starlette(routes=[Mount("/ws", app)])


@pytest.mark.parametrize("mounted", [mounted_in_starlette, mounted_in_fastapi, mounted_as_app])
async def test_application_works_inside_of_others(mounted: Callable[[Application], ASGIApp]) -> None:
    """Their middleware for exceptions wraps ``send``."""
    async with direct_client(mounted(echo_app()), path="/ws/") as client:
        await exchange(client)
        assert client.channel.source.ways == ["direct"] * 5
        assert client.channel.ways == ["event"] * 5


# Subprotocols


@pytest.mark.parametrize("subprotocol", ["wamp.2.json", "wamp.2.msgpack", "wamp.2.cbor"])
async def test_every_subprotocol_has_direct_ways(subprotocol: str) -> None:
    async with direct_client(echo_app(), subprotocols=[subprotocol]) as client:
        await exchange(client)
        assert await client.ask(CALL, 6, {}, "echo", ["héllo €"]) == [RESULT, 6, {}, ["héllo €"]]
        assert client.channel.source.ways == ["direct"] * 6
        assert client.channel.ways == ["direct"] * 6


async def test_messages_of_a_batch_take_no_direct_way() -> None:
    async with direct_client(echo_app(), realm=None, subprotocols=["wamp.2.json.batched"]) as client:
        await client.send_read('[1,"default",{"roles":{"caller":{}}}]\x1e[48,1,{},"echo",[1]]\x1e')
        await client.send_read('[48,2,{},"echo",[2]]\x1e[48,3,{},"echo",[3]]\x1e')
        answers = ""
        while answers.count("\x1e") < 4:
            answers += (await client.receive_event())["text"]

        assert answers.startswith("[2,")
        assert [f"[50,{number},{{}},[{number}]]\x1e" in answers for number in (1, 2, 3)] == [True] * 3
        assert set(client.channel.ways) == {"event"}
        assert set(client.channel.source.ways) == {"queue"}


async def test_events_for_direct_and_other_clients_are_encoded_for_each() -> None:
    app = echo_app()

    async with (
        direct_client(app) as direct,
        connect(app) as plain,
        direct_client(Watching(app, "send")) as watched,
        direct_client(app, subprotocols=["wamp.2.cbor"]) as binary,
        direct_client(app) as other,
    ):
        await plain.join()
        clients = [direct, plain, watched, binary, other]
        for client in clients:
            await client.subscribe("news")
        for number in range(3):
            await app.publish("news", number)
        for client in clients:
            assert [(await client.expect(EVENT))[-1] for _ in range(3)] == [[0], [1], [2]]


# Context variables


class Naming:
    """A middleware that names its connection, and passes on the callables as they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection.set(scope["path"])
        await self._app(scope, receive, send)


async def test_handlers_see_the_context_variables_of_a_middleware() -> None:
    app = Naming(echo_app())

    async with direct_client(app, path="/one") as one, direct_client(app, path="/two") as two:
        for client, path in (one, "/one"), (two, "/two"), (one, "/one"):
            await client.send_read([CALL, 1, {}, "connection"], [CALL, 2, {}, "connection"])
            answers = [await client.receive() for _ in range(2)]
            assert sorted(answers) == [[RESULT, 1, {}, [path]], [RESULT, 2, {}, [path]]]
        assert one.channel.source.ways == ["direct"] * 4


async def test_variables_of_a_handler_do_not_leak_into_other_calls() -> None:
    app = echo_app()

    @app.procedure("rename")
    async def rename() -> None:
        connection.set("renamed")

    async with direct_client(Naming(app), path="/one") as client:
        await client.send_read([CALL, 1, {}, "rename"], [CALL, 2, {}, "connection"])
        answers = [await client.receive() for _ in range(2)]
        assert [RESULT, 2, {}, ["/one"]] in answers


# Several sessions on one connection


async def test_hello_may_follow_goodbye_in_the_same_read() -> None:
    async with direct_client(echo_app()) as client:
        first = client.id
        hello = [1, "default", {"roles": {"caller": {}}}]
        await client.send_read(
            [PUBLISH, 1, {"acknowledge": True}, "news"],
            [GOODBYE, {}, "wamp.close.close_realm"],
            hello,
            [CALL, 1, {}, "echo", ["second"]],
        )
        assert (await client.receive())[0] == PUBLISHED
        assert await client.receive() == [GOODBYE, {}, GOODBYE_AND_OUT]
        welcome = await client.receive()
        assert (welcome[0], welcome[1] == first) == (2, False)
        assert await client.receive() == [RESULT, 1, {}, ["second"]]

        # The second session uses the direct ways, too.
        client.channel.ways.clear()
        client.channel.source.ways.clear()
        await exchange(client)
        assert client.channel.source.ways == ["direct"] * 5
        assert client.channel.ways == ["direct"] * 5


async def test_direct_ways_of_the_next_session_are_those_of_its_realm() -> None:
    counts = {"receive": 0, "send": 0}
    middleware = [Middleware(Realms, wrapped=("receive", "send"), counts=counts)]
    realms = [Realm("watched", middleware=middleware), Realm("direct")]
    for realm in realms:
        realm.allow_all()

    async with direct_client(Application(realms), realm=None) as client:
        for realm_uri, way in ("watched", "event"), ("direct", "direct"), ("watched", "event"):
            await client.join(realm_uri)
            client.channel.ways.clear()
            await client.publish("news")
            assert client.channel.ways == [way]
            await client.leave()

    # PUBLISH and GOODBYE; WELCOME, PUBLISHED and GOODBYE.
    assert counts == {"receive": 2 * 2, "send": 2 * 3}
