"""Sections 5.5.1 and 7 of RFC 6455: close frames, close codes and the end of the connection."""

from __future__ import annotations

from contextlib import suppress

import pytest

from tests.transports.conftest import EchoServers
from tests.transports.differences import CODE_OF_A_LOST_CONNECTION
from tests.transports.echo_client import EchoServer
from tests.transports.raw_websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    TEXT,
    close_frame,
    close_payload,
    frame,
)
from tests.transports.rfc6455_differences import (
    DROPPED_WITHOUT_READING,
    LONG_REASON,
    MESSAGES_BEFORE_VIOLATION,
)

# 7.4 Status codes

#: 7.4.1 and the IANA registry of close codes, then the limits of the ranges of 7.4.2.
VALID_CODES = [*range(1000, 1004), *range(1007, 1015), 3000, 3999, 4000, 4999]
#: Reserved codes, those that only an application sees, and those outside of all ranges.
INVALID_CODES = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", VALID_CODES)
@pytest.mark.parametrize("reason", ["", "see you \u20ac later"], ids=["no reason", "reason"])
def test_valid_code_is_echoed_and_reaches_the_application_with_its_reason(
    server: EchoServer, code: int, reason: str
) -> None:
    with server.open() as connection:
        connection.send(close_frame(code, reason))

        # 5.5.1: "the endpoint typically echos the status code it received".
        assert connection.read_close()[0] == code
        # 7.1.1: the server closes the TCP connection first.
        assert connection.read_to_end() == b""
        assert connection.disconnected() == (code, reason)


@pytest.mark.parametrize("code", INVALID_CODES)
def test_invalid_code_fails_the_connection_with_1002(server: EchoServer, code: int) -> None:
    with server.open() as connection:
        connection.send(close_frame(code, "bye"))

        connection.assert_failed(1002)


# 5.5.1 Close


@pytest.mark.parametrize(
    "reason", ["x" * 123, "\u20ac" * 41], ids=["123 letters", "41 characters of 3 bytes"]
)
def test_longest_reason_reaches_the_application(server: EchoServer, reason: str) -> None:
    with server.open() as connection:
        connection.send(close_frame(4000, reason))

        assert connection.read_close()[0] == 4000
        assert connection.disconnected() == (4000, reason)


def test_close_frame_without_a_code_is_1005_for_the_application(server: EchoServer) -> None:
    """Section 7.1.5; 1005 itself must never be sent."""
    with server.open() as connection:
        connection.send(close_frame())

        answer = connection.read_frame()
        assert answer.opcode == CLOSE
        assert answer.payload in (b"", close_payload(1000))
        assert connection.read_to_end() == b""
        assert connection.disconnected() == (1005, "")


@pytest.mark.parametrize("byte", [b"\x00", b"\x03", b"\xff"])
def test_close_frame_of_one_byte_fails_the_connection_with_1002(server: EchoServer, byte: bytes) -> None:
    with server.open() as connection:
        connection.send(frame(CLOSE, byte))

        connection.assert_failed(1002)


@pytest.mark.parametrize("reason", [b"\xff", b"bye \xe2\x82", b"\xed\xa0\x80", b"\xc0\xaf"])
def test_reason_that_is_not_utf8_fails_the_connection_with_1007(server: EchoServer, reason: bytes) -> None:
    with server.open() as connection:
        connection.send(frame(CLOSE, close_payload(1000) + reason))

        connection.assert_failed(1007)


@pytest.mark.parametrize(
    "late",
    [
        frame(TEXT, b"late"),
        frame(BINARY, b"x" * 1000),
        frame(TEXT, b"late", fin=False),
        frame(CONTINUATION, b"late"),
        frame(PING, b"late"),
        close_frame(4001, "late"),
        frame(TEXT, b"late", mask=None),
        frame(TEXT, b"\xff"),
        frame(0xF, b"late"),
        b"\x00\xff late",
    ],
    ids=[
        "text",
        "binary",
        "fragment",
        "continuation",
        "ping",
        "close",
        "unmasked",
        "not UTF-8",
        "reserved opcode",
        "no frame",
    ],
)
def test_everything_after_the_close_frame_is_ignored(server: EchoServer, late: bytes) -> None:
    with server.open() as connection:
        connection.send(close_frame(4000, "bye"), late)

        assert connection.read_close()[0] == 4000
        assert connection.read_to_end() == b""
        assert connection.disconnected() == (4000, "bye")
        assert connection.messages() == []


