"""Memory that peers can make the serializers allocate."""

from __future__ import annotations

import tracemalloc

import pytest

from wampasgi.errors import RemoteProtocolError
from wampasgi.serializers import SUBPROTOCOLS

# Codecs allocate memory for a few items per list in advance, on at most a thousand levels.
MAX_MEMORY = 1024 * 1024


def peak_of(subprotocol: str, data: str | bytes) -> int:
    """Return the peak memory for decoding ``data``, in bytes."""
    tracemalloc.start()
    try:
        SUBPROTOCOLS[subprotocol].messages(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def peak_of_refusal(subprotocol: str, data: str | bytes) -> int:
    """Return the peak memory for refusing ``data``, in bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError):
            SUBPROTOCOLS[subprotocol].messages(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("subprotocol", "data"),
    [
        ("wamp.2.msgpack", b"\xdd\xff\xff\xff\xff"),
        ("wamp.2.msgpack", b"\xdf\xff\xff\xff\xff"),
        ("wamp.2.msgpack", b"\xdb\xff\xff\xff\xff"),
        ("wamp.2.msgpack", b"\xc6\xff\xff\xff\xff"),
        ("wamp.2.msgpack", b"\xc9\xff\xff\xff\xff\x01"),
        ("wamp.2.msgpack", b"\xdd\x10\x00\x00\x00" * 200),
        ("wamp.2.msgpack", b"\xdd\x10\x00\x00\x00" * 2000),
        ("wamp.2.msgpack.batched", b"\xff\xff\xff\xff\x90"),
        ("wamp.2.cbor", b"\x9a\xff\xff\xff\xff"),
        ("wamp.2.cbor", b"\x9b\x00\x00\x00\xff\xff\xff\xff\xff"),
        ("wamp.2.cbor", b"\xba\xff\xff\xff\xff"),
        ("wamp.2.cbor", b"\x7a\xff\xff\xff\xff"),
        ("wamp.2.cbor", b"\x5b\x00\x00\x00\xff\xff\xff\xff\xff"),
        ("wamp.2.cbor", b"\xc2\x5b\x00\x00\x00\xff\xff\xff\xff\xff"),
        ("wamp.2.cbor", b"\x9f" + b"\x5a\x10\x00\x00\x00" * 200),
        ("wamp.2.cbor", b"\x9a\x10\x00\x00\x00" * 200),
        ("wamp.2.cbor", b"\x9a\x10\x00\x00\x00" * 2000),
        ("wamp.2.cbor.batched", b"\xff\xff\xff\xff\x80"),
        ("wamp.2.json", "[" * 5000),
        ("wamp.2.json", "[1e400"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[:10].hex(),
)
def test_declared_lengths_do_not_allocate_memory(subprotocol: str, data: str | bytes) -> None:
    assert peak_of_refusal(subprotocol, data) < MAX_MEMORY


# An empty container takes one byte when serialized and about eighty in memory.
@pytest.mark.parametrize(
    ("subprotocol", "data"),
    [
        ("wamp.2.msgpack", b"\xdd\x00\x01\x86\xa0" + b"\x90" * 100_000),
        ("wamp.2.msgpack", b"\xdd\x00\x01\x86\xa0" + b"\x80" * 100_000),
        ("wamp.2.cbor", b"\x9a\x00\x01\x86\xa0" + b"\x80" * 100_000),
        ("wamp.2.cbor", b"\x9f" + b"\xa0" * 100_000 + b"\xff"),
        ("wamp.2.json", "[" + "[]," * 33_333 + "1]"),
        ("wamp.2.json", "[" + "{}," * 33_333 + "1]"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 20 else None,
)
def test_decoded_data_takes_a_small_multiple_of_the_frame_size(subprotocol: str, data: str | bytes) -> None:
    assert peak_of(subprotocol, data) < 128 * len(data)
