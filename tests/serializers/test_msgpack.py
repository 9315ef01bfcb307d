from __future__ import annotations

import contextlib

import ormsgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serializers.values import VALUES
from wampasgi.errors import RemoteProtocolError, UnserializableValue
from wampasgi.serializers import JSON, MSGPACK


def test_messages_are_bytes() -> None:
    assert (MSGPACK.name, MSGPACK.binary) == ("msgpack", True)
    assert MSGPACK.encode([48, 1, {}, "com.p"]) == b"\x94\x30\x01\x80\xa5com.p"


@settings(deadline=None)
@given(st.binary(max_size=60) | VALUES.map(lambda value: ormsgpack.packb([value])[:-1]))
def test_random_bytes_are_decoded_or_refused(data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decoded = MSGPACK.decode(data)
        MSGPACK.encode([decoded])
        with contextlib.suppress(UnserializableValue):
            JSON.encode([decoded])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x91",
        b"\x90\x90",
        b"\x90\xc0",
        b"\xa5abc",
        b"\xa1\xff",
        b"\xa3\xed\xa0\x80",
        b"\xd4\x01a",
        b"\xc7\x01\x05a",
        b"\x91\xd6\xff\x00\x00\x00\x00",
        b"\xd7\xff" + b"\0" * 8,
        b"\x81\x01\x02",
        b"\x81\xc0\x02",
        b"\x81\xc4\x01a\x02",
        b"\x81\x90\x02",
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xdb\xff\xff\xff\xffabc",
        b"\xc6\xff\xff\xff\xffabc",
        b"\x91" * 100_000,
        b"\x91" * 1500 + b"\x90",
        b"\x81\xa1a" * 1500 + b"\x90",
    ],
    ids=lambda data: data[:8].hex() or "nothing",
)
def test_malformed_bytes_are_a_violation(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=r"^malformed MessagePack: "):
        MSGPACK.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"\x91" * 260 + b"\x90",
        b"\x91" * 1000 + b"\x90",
        b"\x81\xa1a" * 260 + b"\x90",
        b"\xdc\x00\x01" * 260 + b"\x90",
        b"\xdd\x00\x00\x00\x01" * 260 + b"\x90",
        b"\xde\x00\x01\xa1a" * 260 + b"\xc4\x00",
        b"\xdf\x00\x00\x00\x01\xa1a" * 260 + b"\x90",
    ],
    ids=lambda data: data[:8].hex(),
)
def test_nesting_that_could_not_be_encoded_again_is_a_violation(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="nested too deeply"):
        MSGPACK.decode(data)


def test_undefined_of_javascript_clients_is_decoded_to_none() -> None:
    assert MSGPACK.decode(b"\x93\x20\x01\x81\xa5match\xd4\x00\x00") == [32, 1, {"match": None}]


@pytest.mark.parametrize("extension", [b"\xd4\x00\x01", b"\xd4\x01\x00", b"\xd6\xff\x00\x00\x00\x00"])
def test_every_other_extension_type_is_a_violation(extension: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        MSGPACK.decode(b"\x91" + extension)
