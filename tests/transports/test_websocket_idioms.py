"""WebSockets as applications of Starlette and FastAPI use them."""

from __future__ import annotations

import asyncio
import http.client
import json
import queue
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI, Query
from starlette.applications import Starlette
from starlette.exceptions import HTTPException, WebSocketException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Response as ClientResponse
from websockets.sync.client import ClientConnection

from tests.transports import differences
from tests.transports.application_server import (
    PATIENCE,
    ApplicationServer,
    Servers,
    running_servers,
    server_log,
)
from tests.transports.raw_websocket import BINARY, CLOSE, TEXT, Frame, close_frame, close_payload, frame

#: What the endpoints have noticed.
NOTES: queue.Queue[Any] = queue.Queue()


# Endpoints of Starlette


async def json_echo(websocket: WebSocket) -> None:
    await websocket.accept()
    mode = websocket.query_params["mode"]
    while True:
        data = await websocket.receive_json(mode=mode)
        await websocket.send_json({"received": data}, mode=mode)


async def iterate(websocket: WebSocket) -> None:
    await websocket.accept()
    iterators = {"text": websocket.iter_text, "bytes": websocket.iter_bytes, "json": websocket.iter_json}
    received = [data async for data in iterators[websocket.path_params["kind"]]()]
    NOTES.put((received, websocket.client_state.name))


