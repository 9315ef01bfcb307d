"""The test client for coroutines: sessions, HTTP and the lifespan in one event loop."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.testing.apps import SOON
from tests.testing.test_client import ReversedText
from wampasgi import Application, Realm, Session, WAMPError, WAMPRoute
from wampasgi.client import Client
from wampasgi.errors import ConfigurationError
from wampasgi.testing import AsyncTestClient, ExpectationFailed, Timeout

pytestmark = pytest.mark.anyio


async def test_http_and_sessions_share_the_event_loop(app: Application) -> None:
    api = FastAPI(routes=[WAMPRoute("/ws", app)])

    @api.put("/docs/{name}")
    async def put(name: str) -> None:
        await app.publish("docs.changed", name)

    async with (
        AsyncTestClient(api, path="/ws") as client,
        client.connect() as session,
        client.connect(realm="default") as other,
        session.subscribe("docs.changed") as events,
    ):
        assert (await client.put("/docs/a")).status_code == 200
        assert (await events.next()).args == ["a"]
        await other.register("multiply", lambda a, b: a * b)
        assert await session.call("multiply", 6, 7) == 42


async def test_assert_none_waits_for_events_that_are_on_the_way(app: Application) -> None:
    @app.subscriber("readings")
    async def on_reading(value: int) -> None:
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        await app.publish("alarms", value)

    async with (
        AsyncTestClient(app) as client,
        client.connect() as session,
        session.subscribe("alarms") as alarms,
    ):
        await client.assert_none(alarms)
        await session.publish("readings", 99)
        with pytest.raises(ExpectationFailed, match=r"expected no event of 'alarms', but got Event\(.*99"):
            await client.assert_none(alarms)
        await client.assert_none(alarms)


async def test_settle_waits_for_handlers(app: Application) -> None:
    handled = []

    @app.subscriber("readings")
    async def on_reading(value: int) -> None:
        await anyio.lowlevel.checkpoint()
        handled.append(value)

    async with AsyncTestClient(app) as client, client.connect() as session:
        await session.publish("readings", 1)
        await client.settle()
        assert handled == [1]


async def test_settle_gives_up_if_a_task_never_rests(app: Application) -> None:
    async def spin() -> None:
        while True:
            await anyio.lowlevel.checkpoint()

    async with AsyncTestClient(app, timeout=SOON) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(spin)
        with pytest.raises(Timeout, match=r"waited 0.1 s until all tasks are blocked"):
            await client.settle()
        tasks.cancel_scope.cancel()


def app_with_state(phases: list[str]) -> Starlette:
    wamp = Application()

    @wamp.procedure("scope")
    async def scope(session: Session) -> list[Any]:
        connection = session.connection
        return [connection.state.color, connection.headers.get("x-tenant"), connection.cookies]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, Any]]:
        phases.append("startup")
        yield {"color": "green"}
        phases.append("shutdown")

    async def color(request: Request) -> JSONResponse:
        return JSONResponse([request.state.color, request.scope["root_path"]])

    return Starlette(routes=[Route("/color", color), WAMPRoute("/ws", wamp)], lifespan=lifespan)


async def test_lifespan_runs_once_and_its_state_is_in_the_scope() -> None:
    phases: list[str] = []
    client = AsyncTestClient(
        app_with_state(phases), path="/ws", headers={"x-tenant": "a"}, cookies={"c": "1"}
    )

    async with client, client.connect(cookies={"d": "2"}) as session, client.connect() as other:
        assert phases == ["startup"]
        assert await session.call("scope") == ["green", "a", {"c": "1", "d": "2"}]
        assert await other.call("scope") == ["green", "a", {"c": "1"}]
        assert (await client.get("/color")).json() == ["green", ""]
    assert phases == ["startup", "shutdown"]


async def test_shutdown_runs_after_a_failed_test() -> None:
    phases: list[str] = []

    with pytest.raises(ZeroDivisionError):
        async with AsyncTestClient(app_with_state(phases)):
            raise ZeroDivisionError
    assert phases == ["startup", "shutdown"]


async def test_shutdown_runs_even_if_the_test_is_cancelled() -> None:
    phases: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await anyio.lowlevel.checkpoint()
        phases.append("shutdown")

    with anyio.CancelScope() as scope:
        async with AsyncTestClient(Starlette(lifespan=lifespan)):
            scope.cancel()
            await anyio.sleep_forever()
    assert phases == ["shutdown"]


def failing(phase: str) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        if phase == "startup":
            raise KeyError("database")
        yield
        raise KeyError("database")

    return Starlette(lifespan=lifespan)


@pytest.mark.parametrize("phase", ["startup", "shutdown"])
async def test_failure_of_the_lifespan_is_raised(phase: str) -> None:
    with pytest.raises(KeyError, match="database"):
        async with AsyncTestClient(failing(phase)):
            assert phase == "shutdown"


async def test_failure_of_the_shutdown_does_not_hide_the_failure_of_the_test() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        async with AsyncTestClient(failing("shutdown")):
            raise ZeroDivisionError
    assert caught.value.__notes__ == ["Then the shutdown of the application failed: KeyError('database')"]


async def test_startup_that_does_not_finish_times_out() -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await anyio.sleep_forever()
        yield

    with pytest.raises(Timeout, match=r"waited 0.1 s for the startup of the application"):
        await AsyncTestClient(Starlette(lifespan=lifespan), timeout=SOON).__aenter__()


async def test_serializers_and_timeout_reach_the_session() -> None:
    app = Application(serializers=[ReversedText()])

    @app.procedure("forever")
    async def forever() -> None:
        await anyio.sleep_forever()

    async with (
        AsyncTestClient(app, serializers=[ReversedText()], timeout=SOON) as client,
        client.connect() as session,
    ):
        with pytest.raises(TimeoutError, match=r"waited 0.1 s for the result of 'forever'"):
            await session.call("forever")
        with pytest.raises(WAMPError, match="no_such_procedure"):
            await session.call("nothing")


async def test_exceptions_of_http_handlers_are_raised() -> None:
    async def fail(request: Request) -> JSONResponse:
        raise KeyError("bug")

    web = Starlette(routes=[Route("/fail", fail)])
    async with AsyncTestClient(web) as client:
        with pytest.raises(KeyError, match="bug"):
            await client.get("/fail")
    async with AsyncTestClient(web, raise_app_exceptions=False) as client:
        assert (await client.get("/fail")).status_code == 500


async def test_realm_alone_and_another_application_are_refused(app: Application) -> None:
    with pytest.raises(ConfigurationError, match=r"AsyncTestClient got .*test the application"):
        AsyncTestClient(Realm("alone"))
    client = AsyncTestClient(app)
    assert isinstance(client.connect(), Client)
    with pytest.raises(TypeError, match="the test client has the application"):
        client.connect(lifespan=True)
