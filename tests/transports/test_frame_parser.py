from __future__ import annotations

import logging
import tracemalloc
from typing import Any

import pytest

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
    close_frame,
    frame,
)
from wampasgi.transports.close_codes import (
    INTERNAL_ERROR,
    INVALID_TEXT,
    MESSAGE_TOO_BIG,
    NO_CODE,
    PROTOCOL_ERROR,
)
from wampasgi.transports.frame_parser import FrameParser

# picows works only in an event loop of asyncio.
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]

KIBIBYTE = 1024
MEBIBYTE = 1024 * KIBIBYTE


class Recorder:
    """Records what a client has sent."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        #: The reason of the violation.
        self.reason = ""

    def on_message(self, data: str | bytes) -> None:
        self.calls.append((data,))

    def on_ping(self, payload: bytes) -> None:
        self.calls.append(("ping", payload))

    def on_pong(self, payload: bytes) -> None:
        self.calls.append(("pong", payload))

    def on_close(self, code: int, reason: str) -> None:
        self.calls.append(("close", code, reason))

    def on_violation(self, code: int, reason: str) -> None:
        self.calls.append(("violation", code))
        self.reason = reason

    @property
    def violation(self) -> int | None:
        """The code of the violation, if there was one, which comes last."""
        kind, *code = self.calls[-1]
        return code[0] if kind == "violation" else None


class Connection:
    """A parser, and what it has called. The test is the transport."""

    def __init__(self, *, max_size: int = 4 * MEBIBYTE, recorder: Recorder | None = None) -> None:
        self.recorder = recorder or Recorder()
        self.parser = FrameParser(self.recorder, max_size)

    @property
    def calls(self) -> list[tuple[Any, ...]]:
        return self.recorder.calls

    def read(self, *frames: bytes) -> None:
        """Receive frames in one read, which must fit into the buffer."""
        data = b"".join(frames)
        buffer = self.parser.get_buffer(-1)
        assert len(buffer) >= len(data), "the buffer is too small for this test"
        buffer[: len(data)] = data
        self.parser.buffer_updated(len(data))

    def read_all(self, data: bytes) -> list[int]:
        """Receive data in reads that fill the buffers, and return the sizes of the buffers."""
        left, sizes = memoryview(data), []
        while left:
            buffer = self.parser.get_buffer(1 << 20)
            sizes.append(len(buffer))
            size = min(len(buffer), len(left))
            buffer[:size] = left[:size]
            self.parser.buffer_updated(size)
            left = left[size:]
        return sizes


def parsed(*frames: bytes, max_size: int = 4 * MEBIBYTE) -> list[tuple[Any, ...]]:
    """Return the calls for frames that are received in one read."""
    connection = Connection(max_size=max_size)
    connection.read(*frames)
    return connection.calls


GOOD = frame(TEXT, b"good")
#: Frames that violate RFC 6455, each with the close code. picows refuses the first ones. It parses a frame
#: before it passes on the one before it.
REFUSED = {
    "unmasked": (frame(TEXT, b"unmasked", mask=None), PROTOCOL_ERROR),
    "reserved opcode": (frame(0x3), PROTOCOL_ERROR),
    "long ping": (frame(PING, b"x" * 126), PROTOCOL_ERROR),
    "fragmented ping": (frame(PING, fin=False), PROTOCOL_ERROR),
    "too big": (frame(TEXT, length=4 * MEBIBYTE + 1), MESSAGE_TOO_BIG),
    "not UTF-8": (frame(TEXT, b"\xff"), INVALID_TEXT),
    "rsv1": (frame(TEXT, rsv=RSV1), PROTOCOL_ERROR),
    "rsv2": (frame(BINARY, rsv=RSV2), PROTOCOL_ERROR),
    "rsv3 of a pong": (frame(PONG, rsv=RSV3), PROTOCOL_ERROR),
    "not UTF-8 in fragments": (frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b"\xff"), INVALID_TEXT),
    "continuation of nothing": (frame(CONTINUATION, b"x"), PROTOCOL_ERROR),
    "close frame of one byte": (frame(CLOSE, b"\x03"), PROTOCOL_ERROR),
    "reason that is not UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), INVALID_TEXT),
}
every_refused_frame = pytest.mark.parametrize(("bad", "code"), REFUSED.values(), ids=REFUSED)


# Frames of one read


async def test_frames_are_passed_on_in_order() -> None:
    assert parsed(
        frame(TEXT, "é".encode()),
        frame(PING, b"1"),
        frame(BINARY, b"\xff"),
        frame(PONG, b"2"),
        frame(TEXT),
        frame(BINARY),
        close_frame(4000, "enough €"),
    ) == [("é",), ("ping", b"1"), (b"\xff",), ("pong", b"2"), ("",), (b"",), ("close", 4000, "enough €")]


async def test_fragments_are_joined_around_control_frames() -> None:
    assert parsed(
        frame(TEXT, b"\xe2\x82", fin=False),
        frame(PING, b"!"),
        frame(CONTINUATION, b"\xac", fin=False),
        frame(PONG),
        frame(CONTINUATION, b""),
        frame(BINARY, b"\xe2", fin=False),
        frame(CONTINUATION, b"\xe2"),
    ) == [("ping", b"!"), ("pong", b""), ("€",), (b"\xe2\xe2",)]


@every_refused_frame
async def test_violation_is_reported_once_after_the_frames_before_it(bad: bytes, code: int) -> None:
    expected = [("good",), ("ping", b""), ("violation", code)]
    assert parsed(GOOD, frame(PING), bad) == expected
    assert parsed(GOOD, frame(PING), bad, GOOD, bad) == expected


@every_refused_frame
async def test_first_of_two_violations_counts(bad: bytes, code: int) -> None:
    for second, _ in REFUSED.values():
        assert parsed(GOOD, bad, second) == [("good",), ("violation", code)]


@every_refused_frame
async def test_violation_has_a_reason_for_the_client(bad: bytes, code: int) -> None:
    connection = Connection()
    connection.read(bad)
    assert connection.recorder.reason


@every_refused_frame
async def test_everything_after_a_close_frame_is_ignored(bad: bytes, code: int) -> None:
    close = close_frame(1000, "bye")
    assert parsed(GOOD, close, bad) == [("good",), ("close", 1000, "bye")]
    assert parsed(GOOD, close, GOOD, close, bad) == [("good",), ("close", 1000, "bye")]
    # A part of a frame is ignored, too.
    assert parsed(close, bad[:1]) == [("close", 1000, "bye")]


async def test_close_frame_without_a_code() -> None:
    assert parsed(frame(CLOSE)) == [("close", NO_CODE, "")]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2000, 2999, 5000, 65535])
async def test_close_code_that_must_not_be_sent_is_a_violation(code: int) -> None:
    assert parsed(GOOD, close_frame(code), GOOD) == [("good",), ("violation", PROTOCOL_ERROR)]


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
async def test_valid_close_code_is_passed_on(code: int) -> None:
    assert parsed(close_frame(code)) == [("close", code, "")]


async def test_unfinished_message_is_dropped_by_a_close_frame() -> None:
    assert parsed(frame(TEXT, b"\xe2", fin=False), close_frame(1000)) == [("close", 1000, "")]


@pytest.mark.parametrize(
    "frames",
    [
        (frame(TEXT, b"a", fin=False), frame(TEXT, b"b")),
        (frame(TEXT, b"a", fin=False), frame(BINARY, b"b")),
        (frame(BINARY, b"a", fin=False), frame(TEXT, b"b", fin=False)),
        (frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b"), frame(CONTINUATION, b"c")),
    ],
)
async def test_fragments_out_of_order_are_a_violation(frames: tuple[bytes, ...]) -> None:
    assert parsed(*frames)[-1] == ("violation", PROTOCOL_ERROR)


@pytest.mark.parametrize(
    "fragments",
    [
        [b"\xff", b""],
        [b"a", b"\xff"],
        [b"\xe2\x82", b""],
        [b"\xe2\x82", b"a"],
        [b"\xe2", b"\x82", b""],
        # A surrogate.
        [b"\xed", b"\xa0\x80"],
    ],
)
async def test_text_is_checked_over_fragments(fragments: list[bytes]) -> None:
    first, *rest, last = fragments
    frames = [frame(TEXT, first, fin=False), *(frame(CONTINUATION, one, fin=False) for one in rest)]
    assert parsed(*frames, frame(CONTINUATION, last)) == [("violation", INVALID_TEXT)]


async def test_invalid_text_is_found_before_its_last_fragment() -> None:
    assert parsed(frame(TEXT, b"a\xff", fin=False)) == [("violation", INVALID_TEXT)]


async def test_text_after_invalid_bytes_of_a_binary_message_is_not_affected() -> None:
    binary = frame(BINARY, b"\xff", fin=False), frame(CONTINUATION, b"\xe2")
    assert parsed(*binary, frame(TEXT, b"a", fin=False), frame(CONTINUATION, b"b")) == [
        (b"\xff\xe2",),
        ("ab",),
    ]


# Several reads

CONVERSATION = b"".join(
    (
        frame(TEXT, b"\xe2\x82", fin=False),
        frame(PING, b"!"),
        frame(CONTINUATION, b"\xac"),
        frame(BINARY, b"x" * 200),
        frame(PONG, b"?"),
        close_frame(1001, "€"),
    )
)
HEARD: list[tuple[Any, ...]] = [
    *(("ping", b"!"), ("€",), (b"x" * 200,), ("pong", b"?")),
    ("close", 1001, "€"),
]


async def test_frames_may_come_byte_by_byte() -> None:
    connection = Connection()
    for index in range(len(CONVERSATION)):
        connection.read(CONVERSATION[index : index + 1])

    assert connection.calls == HEARD


async def test_frames_may_be_split_between_two_reads_anywhere() -> None:
    for index in range(1, len(CONVERSATION)):
        connection = Connection()
        connection.read(CONVERSATION[:index])
        connection.read(CONVERSATION[index:])
        assert connection.calls == HEARD


@every_refused_frame
async def test_violation_may_come_in_a_later_read(bad: bytes, code: int) -> None:
    connection = Connection()
    connection.read(GOOD)
    for index in range(len(bad)):
        connection.read(bad[index : index + 1])
    connection.read(GOOD)
    connection.read(close_frame(1000))

    assert connection.calls == [("good",), ("violation", code)]


async def test_data_that_was_read_before_is_fed() -> None:
    connection = Connection()
    data = frame(BINARY, b"x" * (100 * KIBIBYTE)) + CONVERSATION
    connection.parser.feed(data[:50_000])
    connection.parser.feed(b"")
    connection.parser.feed(data[50_000:])

    assert connection.calls == [(b"x" * (100 * KIBIBYTE),), *HEARD]


async def test_nothing_is_parsed_after_the_parser_was_stopped() -> None:
    connection = Connection()
    connection.read(frame(TEXT, b"a", fin=False))
    connection.parser.stop()
    connection.read(frame(CONTINUATION, b"b"), GOOD, b"\xff\xff")
    connection.parser.feed(GOOD)
    connection.read_all(GOOD * 10_000)

    assert connection.calls == []


async def test_receiver_may_stop_the_parser_within_a_read() -> None:
    class Stopping(Recorder):
        def on_ping(self, payload: bytes) -> None:
            super().on_ping(payload)
            connection.parser.stop()

    connection = Connection(recorder=Stopping())
    connection.read(GOOD, frame(PING), GOOD, frame(0x3))

    assert connection.calls == [("good",), ("ping", b"")]


# Limits


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("sizes", [(1000,), (1000, 0), (0, 1000), (400, 600), (1,) * 1000])
async def test_message_may_have_the_maximum_size(opcode: int, sizes: tuple[int, ...]) -> None:
    connection = Connection(max_size=1000)
    connection.read_all(fragmented(opcode, sizes))
    connection.read_all(fragmented(opcode, sizes))

    assert connection.calls == [("x" * 1000 if opcode == TEXT else b"x" * 1000,)] * 2


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("sizes", [(1001,), (1000, 1), (1, 1000), (0, 1001), (400, 601), (1,) * 1001])
async def test_message_over_the_maximum_size_is_a_violation(opcode: int, sizes: tuple[int, ...]) -> None:
    connection = Connection(max_size=1000)
    connection.read_all(GOOD + fragmented(opcode, sizes))

    assert connection.calls == [("good",), ("violation", MESSAGE_TOO_BIG)]


async def test_message_over_the_maximum_size_is_refused_before_its_end() -> None:
    connection = Connection(max_size=1000)
    connection.read(frame(TEXT, b"x" * 600, fin=False))
    connection.read(frame(CONTINUATION, b"x" * 401, fin=False))
    assert connection.recorder.violation == MESSAGE_TOO_BIG

    header_only = frame(TEXT, length=1001)
    assert parsed(header_only, max_size=1000) == [("violation", MESSAGE_TOO_BIG)]


async def test_control_frames_do_not_count_for_the_size_of_a_message() -> None:
    first, rest = frame(TEXT, b"x" * 100, fin=False), frame(CONTINUATION)
    assert parsed(first, frame(PING, b"y" * 50), rest, max_size=100) == [("ping", b"y" * 50), ("x" * 100,)]


def fragmented(opcode: int, sizes: tuple[int, ...]) -> bytes:
    """Return the frames of a message whose fragments have these sizes."""
    last = len(sizes) - 1
    return b"".join(
        frame(CONTINUATION if index else opcode, b"x" * size, fin=index == last)
        for index, size in enumerate(sizes)
    )


# Memory


async def test_at_most_16_kib_of_short_frames_are_read_at_once() -> None:
    connection = Connection()
    assert max(connection.read_all(GOOD * 50_000)) == 16 * KIBIBYTE
    assert connection.calls == [("good",)] * 50_000
    # No more is offered by a parser that discards.
    connection.parser.stop()
    assert max(connection.read_all(GOOD)) <= 16 * KIBIBYTE


async def test_at_most_64_kib_of_a_long_frame_are_read_at_once() -> None:
    connection = Connection()
    sizes = connection.read_all(frame(BINARY, b"x" * (3 * MEBIBYTE)))
    assert max(sizes) == 64 * KIBIBYTE
    assert min(sizes) > 0
    assert max(connection.read_all(GOOD * 50_000)) == 16 * KIBIBYTE

    assert connection.calls == [(b"x" * (3 * MEBIBYTE),), *[("good",)] * 50_000]


async def test_read_buffer_of_a_long_message_is_replaced() -> None:
    connection = Connection()
    connection.read(GOOD)
    small = len(connection.parser.get_buffer(-1))
    connection.read_all(frame(BINARY, b"x" * (3 * MEBIBYTE)))

    assert len(connection.parser.get_buffer(-1)) == small
    connection.read_all(CONVERSATION)
    assert connection.calls[2:] == HEARD


async def test_memory_of_long_messages_is_released() -> None:
    class Forgetful(Recorder):
        def on_message(self, data: str | bytes) -> None:
            self.calls[:] = [(len(data),)]

    size = 2 * MEBIBYTE
    long = frame(BINARY, b"x" * size)
    in_fragments = fragmented(BINARY, (size // 2, size // 2))
    connections = [Connection(recorder=Forgetful()) for _ in range(5)]
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for connection in connections:
            connection.read_all(long + in_fragments + GOOD)
            assert connection.calls == [(4,)]
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 5 * 64 * KIBIBYTE
    # The measurement sees the buffers.
    assert peak - before > size


@pytest.mark.parametrize("around", [(b"", b""), (GOOD, b""), (b"", GOOD[:3]), (b"", GOOD)])
async def test_frames_around_a_long_message_are_not_lost(around: tuple[bytes, bytes]) -> None:
    before, behind = around
    long = fragmented(TEXT, (MEBIBYTE, 0, MEBIBYTE))
    connection = Connection()
    for _ in range(2):
        connection.read_all(before + long + behind)
        connection.read_all(GOOD[len(behind) :] if behind else b"")

    expected: list[tuple[Any, ...]] = [("x" * (2 * MEBIBYTE),)]
    if before:
        expected.insert(0, ("good",))
    if behind:
        expected.append(("good",))
    assert connection.calls == expected * 2


# Exceptions of the receiver


class Failing(Recorder):
    """A receiver with a fault."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        setattr(self, fault, self.fail)

    def fail(self, *args: Any) -> None:
        self.calls.append(("failed",))
        raise ZeroDivisionError("in the receiver")


@pytest.mark.parametrize(
    ("fault", "bad"),
    [
        ("on_message", GOOD),
        ("on_message", frame(BINARY, b"x")),
        ("on_message", fragmented(TEXT, (1, 1))),
        ("on_ping", frame(PING)),
        ("on_pong", frame(PONG)),
    ],
)
async def test_exception_of_the_receiver_is_logged_and_closes_with_1011(
    fault: str, bad: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    connection = Connection(recorder=Failing(fault))
    connection.read(bad)
    connection.read(GOOD)

    assert connection.calls == [("failed",), ("violation", INTERNAL_ERROR)]
    [record] = caplog.records
    assert (record.name, record.levelno) == ("uvicorn.error", logging.ERROR)
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)


async def test_violations_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    for bad, _ in REFUSED.values():
        assert parsed(GOOD, bad)[0] == ("good",)

    assert caplog.records == []