async def disconnect(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        await websocket.receive_text()
    except WebSocketDisconnect as error:
        NOTES.put((error.code, error.reason))


async def send_after_disconnect(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text("to nobody")
            await asyncio.sleep(0)
    except WebSocketDisconnect as error:
        NOTES.put((error.code, websocket.application_state.name))


async def close(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol="chat", headers=[(b"x-tag", b"one")])
    await websocket.close(code=4321, reason="enough")


async def websocket_exception(websocket: WebSocket) -> None:
    if "accept" in websocket.query_params:
        await websocket.accept()
    raise WebSocketException(code=4008, reason="not you")


async def http_exception(websocket: WebSocket) -> None:
    raise HTTPException(status_code=401, detail="who are you?", headers={"WWW-Authenticate": "Bearer"})


async def denial_response(websocket: WebSocket) -> None:
    await websocket.send_denial_response(JSONResponse({"error": "gone"}, status_code=410))


async def login(request: Request) -> Response:
    request.session["user"] = "é"
    return Response()


async def session(websocket: WebSocket) -> None:
    cookies = Response()
    cookies.set_cookie("visited", "yes")
    cookies.set_cookie("theme", "dark", path="/session")
    cookie_headers = [header for header in cookies.raw_headers if header[0] == b"set-cookie"]
    await websocket.accept(headers=cookie_headers)
    await websocket.send_json([websocket.session, websocket.cookies.get("theme")])
    await websocket.close()


async def mounted(websocket: WebSocket) -> None:
    await websocket.accept()
    url = str(websocket.url_for("mount:room", name="two"))
    known = {"root_path": websocket.scope["root_path"], "path": websocket.scope["path"], "url": url}
    await websocket.send_json({**known, **websocket.path_params})
    await websocket.close()


class Passing(BaseHTTPMiddleware):
    """Reports the HTTP requests that it sees. WebSockets pass through it."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        NOTES.put(request.url.path)
        return await call_next(request)


STARLETTE = Starlette(
    routes=[
        WebSocketRoute("/json", json_echo),
        WebSocketRoute("/iterate/{kind}", iterate),
        WebSocketRoute("/disconnect", disconnect),
        WebSocketRoute("/send-after-disconnect", send_after_disconnect),
        WebSocketRoute("/close", close),
        WebSocketRoute("/websocket-exception", websocket_exception),
        WebSocketRoute("/http-exception", http_exception),
        WebSocketRoute("/denial-response", denial_response),
        Route("/login", login),
        WebSocketRoute("/session", session),
        Mount("/mount", routes=[WebSocketRoute("/rooms/{name}", mounted, name="room")], name="mount"),
    ],
    middleware=[Middleware(Passing), Middleware(SessionMiddleware, secret_key="of these tests")],
)

# Endpoints of FastAPI

FASTAPI = FastAPI()


async def user(websocket: WebSocket, token: Annotated[str, Query()]) -> str:
    if token != "secret":
        raise WebSocketException(code=1008, reason="wrong token")
    return f"user of {websocket.url.path}"


async def resource() -> Any:
    yield "resource"
    NOTES.put("released")


@FASTAPI.websocket("/items/{item_id}")
async def item(
    websocket: WebSocket,
    item_id: int,
    known_user: Annotated[str, Depends(user)],
    held: Annotated[str, Depends(resource)],
) -> None:
    await websocket.accept()
    await websocket.send_json([item_id, known_user, held])
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect as error:
        NOTES.put((error.code, error.reason))


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running_servers() as servers:
        yield servers


@pytest.fixture
def starlette(servers: Servers, kind: str) -> ApplicationServer:
    return servers(kind, app=STARLETTE)


@pytest.fixture
def fastapi(servers: Servers, kind: str) -> ApplicationServer:
    return servers(kind, app=FASTAPI)


@pytest.fixture(autouse=True)
def no_old_notes() -> None:
    """Forget the notes that a failed test has not read."""
    NOTES.queue.clear()


def noted() -> Any:
    """Return the next note of an endpoint."""
    return NOTES.get(timeout=PATIENCE)


def end_of(client: ClientConnection) -> tuple[int | None, str | None]:
    """Wait until the connection is closed, and return its code and reason."""
    with pytest.raises(ConnectionClosed):
        client.recv(PATIENCE)
    return client.close_code, client.close_reason


def refused(server: ApplicationServer, target: str) -> ClientResponse:
    """Return the response to a client whose connection is not accepted."""
    try:
        server.visit(target)
    except InvalidStatus as refusal:
        return refusal.response
    raise AssertionError("the connection was accepted")


# Messages


@pytest.mark.parametrize("mode", ["text", "binary"])
def test_json_is_exchanged(starlette: ApplicationServer, mode: str) -> None:
    with starlette.connect(f"/json?mode={mode}") as client:
        for data in [{"a": [1, None, "é"]}, [], "text", 0]:
            client.send(json.dumps(data), text=mode == "text")
            received = client.recv(PATIENCE)
            assert isinstance(received, str if mode == "text" else bytes)
            assert json.loads(received) == {"received": data}


@pytest.mark.parametrize(
    ("kind_of_data", "messages", "expected"),
    [
        ("text", ["a", "", "é"], ["a", "", "é"]),
        ("bytes", [b"a", b"", b"\xff"], [b"a", b"", b"\xff"]),
        ("json", ["{}", "[1]", '"é"'], [{}, [1], "é"]),
    ],
)
def test_iterator_ends_with_the_connection(
    starlette: ApplicationServer, kind_of_data: str, messages: list[str | bytes], expected: list[Any]
) -> None:
    with starlette.connect(f"/iterate/{kind_of_data}") as client:
        for message in messages:
            client.send(message)

    assert noted() == (expected, "DISCONNECTED")


@pytest.mark.parametrize("binary", [False, True], ids=["text", "bytes"])
def test_iterator_takes_fragments_of_a_raw_client(starlette: ApplicationServer, binary: bool) -> None:
    opcode = BINARY if binary else TEXT
    with starlette.raw_accepted(target=f"/iterate/{'bytes' if binary else 'text'}") as client:
        client.send(frame(opcode, "é".encode()[:1], fin=False), frame(0, "é".encode()[1:]), close_frame(1000))
        assert client.read_frame() == Frame(CLOSE, close_payload(1000))

    assert noted() == (["é".encode() if binary else "é"], "DISCONNECTED")


# The end of a connection


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "going away"), (4000, "é")])
def test_disconnect_has_the_code_and_reason_of_the_client(
    starlette: ApplicationServer, code: int, reason: str
) -> None:
    with starlette.connect("/disconnect") as client:
        client.close(code, reason)

    assert noted() == (code, reason)


def test_disconnect_of_a_lost_connection_has_a_code(starlette: ApplicationServer, kind: str) -> None:
    with starlette.raw_accepted(target="/disconnect"):
        pass

    assert noted() == (differences.CODE_OF_A_LOST_CONNECTION.on(kind), "")


def test_sending_raises_websocket_disconnect_if_the_client_has_gone(starlette: ApplicationServer) -> None:
    with starlette.raw_accepted(target="/send-after-disconnect") as client:
        client.reset()

    assert noted() == (1006, "DISCONNECTED")


def test_exception_for_a_disconnect_may_leave_the_endpoint(starlette: ApplicationServer) -> None:
    with server_log() as log:
        with starlette.connect("/json?mode=text") as client:
            client.close(1001)
        error = log.wait_for("Exception in ASGI application")

    assert isinstance(error, WebSocketDisconnect)
    assert (error.code, error.reason) == (1001, "")


def test_application_closes_with_a_reason(starlette: ApplicationServer) -> None:
    with starlette.connect("/close", subprotocols=["chat"]) as client:
        assert client.response is not None
        assert client.response.headers["x-tag"] == "one"
        assert client.subprotocol == "chat"
        assert end_of(client) == (4321, "enough")


def test_websocket_exception_closes_with_its_code_and_reason(starlette: ApplicationServer) -> None:
    with starlette.connect("/websocket-exception?accept") as client:
        assert end_of(client) == (4008, "not you")


# Refused connections


@pytest.mark.parametrize("target", ["/websocket-exception", "/unknown"])
def test_connection_is_refused_with_403(starlette: ApplicationServer, target: str) -> None:
    assert refused(starlette, target).status_code == 403


def test_http_exception_is_a_denial_response(starlette: ApplicationServer) -> None:
    response = refused(starlette, "/http-exception")

    assert (response.status_code, response.body) == (401, b"who are you?")
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "text/plain; charset=utf-8"


def test_denial_response_is_sent(starlette: ApplicationServer) -> None:
    response = refused(starlette, "/denial-response")

    assert (response.status_code, response.body) == (410, b'{"error":"gone"}')
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == "16"


# Middleware and mounts


def test_session_of_http_and_cookies_of_the_handshake_are_used(starlette: ApplicationServer) -> None:
    http_client = http.client.HTTPConnection("127.0.0.1", starlette.port, timeout=PATIENCE)
    with closing(http_client):
        http_client.request("GET", "/login")
        cookie = str(http_client.getresponse().headers["set-cookie"]).partition(";")[0]
    # The middleware sees HTTP requests only.
    assert noted() == "/login"

    headers = {"Cookie": f"{cookie}; theme=light"}
    with starlette.connect("/session", additional_headers=headers) as client:
        assert json.loads(client.recv(PATIENCE)) == [{"user": "é"}, "light"]
        assert client.response is not None
        assert client.response.headers.get_all("set-cookie") == [
            "visited=yes; Path=/; SameSite=lax",
            "theme=dark; Path=/session; SameSite=lax",
        ]
    assert NOTES.empty()


def test_mounted_endpoint_knows_its_root_path(servers: Servers, kind: str) -> None:
    for root_path in "", "/api":
        server = servers(kind, app=STARLETTE, root_path=root_path)
        with server.connect("/mount/rooms/caf%C3%A9") as client:
            known = json.loads(client.recv(PATIENCE))

        assert known == {
            "root_path": f"{root_path}/mount",
            "path": f"{root_path}/mount/rooms/café",
            "url": f"ws://127.0.0.1:{server.port}{root_path}/mount/rooms/two",
            "name": "café",
        }


# FastAPI


def test_dependencies_are_injected_and_released(fastapi: ApplicationServer) -> None:
    with fastapi.connect("/items/7?token=secret") as client:
        assert json.loads(client.recv(PATIENCE)) == [7, "user of /items/7", "resource"]
        client.send("echo")
        assert client.recv(PATIENCE) == "echo"
        client.close(4000, "bye")

    assert noted() == (4000, "bye")
    assert noted() == "released"


@pytest.mark.parametrize(
    "target", ["/items/7?token=wrong", "/items/7", "/items/seven?token=secret", "/unknown"]
)
def test_failing_dependency_refuses_the_connection(fastapi: ApplicationServer, target: str) -> None:
    assert refused(fastapi, target).status_code == 403
