from __future__ import annotations

import enum
from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, RootModel, SecretStr, field_serializer, model_serializer

from wampasgi.errors import RemoteProtocolError, UnserializableValue
from wampasgi.serializers import JSON, MSGPACK, Serializer, check_nesting, plain
from wampasgi.serializers.cbor import CBORSerializer

CBOR = CBORSerializer()

EACH_SERIALIZER = pytest.mark.parametrize(
    "serializer", [JSON, MSGPACK, CBOR], ids=lambda serializer: serializer.name
)

Point = namedtuple("Point", ["x", "y"])


class Color(enum.Enum):
    RED = "red"
    BLUE = 2


class Priority(enum.IntEnum):
    HIGH = 3


@dataclass
class Line:
    start: Point
    end: Point
    _cached: int = 0


@dataclass(slots=True)
class Measurement:
    value: Decimal
    taken: datetime
    raw: bytes = b""


@dataclass(slots=True)
class UnsetSlot:
    value: int = field(init=False)


class Customer(BaseModel):
    name: str = Field(alias="fullName")
    joined: date
    photo: bytes = b""
    limits: set[int] = set()
    password: SecretStr = SecretStr("hunter2")


class Order(BaseModel):
    id: UUID
    customer: Customer
    total: Decimal
    lines: list[Line] = []


class Broken(BaseModel):
    value: int = 1

    @field_serializer("value")
    def fail(self, value: int) -> int:
        raise ZeroDivisionError("the model's own mistake")


class Names(RootModel[list[str]]):
    pass


class Unsupported:
    pass


class DictSubclass(dict[str, Any]):
    pass


def roundtrip(serializer: Serializer, value: object) -> object:
    decoded = serializer.decode(serializer.encode([70, 1, {}, [value]]))
    assert isinstance(decoded, list)
    assert decoded[:3] == [70, 1, {}]
    return decoded[3][0]


ANN = Customer(fullName="Ann", joined=date(2026, 11, 22), photo=b"\x00\xff", limits={5})
ANN_PLAIN = {
    "fullName": "Ann",
    "joined": "2026-11-22",
    "photo": b"\x00\xff",
    "limits": [5],
    "password": "**********",
}


