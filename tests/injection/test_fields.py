"""Tests of pydantic's ``Field`` on parameters, and of types that pydantic validates lazily."""

from __future__ import annotations

from collections import abc
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Annotated, Any

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, Field
from typing_extensions import TypeAliasType, TypedDict

from tests.specification import CALL, ERROR
from tests.wamp_client import connect
from wampasgi import Application, ConfigurationError, Depends, RPCRequest, Session

pytestmark = pytest.mark.anyio

INVALID_ARGUMENT = "wamp.error.invalid_argument"
NUMBERS = count()

Limit = Annotated[int, Field(gt=0, default=5)]
LimitAlias = TypeAliasType("LimitAlias", Annotated[int, Field(default=5)])


async def with_default(limit: Limit) -> Any:
    return limit


async def with_default_in_alias(limit: LimitAlias) -> Any:
    return limit


async def with_default_before_required(limit: Limit, offset: int) -> Any:
    return limit, offset


async def with_own_default(limit: Limit = 7) -> Any:
    return limit


async def with_nested_default(limit: Annotated[Limit, Field(lt=9)]) -> Any:
    return limit


async def keyword_only(*, limit: Limit) -> Any:
    return limit


async def positional_only(limit: Limit, /) -> Any:
    return limit


async def with_factory(tags: Annotated[list[str], Field(default_factory=list)]) -> Any:
    tags.append("more")
    return tags


async def with_mutable_default(tags: Annotated[list[str], Field(default=[])]) -> Any:
    tags.append("more")
    return tags


async def with_alias(sender: Annotated[str, Field(alias="from")]) -> Any:
    return sender


async def with_validation_alias(sender: Annotated[str, Field(alias="of", validation_alias="from")]) -> Any:
    return sender


async def with_alias_and_default(sender: Annotated[str, Field(alias="from", default="nobody")]) -> Any:
    return sender


async def with_choices(sender: Annotated[str, Field(validation_alias=AliasChoices("from", "by"))]) -> Any:
    return sender


async def with_alias_and_rest(sender: Annotated[str, Field(alias="from")], **rest: Any) -> Any:
    return sender, rest


async def with_alias_positional_only(sender: Annotated[str, Field(alias="from")], /) -> Any:
    return sender


def page(
    limit: Limit, tags: Annotated[list[str], Field(default_factory=list)], *, size: int = 1
) -> list[Any]:
    tags.append("more")
    return [limit, tags, size]


async def with_dependency(found: list[Any] = Depends(page)) -> Any:
    return tuple(found)


def of(sender: Annotated[str, Field(validation_alias=AliasChoices("by", "from"))] = "nobody") -> str:
    return sender


async def with_alias_in_dependency(found: str = Depends(of)) -> Any:
    return found


async def with_alias_in_both(sender: Annotated[str, Field(alias="from")], found: str = Depends(of)) -> Any:
    return sender, found


