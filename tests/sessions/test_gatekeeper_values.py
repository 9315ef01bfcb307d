"""Gatekeepers that return or yield a value, which refuses the subscription."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any, Never, NewType, NoReturn

import pytest
from typing_extensions import TypeAliasType

from tests.specification import ERROR, SUBSCRIBE, SUBSCRIBED
from tests.wamp_client import clients
from wampasgi import Application, ConfigurationError, SubscribeError, TopicRouteSet

pytestmark = pytest.mark.anyio

RUNTIME_ERROR = "wamp.error.runtime_error"

Verdict = NewType("Verdict", int)
Allowed = TypeAliasType("Allowed", Annotated[bool, "allowed"])
Nothing = TypeAliasType("Nothing", None)


def coroutine(value: Any) -> Callable[..., Any]:
    async def gatekeeper():  # type: ignore[no-untyped-def]
        return value

    return gatekeeper


def sync(value: Any) -> Callable[..., Any]:
    def gatekeeper():  # type: ignore[no-untyped-def]
        return value

    return gatekeeper


def generator(value: Any) -> Callable[..., Any]:
    async def gatekeeper():  # type: ignore[no-untyped-def]
        yield value

    return gatekeeper


class Unshowable:
    def __repr__(self) -> str:
        raise ValueError("no text")


# Values at run time


@pytest.mark.parametrize("kind", [coroutine, sync, generator])
@pytest.mark.parametrize(
    "value", [False, True, 0, "", "no", (), {}, object, SubscribeError(), PermissionError("no")], ids=repr
)
async def test_gatekeeper_that_returns_or_yields_a_value_refuses_the_subscription(
    kind: Callable[[Any], Callable[..., Any]], value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = Application()
    app.topic("t")(kind(value))
    await app.publish("t", options={"retain": True})

    async with clients(app, {}) as [client]:
        refused = await client.request_error(SUBSCRIBE, {"get_retained": True}, "t")
        await app.publish("t", "secret")
        await client.expect_nothing()

    assert refused == RUNTIME_ERROR
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "gatekeeper" in record.getMessage()
    assert repr(value) in caplog.text
    assert "raise SubscribeError" in caplog.text


@pytest.mark.parametrize("kind", [coroutine, sync, generator])
async def test_gatekeeper_that_returns_or_yields_nothing_accepts_the_subscription(
    kind: Callable[[Any], Callable[..., Any]],
) -> None:
    app = Application()
    app.topic("t")(kind(None))

    async with clients(app, {}) as [client]:
        await client.subscribe("t")


@pytest.mark.parametrize("kind", [coroutine, generator])
async def test_value_of_the_gatekeeper_of_all_topics_refuses_the_subscription(
    kind: Callable[[Any], Callable[..., Any]],
) -> None:
    app = Application()
    app.set_subscription_handler(kind(False))

    async with clients(app, {}) as [client]:
        assert await client.request_error(SUBSCRIBE, {}, "t") == RUNTIME_ERROR


@pytest.mark.parametrize("kind", [coroutine, generator])
async def test_value_without_a_text_refuses_only_the_subscription(
    kind: Callable[[Any], Callable[..., Any]],
) -> None:
    app = Application()
    app.topic("t")(kind(Unshowable()))
    app.topic("open")(coroutine(None))

    async with clients(app, {}) as [client]:
        assert await client.request_error(SUBSCRIBE, {}, "t") == RUNTIME_ERROR
        await client.subscribe("open")


async def test_long_value_is_shortened_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    app = Application()
    app.topic("t")(coroutine("x" * 100_000))

    async with clients(app, {}) as [client]:
        await client.request_error(SUBSCRIBE, {}, "t")

    assert len(caplog.text) < 5000


async def test_second_part_of_a_gatekeeper_that_yields_a_value_runs() -> None:
    app = Application()
    steps: list[str] = []

    async def gatekeeper():  # type: ignore[no-untyped-def]
        steps.append("enter")
        yield False
        steps.append("leave")

    app.topic("t")(gatekeeper)

    async with clients(app, {}) as [client]:
        assert await client.request_error(SUBSCRIBE, {}, "t") == RUNTIME_ERROR
        assert await client.request_error(SUBSCRIBE, {}, "t") == RUNTIME_ERROR

    assert sorted(steps) == ["enter", "enter", "leave", "leave"]


@pytest.mark.parametrize("value", [None, False])
async def test_value_of_a_coroutine_that_a_plain_function_returns_counts(value: object) -> None:
    app = Application()
    app.topic("t")(lambda: coroutine(value)())

    async with clients(app, {}) as [client]:
        answer = await client.request(SUBSCRIBE, {}, "t")

    assert answer[0] == (SUBSCRIBED if value is None else ERROR)


async def test_plain_function_that_returns_an_async_generator_refuses_the_subscription() -> None:
    app = Application()
    app.topic("t")(lambda: generator(None)())

    async with clients(app, {}) as [client]:
        assert await client.request_error(SUBSCRIBE, {}, "t") == RUNTIME_ERROR


# Annotations


async def returns_bool() -> bool:
    return False


def returns_bool_sync() -> bool:
    return False


async def returns_bool_or_none() -> bool | None:
    return False


def returns_awaitable_bool() -> Awaitable[bool]:
    return returns_bool()


def returns_iterator() -> AsyncIterator[None]:
    return yields_none()


async def returns_annotated() -> Annotated[bool, "allowed"]:
    return False


async def returns_alias() -> Allowed:
    return False


async def returns_verdict() -> Verdict:
    return Verdict(0)


async def yields_bool() -> AsyncIterator[bool]:
    yield False


async def yields_bool_of_a_generator() -> AsyncGenerator[bool, None]:
    yield False


async def yields_bool_of_an_iterable() -> AsyncIterable[bool]:
    yield False


async def yields_but_says_bool() -> bool:  # type: ignore[misc]
    yield False


class Guard:
    def __init__(self) -> None: ...

    async def check(self) -> bool:
        return False


class CallableGuard:
    async def __call__(self) -> bool:
        return False


@functools.wraps(returns_bool)
async def wrapped(*args: Any) -> Any:
    return await returns_bool(*args)


@pytest.mark.parametrize(
    ("gatekeeper", "text"),
    [
        (returns_bool, r"returns_bool \(.*:\d+\) is annotated to return bool"),
        (returns_bool_sync, "return bool"),
        (returns_bool_or_none, r"return bool \| None"),
        (returns_awaitable_bool, "return bool"),
        (returns_iterator, r"return .*AsyncIterator\[None\]"),
        (returns_annotated, "return bool"),
        (returns_alias, "return bool"),
        (returns_verdict, "return .*Verdict"),
        (yields_bool, "yield bool"),
        (yields_bool_of_a_generator, "yield bool"),
        (yields_bool_of_an_iterable, "yield bool"),
        (yields_but_says_bool, "return bool"),
        (Guard().check, "return bool"),
        (CallableGuard(), "return bool"),
        (functools.partial(returns_bool), "return bool"),
        (wrapped, "return bool"),
        (Guard, r"return .*\.Guard"),
    ],
)
@pytest.mark.parametrize("way", ["topic", "route", "all"])
def test_gatekeeper_annotated_with_a_value_is_an_error_at_startup(
    gatekeeper: Callable[..., Any], text: str, way: str
) -> None:
    app = Application()
    if way == "topic":
        app.topic("t")(gatekeeper)
    elif way == "route":
        topics = TopicRouteSet()
        topics.prefix_route("t")(gatekeeper)
        app.add_routes(topics)
    else:
        app.set_subscription_handler(gatekeeper)

    with pytest.raises(ConfigurationError, match=rf"gatekeeper .*{text}.*raise.? SubscribeError"):
        app.check()


async def returns_none() -> None: ...


async def returns_alias_of_none() -> Nothing:
    return None


async def returns_annotated_none() -> Annotated[None, "nothing"]:
    return None


async def returns_any() -> Any: ...


async def returns_object() -> object: ...


def returns_awaitable() -> Awaitable[None]:
    return returns_none()


def returns_coroutine() -> Coroutine[Any, Any, None]:
    return returns_none()


async def always_refuses() -> NoReturn:
    raise SubscribeError


async def never_returns() -> Never:
    raise SubscribeError


async def without_annotation():  # type: ignore[no-untyped-def]
    pass


async def unresolvable() -> Missing:  # type: ignore[name-defined]  # noqa: F821
    ...


async def yields_none() -> AsyncIterator[None]:
    yield


async def yields_none_of_a_generator() -> AsyncGenerator[None, None]:
    yield


async def yields_any() -> AsyncIterator[Any]:
    yield


async def yields_unknown() -> AsyncIterator:  # type: ignore[type-arg]
    yield


async def yields_without_annotation():  # type: ignore[no-untyped-def]
    yield


async def yields_but_says_none() -> None:  # type: ignore[misc]
    yield


@asynccontextmanager
async def context_manager() -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    "gatekeeper",
    [
        returns_none,
        returns_alias_of_none,
        returns_annotated_none,
        returns_any,
        returns_object,
        returns_awaitable,
        returns_coroutine,
        always_refuses,
        never_returns,
        without_annotation,
        unresolvable,
        yields_none,
        yields_none_of_a_generator,
        yields_any,
        yields_unknown,
        yields_without_annotation,
        yields_but_says_none,
        context_manager,
        functools.partial(returns_none),
        lambda: None,
    ],
)
def test_gatekeeper_whose_annotation_promises_no_value_is_fine(gatekeeper: Callable[..., Any]) -> None:
    app = Application()
    app.topic("t")(gatekeeper)
    app.check()