def test_client_that_sends_on_after_its_close_frame_gets_the_answer(server: EchoServer) -> None:
    with server.open() as connection:
        connection.send(close_frame(4000, "bye"), frame(BINARY, b"x" * 100_000))

        assert connection.read_close()[0] == 4000
        # TCP resets the connection if the server does not read the rest.
        with suppress(ConnectionResetError):
            assert connection.read_to_end() == b""
        assert connection.disconnected() == (4000, "bye")


def test_nothing_is_sent_after_the_close_frame(server: EchoServer) -> None:
    with server.open() as connection:
        connection.send(*[frame(TEXT, b"a"), frame(PING)] * 50, close_frame(1000), frame(PING))

        received = connection.read_frames_to_end()
        assert [number for number, one in enumerate(received) if one.opcode == CLOSE] == [len(received) - 1]


def test_messages_before_the_close_frame_reach_the_application(server: EchoServer) -> None:
    numbers = [str(number) for number in range(100)]
    with server.open("listen") as connection:
        connection.send(*(frame(TEXT, number.encode()) for number in numbers), close_frame(4000))

        assert connection.read_close() == (4000, "")
        assert connection.messages() == numbers


# 7.1.2, 7.1.3 The closing handshake that the application starts


@pytest.mark.parametrize("code", VALID_CODES)
def test_close_of_the_application_has_its_code_and_reason(server: EchoServer, code: int) -> None:
    with server.open("close", f"code={code}&reason=see+you+%E2%82%AC") as connection:
        connection.send(frame(TEXT, b"go"))

        assert connection.read_close() == (code, "see you \u20ac")
        connection.send(close_frame(code, "see you \u20ac"))
        assert connection.read_to_end() == b""
        assert connection.disconnected()[0] == code


def test_server_waits_for_the_answer_of_the_client(server: EchoServer) -> None:
    with server.open("close", "code=4000&reason=enough") as connection:
        connection.send(frame(TEXT, b"go"))
        assert connection.read_close() == (4000, "enough")
        # A turn of the server's event loop, in which it could have closed the connection.
        connection.record_now()
        assert not connection.has_ended()
        # Frames of a client that has not yet seen the close frame.
        connection.send(frame(TEXT, b"late"), frame(BINARY, b"x" * 100_000), frame(TEXT, b"late", fin=False))
        connection.record_now()
        assert not connection.has_ended()

        connection.send(close_frame(4000))
        assert connection.read_to_end() == b""
        assert connection.messages() == ["go"]


@pytest.mark.parametrize("behaviour", ["close", "close_and_return"])
def test_answer_arrives_behind_messages_that_the_application_has_not_received(
    server: EchoServer, behaviour: str
) -> None:
    with server.open(behaviour, "code=4000") as connection:
        # So many that the server stops reading before the application has received the first one.
        connection.send(frame(TEXT, b"go"), frame(TEXT, b"late") * 10_000)
        assert connection.read_close() == (4000, "")
        connection.send(close_frame(4000))

        assert connection.read_to_end() == b""
        connection.record()


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 5000, 65536, -1])
def test_invalid_code_of_the_application_is_never_sent(server: EchoServer, code: int) -> None:
    """Section 7.4.1, "MUST NOT be set as a status code in a Close control frame by an endpoint"."""
    with server.open("close", f"code={code}") as connection:
        connection.send(frame(TEXT, b"go"))

        closed = connection.read_close_or_end()
        if closed is not None:
            # Without a code, it is 1005 here.
            assert closed[0] in (*VALID_CODES, 1005)
            connection.send(close_frame())
            assert connection.read_to_end() == b""


def test_reason_of_the_application_that_is_too_long_does_not_make_an_invalid_frame(
    server: EchoServer,
) -> None:
    with server.open("close", f"code=4000&reason={'x' * 121}%E2%82%AC") as connection:
        connection.send(frame(TEXT, b"go"))

        assert connection.read_close_or_end() == LONG_REASON.on(server.kind)


