"""Sessions on the picows transport in a real uvicorn, with middleware and inside of other applications."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from websockets.sync.client import ClientConnection

from tests.specification import (
    CALL,
    CANCEL,
    CANCELED,
    ERROR,
    EVENT,
    GOODBYE,
    GOODBYE_AND_OUT,
    HELLO,
    INTERRUPT,
    INVOCATION,
    PUBLISH,
    PUBLISHED,
    REGISTER,
    REGISTERED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    TIMEOUT,
    UNREGISTER,
    UNREGISTERED,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
    WELCOME,
    YIELD,
)
from tests.transports.application_server import (
    PATIENCE,
    ApplicationServer,
    Connection,
    Servers,
    running_servers,
)
from tests.wamp_client import announcing, open_app
from wampasgi import Application, WAMPRoute
from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send

KINDS = ["picows-asyncio", "picows-uvloop"]
FEATURES = ("progressive_call_results", "call_timeout", "call_canceling")

#: Set by a middleware for its connection.
connection_name: ContextVar[str] = ContextVar("connection_name", default="nothing")


def echo_app() -> Application:
    app = open_app()

    @app.procedure("echo")
    async def echo(value: Any) -> Any:
        return value

    @app.procedure("name")
    async def name() -> str:
        return connection_name.get()

    return app


class Client:
    """A session over a socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        assert self.ask(HELLO, "default", announcing(*FEATURES))[0] == WELCOME

    def send(self, *message: Any) -> None:
        self._socket.send(json.dumps(message))

    def receive(self) -> Any:
        return json.loads(self._socket.recv(PATIENCE))

    def ask(self, *message: Any) -> Any:
        self.send(*message)
        return self.receive()

    def leave(self) -> None:
        assert self.ask(GOODBYE, {}, "wamp.close.close_realm") == [GOODBYE, {}, GOODBYE_AND_OUT]


@contextmanager
def client_of(server: ApplicationServer, target: str = "/") -> Iterator[Client]:
    with server.connect(target, subprotocols=["wamp.2.json"]) as socket:
        yield Client(socket)


@contextmanager
def serving(kind: str, app: ASGIApp) -> Iterator[ApplicationServer]:
    server = ApplicationServer(kind, app=app)
    try:
        yield server
    finally:
        server.stop()
        server.join()


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[ApplicationServer]:
    """A server of sessions without any middleware."""
    with serving(request.param, echo_app()) as server:
        yield server


# Messages of each type, which are handled outside of all tasks


def test_clients_publish_and_subscribe(server: ApplicationServer) -> None:
    with client_of(server) as publisher, client_of(server) as subscriber:
        code, request_id, subscription = subscriber.ask(SUBSCRIBE, 1, {}, "news")
        assert (code, request_id) == (SUBSCRIBED, 1)
        publisher.send(PUBLISH, 1, {}, "news", ["not acknowledged"])
        assert publisher.ask(PUBLISH, 2, {"acknowledge": True}, "news", ["acknowledged"])[:2] == [
            PUBLISHED,
            2,
        ]
        events = [subscriber.receive() for _ in range(2)]
        assert [event[0] for event in events] == [EVENT] * 2
        assert [event[-1] for event in events] == [["not acknowledged"], ["acknowledged"]]
        assert subscriber.ask(UNSUBSCRIBE, 2, subscription) == [UNSUBSCRIBED, 2]
        subscriber.leave()


def test_clients_call_procedures_of_the_realm_and_of_each_other(server: ApplicationServer) -> None:
    with client_of(server) as caller, client_of(server) as callee:
        assert caller.ask(CALL, 1, {}, "echo", ["ü"]) == [RESULT, 1, {}, ["ü"]]
        code, _, registration = callee.ask(REGISTER, 1, {}, "callee")
        assert code == REGISTERED
        caller.send(CALL, 2, {}, "callee")
        caller.send(CALL, 3, {}, "callee")
        invocations = [callee.receive() for _ in range(2)]
        assert [invocation[0] for invocation in invocations] == [INVOCATION] * 2
        callee.send(ERROR, INVOCATION, invocations[1][1], {}, "com.myapp.error")
        assert caller.receive() == [ERROR, CALL, 3, {}, "com.myapp.error"]
        callee.send(YIELD, invocations[0][1], {}, ["yielded"])
        assert caller.receive() == [RESULT, 2, {}, ["yielded"]]
        assert callee.ask(UNREGISTER, 2, registration) == [UNREGISTERED, 2]
        assert caller.ask(CALL, 4, {}, "callee")[:3] == [ERROR, CALL, 4]


def test_progressive_results_of_a_callee(server: ApplicationServer) -> None:
    with client_of(server) as caller, client_of(server) as callee:
        callee.ask(REGISTER, 1, {}, "callee")
        caller.send(CALL, 1, {"receive_progress": True}, "callee")
        invocation = callee.receive()[1]
        for number in range(3):
            callee.send(YIELD, invocation, {"progress": True}, [number])
        callee.send(YIELD, invocation, {}, ["all"])
        results = [caller.receive() for _ in range(4)]
        assert results == [
            *([RESULT, 1, {"progress": True}, [number]] for number in range(3)),
            [RESULT, 1, {}, ["all"]],
        ]


