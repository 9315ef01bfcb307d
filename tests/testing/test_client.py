"""TestClient: opening WebSockets, HTTP, the lifespan, and applications that misbehave before a session."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import WebSocketDenialResponse
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from tests.testing.apps import SOON, Backend, no_threads_left
from wampasgi import Application, Session, TopicRouteSet, WAMPError, WAMPRoute
from wampasgi.serializers import JSON
from wampasgi.testing import ExpectationFailed, TestClient, Timeout


class ReversedText:
    name = "reversed"
    binary = False

    def encode(self, message: list[Any]) -> str:
        return JSON.encode(message)[::-1]

    def decode(self, data: str | bytes) -> object:
        assert isinstance(data, str)
        return JSON.decode(data[::-1])


def test_client_takes_the_serializers_of_a_wrapped_application() -> None:
    app = Application(serializers=[ReversedText()])

    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, send)

    with (
        TestClient(outer, serializers=[ReversedText()]) as client,
        client.wamp_session(subprotocol="wamp.2.reversed") as session,
    ):
        assert session.subprotocol == "wamp.2.reversed"


def test_value_that_a_custom_serializer_cannot_encode_fails_one_call() -> None:
    class NoBytes(ReversedText):
        def encode(self, message: list[Any]) -> str:
            if message[-1] == [b"x"]:
                raise KeyError("no bytes")
            return super().encode(message)

    app = Application(serializers=[NoBytes()])

    @app.procedure("raw")
    async def raw() -> bytes:
        return b"x"

    @app.procedure("text")
    async def text() -> str:
        return "x"

    with TestClient(app) as client, client.wamp_session(subprotocol="wamp.2.reversed") as session:
        with pytest.raises(WAMPError, match=r"wamp\.error\.runtime_error"):
            session.call("raw")
        assert session.call("text") == "x"


def test_server_chooses_among_the_offered_subprotocols(client: TestClient) -> None:
    with client.wamp_session(subprotocol=["wamp.2.unheard", "wamp.2.msgpack", "wamp.2.json"]) as session:
        assert session.subprotocol == "wamp.2.msgpack"


def test_sessions_share_an_event_loop_if_the_client_is_not_entered(
    app: Application, backend: Backend
) -> None:
    client = TestClient(app, backend=backend)

    with client.wamp_session() as one, client.wamp_session() as other:
        events = other.subscribe("chat")
        one.publish("chat", "hi")

        assert events.next().args == ["hi"]
    assert client.portal is None


def test_http_handler_publishes_to_a_session(backend: Backend) -> None:
    wamp = Application()
    topics = TopicRouteSet()

    @topics.route("orders.created")
    async def orders() -> None: ...

    wamp.add_routes(topics)
    api = FastAPI(routes=[WAMPRoute("/ws", wamp), Mount("/wamp", wamp)])

    @api.post("/orders")
    async def create() -> int:
        return await wamp.publish("orders.created", 1)

    with (
        TestClient(api, path="/ws", backend=backend) as client,
        client.wamp_session() as session,
        client.wamp_session(path="/wamp/") as mounted,
    ):
        events, others = session.subscribe("orders.created"), mounted.subscribe("orders.created")
        publication_id = client.post("/orders").json()

        assert events.next().publication_id == publication_id
        assert others.next().publication_id == publication_id


def test_lifespan_of_the_application_runs_while_the_client_is_entered(backend: Backend) -> None:
    steps = []

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        steps.append("startup")
        yield
        steps.append("shutdown")

    with TestClient(Application(lifespan=lifespan), backend=backend) as client, client.wamp_session():
        assert steps == ["startup"]

    assert steps == ["startup", "shutdown"]


def test_headers_and_cookies_reach_the_session(app: Application, backend: Backend) -> None:
    @app.procedure("request")
    async def request(session: Session) -> dict[str, Any]:
        connection = session.connection
        return {
            "cookies": connection.cookies,
            "who": connection.headers["x-who"],
            "query": connection.query_params["q"],
        }

    client = TestClient(app, backend=backend, cookies={"a": "1", "b": "1"})
    with client.wamp_session(path="/?q=3", headers={"X-Who": "ann"}, cookies={"b": "2"}) as session:
        assert session.call("request") == {"cookies": {"a": "1", "b": "2"}, "who": "ann", "query": "3"}


def test_leaving_the_client_closes_open_sessions(app: Application, backend: Backend) -> None:
    client = TestClient(app, backend=backend)
    client.__enter__()
    session = client.wamp_session()
    session.__enter__()

    client.__exit__(None, None, None)

    assert not app.default_realm.sessions
    assert session.__exit__(None, None, None) is not True


def test_client_cannot_be_entered_while_it_has_sessions(app: Application, backend: Backend) -> None:
    client = TestClient(app, backend=backend)

    with client.wamp_session(), pytest.raises(RuntimeError, match="before it opens its first WAMP session"):
        client.__enter__()


def test_server_that_does_not_accept_times_out(backend: Backend) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    with (
        pytest.raises(Timeout, match=r"waited 0.1 s for the application to accept the WebSocket at '/a'"),
        TestClient(app, timeout=SOON, backend=backend).wamp_connect(path="/a"),
    ):
        pass


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
def test_lifespan_that_hangs_times_out(backend: Backend, phase: str) -> None:
    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        if phase == "startup":
            await anyio.sleep_forever()
        yield
        await anyio.sleep(2)

    # Long enough for a startup that does not hang, even on a busy machine.
    client = TestClient(Application(lifespan=lifespan), timeout=0.5, backend=backend)
    with (
        no_threads_left(),
        pytest.raises(Timeout, match=rf"^the application's {phase} took longer than 0.5 s"),
        client,
    ):
        pass


def test_client_leaves_no_threads(app: Application, backend: Backend) -> None:
    with no_threads_left(patience=0):
        with TestClient(app, backend=backend) as client, client.wamp_session() as session:
            session.call("math.add", 1)
        with TestClient(app, backend=backend).wamp_session() as session:
            session.call("math.add", 1)


def test_exception_in_the_handshake_is_raised(backend: Backend) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError("broken app")

    with (
        pytest.raises(ZeroDivisionError, match="broken app"),
        TestClient(app, backend=backend).wamp_connect(),
    ):
        pass


def test_application_that_returns_before_accepting_is_reported() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None: ...

    with (
        pytest.raises(ExpectationFailed, match="neither accepted nor refused the WebSocket at '/'"),
        TestClient(app).wamp_connect(),
    ):
        pass


@pytest.mark.parametrize("chosen", [None, "wamp.2.msgpack", "graphql-ws"])
def test_application_that_accepts_another_subprotocol_is_reported(chosen: str | None) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.accept", "subprotocol": chosen})
        await send({"type": "websocket.send", "text": "hello"})

    with (
        pytest.raises(ExpectationFailed, match=rf"offered wamp.2.json, with subprotocol {chosen!r}"),
        TestClient(app).wamp_connect(),
    ):
        pass


def test_refused_handshake_quotes_the_response(client: TestClient) -> None:
    with pytest.raises(WebSocketDenialResponse) as denied, client.wamp_connect(subprotocol="wamp.1"):
        pass

    assert denied.value.status_code == 400
    assert "offered wamp.1: 400 This is a WAMP endpoint" in denied.value.__notes__[0]


def test_wrong_path_is_named(app: Application) -> None:
    client = TestClient(Starlette(routes=[WAMPRoute("/ws", app)]))

    with pytest.raises(WebSocketDisconnect) as refused, client.wamp_session(path="/wss"):
        pass

    assert "'/wss', offered wamp.2.json: close code 1000" in refused.value.__notes__[0]


def test_http_works_as_in_starlette(backend: Backend) -> None:
    async def hello(request: Request) -> JSONResponse:
        return JSONResponse({"who": request.query_params["who"]})

    client = TestClient(Starlette(routes=[Route("/", hello)]), backend=backend)

    assert client.get("/", params={"who": "ann"}).json() == {"who": "ann"}
