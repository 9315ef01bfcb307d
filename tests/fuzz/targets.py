"""The fuzzing targets: `python -m tests.fuzz.targets NAME` with the options of libFuzzer."""

from __future__ import annotations

import asyncio
import io
import random
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from typing import Any, Final, cast

import atheris

# atheris prints a line for each module that it instruments.
with redirect_stderr(io.StringIO()), atheris.instrument_imports(include=["wampasgi"]):
    from wampasgi.errors import RemoteProtocolError, UnserializableValue
    from wampasgi.protocol.parsing import parse
    from wampasgi.serializers import SUBPROTOCOLS, Subprotocol
    from wampasgi.transports import picows  # noqa: F401 - instrumented for the imports below

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.connection import STEPS, check_connection
from tests.fuzz.reference_parser import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.fuzz.websocket_frames import check_parser, streams, valid
from tests.hostile import HELLO, MESSAGES, NAMES, any_frames, attack, frames_of, new_app
from tests.uvicorn_line import over_uvicorn


def read_frame(subprotocol: Subprotocol, data: bytes) -> None:
    """Check that a frame is refused or that its messages can be encoded in every format."""
    frame = data if subprotocol.serializer.binary else data.decode(errors="replace")
    try:
        messages = subprotocol.messages(frame)
    except RemoteProtocolError:
        return
    for message in messages:
        try:
            raw = parse(message).to_list()
        except RemoteProtocolError:
            continue
        for other in SUBPROTOCOLS.values():
            try:
                other.serializer.encode(raw)
            except UnserializableValue as error:
                # The only exception is a string that JSON would read as binary data.
                if other.serializer.name != "json" or "\0" not in join_strings(raw):
                    raise AssertionError(f"{other.name} cannot serialize {raw!r}: {error}") from error


def join_strings(value: Any) -> str:
    """Return the concatenation of all strings in a message."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "".join(map(join_strings, [*value, *value.values()]))
    return "".join(map(join_strings, value)) if isinstance(value, list) else ""


@settings(deadline=None, database=None)
@given(before=st.sampled_from([[HELLO], [HELLO], []]), sent=MESSAGES, name=NAMES)
def session(before: list[Any], sent: list[Any], name: str) -> None:
    """Check that messages in any order are answered or abort the session."""
    anyio.run(attack, new_app(), name, frames_of(SUBPROTOCOLS[name], before + sent))


@settings(deadline=None, database=None)
@given(name=NAMES, data=st.data())
def frames(name: str, data: st.DataObject) -> None:
    """Check that damaged frames abort the session or are valid messages."""
    anyio.run(attack, new_app(), name, data.draw(any_frames(SUBPROTOCOLS[name])))


@settings(deadline=None, database=None)
@given(before=st.sampled_from([[HELLO], [HELLO], []]), sent=MESSAGES, name=NAMES)
def served(before: list[Any], sent: list[Any], name: str) -> None:
    """Do the same as ``session`` over a uvicorn with the transport on picows."""
    with over_uvicorn():
        anyio.run(attack, new_app(), name, frames_of(SUBPROTOCOLS[name], before + sent))


#: The event loop for picows, which does not work without one.
_LOOP: Final = asyncio.Runner()


def parser(data: bytes) -> None:
    """Check that FrameParser and the reference agree on a stream. The first byte is the size of the reads."""

    async def check() -> None:
        check_parser(data[1:], [data[0] or 1 << 20])

    if data:
        _LOOP.run(check())


@settings(deadline=None, database=None)
@given(stream=streams(), steps=STEPS, direct=st.booleans(), can_write_eof=st.booleans())
def connection(stream: bytes, steps: list[tuple[Any, ...]], direct: bool, can_write_eof: bool) -> None:
    """Check a conversation with the transport on picows, on a fake transport of asyncio."""
    _LOOP.run(check_connection(stream, steps, direct=direct, can_write_eof=can_write_eof))


TARGETS: dict[str, Callable[[bytes], object]] = {
    **{name.removeprefix("wamp.2."): partial(read_frame, of) for name, of in SUBPROTOCOLS.items()},
    "session": cast("Any", session).hypothesis.fuzz_one_input,
    "frames": cast("Any", frames).hypothesis.fuzz_one_input,
    "served": cast("Any", served).hypothesis.fuzz_one_input,
    "parser": parser,
    "connection": cast("Any", connection).hypothesis.fuzz_one_input,
}

_SAMPLES: list[list[Any]] = [
    HELLO,
    [
        48,
        2**53,
        {"receive_progress": True, "timeout": 1000},
        "com.a",
        [1, -1.5, None, True],
        {"key": ["\u20ac"]},
    ],
    [16, 1, {"acknowledge": True, "exclude": [1, 2]}, "com.a", [b"\x00\xff", "\U0001f600"]],
    [64, 1, {"match": "wildcard", "invoke": "random"}, "com..b"],
    [8, 68, 1, {}, "com.error", [], {"depth": [[[[[{}]]]]]}],
]


#: Inputs for ``parser``: read at once, byte by byte, and in reads of 7 bytes.
_STREAMS: list[bytes] = [
    bytes((size,)) + b"".join(frames)
    for size in (0, 1, 7)
    for frames in (
        (valid(TEXT, "a\u20ac".encode()), valid(BINARY, b"\xff" * 126), valid(CLOSE, b"\x03\xe8bye")),
        (valid(TEXT, b"\xe2\x82", fin=False), valid(PING, b"1"), valid(PONG), valid(CONTINUATION, b"\xac")),
        (valid(BINARY, b"x" * 300), valid(BINARY, fin=False), valid(CLOSE)),
    )
]


def seeds(name: str) -> list[bytes]:
    """Return the initial inputs of a target: frames, or random bytes that hypothesis draws from."""
    if name == "parser":
        return _STREAMS
    subprotocol = SUBPROTOCOLS.get(f"wamp.2.{name}")
    if subprotocol is None:
        chance = random.Random(name)
        return [chance.randbytes(length) for length in range(200, 4000, 200)]
    frames = frames_of(subprotocol, _SAMPLES)
    return [frame.encode() if isinstance(frame, str) else frame for frame in frames]


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
