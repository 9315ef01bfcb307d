"""Tests of the frames between workers: a payload must arrive as if both clients were on one worker."""

from __future__ import annotations

import enum
import re
from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import cbor2
import orjson
import ormsgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from tests.serializers.test_foreign import CBOR_VALUES
from tests.serializers.values import VALUES
from wampasgi.errors import UnserializableValue
from wampasgi.serializers import JSON, MSGPACK, Serializer
from wampasgi.serializers.base import Encoded
from wampasgi.serializers.cbor import CBORSerializer
from wampasgi.serializers.foreign import ForeignBytes, ForeignList, ForeignText
from wampasgi.serializers.node_codec import decode_frame, encode_item

CBOR = CBORSerializer()
SERIALIZERS: list[Serializer] = [JSON, MSGPACK, CBOR]

Point = namedtuple("Point", ["x", "y"])


class Color(enum.Enum):
    RED = "red"
    BLUE = 2
    RAW = b"\xff"


class Priority(enum.IntEnum):
    HIGH = 3
    HUGE = 2**70


class Size(enum.StrEnum):
    LARGE = "large"


class Coded(str, enum.Enum):  # noqa: UP042 (its values are not its texts)
    def __new__(cls, text: str, code: int) -> Coded:
        self = str.__new__(cls, text)
        self._value_ = code
        return self

    FIRST = ("first", 1)


@dataclass
class Line:
    start: Point
    raw: bytes
    _cached: int = 0


class Customer(BaseModel):
    name: str = Field(alias="fullName")
    joined: date
    photo: bytes = b""
    total: Decimal = Decimal("9.90")
    points: int = 2**70
    lines: list[Line] = []
    extra: Any = None


class Text(str):
    __slots__ = ()


class Number(int):
    pass


class Token(bytes):
    pass


def carried(value: object) -> Any:
    """Return a value as it arrives at another worker."""
    return decode_frame(encode_item(value))


def written(value: object) -> list[Encoded | None]:
    """Return what each serializer writes for a value, or None if it refuses the value."""
    return [_written(serializer, value) for serializer in SERIALIZERS]


def _written(serializer: Serializer, value: object) -> Encoded | None:
    try:
        return serializer.encode([50, 1, {}, [value]])
    except UnserializableValue:
        return None


def from_client(serializer: Serializer, data: bytes) -> Any:
    message = serializer.decode(data)
    assert isinstance(message, list)
    return message[0]


def extension(kind: int, content: bytes) -> bytes:
    """Return an encoded extension, also one of the reserved types, which the codec does not write."""
    return b"\xc9" + len(content).to_bytes(4, "big") + kind.to_bytes(1, "big", signed=True) + content


def nested(levels: int, value: Any = 1) -> Any:
    for level in range(levels):
        value = {"a": value} if level % 2 else [value]
    return value


ANN = Customer(fullName="Ann", joined=date(2026, 11, 22), photo=b"\x00\xff", lines=[Line(Point(1, 2), b"x")])
SHARED: list[Any] = [1, {"a": 2}]

OWN_VALUES: dict[str, Any] = {
    "none": None,
    "plain": [1, 1.5, True, "ü💬", {"a": None, "b": [False]}, b"\x00\xff", ""],
    "tuples": (1, (2, [3])),
    "not a number": [float("nan"), float("inf"), float("-inf"), -0.0],
    "64 bits": [2**63 - 1, 2**63, 2**64 - 1, -(2**63)],
    "more than 64 bits": [2**64, -(2**63) - 1, 2**70, -(2**70), 2**127, 2**128, -(2**127), {"a": 2**1000}],
    "too long as text": 10**5000,
    "text that JSON reserves": ["\0YQ==", {"\0": 1}],
    "kinds of bytes": [b"", bytearray(b"ab"), memoryview(b"abcd")[1:3], Token(b"x")],
    "subclasses": [Text("a"), Number(5), Number(2**70), OrderedDict(a=1), MappingProxyType({"a": b"x"})],
    "named tuple": Point(1, Decimal(2)),
    "collections": [{b"x"}, frozenset({2**70}), deque([1, {2}])],
    "enums": [Color.RED, Color.BLUE, Color.RAW, Priority.HIGH, Priority.HUGE, Size.LARGE],
    "times": [
        datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
        datetime(2026, 11, 22, 9, 30, 0, 5),
        datetime(5, 1, 1, tzinfo=timezone(timedelta(hours=-1, minutes=-30))),
        date(2026, 11, 22),
        time(9, 30, 0, 7),
        timedelta(hours=36),
    ],
    "texts": [UUID(int=5), Decimal("1.10"), Path("/srv/data"), 1 + 2j, re.compile("a.b")],
    "dataclass": Line(Point(0, 0), b"\xff", 5),
    "model": ANN,
    "models within": {"customers": [ANN, {"again": ANN}]},
    "shared references": [SHARED, SHARED, {"again": SHARED}],
    "long containers": [list(range(70_000)), {str(number): number for number in range(70_000)}],
}


