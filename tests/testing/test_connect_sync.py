"""The client for threads, opened by the test client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from queue import Queue
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from tests.testing.apps import Backend
from tests.testing.test_client import ReversedText
from wampasgi import Application, Session, WAMPError, WAMPRoute
from wampasgi.client import Contract, JoinRefused, SyncSession
from wampasgi.testing import TestClient


class Math(Contract, prefix="math."):
    async def add(self, a: int, b: int = 0) -> int: ...  # type: ignore[empty-body] # it is a contract


def test_session_of_the_client_and_session_of_the_test_reach_each_other(client: TestClient) -> None:
    heard: Queue[str] = Queue()

    with client.connect_sync() as session, client.wamp_session() as other:
        assert isinstance(session, SyncSession)
        session.subscribe("chat", heard.put)
        with session.subscribe("chat", event_type=int) as events:
            other.publish("chat", "1", acknowledge=True)
            assert events.next().value == 1
        session.register("multiply", lambda a, b: a * b)
        assert other.call("multiply", 6, 7) == 42
        assert session.use(Math).add(1, b=2) == 3
        assert heard.get(timeout=5) == "1"


def test_handlers_run_while_the_test_does_something_else(app: Application, client: TestClient) -> None:
    @app.procedure("delegate")
    async def delegate(session: Session) -> Any:
        return await session.call("ask.me", 20)

    with client.connect_sync() as session:
        session.register("ask.me", lambda number: number + 1)
        assert session.call("delegate") == 21


def test_state_path_headers_and_cookies_are_those_of_the_test_client(backend: Backend) -> None:
    wamp = Application()

    @wamp.procedure("scope")
    async def scope(session: Session) -> list[Any]:
        connection = session.connection
        return [connection.state.color, connection.headers["x-tenant"], connection.cookies]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        yield {"color": "green"}

    web = Starlette(routes=[Mount("/api", routes=[WAMPRoute("/ws", wamp)])], lifespan=lifespan)
    client = TestClient(web, path="/api/ws", backend=backend, headers={"x-tenant": "a"}, cookies={"c": "1"})
    with client, client.connect_sync(cookies={"d": "2"}) as session:
        assert session.call("scope") == ["green", "a", {"c": "1", "d": "2"}]


def test_root_path_is_that_of_the_test_client() -> None:
    app = Application()

    @app.procedure("root")
    async def root(session: Session) -> str:
        path: str = session.connection.scope["root_path"]
        return path

    with TestClient(app, root_path="/root").connect_sync() as session:
        assert session.call("root") == "/root"


def test_serializers_are_those_of_the_test_client() -> None:
    app = Application(serializers=[ReversedText()])

    @app.procedure("add")
    async def add(a: int, b: int) -> int:
        return a + b

    with TestClient(app).connect_sync() as session:
        assert session.call("add", 1, 2) == 3


def test_session_needs_no_entered_client(app: Application, backend: Backend) -> None:
    client = TestClient(app, backend=backend)

    with client.connect_sync() as session:
        assert session.call("math.add", 1) == 1
    assert client.portal is None


def test_refusals_are_those_of_the_client(client: TestClient) -> None:
    closed = TestClient(Application(allow_default_realm=False))
    with pytest.raises(JoinRefused, match="no_such_realm"), closed.connect_sync():
        pass
    with client.connect_sync() as session, pytest.raises(WAMPError, match="no_such_procedure"):
        session.call("no.such")


@pytest.mark.parametrize("name", ["app", "lifespan"])
def test_another_application_is_refused(client: TestClient, name: str) -> None:
    options: dict[str, Any] = {name: True}
    with pytest.raises(TypeError, match="the test client has the application"):
        client.connect_sync(**options).__enter__()
