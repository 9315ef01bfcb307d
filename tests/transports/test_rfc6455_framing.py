"""Sections 5.1 to 5.5 of RFC 6455: frames, fragments and control frames."""

from __future__ import annotations

from itertools import combinations

import pytest

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
    close_payload,
    frame,
)
from tests.transports.rfc6455_differences import (
    CLOSE_INSIDE_MESSAGE,
    LONG_ENCODING_OF_LENGTH,
    TOP_BIT_OF_LENGTH,
)

# 5.1 Overview: masking


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_unmasked_frame_fails_the_connection_with_1002(server: EchoServer, opcode: int) -> None:
    with server.open() as connection:
        connection.send(frame(opcode, close_payload(1000), mask=None))

        connection.assert_failed(1002)


def test_unmasked_fragment_fails_the_connection_with_1002(server: EchoServer) -> None:
    with server.open() as connection:
        connection.send(frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b", mask=None))

        connection.assert_failed(1002)


@pytest.mark.parametrize("mask", [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x00\x00\x00\x01", b"\x80abc"])
def test_payload_is_unmasked_with_the_key_of_its_frame(server: EchoServer, mask: bytes) -> None:
    payloads = [bytes(range(size)) for size in range(70)]
    with server.open() as connection:
        for payload in payloads:
            connection.send(frame(BINARY, payload, mask=mask))
            assert connection.read_frame() == Frame(BINARY, payload)


# 5.2 Base framing protocol


@pytest.mark.parametrize("rsv", [RSV1, RSV2, RSV3, RSV1 | RSV2 | RSV3])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_reserved_bit_fails_the_connection_with_1002(server: EchoServer, opcode: int, rsv: int) -> None:
    with server.open() as connection:
        connection.send(frame(opcode, close_payload(1000), rsv=rsv))

        connection.assert_failed(1002)


@pytest.mark.parametrize("rsv", [RSV1, RSV2, RSV3])
def test_reserved_bit_of_a_fragment_fails_the_connection_with_1002(server: EchoServer, rsv: int) -> None:
    with server.open() as connection:
        connection.send(frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b", rsv=rsv))

        connection.assert_failed(1002)


@pytest.mark.parametrize("opcode", [*range(0x3, 0x8), *range(0xB, 0x10)])
def test_reserved_opcode_fails_the_connection_with_1002(server: EchoServer, opcode: int) -> None:
    with server.open() as connection:
        connection.send(frame(opcode, b"a"))

        connection.assert_failed(1002)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("length", [0, 1, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537, 131072])
def test_message_of_any_length_arrives(server: EchoServer, opcode: int, length: int) -> None:
    payload = b"x" * length
    with server.open() as connection:
        connection.send(frame(opcode, payload))

        assert connection.read_frame() == Frame(opcode, payload)


@pytest.mark.parametrize(("length", "bits"), [(0, 16), (125, 16), (0, 64), (125, 64), (126, 64), (65535, 64)])
def test_length_in_a_longer_encoding_than_the_shortest(server: EchoServer, length: int, bits: int) -> None:
    payload = b"x" * length
    with server.open() as connection:
        connection.send(frame(BINARY, payload, length_bits=bits))

        if LONG_ENCODING_OF_LENGTH.on(server.kind) == "understood":
            assert connection.read_frame() == Frame(BINARY, payload)
        else:
            connection.assert_failed(1002)


@pytest.mark.parametrize("length", [2**63, 2**63 + 5, 2**64 - 1])
def test_top_bit_of_a_64_bit_length_fails_the_connection(server: EchoServer, length: int) -> None:
    with server.open() as connection:
        connection.send(frame(BINARY, b"hello", length=length))

        connection.assert_failed(TOP_BIT_OF_LENGTH.on(server.kind))


# 5.4 Fragmentation

#: Characters of one, two, three and four bytes.
LETTERS = "aé\u20ac\U0001f426z".encode()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_message_may_be_split_at_any_boundaries(server: EchoServer, opcode: int) -> None:
    with server.open() as connection:
        for first, second in combinations(range(len(LETTERS) + 1), 2):
            connection.send(
                frame(opcode, LETTERS[:first], fin=False),
                frame(CONTINUATION, LETTERS[first:second], fin=False),
                frame(CONTINUATION, LETTERS[second:]),
            )
            assert connection.read_frame() == Frame(opcode, LETTERS), (first, second)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_each_byte_may_be_a_fragment(server: EchoServer, opcode: int) -> None:
    fragments = [frame(CONTINUATION, bytes((byte,)), fin=False) for byte in LETTERS]
    with server.open() as connection:
        connection.send(frame(opcode, fin=False), *fragments, frame(CONTINUATION))

        assert connection.read_frame() == Frame(opcode, LETTERS)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_may_be_empty(server: EchoServer, opcode: int) -> None:
    with server.open() as connection:
        connection.send(frame(opcode, fin=False), frame(CONTINUATION, fin=False), frame(CONTINUATION))
        assert connection.read_frame() == Frame(opcode)

        connection.send(frame(opcode, b"a", fin=False), *[frame(CONTINUATION, fin=False)] * 100)
        connection.send(frame(CONTINUATION, b"b"))
        assert connection.read_frame() == Frame(opcode, b"ab")


def test_message_may_have_many_fragments(server: EchoServer) -> None:
    with server.open() as connection:
        connection.send(frame(TEXT, fin=False), frame(CONTINUATION, b"x", fin=False) * 50_000)
        connection.send(frame(CONTINUATION))

        assert connection.read_frame() == Frame(TEXT, b"x" * 50_000)


def test_control_frames_may_come_between_fragments(server: EchoServer) -> None:
    with server.open() as connection:
        connection.send(frame(TEXT, b"", fin=False))
        for number, byte in enumerate(LETTERS):
            # Also in the middle of a character.
            connection.send(frame(CONTINUATION, bytes((byte,)), fin=False), frame(PONG, b"unsolicited"))
            connection.send(frame(PING, bytes((number,))))
            assert connection.read_frame() == Frame(PONG, bytes((number,)))
        connection.send(frame(CONTINUATION))

        assert connection.read_frame() == Frame(TEXT, LETTERS)


def test_message_in_one_frame_may_follow_a_fragmented_one(server: EchoServer) -> None:
    with server.open() as connection:
        connection.send(frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b"), frame(BINARY, b"c"))

        assert [connection.read_frame(), connection.read_frame()] == [Frame(TEXT, b"ab"), Frame(BINARY, b"c")]


@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize(
    "before",
    [b"", frame(TEXT, b"a"), frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b")],
    ids=["first", "after a message", "after a fragmented message"],
)
def test_continuation_without_a_start_fails_the_connection_with_1002(
    server: EchoServer, before: bytes, fin: bool
) -> None:
    with server.open() as connection:
        connection.send(before)
        if before:
            connection.read_frame()
        connection.send(frame(CONTINUATION, b"c", fin=fin))

        connection.assert_failed(1002)


@pytest.mark.parametrize("fin", [True, False])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_new_message_inside_a_fragmented_one_fails_the_connection_with_1002(
    server: EchoServer, opcode: int, fin: bool
) -> None:
    with server.open() as connection:
        connection.send(frame(TEXT, b"a", fin=False), frame(opcode, b"b", fin=fin))

        connection.assert_failed(1002)


def test_close_frame_may_come_between_fragments(server: EchoServer) -> None:
    with server.open() as connection:
        connection.send(frame(TEXT, b"a", fin=False), close_frame(1000))

        code, _ = connection.read_close()
        assert code == CLOSE_INSIDE_MESSAGE.on(server.kind)
        assert connection.read_to_end() == b""
        assert connection.disconnected()[0] == code
        # The application never gets a part of a message.
        assert connection.messages() == []


# 5.5 Control frames


@pytest.mark.parametrize("length", [126, 127, 65536])
@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_control_frame_longer_than_125_bytes_fails_the_connection_with_1002(
    server: EchoServer, opcode: int, length: int
) -> None:
    with server.open() as connection:
        connection.send(frame(opcode, close_payload(1000, "x" * (length - 2))))

        connection.assert_failed(1002)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_fragmented_control_frame_fails_the_connection_with_1002(server: EchoServer, opcode: int) -> None:
    with server.open() as connection:
        connection.send(frame(opcode, close_payload(1000), fin=False), frame(CONTINUATION, b"a"))

        connection.assert_failed(1002)


# 5.5.2 Ping, 5.5.3 Pong


@pytest.mark.parametrize("payload", [b"", b"a", b"\x00\xff\xfe", b"x" * 124, b"x" * 125], ids=len)
def test_ping_is_answered_by_a_pong_with_its_payload(server: EchoServer, payload: bytes) -> None:
    with server.open() as connection:
        connection.send(frame(PING, payload))

        assert connection.read_frame() == Frame(PONG, payload)


def test_pings_are_answered_in_order_while_messages_arrive(server: EchoServer) -> None:
    numbers = [b"%d" % number for number in range(100)]
    with server.open() as connection:
        connection.send(*(frame(PING, number) + frame(TEXT, number) for number in numbers))
        received = [connection.read_frame() for _ in range(200)]

    assert [one.payload for one in received if one.opcode == PONG] == numbers
    assert [one.payload for one in received if one.opcode == TEXT] == numbers


def test_ping_is_answered_while_the_application_receives_nothing(server: EchoServer) -> None:
    with server.open("collect") as connection:
        connection.send(frame(PING, b"a"))

        assert connection.read_frame() == Frame(PONG, b"a")
        connection.note("released")


@pytest.mark.parametrize("payload", [b"", b"unsolicited", b"x" * 125], ids=len)
def test_unsolicited_pong_is_ignored(server: EchoServer, payload: bytes) -> None:
    with server.open() as connection:
        connection.send(frame(PONG, payload), frame(TEXT, b"a"))
        assert connection.read_frame() == Frame(TEXT, b"a")
        connection.send(close_frame(1000))

        assert connection.read_close() == (1000, "")
        assert connection.messages() == ["a"]


# Frames and packets


def test_frames_may_arrive_byte_by_byte(server: EchoServer) -> None:
    with server.open() as connection:
        connection.send_bytewise(frame(TEXT, LETTERS[:4], fin=False) + frame(CONTINUATION, LETTERS[4:]))
        assert connection.read_frame() == Frame(TEXT, LETTERS)
        connection.send_bytewise(frame(BINARY, b"x" * 200))
        assert connection.read_frame() == Frame(BINARY, b"x" * 200)
        long = frame(BINARY, b"x" * 65536)
        connection.send_bytewise(long[:20])
        connection.send(long[20:])
        assert connection.read_frame() == Frame(BINARY, b"x" * 65536)
        connection.send_bytewise(frame(PING, b"ping"))
        assert connection.read_frame() == Frame(PONG, b"ping")
        connection.send_bytewise(close_frame(4000, "bye"))

        assert connection.read_close()[0] == 4000
        assert connection.disconnected() == (4000, "bye")


@pytest.mark.parametrize("count", [2, 1000, 20_000])
def test_many_frames_may_arrive_in_one_packet(server: EchoServer, count: int) -> None:
    numbers = [b"%d" % number for number in range(count)]
    with server.open() as connection:
        connection.send(*(frame(TEXT, number) for number in numbers))

        assert [connection.read_frame().payload for _ in numbers] == numbers
