"""The graceful shutdown of a server that has open connections."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.transports import differences
from tests.transports.application_server import (
    PATIENCE,
    ApplicationServer,
    Connection,
    Signal,
    server_log,
)
from tests.transports.raw_websocket import CLOSE, PING, PONG, TEXT, Frame, close_payload, frame
from wampasgi.transports.picows import WebSocketProtocol


class ImpatientProtocol(WebSocketProtocol):
    close_timeout = 0.2


@contextmanager
def stopping_server(kind: str, **options: Any) -> Iterator[ApplicationServer]:
    """Start a server that the test stops; by default, it waits for the connections without a limit."""
    server = ApplicationServer(kind, **{"timeout_graceful_shutdown": None, **options})
    try:
        yield server
    finally:
        server.stop()
        server.join()


async def wait_for_disconnect(connection: Connection) -> tuple[int, str]:
    await connection.accept()
    return await connection.disconnected()


def test_clients_and_application_get_1012(kind: str) -> None:
    with stopping_server(kind) as server:
        served = server.serve(wait_for_disconnect)
        with server.connect() as one, server.connect() as two:
            server.stop()
            for client in one, two:
                with pytest.raises(ConnectionClosed):
                    client.recv(PATIENCE)
                assert (client.close_code, client.close_reason) == (1012, "")
        server.join()

        assert [served.outcome(), served.outcome()] == [(1012, "")] * 2


def test_messages_come_before_the_disconnect(kind: str) -> None:
    proceed = Signal()

    async def application(connection: Connection) -> list[Any]:
        await connection.accept()
        await proceed.waited()
        return [await connection.text(), await connection.disconnected()]

    with stopping_server(kind) as server:
        served = server.serve(application)
        with server.raw_accepted() as client:
            client.send(frame(TEXT, b"one"), frame(PING))
            # The server has also read the message.
            assert client.read_frame() == Frame(PONG)
            server.stop()
            assert client.read_frame() == Frame(CLOSE, close_payload(1012))
            proceed.set()
            assert served.outcome() == ["one", (1012, "")]


def test_server_waits_for_the_end_of_the_application(kind: str) -> None:
    proceed = Signal()

    async def application(connection: Connection) -> str:
        await wait_for_disconnect(connection)
        await proceed.waited()
        return "finished"

    with stopping_server(kind) as server, server_log() as log:
        served = server.serve(application)
        with server.connect() as client:
            server.stop()
            with pytest.raises(ConnectionClosed):
                client.recv(PATIENCE)
        log.wait_for("Waiting for background tasks to complete.")
        assert server.running
        proceed.set()
        assert served.outcome() == "finished"


def test_application_that_does_not_end_is_cancelled_after_the_timeout(kind: str) -> None:
    async def application(connection: Connection) -> None:
        await wait_for_disconnect(connection)
        await asyncio.Event().wait()

    with stopping_server(kind, timeout_graceful_shutdown=0.1) as server, server_log() as log:
        served = server.serve(application)
        with server.connect():
            server.stop()
            with pytest.raises(asyncio.CancelledError):
                served.outcome()
            log.wait_for("Cancel 1 running task(s), timeout graceful shutdown exceeded")


def test_client_that_does_not_read_delays_the_shutdown_for_a_limited_time(kind: str) -> None:
    async def application(connection: Connection) -> None:
        await connection.accept()
        while True:
            await connection.send_text("x" * 1_000_000)

    ws = {} if kind == "uvicorn" else {"ws": ImpatientProtocol}
    with stopping_server(kind, **ws) as server:
        server.serve(application)
        with server.raw_accepted(receive_buffer=4096) as client:
            assert client.read(1)
            server.stop()
            expected = differences.SHUTDOWN_ENDS_IF_A_CLIENT_DOES_NOT_READ.on(kind)
            assert server.ends_within(PATIENCE if expected else 1.0) is expected


def test_client_that_does_not_answer_the_close_frame_delays_the_shutdown_for_a_limited_time(
    kind: str,
) -> None:
    ws = {} if kind == "uvicorn" else {"ws": ImpatientProtocol}
    with stopping_server(kind, **ws) as server:
        server.serve(wait_for_disconnect)
        with server.raw_accepted() as client:
            server.stop()
            assert client.read_frame() == Frame(CLOSE, close_payload(1012))
            assert server.ends_within(PATIENCE)
            assert client.read_to_end() == b""


def test_messages_that_were_sent_arrive_before_the_close_frame(kind: str) -> None:
    sent = Signal()

    async def application(connection: Connection) -> None:
        await connection.accept()
        await connection.send_text("x" * 1_000_000)
        sent.set()
        await connection.disconnected()

    with stopping_server(kind) as server:
        server.serve(application)
        with server.raw_accepted(receive_buffer=4096) as client:
            sent.wait()
            server.stop()
            assert client.read_frame() == Frame(TEXT, b"x" * 1_000_000)
            assert client.read_frame() == Frame(CLOSE, close_payload(1012))


def test_handshake_that_is_not_answered_is_refused(kind: str) -> None:
    received = Signal()

    async def application(connection: Connection) -> tuple[int, str]:
        await connection.receive()
        received.set()
        return await connection.disconnected()

    with stopping_server(kind) as server:
        served = server.serve(application)
        with server.raw() as client:
            received.wait()
            server.stop()
            response = client.read_response()

        assert response.status == differences.STATUS_AT_SHUTDOWN.on(kind)
        assert served.outcome() == (differences.CODE_AT_SHUTDOWN_BEFORE_ACCEPT.on(kind), "")


def test_closing_handshake_may_be_under_way(kind: str) -> None:
    async def application(connection: Connection) -> None:
        await connection.accept()
        await connection.close(code=4000)

    with stopping_server(kind) as server:
        served = server.serve(application)
        with server.raw_accepted() as client:
            served.outcome()
            server.stop()
            # Without an answer of the client, and without waiting for it as long as usual.
            assert server.ends_within(WebSocketProtocol.close_timeout / 2)
            assert client.read_frame() == Frame(CLOSE, close_payload(4000))
            assert client.read_to_end() == b""


def test_idle_http_connection_and_websocket_end_together(kind: str) -> None:
    with stopping_server(kind) as server:
        server.serve(wait_for_disconnect)
        request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        with server.raw(request) as idle, server.raw_accepted() as client:
            assert idle.read_response().status == 200
            server.stop()
            assert idle.read_to_end() == b""
            assert client.read_frame() == Frame(CLOSE, close_payload(1012))
            client.send(frame(CLOSE, close_payload(1012)))
            assert client.read_to_end() == b""
