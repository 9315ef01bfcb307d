"""Support for asyncio, with bare tasks: a task group's bookkeeping would cost more than a whole call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from types import TracebackType
from typing import Any, ClassVar

import anyio

from wampasgi.adapters.base import AsyncSupport, Start, Task, TaskOwner


class AsyncioAsyncSupport(AsyncSupport):
    """Runs tasks as asyncio tasks, started eagerly on Python 3.12 and newer.

    An eager task runs to its first suspension at once, so what never suspends costs no turn of the event
    loop; it is a task like any other to cancel scopes, task groups and context variables inside it.
    """

    library: ClassVar[str | None] = "asyncio"

    def task_owner(self) -> TaskOwner:
        """An owner that keeps a set of asyncio tasks."""
        return _AsyncioTaskOwner()


if sys.version_info < (3, 12):

    class _StartedFirst:
        """A task that may not have begun, and is cancelled after its first step."""

        __slots__ = ("_loop", "_task")

        def __init__(self, task: asyncio.Task[None], loop: asyncio.AbstractEventLoop) -> None:
            self._task = task
            self._loop = loop

        def cancel(self) -> None:
            # The first step was scheduled before.
            self._loop.call_soon(self._task.cancel)


class _AsyncioTaskOwner(TaskOwner):
    __slots__ = ("_failures", "_loop", "_tasks")

    async def __aenter__(self) -> TaskOwner:
        self._loop = asyncio.get_running_loop()
        # A dict, because an empty set takes three times as much: each session has owners that are idle.
        self._tasks: dict[asyncio.Task[None], None] = {}
        self._failures: list[BaseException] = []
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        for task in self._tasks:
            task.cancel()
        cancelled: asyncio.CancelledError | None = None
        while self._tasks:
            try:
                # The shield keeps anyio's scopes out, the loop a native cancellation of the host.
                with anyio.CancelScope(shield=True):
                    await asyncio.wait(self._tasks)
            except asyncio.CancelledError as error:
                cancelled = error
        if exc is not None:
            return None
        if cancelled is not None:
            raise cancelled
        if self._failures:
            raise self._failures[0]
        return None

    if sys.version_info >= (3, 12):

        def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> Task:
            task = asyncio.Task(function(*args), loop=self._loop, eager_start=True)
            if task.done():
                self._note_failure(task)
            else:
                self.adopt(task)
            return task

        @staticmethod
        def spawn_each(starts: Iterable[Start]) -> None:
            loop, remaining = asyncio.get_running_loop(), iter(starts)
            for owner, function, argument in remaining:
                turn = _Turn(owner)
                task = asyncio.Task(turn.run(function, argument, remaining), loop=loop, eager_start=True)
                if not task.done():
                    turn.hand_over(task)

    else:

        def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> Task:
            task = self._loop.create_task(function(*args))
            self.adopt(task)
            return _StartedFirst(task, self._loop)

    def adopt(self, task: asyncio.Task[None]) -> None:
        """Own a task from now on that was started without an owner."""
        self._tasks[task] = None
        task.add_done_callback(self._finished)

    def fail(self, failure: BaseException) -> None:
        """Raise this on leaving."""
        self._failures.append(failure)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        self._note_failure(task)

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failures.append(failure)

    def __len__(self) -> int:
        return len(self._tasks)


class _Turn:
    """One task that runs functions one after another, for as long as they have nothing to wait for.

    The first one that waits ends the turn: the task is that one's alone from there on, and its owner's.
    """

    __slots__ = ("_over", "_owner")

    def __init__(self, owner: TaskOwner) -> None:
        self._owner = owner
        self._over = False

    def hand_over(self, task: asyncio.Task[None]) -> None:
        self._over = True
        assert isinstance(self._owner, _AsyncioTaskOwner)
        self._owner.adopt(task)

    async def run(
        self,
        function: Callable[[Any], Coroutine[Any, Any, None]],
        argument: Any,
        remaining: Iterator[Start],
    ) -> None:
        while True:
            try:
                await function(argument)
            except (Exception, asyncio.CancelledError) as error:
                if self._over:
                    raise
                assert isinstance(self._owner, _AsyncioTaskOwner)
                self._owner.fail(error)
            if self._over:
                return
            start = next(remaining, None)
            if start is None:
                return
            self._owner, function, argument = start
