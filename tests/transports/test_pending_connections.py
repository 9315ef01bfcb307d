"""The limits on WebSockets without a session."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.wamp_client import connect
from tests.websocket import WebSocket, open_websocket
from wampasgi import Application, Limits

pytestmark = pytest.mark.anyio

DENIAL: dict[str, dict[str, Any]] = {"websocket.http.response": {}}


def client(number: int) -> tuple[str, int]:
    return (f"192.0.2.{number}", 50000)


async def status(app: Application, **scope: Any) -> int:
    """Open a WebSocket and return the status of its handshake."""
    async with open_websocket(app, extensions=DENIAL, **scope) as websocket:
        event = await websocket.receive_event()
        return 101 if event["type"] == "websocket.accept" else event["status"]


async def accepted(websocket: WebSocket) -> None:
    assert (await websocket.receive_event())["type"] == "websocket.accept"


async def test_connections_without_a_session_are_limited(caplog: pytest.LogCaptureFixture) -> None:
    app = Application(limits=Limits(pending_connections=2))
    async with open_websocket(app) as one, open_websocket(app) as other:
        await accepted(one)
        await accepted(other)
        assert await status(app, client=client(7)) == 503
        assert "192.0.2.7 refused: this server has reached the limit pending_connections of 2" in (
            caplog.text
        )
    assert await status(app) == 101


async def test_server_without_denial_responses_closes_the_connection() -> None:
    app = Application(limits=Limits(pending_connections=1))
    async with open_websocket(app) as one, open_websocket(app) as refused:
        await accepted(one)
        event = await refused.closed()
        assert (event["code"], event["reason"]) == (1013, "too many connections")


async def test_connection_with_a_session_is_not_counted() -> None:
    app = Application(limits=Limits(pending_connections=1))
    async with connect(app) as websocket:
        assert await status(app) == 503
        await websocket.join()
        assert await status(app) == 101


async def test_connection_whose_session_has_ended_is_counted() -> None:
    app = Application(limits=Limits(pending_connections=1))
    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(6, {}, "wamp.close.close_realm")
        assert (await websocket.receive())[0] == 6
        with anyio.fail_after(5):
            # The session ends after its last message.
            while await status(app) != 503:
                pass
        await websocket.join()
        assert await status(app) == 101


async def test_connections_of_one_address_are_limited() -> None:
    app = Application(limits=Limits(pending_connections_per_address=1))
    async with open_websocket(app, client=client(1)) as one:
        await accepted(one)
        assert await status(app, client=client(1)) == 503
        assert await status(app, client=client(2)) == 101


async def test_refused_handshakes_free_their_place() -> None:
    app = Application(limits=Limits(pending_connections=1))
    for _ in range(3):
        assert await status(app, subprotocols=["graphql-ws"]) == 400
    assert await status(app) == 101
