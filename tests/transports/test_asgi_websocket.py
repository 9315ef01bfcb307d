"""Messages and the end of a connection, as an ASGI application sees them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from uvicorn.protocols.utils import ClientDisconnected
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection

from tests.transports import differences
from tests.transports.application_server import (
    PATIENCE,
    Application,
    ApplicationServer,
    Connection,
    Servers,
    Signal,
    running_servers,
    server_log,
)
from tests.transports.raw_websocket import BINARY, CLOSE, TEXT, Frame, close_frame, frame

MEBIBYTE = 1 << 20


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with running_servers() as servers:
        yield servers


@pytest.fixture
def server(servers: Servers, kind: str) -> ApplicationServer:
    return servers(kind)


def closing(client: ClientConnection) -> tuple[int | None, str | None]:
    """Wait until the connection is closed, and return the code and reason that the client has seen."""
    with pytest.raises(ConnectionClosed):
        client.recv(PATIENCE)
    return client.close_code, client.close_reason


# Messages

TEXTS = ["", "a", "héllo €𝄞", "\0", "x" * 125, "x" * 126, "x" * 65535, "x" * 65536, "é" * (MEBIBYTE // 2)]


async def echo(connection: Connection) -> list[dict[str, Any]]:
    """Return the received events to the test and the messages to the client."""
    await connection.accept()
    events = []
    while (event := await connection.receive())["type"] == "websocket.receive":
        events.append(dict(event))
        await connection.send({**event, "type": "websocket.send"})
    return events


@pytest.mark.parametrize("binary", [False, True], ids=["text", "bytes"])
def test_messages_of_every_size_arrive_and_are_sent(server: ApplicationServer, binary: bool) -> None:
    messages = [text.encode() if binary else text for text in TEXTS]
    served = server.serve(echo)
    with server.connect(max_size=None) as client:
        for message in messages:
            client.send(message)
            assert client.recv(PATIENCE) == message

    key, other = ("bytes", "text") if binary else ("text", "bytes")
    events = served.outcome()
    assert [event[key] for event in events] == messages
    # The specification allows either: the other key is missing, or its value is None.
    assert {event.get(other) for event in events} == {None}
    assert {type(event[key]) for event in events} == {bytes if binary else str}


@pytest.mark.parametrize(
    ("fields", "frame"),
    [
        ({"text": "text", "bytes": None}, Frame(TEXT, b"text")),
        ({"text": None, "bytes": b"\x00\xff"}, Frame(BINARY, b"\x00\xff")),
        ({"text": "", "bytes": None}, Frame(TEXT, b"")),
        ({"text": None, "bytes": b""}, Frame(BINARY, b"")),
        ({"bytes": bytearray(b"\x00\xff")}, Frame(BINARY, b"\x00\xff")),
        ({"bytes": memoryview(b"\x00\xff")}, Frame(BINARY, b"\x00\xff")),
    ],
    ids=["text", "bytes", "empty text", "empty bytes", "bytearray", "memoryview"],
)
def test_sent_message_is_text_or_binary(
    server: ApplicationServer, fields: dict[str, Any], frame: Frame
) -> None:
    async def application(connection: Connection) -> None:
        await connection.accept()
        await connection.send({"type": "websocket.send", **fields})
        await connection.receive()

    server.serve(application)
    with server.raw_accepted() as client:
        assert client.read_frame() == frame


@pytest.mark.parametrize("fields", [{}, {"text": None, "bytes": None}], ids=["missing", "None"])
def test_message_without_data_is_not_sent(server: ApplicationServer, fields: dict[str, None]) -> None:
    async def application(connection: Connection) -> bool:
        await connection.accept()
        try:
            await connection.send({"type": "websocket.send", **fields})
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):
            raised = True
        else:
            raised = False
        await connection.send_text("still open")
        await connection.receive()
        return raised

    served = server.serve(application)
    with server.raw_accepted() as client:
        assert client.read_frame() == Frame(TEXT, b"still open")
    assert served.outcome() is differences.MESSAGE_WITHOUT_DATA_RAISES.on(server.kind)


def test_bytes_that_change_after_send_are_sent_unchanged(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> None:
        await connection.accept()
        for data in bytearray(b"small"), bytearray(b"large") * MEBIBYTE:
            await connection.send({"type": "websocket.send", "bytes": data})
            data[:] = bytes(len(data))
        await connection.receive()

    server.serve(application)
    with server.connect(max_size=None) as client:
        assert client.recv(PATIENCE) == b"small"
        assert client.recv(PATIENCE) == b"large" * MEBIBYTE


def test_messages_of_concurrent_tasks_arrive_complete_and_in_order(server: ApplicationServer) -> None:
    tasks, messages = 4, 25

    async def application(connection: Connection) -> None:
        async def send(task: int) -> None:
            for number in range(messages):
                # Large enough that `send` has to wait for the client.
                await connection.send_text(f"{task} {number} " + "x" * (20000 * (number % 3)))

        await connection.accept()
        await asyncio.gather(*map(send, range(tasks)))
        await connection.close()

    server.serve(application)
    received: dict[str, list[int]] = {str(task): [] for task in range(tasks)}
    with server.connect() as client:
        for message in client:
            assert isinstance(message, str)
            task, number, padding = message.split(" ")
            assert padding == "x" * (20000 * (int(number) % 3))
            received[task].append(int(number))

    assert received == {str(task): list(range(messages)) for task in range(tasks)}


def test_messages_may_be_sent_while_another_task_receives(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> str:
        await connection.accept()
        receiving = asyncio.ensure_future(connection.text())
        await asyncio.sleep(0)
        await connection.send_text("go on")
        return await receiving

    served = server.serve(application)
    with server.connect() as client:
        assert client.recv(PATIENCE) == "go on"
        client.send("going")
        assert served.outcome() == "going"


def test_cancelled_receive_loses_no_message(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> list[str]:
        await connection.accept()
        receiving = asyncio.ensure_future(connection.receive())
        await asyncio.sleep(0)
        receiving.cancel()
        await asyncio.wait({receiving})
        await connection.send_text("go on")
        return [await connection.text(), await connection.text()]

    served = server.serve(application)
    with server.connect() as client:
        assert client.recv(PATIENCE) == "go on"
        client.send("one")
        client.send("two")
        assert served.outcome() == ["one", "two"]


def test_received_messages_come_before_the_disconnect(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> list[Any]:
        await connection.accept()
        received: list[Any] = [await connection.text() for _ in range(3)]
        return [*received, await connection.disconnected()]

    served = server.serve(application)
    with server.raw_accepted() as client:
        client.send(*(frame(TEXT, data) for data in (b"1", b"2", b"3")), close_frame(3000, "bye"))
        assert served.outcome() == ["1", "2", "3", (3000, "bye")]


# The client closes


async def wait_for_disconnect(connection: Connection) -> tuple[int, str]:
    await connection.accept()
    return await connection.disconnected()


@pytest.mark.parametrize(
    ("code", "reason"), [(1000, ""), (1001, "going away"), (3000, ""), (4999, "é" * 61), (1011, "x" * 123)]
)
def test_disconnect_has_the_code_and_reason_of_the_client(
    server: ApplicationServer, code: int, reason: str
) -> None:
    served = server.serve(wait_for_disconnect)
    with server.raw_accepted() as client:
        client.send(close_frame(code, reason))
        answer = client.read_frame()

        assert served.outcome() == (code, reason)
        assert (answer.opcode, answer.payload[:2]) == (CLOSE, code.to_bytes(2))
        assert client.read_to_end() == b""


def test_disconnect_without_a_code_has_1005(server: ApplicationServer) -> None:
    served = server.serve(wait_for_disconnect)
    with server.raw_accepted() as client:
        client.send(close_frame())
        assert served.outcome() == (1005, "")


@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
def test_disconnect_of_a_lost_connection(server: ApplicationServer, reset: bool) -> None:
    served = server.serve(wait_for_disconnect)
    with server.raw_accepted() as client:
        if reset:
            client.reset()
    assert served.outcome() == (differences.CODE_OF_A_LOST_CONNECTION.on(server.kind), "")


def test_client_that_leaves_before_accept_is_a_disconnect(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> tuple[int, str]:
        assert (await connection.receive())["type"] == "websocket.connect"
        return await connection.disconnected()

    served = server.serve(application)
    with server.raw():
        pass
    assert served.outcome() == (1006, "")


async def send_until_it_raises(connection: Connection, text: str) -> OSError:
    while True:
        try:
            await connection.send_text(text)
        except OSError as error:
            return error
        await asyncio.sleep(0)


@pytest.mark.parametrize("receives", [False, True], ids=["only sends", "receives the disconnect"])
@pytest.mark.parametrize("end", ["close frame", "FIN", "RST"])
def test_sending_to_a_client_that_has_gone_raises(
    server: ApplicationServer, end: str, receives: bool
) -> None:
    async def application(connection: Connection) -> OSError:
        await connection.accept()
        if receives:
            await connection.disconnected()
        return await send_until_it_raises(connection, "x" * 1000)

    served = server.serve(application)
    with server.raw_accepted() as client:
        if end == "close frame":
            client.send(close_frame(1000))
            assert client.read_to_end()
        elif end == "RST":
            client.reset()
    assert isinstance(served.outcome(), ClientDisconnected)


def test_waiting_send_raises_if_the_client_leaves(server: ApplicationServer) -> None:
    waiting = Signal()

    async def application(connection: Connection) -> OSError:
        await connection.accept()
        # The client doesn't read.
        sending = asyncio.ensure_future(send_until_it_raises(connection, "x" * MEBIBYTE))
        await connection.text()
        waiting.set()
        return await sending

    served = server.serve(application)
    with server.raw_accepted(receive_buffer=4096) as client:
        client.send(frame(TEXT, b"the client leaves"))
        waiting.wait()
        client.reset()
    assert isinstance(served.outcome(), ClientDisconnected)


def test_lost_client_is_no_error_of_the_application(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> None:
        await connection.accept()
        await connection.disconnected()
        await connection.send_text("to nobody")

    served = server.serve(application)
    with server_log() as log:
        server.visit()
        with pytest.raises(ClientDisconnected):
            served.outcome()
        # The messages of the next connection follow those of this one.
        server.serve(wait_for_disconnect)
        server.visit()

    assert [message for message, error in log.entries if error or "Exception" in message] == []


def test_receiving_after_the_disconnect_does_not_raise(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> bool:
        await connection.accept()
        await connection.disconnected()
        receiving = asyncio.ensure_future(connection.receive())
        await asyncio.wait({receiving}, timeout=0.05)
        # The specification allows both: to wait, and to return a disconnect again.
        return receiving.cancel() or "websocket.disconnect" in receiving.result().values()

    served = server.serve(application)
    server.visit()
    assert served.outcome()


# The application closes


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({}, 1000, ""),
        ({"code": 1001}, 1001, ""),
        ({"code": 3000, "reason": None}, 3000, ""),
        ({"code": 4999, "reason": "é" * 61}, 4999, "é" * 61),
        ({"reason": "enough"}, 1000, "enough"),
    ],
)
def test_client_gets_the_code_and_reason_of_the_application(
    server: ApplicationServer, fields: dict[str, Any], code: int, reason: str
) -> None:
    async def application(connection: Connection) -> tuple[int, str]:
        await connection.accept()
        await connection.close(**fields)
        return await connection.disconnected()

    served = server.serve(application)
    with server.connect() as client:
        assert closing(client) == (code, reason)
    assert served.outcome() == (code, reason)


@pytest.mark.parametrize("code", [-1, 999, 1004, 1006, 1015, 2999, 5000, 70000])
def test_close_code_that_must_not_be_sent_raises_and_changes_nothing(
    server: ApplicationServer, code: int
) -> None:
    async def application(connection: Connection) -> None:
        await connection.accept()
        # The specification doesn't name the exception.
        with pytest.raises((RuntimeError, ValueError, WebSocketException)):
            await connection.close(code=code)
        await connection.send_text("still open")
        await connection.close(code=1001)

    served = server.serve(application)
    with server.raw_accepted() as client:
        served.outcome()
        frames = [client.read_frame() for _ in range(2)]

    assert frames == [Frame(TEXT, b"still open"), Frame(CLOSE, (1001).to_bytes(2))]


def test_messages_before_a_close_are_sent(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> None:
        await connection.accept()
        await connection.send_text("one")
        await connection.send_text("x" * MEBIBYTE)
        await connection.close()

    server.serve(application)
    with server.connect(max_size=None) as client:
        assert list(client) == ["one", "x" * MEBIBYTE]


def test_messages_after_a_close_are_dropped(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> tuple[int, str]:
        await connection.accept()
        await connection.close(code=4000)
        return await connection.disconnected()

    served = server.serve(application)
    with server.raw_accepted() as client:
        assert client.read_frame() == Frame(CLOSE, (4000).to_bytes(2))
        client.send(*[frame(TEXT, b"too late")] * 100, close_frame(4000))
        assert client.read_to_end() == b""
    assert served.outcome() == (4000, "")


# The application ends


def ending(server: ApplicationServer, application: Application) -> tuple[int | None, str | None]:
    """Return the code and reason that a client sees at the end of an application."""
    server.serve(application)
    with server.connect() as client:
        return closing(client)


class UnusualError(BaseException):
    pass


@pytest.mark.parametrize(
    "error", [LookupError("no such room"), UnusualError()], ids=["Exception", "BaseException"]
)
def test_exception_after_accept_closes_the_connection_and_is_logged(
    server: ApplicationServer, error: BaseException
) -> None:
    async def application(connection: Connection) -> None:
        await connection.accept()
        raise error

    with server_log() as log:
        assert ending(server, application) == differences.END_IF_THE_APPLICATION_RAISES.on(server.kind)
        assert log.wait_for("Exception in ASGI application") is error


def test_cancelled_application_ends_the_connection(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> None:
        await connection.accept()
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await connection.receive()

    assert ending(server, application) == differences.END_IF_THE_APPLICATION_RAISES.on(server.kind)


def test_application_that_returns_without_closing_ends_the_connection(server: ApplicationServer) -> None:
    async def application(connection: Connection) -> None:
        await connection.accept()

    assert ending(server, application) == differences.END_IF_THE_APPLICATION_RETURNS.on(server.kind)


def test_application_may_return_or_raise_after_it_has_closed(server: ApplicationServer) -> None:
    async def returns(connection: Connection) -> None:
        await connection.accept()
        await connection.close(code=4000, reason="done")

    async def raises(connection: Connection) -> None:
        await returns(connection)
        raise LookupError("no such room")

    for application in returns, raises:
        assert ending(server, application) == (4000, "done")
