"""The options of uvicorn that concern WebSockets, and HTTP on the same port."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.transports import differences
from tests.transports.application_server import (
    PATIENCE,
    ApplicationServer,
    Connection,
    RawClient,
    Servers,
    Signal,
    running_servers,
    wait_until,
)
from tests.transports.raw_websocket import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    close_frame,
    close_payload,
    frame,
    handshake,
)
from wampasgi.transports.picows import WebSocketProtocol

#: Much shorter than in production: for clients that are to be dropped,
PINGS = {"ws_ping_interval": 0.05, "ws_ping_timeout": 0.1}
#: and for those that are to stay, even if this machine is busy.
PATIENT_PINGS = {"ws_ping_interval": 0.05, "ws_ping_timeout": 0.5}
#: A client whose pong is missing would be dropped within this time, in seconds.
STAYS = 0.7


class ImpatientProtocol(WebSocketProtocol):
    close_timeout = 0.1


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running_servers() as servers:
        yield servers


async def echo(connection: Connection) -> tuple[int, str]:
    """Return each message to the client, and the end to the test."""
    await connection.accept()
    while (event := await connection.receive())["type"] == "websocket.receive":
        await connection.send({**event, "type": "websocket.send"})
    return event["code"], event.get("reason") or ""


# --ws-max-size and --ws-max-queue


def test_message_of_the_maximum_size_is_received(servers: Servers, kind: str) -> None:
    server = servers(kind, ws_max_size=1000)
    served = server.serve(echo)
    with server.raw_accepted() as client:
        client.send(frame(TEXT, b"x" * 1000))
        assert client.read_frame() == Frame(TEXT, b"x" * 1000)
        client.send(frame(TEXT, b"x" * 1001))
        closing = client.read_frame()

    assert (closing.opcode, closing.payload[:2]) == (CLOSE, (1009).to_bytes(2))
    assert served.outcome()[0] == 1009


@pytest.mark.parametrize("max_queue", [1, 2, 8])
def test_queue_for_the_application_is_limited(servers: Servers, kind: str, max_queue: int) -> None:
    proceed = Signal()
    expected = max_queue if differences.MAX_QUEUE_IS_USED.on(kind) else 1
    messages = [b"%d" % number for number in range(expected + 1)]

    async def application(connection: Connection) -> list[str]:
        await connection.accept()
        await proceed.waited()
        return [await connection.text() for _ in messages]

    server = servers(kind, ws_max_queue=max_queue)
    served = server.serve(application)
    with server.raw_accepted() as client:
        # The server answers a ping if it has also read the message before it.
        for message in messages[:-1]:
            client.send(frame(TEXT, message), frame(PING, message))
            assert client.read_frame() == Frame(PONG, message)
        client.send(frame(TEXT, messages[-1]), frame(PING, messages[-1]))
        assert client.frame_within(0.2) is None
        proceed.set()
        assert served.outcome() == [message.decode() for message in messages]


def test_closing_handshake_ends_although_the_queue_is_full(servers: Servers, kind: str) -> None:
    async def application(connection: Connection) -> None:
        await connection.accept()
        await proceed.waited()
        await connection.close(code=4000)

    proceed = Signal()
    server = servers(kind, ws_max_queue=1)
    server.serve(application)
    with server.raw_accepted() as client:
        client.send(frame(TEXT, b"not received"), frame(PING))
        assert client.read_frame() == Frame(PONG)
        proceed.set()
        assert client.read_frame() == Frame(CLOSE, close_payload(4000))
        client.send(frame(TEXT, b"too late"), close_frame(4000))
        # Much sooner than after the timeout of the closing handshake.
        assert client.read_to_end() == b""


# --ws-ping-interval and --ws-ping-timeout


def test_client_that_answers_pings_stays(servers: Servers, kind: str) -> None:
    server = servers(kind, **PATIENT_PINGS)
    served = server.serve(echo)
    with server.raw_accepted() as client:
        payloads = set()
        begin = time.monotonic()
        while time.monotonic() < begin + STAYS:
            ping = client.read_frame()
            assert ping.opcode == PING
            payloads.add(ping.payload)
            client.send(frame(PONG, ping.payload))
        client.send(frame(TEXT, b"still here"))
        assert next_message(client) == Frame(TEXT, b"still here")
        client.send(close_frame(1000))

        assert served.outcome() == (1000, "")
    assert len(payloads) > 2


def next_message(client: RawClient) -> Frame:
    """Return the next frame that isn't a ping, and answer the pings before it."""
    while (received := client.read_frame()).opcode == PING:
        client.send(frame(PONG, received.payload))
    return received


