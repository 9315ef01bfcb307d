from __future__ import annotations

import enum
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import ModuleType
from typing import Annotated, Any, ForwardRef, Generic, NamedTuple, TypeVar, Unpack
from uuid import UUID

import pytest
from pydantic import BaseModel, Field, PlainSerializer, WithJsonSchema, computed_field
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypedDict

from wampasgi import ConfigurationError
from wampasgi.description.interface import PayloadDescription, Schema
from wampasgi.description.schemas import PYTHON_TYPE, SchemaCollection

T = TypeVar("T")


class Order(BaseModel):
    number: int
    total: Decimal


class Tree(BaseModel):
    children: list[Tree] = []


class Priced(BaseModel):
    price: Annotated[Decimal, PlainSerializer(float)]

    @computed_field
    def gross(self) -> float:
        return float(self.price) * 1.2


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Options(TypedDict):
    verbose: bool


@dataclass
class Point:
    x: int
    y: int = 0


@pydantic_dataclass
class Circle:
    center: Point


class Pair(NamedTuple):
    amount: int
    name: str


class Labelled(NamedTuple, Generic[T]):
    value: T
    label: str


class Foreign:
    """A class that pydantic does not know."""


class Broken(BaseModel):
    model_config = {"json_schema_extra": lambda schema: schema["nowhere"].clear()}


class Configured(BaseModel):
    ratio: float = float("inf")
    marker: str = "\0"
    count: int = 3


def generate(collection: SchemaCollection) -> dict[str, Schema]:
    return collection.generate(set())


def accepted(annotation: Any) -> tuple[Schema, dict[str, Schema]]:
    collection = SchemaCollection()
    schema = collection.accepted(annotation, "here")
    return schema, generate(collection)


def payload(declared: Any) -> PayloadDescription | None:
    collection = SchemaCollection()
    found = collection.payload(declared, "here")
    generate(collection)
    return found


def args(declared: Any) -> Schema:
    found = payload(declared)
    assert found is not None
    assert found.kwargs is None
    return found.args


INTEGER = {"type": "integer"}
STRING = {"type": "string"}


# Single values


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (int, INTEGER),
        (
            Annotated[int, Field(gt=0, description="a number")],
            {**INTEGER, "exclusiveMinimum": 0, "description": "a number"},
        ),
        (list[UUID], {"type": "array", "items": {"type": "string", "format": "uuid"}}),
        (int | None, {"anyOf": [INTEGER, {"type": "null"}]}),
        (datetime, {"type": "string", "format": "date-time"}),
        (bytes, {"type": "string", "format": "binary"}),
        (dict[str, Any], {"type": "object", "additionalProperties": True}),
        (Any, {}),
    ],
)
def test_type_has_its_json_schema(annotation: Any, schema: Schema) -> None:
    assert accepted(annotation) == (schema, {})


@pytest.mark.parametrize(
    ("annotation", "name", "keys"),
    [
        (Order, "Order", {"number", "total"}),
        (Options, "Options", {"verbose"}),
        (Point, "Point", {"x", "y"}),
        (Circle, "Circle", {"center"}),
    ],
)
def test_class_is_a_definition(annotation: Any, name: str, keys: set[str]) -> None:
    schema, definitions = accepted(annotation)
    assert schema == {"$ref": f"#/$defs/{name}"}
    assert definitions[name]["properties"].keys() == keys


def test_enum_is_a_definition() -> None:
    schema, definitions = accepted(Color)
    assert schema == {"$ref": "#/$defs/Color"}
    assert definitions == {"Color": {"title": "Color", "type": "string", "enum": ["red", "blue"]}}


def test_recursive_model_refers_to_itself() -> None:
    schema, definitions = accepted(Tree)
    assert schema == {"$ref": "#/$defs/Tree"}
    assert definitions["Tree"]["properties"]["children"]["items"] == schema


