from __future__ import annotations

import contextlib

import ormsgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serializers.values import VALUES
from wampasgi.errors import RemoteProtocolError, UnserializableValue, UnsupportedValue
from wampasgi.serializers import JSON, MSGPACK

# Values that other formats do not support.
FOREIGN = st.recursive(
    st.builds(ormsgpack.Ext, st.integers(0, 127), st.binary(max_size=20)) | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.booleans(), inner)
    ),
    max_leaves=6,
)


def test_messages_are_bytes() -> None:
    assert (MSGPACK.name, MSGPACK.binary) == ("msgpack", True)
    assert MSGPACK.encode([48, 1, {}, "com.p"]) == b"\x94\x30\x01\x80\xa5com.p"


@settings(deadline=None)
@given(
    st.binary(max_size=60)
    | VALUES.map(lambda value: ormsgpack.packb([value])[:-1])
    | FOREIGN.map(lambda value: ormsgpack.packb([value], option=ormsgpack.OPT_NON_STR_KEYS))
)
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


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (b"\xa1\xff", "not valid UTF-8"),
        (b"\xa3\xed\xa0\x80", "not valid UTF-8"),
        (b"\x81\xc0\x02", "a map key must be text, a number or a boolean, got NoneType"),
        (b"\x81\xc4\x01a\x02", "got bytes"),
        (b"\x81\x90\x02", "got list"),
        (b"\x81\xd4\x05a\x02", "got ForeignBytes"),
        (b"\x82\x01\x01\x01\x02", "two keys with the text '1'"),
        (b"\x82\x01\x01\xa11\x02", "two keys with the text '1'"),
        (b"\xd4\xff\x00", "a timestamp must have 4, 8 or 12 bytes, got 1"),
        (b"\xd7\xff" + b"\xff" * 8, "more than 999999999 nanoseconds"),
        (b"\xc7\x0c\xff\0\0\0\0" + b"\x7f" * 8, "in the years 1 to 9999"),
    ],
    ids=lambda value: value[:8].hex() if isinstance(value, bytes) else value,
)
def test_value_that_cannot_be_passed_on_is_reported_with_the_request(item: bytes, text: str) -> None:
    head = ormsgpack.packb([48, 7, {}, "com.p"])[1:]

    with pytest.raises(UnsupportedValue) as raised:
        MSGPACK.decode(b"\x95" + head + b"\x91" + item)

    assert raised.value.message.startswith("unsupported value in MessagePack: ")
    assert text in raised.value.message
    assert raised.value.head == (48, 7, {}, "com.p")
