from __future__ import annotations

import contextlib
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serializers.values import VALUES
from wampasgi.errors import RemoteProtocolError, UnserializableValue
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
    | st.builds(cbor2.CBORTag, st.integers(0, 300), st.text() | st.binary() | st.integers()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.binary(), inner),
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
        b"\x61\xff",
        b"\x63\xed\xa0\x80",
        b"\xa1\x63\xed\xa0\x80\x01",
        b"\x7f\x41a\xff",
        b"\x7f\x62\xe2\x82\x61\xac\xff",
        b"\xa1\x01\x02",
        b"\xa1\xf6\x02",
        b"\xa1\xf7\x02",
        b"\xa1\x80\x02",
        b"\xa1\xa0\x02",
        b"\xa2\x61a\x01\x61a\x01",
        b"\xbf\x61a\x01\x61a\x02\xff",
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


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ("a1416101", "Dict key must be str"),
        ("3bffffffffffffffff", "64-bit"),
        ("e0", "CBORSimpleValue"),
        ("f8ff", "CBORSimpleValue"),
    ],
    ids=["bytes as key", "negative integer of 65 bits", "simple value 0", "simple value 255"],
)
def test_value_without_a_wamp_type_is_a_violation(item: str, text: str) -> None:
    with pytest.raises(RemoteProtocolError, match=text):
        CBOR.decode(message(item))


def test_messages_at_the_maximum_depth_of_json_are_decoded() -> None:
    data = b"\x81" * 253 + b"\x80"

    decoded: Any = CBOR.decode(data)

    assert CBOR.encode(decoded) == data
    assert MSGPACK.decode(MSGPACK.encode(decoded)) == decoded
    assert JSON.decode(JSON.encode(decoded)) == decoded


@pytest.mark.parametrize(
    ("item", "value"),
    [
        ("c06a323032362d31312d3233", "2026-11-23"),
        ("c11a69400000", 0x69400000),
        ("c1fb41d452d9e2000000", 1363896200.0),
        ("c240", 0),
        ("c248ffffffffffffffff", 2**64 - 1),
        ("c24a0000ffffffffffffffff", 2**64 - 1),
        ("c3487fffffffffffffff", -(2**63)),
        ("d82066613a2f2f622f", "a://b/"),
        ("d825500123456789abcdef0123456789abcdef", "01234567-89ab-cdef-0123-456789abcdef"),
        ("d84043000102", b"\x00\x01\x02"),
        ("d903ec6a323032362d31312d3233", "2026-11-23"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_tag_of_a_plain_value_is_decoded_to_that_value(item: str, value: object) -> None:
    decoded: Any = CBOR.decode(message(item))

    assert decoded == [value]
    assert type(decoded[0]) is type(value)


@pytest.mark.parametrize(
    ("item", "tag"),
    [
        ("c4822001", 4),
        ("c5822001", 5),
        ("d8188180", 24),
        ("d81900", 25),
        ("d81c80", 28),
        ("d81d00", 29),
        ("d81e820102", 30),
        ("d8236161", 35),
        ("d8246161", 36),
        ("d83444c0000201", 52),
        ("d8365020010db8000000000000000000000001", 54),
        ("d8641a00010000", 100),
        ("d90100836361616163626262d81900", 25),
        ("d9010080", 256),
        ("d9010280", 258),
        ("d9010444c0000201", 260),
        ("d90105a144c00002001818", 261),
        ("d903e700", 999),
        ("d9a7f8820102", 43000),
        ("d9d9f780", 55799),
        ("db00000001000000006161", 2**32),
    ],
)
def test_every_other_tag_is_a_violation(item: str, tag: int) -> None:
    with pytest.raises(RemoteProtocolError) as raised:
        CBOR.decode(message(item))

    assert str(raised.value).startswith("malformed CBOR: ")
    assert f"tag {tag} is not supported" in str(raised.value)


@pytest.mark.parametrize(
    "item",
    ["c001", "c16161", "c180", "c201", "c249010000000000000000", "c26161", "d82001", "d8254100", "d8406161"],
)
def test_tag_with_an_invalid_value_is_a_violation(item: str) -> None:
    with pytest.raises(RemoteProtocolError, match=r"malformed CBOR: tag [0-9]+ requires "):
        CBOR.decode(message(item))


def test_value_that_refers_to_itself_is_a_violation() -> None:
    with pytest.raises(RemoteProtocolError, match="malformed CBOR"):
        CBOR.decode(bytes.fromhex("d81c81d81d00"))


def test_colliding_keys_are_refused_at_the_first_one() -> None:
    key = cbor2.dumps((1, 2))

    with pytest.raises(RemoteProtocolError, match="map key must be a text string"):
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


@pytest.mark.parametrize("tag", [b"\xc0", b"\xc1", b"\xc2", b"\xd8\x20", b"\xd8\x25", b"\xd9\x03\xec"])
def test_tag_without_a_value_after_a_message_is_a_violation(tag: bytes) -> None:
    serializer = CBORSerializer()

    with pytest.raises(RemoteProtocolError, match="malformed CBOR"):
        serializer.decode(serializer.encode([1]) + tag)
