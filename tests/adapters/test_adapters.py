"""Owners of tasks, in each support for an asynchronous library."""

from __future__ import annotations

from contextvars import ContextVar
from functools import partial

import anyio
import pytest

from wampasgi.adapters import (
    AnyioAsyncSupport,
    AsyncioAsyncSupport,
    AsyncSupport,
    TaskOwner,
    TrioAsyncSupport,
    support_for_running_loop,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["native", "anyio"])
def support(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncSupport:
    if request.param == "anyio":
        return AnyioAsyncSupport()
    return AsyncioAsyncSupport() if anyio_backend == "asyncio" else TrioAsyncSupport()


async def test_leaving_cancels_what_still_runs_and_waits_for_its_cleanup(support: AsyncSupport) -> None:
    outcome = []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            outcome.append("cleaned up")

    async with support.task_owner() as owner:
        owner.spawn(work)
        owner.spawn(work)
        await anyio.wait_all_tasks_blocked()
        assert outcome == []

    assert outcome == ["cleaned up"] * 2


async def test_one_task_can_be_cancelled_alone(support: AsyncSupport) -> None:
    outcome = []

    async def work(name: str, finish: anyio.Event) -> None:
        try:
            await finish.wait()
            outcome.append(f"{name} finished")
        except anyio.get_cancelled_exc_class():
            outcome.append(f"{name} cancelled")
            raise

    finish = anyio.Event()
    async with support.task_owner() as owner:
        first = owner.spawn(work, "first", finish)
        owner.spawn(work, "second", finish)
        await anyio.wait_all_tasks_blocked()
        assert first is not None
        first.cancel()
        await anyio.wait_all_tasks_blocked()
        finish.set()
        await anyio.wait_all_tasks_blocked()

    assert outcome == ["first cancelled", "second finished"]


@pytest.mark.parametrize("suspends", [True, False])
async def test_exception_that_escapes_a_task_is_raised_on_leaving(
    support: AsyncSupport, suspends: bool
) -> None:
    async def fail() -> None:
        if suspends:
            await anyio.lowlevel.checkpoint()
        raise LookupError("escaped")

    async def own() -> None:
        async with support.task_owner() as owner:
            owner.spawn(fail)
            await anyio.wait_all_tasks_blocked()

    with pytest.raises((LookupError, ExceptionGroup)) as raised:
        await own()

    error = raised.value
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, LookupError)


async def test_tasks_have_the_context_variables_of_their_starter(support: AsyncSupport) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    seen = []

    async def work() -> None:
        seen.append(variable.get())
        variable.set("changed in the task")

    variable.set("set before")
    async with support.task_owner() as owner:
        owner.spawn(work)
        await anyio.wait_all_tasks_blocked()

    assert seen == ["set before"]
    assert variable.get() == "set before"


async def test_cancellation_of_the_owner_reaches_the_tasks_and_goes_on(support: AsyncSupport) -> None:
    outcome = []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            outcome.append("cleaned up")

    with anyio.CancelScope() as scope:
        async with support.task_owner() as owner:
            owner.spawn(work)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    assert outcome == ["cleaned up"]


async def test_the_running_library_chooses_the_support(anyio_backend: str) -> None:
    assert support_for_running_loop(None).library == anyio_backend


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_native_cancellation_while_leaving_waits_for_the_tasks_all_the_same() -> None:
    import asyncio

    outcome = []
    leaving = asyncio.Event()
    release = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await release.wait()
            outcome.append("cleaned up")

    async def host() -> None:
        async with AsyncioAsyncSupport().task_owner() as owner:
            owner.spawn(work)
            await anyio.wait_all_tasks_blocked()
            leaving.set()

    task = asyncio.create_task(host())
    await leaving.wait()
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    assert not task.done()
    release.set()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert outcome == ["cleaned up"]


async def test_functions_started_together_run_in_order_though_one_of_them_waits(
    support: AsyncSupport,
) -> None:
    begun, go_on = [], anyio.Event()

    async def work(name: str) -> None:
        begun.append(name)
        if name == "slow":
            await go_on.wait()
            begun.append("slow again")

    names = ["first", "slow", "third", "fourth"]
    async with support.task_owner() as owner:
        for name in names:
            owner.spawn_soon(partial(work, name))
        await anyio.wait_all_tasks_blocked()
        # A task group of trio's starts tasks in an order of its own.
        assert sorted(begun) == sorted(names)
        go_on.set()
        await anyio.wait_all_tasks_blocked()

    assert begun[-1] == "slow again"


async def test_of_functions_started_together_each_is_cancelled_by_its_own_owner(
    support: AsyncSupport,
) -> None:
    outcome, go_on = [], anyio.Event()

    async def work(name: str) -> None:
        try:
            await go_on.wait()
            outcome.append(f"{name} finished")
        except anyio.get_cancelled_exc_class():
            outcome.append(f"{name} cancelled")
            raise

    async with support.task_owner() as staying:
        async with support.task_owner() as leaving:
            leaving.spawn_soon(partial(work, "leaving"))
            staying.spawn_soon(partial(work, "staying"))
            await anyio.wait_all_tasks_blocked()
        assert outcome == ["leaving cancelled"]
        go_on.set()
        await anyio.wait_all_tasks_blocked()

    assert outcome == ["leaving cancelled", "staying finished"]


@pytest.mark.parametrize("suspends", [True, False])
async def test_of_functions_started_together_each_fails_to_its_own_owner(
    support: AsyncSupport, suspends: bool
) -> None:
    done = []

    async def work(name: str) -> None:
        if name == "failing":
            if suspends:
                await anyio.lowlevel.checkpoint()
            raise ValueError(name)
        done.append(name)

    async def start(sound: TaskOwner) -> None:
        async with support.task_owner() as failing:
            sound.spawn_soon(partial(work, "before"))
            failing.spawn_soon(partial(work, "failing"))
            sound.spawn_soon(partial(work, "after"))
            await anyio.wait_all_tasks_blocked()

    async with support.task_owner() as sound:
        with pytest.raises((ValueError, ExceptionGroup)) as failure:
            await start(sound)
        await anyio.wait_all_tasks_blocked()

    assert sorted(done) == ["after", "before"]
    assert "failing" in repr(failure.value)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_timeout_in_a_function_started_together_with_others_is_its_own() -> None:
    outcome, go_on = [], anyio.Event()

    async def work(name: str) -> None:
        with anyio.move_on_after(0.01 if name == "hasty" else 60):
            await go_on.wait()
            outcome.append(f"{name} finished")
            return
        outcome.append(f"{name} gave up")
        go_on.set()

    async with AsyncioAsyncSupport().task_owner() as owner:
        for name in "hasty", "patient":
            owner.spawn_soon(partial(work, name))
        with anyio.fail_after(10):
            while len(outcome) < 2:
                await anyio.lowlevel.checkpoint()

    assert outcome == ["hasty gave up", "patient finished"]


async def test_task_that_is_cancelled_before_it_has_begun_runs_to_its_first_suspension(
    support: AsyncSupport,
) -> None:
    outcome = []

    async def work() -> None:
        try:
            outcome.append("begun")
            await anyio.sleep_forever()
        finally:
            outcome.append("ended")

    async with support.task_owner() as owner:
        task = owner.spawn(work)
        assert task is not None
        task.cancel()
        with anyio.fail_after(10):
            while outcome != ["begun", "ended"]:
                await anyio.lowlevel.checkpoint()