@pytest.mark.parametrize("value", OWN_VALUES.values(), ids=OWN_VALUES)
def test_value_of_a_handler_is_written_like_the_original(value: Any) -> None:
    assert written(carried(value)) == written(value)
    assert written(carried([value, {"deep": [value]}])) == written([value, {"deep": [value]}])


@pytest.mark.parametrize("value", OWN_VALUES.values(), ids=OWN_VALUES)
def test_carried_value_can_be_carried_again(value: Any) -> None:
    assert encode_item(carried(value)) == encode_item(value)


@pytest.mark.parametrize("value", [value for value, _ in CBOR_VALUES], ids=lambda value: repr(value)[:40])
def test_value_of_a_cbor_client_is_written_like_the_original(value: Any) -> None:
    original = from_client(CBOR, cbor2.dumps([[value, {"deep": [value]}, value]]))

    assert written(carried(original)) == written(original)
    assert CBOR.encode([carried(original)]) == cbor2.dumps([[value, {"deep": [value]}, value]])


MSGPACK_VALUES: list[bytes] = [
    *[
        ormsgpack.packb({key: [1, {2: "a", "b": None}]}, option=ormsgpack.OPT_NON_STR_KEYS)
        for key in (1, 1.5)
    ],
    ormsgpack.packb({True: 0, 2**63: {-1: 2}, "x": 3}, option=ormsgpack.OPT_NON_STR_KEYS),
    *[extension(kind, b"x" * size) for kind in (5, 127, -2, -16, -17, -18, -128) for size in (0, 1, 300)],
    *[ormsgpack.packb(ormsgpack.Ext(5, b"x" * size)) for size in (1, 2, 4, 8, 16, 17, 256, 70_000)],
    *[b"\xd4" + bytes([kind]) + b"x" for kind in (0, 0x80, 0xEE, 0xEF, 0xF0)],
    b"\xc7\x04\xf0abcd",
    b"\xd6\xff\x60\x00\x00\x01",
    b"\xd7\xff\x77\x35\x94\x00\x51\x4b\x67\xb0",
]


@pytest.mark.parametrize("data", MSGPACK_VALUES, ids=lambda data: data[:12].hex())
def test_value_of_a_messagepack_client_is_written_like_the_original(data: bytes) -> None:
    original = from_client(MSGPACK, b"\x91" + data)

    for value in (original, [original, {"deep": [original]}]):
        assert written(carried(value)) == written(value)
    assert type(carried(original)) is type(original)


@pytest.mark.parametrize(
    "text",
    ['[{"a":1e300}]', "[18446744073709551616]", '["\\u0000AP8="]', '[{"\\u0000":"a"}]', '["\\ud83d\\ude00"]'],
)
def test_value_of_a_json_client_is_written_like_the_original(text: str) -> None:
    original = JSON.decode(text)

    assert written(carried(original)) == written(original)


def test_changed_container_of_a_client_is_written_with_its_changes() -> None:
    names, by_id = (from_client(CBOR, cbor2.dumps([value])) for value in ({"a"}, {1: "a", 2: "b"}))
    names.append("b")
    del by_id["1"]
    by_id["x"] = names
    by_id["1"] = 2**70

    assert cbor2.loads(CBOR.encode(carried([by_id]))) == [{2: "b", "x": {"a", "b"}, 1: 2**70}]
    assert written(carried(by_id)) == written(by_id)


def test_values_of_other_serializers_keep_their_origin() -> None:
    text = carried(ForeignText("1.50", "custom", {1: [2**70, b"x", None], b"k": (1.5, True)}))
    content = carried(ForeignBytes(b"ab", "custom", [-(2**70)]))
    items = carried(ForeignList([ForeignList([1], "custom", b"inner")], "custom", b"outer"))

    assert (type(text), text, text.origin) == (ForeignText, "1.50", "custom")
    assert text.original == {1: [2**70, b"x", None], b"k": [1.5, True]}
    assert (type(content), content, content.origin) == (ForeignBytes, b"ab", "custom")
    assert content.original == [-(2**70)]
    assert (type(items), items.origin, items.prefix) == (ForeignList, "custom", b"outer")
    assert (type(items[0]), items[0].prefix, items) == (ForeignList, b"inner", [[1]])


@pytest.mark.parametrize(
    "original", [(1, object()), [1, Decimal(1)], (1, {"a": ForeignText("a", "cbor", 1)}), (-1, 1)]
)
def test_foreign_text_whose_original_cannot_be_carried_becomes_plain(original: object) -> None:
    text = carried([ForeignText("a", "cbor", original)])

    assert [(type(value), value) for value in text] == [(str, "a")]


# What a client may send in CBOR and in MessagePack, with keys that do not have the same text.
KEYS = st.text() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.binary(max_size=300)
)