@pytest.mark.parametrize(
    ("handler", "args", "kwargs", "result"),
    [
        (with_default, [], {}, [5]),
        (with_default, [6], {}, [6]),
        (with_default, [], {"limit": "6"}, [6]),
        (with_default_in_alias, [], {}, [5]),
        (with_default_before_required, [], {"offset": 1}, [5, 1]),
        (with_default_before_required, [2, 1], {}, [2, 1]),
        (with_own_default, [], {}, [7]),
        (with_nested_default, [], {}, [5]),
        (keyword_only, [], {}, [5]),
        (keyword_only, [], {"limit": 6}, [6]),
        (positional_only, [], {}, [5]),
        (positional_only, [6], {}, [6]),
        (with_factory, [], {}, [["more"]]),
        (with_factory, [["a"]], {}, [["a", "more"]]),
        (with_factory, [], {"tags": ["a"]}, [["a", "more"]]),
        (with_mutable_default, [], {}, [["more"]]),
        (with_alias, ["ann"], {}, ["ann"]),
        (with_alias, [], {"from": "ann"}, ["ann"]),
        (with_validation_alias, [], {"from": "ann"}, ["ann"]),
        (with_alias_and_default, [], {}, ["nobody"]),
        (with_alias_and_default, [], {"from": "ann"}, ["ann"]),
        (with_choices, [], {"from": "ann"}, ["ann"]),
        (with_choices, [], {"by": "ann"}, ["ann"]),
        (with_choices, ["ann"], {}, ["ann"]),
        (with_alias_and_rest, [], {"from": "ann", "x": 1}, ["ann", {"x": 1}]),
        (with_alias_positional_only, ["ann"], {}, ["ann"]),
        (with_dependency, [], {}, [5, ["more"], 1]),
        (with_dependency, [], {"limit": 6, "tags": ["a"]}, [6, ["a", "more"], 1]),
        (with_alias_in_dependency, [], {}, ["nobody"]),
        (with_alias_in_dependency, [], {"from": "ann"}, ["ann"]),
        (with_alias_in_dependency, [], {"from": "ann", "by": "bob"}, ["bob"]),
        (with_alias_in_both, ["ann"], {}, ["ann", "ann"]),
        (with_alias_in_both, [], {"from": "ann"}, ["ann", "ann"]),
    ],
)
async def test_field_gives_the_default_and_the_name_of_an_argument(
    handler: Callable[..., Any], args: Any, kwargs: Any, result: Any
) -> None:
    app = Application()
    app.procedure("p")(handler)

    async with connect(app) as client:
        await client.join()
        for _ in range(2):  # a default must not be shared between calls
            assert (await client.request(CALL, {}, "p", args, kwargs))[3] == result


@pytest.mark.parametrize(
    ("handler", "args", "kwargs", "argument"),
    [
        (with_default, [0], {}, "limit"),
        (with_default_before_required, [], {}, "offset"),
        (with_alias, [], {}, "from"),
        (with_alias, [], {"from": 5}, "from"),
        (with_alias, ["ann"], {"from": "ann"}, "from"),
        (with_alias, ["ann"], {"sender": "ann"}, "sender"),
        (with_alias_and_rest, ["ann"], {"sender": "bob"}, "sender"),
        (with_validation_alias, ["ann"], {"of": "ann"}, "of"),
        (with_choices, [], {}, "from"),
        (with_choices, [], {"from": "ann", "by": "bob"}, "by"),
        (with_alias_positional_only, ["ann"], {"from": "bob"}, "from"),
        (with_factory, [], {"tags": 5}, "tags"),
        (with_dependency, [], {"limit": 0}, "limit"),
        (with_alias_in_dependency, [], {"sender": "ann"}, "sender"),
    ],
)
async def test_error_has_the_name_of_the_argument_in_the_payload(
    handler: Callable[..., Any], args: Any, kwargs: Any, argument: str
) -> None:
    app = Application()
    app.procedure("p")(handler)

    async with connect(app) as client:
        await client.join()
        answer = await client.request(CALL, {}, "p", args, kwargs)
        assert answer[0] == ERROR
        assert answer[4] == INVALID_ARGUMENT
        assert [error["argument"] for error in answer[6]["errors"]] == [argument]


async def test_default_factory_runs_once_for_each_call_that_needs_it() -> None:
    app = Application()

    @app.procedure("p")
    async def procedure(number: Annotated[int, Field(default_factory=NUMBERS.__next__)]) -> int:
        return number

    async with connect(app) as client:
        await client.join()
        first = await client.call("p")
        assert await client.call("p", -1) == -1
        assert await client.call("p") == first + 1


async def test_defaults_of_field_fill_parameters_that_no_payload_can_fill() -> None:
    app, seen = Application(), []

    def limits(limit: Limit, tags: Annotated[list[str], Field(default_factory=list)]) -> list[Any]:
        return [limit, tags]

    @app.topic("t")
    async def topic(
        limit: Limit,
        tags: Annotated[list[str], Field(default_factory=list)],
        more: list[Any] = Depends(limits),
    ) -> None:
        seen.append([limit, tags, more])

    async with connect(app) as client:
        await client.join()
        await client.subscribe("t")
    assert seen == [[5, [], [5, []]]]


