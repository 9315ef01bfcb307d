from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import anyio
import pytest
from anyio import from_thread, to_thread

from wampasgi import Application

pytestmark = pytest.mark.anyio

#: More than anyio's default limiter and the one for calls in the process have tokens, together.
MANY = 90


def app_with_sync_procedures() -> Application:
    app = Application()

    @app.procedure("inner")
    def inner(number: int) -> int:
        return number

    @app.procedure("outer")
    def outer(number: int) -> int:
        value: int = from_thread.run(app.call, "inner", number)
        return value

    @app.procedure("outermost")
    def outermost(number: int) -> int:
        value: int = from_thread.run(app.call, "outer", number)
        return value

    return app


async def in_worker_thread(function: Callable[[int], int], number: int) -> int:
    """Run a sync function as Starlette and FastAPI do."""
    return await to_thread.run_sync(partial(function, number))


async def run_all(function: Callable[[int], Awaitable[Any]]) -> list[int]:
    """Run it many times at once and return the results in order of their numbers."""
    results: list[int] = []

    async def run(number: int) -> None:
        results.append(await function(number))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for number in range(MANY):
                tasks.start_soon(run, number)
    return sorted(results)


@pytest.mark.parametrize("procedure", ["outer", "outermost"])
async def test_sync_procedures_that_call_sync_procedures_do_not_wait_for_each_other(procedure: str) -> None:
    app = app_with_sync_procedures()

    assert await run_all(partial(app.call, procedure)) == list(range(MANY))


@pytest.mark.parametrize("procedure", ["inner", "outer", "outermost"])
async def test_worker_threads_of_others_that_call_sync_procedures_do_not_wait_for_each_other(
    procedure: str,
) -> None:
    app = app_with_sync_procedures()

    def route(number: int) -> int:
        value: int = from_thread.run(app.call, procedure, number)
        return value

    assert await run_all(partial(in_worker_thread, route)) == list(range(MANY))


async def test_sync_handler_may_call_several_sync_procedures_at_once() -> None:
    app = app_with_sync_procedures()

    async def call_several(number: int) -> list[int]:
        async with anyio.create_task_group() as tasks:
            for other in range(3):
                tasks.start_soon(app.call, "outer", other)
        return [number]

    @app.procedure("several")
    def several(number: int) -> int:
        [value] = from_thread.run(call_several, number)
        return int(value)

    assert await run_all(partial(app.call, "several")) == list(range(MANY))


async def test_sync_subscribers_of_events_that_threads_publish_do_not_wait_for_each_other() -> None:
    app, handled = Application(), []

    @app.subscriber("t")
    def on_event(number: int) -> None:
        handled.append(number)

    def route(number: int) -> int:
        from_thread.run(app.publish, "t", number)
        return number

    assert await run_all(partial(in_worker_thread, route)) == list(range(MANY))
    assert sorted(handled) == list(range(MANY))
