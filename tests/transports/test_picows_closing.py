"""The end of connections of the picows transport, on a fake transport."""

from __future__ import annotations

import asyncio

import anyio
import pytest
from uvicorn.protocols.utils import ClientDisconnected

from tests.transports.fakes import FakeTransport
from tests.transports.picows_connection import HeldConnection, connecting, opened
from tests.transports.raw_websocket import (
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    Frame,
    close_frame,
    close_payload,
    frame,
)
from wampasgi.transports.picows import WebSocketProtocol

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

TIMEOUT = WebSocketProtocol.close_timeout


async def opened_and_paused() -> HeldConnection:
    """Return a connection whose client does not read, and whose buffer is full."""
    connection = await opened()
    await connection.app.send_text("before")
    await anyio.wait_all_tasks_blocked()
    connection.transport.waiting = 100_000
    connection.protocol.pause_writing()
    assert connection.frames() == [Frame(TEXT, b"before")]
    return connection


# Closed by the application


async def test_answer_of_the_client_ends_the_connection() -> None:
    connection = await opened()
    await connection.app.send_text("last")
    await connection.app.close(4000, "enough")
    assert connection.transport.writes == [b"\x81\x04last" + b"\x88\x08" + close_payload(4000, "enough")]
    assert not connection.transport.is_closing()
    connection.read(close_frame(4001, "as you like"))
    assert connection.transport.is_closing()
    connection.lose()

    assert await connection.app.disconnected() == (4000, "enough")
    assert connection.timers == []


async def test_client_that_does_not_answer_is_aborted() -> None:
    connection = await opened()
    await connection.app.close()
    connection.loop.advance(TIMEOUT - 1)
    assert not connection.transport.is_closing()
    connection.loop.advance(1)

    assert connection.transport.aborted


async def test_messages_of_the_client_are_discarded_after_the_close_frame() -> None:
    connection = await opened()
    connection.read(frame(TEXT, b"1"))
    await connection.app.close()
    connection.transport.writes.clear()
    connection.read(frame(TEXT, b"2"), frame(PING, b"?"), frame(TEXT, b"3", fin=False), frame(CONTINUATION))

    assert await connection.app.message() == "1"
    assert await connection.app.disconnected() == (1000, "")
    assert connection.transport.writes == []


async def test_client_is_read_up_to_its_answer_even_if_the_application_receives_nothing() -> None:
    connection = await opened(ws_max_queue=1)
    connection.read(frame(TEXT, b"1"))
    assert not connection.transport.is_reading()
    await connection.app.close()
    connection.read(frame(TEXT, b"2") * 10_000)
    connection.read(close_frame(1000))

    assert connection.transport.is_closing()


async def test_close_waits_for_a_client_that_reads_slowly() -> None:
    connection = await opened_and_paused()
    close = asyncio.ensure_future(connection.app.close())
    await anyio.wait_all_tasks_blocked()
    assert not close.done()
    connection.protocol.resume_writing()
    await asyncio.wait([close], timeout=5)

    assert connection.frames() == [Frame(CLOSE, close_payload(1000))]


async def test_close_without_a_code_has_an_empty_payload() -> None:
    connection = await opened()
    await connection.app.close(1005, "not sent")

    assert connection.frames() == [Frame(CLOSE)]


async def test_long_reason_is_shortened_to_whole_characters() -> None:
    connection = await opened()
    await connection.app.close(4000, "x" * 122 + "é")

    assert connection.frames() == [Frame(CLOSE, close_payload(4000, "x" * 122))]


@pytest.mark.parametrize("code", [0, 999, 1004, 1006, 1015, 2999, 5000])
async def test_code_that_must_not_be_sent_changes_nothing(code: int) -> None:
    connection = await opened()
    with pytest.raises(ValueError, match=f"has the code {code}"):
        await connection.app.close(code)
    await connection.app.send_text("still open")
    await connection.app.close(4000)

    assert connection.frames() == [Frame(TEXT, b"still open"), Frame(CLOSE, close_payload(4000))]


