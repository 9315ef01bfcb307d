"""Owners of tasks, in each support for an asynchronous library."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from functools import partial
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from wampasgi.adapters import (
    AnyioAsyncSupport,
    AsyncioAsyncSupport,
    AsyncSupport,
    TaskOwner,
    TrioAsyncSupport,
    support_for_running_loop,
)

pytestmark = pytest.mark.anyio


#: The ways to spawn a function without arguments.
HOW = pytest.mark.parametrize("how", ["spawn", "spawn_soon", "spawn_in_owner_context"])

ON_ASYNCIO = pytest.mark.parametrize("anyio_backend", ["asyncio"])

#: Longer than any of these tests takes.
PATIENCE = 5.0


@pytest.fixture(params=["native", "anyio"])
def support(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncSupport:
    if request.param == "anyio":
        return AnyioAsyncSupport()
    return AsyncioAsyncSupport() if anyio_backend == "asyncio" else TrioAsyncSupport()


async def fail(error: BaseException) -> None:
    raise error


async def fail_when_cancelled(error: BaseException) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        raise error


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The exceptions of a group, which has no groups in it."""
    assert not any(isinstance(error, BaseExceptionGroup) for error in group.exceptions)
    return list(group.exceptions)


async def test_leaving_cancels_what_still_runs_and_waits_for_its_cleanup(support: AsyncSupport) -> None:
    outcome = []

    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await checkpoint()
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
    error = LookupError("escaped")

    async def work() -> None:
        if suspends:
            await checkpoint()
        raise error

    async def own() -> None:
        async with support.task_owner() as owner:
            owner.spawn(work)
            await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as raised:
        await own()

    assert leaves(raised.value) == [error]


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
                await checkpoint()
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


async def test_function_that_waits_does_not_keep_those_that_were_started_with_it_alive(
    support: AsyncSupport,
) -> None:
    class Work:
        async def __call__(self) -> None:
            begun.append("work")

    async def wait() -> None:
        begun.append("waiting")
        await anyio.sleep_forever()

    begun: list[str] = []
    async with support.task_owner() as owner:
        works = [Work(), Work()]
        owner.spawn_soon(works[0])
        owner.spawn_soon(wait)
        owner.spawn_soon(works[1])
        left = [weakref.ref(work) for work in works]
        works.clear()
        await anyio.wait_all_tasks_blocked()
        assert len(begun) == 3
        gc.collect()
        assert [reference() for reference in left] == [None, None]


@pytest.mark.parametrize("suspends", [True, False])
async def test_of_functions_started_together_each_fails_to_its_own_owner(
    support: AsyncSupport, suspends: bool
) -> None:
    done = []

    async def work(name: str) -> None:
        if name == "failing":
            if suspends:
                await checkpoint()
            raise ValueError(name)
        done.append(name)

    async def start(sound: TaskOwner) -> None:
        async with support.task_owner() as failing:
            sound.spawn_soon(partial(work, "before"))
            failing.spawn_soon(partial(work, "failing"))
            sound.spawn_soon(partial(work, "after"))
            await anyio.sleep_forever()

    async with support.task_owner() as sound:
        with pytest.raises(ExceptionGroup) as failure:
            await start(sound)
        await anyio.wait_all_tasks_blocked()

    assert sorted(done) == ["after", "before"]
    assert [str(error) for error in leaves(failure.value)] == ["failing"]


@ON_ASYNCIO
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
                await checkpoint()

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
                await checkpoint()


# Tasks that are spawned about the time at which their owner leaves


@HOW
async def test_task_spawned_just_before_leaving_runs_to_its_first_suspension(
    support: AsyncSupport, how: str
) -> None:
    outcome = []

    async def work() -> None:
        outcome.append("begun")
        try:
            await anyio.sleep_forever()
        finally:
            outcome.append("ended")

    with anyio.fail_after(PATIENCE):
        async with support.task_owner() as owner:
            getattr(owner, how)(work)

    assert outcome == ["begun", "ended"]


@ON_ASYNCIO
@HOW
async def test_task_spawned_when_its_owner_has_nothing_else_to_wait_for_is_waited_for(
    support: AsyncSupport, how: str
) -> None:
    outcome = []

    async def late() -> None:
        outcome.append("begun")
        try:
            await anyio.sleep_forever()
        finally:
            outcome.append("ended")

    async def work(owner: TaskOwner) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await anyio.sleep_forever()
        finally:
            # The owner has added its own callback before.
            task.add_done_callback(lambda _: getattr(owner, how)(late))

    with anyio.fail_after(PATIENCE):
        async with support.task_owner() as owner:
            owner.spawn(work, owner)
            await anyio.wait_all_tasks_blocked()

    assert outcome == ["begun", "ended"]


