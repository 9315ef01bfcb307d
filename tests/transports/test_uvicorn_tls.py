"""WebSockets over TLS, and HTTP beside them."""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed

from tests.transports import differences
from tests.transports.application_server import (
    PATIENCE,
    ApplicationServer,
    Connection,
    Servers,
    running_servers,
)
from tests.transports.certificate import Certificate, create_certificate
from tests.transports.raw_websocket import handshake
from tests.transports.uvicorn_server import TRANSPORTS
from wampasgi.types import Scope


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return create_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running_servers() as servers:
        yield servers


@pytest.fixture(params=TRANSPORTS)
def server(servers: Servers, certificate: Certificate, request: pytest.FixtureRequest) -> ApplicationServer:
    return servers(request.param, ssl_certfile=certificate.certfile, ssl_keyfile=certificate.keyfile)


@pytest.fixture
def tls(certificate: Certificate) -> ssl.SSLContext:
    return certificate.client_context()


async def echo(connection: Connection) -> tuple[Scope, int, str]:
    """Return each message to the client, and the scope and the end to the test."""
    await connection.accept()
    while (event := await connection.receive())["type"] == "websocket.receive":
        await connection.send({**event, "type": "websocket.send"})
    return connection.scope, event["code"], event.get("reason") or ""


@pytest.mark.parametrize("size", [0, 1, 125, 65536, 1 << 20])
def test_messages_are_exchanged_over_tls(server: ApplicationServer, tls: ssl.SSLContext, size: int) -> None:
    served = server.serve(echo)
    with server.connect("/path?query", ssl=tls, max_size=None) as client:
        for message in "x" * size, b"\xff" * size:
            client.send(message)
            assert client.recv(PATIENCE) == message
        client.close(3000, "bye")

    scope, code, reason = served.outcome()
    assert scope["scheme"] == "wss"
    assert scope["server"] == ("127.0.0.1", server.port)
    assert scope["path"] == "/path"
    assert (code, reason) == (3000, "bye")


def test_application_closes_over_tls(server: ApplicationServer, tls: ssl.SSLContext) -> None:
    async def application(connection: Connection) -> tuple[int, str]:
        await connection.accept()
        await connection.send_text("x" * (1 << 20))
        await connection.close(code=4000, reason="done")
        return await connection.disconnected()

    served = server.serve(application)
    with server.connect(ssl=tls, max_size=None) as client:
        assert len(client.recv(PATIENCE)) == 1 << 20
        with pytest.raises(ConnectionClosed):
            client.recv(PATIENCE)
        assert (client.close_code, client.close_reason) == (4000, "done")
    assert served.outcome() == (4000, "done")


@pytest.mark.parametrize("end", ["close_notify", "FIN", "RST"])
def test_lost_connection_is_noticed_over_tls(
    server: ApplicationServer, tls: ssl.SSLContext, end: str
) -> None:
    served = server.serve(echo)
    plain = socket.create_connection(("127.0.0.1", server.port), PATIENCE)
    with tls.wrap_socket(plain, server_hostname="127.0.0.1") as client:
        client.sendall(handshake())
        assert client.recv(65536).startswith(b"HTTP/1.1 101 ")
        if end == "close_notify":
            client.unwrap()
        elif end == "FIN":
            client.shutdown(socket.SHUT_RDWR)
        else:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _, code, reason = served.outcome()
    assert (code, reason) == (differences.CODE_OF_A_LOST_CONNECTION.on(server.kind), "")


def test_clients_get_1012_over_tls_if_the_server_stops(
    certificate: Certificate, tls: ssl.SSLContext, server: ApplicationServer
) -> None:
    options = {"ssl_certfile": certificate.certfile, "ssl_keyfile": certificate.keyfile}
    stopped = ApplicationServer(server.kind, **options)
    served = stopped.serve(echo)
    with stopped.connect(ssl=tls) as client:
        stopped.stop()
        with pytest.raises(ConnectionClosed):
            client.recv(PATIENCE)
        assert client.close_code == 1012
    assert served.outcome()[1] == 1012
    stopped.join()


def test_http_is_served_over_tls_beside_websockets(server: ApplicationServer, tls: ssl.SSLContext) -> None:
    server.serve(echo)
    with server.connect(ssl=tls) as client:
        http_client = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=PATIENCE, context=tls)
        for _ in range(2):
            http_client.request("GET", "/")
            assert http_client.getresponse().read() == b"plain"
        http_client.close()
        client.send("still here")
        assert client.recv(PATIENCE) == "still here"


def test_plain_websocket_is_not_served_on_a_tls_port(server: ApplicationServer) -> None:
    with server.raw() as client:
        assert client.read_to_end() == b""
