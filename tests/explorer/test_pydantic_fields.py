from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal, NamedTuple, Required
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, Json, TypeAdapter
from typing_extensions import TypedDict

from tests.explorer.form_page import FormPage

# Starting a browser takes seconds on a busy machine.
pytestmark = pytest.mark.timeout(120)


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Tree(BaseModel):
    name: str
    branches: list[Tree] = []


class Card(BaseModel):
    kind: Literal["card"] = "card"
    number: str = Field(pattern=r"^\d+$")


class Cash(BaseModel):
    kind: Literal["cash"]
    amount: Decimal = Field(gt=0)


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Options(TypedDict, total=False):
    deep: Required[bool]
    limits: dict[str, int] | None


@dataclass
class Visit:
    when: datetime
    colours: set[Colour]
    notes: Annotated[str, Field(max_length=500, description="Notes")] = ""
    guests: list[tuple[str, int | None]] = field(default_factory=list)


Payment = Annotated[Card | Cash, Field(discriminator="kind")]


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (UUID, UUID(int=5)),
        (date, date(2024, 2, 29)),
        (datetime, datetime(2024, 2, 29, 12, 30, 1, 5, tzinfo=timezone(timedelta(hours=2)))),
        (time, time(23, 59)),
        (timedelta, timedelta(days=1, seconds=5)),
        (Decimal, Decimal("0.10")),
        (Colour, Colour.BLUE),
        (Literal["a", 1, None], 1),
        (bool | int | str | None, "yes"),
        (int | float, 0.5),
        (dict[str, list[int]], {"a": [1, 2], "": []}),
        (dict[int, str], {1: "a"}),
        (tuple[int, ...], (1, 2)),
        (tuple[int, str], (1, "a")),
        (Tree, Tree(name="a", branches=[Tree(name="b", branches=[Tree(name="c")]), Tree(name="d")])),
        (Payment, Card(number="12")),
        (list[Payment], [Cash(kind="cash", amount=Decimal(2)), Card(number="1")]),
        (Point, Point(1.5, -2.0)),
        (Options, {"deep": True, "limits": {"a": 1}}),
        (Visit, Visit(datetime(2024, 1, 1), {Colour.RED}, "two\nlines", [("Ann", None), ("Bob", 3)])),
        (Any, {"a": [1]}),
        (Json[list[int]], "[1]"),
    ],
    ids=str,
)
def test_schemas_of_pydantic_are_filled_and_sent_again(page: FormPage, type_: Any, value: Any) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(type_)
    schema = adapter.json_schema()
    defs = schema.pop("$defs", {})
    dumped = value if type_ == Json[list[int]] else adapter.dump_python(value, mode="json")
    page.show_value(schema, defs)
    page.set(dumped)
    assert not any("edited as JSON" in text for text in page.texts(".hint"))
    sent = page.value()
    assert sent == dumped
    assert adapter.validate_python(sent) == adapter.validate_python(dumped)


def test_form_of_a_pydantic_model_is_filled_in_and_valid(page: FormPage) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(list[Payment])
    schema = adapter.json_schema()
    page.show_value(schema, schema.pop("$defs"))
    page.click("Add item to x")
    page.type("number", "42")
    # It has a default, but the tag of a union must be sent.
    assert page.value() == [{"kind": "card", "number": "42"}]
    assert adapter.validate_python(page.value()) == [Card(number="42")]
