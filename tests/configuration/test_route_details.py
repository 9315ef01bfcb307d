from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from wampasgi import (
    Application,
    ConfigurationError,
    Realm,
    RPCRouteSet,
    SubscribeError,
    TopicRouteSet,
    WAMPError,
    WAMPRouter,
    procedure,
    subscriber,
    topic,
)
from wampasgi.configuration.route_details import (
    NO_DETAILS,
    Details,
    Example,
    ProcedureDetails,
    RouteDetails,
    TopicDetails,
    check_json,
    json_form,
    read_details,
)
from wampasgi.injection.callables import EMPTY


class Limit(WAMPError, uri="com.bank.limit"):
    pass


class Undeclared(WAMPError):
    pass


class Model(BaseModel):
    number: int = 1


def read(allowed: type = ProcedureDetails, **details: Any) -> Details:
    return read_details("@procedure('com.test')", details, allowed)


def handler() -> None: ...


def test_route_without_details_has_the_defaults() -> None:
    assert read() == NO_DETAILS == Details()
    assert NO_DETAILS.include_in_schema
    assert NO_DETAILS.event is EMPTY


def test_details_are_read() -> None:
    assert read(
        summary="A summary",
        description="Some *text*.\n\nMore.",
        tags=["a", "b"],
        deprecated=True,
        include_in_schema=False,
        examples=[{"args": [1]}],
        errors=[Limit, "com.bank.closed"],
    ) == Details(
        summary="A summary",
        description="Some *text*.\n\nMore.",
        tags=("a", "b"),
        deprecated=True,
        include_in_schema=False,
        examples=(Example(None, [1], {}),),
        errors=(Limit, "com.bank.closed"),
    )
    assert read(TopicDetails, event=int).event is int


@pytest.mark.parametrize("tags", ["a", ["a"], ("a",), {"a"}])
def test_tags_are_one_or_several(tags: Any) -> None:
    assert read(tags=tags).tags == ("a",)


def test_iterables_are_read_once() -> None:
    def examples() -> Iterator[dict[str, Any]]:
        yield {"kwargs": {"a": 1}}

    assert read(examples=examples(), errors=iter([Limit])) == Details(
        examples=(Example(None, [], {"a": 1}),), errors=(Limit,)
    )


def test_example_has_its_json_form() -> None:
    [example] = read(examples=[{"args": (Model(), {1}), "kwargs": {"m": Model(number=2)}}]).examples
    assert (example.args, example.kwargs) == ([{"number": 1}, [1]], {"m": {"number": 2}})


