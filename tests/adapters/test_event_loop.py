from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
import pytest
from anyio import from_thread, to_thread

from tests.wamp_client import connect
from wampasgi import Application, ConfigurationError, Session
from wampasgi.adapters.event_loop import EventLoopBinding, running_event_loop
from wampasgi.testing import TestClient

OUTSIDE = "outside the event loop that serves the application.*from_thread.run"


def in_a_thread(function: Callable[[], Any]) -> BaseException | None:
    """Run a function in a thread of its own, and return what it raises."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - returned
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    return raised[0] if raised else None


def app_with_session() -> tuple[Application, list[Session]]:
    app, sessions = Application(), []
    app.allow_all()

    @app.procedure("enter")
    async def enter(session: Session) -> None:
        sessions.append(session)

    return app, sessions


@pytest.mark.anyio
@pytest.mark.parametrize(
    "use",
    [
        lambda app, session: app.publish("t", 1),
        lambda app, session: app.call("enter"),
        lambda app, session: app.close_sessions(),
        lambda app, session: session.send_event("t"),
        lambda app, session: session.call("mine"),
        lambda app, session: session.close(),
        lambda app, session: session.abort(),
    ],
    ids=["publish", "call", "close_sessions", "send_event", "session.call", "close", "abort"],
)
@pytest.mark.parametrize("loop", ["asyncio", "trio"])
async def test_use_in_another_event_loop_raises(use: Callable[..., Any], loop: str) -> None:
    app, sessions = app_with_session()
    async with connect(app) as client:
        await client.join()
        await client.call("enter")

        async def elsewhere() -> None:
            await use(app, sessions[0])

        error = await to_thread.run_sync(in_a_thread, partial(anyio.run, elsewhere, backend=loop))
        if isinstance(error, BaseExceptionGroup):
            # Of the task group that closes the sessions of all realms.
            [error] = error.exceptions
        assert isinstance(error, RuntimeError)
        assert await client.call("enter") is None

    with pytest.raises(RuntimeError, match=OUTSIDE):
        raise error


@pytest.mark.anyio
@pytest.mark.parametrize(
    "use",
    [
        lambda app: app.register("late", lambda: None),
        lambda app: app.unregister("late"),
        lambda app: app.revoke_registration("a"),
        lambda app: app.revoke_subscription("a"),
        lambda app: app.clear_retained("a"),
    ],
    ids=["register", "unregister", "revoke_registration", "revoke_subscription", "clear_retained"],
)
async def test_change_from_a_thread_raises(use: Callable[..., Any]) -> None:
    app, _ = app_with_session()
    async with connect(app) as client:
        await client.join()
        error = await to_thread.run_sync(in_a_thread, partial(use, app))

    assert isinstance(error, RuntimeError)
    assert "from_thread.run" in str(error)


@pytest.mark.anyio
async def test_worker_thread_reaches_the_event_loop_with_from_thread() -> None:
    app, _ = app_with_session()
    async with connect(app) as client, app.events("t") as events:
        await client.join()
        await to_thread.run_sync(from_thread.run, app.publish, "t", 1)
        assert (await anext(events)).args == (1,)


@pytest.mark.anyio
async def test_listeners_bind_the_application_to_their_event_loop() -> None:
    app = Application()
    async with app.events("t"):
        error = await to_thread.run_sync(in_a_thread, partial(asyncio.run, _publish(app)))

    assert isinstance(error, RuntimeError)


async def _publish(app: Application) -> None:
    await app.publish("t")


def test_application_that_is_served_by_two_event_loops_raises() -> None:
    app, _ = app_with_session()
    with TestClient(app) as first, first.wamp_session() as session:
        with pytest.raises(ConfigurationError, match="two event loops at once"), TestClient(app):
            raise AssertionError("not reached: the second lifespan fails")
        assert session.call("enter") is None


def test_application_may_be_served_by_one_event_loop_after_the_other() -> None:
    app, _ = app_with_session()
    for _ in range(2):
        with TestClient(app) as client, client.wamp_session() as session:
            assert session.call("enter") is None


def test_publication_of_an_application_that_nobody_listens_to_may_come_from_any_event_loop() -> None:
    app = Application()
    for backend in "asyncio", "trio":
        assert anyio.run(app.publish, "t", backend=backend) > 0


@pytest.mark.anyio
async def test_binding_ends_with_its_last_user() -> None:
    binding = EventLoopBinding()
    binding.enter()
    binding.enter()
    binding.leave()
    error = await to_thread.run_sync(in_a_thread, partial(binding.check, "publish()"))
    assert isinstance(error, RuntimeError)
    binding.leave()
    assert await to_thread.run_sync(in_a_thread, partial(binding.check, "publish()")) is None


def test_no_event_loop_runs_outside_of_any() -> None:
    assert running_event_loop() is None