def test_models_of_the_same_name_get_their_modules_names(monkeypatch: pytest.MonkeyPatch) -> None:
    collection = SchemaCollection()
    modules = []
    for name in ("first", "second"):
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        modules.append(module)
        exec(f"from pydantic import BaseModel\nclass User(BaseModel):\n    {name}: int", vars(module))
    schemas = [collection.accepted(vars(module)["User"], "here") for module in modules]
    definitions = generate(collection)
    names = [schema["$ref"].removeprefix("#/$defs/") for schema in schemas]
    assert names == ["first__User", "second__User"]
    assert [list(definitions[name]["properties"]) for name in names] == [["first"], ["second"]]


def test_model_that_is_sent_in_another_form_than_accepted_has_two_definitions() -> None:
    collection = SchemaCollection()
    taken, sent = collection.accepted(Priced, "here"), collection.sent(Priced, "here")
    definitions = generate(collection)
    assert taken != sent
    accepted_model = definitions[taken["$ref"].removeprefix("#/$defs/")]
    sent_model = definitions[sent["$ref"].removeprefix("#/$defs/")]
    assert accepted_model["required"] == ["price"]
    assert sent_model["required"] == ["price", "gross"]
    assert sent_model["properties"]["price"] == {"title": "Price", "type": "number"}


def test_model_that_is_sent_as_it_is_accepted_has_one_definition() -> None:
    collection = SchemaCollection()
    assert collection.accepted(Options, "here") == collection.sent(Options, "here")
    assert generate(collection).keys() == {"Options"}


def test_default_that_json_lacks_is_left_out_of_a_model() -> None:
    _, definitions = accepted(Configured)
    properties = definitions["Configured"]["properties"]
    assert [name for name in properties if "default" in properties[name]] == ["count"]


# Payloads


def test_value_is_one_argument() -> None:
    one = {"type": "array", "prefixItems": [INTEGER], "minItems": 1, "maxItems": 1}
    assert args(int) == one
    assert args(Annotated[int, "metadata"]) == one


@pytest.mark.parametrize("declared", [None, type(None), Annotated[None, "metadata"]])
def test_none_is_no_argument(declared: Any) -> None:
    assert args(declared) == {"type": "array", "prefixItems": [], "minItems": 0, "maxItems": 0}


@pytest.mark.parametrize("declared", [int | None, Annotated[int | None, "metadata"]])
def test_optional_value_may_be_missing(declared: Any) -> None:
    assert args(declared) == {
        "type": "array",
        "prefixItems": [{"anyOf": [INTEGER, {"type": "null"}]}],
        "minItems": 0,
        "maxItems": 1,
    }


def test_union_is_one_argument() -> None:
    assert args(int | str)["prefixItems"] == [{"anyOf": [INTEGER, STRING]}]
    assert args(int | str)["minItems"] == 1


def test_tuple_has_an_argument_for_each_item() -> None:
    two = {"type": "array", "prefixItems": [INTEGER, STRING], "minItems": 2, "maxItems": 2}
    assert args(tuple[int, str]) == two
    assert args(Annotated[tuple[int, str], "metadata"]) == two
    assert args(Pair) == two
    assert args(tuple[()]) == args(None)


def test_optional_tuple_may_be_missing() -> None:
    assert args(tuple[int, str] | None) == {**args(tuple[int, str]), "minItems": 0}


def test_tuple_of_any_length_has_a_schema_for_all_items() -> None:
    assert args(tuple[int, ...]) == {"type": "array", "prefixItems": [], "minItems": 0, "items": INTEGER}
    assert args(tuple) == {"type": "array", "prefixItems": [], "minItems": 0, "items": {}}


@pytest.mark.parametrize(
    "declared",
    [
        tuple[int, *tuple[str, ...]],
        tuple[int, Unpack[tuple[str, ...]]],  # noqa: UP044 - the other way to write it
    ],
)
def test_items_before_an_unpacked_tuple_have_places(declared: Any) -> None:
    assert args(declared) == {"type": "array", "prefixItems": [INTEGER], "minItems": 1, "items": {}}


