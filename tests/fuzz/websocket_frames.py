"""Streams of frames, mostly valid, and the comparison of FrameParser with the reference parser."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import cycle
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.reference_parser import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Event,
    Parsed,
    parse,
)
from wampasgi.transports.frame_parser import FrameParser

#: In bytes, a limit for messages that many of the generated messages exceed.
MAX_SIZE = 300
#: The size of the largest read of the parser, in bytes.
MAX_BUFFER = 64 * 1024

_OPCODES = st.sampled_from([TEXT, TEXT, BINARY, CONTINUATION, CONTINUATION, CLOSE, PING, PONG])
_LENGTHS = st.sampled_from([0, 1, 2, 124, 125, 126, 127, MAX_SIZE - 1, MAX_SIZE, MAX_SIZE + 1])
_TEXTS = st.text("aé€😀\0", max_size=8).map(str.encode)
_CLOSES = st.builds(
    lambda code, reason: struct.pack("!H", code) + reason,
    st.sampled_from([1000, 1001, 1005, 1006, 1012, 999, 1015, 2999, 3000, 4999, 5000]),
    _TEXTS,
)
_PAYLOADS = st.one_of(_TEXTS, st.binary(max_size=8), _CLOSES, _LENGTHS.map(lambda length: b"x" * length))


def encode(opcode: int, payload: bytes, *, first: int, key: bytes | None, size: int | None) -> bytes:
    """Encode a frame, whose length takes ``size`` bytes; None stands for the fewest."""
    length = len(payload)
    if size is None:
        size = 0 if length < 126 else 2 if length < 1 << 16 else 8
    mark = {0: min(length, 125), 2: 126, 8: 127}[size]
    header = bytes((first | opcode, mark if key is None else 0x80 | mark))
    extended = length.to_bytes(size) if size else b""
    if key is None:
        return header + extended + payload
    return header + extended + key + bytes(byte ^ pad for byte, pad in zip(payload, cycle(key)))


#: Most of these are valid on their own, and their order is mostly not.
FRAMES = st.builds(
    encode,
    _OPCODES | st.integers(0, 15),
    _PAYLOADS,
    first=st.sampled_from([0x80, 0x80, 0x80, 0x80, 0x00, 0x00, 0xC0, 0xA0, 0x90]),
    key=st.sampled_from([bytes(4), b"\x37\xfa\x21\x3d", b"\xff\0\xff\0"]) | st.none(),
    size=st.sampled_from([None] * 10 + [2, 8]),
)


def valid(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """Encode a frame that is valid on its own, unless its payload is not."""
    return encode(opcode, payload, first=0x80 if fin else 0, key=b"\x37\xfa\x21\x3d", size=None)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """Generate a message, perhaps in fragments with control frames between them. A few texts are cut off."""
    opcode = draw(st.sampled_from([TEXT, BINARY]))
    payload = draw(_TEXTS | st.sampled_from([125, 126, MAX_SIZE]).map(lambda length: b"x" * length))
    payload = payload[: draw(st.sampled_from([len(payload)] * 9 + [-1]))]
    cuts = sorted(draw(st.lists(st.integers(0, len(payload)), max_size=3)))
    stream = b""
    for index, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(payload)], strict=True)):
        stream += valid(CONTINUATION if index else opcode, payload[start:end], fin=index == len(cuts))
        if index < len(cuts) and draw(st.booleans()):
            stream += valid(draw(st.sampled_from([PING, PONG])), draw(_TEXTS))
    return stream


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Generate the bytes of a client: messages, then frames of any kind, which mostly end the connection."""
    parts = [
        *draw(st.lists(messages(), max_size=6)),
        *draw(st.just([]) | st.lists(FRAMES, max_size=2)),
        *draw(st.lists(_CLOSES.map(lambda payload: valid(CLOSE, payload)), max_size=1)),
        *draw(st.lists(FRAMES, max_size=2)),
    ]
    stream = bytearray(b"".join(parts))
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 2]))):
        start = draw(st.integers(0, len(stream)))
        stream[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(stream)


@st.composite
def long_streams(draw: st.DrawFn) -> bytes:
    """Generate messages of up to 140 KiB, in up to three fragments, some of them over a limit of 128 KiB."""
    stream = b""
    for opcode in draw(st.lists(st.sampled_from([TEXT, BINARY]), min_size=1, max_size=3)):
        lengths = draw(st.lists(st.sampled_from([0, 1, 65_535, 65_536, 70_000]), min_size=1, max_size=3))
        for index, length in enumerate(lengths):
            fin = index == len(lengths) - 1
            stream += valid(CONTINUATION if index else opcode, b"x" * length, fin=fin)
            stream += valid(PING, b"between")
    return stream


#: The sizes of the reads, which are repeated until the end of the stream.
READS = st.lists(st.integers(1, 200), min_size=1, max_size=4) | st.just([1]) | st.just([1 << 20])


class Recorder:
    """Records what a parser passes on, and fails if that is not allowed."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.over = False

    def _record(self, *event: Any) -> None:
        assert not self.over, f"{event} comes after {self.events[-1]}"
        self.events.append(event)

    def on_message(self, data: str | bytes) -> None:
        self._record("message", data)

    def on_ping(self, payload: bytes) -> None:
        self._record("ping", payload)

    def on_pong(self, payload: bytes) -> None:
        self._record("pong", payload)

    def on_close(self, code: int, reason: str) -> None:
        self._record("close", code, reason)
        self.over = True

    def on_violation(self, code: int, reason: str) -> None:
        assert len(reason.encode()) <= 123, "the reason does not fit into a close frame"
        self._record("violation", code)
        self.over = True


def pieces(stream: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    """Cut a stream into pieces of these sizes, again and again."""
    position = 0
    for size in cycle(sizes):
        if position >= len(stream):
            return
        yield stream[position : position + size]
        position += size


def read(parser: FrameParser, data: bytes) -> None:
    """Write data to the buffers of a parser, as a transport of asyncio does."""
    while data:
        buffer = parser.get_buffer(-1)
        assert 0 < len(buffer) <= MAX_BUFFER
        size = min(len(buffer), len(data))
        buffer[:size] = data[:size]
        del buffer
        parser.buffer_updated(size)
        data = data[size:]


def check_events(events: list[Event], expected: Parsed) -> None:
    """Compare what a parser has passed on with the reference."""
    if events and events[-1][0] == "violation":
        *events, (_, code) = events
        assert code in expected.codes, f"code {code} after {events}, expected {expected}"
    else:
        assert not expected.codes or expected.pending, f"no violation after {events}, expected {expected}"
    assert events == expected.events


def check_parser(stream: bytes, sizes: Iterable[int], max_size: int = MAX_SIZE) -> None:
    """Parse a stream in pieces, and compare the outcome with the reference after each of them."""
    recorder = Recorder()
    parser = FrameParser(recorder, max_size)
    received = b""
    for piece in pieces(stream, sizes):
        received += piece
        read(parser, piece)
        # The reference is slow.
        if len(received) < 100 or len(received) == len(stream):
            check_events(recorder.events, parse(received, max_size))