def _with_containers(scalars: st.SearchStrategy[Any], sets: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        scalars,
        lambda inner: (
            st.lists(inner)
            | sets
            | st.dictionaries(KEYS, inner).filter(lambda value: len(set(map(str, value))) == len(value))
        ),
        max_leaves=15,
    )


OF_CBOR = _with_containers(
    SCALARS
    | st.integers()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.datetimes(timezones=st.just(UTC)),
    st.sets(st.integers() | st.text()),
)
OF_MSGPACK = _with_containers(
    SCALARS | st.builds(ormsgpack.Ext, st.integers(0, 127), st.binary(max_size=300)), st.just(())
)


@given(VALUES)
def test_plain_values_roundtrip(value: Any) -> None:
    assert carried(value) == value
    assert encode_item(value) == ormsgpack.packb(value)


@given(OF_CBOR)
def test_values_of_cbor_are_carried(value: Any) -> None:
    original = from_client(CBOR, cbor2.dumps([value]))

    assert written(carried(original)) == written(original)


@given(OF_MSGPACK)
def test_values_of_messagepack_are_carried(value: Any) -> None:
    original = from_client(MSGPACK, ormsgpack.packb([value], option=ormsgpack.OPT_NON_STR_KEYS))

    assert written(carried(original)) == written(original)


@given(st.integers())
@pytest.mark.parametrize("factor", [1, 2**60, 2**200])
def test_integers_of_all_sizes_roundtrip(factor: int, number: int) -> None:
    value = number * factor

    assert carried([value, value + 1, value - 1]) == [value, value + 1, value - 1]


def test_items_are_joined_to_a_frame() -> None:
    items = [[1, "a"], {"b": 2**70}, from_client(CBOR, cbor2.dumps([{1: {2}}]))]

    frame = decode_frame(b"\x94\x01" + b"".join(map(encode_item, items)))

    assert written(frame) == written([1, *items])


# Differences that the documentation of the module names.


def test_enum_whose_values_are_not_its_texts_is_converted_as_in_messagepack() -> None:
    assert carried(Coded.FIRST) == from_client(MSGPACK, MSGPACK.encode([Coded.FIRST])) == 1
    assert JSON.encode([Coded.FIRST]) == '["first"]'


def test_extension_object_is_carried_and_fragment_of_json_is_refused() -> None:
    assert MSGPACK.encode([carried(ormsgpack.Ext(5, b"x"))]) == MSGPACK.encode([ormsgpack.Ext(5, b"x")])
    with pytest.raises(UnserializableValue, match="Fragment"):
        encode_item(orjson.Fragment(b"1"))


# Nesting


@pytest.mark.parametrize("serializer", SERIALIZERS, ids=lambda serializer: serializer.name)
@pytest.mark.parametrize(
    "value", [[1, "a", 2**70, None], {1, 2}, (1, (2,)), Text("a"), {"a": [Point(1, 2)]}], ids=repr
)
def test_message_of_the_maximum_depth_fits_into_an_item(serializer: Serializer, value: Any) -> None:
    message = nested(251, value)
    expected = serializer.encode(message)

    [[[[again]]], _] = decode_frame(b"\x92" + encode_item([[[message]]]) + encode_item(1))

    assert serializer.encode(again) == expected


def test_deep_foreign_containers_are_carried() -> None:
    value: Any = Decimal("1.50")
    for level in range(250):
        value = {level: value, "x": [1, {2}]}
    data = cbor2.dumps([value])
    original = from_client(CBOR, data)

    [[[[again]]]] = carried([[[[original]]]])

    assert CBOR.encode([again]) == data


def test_value_that_becomes_deep_is_carried() -> None:
    value = nested(200, Customer(fullName="Ann", joined=date(2026, 11, 22), extra=nested(100)))

    inner = carried(value)
    for level in reversed(range(200)):
        inner = inner["a"] if level % 2 else inner[0]

    assert inner["extra"] == nested(100)


@pytest.mark.parametrize("depth", [1_030, 100_000])
def test_frame_that_is_nested_too_deeply_is_malformed(depth: int) -> None:
    with pytest.raises(ValueError, match=r"malformed frame: .*ecursion"):
        decode_frame(b"\x91" * depth + b"\x01")


@pytest.mark.parametrize("own", [Decimal("1.50"), [1], nested(250)], ids=["leaf", "list", "deep"])
def test_every_item_that_is_encoded_fits_into_a_frame(own: Any) -> None:
    model = Customer(fullName="Ann", joined=date(2026, 11, 22), extra=own)
    encoded = []
    for depth in range(500, 1_100, 7):
        try:
            item = encode_item(nested(depth, model))
        except UnserializableValue:
            continue
        encoded.append(depth)
        decode_frame(b"\x91" * 10 + item)

    assert 700 < max(encoded) < 1_000
