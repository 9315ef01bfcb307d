from __future__ import annotations

import contextlib
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serializers.values import VALUES
from wampasgi.errors import RemoteProtocolError, UnserializableValue, UnsupportedValue
from wampasgi.serializers import JSON, MSGPACK
from wampasgi.serializers.cbor import CBORSerializer

CBOR = CBORSerializer()

# Values that cbor2 encodes with tags or that other formats do not support.
FOREIGN = VALUES | st.recursive(
    st.integers()
    | st.decimals()
    | st.fractions()
    | st.datetimes(timezones=st.timezones())
    | st.dates()
    | st.uuids()
    | st.ip_addresses()
    | st.complex_numbers()
    | st.just(cbor2.undefined)
    | st.frozensets(st.text() | st.decimals(allow_nan=False) | st.integers())
    | st.builds(cbor2.CBORTag, st.integers(0, 300), st.text() | st.binary() | st.integers()),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers() | st.floats() | st.booleans() | st.binary(), inner)
    ),
    max_leaves=6,
)


def message(hexadecimal: str) -> bytes:
    """Return an encoded array with one item."""
    return b"\x81" + bytes.fromhex(hexadecimal)


def test_messages_are_bytes() -> None:
    assert (CBOR.name, CBOR.binary) == ("cbor", True)
    assert CBOR.encode([48, 1, {}, "com.p"]) == b"\x84\x18\x30\x01\xa0\x65com.p"


@settings(deadline=None)
@given(
    st.binary(max_size=60)
    | FOREIGN.map(cbor2.dumps)
    | FOREIGN.map(lambda value: cbor2.dumps([value, value], value_sharing=True, string_referencing=True))
    | VALUES.map(lambda value: cbor2.dumps([value], indefinite_containers=True))
    | VALUES.map(lambda value: cbor2.dumps([value])[:-1])
)
def test_random_bytes_are_decoded_or_refused(data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        decoded = CBOR.decode(data)
        CBOR.encode([decoded])
        MSGPACK.encode([decoded])
        with contextlib.suppress(UnserializableValue):
            JSON.encode([decoded])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1c",
        b"\xfc",
        b"\xff",
        b"\x81\xff",
        b"\xf8\x00",
        b"\x81",
        b"\x80\x80",
        b"\x9f",
        b"\x9f\x80",
        b"\xbf\x61a\xff",
        b"\x65abc",
        b"\x7f\x41a\xff",
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x9a\xff\xff\xff\xff",
        b"\xba\xff\xff\xff\xff",
        b"\x7a\xff\xff\xff\xffabc",
        b"\x5a\xff\xff\xff\xffabc",
        b"\x81" * 100_000,
        b"\x9f" * 100_000,
        b"\x5f" * 100_000,
        b"\xc1" * 100_000,
        b"\x81" * 255 + b"\x80",
        b"\xa1\x61a" * 255 + b"\xa0",
    ],
    ids=lambda data: data[:8].hex() or "nothing",
)
def test_malformed_bytes_are_a_violation(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match=r"^malformed CBOR: "):
        CBOR.decode(data)


# Hexadecimal items that are valid CBOR, or nearly so, and the reason why they are refused.
UNSUPPORTED = [
    ("61ff", "not valid UTF-8"),
    ("63eda080", "not valid UTF-8"),
    ("a163eda08001", "not valid UTF-8"),
    ("7f62e28261acff", "not valid UTF-8"),
    ("a1416101", "got bytes"),
    ("a1f602", "a map key must be text, a number or a boolean, got NoneType"),
    ("a1f702", "got NoneType"),
    ("a18002", "got list"),
    ("a1a002", "got dict"),
    ("a2616101616101", "two keys with the text 'a'"),
    ("bf616101616102ff", "two keys with the text 'a'"),
    ("a20101613102", "two keys with the text '1'"),
    ("e0", "simple value 0"),
    ("f8ff", "simple value 255"),
    # Tags
    ("c5822001", "tag 5 is not supported"),
    ("d8188180", "tag 24 is not supported"),
    ("d81900", "tag 25 is not supported"),
    ("d81c80", "tag 28 is not supported"),
    ("d81c81d81d00", "tag 29 is not supported"),
    ("d81d00", "tag 29 is not supported"),
    ("d90100836361616163626262d81900", "tag 25 is not supported"),
    ("d9010080", "tag 256 is not supported"),
    ("d9d9f780", "tag 55799 is not supported"),
    ("d903e700", "tag 999 is not supported"),
    ("db00000001000000006161", "tag 4294967296 is not supported"),
    # Tags with another value than they require
    ("c001", "tag 0 requires"),
    ("c16161", "tag 1 requires"),
    ("c180", "tag 1 requires"),
    ("c1f97e00", "tag 1 requires"),
    ("c11b00ffffffffffffff", "tag 1 requires a number of seconds, in the years 1 to 9999"),
    ("c201", "tag 2 requires"),
    ("c26161", "tag 2 requires"),
    ("c2590401" + "01" * 1025, "tag 2 requires the bytes of an integer with at most 8192 bits"),
    ("c3590401" + "01" * 1025, "tag 3 requires"),
    ("c401", "tag 4 requires"),
    ("c4811801", "tag 4 requires"),
    ("c4821a000f424001", "tag 4 requires a pair of integers, the first up to 999999"),
    ("c482fb3ff000000000000001", "tag 4 requires"),
    ("d81e820100", "tag 30 requires a pair of integers, the second not 0"),
    ("d82001", "tag 32 requires"),
    ("d82301", "tag 35 requires"),
    ("d8254100", "tag 37 requires"),
    ("d8344100", "tag 52 requires"),
    ("d834821821440a000001", "tag 52 requires"),
    ("d8364100", "tag 54 requires"),
    ("d8406161", "tag 64 requires"),
    ("d8641b00ffffffffffffff", "tag 100 requires"),
    ("d9010201", "tag 258 requires"),
    ("d9010380", "tag 259 requires"),
    ("d904014101", "tag 1025 is not supported"),
    ("d90105a0", "tag 261 requires"),
    ("d9a7f8820102", "tag 43000 requires"),
]


