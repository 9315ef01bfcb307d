"""WebSockets over TLS, and HTTP beside them."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TypeAlias

import pytest

from tests.transports import differences
from tests.transports.application_server import (
    PATIENCE,
    ApplicationServer,
    Connection,
    RawClient,
    Servers,
    running_servers,
)
from tests.transports.certificate import Certificate, create_certificate
from tests.transports.raw_websocket import (
    BINARY,
    CLOSE,
    TEXT,
    Frame,
    close_frame,
    close_payload,
    frame,
    handshake,
)
from wampasgi.types import Scope


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return create_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running_servers() as servers:
        yield servers


@pytest.fixture
def server(servers: Servers, certificate: Certificate, kind: str) -> ApplicationServer:
    return servers(kind, ssl_certfile=certificate.certfile, ssl_keyfile=certificate.keyfile)


class TLSClient(RawClient):
    """A raw client over TLS.

    The client of `websockets` reads and writes in two threads, which may block the TLS of Python 3.11.
    """

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        super().__init__(port)
        self._socket = self._tls = context.wrap_socket(self._socket, server_hostname="127.0.0.1")

    def notify_close(self) -> None:
        """Send close_notify, which ends the TLS connection, and wait for the answer."""
        self._tls.unwrap()


Connect: TypeAlias = Callable[..., TLSClient]


@pytest.fixture
def connect(certificate: Certificate) -> Connect:
    """Return a function that opens a connection, and waits until it is accepted."""
    context = certificate.client_context()

    def opened(server: ApplicationServer, target: str = "/") -> TLSClient:
        client = TLSClient(server.port, context)
        client.send(handshake(target))
        assert client.read_response().status == 101
        return client

    return opened


async def echo(connection: Connection) -> tuple[Scope, int, str]:
    """Return each message to the client, and the scope and the end to the test."""
    await connection.accept()
    while (event := await connection.receive())["type"] == "websocket.receive":
        await connection.send({**event, "type": "websocket.send"})
    return connection.scope, event["code"], event.get("reason") or ""


@pytest.mark.parametrize("size", [0, 1, 125, 65536, 1 << 20])
def test_messages_are_exchanged_over_tls(server: ApplicationServer, connect: Connect, size: int) -> None:
    served = server.serve(echo)
    with connect(server, "/path?query") as client:
        for opcode, data in (TEXT, b"x" * size), (BINARY, b"\xff" * size):
            client.send(frame(opcode, data))
            assert client.read_frame() == Frame(opcode, data)
        client.send(close_frame(3000, "bye"))
        assert client.read_frame().opcode == CLOSE
        assert client.read_to_end() == b""

    scope, code, reason = served.outcome()
    assert scope["scheme"] == "wss"
    assert scope["server"] == ("127.0.0.1", server.port)
    assert scope["path"] == "/path"
    assert (code, reason) == (3000, "bye")


def test_application_closes_over_tls(server: ApplicationServer, connect: Connect) -> None:
    async def application(connection: Connection) -> tuple[int, str]:
        await connection.accept()
        await connection.send_text("x" * (1 << 20))
        await connection.close(code=4000, reason="done")
        return await connection.disconnected()

    served = server.serve(application)
    with connect(server) as client:
        assert client.read_frame() == Frame(TEXT, b"x" * (1 << 20))
        assert client.read_frame() == Frame(CLOSE, close_payload(4000, "done"))
        client.send(close_frame(4000))
        assert client.read_to_end() == b""
    assert served.outcome() == (4000, "done")


@pytest.mark.parametrize("end", ["close_notify", "FIN", "RST"])
def test_lost_connection_is_noticed_over_tls(server: ApplicationServer, connect: Connect, end: str) -> None:
    served = server.serve(echo)
    with connect(server) as client:
        if end == "close_notify":
            client.notify_close()
        elif end == "RST":
            client.reset()

    _, code, reason = served.outcome()
    assert (code, reason) == (differences.CODE_OF_A_LOST_CONNECTION.on(server.kind), "")


def test_clients_get_1012_over_tls_if_the_server_stops(
    certificate: Certificate, connect: Connect, server: ApplicationServer
) -> None:
    options = {"ssl_certfile": certificate.certfile, "ssl_keyfile": certificate.keyfile}
    stopped = ApplicationServer(server.kind, **options)
    served = stopped.serve(echo)
    with connect(stopped) as client:
        stopped.stop()
        assert client.read_frame() == Frame(CLOSE, close_payload(1012))
        client.send(close_frame(1012))
        assert client.read_to_end() == b""
    assert served.outcome()[1] == 1012
    stopped.join()


def test_http_is_served_over_tls_beside_websockets(
    server: ApplicationServer, certificate: Certificate, connect: Connect
) -> None:
    server.serve(echo)
    context = certificate.client_context()
    with connect(server) as client:
        http_client = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=PATIENCE, context=context)
        with closing(http_client):
            for _ in range(2):
                http_client.request("GET", "/")
                assert http_client.getresponse().read() == b"plain"
        client.send(frame(TEXT, b"still here"))
        assert client.read_frame() == Frame(TEXT, b"still here")


def test_plain_websocket_is_not_served_on_a_tls_port(server: ApplicationServer) -> None:
    with server.raw() as client:
        assert client.read_to_end() == b""
