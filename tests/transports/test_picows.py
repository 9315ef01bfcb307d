"""The picows transport on a fake transport: moments that a client on a socket cannot choose."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import pytest
from uvicorn.protocols.utils import ClientDisconnected

from tests.transports.picows_connection import HeldConnection, connecting, opened
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

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

KIBIBYTE = 1024


# The handshake


async def test_application_gets_the_scope_of_its_connection() -> None:
    connection = HeldConnection(root_path="/app")
    await connection.start(handshake("/a?b=c", {"Sec-WebSocket-Protocol": "one"}))
    scope = connection.app.scope

    assert (scope["path"], scope["query_string"], scope["subprotocols"]) == ("/app/a", b"b=c", ["one"])
    assert (scope["client"], scope["server"]) == (("192.0.2.1", 50000), ("192.0.2.2", 80))
    assert scope["scheme"] == "ws"
    assert scope["extensions"]["wampasgi.frames"]["channel"] is connection.protocol
    assert connection.state.connections == {connection.protocol}
    assert len(connection.state.tasks) == 1


async def test_request_that_is_no_handshake_never_reaches_the_application() -> None:
    connection = HeldConnection()
    await connection.start(handshake(headers={"Sec-WebSocket-Key": "short"}))

    assert connection.app.scope == {}
    assert connection.state.tasks == set()
    assert connection.transport.written.startswith(b"HTTP/1.1 400 ")
    assert connection.transport.is_closing()
    # A client that does not read the response is aborted.
    connection.loop.advance(WebSocketProtocol.close_timeout)
    assert connection.transport.aborted


async def test_frames_from_before_the_response_are_read_after_it_in_order() -> None:
    connection = await connecting()
    early = frame(TEXT, b"1") + frame(PING, b"!") + frame(TEXT, b"2")
    for byte in early:
        connection.read(bytes((byte,)))
    assert connection.transport.writes == []
    await connection.app.accept()
    connection.read(frame(TEXT, b"3"))

    assert [await connection.app.message() for _ in range(3)] == ["1", "2", "3"]
    await anyio.wait_all_tasks_blocked()
    response, _, frames = connection.transport.take().partition(b"\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 101 ")
    assert frames == b"\x8a\x01!"


@pytest.mark.parametrize("read_size", [1000, 4096, 16 * KIBIBYTE])
async def test_early_bytes_are_bounded(read_size: int) -> None:
    connection = await connecting(ws_max_queue=10_000)
    message = frame(TEXT, b"x" * 90)
    early, total = message * 1000, 0
    while connection.transport.is_reading():
        connection.read(early[total : total + read_size])
        total += read_size
    assert 16 * KIBIBYTE <= total < 32 * KIBIBYTE
    await connection.app.accept()
    assert connection.transport.is_reading()
    connection.read(early[total:])

    assert [await connection.app.message() for _ in range(1000)] == ["x" * 90] * 1000


async def test_client_is_read_until_the_bound_of_early_bytes() -> None:
    connection = await connecting()
    connection.read(b"x" * (16 * KIBIBYTE - 1))
    reading = [connection.transport.is_reading()]
    connection.read(b"x")
    reading.append(connection.transport.is_reading())

    assert reading == [True, False]


async def test_early_messages_may_pause_the_client_again() -> None:
    connection = await connecting(ws_max_queue=2)
    early = frame(TEXT, b"x" * 1016) * 16
    assert len(early) == 16 * KIBIBYTE
    connection.read(early)
    assert not connection.transport.is_reading()
    await connection.app.accept()

    assert not connection.transport.is_reading()
    for _ in range(16):
        await connection.app.message()
    assert connection.transport.is_reading()


async def test_client_may_close_before_the_response() -> None:
    connection = await connecting()
    connection.read(frame(TEXT, b"1"), close_frame(4000, "early"), frame(TEXT, b"late"))
    await connection.app.accept()

    assert await connection.app.message() == "1"
    assert await connection.app.disconnected() == (4000, "early")
    assert connection.transport.take().endswith(b"\r\n\r\n\x88\x02" + close_payload(4000))
    assert connection.transport.is_closing()


async def test_violation_before_the_response_is_answered_after_it() -> None:
    connection = await connecting()
    connection.read(frame(TEXT, b"unmasked", mask=None))
    await connection.app.accept()

    assert (await connection.app.disconnected())[0] == 1002
    assert connection.transport.written.partition(b"\r\n\r\n")[2].startswith(b"\x88")
    assert connection.transport.eof


async def test_invalid_answer_changes_nothing() -> None:
    connection = await connecting()
    with pytest.raises(RuntimeError, match="invalid HTTP header"):
        await connection.app.accept(headers=[(b"a b", b"")])
    assert connection.transport.writes == []
    await connection.app.send({"type": "websocket.accept"})

    assert connection.transport.take().startswith(b"HTTP/1.1 101 ")


async def test_client_that_leaves_before_the_response_gets_none() -> None:
    connection = await connecting()
    connection.lose()

    with pytest.raises(ClientDisconnected):
        await connection.app.accept()
    assert await connection.app.disconnected() == (1006, "")
    assert connection.transport.writes == []


# Shutdown


async def test_shutdown_before_the_response_refuses_the_handshake() -> None:
    connection = await connecting()
    connection.protocol.shutdown()
    assert connection.transport.written.startswith(b"HTTP/1.1 503 ")
    assert connection.transport.is_closing()

    with pytest.raises(ClientDisconnected):
        await connection.app.accept()
    assert await connection.app.disconnected() == (1012, "")


async def test_shutdown_replaces_a_response_that_is_not_complete() -> None:
    connection = await connecting()
    await connection.app.next()
    await connection.app.send({"type": "websocket.http.response.start", "status": 401})
    await connection.app.send({"type": "websocket.http.response.body", "body": b"a", "more_body": True})
    connection.protocol.shutdown()

    with pytest.raises(ClientDisconnected):
        await connection.app.send({"type": "websocket.http.response.body", "body": b"b"})
    assert connection.transport.written.startswith(b"HTTP/1.1 503 ")
    assert b"HTTP/1.1 401" not in connection.transport.written


async def test_shutdown_closes_an_open_connection_with_1012() -> None:
    connection = await opened()
    await connection.app.send_text("last")
    connection.read(frame(TEXT, b"read"))
    connection.protocol.shutdown()
    assert connection.frames() == [Frame(TEXT, b"last"), Frame(CLOSE, close_payload(1012))]
    assert not connection.transport.is_closing()

    assert await connection.app.message() == "read"
    assert await connection.app.disconnected() == (1012, "")
    connection.read(close_frame(1012))
    assert connection.transport.is_closing()
    assert connection.frames() == []


async def test_shutdown_does_not_wait_for_a_closing_handshake() -> None:
    connection = await opened()
    await connection.app.close()
    assert not connection.transport.is_closing()
    connection.protocol.shutdown()

    assert connection.transport.is_closing()
    assert connection.frames() == [Frame(CLOSE, close_payload(1000))]


@pytest.mark.parametrize("data", [handshake(headers={"Host": None}), None])
async def test_shutdown_after_the_end_does_nothing(data: bytes | None) -> None:
    connection = HeldConnection()
    await connection.start(data)
    if data is None:
        connection.lose()
    connection.transport.writes.clear()
    connection.protocol.shutdown()

    assert connection.transport.writes == []


# Pings of the client


async def test_pongs_and_messages_of_a_turn_are_one_write() -> None:
    connection = await opened()
    connection.read(frame(PING, b"1"), frame(PING, b"2"))
    assert connection.transport.writes == [b"\x8a\x011\x8a\x012"]
    connection.transport.writes.clear()
    await connection.app.send_text("a")
    await connection.app.send_text("b")
    assert connection.transport.writes == []
    await anyio.wait_all_tasks_blocked()

    assert connection.transport.writes == [b"\x81\x01a\x81\x01b"]


async def test_only_the_last_ping_of_a_client_that_does_not_read_is_answered() -> None:
    connection = await opened()
    connection.protocol.pause_writing()
    connection.read(frame(PING, b"1"), frame(PING, b"2"))
    connection.read(frame(PING, b"3"))
    await anyio.wait_all_tasks_blocked()
    assert connection.transport.writes == []
    connection.protocol.resume_writing()
    await anyio.wait_all_tasks_blocked()
    assert connection.frames() == [Frame(PONG, b"3")]

    # It is answered once.
    connection.protocol.pause_writing()
    connection.protocol.resume_writing()
    connection.read(frame(PING, b"4"))
    assert connection.frames() == [Frame(PONG, b"4")]


async def test_ping_without_a_payload_is_answered_when_the_client_reads() -> None:
    connection = await opened()
    connection.protocol.pause_writing()
    connection.read(frame(PING))
    connection.protocol.resume_writing()
    await anyio.wait_all_tasks_blocked()

    assert connection.frames() == [Frame(PONG)]


async def test_ping_is_not_answered_after_the_close_frame() -> None:
    connection = await opened()
    connection.protocol.pause_writing()
    connection.read(frame(PING, b"1"))
    connection.protocol.shutdown()
    assert connection.frames() == [Frame(CLOSE, close_payload(1012))]
    connection.protocol.resume_writing()
    connection.read(frame(PING, b"2"))
    await anyio.wait_all_tasks_blocked()

    assert connection.frames() == []


# Pings of the server

PINGS: dict[str, Any] = {"ws_ping_interval": 20.0, "ws_ping_timeout": 5.0}


async def test_pings_begin_with_the_accepted_handshake() -> None:
    connection = await connecting(**PINGS)
    connection.loop.advance(100)
    assert connection.transport.writes == []
    await connection.app.accept()
    connection.transport.writes.clear()
    connection.loop.advance(20)
    await anyio.wait_all_tasks_blocked()

    [ping] = connection.frames()
    assert ping.opcode == PING
    connection.read(frame(PONG, ping.payload))
    connection.loop.advance(19.9)
    await anyio.wait_all_tasks_blocked()
    assert connection.frames() == []
    assert not connection.transport.is_closing()


async def test_client_without_a_pong_is_dropped_with_1011() -> None:
    connection = await opened(**PINGS)
    connection.read(frame(TEXT, b"1"))
    connection.loop.advance(25)

    assert [one.opcode for one in connection.frames()] == [PING, CLOSE]
    assert connection.transport.is_closing()
    assert await connection.app.message() == "1"
    assert await connection.app.disconnected() == (1011, "keepalive ping timeout")
    # The transport would wait until the client has read.
    assert not connection.transport.aborted
    connection.loop.advance(WebSocketProtocol.close_timeout)
    assert connection.transport.aborted


async def test_client_that_owes_a_pong_has_the_whole_time_for_the_closing_handshake() -> None:
    connection = await opened(**PINGS)
    connection.loop.advance(21)
    await connection.app.close(4000, "enough")
    connection.loop.advance(WebSocketProtocol.close_timeout - 1)
    assert not connection.transport.is_closing()
    connection.loop.advance(1)

    assert connection.transport.aborted
    assert await connection.app.disconnected() == (4000, "enough")


async def test_client_is_not_dropped_while_the_application_does_not_receive() -> None:
    connection = await opened(**PINGS, ws_max_queue=1)
    connection.read(frame(TEXT, b"1"))
    assert not connection.transport.is_reading()
    connection.loop.advance(1000)
    assert not connection.transport.is_closing()
    await connection.app.message()
    assert connection.transport.is_reading()
    await anyio.wait_all_tasks_blocked()
    [ping] = connection.frames()
    connection.read(frame(PONG, ping.payload))
    connection.loop.advance(5)

    assert not connection.transport.is_closing()


@pytest.mark.parametrize("end", ["close", "violation", "eof", "shutdown", "closed by the application"])
async def test_no_ping_follows_the_end(end: str) -> None:
    connection = await opened(**PINGS)
    if end == "close":
        connection.read(close_frame(1000))
    elif end == "violation":
        connection.read(frame(0x3))
    elif end == "eof":
        connection.protocol.eof_received()
    elif end == "shutdown":
        connection.protocol.shutdown()
    else:
        await connection.app.close()
    connection.transport.writes.clear()
    connection.loop.advance(1000)
    await anyio.wait_all_tasks_blocked()

    assert connection.transport.writes == []
    connection.lose()
    assert connection.timers == []


# The end of the client's data


async def test_end_of_data_before_the_response() -> None:
    connection = await connecting()
    # The transport closes itself.
    connection.protocol.eof_received()

    with pytest.raises(ClientDisconnected):
        await connection.app.accept()
    assert await connection.app.disconnected() == (1006, "")
    assert connection.transport.writes == []


async def test_end_of_data_of_an_open_connection() -> None:
    connection = await opened()
    connection.read(frame(TEXT, b"1"))
    await connection.app.send_text("last")
    connection.protocol.eof_received()
    # Before the transport is closed, which happens when this callback returns.
    assert connection.frames() == [Frame(TEXT, b"last")]

    assert await connection.app.message() == "1"
    assert await connection.app.disconnected() == (1006, "")
    with pytest.raises(ClientDisconnected):
        await connection.app.send_text("late")
    assert connection.frames() == []
    connection.loop.advance(WebSocketProtocol.close_timeout)
    assert connection.transport.aborted


async def test_end_of_data_instead_of_an_answer_to_the_close_frame() -> None:
    connection = await opened()
    await connection.app.close(4000, "enough")
    connection.protocol.eof_received()
    connection.lose()

    assert await connection.app.disconnected() == (4000, "enough")
    assert connection.timers == []


# Lost connections


async def test_lost_connection_ends_everything() -> None:
    connection = await opened(**PINGS)
    connection.read(frame(TEXT, b"1"), frame(TEXT, b"2", fin=False))
    await connection.app.send_text("lost")
    connection.lose()

    assert await connection.app.message() == "1"
    assert await connection.app.disconnected() == (1006, "")
    assert connection.transport.writes == []
    assert connection.timers == []
    assert connection.state.connections == set()
    with pytest.raises(ClientDisconnected):
        await connection.app.send_text("late")
    await connection.end_app()
    assert connection.state.tasks == set()


async def test_senders_raise_when_the_connection_is_lost() -> None:
    connection = await opened()
    connection.protocol.pause_writing()
    senders = [asyncio.ensure_future(connection.app.send_text(str(number))) for number in range(3)]
    await anyio.wait_all_tasks_blocked()
    assert not any(sender.done() for sender in senders)
    connection.lose()
    await asyncio.wait(senders, timeout=5)

    assert [type(sender.exception()) for sender in senders] == [ClientDisconnected] * 3


async def test_senders_raise_when_the_client_closes() -> None:
    connection = await opened()
    connection.protocol.pause_writing()
    sender = asyncio.ensure_future(connection.app.send_text("late"))
    await anyio.wait_all_tasks_blocked()
    connection.read(close_frame(1000))
    connection.protocol.resume_writing()
    await asyncio.wait([sender], timeout=5)

    assert isinstance(sender.exception(), ClientDisconnected)
    assert connection.frames() == [Frame(CLOSE, close_payload(1000))]


async def test_senders_go_on_in_order_when_the_client_reads() -> None:
    connection = await opened()
    connection.protocol.pause_writing()
    senders = [asyncio.ensure_future(connection.app.send_text(str(number))) for number in range(3)]
    await anyio.wait_all_tasks_blocked()
    assert connection.transport.writes == []
    connection.protocol.resume_writing()
    await asyncio.wait(senders, timeout=5)
    await anyio.wait_all_tasks_blocked()

    assert connection.transport.writes == [b"\x81\x010\x81\x011\x81\x012"]


async def test_reading_is_neither_paused_nor_resumed_on_a_transport_that_closes() -> None:
    connection = await opened(ws_max_queue=2)
    connection.read(frame(TEXT, b"1"))
    connection.transport.close()
    connection.read(frame(TEXT, b"2"), frame(TEXT, b"3"))
    assert connection.transport.is_reading()
    assert [await connection.app.message() for _ in range(3)] == ["1", "2", "3"]

    paused = await opened(ws_max_queue=1)
    paused.read(frame(TEXT, b"1"))
    paused.transport.close()
    assert await paused.app.message() == "1"
    assert not paused.transport.is_reading()
