"""Validation of payloads that clients have chosen to make it slow."""

from __future__ import annotations

import dataclasses
import sys
from collections import deque
from collections.abc import Callable, Iterable
from datetime import date
from types import FrameType
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    TypeAdapter,
    ValidationError,
)
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict

from wampasgi.errors import InvalidArgument
from wampasgi.injection.arguments import MAX_REPORTED_ERRORS, MISSING, Payload, Rest
from wampasgi.injection.callables import EMPTY
from wampasgi.injection.validation import (
    MAX_VALUES_WITH_ALL_ERRORS,
    LazyAnnotation,
    Validator,
    has_many_values,
    pass_unchanged,
    quick_validator,
)

MANY = 5000
SOME_ID = "6f1f3c0e-5f7a-4f0e-9d43-0d7a3f6f2a11"

calls: list[Any] = []


@pytest.fixture(autouse=True)
def forget_calls() -> None:
    calls.clear()


def refuse(value: Any) -> Any:
    calls.append(value)
    raise ValueError("refused")


def note(value: Any) -> Any:
    calls.append(value)
    return value


Refused = Annotated[int, BeforeValidator(refuse)]


class Model(BaseModel):
    items: list[Refused] = []
    by_name: dict[str, Refused] = {}


class Outer(BaseModel):
    inner: Model | None = None
    models: tuple[Model, ...] = ()


class Tree(BaseModel):
    items: list[Refused] = []
    branches: list[Tree] = []


class Typed(TypedDict):
    items: list[Refused]


@dataclasses.dataclass
class Data:
    items: set[Refused]


class Oddly(BaseModel):
    """The names of its fields are also keys of schemas."""

    type: list[Refused] = []
    config: list[Refused] = []
    schema_: list[int] = Field(alias="schema", default=[])
    items_schema: int = 0


BAD = list(range(MANY))


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (list[Refused], BAD),
        (tuple[Refused, ...], BAD),
        (set[Refused], BAD),
        (frozenset[Refused], BAD),
        (dict[str, Refused], dict.fromkeys(map(str, BAD), 1)),
        (dict[Refused, int], dict.fromkeys(BAD, 1)),
        (list[Refused] | None, BAD),
        (int | list[Refused], BAD),
        (list[list[Refused]], [[], BAD]),
        (Annotated[list[Refused], AfterValidator(len)], BAD),
        (Model, {"items": BAD}),
        (Model, {"by_name": dict.fromkeys(map(str, BAD), 1)}),
        (Outer, {"inner": {"items": BAD}}),
        (Outer, {"models": [{"items": []}, {"items": BAD}]}),
        (Tree, {"branches": [{"branches": [{"items": BAD}]}]}),
        (Typed, {"items": BAD}),
        (Data, {"items": BAD}),
        (Oddly, {"type": BAD}),
        (Oddly, {"config": BAD}),
    ],
)
def test_validation_of_many_values_stops_at_the_first_invalid_one(annotation: Any, value: Any) -> None:
    validator = Validator(annotation)
    with pytest.raises(ValidationError):
        validator.validate(value)
    with pytest.raises(ValidationError):
        validator.convert(value)

    assert len(calls) == 2


def test_all_errors_of_a_small_value_are_found() -> None:
    with pytest.raises(ValidationError) as caught:
        Validator(list[int]).convert(["a", 1, "b"] * 100)

    assert caught.value.error_count() == 200


@pytest.mark.parametrize(
    ("value", "many"),
    [
        ([0] * MAX_VALUES_WITH_ALL_ERRORS, False),
        ([0] * (MAX_VALUES_WITH_ALL_ERRORS + 1), True),
        ({"a": (0,) * MAX_VALUES_WITH_ALL_ERRORS}, True),
        ([[[0] * 500], {"a": [0] * 496}], False),
        ([[[0] * 500], {"a": [0] * 497}], True),
        ("x" * 5000, False),
        (None, False),
    ],
)
def test_values_at_all_depths_are_counted(value: Any, many: bool) -> None:
    assert has_many_values(value) is many


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    x: int = 0
    y: int = Field(default=0, validation_alias=AliasChoices("why", "y2"))