def test_generic_named_tuple_has_an_argument_for_each_item() -> None:
    assert len(args(Labelled[int])["prefixItems"]) == 2
    assert args(Labelled[int])["maxItems"] == 2


@pytest.mark.parametrize("declared", [Any, object, int | Any, tuple[int, str] | int])
def test_payload_of_any_form_is_not_described(declared: Any) -> None:
    assert payload(declared) is None


# Types without a JSON Schema


class WithCallable(BaseModel):
    hook: Callable[[], int] | None = None


def test_type_without_a_schema_accepts_any_value_and_is_named() -> None:
    assert accepted(Foreign) == ({PYTHON_TYPE: f"{__name__}.Foreign"}, {})
    for annotation in ("nowhere.Missing", ForwardRef("nowhere.Missing")):
        assert accepted(annotation) == ({PYTHON_TYPE: "nowhere.Missing"}, {})
    _, definitions = accepted(WithCallable)
    hook = definitions["WithCallable"]["properties"]["hook"]
    assert hook["anyOf"][0] == {PYTHON_TYPE: "collections.abc.Callable"}


def test_type_with_a_schema_of_its_own_is_described() -> None:
    assert accepted(Annotated[Any, WithJsonSchema(STRING)]) == (STRING, {})


def test_one_warning_names_the_first_place_of_each_type(caplog: pytest.LogCaptureFixture) -> None:
    collection = SchemaCollection()
    collection.accepted(Foreign, "parameter 'a'")
    collection.accepted(Foreign, "parameter 'b'")
    collection.accepted(Order, "parameter 'c'")
    with caplog.at_level(logging.WARNING):
        generate(collection)
    [text] = caplog.messages
    assert text.startswith(f"parameter 'a' and 1 more: the type {__name__}.Foreign has no JSON Schema")


def test_type_that_was_reported_is_not_reported_again(caplog: pytest.LogCaptureFixture) -> None:
    reported: set[str] = set()
    for _ in range(2):
        collection = SchemaCollection()
        collection.accepted(Foreign, "here")
        collection.generate(reported)
    assert len(caplog.messages) == 1


def test_strict_collection_refuses_a_type_without_a_schema_and_names_its_place() -> None:
    collection = SchemaCollection()
    collection.accepted(int, "parameter 'a'")
    collection.accepted(list[WithCallable], "parameter 'b'")
    with pytest.raises(ConfigurationError, match=r"model WithCallable: the type collections\.abc\.Callable"):
        collection.generate(set(), strict=True)
    # Nothing counts as logged.
    reported: set[str] = set()
    with pytest.raises(ConfigurationError):
        collection.generate(reported, strict=True)
    assert not reported
    # Also if it has been reported before.
    with pytest.raises(ConfigurationError, match="Callable"):
        collection.generate({"collections.abc.Callable"}, strict=True)


def test_model_whose_schema_code_fails_affects_no_other_type(caplog: pytest.LogCaptureFixture) -> None:
    collection = SchemaCollection()
    broken, order = collection.accepted(Broken, "parameter 'a'"), collection.accepted(Order, "parameter 'b'")
    assert generate(collection).keys() == {"Order"}
    assert broken == {PYTHON_TYPE: f"{__name__}.Broken"}
    assert order == {"$ref": "#/$defs/Order"}
    [text] = caplog.messages
    assert "KeyError('nowhere')" in text
    assert "parameter 'a'" in text


def test_field_with_a_default_is_always_in_what_is_sent() -> None:
    class Order(BaseModel):
        sku: str
        quantity: int = 1
        note: str | None = Field(None, exclude_if=lambda note: note is None)

    collection = SchemaCollection()
    accepted, sent = collection.accepted(Order, "parameter"), collection.sent(Order, "result")
    definitions = collection.generate(set())

    def required(schema: Schema) -> list[str]:
        names: list[str] = definitions[schema["$ref"].removeprefix("#/$defs/")]["required"]
        return names

    assert (required(accepted), required(sent)) == (["sku"], ["sku", "quantity"])
