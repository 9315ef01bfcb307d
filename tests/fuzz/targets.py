"""The fuzzing targets: `python -m tests.fuzz.targets NAME` with the options of libFuzzer."""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from typing import Any, cast

import atheris

# atheris prints a line for each module that it instruments.
with redirect_stderr(io.StringIO()), atheris.instrument_imports(include=["wampasgi"]):
    from wampasgi.errors import RemoteProtocolError, UnserializableValue
    from wampasgi.protocol.parsing import parse
    from wampasgi.serializers import SUBPROTOCOLS, Subprotocol

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hostile import HELLO, MESSAGES, NAMES, any_frames, attack, frames_of, new_app


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


TARGETS: dict[str, Callable[[bytes], object]] = {
    **{name.removeprefix("wamp.2."): partial(read_frame, of) for name, of in SUBPROTOCOLS.items()},
    "session": cast("Any", session).hypothesis.fuzz_one_input,
    "frames": cast("Any", frames).hypothesis.fuzz_one_input,
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


def seeds(name: str) -> list[bytes]:
    """Return the initial inputs of a target: frames, or random bytes that hypothesis draws from."""
    subprotocol = SUBPROTOCOLS.get(f"wamp.2.{name}")
    if subprotocol is None:
        chance = random.Random(name)
        return [chance.randbytes(length) for length in range(200, 4000, 200)]
    frames = frames_of(subprotocol, _SAMPLES)
    return [frame.encode() if isinstance(frame, str) else frame for frame in frames]


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], TARGETS[sys.argv[1]])
    atheris.Fuzz()