@EACH_SERIALIZER
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ([1, 1.5, True, "ü💬", {"a": None}], [1, 1.5, True, "ü💬", {"a": None}]),
        ((1, (2, 3)), [1, [2, 3]]),
        (-(2**63), -(2**63)),
        (2**64 - 1, 2**64 - 1),
        (b"\x00\x01\xff", b"\x00\x01\xff"),
        (b"", b""),
        (bytearray(b"ab"), b"ab"),
        (memoryview(b"abcd")[1:3], b"bc"),
        ({"nested": [{"deep": b"\xff"}]}, {"nested": [{"deep": b"\xff"}]}),
        (datetime(2026, 11, 22, 9, 30, tzinfo=UTC), "2026-11-22T09:30:00+00:00"),
        (datetime(2026, 11, 22, 9, 30, 0, 5), "2026-11-22T09:30:00.000005"),
        (date(2026, 11, 22), "2026-11-22"),
        (time(9, 30), "09:30:00"),
        (timedelta(hours=36), "P1DT12H"),
        (UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (Decimal("1.10"), "1.10"),
        (Path("/srv/data"), "/srv/data"),
        (ip_address("10.0.0.1"), "10.0.0.1"),
        (Color.RED, "red"),
        (Color.BLUE, 2),
        (Priority.HIGH, 3),
        (Point(1, Decimal(2)), [1, "2"]),
        ({1}, [1]),
        (frozenset({b"x"}), [b"x"]),
        (deque([1, {2}]), [1, [2]]),
        (OrderedDict(a=1), {"a": 1}),
        (DictSubclass(a=1), {"a": 1}),
        (MappingProxyType({"a": b"x"}), {"a": b"x"}),
        (Line(Point(0, 0), Point(1, 2), 5), {"start": [0, 0], "end": [1, 2]}),
        (
            Measurement(Decimal("0.5"), datetime(2026, 1, 1, tzinfo=UTC), b"\x07"),
            {"value": "0.5", "taken": "2026-01-01T00:00:00+00:00", "raw": b"\x07"},
        ),
        (Names(["a", "b"]), ["a", "b"]),
        (ANN, ANN_PLAIN),
        ([ANN], [ANN_PLAIN]),
        (
            Order(
                id=UUID(int=1), customer=ANN, total=Decimal("9.90"), lines=[Line(Point(0, 0), Point(1, 1))]
            ),
            {
                "id": "00000000-0000-0000-0000-000000000001",
                "customer": ANN_PLAIN,
                "total": "9.90",
                "lines": [{"start": [0, 0], "end": [1, 1], "_cached": 0}],
            },
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_all_serializers_convert_values_alike(
    serializer: Serializer, value: object, expected: object
) -> None:
    assert roundtrip(serializer, value) == expected


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Failing(BaseModel):
    @model_serializer
    def fail(self) -> dict[str, Any]:
        raise Unprintable


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


class Endless(BaseModel):
    inner: Any = None


def endless_model() -> Endless:
    model = Endless()
    model.inner = {"again": model}
    return model


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


@EACH_SERIALIZER
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Unsupported(), "Unsupported"),
        (object(), "object"),
        (Unsupported, "type"),
        ([{"a": Unsupported()}], "Unsupported"),
        ({Unsupported()}, "Unsupported"),
        (ValueError("an exception"), "ValueError"),
        (Broken(), "Broken"),
        (Failing(), "Failing"),
        (UnsetSlot(), "UnsetSlot"),
        ("\ud800", "surrogates"),
        ({"\ud800": 1}, "surrogates"),
        ({1: "a"}, "Dict key must be str"),
        ({None: "a"}, "Dict key must be str"),
        (time(9, 30, tzinfo=UTC), "tzinfo"),
        (endless(), "ecursion limit"),
        (endless_model(), "Endless|ecursion limit"),
        (deep(100_000), "ecursion limit"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_unsupported_value_is_reported_with_its_type(
    serializer: Serializer, value: object, text: str
) -> None:
    with pytest.raises(UnserializableValue, match=text) as raised:
        serializer.encode([50, 1, {}, [value]])

    assert "cannot serialize the message" in str(raised.value)


@EACH_SERIALIZER
def test_exception_of_a_value_is_the_cause_of_the_error(serializer: Serializer) -> None:
    with pytest.raises(UnserializableValue) as raised:
        serializer.encode([50, 1, {}, [Broken()]])

    codec_error = raised.value.__cause__
    assert codec_error is not None
    own_error = codec_error.__cause__
    assert "the model's own mistake" in str(own_error)


def test_plain_raises_type_error_for_an_unsupported_type() -> None:
    with pytest.raises(TypeError, match="Unsupported"):
        plain(Unsupported())


def test_plain_converts_subclasses_of_bytes_to_bytes() -> None:
    class Token(bytes):
        pass

    assert type(plain(Token(b"x"))) is bytes
    assert roundtrip(MSGPACK, Token(b"x")) == b"x"
    assert roundtrip(JSON, Token(b"x")) == b"x"
    assert roundtrip(CBOR, Token(b"x")) == b"x"


@EACH_SERIALIZER
def test_message_at_the_maximum_depth_is_decoded(serializer: Serializer) -> None:
    message = [48, 1, {}, "com.p", deep(240)]

    assert serializer.decode(serializer.encode(message)) == message


@EACH_SERIALIZER
def test_wide_message_does_not_count_as_deeply_nested(serializer: Serializer) -> None:
    message = [
        48,
        1,
        {},
        "com.p",
        [[{}] for _ in range(5000)],
        {"text": "[{" * 5000, "raw": b"\x90\xdf" * 5000},
    ]

    assert serializer.decode(serializer.encode(message)) == message


@pytest.mark.parametrize("depth", [5, 100, 255])
def test_nesting_limit_is_exact(depth: int) -> None:
    value: Any = 1
    for level in range(depth):
        value = {"a": value} if level % 2 else [value]

    check_nesting(value, depth)
    with pytest.raises(RemoteProtocolError, match=f"over the limit nesting_depth of {depth}"):
        check_nesting([value], depth)


def test_nesting_check_ignores_unsupported_values() -> None:
    check_nesting([object(), {1: 2}, 2**70], 5)
