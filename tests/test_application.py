"""Tests of the application as an ASGI app: HTTP, lifespan, event loops and shutdown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware

from tests.wamp_client import connect
from wampasgi import (
    AnyioAsyncSupport,
    Application,
    AsyncioAsyncSupport,
    ConfigurationError,
    ConnectionClosed,
    Realm,
    Session,
    TrioAsyncSupport,
    WAMPRoute,
)
from wampasgi.backplanes.local import LocalBackplane
from wampasgi.types import ASGIApp, ASGIEvent

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def lifespan_of(app: ASGIApp) -> AsyncIterator[tuple[ASGIEvent, dict[str, Any]]]:
    """Run the app's lifespan around the block. Yield the answer to the startup event, and the state."""
    to_app, app_receives = anyio.create_memory_object_stream[ASGIEvent](10)
    app_sends, from_app = anyio.create_memory_object_stream[ASGIEvent](10)
    state: dict[str, Any] = {}

    async def run() -> None:
        # The app raises the error after lifespan.startup.failed. The answer already contains it.
        with suppress(ConfigurationError):
            await app({"type": "lifespan", "state": state}, app_receives.receive, app_sends.send)

    async with to_app, app_receives, app_sends, from_app, anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        await to_app.send({"type": "lifespan.startup"})
        with anyio.fail_after(5):
            answer = await from_app.receive()
        yield answer, state
        if answer["type"] == "lifespan.startup.complete":
            await to_app.send({"type": "lifespan.shutdown"})
            with anyio.fail_after(5):
                assert (await from_app.receive())["type"] == "lifespan.shutdown.complete"


async def test_http_request_is_answered_with_426_and_an_explanation() -> None:
    sent: list[ASGIEvent] = []

    async def send(event: ASGIEvent) -> None:
        sent.append(event)

    async def receive() -> ASGIEvent:
        return {"type": "http.request"}

    await Application()({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)

    assert sent[0]["status"] == 426
    assert (b"upgrade", b"websocket") in sent[0]["headers"]
    assert b"wamp.2.json" in sent[1]["body"]


async def test_unknown_scope_type_raises() -> None:
    async def never() -> ASGIEvent:
        raise AssertionError

    with pytest.raises(ValueError, match="'rawsocket'"):
        await Application()({"type": "rawsocket"}, never, never)  # type: ignore[arg-type]


async def test_sessions_end_inside_the_lifespan_of_the_user() -> None:
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[dict[str, Any]]:
        events.append("begin")
        yield {"database": "open"}
        events.append("end")

    app = Application(lifespan=lifespan)

    async def watch(session: Session) -> AsyncIterator[None]:
        yield
        events.append("session ended")

    app.add_session_lifespan_handler(watch)

    async with lifespan_of(app) as (answer, state):
        assert answer["type"] == "lifespan.startup.complete"
        assert state == {"database": "open"}
        async with connect(app) as websocket:
            await websocket.join()

            async def answer_goodbye() -> None:
                assert await websocket.receive() == [
                    6,
                    {"message": "the server shuts down"},
                    "wamp.close.system_shutdown",
                ]
                await websocket.send(6, {}, "wamp.close.goodbye_and_out")

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(answer_goodbye)
                await app.close_sessions("wamp.close.system_shutdown", "the server shuts down")

    assert events == ["begin", "session ended", "end"]


async def test_shutdown_closes_open_sessions_so_that_clients_reconnect() -> None:
    app = Application()
    seen: list[tuple[bool, str, str]] = []

    async def watch(session: Session) -> AsyncIterator[None]:
        yield
        with pytest.raises(ConnectionClosed) as closed:
            await session.send_event("news")
        seen.append((session.is_open, closed.value.reason, closed.value.closed_by))

    app.add_session_lifespan_handler(watch)

    async with connect(app) as client:
        async with lifespan_of(app):
            await client.join()

        assert await client.closed() == {
            "type": "websocket.close",
            "code": 1012,
            "reason": "wamp.close.system_shutdown",
        }

    assert seen == [(False, "wamp.close.system_shutdown", "server")]


async def test_messages_queued_at_shutdown_are_written_before_the_connection_is_closed() -> None:
    app = Application()

    @app.topic("news")
    async def news() -> None: ...

    async with connect(app) as client:
        async with app.lifespan():
            await client.join()
            await client.subscribe("news")
            await app.publish("news", "last")

        assert await client.event() == ["last"]
        assert (await client.closed())["code"] == 1012


async def test_call_in_progress_is_cancelled_at_shutdown() -> None:
    app = Application()
    begun, cancelled = anyio.Event(), anyio.Event()

    @app.procedure("slow")
    async def slow() -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async with connect(app) as client:
        async with app.lifespan():
            await client.join()
            await client.send(48, 1, {}, "slow")
            await begun.wait()

        assert cancelled.is_set()
        assert (await client.closed())["code"] == 1012


@pytest.mark.parametrize("on_shutdown", ["restart", "", None, True])
async def test_unknown_value_of_on_shutdown_is_refused(on_shutdown: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"on_shutdown is .* it must be 'reconnect' or 'goodbye'"):
        Application(on_shutdown=on_shutdown)


async def test_shutdown_sends_goodbye_to_open_sessions_if_it_is_to() -> None:
    app = Application(on_shutdown="goodbye")

    async with connect(app) as websocket, anyio.create_task_group() as tasks:

        async def answer_goodbye() -> None:
            assert (await websocket.receive())[2] == "wamp.close.system_shutdown"
            await websocket.send(6, {}, "wamp.close.goodbye_and_out")
            assert (await websocket.closed())["code"] == 1012

        async with lifespan_of(app):
            await websocket.join()
            tasks.start_soon(answer_goodbye)


async def test_parent_can_run_the_lifespan_of_a_mounted_application() -> None:
    app = Application()

    @asynccontextmanager
    async def lifespan(parent: Starlette) -> AsyncIterator[None]:
        async with app.lifespan():
            yield

    parent = Starlette(routes=[WAMPRoute("/", app)], lifespan=lifespan)

    async with connect(parent) as client:
        async with lifespan_of(parent):
            await client.join()

        assert (await client.closed())["code"] == 1012


async def test_default_arg_can_be_set_in_the_lifespan_of_the_user() -> None:
    class Pool:
        pass

    @asynccontextmanager
    async def lifespan(app: Application) -> AsyncIterator[None]:
        app.set_default_arg("pool", Pool())
        yield

    app = Application(lifespan=lifespan)

    @app.procedure("look")
    async def look(pool: Pool) -> str:
        return type(pool).__name__

    async with lifespan_of(app) as (answer, _):
        assert answer["type"] == "lifespan.startup.complete"
        assert await app.call("look") == "Pool"


async def test_startup_fails_for_a_handler_that_cannot_be_called() -> None:
    realm = Realm("r")

    @realm.topic("t")
    async def gatekeeper(unknown: object) -> AsyncIterator[None]:
        yield

    async with lifespan_of(Application([realm])) as (answer, _):
        assert answer["type"] == "lifespan.startup.failed"
        assert "gatekeeper" in answer["message"]
        assert "unknown" in answer["message"]


async def test_application_works_without_a_lifespan() -> None:
    app = Application()

    async with connect(app) as websocket:
        assert (await websocket.join())[0] == 2


async def test_application_pinned_to_another_library_fails_at_startup(anyio_backend: str) -> None:
    other = TrioAsyncSupport if anyio_backend == "asyncio" else AsyncioAsyncSupport
    app = Application(async_support=other)

    async with lifespan_of(app) as (answer, _):
        assert answer["type"] == "lifespan.startup.failed"
        assert f"the server runs {anyio_backend}" in answer["message"]

    async def never() -> ASGIEvent:
        raise AssertionError

    with pytest.raises(ConfigurationError, match="pinned"):
        await app({"type": "websocket"}, never, never)  # type: ignore[arg-type]


async def test_pinned_library_can_be_given_by_its_name(anyio_backend: str) -> None:
    other: Literal["asyncio", "trio"] = "trio" if anyio_backend == "asyncio" else "asyncio"

    async with lifespan_of(Application(async_support=other)) as (answer, _):
        assert answer["type"] == "lifespan.startup.failed"
        assert f"which needs {other}, but the server runs {anyio_backend}" in answer["message"]


def test_unknown_name_of_an_async_support_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'curio': pass 'asyncio', 'anyio' or 'trio'"):
        Application(async_support="curio")  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["class", "instance", "name"])
