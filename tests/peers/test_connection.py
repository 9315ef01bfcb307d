"""The connection of a session, with the interface of a Starlette request."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wamp_client import connect
from wampasgi import Application, Session

pytestmark = pytest.mark.anyio


async def test_connection_has_the_attributes_of_a_starlette_connection() -> None:
    app = Application()
    seen: dict[str, Any] = {}

    @app.procedure("look")
    async def look(session: Session) -> None:
        connection = session.connection
        seen.update(
            cookies=connection.cookies,
            header=connection.headers["X-Thing"],
            query=connection.query_params["q"],
            url=str(connection.url),
            client=connection.client and connection.client.host,
            state=connection.state.answer,
            user=connection.user,
            auth=connection.auth,
            subprotocol=connection.subprotocol,
            info=connection.transport_info,
        )

    headers = [(b"host", b"testserver"), (b"cookie", b"a=1; b=2"), (b"x-thing", b"yes")]
    async with connect(
        app,
        path="/ws",
        query_string=b"q=1",
        headers=headers,
        state={"answer": 42},
        user="ada",
        auth="credentials",
        extensions={"tls": {"client_cert_chain": ["PEM"]}},
    ) as websocket:
        await websocket.join()
        await websocket.ask(48, 1, {}, "look")

    assert seen == {
        "cookies": {"a": "1", "b": "2"},
        "header": "yes",
        "query": "1",
        "url": "ws://testserver/ws?q=1",
        "client": "192.0.2.1",
        "state": 42,
        "user": "ada",
        "auth": "credentials",
        "subprotocol": "wamp.2.json",
        "info": {
            "http_cookies": {"a": "1", "b": "2"},
            "http_headers_raw": headers,
            "peer_address": "192.0.2.1",
            "peer_certificate": "PEM",
        },
    }
