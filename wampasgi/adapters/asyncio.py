"""Async support for asyncio, with bare tasks: a task group's bookkeeping costs more than a whole call."""

from __future__ import annotations

import asyncio
import sys
from asyncio import CancelledError
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, ClassVar

import anyio

from wampasgi.adapters._cancellation import cancel_again, cancel_task
from wampasgi.adapters._next_turn import next_turn_of
from wampasgi.adapters.base import FAILED, AsyncSupport, Task, TaskOwner
from wampasgi.adapters.suspension import nothing


class AsyncioAsyncSupport(AsyncSupport):
    """Runs tasks as asyncio tasks, which start eagerly on Python 3.12 and newer.

    An eager task runs to its first suspension at once, so a function that never suspends costs no turn of the
    event loop. Cancel scopes, task groups and context variables work in it as in any other task.
    """

    library: ClassVar[str | None] = "asyncio"

    def task_owner(self) -> TaskOwner:
        """Return an owner that keeps a set of asyncio tasks."""
        return _AsyncioTaskOwner()


if sys.version_info < (3, 12):

    class _StartedFirst:
        """A task that is cancelled only after its first step, which may still be due."""

        __slots__ = ("_cancel", "_task")

        def __init__(self, task: asyncio.Task[None], cancel: Callable[[asyncio.Task[None]], None]) -> None:
            self._task = task
            self._cancel = cancel

        def cancel(self) -> None:
            self._cancel(self._task)


class _AsyncioTaskOwner(TaskOwner):
    __slots__ = (
        "_failures",
        "_host",
        "_host_cancelled",
        "_left",
        "_loop",
        "_next_turn",
        "_pending_before",
        "_tasks",
        "context",
    )

    async def __aenter__(self) -> TaskOwner:
        host = asyncio.current_task()
        assert host is not None
        self._host: asyncio.Task[Any] = host
        self._pending_before = host.cancelling()
        self._host_cancelled = False
        self._loop = asyncio.get_running_loop()
        self._next_turn = next_turn_of(self._loop)
        #: The context that the owner was entered in, which tasks get copies of.
        self.context = self._next_turn.current_context()
        self._left = False
        # None until a task suspends, because each session has idle owners.
        self._tasks: set[asyncio.Task[None]] | None = None
        self._failures: list[BaseException] | None = None
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._left = True
        for task in list(self._tasks or ()):
            self._cancel(task)
        cancellation = await self._wait()
        if self._host_cancelled:
            self._host.uncancel()
        failures, self._failures = self._failures or [], None
        errors = failures
        if isinstance(exc, CancelledError):
            cancellation = cancellation or exc
        elif exc is not None:
            errors = [exc, *failures]
        if not errors:
            if cancellation is not None and exc is None:
                raise cancellation
            return None
        if cancellation is not None:
            cancel_again(cancellation, self._pending_before)
        if not failures:
            return None
        raise BaseExceptionGroup(FAILED, errors) from None

    async def _wait(self) -> CancelledError | None:
        """Wait until all tasks are done, and return the native cancellation that came meanwhile, if any."""
        cancellation: CancelledError | None = None
        # If functions are due, some may be this owner's. All of them have begun after one turn.
        turn_first = bool(self._next_turn.starts)
        while turn_first or self._tasks:
            try:
                # The shield keeps cancelled scopes out. The loop goes on after a native cancellation.
                with anyio.CancelScope(shield=True):
                    if turn_first:
                        turn_first = False
                        await asyncio.sleep(0)
                    elif self._tasks:
                        await asyncio.wait(self._tasks)
            except CancelledError as error:
                cancellation = error
        return cancellation

    if sys.version_info >= (3, 12):

        def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> Task | None:
            task = asyncio.Task(function(*args), loop=self._loop, eager_start=True)
            if not task.done():
                self.adopt(task)
                return task
            if not task.cancelled() and (failure := task.exception()) is not None:
                self.fail(failure)
            return None

        def spawn_in_owner_context(
            self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any
        ) -> Task | None:
            context = self.context.copy()
            task = asyncio.Task(function(*args), loop=self._loop, eager_start=True, context=context)
            if not task.done():
                self.adopt(task)
                return task
            self._finished(task)
            return None

        def spawn_soon(
            self,
            function: Callable[[], Coroutine[Any, Any, None]],
            suspended: Callable[[], None] = nothing,
        ) -> None:
            if self._left:
                # The owner does not wait for another turn.
                super().spawn_soon(function, suspended)
                return
            starts = self._next_turn.starts
            if not starts:
                self._loop.call_soon(self._next_turn.begin)
            starts.append((self, function, suspended))

        def _cancel(self, task: asyncio.Task[None]) -> None:
            cancel_task(task)

    else:

        def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> Task:
            task = self._loop.create_task(function(*args))
            self.adopt(task)
            return _StartedFirst(task, self._cancel)

        def spawn_in_owner_context(
            self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any
        ) -> Task:
            task = self._loop.create_task(function(*args), context=self.context.copy())
            self.adopt(task)
            return _StartedFirst(task, self._cancel)

        def _cancel(self, task: asyncio.Task[None]) -> None:
            # The first step of the task was scheduled before this is.
            self._loop.call_soon(cancel_task, task)

    def adopt(self, task: asyncio.Task[None]) -> None:
        """Own a task that was started without an owner."""
        if self._tasks is None:
            self._tasks = set()
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        if self._left:
            self._cancel(task)

    def fail(self, failure: BaseException) -> None:
        """Record an exception that has escaped, to be raised on leaving, and cancel the block."""
        if self._failures is None:
            self._failures = []
            # The host may be running now, and its next suspension may come after the block. When the callback
            # runs, the host is suspended, and gets the cancellation before it can leave the block.
            self._loop.call_soon(self._cancel_host)
        self._failures.append(failure)

    def _cancel_host(self) -> None:
        if not self._left:
            self._host_cancelled = self._host.cancel()

    def _finished(self, task: asyncio.Task[None]) -> None:
        if self._tasks is not None:
            self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self.fail(failure)