async def test_calls_work_with_each_support_for_the_running_library(form: str, anyio_backend: Any) -> None:
    native = AsyncioAsyncSupport if anyio_backend == "asyncio" else TrioAsyncSupport
    names: dict[type, Literal["asyncio", "anyio", "trio"]] = {
        native: anyio_backend,
        AnyioAsyncSupport: "anyio",
    }

    for support in native, AnyioAsyncSupport:
        given = {"class": support, "instance": support(), "name": names[support]}[form]
        app = Application(async_support=given)
        release = anyio.Event()

        @app.procedure("wait")
        async def wait(release: anyio.Event = release) -> str:
            await release.wait()
            return "done"

        @app.procedure("release")
        async def let_go(release: anyio.Event = release) -> None:
            release.set()

        async with connect(app) as websocket:
            await websocket.join()
            await websocket.send(48, 1, {}, "wait")
            await websocket.send(48, 2, {}, "release")
            answers = [await websocket.receive(), await websocket.receive()]

        assert sorted(answers) == [[50, 1, {}, ["done"]], [50, 2, {}]]


async def test_middleware_of_the_application_wraps_every_scope() -> None:
    app = Application(middleware=[Middleware(SessionMiddleware, secret_key="not secret")])

    @app.procedure("data")
    async def data(session: Session) -> dict[str, Any]:
        return {"session": session.connection.session}

    async with connect(app) as websocket:
        await websocket.join()
        assert await websocket.ask(48, 1, {}, "data") == [50, 1, {}, [{"session": {}}]]


async def test_app_and_realm_are_injected() -> None:
    realm = Realm("r")
    application = Application([realm])
    seen: list[Any] = []

    @realm.procedure("look")
    async def look(app: Application, realm: Realm, where: Realm) -> None:
        seen.extend([app, realm, where])

    async with connect(application) as websocket:
        await websocket.join("r")
        await websocket.ask(48, 1, {}, "look")

    assert seen == [application, realm, realm]


def test_backplane_can_be_read() -> None:
    backplane = LocalBackplane("/tmp/wampasgi-unused")

    assert Application().backplane is None
    assert Application(backplane=backplane).backplane is backplane
    assert isinstance(Application(backplane="unix:/tmp/wampasgi-unused").backplane, LocalBackplane)
