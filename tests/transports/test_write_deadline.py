from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, cast

import pytest

from tests.transports.application_server import ApplicationServer, Connection
from tests.transports.fakes import FakeLoop, FakeTransport
from wampasgi.transports.picows import WebSocketProtocol
from wampasgi.transports.write_deadline import WriteDeadline

CHUNK = "x" * 60_000
TIMEOUT = 10.0


class BufferedTransport(FakeTransport):
    """A transport whose client reads if the test says so."""

    waiting = 100_000

    def get_write_buffer_size(self) -> int:
        return self.waiting


def watched() -> tuple[FakeLoop, BufferedTransport, WriteDeadline]:
    loop, transport = FakeLoop(), BufferedTransport()
    deadline = WriteDeadline(cast("Any", loop), transport, TIMEOUT, lambda: None)
    deadline.start()
    return loop, transport, deadline


def test_connection_whose_client_reads_nothing_is_aborted() -> None:
    loop, transport, _ = watched()

    loop.advance(TIMEOUT - 1)
    assert not transport.aborted
    loop.advance(1)
    assert transport.aborted


def test_client_that_reads_a_little_in_time_is_kept() -> None:
    loop, transport, _ = watched()

    for _ in range(5):
        transport.waiting -= 1
        loop.advance(TIMEOUT)
        assert not transport.aborted
    loop.advance(TIMEOUT)
    assert transport.aborted


def test_bytes_that_are_added_do_not_help_a_client_that_reads_nothing() -> None:
    loop, transport, deadline = watched()

    loop.advance(TIMEOUT - 1)
    transport.waiting += 50
    deadline.start()
    loop.advance(1)
    assert transport.aborted


def test_client_that_has_read_enough_is_not_watched() -> None:
    loop, transport, deadline = watched()

    deadline.stop()
    assert loop.timers == []
    deadline.start()
    loop.advance(TIMEOUT - 1)
    assert not transport.aborted


class ImpatientProtocol(WebSocketProtocol):
    write_timeout = 0.2


@pytest.fixture(params=["picows-uvloop", "picows-asyncio"])
def server(request: pytest.FixtureRequest) -> Iterator[ApplicationServer]:
    server = ApplicationServer(request.param, ws=ImpatientProtocol)
    yield server
    server.stop()
    server.join()


async def send_until_the_client_is_gone(connection: Connection) -> tuple[int, str]:
    await connection.accept()
    try:
        while True:
            await connection.send_text(CHUNK)
    except OSError:
        return await connection.disconnected()


def test_client_that_never_reads_loses_its_socket(server: ApplicationServer) -> None:
    served = server.serve(send_until_the_client_is_gone)
    with server.raw_accepted() as client:
        assert served.outcome() == (1006, "")

        # What the kernel has stored for the client may still arrive.
        with suppress(ConnectionResetError):
            client.read_to_end()