async def test_reason_that_has_no_utf8_form_does_not_keep_the_connection_open() -> None:
    connection = await opened()
    with pytest.raises(ValueError, match="surrogates not allowed"):
        await connection.app.close(4000, "\ud800")
    await connection.end_app(RuntimeError("the application gives up"))

    assert connection.frames() == [Frame(CLOSE, close_payload(1011))]
    connection.loop.advance(TIMEOUT)
    assert connection.transport.aborted


# Closed by the end of the application


@pytest.mark.parametrize(("error", "code"), [(None, 1000), (ValueError("in the application"), 1011)])
async def test_connection_of_an_application_that_ends_is_closed(error: Exception | None, code: int) -> None:
    connection = await opened()
    await connection.app.send_text("last")
    await connection.end_app(error)

    assert connection.frames() == [Frame(TEXT, b"last"), Frame(CLOSE, close_payload(code))]
    connection.loop.advance(TIMEOUT)
    assert connection.transport.aborted


@pytest.mark.parametrize("error", [None, ValueError("in the application")])
async def test_handshake_of_an_application_that_ends_is_refused(error: Exception | None) -> None:
    connection = await connecting()
    await connection.end_app(error)

    assert connection.transport.written.startswith(b"HTTP/1.1 500 ")
    assert connection.transport.is_closing()
    connection.loop.advance(TIMEOUT)
    assert connection.transport.aborted


async def test_client_that_does_not_read_gets_the_close_frame_of_an_application_that_ends() -> None:
    connection = await opened_and_paused()
    await connection.end_app()
    assert connection.frames() == [Frame(CLOSE, close_payload(1000))]
    connection.loop.advance(TIMEOUT)

    assert connection.transport.aborted


# Closed by the client


@pytest.mark.parametrize("code", [1000, 1001, 4999])
async def test_close_frame_is_answered_with_its_code_after_the_answers_before_it(code: int) -> None:
    connection = await opened()
    await connection.app.send_text("last")
    connection.read(frame(TEXT, b"1"), frame(PING, b"?"), close_frame(code, "bye"), frame(TEXT, b"late"))

    assert connection.transport.writes == [b"\x81\x04last\x8a\x01?\x88\x02" + close_payload(code)]
    assert connection.transport.is_closing()
    assert await connection.app.message() == "1"
    assert await connection.app.disconnected() == (code, "bye")


async def test_close_frame_without_a_code_is_answered_without_one() -> None:
    connection = await opened()
    connection.read(close_frame())

    assert connection.frames() == [Frame(CLOSE)]
    assert await connection.app.disconnected() == (1005, "")


async def test_client_that_closes_and_does_not_read_the_answer_is_aborted() -> None:
    connection = await opened_and_paused()
    connection.read(close_frame(1000))
    # The transport closes when its buffer is empty.
    assert connection.frames() == [Frame(CLOSE, close_payload(1000))]
    assert not connection.transport.aborted
    connection.loop.advance(TIMEOUT)

    assert connection.transport.aborted


# Violations


async def test_violation_is_answered_and_the_rest_is_discarded() -> None:
    connection = await opened()
    await connection.app.send_text("last")
    connection.read(frame(TEXT, b"1"), frame(PING, b"?"), frame(0x3), frame(TEXT, b"late"))
    last, pong, close = connection.frames()
    assert (last.payload, pong.payload, close.payload[:2]) == (b"last", b"?", close_payload(1002))

    # The client may read the close frame before its socket is closed.
    assert connection.transport.eof
    assert not connection.transport.is_closing()
    connection.read(frame(TEXT, b"late"), close_frame(1000), frame(0x3))
    assert connection.transport.writes == []
    assert await connection.app.message() == "1"
    assert await connection.app.disconnected() == (1002, close.payload[2:].decode())
    connection.loop.advance(TIMEOUT)
    assert connection.transport.aborted


