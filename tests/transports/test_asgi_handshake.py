"""Accepting and refusing connections: the responses to the client, and errors in the application."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from websockets.exceptions import InvalidMessage, InvalidStatus, WebSocketException
from websockets.http11 import Response

from tests.transports import differences
from tests.transports.application_server import (
    Application,
    ApplicationServer,
    Connection,
    Servers,
    running_servers,
    server_log,
)
from wampasgi.types import ASGIEvent, Receive, Scope, Send

START = {"type": "websocket.http.response.start", "status": 401}
BODY = {"type": "websocket.http.response.body", "body": b"no"}


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running_servers() as servers:
        yield servers


@pytest.fixture
def server(servers: Servers, kind: str) -> ApplicationServer:
    return servers(kind)


def accepted(server: ApplicationServer, client_options: dict[str, Any], **fields: Any) -> Response:
    """Return the response to a client whose connection is accepted with these fields."""

    async def application(connection: Connection) -> None:
        await connection.accept(**fields)
        await connection.disconnected()

    server.serve(application)
    with server.connect(**client_options) as client:
        assert client.response is not None
        return client.response


def denied(server: ApplicationServer, application: Application) -> Response:
    """Return the response to a client whose connection the application doesn't accept."""
    server.serve(application)
    try:
        server.visit()
    except InvalidStatus as refusal:
        return refusal.response
    raise AssertionError("the connection was accepted")


def status_of(server: ApplicationServer, application: Application) -> int | None:
    """Return the status of the response; None if the server closes the connection without a response."""
    try:
        return denied(server, application).status_code
    except InvalidMessage:
        return None


def headers(response: Response) -> list[tuple[str, str]]:
    """Return the headers in the order of their names, which are in lower case."""
    pairs = [(name.lower(), value) for name, value in response.headers.raw_items()]
    return sorted(pairs, key=lambda pair: pair[0])


def headers_except(response: Response, *names: str) -> list[tuple[str, str]]:
    """Return the headers without those whose value differs from one response to another."""
    return [(name, value) for name, value in headers(response) if name not in names]


# Accepting


def test_accepted_connection_has_the_headers_of_uvicorn(server: ApplicationServer) -> None:
    response = accepted(server, {})

    assert (response.status_code, response.reason_phrase) == (101, "Switching Protocols")
    assert headers_except(response, "date", "sec-websocket-accept") == [
        ("connection", "Upgrade"),
        ("server", "uvicorn"),
        ("upgrade", "websocket"),
    ]
    assert abs(parsedate_to_datetime(response.headers["date"]).timestamp() - time.time()) < 30


def test_application_adds_headers_to_the_response(server: ApplicationServer) -> None:
    extra = [(b"Set-Cookie", b"a=1; Path=/"), (b"set-cookie", b"b=2"), (b"X-Name", b"caf\xe9")]
    response = accepted(server, {}, headers=extra)

    assert response.headers.get_all("set-cookie") == ["a=1; Path=/", "b=2"]
    assert response.headers["x-name"] == "café"


def test_headers_of_the_application_may_be_any_iterable(server: ApplicationServer) -> None:
    assert accepted(server, {}, headers=iter([(b"x-tag", b"one")])).headers["x-tag"] == "one"


@pytest.mark.parametrize(
    "fields",
    [{"headers": [(b"x-tag", b"one\r\nx-injected: two")]}, {"subprotocol": "chat\r\nx-injected: two"}],
    ids=["header", "subprotocol"],
)
def test_header_with_a_line_break_raises(server: ApplicationServer, fields: dict[str, Any]) -> None:
    async def application(connection: Connection) -> None:
        with pytest.raises((RuntimeError, ValueError, WebSocketException)):
            await connection.accept(**fields)
        await connection.close()

    assert denied(server, application).status_code == 403


