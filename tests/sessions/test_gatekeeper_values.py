"""Gatekeepers that return or yield a value, which refuses the subscription."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.specification import ERROR, SUBSCRIBE, SUBSCRIBED
from tests.wamp_client import clients
from wampasgi import Application, SubscribeError

pytestmark = pytest.mark.anyio

RUNTIME_ERROR = "wamp.error.runtime_error"


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
