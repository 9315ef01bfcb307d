"""Tests of handlers that take a whole message: the RPCRequest of a call, or the Event."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import pytest
from anyio import Event as Flag
from anyio import fail_after

from tests.specification import CALL, RESULT
from tests.wamp_client import clients, connect, open_app
from wampasgi import (
    Application,
    Depends,
    Event,
    RPCProgressReport,
    RPCRequest,
    RPCResult,
    Session,
)

pytestmark = pytest.mark.anyio

INVALID_ARGUMENT = "wamp.error.invalid_argument"


def echo(request: RPCRequest) -> RPCResult:
    return RPCResult(request.args, request.kwargs)


async def by_name(request) -> RPCResult:  # type: ignore[no-untyped-def]
    return echo(request)


async def by_type(rpc_request: RPCRequest) -> RPCResult:
    return echo(rpc_request)


async def optional(rpc_request: RPCRequest | None = None) -> RPCResult:
    assert rpc_request is not None
    return echo(rpc_request)


async def with_session(session: Session, request: RPCRequest) -> RPCResult:
    return echo(request)


async def keyword_only(*, request: RPCRequest) -> RPCResult:
    return echo(request)


async def with_default_arg(request: RPCRequest, db: Any) -> RPCResult:
    return echo(request)


async def with_dependency(
    request: RPCRequest, inner: RPCRequest = Depends(lambda request: request)
) -> RPCResult:
    assert inner is request
    return echo(request)


async def generator(request: RPCRequest) -> AsyncIterator[Any]:
    yield RPCProgressReport(1)
    yield echo(request)


HANDLERS = [
    echo,
    by_name,
    by_type,
    optional,
    with_session,
    keyword_only,
    with_default_arg,
    with_dependency,
    generator,
]


@pytest.mark.parametrize("handler", HANDLERS)
async def test_handler_that_takes_the_request_gets_calls_with_any_arguments(
    handler: Callable[..., Any],
) -> None:
    app = Application()
    app.set_default_arg("db", "database")
    app.procedure("docs.", match="prefix")(handler)

    async with connect(app) as client:
        await client.join()
        answer = await client.request(CALL, {}, "docs.get", [1, "b"], {"request": 5, "db": 6, "x": 7})
        assert answer == [RESULT, 1, {}, [1, "b"], {"request": 5, "db": 6, "x": 7}]
        assert await client.request(CALL, {}, "docs.get") == [RESULT, 2, {}]


async def test_handler_that_takes_the_request_gets_calls_of_the_server_with_any_arguments() -> None:
    app = Application()
    app.procedure("echo")(by_type)

    assert await app.call("echo", 1, x=2) == RPCResult((1,), {"x": 2})


async def test_handler_with_parameters_besides_the_request_still_checks_the_arguments() -> None:
    app = Application()

    @app.procedure("one")
    async def one(request: RPCRequest, a: int) -> int:
        return a + len(request.args)

    @app.procedure("rest")
    async def rest(request: RPCRequest, *numbers: int) -> int:
        return sum(numbers)

    async with connect(app) as client:
        await client.join()
        assert await client.call("one", 5) == 6
        assert await client.call_error("one", 5, 6) == INVALID_ARGUMENT
        assert await client.call_error("one") == INVALID_ARGUMENT
        assert await client.call("rest", 5, 6) == 11
        assert await client.call_error("rest", "x") == INVALID_ARGUMENT


async def session_only(session: Session) -> None: ...


async def request_in_dependency(uri: Annotated[str, Depends(lambda request: request.uri)]) -> None: ...


async def no_parameters() -> None: ...


@pytest.mark.parametrize("handler", [session_only, request_in_dependency, no_parameters])
async def test_handler_that_does_not_take_the_request_itself_refuses_arguments(
    handler: Callable[..., Any],
) -> None:
    app = Application()
    app.procedure("p")(handler)

    async with connect(app) as client:
        await client.join()
        assert await client.call_error("p", 1) == INVALID_ARGUMENT
        assert await client.call_error("p", x=1) == INVALID_ARGUMENT
        assert await client.call("p") is None


async def test_dependency_of_a_handler_that_takes_the_request_still_validates_what_it_reads() -> None:
    app = Application()

    def page(limit: int = 10) -> int:
        return limit

    @app.procedure("p")
    async def procedure(request: RPCRequest, limit: int = Depends(page)) -> tuple[Any, ...]:
        return limit, *request.args

    async with connect(app) as client:
        await client.join()
        assert (await client.request(CALL, {}, "p", [1, 2], {"limit": "5", "x": 1}))[3] == [5, 1, 2]
        assert (await client.request(CALL, {}, "p", [1, 2]))[3] == [10, 1, 2]
        assert await client.call_error("p", limit="many") == INVALID_ARGUMENT


async def test_subscriber_that_takes_the_event_gets_events_with_any_arguments() -> None:
    app, received, done = Application(), [], Flag()

    @app.subscriber("sensors.", match="prefix")
    async def on_event(event: Event) -> None:
        received.append((event.topic, [*event.args], event.kwargs))

    @app.subscriber("sensors.", match="prefix")
    async def on_reading(reading: Event, session: Session) -> None:
        received.append(reading.args[0])
        done.set()

    async with clients(app, {}) as (client,):
        await client.publish("sensors.attic", 21.5, 22)
        with fail_after(5):
            await done.wait()
    assert received == [("sensors.attic", [21.5, 22], {}), 21.5]


async def test_handler_of_realm_subscribe_that_takes_the_event_gets_events_with_any_arguments() -> None:
    app, received, done = open_app(), [], Flag()

    async def on_event(event: Event) -> None:
        received.append((event.args, event.kwargs))
        done.set()

    async with app.subscribe("t", on_event):
        await app.publish("t", 1, x=2)
        with fail_after(5):
            await done.wait()
    assert received == [((1,), {"x": 2})]


async def test_subscriber_without_the_event_still_drops_events_that_do_not_fit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app, received = Application(), []

    @app.subscriber("t")
    async def on_event(session: Session) -> None:
        received.append(session)

    with caplog.at_level(logging.WARNING, "wampasgi.router"):
        async with clients(app, {}) as (client,):
            await client.publish("t", 1)
            await client.publish("t")
    assert len(received) == 1
    assert "does not fit the parameters of" in caplog.text
