"""The ASGI events that the test client exchanges with an application."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from tests.testing.apps import WELCOME, Backend, scripted
from wampasgi.testing import TestClient


def test_application_that_returns_without_closing_has_close_code_1006(backend: Backend) -> None:
    with TestClient(scripted(WELCOME), backend=backend).wamp_session() as session:
        assert session.expect_close(1006).reason == "the application returned without closing"


def test_application_that_sends_after_closing_gets_an_error(backend: Backend) -> None:
    raised: list[Exception] = []
    received: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "wamp.2.json"})
        for event in (
            {"type": "websocket.http.response.start"},
            {"type": "websocket.close"},
            {"type": "websocket.send", "text": "[]"},
        ):
            try:
                await send(event)
            except RuntimeError as error:
                raised.append(error)
        received.extend([(await receive())["type"], (await receive())["type"]])

    with TestClient(app, backend=backend).wamp_connect() as connection:
        connection.expect_close(1000)

    assert [str(error) for error in raised] == [
        "the application sent 'websocket.http.response.start' on an accepted WebSocket",
        "the application sent 'websocket.send' after 'websocket.close'",
    ]
    assert received == ["websocket.disconnect", "websocket.disconnect"]


def test_application_that_sends_after_a_disconnect_gets_an_os_error(backend: Backend) -> None:
    raised: list[OSError] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": "wamp.2.json"})
        assert (await receive()) == {"type": "websocket.disconnect", "code": 4000, "reason": "bye"}
        try:
            await send({"type": "websocket.send", "text": "[]"})
        except OSError as error:
            raised.append(error)

    with TestClient(app, backend=backend).wamp_connect() as connection:
        connection.disconnect(4000, "bye")

    assert str(raised[0]) == "the client has closed the WebSocket"
