"""Support for asyncio, with bare tasks: a task group's bookkeeping would cost more than a whole call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, ClassVar, Final

import anyio

from wampasgi.adapters.base import AsyncSupport, Task, TaskOwner


class AsyncioAsyncSupport(AsyncSupport):
    """Runs tasks as asyncio tasks, started eagerly on Python 3.12 and newer.

    An eager task runs to its first suspension at once, so what never suspends costs no turn of the event
    loop; it is a task like any other to cancel scopes, task groups and context variables inside it.
    """

    library: ClassVar[str | None] = "asyncio"

    def task_owner(self) -> TaskOwner:
        """An owner that keeps a set of asyncio tasks."""
        return _AsyncioTaskOwner()


#: What makes a task start eagerly, where this Python can.
_EAGERLY: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


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
        self._tasks: set[asyncio.Task[None]] = set()
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

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> Task:
        task = asyncio.Task(function(*args), loop=self._loop, **_EAGERLY)
        if not task.done():
            self._tasks.add(task)
            task.add_done_callback(self._finished)
        elif not task.cancelled() and (failure := task.exception()) is not None:
            self._failures.append(failure)
        return task if _EAGERLY else _StartedFirst(task, self._loop)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            self._failures.append(failure)

    def __len__(self) -> int:
        return len(self._tasks)