@pytest.mark.parametrize("answer", [None, b"another payload"], ids=["no pong", "another pong"])
def test_client_that_answers_no_ping_is_dropped(servers: Servers, kind: str, answer: bytes | None) -> None:
    server = servers(kind, **PINGS)
    served = server.serve(echo)
    with server.raw_accepted() as client:
        assert client.read_frame().opcode == PING
        if answer is not None:
            client.send(frame(PONG, answer))
        assert client.read_frame() == Frame(CLOSE, close_payload(1011, "keepalive ping timeout"))
        assert client.read_to_end() == b""
        assert served.outcome() == differences.DISCONNECT_AFTER_A_PING_TIMEOUT.on(kind)


def test_client_that_neither_answers_nor_reads_is_dropped(servers: Servers, kind: str) -> None:
    async def application(connection: Connection) -> None:
        await connection.accept()
        while True:
            await connection.send_text("x" * 1_000_000)

    ws = {} if kind == "uvicorn" else {"ws": ImpatientProtocol}
    server = servers(kind, **PINGS, **ws)
    served = server.serve(application)
    expected = differences.EXCEPTION_IF_THE_CLIENT_NEITHER_ANSWERS_NOR_READS.on(kind)
    with server.raw_accepted(receive_buffer=4096), pytest.raises(expected):
        served.outcome(1.0 if expected is TimeoutError else PATIENCE)


def test_client_of_a_busy_application_is_not_dropped(servers: Servers, kind: str) -> None:
    proceed = Signal()

    async def application(connection: Connection) -> None:
        await connection.accept()
        await proceed.waited()
        await connection.send_text(await connection.text())
        await connection.receive()

    server = servers(kind, **PATIENT_PINGS, ws_max_queue=1)
    server.serve(application)
    with server.raw_accepted() as client:
        # Now the queue is full, and no pong is read.
        client.send(frame(TEXT, b"waiting"))
        while (received := client.frame_within(STAYS)) is not None and received.opcode == PING:
            client.send(frame(PONG, received.payload))
        proceed.set()
        if differences.CLIENT_OF_A_BUSY_APPLICATION_STAYS.on(kind):
            assert received is None
            assert next_message(client) == Frame(TEXT, b"waiting")
            # The pings go on.
            assert client.read_frame().opcode == PING
        else:
            assert received == Frame(CLOSE, close_payload(1011, "keepalive ping timeout"))


def test_client_is_not_dropped_if_the_event_loop_was_blocked(servers: Servers, kind: str) -> None:
    pinged, blocked = Signal(), Signal()

    async def application(connection: Connection) -> None:
        await connection.accept()
        await pinged.waited()
        # A mistake that the client must not pay for. Meanwhile its pong arrives.
        blocked.set()
        time.sleep(STAYS)  # noqa: ASYNC251
        await connection.send_text("at last")
        await connection.receive()

    server = servers(kind, **PATIENT_PINGS)
    server.serve(application)
    with server.raw_accepted() as client:
        ping = client.read_frame()
        pinged.set()
        blocked.wait()
        client.send(frame(PONG, ping.payload))
        assert next_message(client) == Frame(TEXT, b"at last")
        client.send(frame(TEXT, b"and go on"))


