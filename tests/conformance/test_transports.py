"""The transports that the conformance tests run on, which the fixture ``anyio_backend`` selects."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wamp_client import connect
from wampasgi.transports.picows import WebSocketProtocol
from wampasgi.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("anyio_backend", ["picows"], indirect=True)
async def test_nothing_stands_between_the_transport_and_the_app() -> None:
    """If something did, messages would take the way of ASGI events, and never the direct one."""
    callables: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        callables.extend((receive, send))
        await receive()
        await send({"type": "websocket.accept", "subprotocol": scope["subprotocols"][0]})
        await receive()

    async with connect(app):
        assert {type(function.__self__) for function in callables} == {WebSocketProtocol}
