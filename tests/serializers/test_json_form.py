"""The JSON form of models and pydantic dataclasses, in which bytes stay bytes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

import pytest
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    RootModel,
    SerializeAsAny,
    WrapSerializer,
    computed_field,
    field_serializer,
    model_serializer,
)
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

from wampasgi.serializers import JSON, MSGPACK, Serializer
from wampasgi.serializers.cbor import CBORSerializer

RAW = b"\x00\xff"

EACH_SERIALIZER = pytest.mark.parametrize(
    "serializer", [JSON, MSGPACK, CBORSerializer()], ids=lambda serializer: serializer.name
)


class Color(Enum):
    RED = "red"


class Magic(Enum):
    PNG = b"\x89PNG"


class Photo(BaseModel):
    raw: bytes = RAW


@dataclass
class Account:
    name: str = Field(default="ann", alias="fullName")
    password: str = Field(default="secret", exclude=True)
    photo: bytes = RAW

    @field_serializer("name")
    def shout(self, name: str) -> str:
        return name.upper()


class Inherited(Account):
    """A subclass without the decorator."""


@dataclasses.dataclass
class Extended(Account):
    age: int = 7


@dataclass
class Team:
    lead: Account
    others: list[Account] = Field(default_factory=list)


ACCOUNT = {"fullName": "ANN", "photo": RAW}


class Counts(BaseModel):
    by_number: dict[int, int] = {1: 2}
    by_id: dict[UUID, Photo] = {UUID(int=1): Photo()}
    by_color: dict[Color, int] = {Color.RED: 1}
    by_day: dict[date, bytes] = {date(2026, 1, 2): RAW}
    by_key: dict[bytes, int] = {b"k": 1}
    loose: dict[Any, Any] = {1: RAW, Color.RED: [Photo()]}


class ForJSON(BaseModel):
    model_config = ConfigDict(ser_json_timedelta="float", ser_json_bytes="hex")

    amount: Annotated[
        int, PlainSerializer(lambda cents: f"{cents} ct", return_type=str, when_used="json")
    ] = 5
    wait: timedelta = timedelta(seconds=1.5)
    digest: bytes = RAW
    any: Any = RAW
    photo: Photo = Photo()


class Member(NamedTuple):
    number: int
    raw: bytes


class Parts(TypedDict):
    raw: bytes


class OpenParts(TypedDict):
    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]

    raw: bytes


class Wrapped(BaseModel):
    raw: bytes = RAW

    @model_serializer(mode="wrap")
    def add(self, handler: Any) -> dict[str, Any]:
        return {**handler(self), "more": RAW}


class Circle(BaseModel):
    kind: Literal["circle"] = "circle"
    raw: bytes = b"c\xff"


class Square(BaseModel):
    kind: Literal["square"] = "square"
    raw: bytes = b"s\xff"


class Tree(BaseModel):
    leaf: bytes = RAW
    branches: list[Tree] = []


class Late(BaseModel):
    model_config = ConfigDict(defer_build=True)

    raw: bytes = RAW


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    content: T


class Everything(BaseModel):
    model_config = ConfigDict(extra="allow")

    any: Any = Field(default_factory=lambda: [RAW, bytearray(RAW), {"a": Photo()}, Account()])
    either: bytes | str = "text"
    or_text: str | bytes = RAW
    optional: bytes | None = RAW
    bare: list = [RAW, Photo()]  # type: ignore[type-arg]
    several: tuple[bytes, ...] = (RAW,)
    some: set[bytes] = {RAW}
    lazy: Iterable[bytes] = Field(default=(RAW,), validate_default=True)
    member: Member = Member(1, RAW)
    parts: Parts = {"raw": RAW}
    open_parts: OpenParts = Field(default={"raw": RAW, "x": RAW}, validate_default=True)
    account: Account = Field(default_factory=Account)
    photo: SerializeAsAny[Photo] = Photo()
    magic: Magic = Magic.PNG
    literal: Literal[b"\xff"] = b"\xff"
    wrapped: Wrapped = Wrapped()
    shape: Circle | Square = Square()
    tagged: Annotated[Circle | Square, Field(discriminator="kind")] = Square()
    made: Annotated[int, PlainSerializer(lambda _: RAW)] = 1
    text: Annotated[bytes, WrapSerializer(lambda value, handler: handler(value) + "!")] = b"ab"

    @computed_field
    def declared(self) -> bytes:
        return RAW

    @computed_field
    def undeclared(self) -> Any:
        return {"raw": RAW}


EVERYTHING = {
    "any": [RAW, RAW, {"a": {"raw": RAW}}, ACCOUNT],
    "either": "text",
    "or_text": RAW,
    "optional": RAW,
    "bare": [RAW, {"raw": RAW}],
    "several": [RAW],
    "some": [RAW],
    "lazy": [RAW],
    "member": [1, RAW],
    "parts": {"raw": RAW},
    "open_parts": {"raw": RAW, "x": RAW},
    "account": ACCOUNT,
    "photo": {"raw": RAW},
    "magic": b"\x89PNG",
    "literal": b"\xff",
    "wrapped": {"raw": RAW, "more": RAW},
    "shape": {"kind": "square", "raw": b"s\xff"},
    "tagged": {"kind": "square", "raw": b"s\xff"},
    "made": RAW,
    "text": "ab!",
    "extra": RAW,
    "declared": RAW,
    "undeclared": {"raw": RAW},
}


@EACH_SERIALIZER
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Account(), ACCOUNT),
        (Inherited(), ACCOUNT),
        (Extended("ann", "secret"), {**ACCOUNT, "age": 7}),
        (Team(Account(), [Account()]), {"lead": ACCOUNT, "others": [ACCOUNT]}),
        ([Account()], [ACCOUNT]),
        ({"deep": ({"a": Account()},)}, {"deep": [{"a": ACCOUNT}]}),
        (
            Counts(),
            {
                "by_number": {"1": 2},
                "by_id": {"00000000-0000-0000-0000-000000000001": {"raw": RAW}},
                "by_color": {"red": 1},
                "by_day": {"2026-01-02": RAW},
                "by_key": {"k": 1},
                "loose": {"1": RAW, "red": [{"raw": RAW}]},
            },
        ),
        (
            ForJSON(),
            {"amount": "5 ct", "wait": 1.5, "digest": "00ff", "any": "00ff", "photo": {"raw": RAW}},
        ),
        (Tree(branches=[Tree()]), {"leaf": RAW, "branches": [{"leaf": RAW, "branches": []}]}),
        (Late(), {"raw": RAW}),
        (Box[bytes](content=RAW), {"content": RAW}),
        (Box[Photo](content=Photo()), {"content": {"raw": RAW}}),
        (Box(content=RAW), {"content": RAW}),
        (RootModel[bytes](RAW), RAW),
        (RootModel[dict[int, Decimal]]({1: Decimal("1.50")}), {"1": "1.50"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_models_and_pydantic_dataclasses_take_their_json_form(
    serializer: Serializer, value: object, expected: object
) -> None:
    assert sent(serializer, value) == expected


@EACH_SERIALIZER
def test_bytes_stay_bytes_wherever_a_model_has_them(serializer: Serializer) -> None:
    assert sent(serializer, Everything(extra=RAW)) == EVERYTHING  # type: ignore[call-arg]


@EACH_SERIALIZER
def test_datetimes_of_models_have_the_form_of_pydantic(serializer: Serializer) -> None:
    class Visit(BaseModel):
        at: datetime

    assert sent(serializer, Visit(at=datetime(2026, 1, 2, tzinfo=UTC))) == {"at": "2026-01-02T00:00:00Z"}


def sent(serializer: Serializer, value: object) -> object:
    decoded: Any = serializer.decode(serializer.encode([36, 1, 2, {}, [value]]))
    return decoded[4][0]