@pytest.mark.parametrize(("item", "text"), UNSUPPORTED, ids=lambda value: value[:24])
def test_value_that_cannot_be_passed_on_is_reported_with_the_request(item: str, text: str) -> None:
    head = cbor2.dumps([48, 7, {}, "com.p"])[1:]

    with pytest.raises(UnsupportedValue) as raised:
        CBOR.decode(b"\x85" + head + message(item))

    assert raised.value.message.startswith("unsupported value in CBOR: ")
    assert text in raised.value.message
    assert raised.value.head == (48, 7, {}, "com.p")


def test_messages_at_the_maximum_depth_of_json_are_decoded() -> None:
    data = b"\x81" * 253 + b"\x80"

    decoded: Any = CBOR.decode(data)

    assert CBOR.encode(decoded) == data
    assert MSGPACK.decode(MSGPACK.encode(decoded)) == decoded
    assert JSON.decode(JSON.encode(decoded)) == decoded


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("c240", 0),
        ("c248ffffffffffffffff", 2**64 - 1),
        ("c24a0000ffffffffffffffff", 2**64 - 1),
        ("c3487fffffffffffffff", -(2**63)),
        ("c249400000000000000000", 2**70),
        ("3bffffffffffffffff", -(2**64)),
        ("c2590400" + "ff" * 1024, 2**8192 - 1),
        ("d82066613a2f2f622f", "a://b/"),
        ("d84043000102", b"\x00\x01\x02"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else None,
)
def test_tag_of_a_plain_value_is_decoded_to_that_value(item: str, value: object) -> None:
    decoded: Any = CBOR.decode(message(item))

    assert decoded == [value]
    assert type(decoded[0]) is type(value)


def test_colliding_keys_are_refused_at_the_first_one() -> None:
    key = cbor2.dumps((1, 2))

    with pytest.raises(UnsupportedValue, match="a map key must be text, a number or a boolean, got list"):
        CBOR.decode(b"\xb9\xff\xff" + (key + b"\x00") * 0xFFFF)


def test_chunked_strings_are_joined() -> None:
    assert CBOR.decode(bytes.fromhex("9f7f61616162ff5f41614162ffff")) == ["ab", b"ab"]


def test_undefined_is_decoded_to_none() -> None:
    data = cbor2.dumps([32, 1, {"match": cbor2.undefined, "b": [cbor2.undefined, {"c": b"\xf7"}]}])

    assert CBOR.decode(data) == [32, 1, {"match": None, "b": [None, {"c": b"\xf7"}]}]
    assert CBOR.decode(b"\xf7") is None


def test_list_that_occurs_twice_is_written_twice() -> None:
    twice = [1]

    assert CBOR.encode([twice, twice]) == b"\x82\x81\x01\x81\x01"


@pytest.mark.parametrize(
    "tag",
    [
        b"\xd9\x01\x02",
        b"\xd9\xd9\xf7",
        b"\xc4",
        b"\xc0",
        b"\xc1",
        b"\xc2",
        b"\xd8\x20",
        b"\xd8\x25",
        b"\xd9\x03\xec",
    ],
)
def test_tag_without_a_value_after_a_message_is_a_violation(tag: bytes) -> None:
    serializer = CBORSerializer()

    with pytest.raises(RemoteProtocolError, match="malformed CBOR: extra data after the message"):
        serializer.decode(serializer.encode([1]) + tag)