@pytest.mark.parametrize("interval", [0, None])
def test_no_pings_without_an_interval(servers: Servers, kind: str, interval: float | None) -> None:
    server = servers(kind, ws_ping_interval=interval, ws_ping_timeout=0.05)
    server.serve(echo)
    with server.raw_accepted() as client:
        assert client.frame_within(0.2) is None
        client.send(frame(TEXT, b"still here"))
        assert client.read_frame() == Frame(TEXT, b"still here")


def test_pongs_do_not_matter_without_a_timeout(servers: Servers, kind: str) -> None:
    server = servers(kind, ws_ping_interval=0.05, ws_ping_timeout=None)
    server.serve(echo)
    with server.raw_accepted() as client:
        pings = [client.read_frame() for _ in range(4)]
        client.send(frame(TEXT, b"still here"))
        assert next_message(client) == Frame(TEXT, b"still here")

    assert [ping.opcode for ping in pings] == [PING] * 4


def test_no_pings_before_the_handshake_is_answered(servers: Servers, kind: str) -> None:
    proceed = Signal()

    async def application(connection: Connection) -> None:
        await proceed.waited()
        await connection.accept()
        await connection.receive()

    server = servers(kind, **PINGS)
    server.serve(application)
    with server.raw() as client:
        assert client.response_within(0.2) is None
        proceed.set()
        assert client.read_response().status == 101
        assert client.read_frame().opcode == PING


# --limit-concurrency


def http_status(server: ApplicationServer) -> int:
    """Return the status of an HTTP response on a connection of its own."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    client.request("GET", "/")
    response = client.getresponse()
    response.read()
    client.close()
    return response.status


def test_websockets_count_for_the_limit_of_connections(servers: Servers, kind: str) -> None:
    server = servers(kind, limit_concurrency=3)
    server.serve(echo)
    with server.connect(), server.connect():
        assert http_status(server) == 503
        # uvicorn limits HTTP requests only.
        with server.connect() as another:
            another.send("echo")
            assert another.recv(PATIENCE) == "echo"
    wait_until(lambda: http_status(server) == 200)


# HTTP


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_connection_is_upgraded_after_http_requests(servers: Servers, kind: str, http: str) -> None:
    server = servers(kind, http=http, timeout_keep_alive=0.1)
    served = server.serve(echo)
    with RawClient(server.port) as client:
        for _ in range(2):
            client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            response = client.read_response()
            assert (response.status, response.body) == (200, b"plain")
        client.send(handshake())
        assert client.read_response().status == 101
        # The timeout for idle HTTP connections doesn't apply any more.
        assert client.frame_within(0.2) is None
        client.send(frame(TEXT, b"echo"))
        assert client.read_frame() == Frame(TEXT, b"echo")
        client.send(close_frame(1000))
        assert client.read_frame().opcode == CLOSE
        assert client.read_to_end() == b""
    assert served.outcome() == (1000, "")


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_http_is_served_on_the_same_port(servers: Servers, kind: str, http: str) -> None:
    server = servers(kind, http=http)
    server.serve(echo)
    with server.connect() as client:
        statuses = [http_status(server) for _ in range(3)]
        client.send("echo")
        assert client.recv(PATIENCE) == "echo"

    assert statuses == [200, 200, 200]


def test_many_connections_are_served_at_once(servers: Servers, kind: str) -> None:
    server = servers(kind)
    served = server.serve(echo)
    with ExitStack() as stack:
        clients = [stack.enter_context(server.raw_accepted()) for _ in range(50)]
        for number, client in enumerate(clients):
            client.send(frame(TEXT, b"%d" % number))
        received = [client.read_frame().payload for client in reversed(clients)]
        for client in clients:
            client.send(close_frame(1000))
            assert client.read_frame().opcode == CLOSE

    assert received == [b"%d" % number for number in reversed(range(50))]
    assert [served.outcome() for _ in clients] == [(1000, "")] * 50
