from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from wampasgi.errors import INVALID_ARGUMENT, InvalidArgument
from wampasgi.injection.arguments import (
    MAX_REPORTED_ERRORS,
    MISSING,
    Payload,
    PayloadParameter,
    Rest,
)
from wampasgi.injection.callables import EMPTY
from wampasgi.injection.validation import UnusableAnnotation, Validator

SOME_ID = "6f1f3c0e-5f7a-4f0e-9d43-0d7a3f6f2a11"


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int = 0


class Pair(NamedTuple):
    x: int
    y: int


class Account(BaseModel):
    id: UUID
    opened: date | None = None


class Unfinished(BaseModel):
    account: Nowhere  # type: ignore[name-defined]  # noqa: F821


class StrictAccount(BaseModel):
    model_config = ConfigDict(strict=True)

    id: UUID
    tags: tuple[str, ...] = ()


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    tricks: list[str]


def even(value: int) -> int:
    if value % 2:
        raise ValueError("must be even")
    return value


def parameter(
    name: str, annotation: Any = EMPTY, *, slot: int = 0, required: bool = True
) -> PayloadParameter:
    return PayloadParameter(name, slot, Validator(annotation), required)


def parameters(*names: str, annotation: Any = int, first_slot: int = 0) -> list[PayloadParameter]:
    return [parameter(name, annotation, slot=slot) for slot, name in enumerate(names, first_slot)]


def filled(
    payload: Payload, args: Sequence[Any] = (), kwargs: dict[Any, Any] | None = None, *, slots: int = 3
) -> list[Any]:
    frame = [MISSING] * slots
    payload.fill(frame, args, kwargs or {})
    return frame


def errors_of(payload: Payload, args: Sequence[Any] = (), kwargs: dict[Any, Any] | None = None) -> Any:
    with pytest.raises(InvalidArgument) as caught:
        filled(payload, args, kwargs, slots=4)
    assert caught.value.uri == INVALID_ARGUMENT
    json.dumps([caught.value.args, caught.value.kwargs])
    return caught.value.kwargs["errors"]


def only_error(annotation: Any, value: Any) -> tuple[Any, ...]:
    (error,) = errors_of(Payload(by_either=[parameter("a", annotation)]), [value])
    assert error["argument"] == "a"
    return error["type"], error["path"], error["reason"]


