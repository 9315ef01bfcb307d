"""The connection of a session, with the interface of a Starlette request."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wamp_client import connect
from wampasgi import Application, Session
from wampasgi.peers.connection import Connection
from wampasgi.types import Scope

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


def scope_of(**attributes: Any) -> Scope:
    """Return the scope of a session whose server provides only the attributes that ASGI requires."""
    return {"type": "wamp", "path": "/", "query_string": b"", "headers": [], **attributes}


def test_attributes_that_the_server_does_not_provide_are_empty() -> None:
    connection = Connection(scope_of())

    assert connection.client is None
    assert connection.cookies == connection.path_params == {}
    assert not connection.query_params
    assert connection.transport_info == {
        "http_cookies": {},
        "http_headers_raw": [],
        "peer_address": None,
        "peer_certificate": None,
    }


@pytest.mark.parametrize(
    "extensions", [None, {}, {"tls": None}, {"tls": {}}, {"tls": {"client_cert_chain": None}}]
)
def test_client_without_a_certificate_has_none(extensions: dict[str, Any] | None) -> None:
    assert Connection(scope_of(extensions=extensions)).transport_info["peer_certificate"] is None


def test_first_certificate_of_the_chain_is_that_of_the_client() -> None:
    extensions = {"tls": {"client_cert_chain": ("of the client", "of its issuer")}}

    assert Connection(scope_of(extensions=extensions)).transport_info["peer_certificate"] == "of the client"


@pytest.mark.parametrize("attribute", ["user", "auth", "session"])
def test_attribute_of_missing_middleware_raises_with_the_name_of_the_middleware(attribute: str) -> None:
    middleware = "SessionMiddleware" if attribute == "session" else "AuthenticationMiddleware"

    with pytest.raises(AssertionError, match=middleware):
        getattr(Connection(scope_of()), attribute)


def test_data_of_the_session_middleware_can_be_changed() -> None:
    scope = scope_of(session={"basket": []})
    Connection(scope).session["basket"].append("bolts")

    assert scope["session"] == {"basket": ["bolts"]}
    assert scope["type"] == "wamp"
