"""Values of one format that the others do not have: decimals, sets, timestamps, maps with integer keys."""

from __future__ import annotations

import copy
import pickle
import re
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from email.mime.text import MIMEText
from fractions import Fraction
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any
from uuid import UUID

import cbor2
import ormsgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wampasgi.errors import UnserializableValue, UnsupportedValue
from wampasgi.serializers import JSON, MSGPACK, Serializer, plain_copy
from wampasgi.serializers.cbor import CBORSerializer
from wampasgi.serializers.cbor_reader import CBORReader
from wampasgi.serializers.msgpack_reader import MsgPackReader
from wampasgi.serializers.reader import ADDRESS_COST, MAX_VALUES, TAG_COST

CBOR = CBORSerializer()
RAW = UUID("01234567-89ab-cdef-0123-456789abcdef")

# A value that cbor2 encodes, and the value that stands for it in other formats.
CBOR_VALUES: list[tuple[Any, Any]] = [
    (Decimal("1.50"), "1.50"),
    (Decimal("-0.000000000000000000000000000000000001"), "-1E-36"),
    (Decimal(2**200), str(2**200)),
    (Decimal("1E+999999"), "1E+999999"),
    (Fraction(1, 3), "1/3"),
    (Fraction(-4, 2), "-2"),
    (1 + 2j, "1+2j"),
    (datetime(2026, 11, 22, 9, 30, tzinfo=UTC), "2026-11-22T09:30:00Z"),
    (
        datetime(2026, 11, 22, 9, 30, 0, 5, timezone(timedelta(hours=1))),
        "2026-11-22T09:30:00.000005+01:00",
    ),
    (date(2026, 11, 22), "2026-11-22"),
    (RAW, str(RAW)),
    (re.compile("a.b"), "a.b"),
    (ip_address("10.0.0.1"), "10.0.0.1"),
    (ip_network("10.0.0.0/8"), "10.0.0.0/8"),
    (ip_interface("10.0.0.1/8"), "10.0.0.1/8"),
    (ip_address("fe80::1"), "fe80::1"),
    (ip_address("fe80::1%eth0"), "fe80::1%eth0"),
    (ip_network("fe80::/10"), "fe80::/10"),
    (ip_interface("fe80::1/10"), "fe80::1/10"),
    (ip_interface("fe80::1%eth0/10"), "fe80::1%eth0/10"),
    (cbor2.CBORTag(1, 1363896240), "2013-03-21T20:04:00+00:00"),
    (cbor2.CBORTag(1, 1363896240.5), "2013-03-21T20:04:00.500000+00:00"),
    (cbor2.CBORTag(1, -1), "1969-12-31T23:59:59+00:00"),
    (cbor2.CBORTag(100, 20779), "2026-11-22"),
    (cbor2.CBORTag(260, bytes([10, 0, 0, 1])), "10.0.0.1"),
    (cbor2.CBORTag(260, bytes.fromhex("0123456789ab")), "01:23:45:67:89:ab"),
    (cbor2.CBORTag(261, {bytes([10, 0, 0, 0]): 8}), "10.0.0.0/8"),
    (set(), []),
    ({1}, [1]),
    ({"a"}, ["a"]),
    ({Decimal("1.5")}, ["1.5"]),
    ({frozenset({1})}, [[1]]),
    ({1: "a"}, {"1": "a"}),
    ({-1: {2**63: [Decimal("0.1")]}}, {"-1": {str(2**63): ["0.1"]}}),
    ({1.5: 0, True: 1, "x": 2}, {"1.5": 0, "true": 1, "x": 2}),
    ({Decimal("1.5"): 1, RAW: 2}, {"1.5": 1, str(RAW): 2}),
    (cbor2.CBORTag(259, {"a": 1}), {"a": 1}),
    (cbor2.CBORTag(259, {1: 1}), {"1": 1}),
    (2**70, 2**70),
    (-(2**70), -(2**70)),
]