@pytest.mark.parametrize(
    ("annotation", "value", "converted"),
    [
        (int, "5", 5),
        (float, 1, 1.0),
        (str, "text", "text"),
        (bytes, b"\x00\xff", b"\x00\xff"),
        (UUID, SOME_ID, UUID(SOME_ID)),
        (Decimal, "1.10", Decimal("1.10")),
        (datetime, "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        (date, "2026-01-02", date(2026, 1, 2)),
        (timedelta, "PT1M", timedelta(minutes=1)),
        (Colour, "red", Colour.RED),
        (IPv4Address, "127.0.0.1", IPv4Address("127.0.0.1")),
        (PurePosixPath, "/tmp", PurePosixPath("/tmp")),
        (Point, {"x": 1}, Point(1)),
        (Pair, [1, 2], Pair(1, 2)),
        (Account, {"id": SOME_ID}, Account(id=UUID(SOME_ID))),
        (list[UUID], [SOME_ID], [UUID(SOME_ID)]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (set[int], [1, 2, 1], {1, 2}),
        (frozenset[int], [1], frozenset({1})),
        (deque[int], [1], deque([1])),
        (dict[int, UUID], {"1": SOME_ID}, {1: UUID(SOME_ID)}),
        (list[Point | None], [{"x": 1}, None], [Point(1), None]),
        (Annotated[int, Field(gt=0)], 1, 1),
        (Annotated[str, StringConstraints(to_lower=True)], "ABC", "abc"),
        (
            Annotated[Cat | Dog, Field(discriminator="kind")],
            {"kind": "cat", "lives": 7},
            Cat(kind="cat", lives=7),
        ),
        (StrictAccount, {"id": SOME_ID, "tags": ["a"]}, StrictAccount(id=UUID(SOME_ID), tags=("a",))),
        (Annotated[UUID, Field(strict=True)], SOME_ID, UUID(SOME_ID)),
        (Annotated[tuple[int, ...], Field(strict=True)], [1], (1,)),
        (Any, {"as": "it is"}, {"as": "it is"}),
        (EMPTY, "5", "5"),
    ],
)
def test_received_value_is_converted_to_the_annotated_type(
    annotation: Any, value: Any, converted: Any
) -> None:
    (result,) = filled(Payload(by_either=[parameter("a", annotation)]), [value], slots=1)

    assert result == converted
    assert type(result) is type(converted)


def test_value_of_an_unannotated_parameter_is_passed_unchanged() -> None:
    value = [1]

    assert filled(Payload(by_either=[parameter("a")]), [value])[0] is value


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        (
            int,
            "five",
            ("int_parsing", [], "Input should be a valid integer, unable to parse string as an integer"),
        ),
        (Annotated[int, Field(gt=0)], 0, ("greater_than", [], "Input should be greater than 0")),
        (Annotated[int, AfterValidator(even)], 3, ("value_error", [], "Value error, must be even")),
        (list[int], [1, "b"], ("int_parsing", [1], None)),
        (Point, {"y": 1}, ("missing", ["x"], "Field required")),
        (Point, {"x": 1, "y": "b"}, ("int_parsing", ["y"], None)),
        (dict[str, list[int]], {"a": [1], "b": [1, None]}, ("int_type", ["b", 1], None)),
        (dict[int, int], {"a": 1}, ("int_parsing", ["a"], None)),
        (Point, 5, ("dataclass_type", [], None)),
        (StrictAccount, {"id": "no id"}, ("uuid_parsing", ["id"], None)),
        (StrictAccount, 5, ("model_type", [], "Input should be an object")),
        (Annotated[Cat | Dog, Field(discriminator="kind")], {"kind": "cat"}, ("missing", ["lives"], None)),
        (list[Annotated[int, AfterValidator(even)] | None], [2, 3], ("value_error", [1], None)),
        (Annotated[bytes, Field(max_length=1)], b"\xff\xff", ("bytes_too_long", [], None)),
        (Annotated[str, Field(strict=True)], b"\xff", ("string_type", [], None)),
        (Annotated[str, Field(pattern="^a$")], "\ud800", ("string_unicode", [], None)),
        (Annotated[float, Field(allow_inf_nan=False)] | None, math.nan, ("finite_number", [], None)),
    ],
)
def test_error_has_argument_path_and_reason(annotation: Any, value: Any, expected: tuple[Any, ...]) -> None:
    kind, path, reason = expected
    found = only_error(annotation, value)

    assert found[:2] == (kind, path)
    assert reason is None or found[2] == reason


def test_error_path_does_not_contain_validators_or_union_branches() -> None:
    found = errors_of(
        Payload(by_either=[parameter("a", Annotated[int, AfterValidator(even)] | list[int])]), [3]
    )

    assert "even()" not in json.dumps(found)
    assert [error["path"] for error in found] == [[], []]


def test_all_errors_are_reported_together() -> None:
    payload = Payload(by_either=parameters("a", "b", "c"))
    with pytest.raises(InvalidArgument) as caught:
        filled(payload, ["x"], {"b": "y", "d": 1})

    assert [(error["argument"], error["type"]) for error in caught.value.kwargs["errors"]] == [
        ("a", "int_parsing"),
        ("b", "int_parsing"),
        ("d", "unexpected_keyword_argument"),
        ("c", "missing_argument"),
    ]
    assert caught.value.args[0].startswith("argument 'a': Input should be a valid integer")
    assert caught.value.args[0].endswith("argument 'd': unexpected keyword argument; and 1 more")


def test_error_text_has_the_path_inside_the_argument() -> None:
    payload = Payload(by_either=[parameter("a", dict[str, list[int]])])
    with pytest.raises(InvalidArgument, match=r"argument 'a'\['b'\]\[1\]: Input should be a valid integer"):
        filled(payload, [{"b": [0, None]}])


def test_number_of_reported_errors_is_limited() -> None:
    found = errors_of(Payload(by_either=[parameter("a", list[int])]), [["x"] * 1000])

    assert len(found) == MAX_REPORTED_ERRORS


def test_errors_of_one_argument_are_only_counted_if_there_are_too_many() -> None:
    three = Annotated[int, AfterValidator(even)] | Literal["a"] | None
    (found,) = errors_of(Payload(by_either=[parameter("a", list[three])]), [["x"] * 900])

    assert found == {
        "argument": "a",
        "path": [],
        "reason": "1800 values are invalid",
        "type": "too_many_errors",
    }


