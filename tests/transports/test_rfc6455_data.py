"""Sections 5.6, 6, 8 and 10 of RFC 6455: text, long messages, backpressure and hostile input."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.transports.conftest import MAX_SIZE
from tests.transports.echo_client import EchoServer
from tests.transports.raw_websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    Frame,
    close_frame,
    frame,
)
from tests.transports.rfc6455_differences import (
    CODE_OF_PING_INSIDE_LONG_MESSAGE,
    ERROR_OF_SEND_AFTER_VIOLATION,
    LOGGED_ERRORS,
    PONGS_ARE_LIMITED,
)

# 5.6 Data frames, 8.1 Handling of errors in UTF-8-encoded data

#: The first and last characters of each length, those around the surrogates, and special ones.
VALID_TEXTS = [
    "",
    "\x00",
    "\x7f",
    "\x80",
    "\u07ff",
    "\u0800",
    "\ud7ff",
    "\ue000",
    "\ufeff",
    "\uffff",
    "\U00010000",
    "\U0010ffff",
    "caf\u00e9 \u20ac \U0001f426",
]
INVALID_TEXTS = {
    "continuation byte": b"\x80",
    "byte that never occurs": b"\xff",
    "overlong slash": b"\xc0\xaf",
    "overlong of 3 bytes": b"\xe0\x80\xaf",
    "overlong of 4 bytes": b"\xf0\x80\x80\xaf",
    "overlong zero": b"\xc0\x80",
    "highest overlong of 3 bytes": b"\xe0\x9f\xbf",
    "first surrogate": b"\xed\xa0\x80",
    "last surrogate": b"\xed\xbf\xbf",
    "pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "5 bytes": b"\xf8\x88\x80\x80\x80",
    "6 bytes": b"\xfc\x84\x80\x80\x80\x80",
    "truncated after 1 of 2 bytes": b"\xc3",
    "truncated after 2 of 3 bytes": b"\xe2\x82",
    "truncated after 3 of 4 bytes": b"\xf0\x9f\x90",
    "interrupted": b"\xe2\x82\xe2\x82\xac",
    "lead byte before a letter": b"\xc3a",
}


@pytest.mark.parametrize("text", VALID_TEXTS, ids=ascii)
def test_valid_text_arrives(server: EchoServer, text: str) -> None:
    with server.open() as connection:
        connection.send(frame(TEXT, text.encode()))
        assert connection.read_frame() == Frame(TEXT, text.encode())
        connection.send(close_frame())

        assert connection.messages() == [text]


@pytest.mark.parametrize("around", [b"", "\u20ac".encode()], ids=["alone", "between others"])
@pytest.mark.parametrize("data", INVALID_TEXTS.values(), ids=INVALID_TEXTS)
def test_invalid_text_fails_the_connection_with_1007(server: EchoServer, data: bytes, around: bytes) -> None:
    with server.open() as connection:
        connection.send(frame(TEXT, around + data + around))

        connection.assert_failed(1007)
        assert connection.messages() == []


@pytest.mark.parametrize("data", INVALID_TEXTS.values(), ids=INVALID_TEXTS)
def test_invalid_text_in_fragments_fails_the_connection_with_1007(server: EchoServer, data: bytes) -> None:
    """At the latest with the last fragment."""
    for split in range(len(data) + 1):
        with server.open() as connection:
            connection.send(
                frame(TEXT, b"good", fin=False),
                frame(CONTINUATION, data[:split], fin=False),
                frame(PING, b"a"),
                frame(CONTINUATION, data[split:], fin=True),
            )
            received = connection.read_frames_to_end()

            # The ping is answered if the fragment before it is not yet known to be invalid.
            assert received[:-1] in ([], [Frame(PONG, b"a")])
            assert (received[-1].opcode, received[-1].payload[:2]) == (CLOSE, (1007).to_bytes(2))
            assert connection.disconnected()[0] == 1007
            assert connection.messages() == []


@pytest.mark.parametrize("data", INVALID_TEXTS.values(), ids=INVALID_TEXTS)
def test_binary_message_need_not_be_text(server: EchoServer, data: bytes) -> None:
    with server.open() as connection:
        connection.send(frame(BINARY, data[:1], fin=False), frame(CONTINUATION, data[1:]))
        assert connection.read_frame() == Frame(BINARY, data)
        connection.send(frame(BINARY, data))
        assert connection.read_frame() == Frame(BINARY, data)


def logged_errors(log: str) -> set[str]:
    """Return the names of the exceptions in a log."""
    errors = re.findall(r"^(\w+Error)\b", log, re.MULTILINE)
    assert len(errors) == log.count("Traceback"), log
    return set(errors)


def test_invalid_text_in_the_log(server: EchoServer) -> None:
    before = len(server.log)
    with server.open() as connection:
        connection.send(frame(TEXT, b"\xff"))
        connection.assert_failed(1007)

    assert logged_errors(server.log[before:]) == LOGGED_ERRORS.on(server.kind) & {"UnicodeDecodeError"}


def test_send_after_a_violation_raises_an_error(server: EchoServer) -> None:
    with server.open() as connection:
        connection.send(frame(TEXT, b"a"), frame(TEXT, b"\xff"))

        assert ERROR_OF_SEND_AFTER_VIOLATION.on(server.kind) in connection.record()["notes"]


# 10.4 Implementation-specific limits


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_message_of_the_maximum_size_arrives(server: EchoServer, opcode: int) -> None:
    payload = b"x" * MAX_SIZE
    with server.open() as connection:
        connection.send(frame(opcode, payload))
        assert connection.read_frame() == Frame(opcode, payload)
        connection.send(frame(opcode, payload[:-2], fin=False))
        connection.send(frame(CONTINUATION, b"x", fin=False), frame(CONTINUATION, b"x"))
        assert connection.read_frame() == Frame(opcode, payload)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("length", [MAX_SIZE + 1, 2**31, 2**32, 2**63 - 1])
def test_frame_over_the_maximum_size_fails_the_connection_with_1009(
    server: EchoServer, opcode: int, length: int
) -> None:
    """The server does not wait for the payload."""
    with server.open() as connection:
        connection.send(frame(opcode, length=length))

        connection.assert_failed(1009)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_over_the_maximum_size_fail_the_connection_with_1009(
    server: EchoServer, opcode: int
) -> None:
    """The server does not wait for the last fragment."""
    with server.open() as connection:
        connection.send(frame(opcode, b"x" * (MAX_SIZE - 1), fin=False))
        connection.send(frame(CONTINUATION, b"x", fin=False), frame(PING))
        assert connection.read_frame() == Frame(PONG)
        connection.send(frame(CONTINUATION, b"x", fin=False))

        connection.assert_failed(1009)
        assert connection.messages() == []


def test_control_frames_do_not_count_as_a_part_of_the_message(server: EchoServer) -> None:
    with server.open() as connection:
        connection.send(frame(BINARY, b"x" * (MAX_SIZE - 1), fin=False), frame(PING, b"a" * 125))

        if CODE_OF_PING_INSIDE_LONG_MESSAGE.on(server.kind) is None:
            assert connection.read_frame() == Frame(PONG, b"a" * 125)
            connection.send(frame(CONTINUATION, b"x"))
            assert connection.read_frame() == Frame(BINARY, b"x" * MAX_SIZE)
        else:
            connection.assert_failed(1009)


def test_size_of_each_message_counts_alone(server: EchoServer) -> None:
    payload = b"x" * (MAX_SIZE // 2)
    with server.open() as connection:
        for _ in range(4):
            connection.send(frame(BINARY, payload[:-1], fin=False), frame(CONTINUATION, b"x"))
            assert connection.read_frame() == Frame(BINARY, payload)
            connection.send(frame(BINARY, payload))
            assert connection.read_frame() == Frame(BINARY, payload)


# 6 Sending and receiving data: backpressure

#: The bytes that a peer can send while the other reads nothing. Most of them are in the buffers of the
#: kernel: up to 4 MiB for sending by default, while that for receiving grows only if it is read.
MOST_UNREAD = 8 << 20
TOTAL = 12 << 20
#: In bytes, the size of the buffer of the client.
BUFFER = 64 * 1024
#: In seconds. A server that has not read anything for this time has stopped reading.
PATIENCE = 0.25


@pytest.mark.parametrize("size", [500, 60_000])
def test_send_waits_while_the_client_does_not_read(server: EchoServer, size: int) -> None:
    count = TOTAL // size
    with server.open("flood", f"count={count}&size={size}", receive_buffer=BUFFER) as connection:
        sent = connection.record("stalled")["sent"]
        assert 0 < sent * size <= MOST_UNREAD
        # Others are served.
        with server.open() as other:
            other.send(frame(TEXT, b"hello"))
            assert other.read_frame() == Frame(TEXT, b"hello")
        assert connection.record_now()["sent"] * size <= MOST_UNREAD

        for number in range(count):
            payload = connection.read_frame().payload
            assert (int.from_bytes(payload[:4]), len(payload)) == (number, size)
        assert connection.read_close() == (1000, "")
        connection.send(close_frame(1000))
        assert connection.record()["sent"] == count + 1


def test_client_that_does_not_read_may_leave(server: EchoServer) -> None:
    with server.open("flood", f"count={TOTAL // 60_000}&size=60000", receive_buffer=BUFFER) as connection:
        connection.record("stalled")
        connection.reset()

        connection.record()


def test_pings_of_a_client_that_does_not_read(server: EchoServer) -> None:
    count = TOTAL // 125
    with server.open(receive_buffer=BUFFER) as connection:
        connection.send(frame(PING, b"x" * 125) * count, frame(PING, b"last"))
        answered = 0
        while connection.read_frame() != Frame(PONG, b"last"):
            answered += 1

    if PONGS_ARE_LIMITED.on(server.kind):
        assert answered * 125 <= MOST_UNREAD
    else:
        assert answered == count


def numbered(count: int, size: int) -> Iterator[bytes]:
    # Masked with zeros, which is quick and leaves the payload as it is.
    header = frame(BINARY, b"x" * size, mask=bytes(4))[:-size]
    for number in range(count):
        yield header + number.to_bytes(4).ljust(size, b"x")


@pytest.mark.parametrize("size", [500, 60_000])
def test_client_must_wait_while_the_application_does_not_receive(server: EchoServer, size: int) -> None:
    count = TOTAL // size
    data = b"".join(numbered(count, size))
    with server.open("collect", send_buffer=BUFFER) as connection:
        sent = connection.send_until_blocked(data, PATIENCE)
        assert 0 < sent <= MOST_UNREAD
        with server.open() as other:
            other.send(frame(TEXT, b"hello"))
            assert other.read_frame() == Frame(TEXT, b"hello")

        connection.note("released")
        connection.send(data[sent:], close_frame(1000))
        assert connection.read_close() == (1000, "")
        assert connection.record()["in_order"] == count
        assert connection.disconnected() == (1000, "")


def test_messages_that_wait_for_the_application_survive_the_end_of_the_client(server: EchoServer) -> None:
    with server.open("collect") as connection:
        connection.send(*numbered(10, 100), close_frame(1000))
        assert connection.read_close() == (1000, "")
        connection.reset()
        connection.note("released")

        assert connection.record()["in_order"] == 10
        assert connection.disconnected() == (1000, "")


# 10.7 Handling of invalid data

SEEDS = range(400)


def random_frames(source: random.Random) -> bytes:
    """Return a stream of frames, of which some are invalid, or of bytes that are no frames."""
    pieces = []
    for _ in range(source.randrange(1, 12)):
        payload = source.randbytes(source.choice((0, 1, 2, 3, 20, 125, 126, 200)))
        if source.random() < 0.1:
            pieces.append(payload)
            continue
        if source.random() < 0.7:
            payload = payload.hex().encode()[: source.choice((2, 125, 1000))]
        odd = source.random() < 0.1
        piece = frame(
            source.randrange(16) if odd else source.choice((TEXT, BINARY, CONTINUATION, PING, PONG, CLOSE)),
            payload,
            fin=source.random() < 0.7,
            rsv=source.choice((0, 0, 0, RSV1, RSV2, RSV3)) if odd else 0,
            mask=None if odd and source.random() < 0.3 else source.randbytes(4),
            length_bits=source.choice((None, 16, 64)) if odd else None,
        )
        pieces.append(piece[: source.randrange(len(piece))] if source.random() < 0.05 else piece)
    return b"".join(pieces)


def test_random_frames_never_disturb_the_server(server: EchoServer) -> None:
    before = len(server.log)
    for seed in SEEDS:
        behaviour = "listen" if seed % 2 else "echo"
        source = random.Random(seed)
        stream = random_frames(source)
        middle = source.randrange(len(stream) + 1)
        with server.open(behaviour) as connection:
            # The server may close the connection meanwhile.
            with suppress(OSError):
                connection.send(stream[:middle])
                connection.send(stream[middle:])
                connection.end_sending()
            received = connection.read_frames_to_end()

            assert {one.opcode for one in received} <= {TEXT, BINARY, PONG, CLOSE}, seed
            closing = [number for number, one in enumerate(received) if one.opcode == CLOSE]
            assert closing in ([], [len(received) - 1]), seed
            last = connection.record()["events"][-1]["type"]
            # `send` may have raised before.
            assert last == "websocket.disconnect" or behaviour == "echo", seed

    assert logged_errors(server.log[before:]) <= LOGGED_ERRORS.on(server.kind)
    with server.open() as connection:
        connection.send(frame(TEXT, b"hello"))
        assert connection.read_frame() == Frame(TEXT, b"hello")