def values(cases: list[tuple[Any, Any]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("value", "expected"), cases, ids=lambda value: repr(value)[:40])


def decoded(serializer: Serializer, data: bytes) -> list[Any]:
    message = serializer.decode(data)
    assert isinstance(message, list)
    return message


def as_type(value: Any) -> Any:
    """Return a value that tells tags, sets and lists apart when it is compared."""
    if isinstance(value, list | tuple | set | frozenset):
        kind = "set" if isinstance(value, set | frozenset) else "list"
        return kind, sorted(map(repr, map(as_type, value)))
    if isinstance(value, dict):
        return "dict", sorted((repr(key), as_type(item)) for key, item in value.items())
    return type(value).__name__, repr(value)


# CBOR


@values(CBOR_VALUES)
def test_value_of_cbor_is_restored_for_cbor(value: Any, expected: Any) -> None:
    data = cbor2.dumps([1, value, {"deep": [value]}])

    again = CBOR.encode(decoded(CBOR, data))

    assert as_type(cbor2.loads(again)) == as_type(cbor2.loads(data))


def test_mime_message_is_restored_for_cbor() -> None:
    data = cbor2.dumps([MIMEText("hello")])

    message = decoded(CBOR, data)

    assert "hello" in message[0]
    assert CBOR.encode(message) == data


@values(CBOR_VALUES)
def test_value_of_cbor_is_plain_for_handlers_and_json(value: Any, expected: Any) -> None:
    message = decoded(CBOR, cbor2.dumps([value]))

    assert message == [expected]
    if not isinstance(expected, int):
        assert JSON.decode(JSON.encode(message)) == [expected]


@values([(value, expected) for value, expected in CBOR_VALUES if not isinstance(value, int)])
def test_value_of_cbor_is_plain_for_messagepack(value: Any, expected: Any) -> None:
    data = MSGPACK.encode(decoded(CBOR, cbor2.dumps([value])))

    assert ormsgpack.unpackb(data) == [expected]


def test_large_integer_is_a_number_in_json_and_text_in_messagepack() -> None:
    for message in ([2**70], decoded(CBOR, cbor2.dumps([2**70]))):
        assert JSON.encode(message) == "[1180591620717411303424]"
        assert ormsgpack.unpackb(MSGPACK.encode(message)) == ["1180591620717411303424"]
        assert cbor2.loads(CBOR.encode(message)) == [2**70]


def test_integer_that_python_does_not_write_as_text_is_unserializable() -> None:
    for serializer in (JSON, MSGPACK):
        with pytest.raises(UnserializableValue):
            serializer.encode([10**5000])


def test_foreign_values_among_own_ones_are_restored() -> None:
    message = decoded(CBOR, cbor2.dumps([{Decimal("1.50"), "a"}, {1: Decimal("2.50")}, 2**70]))

    # A tuple and a Decimal, as a handler may return them: an own Decimal is text in every format.
    data = CBOR.encode([(message[0], Decimal("3.50")), [(message[1], message[2])]])

    assert cbor2.loads(data) == [[{Decimal("1.50"), "a"}, "3.50"], [[{1: Decimal("2.50")}, 2**70]]]


def test_undefined_in_a_foreign_value_is_decoded_to_none() -> None:
    data = bytes.fromhex("83 d9010281f7 d90103a16161f7 a101f7")

    assert CBOR.decode(data) == [[None], {"a": None}, {"1": None}]


# MessagePack

TIMESTAMPS = [
    ("00000000", "1970-01-01T00:00:00+00:00"),
    ("77359400514b67b0", "2013-03-21T20:04:00.500000+00:00"),
    ("00000004514b67b0", "2013-03-21T20:04:00.000000001+00:00"),
    ("3b9ac618ffffffffffffffff", "1969-12-31T23:59:59.999999+00:00"),
]


@pytest.mark.parametrize(("data", "expected"), TIMESTAMPS)
def test_timestamp_of_messagepack_is_text_for_others(data: str, expected: str) -> None:
    frame = b"\x91" + _extension(-1, bytes.fromhex(data))

    message = decoded(MSGPACK, frame)

    assert message == [expected]
    assert MSGPACK.encode(message) == frame
    assert JSON.decode(JSON.encode(message)) == [expected]
    assert cbor2.loads(CBOR.encode(message)) == [expected]


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 8, 12, 16, 17, 255, 256, 65535, 65536])
@pytest.mark.parametrize("kind", [0, 5, 127, -2, -128])
def test_extension_of_messagepack_is_bytes_for_others(kind: int, length: int) -> None:
    content = b"x" * length
    frame = b"\x91" + _extension(kind, content)

    message = decoded(MSGPACK, frame)

    assert message == [content]
    assert MSGPACK.encode(message) == frame
    assert JSON.decode(JSON.encode(message)) == [content]
    assert cbor2.loads(CBOR.encode(message)) == [content]