def test_only_the_first_error_of_an_argument_with_many_values_is_reported() -> None:
    (found,) = errors_of(Payload(by_either=[parameter("a", list[int])]), [[1] * 5000 + ["x"] * 5000])

    assert found == {
        "argument": "a",
        "path": [5000],
        "reason": "Input should be a valid integer, unable to parse string as an integer",
        "type": "int_parsing",
    }


def test_text_of_an_error_tells_that_there_are_more_than_are_reported() -> None:
    payload = Payload(by_either=[parameter("a", list[int])])

    for invalid, text in (100, "; and 97 more"), (900, "; and at least 198 more"):
        with pytest.raises(InvalidArgument) as caught:
            filled(payload, [["x"] * invalid])
        assert caught.value.args[0].endswith(text)
        assert len(caught.value.kwargs["errors"]) == 100


def test_validation_stops_after_enough_unexpected_arguments() -> None:
    class Counted(dict[str, Any]):
        seen = 0

        def items(self) -> Any:
            for item in super().items():
                self.seen += 1
                yield item

    kwargs = Counted((f"k{number}", 1) for number in range(50_000))
    with pytest.raises(InvalidArgument) as caught:
        PLAIN.fill([MISSING] * 3, [1, 2], kwargs)

    assert len(caught.value.kwargs["errors"]) == MAX_REPORTED_ERRORS
    assert kwargs.seen < 5000


def test_long_names_and_texts_are_truncated_in_errors() -> None:
    class Cat(BaseModel):
        kind: Literal["cat"]

    class Dog(BaseModel):
        kind: Literal["dog"]

    long = "k" * 100_000
    payload = Payload(
        by_either=[
            parameter("a", dict[str, int]),
            parameter("b", Annotated[Cat | Dog, Field(discriminator="kind")]),
        ]
    )
    with pytest.raises(InvalidArgument) as caught:
        filled(payload, [{long: "x"}, {"kind": long}], {long: 1})

    assert len(caught.value.kwargs["errors"]) == 3
    assert len(caught.value.args[0]) + len(json.dumps(caught.value.kwargs)) < 5000


PLAIN = Payload(by_either=parameters("a", "b"), keyword_only=parameters("c", first_slot=2))


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [([1, 2], {"c": 3}), ([1], {"c": 3, "b": 2}), ((), {"a": 1, "b": "2", "c": 3})],
)
def test_arguments_are_accepted_by_position_or_by_name(args: Any, kwargs: Any) -> None:
    assert filled(PLAIN, args, kwargs) == [1, 2, 3]


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ([1, 2], {}, [("c", "missing_argument")]),
        ([], {"c": 3}, [("a", "missing_argument"), ("b", "missing_argument")]),
        ([1, 2, 3], {"c": 3}, [(None, "unexpected_positional_argument")]),
        ([1, 2], {"c": 3, "d": 4}, [("d", "unexpected_keyword_argument")]),
        ([1, 2], {"c": 3, "a": 4}, [("a", "multiple_argument_values")]),
        ([1], {"c": 3, "b": "x"}, [("b", "int_parsing")]),
        ([1, 2], {"c": 3, 4: 5}, [("4", "unexpected_keyword_argument")]),
    ],
)
def test_payload_with_missing_or_unexpected_arguments_is_refused(
    args: Any, kwargs: Any, expected: Any
) -> None:
    assert [(error["argument"], error["type"]) for error in errors_of(PLAIN, args, kwargs)] == expected


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "takes no positional arguments, got 3"), (1, "takes 1 positional argument, got 3")],
)
def test_error_for_too_many_positional_arguments_has_both_numbers(count: int, text: str) -> None:
    with pytest.raises(InvalidArgument, match=text):
        filled(Payload(by_either=parameters("a")[:count]), [1, 2, 3])


def test_parameter_with_a_default_may_be_omitted() -> None:
    payload = Payload(by_either=[parameter("a", int), parameter("b", int, slot=1, required=False)])

    assert filled(payload, [1], slots=2) == [1, MISSING]
    assert filled(payload, [], {"a": 1}, slots=2) == [1, MISSING]


def test_positional_only_parameter_does_not_accept_a_keyword_argument() -> None:
    payload = Payload(positional_only=parameters("a"))

    assert filled(payload, [1], slots=1) == [1]
    assert [(error["argument"], error["type"]) for error in errors_of(payload, [], {"a": 1})] == [
        ("a", "unexpected_keyword_argument"),
        ("a", "missing_argument"),
    ]