class ClosedDict(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    x: int


@dataclass(config=ConfigDict(extra="forbid"))
class ClosedData:
    x: int = 0


class Inside(BaseModel):
    closed: list[Closed] = []
    more: dict[str, Any] = {}


@pytest.mark.parametrize("annotation", [Closed, ClosedDict, ClosedData, Closed | None, list[Closed], Inside])
def test_only_the_number_of_many_unexpected_fields_is_reported(annotation: Any) -> None:
    fields = dict.fromkeys(map(str, range(MANY)), 0)
    value: Any = [fields] if annotation == list[Closed] else fields
    value = {"closed": [fields]} if annotation is Inside else value

    with pytest.raises(ValidationError) as caught:
        Validator(annotation).convert(value)

    assert caught.value.error_count() == 1
    [error] = caught.value.errors()
    assert (error["type"], error["msg"]) == (
        "too_many_fields",
        "Object has 5000 fields, far more than it may have",
    )


def test_unexpected_fields_are_reported_one_by_one_if_they_are_few() -> None:
    for count in 3, 900:
        with pytest.raises(ValidationError) as caught:
            Validator(Closed).convert(dict.fromkeys(map(str, range(count)), 0))
        assert caught.value.error_count() == count


def test_models_that_ignore_extra_fields_accept_many_of_them() -> None:
    fields = dict.fromkeys(map(str, range(MANY)), 0)

    assert Validator(Inside).convert({"more": fields, **fields}).more == fields


@pytest.mark.parametrize(
    "value", [Closed(x=1), {"x": 1, "why": 2}, {"x": 1, "y2": 2}, {}], ids=lambda value: str(value)
)
def test_models_that_refuse_extra_fields_accept_their_own(value: Any) -> None:
    assert Validator(Closed).validate(value) == TypeAdapter(Closed).validate_python(value)


class StrictModel(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    ids: list[UUID] = []
    days: tuple[date, ...] = ()


@pytest.mark.parametrize("count", [3, MANY])
def test_strict_types_accept_from_many_values_what_they_accept_from_json(count: int) -> None:
    value = {"ids": [SOME_ID] * count, "days": ["2026-01-02"] * count}

    converted = Validator(StrictModel).convert(value)

    assert converted == StrictModel(ids=[UUID(SOME_ID)] * count, days=(date(2026, 1, 2),) * count)
    assert Validator(list[Annotated[UUID, Strict()]]).convert([SOME_ID] * count) == [UUID(SOME_ID)] * count


def test_error_in_many_values_of_a_strict_type_is_one_of_json_validation() -> None:
    with pytest.raises(ValidationError) as caught:
        Validator(list[Annotated[UUID, Strict()]]).convert([SOME_ID] * MANY + ["x"] * MANY)

    [error] = caught.value.errors()
    assert (error["type"], error["loc"]) == ("uuid_parsing", (MANY,))


def test_validator_of_a_type_without_collections_is_pydantics_own() -> None:
    class Flat(BaseModel):
        x: int
        y: str | None = None

    annotations: list[Any] = [int, str | None, Flat, Annotated[int, Field(gt=0)]]
    for annotation in annotations:
        adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        assert quick_validator(adapter) is adapter.validator


def test_values_without_an_annotation_are_not_validated() -> None:
    assert Validator(Any).validate is pass_unchanged


@pytest.mark.parametrize("annotation", [Iterable[int], list[Iterable[int]], deque[Iterable[int]]])
def test_lazy_annotation_is_refused(annotation: Any) -> None:
    with pytest.raises(LazyAnnotation):
        Validator(annotation)


def test_each_valid_value_is_validated_once() -> None:
    validator = Validator(list[Annotated[int, AfterValidator(note)]])

    assert validator.validate(BAD) == BAD
    assert calls == BAD


# Arguments that follow the others


def python_calls(function: Callable[[], object]) -> int:
    """Return the number of functions that Python code calls."""
    count = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        function()
    finally:
        sys.setprofile(before)
    return count


def rest_of(annotation: Any) -> Payload:
    return Payload(rest=Rest("values", 0, Validator(annotation)))


@pytest.mark.parametrize("annotation", [EMPTY, Any, int, list[int]])
def test_many_arguments_are_bound_without_a_call_for_each(annotation: Any) -> None:
    values = [[1]] * MANY if annotation == list[int] else [1] * MANY
    frame = [MISSING]

    assert python_calls(lambda: rest_of(annotation).fill(frame, values, {})) < 500
    assert frame == [tuple(values)]


@pytest.mark.parametrize("annotation", [list[Any], dict[str, Any], Any])
def test_items_without_a_type_are_passed_as_they_are(annotation: Any) -> None:
    item = [object()]
    value: Any = {"a": item} if annotation == dict[str, Any] else [item]

    converted = Validator(annotation).validate(value)

    assert converted == value
    assert (converted["a"] if isinstance(converted, dict) else converted[0]) is item


def test_errors_of_many_arguments_are_collected_up_to_the_limit() -> None:
    with pytest.raises(InvalidArgument) as caught:
        rest_of(Refused).fill([MISSING], BAD, {})

    assert len(caught.value.kwargs["errors"]) == MAX_REPORTED_ERRORS
    assert caught.value.kwargs["errors"][1]["path"] == [1]
    assert len(calls) < 1000