def _extension(kind: int, content: bytes) -> bytes:
    """Return an encoded extension. The codec does not write the reserved types, below 0."""
    packed = ormsgpack.packb(ormsgpack.Ext(0, content))
    header = packed[: len(packed) - len(content) - 1]
    return header + kind.to_bytes(1, "big", signed=True) + content


@values(
    [
        ({1: "a"}, {"1": "a"}),
        ({-1: {2**63: [1, {0: None}]}}, {"-1": {str(2**63): [1, {"0": None}]}}),
        ({1.5: 0, True: 1, "x": 2}, {"1.5": 0, "true": 1, "x": 2}),
        ({number: number for number in range(20)}, {str(number): number for number in range(20)}),
    ]
)
def test_map_of_messagepack_has_text_as_keys_for_others(value: Any, expected: Any) -> None:
    frame = ormsgpack.packb([value], option=ormsgpack.OPT_NON_STR_KEYS)

    message = decoded(MSGPACK, frame)

    assert message == [expected]
    assert MSGPACK.encode(message) == frame
    assert JSON.decode(JSON.encode(message)) == [expected]
    assert cbor2.loads(CBOR.encode(message)) == [expected]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.integers(-(2**63), 2**64 - 1), inner).filter(
            lambda value: len(set(map(str, value))) == len(value)
        )
    ),
    max_leaves=15,
)


@settings(deadline=None)
@given(VALUES)
def test_maps_with_integer_keys_are_restored(value: Any) -> None:
    as_msgpack = ormsgpack.packb([value], option=ormsgpack.OPT_NON_STR_KEYS)
    as_cbor = cbor2.dumps([value])

    assert MSGPACK.encode(decoded(MSGPACK, as_msgpack)) == as_msgpack
    assert CBOR.encode(decoded(CBOR, as_cbor)) == as_cbor
    assert MSGPACK.decode(as_msgpack) == CBOR.decode(as_cbor)


@settings(deadline=None)
@given(VALUES)
def test_readers_in_python_agree_with_the_codecs(value: Any) -> None:
    as_msgpack = ormsgpack.packb([value], option=ormsgpack.OPT_NON_STR_KEYS)

    assert MsgPackReader(as_msgpack).read() == MSGPACK.decode(as_msgpack)
    for indefinite in (False, True):
        as_cbor = cbor2.dumps([value], indefinite_containers=indefinite)
        assert CBORReader(as_cbor).read() == CBOR.decode(as_cbor)


# As objects of Python


def test_foreign_values_are_usual_objects_of_python() -> None:
    [price, names, by_id, data] = decoded_examples()

    assert (type(price + ""), f"{price:>6}", price.format()) == (str, "  1.50", "1.50")
    assert sorted([*names, "b"]) == ["a", "b"]
    assert by_id | {"2": "b"} == {"1": "a", "2": "b"}
    assert data + b"!" == b"ext!"


def test_foreign_values_can_be_copied_and_pickled() -> None:
    ways: list[Callable[[Any], Any]] = [
        copy.copy,
        copy.deepcopy,
        lambda value: pickle.loads(pickle.dumps(value)),
    ]
    for again in ways:
        for value, encoded in zip(decoded_examples(), encoded_examples(), strict=True):
            copied = again(value)
            assert copied == value
            assert encoded in (CBOR.encode([copied]), MSGPACK.encode([copied]))


def test_changed_container_is_written_with_its_changes() -> None:
    [_, names, by_id, _] = decoded_examples()
    names.append("b")
    del by_id["1"]
    by_id["x"] = 2
    by_id["1"] = 1

    assert cbor2.loads(CBOR.encode([names, by_id])) == [{"a", "b"}, {"x": 2, 1: 1}]


def test_size_of_a_foreign_value_includes_its_origin() -> None:
    for value in decoded_examples():
        kinds: list[Any] = [str, list, dict, bytes]
        plain = next(kind(value) for kind in kinds if isinstance(value, kind))
        assert sys.getsizeof(value) > sys.getsizeof(plain)