REST = Payload(
    by_either=parameters("a"),
    rest=Rest("others", 1, Validator(int)),
    rest_by_name=Rest("named", 2, Validator(UUID)),
    injected=["session"],
)


def test_variadic_arguments_are_validated_one_by_one() -> None:
    assert filled(REST, [1, "2", 3], {"id": SOME_ID}) == [1, (2, 3), {"id": UUID(SOME_ID)}]
    assert filled(REST, [1]) == [1, (), {}]
    assert [(error["argument"], error["path"]) for error in errors_of(REST, [1, 2, "x"], {"id": 5})] == [
        ("others", [1]),
        ("id", []),
    ]


def test_variadic_keywords_do_not_accept_the_name_of_an_injected_argument() -> None:
    assert [error["argument"] for error in errors_of(REST, [1], {"session": SOME_ID})] == ["session"]


def test_variadic_keywords_accept_the_name_of_a_positional_only_parameter() -> None:
    payload = Payload(positional_only=parameters("a"), rest_by_name=Rest("named", 1, Validator(EMPTY)))

    assert filled(payload, [1], {"a": 2}, slots=2) == [1, {"a": 2}]


def test_dependency_reads_arguments_by_name() -> None:
    payload = Payload(
        by_either=parameters("a"),
        shared=[parameter("a", str, slot=1), parameter("limit", int, slot=2)],
        rest_by_name=Rest("named", 3, Validator(EMPTY)),
    )

    assert filled(payload, ["1"], {"limit": 5, "other": 6}, slots=4) == [1, "1", 5, {"other": 6}]
    assert filled(payload, [], {"a": "1", "limit": 5}, slots=4) == [1, "1", 5, {}]
    assert errors_of(payload, ["1"])[0] == {
        "argument": "limit",
        "path": [],
        "reason": "missing keyword argument",
        "type": "missing_keyword_only_argument",
    }


def test_dependency_does_not_read_a_positional_only_argument() -> None:
    payload = Payload(positional_only=parameters("a"), shared=[parameter("a", slot=1, required=False)])

    assert filled(payload, [1], slots=2) == [1, MISSING]
    assert filled(payload, [1], {"a": 2}, slots=2) == [1, 2]


def test_error_of_an_argument_that_is_read_twice_is_reported_once() -> None:
    payload = Payload(by_either=parameters("a"), shared=[parameter("a", int, slot=1)])

    assert len(errors_of(payload, ["x"])) == 1


@pytest.mark.parametrize(
    ("annotation", "reason"),
    [
        (
            Payload,
            "Unable to generate pydantic-core schema for <class 'wampasgi.injection.arguments.Payload'>$",
        ),
        (list[Payload], "Unable to generate pydantic-core schema"),
        (Unfinished, "is not fully defined"),
        (Annotated[str, Field(pattern="(")], "Error building"),
    ],
)
def test_annotation_without_a_schema_is_unusable(annotation: Any, reason: str) -> None:
    with pytest.raises(UnusableAnnotation, match=reason):
        Validator(annotation)


def test_unexpected_exception_of_a_validator_is_propagated() -> None:
    def broken(value: int) -> int:
        raise KeyError(value)

    with pytest.raises(KeyError):
        filled(Payload(by_either=[parameter("a", Annotated[int, AfterValidator(broken)])]), [1])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.lists(JSON, max_size=4), st.dictionaries(st.text() | st.sampled_from("abc"), JSON, max_size=4))
def test_any_payload_is_valid_or_is_refused_with_errors_that_json_can_represent(
    args: list[Any], kwargs: dict[str, Any]
) -> None:
    kinds: list[Any] = [int | list[Point], StrictAccount | UUID | None, dict[str, Colour] | Decimal]
    payload = Payload(
        by_either=[
            parameter(name, kind, slot=slot)
            for slot, (name, kind) in enumerate(zip("abc", kinds, strict=True))
        ]
    )
    refusal: InvalidArgument | None = None
    frame = [MISSING] * 3
    try:
        payload.fill(frame, args, kwargs)
    except InvalidArgument as error:
        refusal = error

    assert refusal is not None or MISSING not in frame
    if refusal is not None:
        json.dumps([refusal.args, refusal.kwargs])
        assert refusal.kwargs["errors"]


@pytest.mark.parametrize("make", [list, tuple])
def test_arguments_may_be_a_list_or_tuple(make: Callable[[Any], Any]) -> None:
    assert filled(REST, make([1, 2])) == [1, (2,), {}]
