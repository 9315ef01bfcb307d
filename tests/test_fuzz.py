"""The fuzzing tool, as far as it does not need a fuzzer, and short runs of its checks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from tests.fuzz.connection import STEPS, check_connection
from tests.fuzz.reference_parser import BINARY, CLOSE, CONTINUATION, PING, TEXT, parse, text_state
from tests.fuzz.websocket_frames import (
    READS,
    check_events,
    check_parser,
    encode,
    long_streams,
    streams,
    valid,
)

ROOT = Path(__file__).resolve().parent.parent

#: Long enough for one input on a busy machine, in seconds.
PATIENCE = 20.0

#: Runs that are always the same; `make fuzz` tries other inputs.
always_the_same = settings(derandomize=True, database=None, max_examples=150)


def run(check: Coroutine[Any, Any, None]) -> None:
    """Run one check in an event loop, which picows needs."""

    async def in_time() -> None:
        async with asyncio.timeout(PATIENCE):
            await check

    asyncio.run(in_time())


def test_fuzzing_without_atheris_prints_an_error() -> None:
    # Simulates a missing atheris even if it is installed.
    code = (
        "import sys, runpy; sys.modules['atheris'] = None; "
        "runpy.run_module('tests.fuzz', run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "atheris is not installed for Python 3." in done.stderr


# The parser of the picows transport


@always_the_same
@given(stream=streams(), sizes=READS)
def test_parser_agrees_with_the_reference(stream: bytes, sizes: list[int]) -> None:
    async def check() -> None:
        check_parser(stream, sizes)

    run(check())


@settings(always_the_same, max_examples=20)
@given(stream=long_streams(), sizes=READS.filter(lambda sizes: min(sizes) > 50))
def test_parser_agrees_with_the_reference_on_long_messages(stream: bytes, sizes: list[int]) -> None:
    async def check() -> None:
        check_parser(stream, sizes, max_size=128 * 1024)

    run(check())


@always_the_same
@given(stream=streams(), steps=STEPS)
@pytest.mark.parametrize("direct", [True, False])
@pytest.mark.parametrize("can_write_eof", [True, False])
def test_connection_does_what_the_reference_demands(
    stream: bytes, steps: list[tuple[Any, ...]], direct: bool, can_write_eof: bool
) -> None:
    run(check_connection(stream, steps, direct=direct, can_write_eof=can_write_eof))


# The reference


def test_reference_understands_the_examples_of_rfc_6455() -> None:
    # Section 5.7, with masks where a client needs them.
    masked_hello = bytes.fromhex("818537fa213d7f9f4d5158")
    fragments = valid(TEXT, b"Hel", fin=False), valid(CONTINUATION, b"lo")
    ping = bytes.fromhex("898537fa213d7f9f4d5158")
    long, longer = bytes(256), bytes(65536)

    stream = b"".join((masked_hello, *fragments, ping, valid(BINARY, long), valid(BINARY, longer)))
    assert parse(stream, 1 << 20).events == [
        ("message", "Hello"),
        ("message", "Hello"),
        ("ping", b"Hello"),
        ("message", long),
        ("message", longer),
    ]


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (bytes.fromhex("810548656c6c6f"), 1002),
        (valid(CONTINUATION), 1002),
        (valid(TEXT, fin=False) + valid(TEXT), 1002),
        (valid(PING, fin=False), 1002),
        (valid(PING, bytes(126)), 1002),
        (valid(3), 1002),
        (encode(TEXT, b"", first=0xC0, key=bytes(4), size=None), 1002),
        (encode(TEXT, b"", first=0x80, key=bytes(4), size=2), 1002),
        (valid(CLOSE, b"\x03\xed"), 1002),
        (valid(CLOSE, b"\x03"), 1002),
        (valid(TEXT, b"\xed\xa0\x80"), 1007),
        (valid(TEXT, b"\xe2\x82"), 1007),
        (valid(CLOSE, b"\x03\xe8\xff"), 1007),
        (valid(BINARY, bytes(301)), 1009),
        (valid(BINARY, bytes(300), fin=False) + valid(CONTINUATION, b"x"), 1009),
    ],
)
def test_reference_finds_violations(stream: bytes, code: int) -> None:
    parsed = parse(valid(TEXT, b"before") + stream + valid(TEXT, b"after"), 300)

    assert (parsed.events, parsed.codes, parsed.pending) == ([("message", "before")], {code}, False)


@pytest.mark.parametrize(
    "text", ["a", "\x7f", "é", "\u07ff", "\u0800", "€", "\ud7ff", "\ue000", "\uffff", "\U0010ffff"]
)
def test_reference_knows_utf_8(text: str) -> None:
    data = text.encode()

    assert text_state(data) == "complete"
    assert all(text_state(data[:end]) == "incomplete" for end in range(1, len(data)))


@pytest.mark.parametrize(
    "data", [b"\x80", b"\xc1\x81", b"\xe0\x9f", b"\xed\xa0", b"\xf0\x8f", b"\xf4\x90", b"\xf5", b"\xe2\x82a"]
)
def test_reference_knows_what_is_not_utf_8(data: bytes) -> None:
    assert text_state(data) == "invalid"


@pytest.mark.parametrize(
    "events",
    [
        [],
        [("message", "other")],
        [("message", "hi"), ("message", "hi")],
        [("message", b"hi")],
        [("message", "hi"), ("violation", 1002)],
    ],
)
def test_differences_from_the_reference_are_found(events: list[tuple[Any, ...]]) -> None:
    expected = parse(valid(TEXT, b"hi"), 300)

    check_events([("message", "hi")], expected)
    with pytest.raises(AssertionError):
        check_events(events, expected)
    with pytest.raises(AssertionError):
        check_events([("message", "hi")], parse(valid(TEXT, b"hi") + valid(CONTINUATION), 300))
