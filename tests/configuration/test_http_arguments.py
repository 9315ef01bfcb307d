"""Starlette's objects as arguments of handlers and of the dependencies that they share with HTTP."""

from __future__ import annotations

from typing import Annotated, Any

import fastapi
import fastapi.security
import pytest
from starlette.requests import HTTPConnection, Request
from starlette.websockets import WebSocket

from tests.auth.peers import wire
from tests.specification import AUTHENTICATION_FAILED, NOT_AUTHORIZED
from tests.wamp_client import connect
from wampasgi import Application, ConfigurationError, Depends, Identity, RPCRequest, Session

pytestmark = pytest.mark.anyio

COOKIE = (b"cookie", b"user=ann")

bearer = fastapi.security.HTTPBearer()


def of_request(request: Request) -> str:
    return request.cookies["user"]


def of_fastapi_request(http: fastapi.Request) -> str:
    return http.cookies["user"]


async def of_connection(conn: HTTPConnection | None = None) -> str:
    assert type(conn) is HTTPConnection
    return conn.cookies["user"]


def of_websocket(socket: WebSocket) -> str:
    return f"{socket.cookies['user']}"


def of_annotated(request: Annotated[Request, "some metadata"]) -> str:
    return request.cookies["user"]


def of_sub_dependency(user: str = Depends(of_request)) -> str:
    return user


DEPENDENCIES = pytest.mark.parametrize(
    "dependency",
    [of_request, of_fastapi_request, of_connection, of_websocket, of_annotated, of_sub_dependency],
)


@DEPENDENCIES
async def test_dependency_that_http_shares_gets_the_connection(dependency: Any) -> None:
    app = Application()

    @app.procedure("who")
    async def who(user: str = Depends(dependency)) -> str:
        return user

    async with connect(app, headers=[COOKIE]) as client:
        await client.join()
        assert await client.call("who") == "ann"
        # A caller cannot send it.
        answer = await client.ask(48, 7, {}, "who", [], {"request": "root", "conn": None, "http": 1})
        assert answer[4] == "wamp.error.invalid_argument"


@DEPENDENCIES
async def test_authenticator_gets_the_connection_through_a_shared_dependency(dependency: Any) -> None:
    app = Application()

    async def identify(user: str = Depends(dependency)) -> Identity:
        return Identity(user, authid=user)

    app.add_transport_authenticator(identify)

    async with wire(app, headers=[COOKIE]) as client:
        assert (await client.hello())[2]["authid"] == "ann"


async def test_handler_gets_the_connection_beside_its_other_arguments() -> None:
    app = Application()

    @app.procedure("path")
    async def path(n: int, http: HTTPConnection, request: RPCRequest, connection: str) -> list[Any]:
        return [n, http.url.path, request.uri, connection, http.app is app]

    async with connect(app, path="/ws") as client:
        await client.join()
        answer = await client.ask(48, 7, {}, "path", [1], {"connection": "sent"})

    assert answer[3] == [[1, "/ws", "path", "sent", True]]


async def test_each_kind_of_handler_may_take_the_connection() -> None:
    app, seen = Application(), []

    async def identify(http: HTTPConnection) -> str:
        seen.append(("authenticator", http.cookies["user"]))
        return "ann"

    @app.topic("t")
    async def gatekeeper(http: HTTPConnection) -> None:
        seen.append(("gatekeeper", http.cookies["user"]))

    app.add_transport_authenticator(identify)
    async with connect(app, headers=[COOKIE]) as client:
        await client.join()
        await client.ask(32, 7, {}, "t")

    assert seen == [("authenticator", "ann"), ("gatekeeper", "ann")]


@pytest.mark.parametrize("kind", [Request, WebSocket, fastapi.Request, fastapi.WebSocket])
@pytest.mark.parametrize("name", ["http", "request"])
async def test_handler_that_wants_a_request_is_told_what_to_take(kind: Any, name: str) -> None:
    async def with_http(http: Any) -> None: ...

    async def with_request(request: Any) -> None: ...

    chosen = {"http": with_http, "request": with_request}[name]
    chosen.__annotations__[name] = kind
    app = Application()
    app.procedure("p")(chosen)

    with pytest.raises(
        ConfigurationError, match=r"take `session: Session` instead.*Or take Starlette's HTTPConnection"
    ):
        app.check()


async def test_depends_and_default_args_precede_the_connection() -> None:
    app = Application()
    app.set_default_arg("by_name", "default arg")

    def own(session: Session) -> str:
        return "dependency"

    @app.procedure("p")
    async def procedure(by_name: HTTPConnection, by_marker: HTTPConnection = Depends(own)) -> list[Any]:
        return [by_name, by_marker]

    async with connect(app) as client:
        await client.join()
        assert await client.call("p") == ["default arg", "dependency"]


async def test_server_itself_has_no_connection() -> None:
    app = Application()

    @app.procedure("who")
    async def who(user: str = Depends(of_request)) -> str:
        return user

    with pytest.raises(RuntimeError, match="the realm's own session has no connection"):
        await app.call("who")


async def test_security_scheme_of_fastapi_guards_procedures_and_sessions() -> None:
    app, guarded = Application(), Application()

    @app.procedure("token")
    async def token(credentials: Any = Depends(bearer)) -> str:
        return str(credentials.credentials)

    async def identify(credentials: Any = Depends(bearer)) -> str:
        return str(credentials.credentials)

    guarded.add_transport_authenticator(identify)
    header = (b"authorization", b"Bearer t0ken")

    async with connect(app, headers=[header]) as client:
        await client.join()
        assert await client.call("token") == "t0ken"
    async with connect(app) as client:
        await client.join()
        answer = await client.ask(48, 7, {}, "token")
        assert answer[4:] == [NOT_AUTHORIZED, ["Not authenticated"], {"status": 401}]
    async with wire(guarded, headers=[header]) as client:
        assert (await client.hello())[0] == 2
    async with wire(guarded) as client:
        assert await client.hello() == [3, {"message": "Not authenticated"}, AUTHENTICATION_FAILED]


async def test_each_session_has_its_own_connection() -> None:
    app = Application()

    @app.procedure("who")
    async def who(http: HTTPConnection, user: str = Depends(of_request)) -> list[str]:
        return [user, http.cookies["user"]]

    async with (
        connect(app, headers=[COOKIE]) as ann,
        connect(app, headers=[(b"cookie", b"user=bob")]) as bob,
    ):
        await ann.join()
        await bob.join()
        assert await ann.call("who") == ["ann", "ann"]
        assert await bob.call("who") == ["bob", "bob"]