async def test_alias_gives_no_warning_and_does_not_replace_an_injected_argument() -> None:
    app = Application()

    @app.procedure("p")
    async def procedure(session: Session, name: Annotated[str, Field(alias="session")]) -> tuple[int, str]:
        return session.id, name

    async with connect(app) as client:
        await client.join()
        assert (await client.request(CALL, {}, "p", [], {"session": "x"}))[3] == [client.id, "x"]


def takes_data(a: int, b: Annotated[int, Field(default_factory=lambda data: data["a"])]) -> None: ...
def by_path(a: Annotated[int, Field(validation_alias=AliasPath("b", 0))]) -> None: ...
def by_path_in_choices(
    a: Annotated[int, Field(validation_alias=AliasChoices("b", AliasPath("c", "d")))],
) -> None: ...
def same_alias(a: Annotated[int, Field(alias="b")], b: int) -> None: ...
def same_alias_twice(a: Annotated[int, Field(alias="c")], *, b: Annotated[int, Field(alias="c")]) -> None: ...


@pytest.mark.filterwarnings("ignore:A 'default_factory' taking validated data")
@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (takes_data, "'b' has a default_factory that takes the other arguments"),
        (by_path, "'a' has the alias .*, which is a part of an argument"),
        (by_path_in_choices, "'a' has the alias .*, which is a part of an argument"),
        (same_alias, "two parameters get the argument 'b'"),
        (same_alias_twice, "two parameters get the argument 'c'"),
    ],
)
def test_option_of_field_that_cannot_be_honoured_is_refused(handler: Callable[..., Any], text: str) -> None:
    app = Application()
    app.procedure("p")(handler)

    with pytest.raises(ConfigurationError, match=rf"{handler.__name__} \(.*:\d+\).*{text}"):
        app.check()


# Lazily validated types


class Named(BaseModel):
    type: str = "generator"
    generator: int = 1


class Basket(BaseModel):
    items: Iterable[int]


@dataclass
class Bag:
    items: list[Generator[int, None, None]]


class Options(TypedDict, total=False):
    ids: Iterable[int]


Numbers = TypeAliasType("Numbers", Iterable[int])


def iterable(numbers: Iterable[int]) -> None: ...
def iterable_of_anything(numbers: Iterable) -> None: ...  # type: ignore[type-arg]
def optional_iterable(numbers: Iterable[int] | None = None) -> None: ...
def iterable_in_list(numbers: list[Iterable[int]]) -> None: ...
def generator(numbers: Generator[int, None, None]) -> None: ...
def in_alias(numbers: Numbers) -> None: ...
def in_model(numbers: Basket) -> None: ...
def in_models(numbers: dict[str, list[Basket] | None]) -> None: ...
def in_dataclass(numbers: Bag) -> None: ...
def in_typed_dict(numbers: Options) -> None: ...
def in_rest(*numbers: Iterable[int]) -> None: ...
def iterator(numbers: Iterator[int]) -> None: ...
def collection(numbers: Collection[int]) -> None: ...
def async_iterable(numbers: AsyncIterable[int]) -> None: ...
def async_iterator(numbers: AsyncIterator[int]) -> None: ...
def bare_iterator(numbers: abc.Iterator) -> None: ...  # type: ignore[type-arg]
def in_dependency(found: Any = Depends(iterable)) -> None: ...


@pytest.mark.parametrize(
    "handler",
    [
        iterable,
        iterable_of_anything,
        optional_iterable,
        iterable_in_list,
        generator,
        in_alias,
        in_model,
        in_models,
        in_dataclass,
        in_typed_dict,
        in_rest,
        iterator,
        collection,
        async_iterable,
        async_iterator,
        bare_iterator,
        in_dependency,
    ],
)
def test_type_that_is_validated_lazily_is_refused_with_advice(handler: Callable[..., Any]) -> None:
    app = Application()
    app.procedure("p")(handler)

    with pytest.raises(ConfigurationError, match=r"'numbers'.*: write list\[\.\.\.\] or Sequence\[\.\.\.\]"):
        app.check()


async def test_field_of_a_model_may_be_named_like_a_part_of_a_schema() -> None:
    app = Application()

    @app.procedure("p")
    async def procedure(request: RPCRequest, named: Named) -> str:
        return named.type

    async with connect(app) as client:
        await client.join()
        assert await client.call("p", {"generator": 2}) == "generator"
