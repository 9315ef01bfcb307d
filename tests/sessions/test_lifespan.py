"""Lifespan handlers of sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.wamp_client import ALL_ROLES, connect
from wampasgi import Application, ConfigurationError, Limits, Session
from wampasgi.injection.plan import Injection
from wampasgi.sessions.lifespan import TwoPartHandler

pytestmark = pytest.mark.anyio

GOODBYE = [6, {}, "wamp.close.close_realm"]


def fail(text: str) -> None:
    raise ValueError(text)


async def test_handlers_begin_with_the_session_and_end_with_it() -> None:
    app = Application()
    metrics = {"active": 0}
    app.set_default_arg("metrics", metrics)

    @app.procedure("active")
    async def active(metrics: dict[str, int]) -> int:
        return metrics["active"]

    async def count(session: Session, metrics: dict[str, int]) -> AsyncIterator[None]:
        metrics["active"] += 1
        yield
        metrics["active"] -= 1

    app.add_session_state_handler(count)

    async with connect(app) as one, connect(app) as two:
        await one.join()
        await two.join()
        assert await one.ask(48, 1, {}, "active") == [50, 1, {}, [2]]
        await two.ask(*GOODBYE)
        assert await one.ask(48, 2, {}, "active") == [50, 2, {}, [1]]
        await two.join()
        assert await one.ask(48, 3, {}, "active") == [50, 3, {}, [2]]

    assert metrics == {"active": 0}


async def test_handlers_run_concurrently() -> None:
    app = Application()
    first_began, second_began = anyio.Event(), anyio.Event()

    async def first() -> AsyncIterator[None]:
        first_began.set()
        await second_began.wait()
        yield

    async def second() -> AsyncIterator[None]:
        second_began.set()
        await first_began.wait()
        yield

    app.add_session_lifespan_handler(first)
    app.add_session_lifespan_handler(second)

    async with connect(app) as websocket:
        await websocket.join()
        with anyio.fail_after(5):
            await first_began.wait()
            await second_began.wait()


async def test_no_message_is_handled_before_all_first_parts_have_finished() -> None:
    app = Application()
    release = anyio.Event()

    async def slow(session: Session) -> AsyncIterator[None]:
        await release.wait()
        session["ready"] = True
        yield

    app.add_session_lifespan_handler(slow)

    @app.procedure("ready")
    async def ready(session: Session) -> bool:
        return bool(session.get("ready", False))

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(48, 1, {}, "ready")
        await anyio.wait_all_tasks_blocked()
        release.set()
        assert await websocket.receive() == [50, 1, {}, [True]]


async def test_handler_that_fails_before_its_yield_ends_the_session_and_the_other_handlers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()
    ended = []

    async def failing() -> AsyncIterator[None]:
        fail("at the start")
        yield

    async def other() -> AsyncIterator[None]:
        yield
        ended.append("other")

    app.add_session_lifespan_handler(failing)
    app.add_session_lifespan_handler(other)

    async with connect(app) as websocket:
        await websocket.join()
        goodbye = await websocket.receive()
        await websocket.send(6, {}, "wamp.close.goodbye_and_out")
        await websocket.disconnect()
        await websocket.wait_served()

    assert goodbye == [6, {"message": "the session could not be started"}, "wamp.error.runtime_error"]
    assert ended == ["other"]
    text = "lifespan handler %s failed before its yield, for %r"
    assert [record.msg for record in caplog.records] == [text]
    assert "at the start" in caplog.text


async def test_session_that_is_closed_while_its_handlers_begin_ends_cleanly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()
    closed = anyio.Event()
    ended = []

    async def closing(session: Session) -> AsyncIterator[None]:
        await session.close("com.example.full", "no room")
        closed.set()
        yield
        ended.append("closing")

    app.add_session_lifespan_handler(closing)

    async with connect(app) as websocket:
        await websocket.join()
        await closed.wait()
        assert await websocket.receive() == [6, {"message": "no room"}, "com.example.full"]
        await websocket.send(48, 1, {}, "nobody.answers")
        await websocket.send(6, {}, "wamp.close.goodbye_and_out")
        # Another session can be opened on the connection.
        await websocket.send(1, "default", {"roles": ALL_ROLES})
        assert (await websocket.receive())[0] == 2

    assert ended == ["closing", "closing"]
    assert not caplog.records


async def test_handler_that_fails_after_its_yield_is_logged_and_the_others_still_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()
    ended = []

    async def failing() -> AsyncIterator[None]:
        yield
        raise ValueError("at the end")

    async def other() -> AsyncIterator[None]:
        yield
        await anyio.lowlevel.checkpoint()
        ended.append("other")

    app.add_session_lifespan_handler(failing)
    app.add_session_lifespan_handler(other)

    async with connect(app) as websocket:
        await websocket.join()

    assert ended == ["other"]
    assert "at the end" in caplog.text


async def test_second_part_runs_even_if_the_server_cancels_the_connection() -> None:
    app = Application()
    ended = []

    async def handler() -> AsyncIterator[None]:
        yield
        await anyio.lowlevel.checkpoint()
        ended.append(True)

    app.add_session_lifespan_handler(handler)

    with anyio.CancelScope() as server:
        async with connect(app) as websocket:
            await websocket.join()
            await anyio.wait_all_tasks_blocked()
            server.cancel()
            await anyio.sleep_forever()

    assert ended == [True]


async def test_second_part_over_the_teardown_timeout_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    app = Application(limits=Limits(teardown_timeout=0.05))
    outcome = []

    async def endless() -> AsyncIterator[None]:
        yield
        try:
            await anyio.sleep_forever()
        finally:
            outcome.append("cancelled")

    app.add_session_lifespan_handler(endless)

    async with connect(app) as websocket:
        await websocket.join()

    assert outcome == ["cancelled"]
    assert "teardown_timeout=0.05" in caplog.text


async def test_handler_may_hold_a_task_group_across_its_yield() -> None:
    app = Application()
    ticks = anyio.Event()

    async def background() -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            yield
            tasks.cancel_scope.cancel()
        ticks.set()

    app.add_session_lifespan_handler(background)

    async with connect(app) as websocket:
        await websocket.join()

    assert ticks.is_set()


async def test_more_than_one_yield_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = Application()
    ran = []

    async def twice() -> AsyncIterator[None]:
        yield
        yield
        ran.append(1)

    app.add_session_lifespan_handler(twice)

    async with connect(app) as websocket:
        await websocket.join()

    assert "more than one yield" in caplog.text
    assert not ran


def test_handler_that_is_not_an_async_generator_function_is_refused_at_once() -> None:
    async def coroutine() -> None: ...

    with pytest.raises(ConfigurationError, match=r"coroutine.*is not an async generator function"):
        Application().add_session_lifespan_handler(coroutine)


async def test_second_part_runs_if_the_first_one_finishes_despite_cancellation(
    caplog: pytest.LogCaptureFixture,
) -> None:
    begun, go_on = anyio.Event(), anyio.Event()
    parts = []

    async def slow() -> AsyncIterator[None]:
        begun.set()
        await go_on.wait()
        parts.append("first")
        yield
        await checkpoint()
        parts.append("second")

    handler = TwoPartHandler(Injection({}, {}).read(slow), {}, teardown_timeout=1.0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(handler.run)
        await begun.wait()
        go_on.set()
        handler.end()

    assert parts == ["first", "second"]
    assert not caplog.records