def test_header_name_with_a_line_break_raises_only_on_picows(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> bool:
        try:
            await connection.accept(headers=[(b"x-tag: one\r\nx-injected", b"two")])
        except RuntimeError:
            await connection.close()
            return True
        return False

    served = server.serve(application)
    with server.raw() as client:
        assert client.read_response().status in (101, 403)
    assert served.outcome() is differences.HEADER_NAME_WITH_A_LINE_BREAK_RAISES.on(server.kind)


@pytest.mark.parametrize("subprotocol", ["v1.chat", "v2.chat", None])
def test_application_selects_the_subprotocol(server: ApplicationServer, subprotocol: str | None) -> None:
    response = accepted(server, {"subprotocols": ["v1.chat", "v2.chat"]}, subprotocol=subprotocol)

    selected = response.headers.get_all("sec-websocket-protocol")
    assert selected == ([] if subprotocol is None else [subprotocol])


def test_no_compression_if_an_option_disables_it(servers: Servers, kind: str) -> None:
    server = servers(kind, ws_per_message_deflate=False)

    assert "sec-websocket-extensions" not in accepted(server, {"compression": "deflate"}).headers


def test_default_headers_are_those_of_the_options(servers: Servers, kind: str) -> None:
    options = {"headers": [("X-Tag", "one"), ("x-tag", "two")], "server_header": False, "date_header": False}
    response = accepted(servers(kind, **options), {}, headers=[(b"x-tag", b"three")])

    assert headers_except(response, "sec-websocket-accept") == [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("x-tag", "one"),
        ("x-tag", "two"),
        ("x-tag", "three"),
    ]


def test_server_header_may_be_replaced_by_an_option(servers: Servers, kind: str) -> None:
    response = accepted(servers(kind, headers=[("Server", "example")]), {})

    assert response.headers.get_all("server") == ["example"]


def test_compression_is_negotiated_only_by_uvicorns_own(server: ApplicationServer) -> None:
    response = accepted(server, {"compression": "deflate"})

    extensions = response.headers.get("sec-websocket-extensions", "")
    assert extensions.partition(";")[0] == differences.EXTENSION_IF_THE_CLIENT_OFFERS_COMPRESSION.on(
        server.kind
    )


# Messages out of order

BEFORE_ACCEPT = ["websocket.send", "websocket.http.response.body", "http.response.start", "unknown"]
AFTER_ACCEPT = ["websocket.accept", "websocket.http.response.start", "websocket.connect", "unknown"]
AFTER_START = ["websocket.accept", "websocket.send", "websocket.close", "unknown"]
AFTER_CLOSE = ["websocket.send", "websocket.close", "websocket.accept", "websocket.http.response.start"]


def event(message_type: str) -> ASGIEvent:
    """Return a message that is complete, so that only its type is wrong."""
    return {"type": message_type, "text": "text", "body": b"body", "status": 200, "code": 1000, "headers": []}


async def assert_refused(connection: Connection, message_type: str) -> None:
    with pytest.raises(RuntimeError, match=rf"'{message_type}'"):
        await connection.send(event(message_type))


@pytest.mark.parametrize("message_type", BEFORE_ACCEPT)
def test_first_message_must_accept_or_refuse(server: ApplicationServer, message_type: str) -> None:
    async def application(connection: Connection) -> None:
        await assert_refused(connection, message_type)
        await connection.accept()
        await connection.send_text(await connection.text())

    served = server.serve(application)
    with server.connect() as client:
        client.send("echo")
        assert client.recv() == "echo"
    served.outcome()


@pytest.mark.parametrize("message_type", AFTER_ACCEPT)
def test_accepted_connection_takes_only_messages_and_close(
    server: ApplicationServer, message_type: str
) -> None:
    async def application(connection: Connection) -> None:
        await connection.accept()
        await assert_refused(connection, message_type)
        await connection.send_text(await connection.text())

    served = server.serve(application)
    with server.connect() as client:
        client.send("echo")
        assert client.recv() == "echo"
    served.outcome()


@pytest.mark.parametrize("message_type", AFTER_START)
def test_started_response_takes_only_its_body(server: ApplicationServer, message_type: str) -> None:
    async def application(connection: Connection) -> None:
        await connection.send(START)
        await assert_refused(connection, message_type)
        await connection.send(BODY)

    response = denied(server, application)

    assert (response.status_code, response.body) == (401, b"no")


@pytest.mark.parametrize("message_type", AFTER_CLOSE)
@pytest.mark.parametrize("accept", [True, False], ids=["accepted", "refused"])
def test_closed_connection_takes_no_messages(
    server: ApplicationServer, message_type: str, accept: bool
) -> None:
    async def application(connection: Connection) -> None:
        if accept:
            await connection.accept()
        await connection.close()
        await assert_refused(connection, message_type)

    served = server.serve(application)
    if accept:
        server.visit()
    else:
        with pytest.raises(InvalidStatus, match="403"):
            server.visit()
    served.outcome()


@pytest.mark.parametrize("message_type", ["websocket.accept", "websocket.http.response.body"])
def test_complete_response_takes_no_messages(server: ApplicationServer, message_type: str) -> None:
    async def application(connection: Connection) -> None:
        await connection.send(START)
        await connection.send(BODY)
        await connection.send(event(message_type))

    served = server.serve(application)
    with pytest.raises(InvalidStatus, match="401"):
        server.visit()
    expected: type[Exception] = RuntimeError
    if message_type == "websocket.http.response.body":
        expected = differences.EXCEPTION_FOR_A_SECOND_BODY.on(server.kind)
    with pytest.raises(expected):
        served.outcome()


# Refusing


def test_close_before_accept_answers_403(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> None:
        await connection.close(code=4000, reason="not here")

    with server_log() as log:
        response = denied(server, application)
        log.wait_for('"WebSocket /" 403')

    assert (response.status_code, response.reason_phrase, response.body) == (403, "Forbidden", b"")
    assert response.headers["content-length"] == "0"
    assert response.headers["connection"] == "close"


def test_disconnect_event_follows_a_refusal(server: ApplicationServer) -> None:
    async def close(connection: Connection) -> Any:
        await connection.receive()
        await connection.close()
        return await connection.disconnected()

    async def respond(connection: Connection) -> Any:
        await connection.receive()
        await connection.send(START)
        await connection.send(BODY)
        return await connection.disconnected()

    for application in close, respond:
        served = server.serve(application)
        with pytest.raises(InvalidStatus):
            server.visit()
        assert served.outcome() == (1006, "")


@pytest.mark.parametrize("status", [200, 302, 401, 404, 499, 599])
def test_denial_response_has_status_headers_and_body(server: ApplicationServer, status: int) -> None:
    async def application(connection: Connection) -> None:
        extra = [
            (b"Content-Type", b"application/json"),
            (b"Set-Cookie", b"a=1"),
            (b"set-cookie", b"b=caf\xe9"),
        ]
        await connection.send({**START, "status": status, "headers": extra})
        await connection.send({**BODY, "body": b'{"error"', "more_body": True})
        await connection.send({**BODY, "body": b"", "more_body": True})
        await connection.send({**BODY, "body": b': "no"}'})

    with server_log() as log:
        response = denied(server, application)
        log.wait_for(f'"WebSocket /" {status}')

    assert response.status_code == status
    assert response.body == b'{"error": "no"}'
    assert response.headers.get_all("content-type") == ["application/json"]
    assert response.headers.get_all("set-cookie") == ["a=1", "b=café"]
    assert response.headers.get_all("content-length") == ["15"]
    assert response.headers.get_all("connection") == ["close"]


def test_denial_response_may_omit_optional_fields(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> None:
        await connection.send({"type": "websocket.http.response.start", "status": 404})
        await connection.send({"type": "websocket.http.response.body", "body": b""})

    response = denied(server, application)

    assert (response.status_code, response.reason_phrase, response.body) == (404, "Not Found", b"")
    assert response.headers["content-length"] == "0"


def test_content_length_of_the_application_is_kept(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> None:
        await connection.send({**START, "headers": [(b"content-length", b"2"), (b"connection", b"close")]})
        await connection.send(BODY)

    response = denied(server, application)

    assert response.body == b"no"
    assert response.headers.get_all("content-length") == ["2"]
    assert response.headers.get_all("connection") == ["close"]


def test_body_of_a_denial_response_may_be_large(server: ApplicationServer) -> None:
    part = bytes(range(256)) * 256

    async def application(connection: Connection) -> None:
        await connection.send(START)
        for _ in range(15):
            await connection.send({**BODY, "body": part, "more_body": True})
        await connection.send({**BODY, "body": part})

    assert denied(server, application).body == part * 16


@pytest.mark.parametrize("status", [0, 99, 600, 1000])
def test_invalid_status_raises_in_the_application(server: ApplicationServer, status: int) -> None:
    async def application(connection: Connection) -> None:
        with pytest.raises(RuntimeError, match=f"'{status}'"):
            await connection.send({**START, "status": status})
        await connection.send({**START, "status": 404})
        await connection.send(BODY)

    assert denied(server, application).status_code == 404


def test_body_is_empty_by_default(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> None:
        await connection.send(START)
        await connection.send({"type": "websocket.http.response.body"})

    assert status_of(server, application) == differences.STATUS_IF_THE_MESSAGE_HAS_NO_BODY.on(server.kind)


def test_denial_response_may_be_informational_only_on_uvicorns_own(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> None:
        await connection.send({**START, "status": 101})
        await connection.send(BODY)

    server.serve(application)
    with server.raw() as client:
        status = client.read_response().status

    assert status == differences.STATUS_IF_THE_APPLICATION_DENIES_WITH_101.on(server.kind)


# Applications that fail


def test_exception_before_accept_answers_500(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> None:
        raise LookupError("no such room")

    with server_log() as log:
        response = denied(server, application)
        error = log.wait_for("Exception in ASGI application")

    assert (response.status_code, response.body) == (500, b"Internal Server Error")
    assert repr(error) == "LookupError('no such room')"


def test_application_that_returns_before_accept_answers_500(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> None:
        await connection.receive()

    with server_log() as log:
        response = denied(server, application)
        log.wait_for("ASGI callable returned without completing handshake.")

    assert (response.status_code, response.body) == (500, b"Internal Server Error")


@pytest.mark.parametrize("message", [START, {**BODY, "more_body": True}], ids=["headers", "body"])
@pytest.mark.parametrize("raises", [False, True], ids=["returns", "raises"])
def test_incomplete_denial_response_is_replaced(
    server: ApplicationServer, message: ASGIEvent, raises: bool
) -> None:
    async def application(connection: Connection) -> None:
        await connection.send(START)
        if message != START:
            await connection.send(message)
        if raises:
            raise LookupError("no such room")

    expected = differences.STATUS_OF_AN_INCOMPLETE_DENIAL_RESPONSE.on(server.kind)
    assert status_of(server, application) == expected


def test_return_value_of_the_application_is_an_error(servers: Servers, kind: str) -> None:
    async def application(scope: Scope, receive: Receive, send: Send) -> str:
        await receive()
        await send({"type": "websocket.accept"})
        return "a value"

    server = servers(kind, app=application, lifespan="off")
    with server_log() as log:
        server.visit()
        log.wait_for("ASGI callable should return None, but returned 'a value'.")