@pytest.mark.parametrize("answer", [frame(0x3), frame(TEXT, b"x", mask=None)], ids=["opcode", "unmasked"])
def test_violation_instead_of_an_answer_ends_the_connection(server: EchoServer, answer: bytes) -> None:
    with server.open("close", "code=4000") as connection:
        connection.send(frame(TEXT, b"go"))
        assert connection.read_close() == (4000, "")
        connection.send(answer)

        assert connection.read_to_end() == b""
        assert connection.disconnected()[0] == 4000


def test_close_frames_may_cross(server: EchoServer) -> None:
    with server.open("close", "code=4000") as connection:
        connection.send(frame(TEXT, b"go"), close_frame(1001))

        assert connection.read_close()[0] in (1001, 4000)
        assert connection.read_to_end() == b""


@pytest.fixture
def quick_server(kind: str, echo_servers: EchoServers) -> EchoServer:
    """A server that waits only briefly for the end of the closing handshake."""
    protocol = "QuickUvicornProtocol" if kind == "uvicorn" else "QuickProtocol"
    return echo_servers.start(kind, "--ws", f"tests.transports.quick_protocol:{protocol}")


def test_client_that_never_answers_the_close_frame_is_dropped(quick_server: EchoServer) -> None:
    with quick_server.open("close", "code=4000") as connection:
        connection.send(frame(TEXT, b"go"))
        assert connection.read_close() == (4000, "")

        assert connection.read_to_end() == b""
        assert connection.disconnected()[0] == 4000


def test_client_that_never_reads_the_close_frame_is_dropped(quick_server: EchoServer) -> None:
    with quick_server.open("flood", "count=10000&size=10000", receive_buffer=4096) as connection:
        connection.record("stalled")
        connection.send(frame(0x3))

        if not DROPPED_WITHOUT_READING.on(quick_server.kind):
            assert "ended" not in connection.record_now()["notes"]
            connection.reset()
        connection.record()


# 7.1.5, 7.1.7 Connections that are lost, and those that the server fails

#: The bytes of a client before it is gone.
UNFINISHED = {
    "between frames": b"",
    "after one byte": frame(TEXT, b"hello")[:1],
    "in the mask": frame(TEXT, b"hello")[:4],
    "in the length": frame(BINARY, b"x" * 70_000)[:5],
    "in the payload": frame(TEXT, b"hello")[:8],
    "in a long payload": frame(BINARY, b"x" * 100_000)[:-1],
    "between fragments": frame(TEXT, b"hello", fin=False),
    "in a close frame": close_frame(1000, "bye")[:-1],
}


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
def test_connection_that_is_reset_is_1006_for_the_application(server: EchoServer, sent: bytes) -> None:
    with server.open() as connection:
        connection.send(sent)
        connection.reset()

        assert connection.disconnected() == (CODE_OF_A_LOST_CONNECTION.on(server.kind), "")
        assert connection.messages() == []


@pytest.mark.parametrize("sent", UNFINISHED.values(), ids=UNFINISHED)
def test_connection_that_is_half_closed_is_1006_for_the_application(server: EchoServer, sent: bytes) -> None:
    with server.open() as connection:
        connection.send(sent)
        connection.end_sending()

        assert connection.read_to_end() == b""
        assert connection.disconnected() == (CODE_OF_A_LOST_CONNECTION.on(server.kind), "")
        assert connection.messages() == []


def test_application_sees_one_disconnect_if_the_client_is_gone_after_its_close_frame(
    server: EchoServer,
) -> None:
    with server.open() as connection:
        connection.send(close_frame(4000, "bye"))
        connection.reset()

        assert connection.disconnected() == (4000, "bye")
        assert [event["type"] for event in connection.record()["events"]] == [
            "websocket.connect",
            "websocket.disconnect",
        ]


def test_frames_after_a_violation_are_ignored(server: EchoServer) -> None:
    """Section 7.1.7: "MUST NOT continue to attempt to process data"."""
    with server.open() as connection:
        connection.send(frame(0x3), frame(TEXT, b"late"), frame(PING, b"late"), close_frame(1000))

        connection.assert_failed(1002)
        assert connection.messages() == []


def test_messages_before_a_violation_reach_the_application(server: EchoServer) -> None:
    with server.open("listen") as connection:
        connection.send(frame(TEXT, b"a"), frame(BINARY, b"b"), frame(0x3))

        connection.assert_failed(1002)
        assert connection.messages() == MESSAGES_BEFORE_VIOLATION.on(server.kind)