def test_copy_keeps_the_origin_of_values() -> None:
    message = decoded(CBOR, cbor2.dumps([Decimal("1.50"), {1: [{"a"}]}, 2**70]))

    copied = plain_copy({"value": (message, Decimal("2.50"))}, "the test")
    message[1]["1"].append("later")

    assert cbor2.loads(CBOR.encode(copied["value"])) == [[Decimal("1.50"), {1: [{"a"}]}, 2**70], "2.50"]
    with pytest.raises(UnserializableValue, match=r"the test cannot serialize the message: .*object"):
        plain_copy([object()], "the test")


def decoded_examples() -> list[Any]:
    return [
        *decoded(CBOR, cbor2.dumps([Decimal("1.50"), {"a"}, {1: "a"}])),
        *decoded(MSGPACK, ormsgpack.packb([ormsgpack.Ext(5, b"ext")])),
    ]


def encoded_examples() -> list[bytes]:
    return [
        *[cbor2.dumps([value]) for value in (Decimal("1.50"), {"a"}, {1: "a"})],
        ormsgpack.packb([ormsgpack.Ext(5, b"ext")]),
    ]


# Limits


MESSAGEPACK_HEAD = b"\x95\x30\x07\x80\xa1p\xdd\x00\x01\x86\xa0"
CBOR_HEAD = b"\x85\x18\x30\x07\xa0\x61p\x9a\x00\x01\x86\xa0"
EXTENSION, TIMESTAMP = b"\xd4\x05\x00", b"\xd6\xff\x60\x00\x00\x01"
ADDRESS, DATE = b"\xd8\x34\x44\x01\x02\x03\x04", b"\xc1\x00"


@pytest.mark.parametrize(
    ("serializer", "data"),
    [
        (MSGPACK, MESSAGEPACK_HEAD + b"\x81\x01\x01" + b"\x00" * MAX_VALUES),
        (CBOR, CBOR_HEAD + b"\xa1\x01\x01" + b"\x00" * MAX_VALUES),
        (MSGPACK, MESSAGEPACK_HEAD + EXTENSION * (MAX_VALUES // TAG_COST + 1)),
        (MSGPACK, MESSAGEPACK_HEAD + TIMESTAMP * (MAX_VALUES // TAG_COST + 1)),
        (CBOR, CBOR_HEAD + DATE * (MAX_VALUES // TAG_COST + 1)),
        (CBOR, CBOR_HEAD + ADDRESS * (MAX_VALUES // ADDRESS_COST + 1)),
        # Half of them before the first value that needs the reader, which reads them again.
        (MSGPACK, MESSAGEPACK_HEAD + EXTENSION * (MAX_VALUES // TAG_COST) + b"\x81\x01\x01"),
        (CBOR, CBOR_HEAD + DATE * (MAX_VALUES // TAG_COST) + b"\xa1\x01\x01"),
    ],
)
def test_message_with_foreign_values_may_have_a_limited_number_of_values(
    serializer: Serializer, data: bytes
) -> None:
    with pytest.raises(UnsupportedValue, match=f"more than {MAX_VALUES} values") as caught:
        serializer.decode(data)

    # Enough is known to refuse the request.
    assert list(caught.value.head[:4]) == [48, 7, {}, "p"]


@pytest.mark.parametrize(
    ("serializer", "value"),
    [
        (MSGPACK, ormsgpack.packb([ormsgpack.Ext(5, b"x")] * (MAX_VALUES // TAG_COST))),
        (MSGPACK, b"\xdd\x00\x01\x86\xa0" + b"\xd4\x00\x00" * 100_000),
        (CBOR, cbor2.dumps([Decimal("1.5")] * (MAX_VALUES // TAG_COST))),
        (CBOR, cbor2.dumps([ip_address("192.0.2.1")] * (MAX_VALUES // ADDRESS_COST))),
    ],
    ids=["extensions", "undefined", "tags", "addresses"],
)
def test_as_many_foreign_values_as_the_limit_are_decoded(serializer: Serializer, value: bytes) -> None:
    decoded = serializer.decode(value)

    assert isinstance(decoded, list)
    assert len(set(decoded)) == 1


def test_long_message_without_foreign_values_is_not_limited() -> None:
    # The bytes of these strings could also be tags.
    message = ["ДДДДД"] * 200_000

    assert CBOR.decode(CBOR.encode(message)) == message
    assert MSGPACK.decode(MSGPACK.encode(message)) == message