async def test_violation_over_tls_closes_the_connection() -> None:
    connection = await opened(transport=FakeTransport(can_write_eof=False))
    connection.read(frame(0x3))

    [close] = connection.frames()
    assert close.payload[:2] == close_payload(1002)
    assert connection.transport.is_closing()


async def test_violation_instead_of_the_answer_to_a_close_frame() -> None:
    connection = await opened()
    await connection.app.close(4000, "enough")
    connection.transport.writes.clear()
    connection.read(frame(0x3))
    assert connection.transport.writes == []
    assert connection.transport.eof
    connection.loop.advance(TIMEOUT)

    assert connection.transport.aborted
    assert await connection.app.disconnected() == (4000, "enough")


async def test_violation_on_a_transport_that_closes_writes_no_end() -> None:
    connection = await opened()
    await connection.app.close()
    connection.transport.close()
    connection.read(frame(0x3))

    assert not connection.transport.eof


# Refused by the application


@pytest.mark.parametrize("status", [200, 403, 503])
async def test_denial_ends_the_connection(status: int) -> None:
    connection = await connecting()
    await connection.app.next()
    await connection.app.send({"type": "websocket.http.response.start", "status": status})
    await connection.app.send({"type": "websocket.http.response.body", "body": b"no"})
    assert connection.transport.take().startswith(b"HTTP/1.1 %d " % status)
    assert connection.transport.is_closing()

    assert await connection.app.disconnected() == (1006, "")
    with pytest.raises(RuntimeError, match="after sending"):
        await connection.app.send({"type": "websocket.http.response.body"})
    await connection.end_app()
    connection.loop.advance(TIMEOUT)
    assert connection.transport.aborted
    assert connection.transport.writes == []


async def test_invalid_denial_changes_nothing() -> None:
    connection = await connecting()
    start = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"a b", b"")]}
    await connection.app.send(start)
    with pytest.raises(RuntimeError, match="invalid HTTP header"):
        await connection.app.send({"type": "websocket.http.response.body"})
    assert connection.transport.writes == []
    await connection.end_app(ValueError("in the application"))

    assert connection.transport.written.startswith(b"HTTP/1.1 500 ")


async def test_bytes_of_a_refused_client_are_never_parsed() -> None:
    connection = await connecting()
    connection.read(frame(TEXT, b"1"), b"\xff\xff")
    await connection.app.next()
    await connection.app.close()
    connection.read(frame(0x3), close_frame(1000))

    assert connection.transport.written.startswith(b"HTTP/1.1 403 ")
    assert await connection.app.disconnected() == (1006, "")
    with pytest.raises(RuntimeError, match="after sending"):
        await connection.app.send({"type": "websocket.accept"})


# Clients that do not read


async def test_client_that_reads_nothing_is_aborted() -> None:
    connection = await opened_and_paused()
    connection.loop.advance(WebSocketProtocol.write_timeout - 1)
    assert not connection.transport.is_closing()
    connection.loop.advance(1)
    assert connection.transport.aborted
    connection.lose()

    assert await connection.app.disconnected() == (1006, "")
    assert connection.timers == []


async def test_client_that_reads_again_is_not_aborted() -> None:
    connection = await opened_and_paused()
    connection.loop.advance(WebSocketProtocol.write_timeout - 1)
    connection.protocol.resume_writing()
    connection.loop.advance(1000)

    assert not connection.transport.aborted
    assert connection.timers == []


async def test_lost_connection_is_not_watched() -> None:
    connection = await opened_and_paused()
    sender = asyncio.ensure_future(connection.app.send_text("late"))
    await anyio.wait_all_tasks_blocked()
    connection.lose()
    await asyncio.wait([sender], timeout=5)

    assert isinstance(sender.exception(), ClientDisconnected)
    assert connection.timers == []