@pytest.mark.parametrize(
    ("details", "problem"),
    [
        ({"summary": 1}, "summary is 1, it must be a str"),
        ({"summary": "two\nlines"}, "summary has several lines"),
        ({"description": b"text"}, "description is b'text', it must be a str"),
        ({"deprecated": "yes"}, "deprecated is 'yes', it must be True or False"),
        ({"include_in_schema": None}, "include_in_schema is None, it must be True or False"),
        ({"tags": ["a", ""]}, "tags is ['a', '']"),
        ({"tags": 1}, "tags is 1"),
        ({"tags": None}, "tags is None"),
        ({"examples": {"args": [1]}}, "examples is {'args': [1]}: give a list"),
        ({"examples": 1}, "examples is 1: give a list"),
        ({"examples": [1]}, "examples has 1: write a dict"),
        ({"examples": [{"arguments": []}]}, "examples has {'arguments': []}: write a dict"),
        ({"examples": [{"summary": 1}]}, "the summary of the example {'summary': 1} must be a str"),
        ({"examples": [{"args": "ab"}]}, "needs a list 'args' and a dict 'kwargs'"),
        ({"examples": [{"args": {"a": 1}}]}, "needs a list 'args' and a dict 'kwargs'"),
        ({"examples": [{"kwargs": []}]}, "needs a list 'args' and a dict 'kwargs'"),
        ({"examples": [{"kwargs": {1: 2}}]}, "needs a list 'args' and a dict 'kwargs' with str keys"),
        ({"examples": [{"args": [handler]}]}, "has no JSON form"),
        ({"examples": [{"args": [float("nan")]}]}, "has no JSON form"),
        ({"errors": "com.bank.limit"}, "errors is 'com.bank.limit': give a list, ['com.bank.limit']"),
        ({"errors": Limit}, "give a list"),
        ({"errors": [""]}, "errors has ''"),
        ({"errors": ["not a URI"]}, "errors has 'not a URI'"),
        ({"errors": [Undeclared]}, "give a subclass of WAMPError that declares its URI"),
        ({"errors": [WAMPError]}, "give a subclass of WAMPError that declares its URI"),
        ({"errors": [SubscribeError]}, "give a subclass of WAMPError that declares its URI"),
        ({"errors": [ValueError]}, "give a subclass of WAMPError that declares its URI"),
        ({"errors": [Limit()]}, "give a subclass of WAMPError that declares its URI"),
    ],
)
def test_invalid_detail_is_a_configuration_error(details: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        read(**details)
    assert str(refused.value).startswith("@procedure('com.test'): ")
    assert problem in str(refused.value)


@pytest.mark.parametrize(
    ("allowed", "name"),
    [
        (ProcedureDetails, "event"),
        (TopicDetails, "errors"),
        (RouteDetails, "event"),
        (RouteDetails, "errors"),
        (ProcedureDetails, "summry"),
    ],
)
def test_unknown_detail_is_an_unexpected_keyword_argument(allowed: type, name: str) -> None:
    with pytest.raises(TypeError, match=f"got an unexpected keyword argument '{name}'"):
        read(allowed, **{name: None})


@pytest.mark.parametrize(
    "declare",
    [
        lambda: Application().procedure("com.test", summary=1),  # type: ignore[arg-type]
        lambda: Realm("com.realm").topic("com.test", summary=1),  # type: ignore[arg-type]
        lambda: WAMPRouter().subscriber("com.test", summary=1),  # type: ignore[arg-type]
        lambda: RPCRouteSet().route("com.test", summary=1),  # type: ignore[arg-type]
        lambda: RPCRouteSet().prefix_route("com.test", summary=1),  # type: ignore[arg-type]
        lambda: TopicRouteSet().regex_route("com.test", summary=1),  # type: ignore[arg-type]
    ],
)
def test_each_decorator_checks_the_details(declare: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"'com.test'.*summary is 1"):
        declare()


def test_marked_methods_have_details() -> None:
    class Orders:
        @procedure("get", summary="Get", errors=[Limit])
        async def get(self) -> None: ...

        @topic("changed", event=int, tags="changes")
        async def changed(self) -> None: ...

        @subscriber("sent", deprecated=True)
        async def sent(self) -> None: ...

    router = WAMPRouter(prefix="orders.")
    router.add_handlers(Orders(), tags="orders")
    [get], [changed], [sent] = router.procedures, router.topics, router.subscribers
    assert (get.details.summary, get.details.errors, get.tags) == ("Get", (Limit,), ("orders",))
    assert (changed.details.event, changed.tags) == (int, ("orders", "changes"))
    assert (sent.details.deprecated, sent.tags) == (True, ("orders",))


def test_iterators_of_a_mark_are_for_all_objects() -> None:
    class Orders:
        @procedure("get", errors=iter([Limit]), examples=iter([{"args": [1]}]))
        async def get(self) -> None: ...

    for prefix in ("first.", "second."):
        router = WAMPRouter(prefix=prefix)
        router.add_handlers(Orders())
        [get] = router.procedures
        assert (get.details.errors, len(get.details.examples)) == ((Limit,), 1)


@pytest.mark.parametrize("value", [None, True, 1.5, -(2**63), 2**64 - 1, "text", [{"a": ["b\0"]}]])
def test_json_values_are_their_own_form(value: Any) -> None:
    check_json(value)
    assert json_form(value) == value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (-(2**63) - 1, "64 bits"),
        ([2**64], "64 bits"),
        ({"a": float("-inf")}, "no number -inf"),
        ("\0", "U[+]0000"),
        ({"\0a": 1}, "U[+]0000"),
    ],
)
def test_value_that_the_serializers_would_change_or_refuse_has_no_json_form(value: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        json_form(value)
    with pytest.raises(ValueError, match=problem):
        check_json(value)


def test_keys_of_json_objects_are_strings() -> None:
    with pytest.raises(ValueError, match="the keys of JSON objects are strings"):
        check_json([{1: 2}])
    assert json_form([{1: 2}]) == [{"1": 2}]


@pytest.mark.parametrize("value", [b"bytes", {1}, (1,), [Model()]])
def test_other_types_are_no_json(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON cannot represent a value of the type"):
        check_json(value)


def test_value_that_contains_itself_has_no_json_form() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ValueError, match=r"[Cc]ircular"):
        json_form(value)