def test_timeout_and_cancellation_of_calls_of_a_callee(server: ApplicationServer) -> None:
    with client_of(server) as caller, client_of(server) as callee:
        callee.ask(REGISTER, 1, {}, "callee")
        caller.send(CALL, 1, {"timeout": 20}, "callee")
        timed_out = callee.receive()[1]
        error = caller.receive()
        assert (error[:3], error[4]) == ([ERROR, CALL, 1], TIMEOUT)
        assert callee.receive()[:2] == [INTERRUPT, timed_out]
        caller.send(CALL, 2, {}, "callee")
        canceled = callee.receive()[1]
        caller.send(CANCEL, 2, {"mode": "killnowait"})
        assert callee.receive()[:2] == [INTERRUPT, canceled]
        error = caller.receive()
        assert (error[:3], error[4]) == ([ERROR, CALL, 2], CANCELED)


def test_sessions_follow_each_other_on_one_connection(server: ApplicationServer) -> None:
    with client_of(server) as client:
        for _ in range(3):
            assert client.ask(CALL, 1, {}, "echo", [1]) == [RESULT, 1, {}, [1]]
            client.leave()
            assert client.ask(HELLO, "default", {"roles": {"caller": {}}})[0] == WELCOME


def test_many_calls_at_once_are_answered(server: ApplicationServer) -> None:
    with client_of(server) as client:
        for number in range(1, 1001):
            client.send(CALL, number, {}, "echo", [number])
        answers = [client.receive() for _ in range(1000)]
        assert answers == [[RESULT, number, {}, [number]] for number in range(1, 1001)]


# Middleware


class Counting:
    """A middleware that names its connection, and counts the events of the callables that it wraps."""

    def __init__(self, app: ASGIApp, *wrapped: str) -> None:
        self._app = app
        self._wrapped = wrapped
        self.events: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def counted_receive() -> ASGIEvent:
            event = await receive()
            self.events[event["type"]] += 1
            return event

        async def counted_send(event: ASGIEvent) -> None:
            self.events[event["type"]] += 1
            await send(event)

        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        connection_name.set(scope["path"])
        await self._app(
            scope,
            counted_receive if "receive" in self._wrapped else receive,
            counted_send if "send" in self._wrapped else send,
        )


@pytest.mark.parametrize("wrapped", [(), ("receive",), ("send",), ("receive", "send")], ids=str)
def test_middleware_sees_every_message_and_names_its_connection(wrapped: tuple[str, ...]) -> None:
    app = Counting(echo_app(), *wrapped)

    with serving("picows-asyncio", app) as server, client_of(server, "/one") as client:
        for number in range(1, 6):
            assert client.ask(CALL, number, {}, "name") == [RESULT, number, {}, ["/one"]]
        client.leave()

    # HELLO, five times CALL, and GOODBYE; WELCOME, five times RESULT, and GOODBYE.
    expected = {"websocket.receive": 7 * ("receive" in wrapped), "websocket.send": 7 * ("send" in wrapped)}
    assert {kind: app.events[kind] for kind in expected} == expected


def in_starlette(app: Application) -> ASGIApp:
    return Starlette(routes=[WAMPRoute("/wamp", app)])


def in_fastapi(app: Application) -> ASGIApp:
    parent = FastAPI()
    parent.router.routes.append(WAMPRoute("/wamp", app))
    return parent


@pytest.mark.parametrize("inside", [in_starlette, in_fastapi])
def test_application_is_mounted_in_another_one(inside: Callable[[Application], ASGIApp]) -> None:
    """Their middleware for exceptions wraps ``send``."""
    with serving("picows-asyncio", inside(echo_app())) as server, client_of(server, "/wamp") as client:
        for number in range(1, 101):
            client.send(CALL, number, {}, "echo", [number])
        answers = [client.receive() for _ in range(100)]
        assert answers == [[RESULT, number, {}, [number]] for number in range(1, 101)]
        client.leave()


# Backpressure

#: In bytes. The kernel keeps less than this for a client that does not read.
MANY = 64 << 20


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running_servers() as servers:
        yield servers


@pytest.mark.parametrize("size", [1_000, 20_000, 100_000])
@pytest.mark.parametrize("kind", KINDS)
def test_messages_of_any_size_wait_for_a_client_that_does_not_read(
    servers: Servers, kind: str, size: int
) -> None:
    """``send`` does not wait before the transport is full, so that several messages are written together."""

    async def send_many(connection: Connection) -> int:
        await connection.accept()
        sent = 0

        async def send() -> None:
            nonlocal sent
            while sent < MANY:
                await connection.send_text("x" * size)
                sent += size

        sender = asyncio.ensure_future(send())
        _, waiting = await asyncio.wait([sender], timeout=0.1)
        sender.cancel()
        return sent if waiting else MANY

    server = servers(kind)
    served = server.serve(send_many)
    with server.raw_accepted(receive_buffer=4096):
        assert served.outcome() < MANY