@HOW
async def test_task_spawned_while_its_owner_leaves_is_cancelled_at_its_first_suspension(
    support: AsyncSupport, how: str
) -> None:
    outcome = []

    async def work(owner: TaskOwner, generation: int) -> None:
        outcome.append(f"{generation} begun")
        try:
            await anyio.sleep_forever()
        finally:
            outcome.append(f"{generation} ended")
            if generation < 3:
                getattr(owner, how)(partial(work, owner, generation + 1))

    with anyio.fail_after(PATIENCE):
        async with support.task_owner() as owner:
            owner.spawn(work, owner, 1)

    assert outcome == ["1 begun", "1 ended", "2 begun", "2 ended", "3 begun", "3 ended"]


async def test_task_that_is_cancelled_twice_may_spawn_each_time(support: AsyncSupport) -> None:
    outcome = []

    async def spawned(name: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            outcome.append(name)

    async def work(owner: TaskOwner, cleaning_up: anyio.Event) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            owner.spawn(spawned, "first")
            cleaning_up.set()
            try:
                await anyio.sleep_forever()
            finally:
                owner.spawn(spawned, "second")

    with anyio.fail_after(PATIENCE):
        async with support.task_owner() as owner:
            cleaning_up = anyio.Event()
            task = owner.spawn(work, owner, cleaning_up)
            await anyio.wait_all_tasks_blocked()
            assert task is not None
            task.cancel()
            await cleaning_up.wait()

    assert sorted(outcome) == ["first", "second"]


async def test_leaving_does_not_wait_for_what_others_have_due(support: AsyncSupport) -> None:
    """Owners share the next turn of the event loop, and another one may add to it in every turn."""
    stop = anyio.Event()

    async def work(owner: TaskOwner) -> None:
        if not stop.is_set():
            owner.spawn_soon(partial(work, owner))

    with anyio.fail_after(PATIENCE):
        async with support.task_owner() as busy:
            await work(busy)
            async with support.task_owner() as leaving:
                leaving.spawn(anyio.sleep_forever)
            stop.set()


# Exceptions


async def test_exception_of_the_body_passes_through_as_it_is(support: AsyncSupport) -> None:
    cause, context = LookupError("cause"), LookupError("context")
    error = ValueError("of the body")

    async def own() -> None:
        async with support.task_owner() as owner:
            owner.spawn(anyio.sleep_forever)
            try:
                raise context
            except LookupError:
                raise error from cause

    with pytest.raises(ValueError, match="of the body") as raised:
        await own()

    assert raised.value is error
    assert error.__cause__ is cause
    assert error.__context__ is context


async def test_all_exceptions_that_escape_tasks_are_raised_on_leaving(support: AsyncSupport) -> None:
    errors = [LookupError("at once"), ValueError("later"), KeyError("when cancelled"), OSError("likewise")]

    async def own() -> None:
        async with support.task_owner() as owner:
            owner.spawn(fail_when_cancelled, errors[2])
            owner.spawn(fail, errors[0])
            owner.spawn_soon(partial(fail, errors[1]))
            owner.spawn(fail_when_cancelled, errors[3])

    with pytest.raises(ExceptionGroup) as raised:
        await own()

    assert sorted(map(repr, leaves(raised.value))) == sorted(map(repr, errors))


async def test_exceptions_of_tasks_are_raised_together_with_that_of_the_body(support: AsyncSupport) -> None:
    of_body, of_task = ValueError("of the body"), LookupError("of a task")

    async def own() -> None:
        async with support.task_owner() as owner:
            owner.spawn(fail_when_cancelled, of_task)
            await anyio.wait_all_tasks_blocked()
            raise of_body

    with pytest.raises(ExceptionGroup) as raised:
        await own()

    assert leaves(raised.value) == [of_body, of_task]


async def test_exception_that_escapes_a_task_cancels_the_body_and_leaves_other_tasks_alone(
    support: AsyncSupport,
) -> None:
    outcome = []

    async def sound(finish: anyio.Event) -> None:
        await finish.wait()
        outcome.append("the other task has finished")

    async def own() -> None:
        async with support.task_owner() as owner:
            finish = anyio.Event()
            owner.spawn(sound, finish)
            owner.spawn(fail, LookupError("of a task"))
            try:
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    outcome.append("the body is cancelled")
                    finish.set()
                    await anyio.wait_all_tasks_blocked()

    with pytest.raises(ExceptionGroup) as raised:
        await own()

    assert list(map(str, leaves(raised.value))) == ["of a task"]
    assert outcome == ["the body is cancelled", "the other task has finished"]
    # The cancellation ended with the body.
    await checkpoint()


@ON_ASYNCIO
async def test_cancellation_of_the_body_by_a_failing_task_is_taken_back(support: AsyncSupport) -> None:
    host = asyncio.current_task()
    assert host is not None

    async def own() -> None:
        async with support.task_owner() as owner:
            owner.spawn(fail, LookupError("of a task"))
            await anyio.sleep_forever()

    for _ in range(2):
        with pytest.raises(ExceptionGroup):
            await own()
        assert host.cancelling() == 0


async def test_block_that_ends_before_it_could_be_cancelled_leaves_no_cancellation_behind(
    support: AsyncSupport,
) -> None:
    async def own() -> None:
        async with support.task_owner() as owner:
            owner.spawn(fail, LookupError("of a task"))

    with pytest.raises(ExceptionGroup):
        await own()
    for _ in range(3):
        await checkpoint()


async def test_exception_in_the_cleanup_of_a_cancelled_task_leaves_the_scope_that_was_cancelled(
    support: AsyncSupport,
) -> None:
    error = LookupError("in the cleanup")

    async def own() -> None:
        with anyio.CancelScope() as scope:
            async with support.task_owner() as owner:
                owner.spawn(fail_when_cancelled, error)
                scope.cancel()
                await anyio.sleep_forever()

    with pytest.raises(ExceptionGroup) as raised:
        await own()

    assert leaves(raised.value) == [error]
    await checkpoint()


async def test_scope_that_is_cancelled_while_leaving_does_not_replace_the_exception_of_the_body(
    support: AsyncSupport,
) -> None:
    error, outcome = ValueError("of the body"), []

    async def work(scope: anyio.CancelScope) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            scope.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
            outcome.append("cleaned up")

    async def own() -> None:
        async with support.task_owner() as owner:
            owner.spawn(work, scope)
            await anyio.wait_all_tasks_blocked()
            raise error

    with anyio.CancelScope() as scope:
        with pytest.raises(ValueError, match="of the body") as raised:
            await own()
        outcome.append("left")
        await checkpoint()
        outcome.append("not cancelled")

    assert raised.value is error
    assert outcome == ["cleaned up", "left"]
    await checkpoint()


@ON_ASYNCIO
@pytest.mark.parametrize("suspends", [True, False])
@HOW
async def test_task_that_awaits_something_cancelled_is_only_done(
    support: AsyncSupport, how: str, suspends: bool
) -> None:
    outcome = []
    cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    cancelled.cancel()

    async def work() -> None:
        if suspends:
            await checkpoint()
        try:
            await cancelled
        finally:
            outcome.append("done")

    async with support.task_owner() as owner:
        for _ in range(2):
            getattr(owner, how)(work)
        await anyio.wait_all_tasks_blocked()
        outcome.append("the body goes on")

    assert outcome == ["done", "done", "the body goes on"]


@ON_ASYNCIO
async def test_group_that_is_no_exception_fails_its_own_owner_alone(support: AsyncSupport) -> None:
    """Only ``Exception`` is caught in most places; a ``BaseExceptionGroup`` is not an ``Exception``."""
    error, done = BaseExceptionGroup("of a task", [GeneratorExit()]), []

    async def work(name: str) -> None:
        done.append(name)

    async def start(sound: TaskOwner) -> None:
        async with support.task_owner() as failing:
            sound.spawn_soon(partial(work, "before"))
            failing.spawn_soon(partial(fail, error))
            sound.spawn_soon(partial(work, "after"))
            await anyio.sleep_forever()

    async with support.task_owner() as sound:
        with pytest.raises(BaseExceptionGroup) as raised:
            await start(sound)
        await anyio.wait_all_tasks_blocked()

    assert raised.value.subgroup(lambda leaf: leaf is error) is not None
    assert done == ["before", "after"]


# Native cancellation, by ``asyncio.Task.cancel``


class Host:
    """Owns a task in a task of its own, and is cancelled while the owner waits for that task's cleanup."""

    def __init__(self, support: AsyncSupport) -> None:
        self._support = support
        self.cleaning_up = asyncio.Event()
        self.release = asyncio.Event()
        self.outcome: list[object] = []

    async def work(self, error: Exception | None = None) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            self.cleaning_up.set()
            with anyio.CancelScope(shield=True):
                await self.release.wait()
            if error is not None:
                raise error

    async def own(self, *, of_body: Exception | None = None, of_task: Exception | None = None) -> None:
        async with self._support.task_owner() as owner:
            owner.spawn(self.work, of_task)
            await anyio.wait_all_tasks_blocked()
            if of_body is not None:
                raise of_body

    async def go_on(self) -> None:
        """Suspend, and note the cancellation that comes then."""
        host = asyncio.current_task()
        assert host is not None
        self.outcome.append(host.cancelling())
        try:
            await checkpoint()
        except asyncio.CancelledError:
            assert host.cancelling() == self.outcome[-1]
            self.outcome.append("cancelled")
            raise
        self.outcome.append("not cancelled")


@ON_ASYNCIO
async def test_native_cancellation_while_leaving_waits_for_the_tasks_all_the_same() -> None:
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


@ON_ASYNCIO
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("failing", ["body", "task", "both"])
async def test_native_cancellation_while_leaving_goes_on_after_the_exceptions(
    support: AsyncSupport, failing: str, times: int
) -> None:
    host = Host(support)
    of_body = None if failing == "task" else ValueError("of the body")
    of_task = None if failing == "body" else LookupError("of a task")

    async def run() -> None:
        with pytest.raises((ValueError, ExceptionGroup)) as raised:
            await host.own(of_body=of_body, of_task=of_task)
        if isinstance(raised.value, ExceptionGroup):
            assert leaves(raised.value) == [error for error in (of_body, of_task) if error is not None]
        else:
            assert raised.value is of_body
        host.outcome.append("failed")
        await host.go_on()

    task = asyncio.create_task(run())
    await host.cleaning_up.wait()
    for _ in range(times):
        task.cancel()
        await anyio.wait_all_tasks_blocked()
    assert not task.done()
    host.release.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert host.outcome == ["failed", times, "cancelled"]


@ON_ASYNCIO
@pytest.mark.parametrize("failing", ["body", "task"])
async def test_timeout_that_expires_while_leaving_takes_its_cancellation_back(
    support: AsyncSupport, failing: str
) -> None:
    host = Host(support)
    of_body = ValueError("of the body") if failing == "body" else None
    of_task = LookupError("of a task") if failing == "task" else None

    async def own() -> None:
        async with asyncio.timeout(None) as timeout:
            host.outcome.append(timeout)
            await host.own(of_body=of_body, of_task=of_task)

    async def run() -> None:
        with pytest.raises((ValueError, ExceptionGroup)):
            await own()
        await host.go_on()

    task = asyncio.create_task(run())
    await host.cleaning_up.wait()
    timeout = host.outcome.pop()
    assert isinstance(timeout, asyncio.Timeout)
    timeout.reschedule(0)
    await anyio.wait_all_tasks_blocked()
    assert timeout.expired()
    host.release.set()
    await task

    assert host.outcome == [0, "not cancelled"]


@ON_ASYNCIO
async def test_native_cancellation_of_the_body_goes_on_after_the_exceptions_of_tasks(
    support: AsyncSupport,
) -> None:
    host, blocked = Host(support), asyncio.Event()
    host.release.set()

    async def own() -> None:
        async with support.task_owner() as owner:
            owner.spawn(host.work, LookupError("of a task"))
            blocked.set()
            await anyio.sleep_forever()

    async def run() -> None:
        with pytest.raises(ExceptionGroup) as raised:
            await own()
        assert list(map(str, leaves(raised.value))) == ["of a task"]
        await host.go_on()

    task = asyncio.create_task(run())
    await blocked.wait()
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert host.outcome == [1, "cancelled"]


@ON_ASYNCIO
async def test_native_cancellation_is_told_from_that_by_a_failing_task(support: AsyncSupport) -> None:
    host = Host(support)

    async def own() -> None:
        async with support.task_owner() as owner:
            owner.spawn(host.work)
            owner.spawn(fail, LookupError("of a task"))
            await anyio.sleep_forever()

    async def run() -> None:
        with pytest.raises(ExceptionGroup):
            await own()
        await host.go_on()

    task = asyncio.create_task(run())
    await host.cleaning_up.wait()
    task.cancel()
    await anyio.wait_all_tasks_blocked()
    host.release.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert host.outcome == [1, "cancelled"]


@ON_ASYNCIO
async def test_cancelled_scope_around_an_owner_does_not_cancel_what_is_shielded_after_it(
    support: AsyncSupport,
) -> None:
    outcome = []

    async def own() -> None:
        with anyio.CancelScope() as scope:
            try:
                async with support.task_owner() as owner:
                    owner.spawn(fail_when_cancelled, LookupError("of a task"))
                    scope.cancel()
                    await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.wait_all_tasks_blocked()
                    outcome.append("shielded")

    with pytest.raises(ExceptionGroup):
        await own()

    assert outcome == ["shielded"]


# Context variables


@pytest.mark.parametrize("how", ["spawn_soon", "spawn_in_owner_context"])
@pytest.mark.parametrize("entered_with", [None, "the owner's"])
async def test_task_has_the_context_variables_with_which_its_owner_was_entered(
    support: AsyncSupport, how: str, entered_with: str | None
) -> None:
    variable: ContextVar[str | None] = ContextVar("variable", default=None)
    seen = []

    async def work() -> None:
        seen.append(variable.get())
        variable.set("set in a task")
        await checkpoint()
        seen.append(variable.get())

    async def publish(owner: TaskOwner) -> None:
        variable.set("the publisher's")
        getattr(owner, how)(work)
        await anyio.wait_all_tasks_blocked()

    if entered_with is not None:
        variable.set(entered_with)
    async with support.task_owner() as owner:
        variable.set("set later")
        async with anyio.create_task_group() as others:
            for _ in range(2):
                others.start_soon(publish, owner)
        assert variable.get() == "set later"

    assert sorted(map(str, seen)) == sorted(map(str, [entered_with, "set in a task"] * 2))


async def run_without_variables(function: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a function in an empty context, like that of a connection in most servers."""
    async with anyio.create_task_group() as tasks:

        def start() -> None:
            tasks.start_soon(function)

        Context().run(start)


async def test_functions_started_together_do_not_see_variables_that_others_set(support: AsyncSupport) -> None:
    inherited: ContextVar[str] = ContextVar("inherited", default="unset")
    seen = []

    async def work(name: str) -> None:
        seen.append(inherited.get())
        inherited.set(f"set by {name}")

    async def own() -> None:
        async with support.task_owner() as first, support.task_owner() as second:
            for number in range(4):
                (first, second)[number % 2].spawn_soon(partial(work, str(number)))
            await anyio.wait_all_tasks_blocked()

    await run_without_variables(own)
    assert seen == ["unset"] * 4
    seen.clear()
    inherited.set("inherited")
    await own()
    assert seen == ["inherited"] * 4


@ON_ASYNCIO
async def test_functions_that_never_suspend_share_a_task_if_their_owners_have_the_same_variables() -> None:
    # Python 3.11 has no eager tasks, so there each function has a task of its own.
    expected = 2 if sys.version_info >= (3, 12) else 4
    variable: ContextVar[str] = ContextVar("variable")
    tasks: list[asyncio.Task[Any] | None] = []

    async def work() -> None:
        tasks.append(asyncio.current_task())

    async def own() -> None:
        support = AsyncioAsyncSupport()
        async with support.task_owner() as first, support.task_owner() as second:
            variable.set("other")
            async with support.task_owner() as other:
                for owner in first, second, other, first:
                    owner.spawn_soon(work)
                await anyio.wait_all_tasks_blocked()

    await run_without_variables(own)
    assert len(set(tasks)) == expected
    assert tasks.count(tasks[2]) == 1
    tasks.clear()
    variable.set("inherited")
    await own()
    assert len(set(tasks)) == expected
    assert tasks.count(tasks[2]) == 1


async def test_functions_started_together_have_the_context_variables_of_their_own_owners(
    support: AsyncSupport,
) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="unset")
    seen: dict[str, str] = {}

    async def work(name: str, suspends: bool) -> None:
        seen[name] = variable.get()
        variable.set(f"set by {name}")
        if suspends:
            await checkpoint()
        seen[f"{name} at its end"] = variable.get()

    async def own(name: str, suspends: bool, *, has_variable: bool) -> None:
        if has_variable:
            variable.set(f"of {name}")
        async with support.task_owner() as owner:
            entered.append(name)
            await go_on.wait()
            for part in 1, 2:
                owner.spawn_soon(partial(work, f"{name} {part}", suspends))
            await anyio.wait_all_tasks_blocked()

    entered: list[str] = []
    go_on = anyio.Event()
    cases = [(f"owner {number}", number % 2 == 0, number in (2, 3, 6)) for number in range(8)]
    async with anyio.create_task_group() as owners:
        for name, suspends, has_variable in cases:
            owners.start_soon(partial(own, name, suspends, has_variable=has_variable))
        await anyio.wait_all_tasks_blocked()
        assert len(entered) == len(cases)
        go_on.set()

    expected = {}
    for name, _, has_variable in cases:
        for part in 1, 2:
            expected[f"{name} {part}"] = f"of {name}" if has_variable else "unset"
            expected[f"{name} {part} at its end"] = f"set by {name} {part}"
    assert seen == expected
