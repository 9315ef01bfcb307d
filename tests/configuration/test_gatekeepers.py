"""Gatekeepers when a realm is compiled: their annotations, and rules for patterns of their topics."""

from __future__ import annotations

import functools
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any, Never, NewType, NoReturn

import pytest
from typing_extensions import TypeAliasType

from tests.restricted_topics import ROUTES, AddRoute, accept, chat_app, exact_route
from tests.wamp_client import open_app
from wampasgi import Application, ConfigurationError, SubscribeError, TopicRouteSet

Verdict = NewType("Verdict", int)
Allowed = TypeAliasType("Allowed", Annotated[bool, "allowed"])
Nothing = TypeAliasType("Nothing", None)


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


# Patterns


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("add_route", ROUTES)
def test_rule_for_patterns_over_a_restricted_topic_is_a_warning_at_startup(
    add_route: AddRoute, caplog: pytest.LogCaptureFixture
) -> None:
    app = chat_app()
    add_route(app, roles="moderator")
    app.check()
    app.check()

    [warning] = warnings_of(caplog)
    assert "allow('chat.', 'subscribe', match='prefix')" in warning
    assert "chat" in warning
    assert "accept (" in warning
    assert "patterns=True" in warning


@pytest.mark.parametrize("add_route", ROUTES)
@pytest.mark.parametrize("patterns", [False, True])
def test_topic_that_says_whether_patterns_may_include_it_causes_no_warning(
    add_route: AddRoute, patterns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = chat_app()
    add_route(app, roles="moderator", patterns=patterns)
    app.check()

    assert warnings_of(caplog) == []


def test_rules_for_single_topics_or_other_topics_or_actions_cause_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = open_app()
    app.allow("chat.moderators", "subscribe")
    app.allow("chat.", "publish", match="prefix")
    app.allow("news.", "subscribe", match="prefix")
    exact_route(app, roles="moderator")
    app.check()

    assert warnings_of(caplog) == []


def test_rule_for_patterns_over_a_gatekeeper_of_all_topics_is_a_warning_at_startup(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()
    app.allow("", "subscribe", match="prefix")
    app.set_subscription_handler(accept)
    app.check()

    [warning] = warnings_of(caplog)
    assert "allow('', 'subscribe', match='prefix')" in warning
    assert "accept (" in warning


def test_many_restricted_topics_are_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    app = chat_app()
    app.allow("chat.room.", "subscribe", match="prefix")
    for number in range(100):
        app.topic(f"chat.room.{number}")(accept)
    app.check()

    [warning] = warnings_of(caplog)
    assert "95 more" in warning
    assert len(warning) < 3000


def test_roles_of_a_topic_that_a_gatekeeper_of_all_topics_replaces_are_an_error_at_startup() -> None:
    app = Application()
    exact_route(app, roles="moderator")
    app.set_subscription_handler(accept)

    with pytest.raises(ConfigurationError, match=r"'chat.moderators'.*roles"):
        app.check()


def test_gatekeeper_of_all_topics_replaces_topics_without_roles(caplog: pytest.LogCaptureFixture) -> None:
    app = chat_app()
    exact_route(app)
    app.set_subscription_handler(accept, patterns=True)
    app.check()

    assert warnings_of(caplog) == []


def test_allow_all_causes_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    app = open_app()
    exact_route(app)
    app.check()

    assert warnings_of(caplog) == []
