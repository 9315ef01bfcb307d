"""Support for asyncio, with bare tasks: a task group's bookkeeping would cost more than a whole call."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from types import TracebackType
from typing import Any, ClassVar, Final, TypeAlias
from weakref import WeakKeyDictionary

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


# What makes a task start eagerly, where this Python can.
_EAGERLY: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class _AsyncioTaskOwner(TaskOwner):
    __slots__ = ("_failures", "_loop", "_next_turn", "_tasks", "left")

    async def __aenter__(self) -> TaskOwner:
        self._loop = asyncio.get_running_loop()
        self._next_turn = _next_turn_of(self._loop)
        #: It starts nothing any more.
        self.left = False
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
        self.left = True
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

        def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> Task | None:
            task = asyncio.Task(function(*args), loop=self._loop, eager_start=True)
            if not task.done():
                self.adopt(task)
                return task
            if not task.cancelled() and (failure := task.exception()) is not None:
                self.fail(failure)
            return None

        def spawn_soon(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
            starts = self._next_turn.starts
            if not starts:
                self._loop.call_soon(self._next_turn.begin)
            starts.append((self, function))

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
        if not task.cancelled() and (failure := task.exception()) is not None:
            self.fail(failure)


_Start: TypeAlias = tuple[_AsyncioTaskOwner, Callable[[], Coroutine[Any, Any, None]]]


class _NextTurn:
    """What begins in the next turn of one event loop, in the order in which it was added."""

    __slots__ = ("starts",)

    def __init__(self) -> None:
        #: Who adds the first of a turn has ``begin`` called in the next one.
        self.starts: list[_Start] = []

    def begin(self) -> None:
        starts, self.starts = self.starts, []
        loop, remaining = asyncio.get_running_loop(), iter(starts)
        while True:
            shared = _SharedTask(remaining)
            task = asyncio.Task(shared.run(), loop=loop, **_EAGERLY)
            if task.done():
                # Only here has the iterator let go of what began: who waits would keep all of it.
                return
            shared.hand_over(task)


# The loop is not in the value, which would keep it.
_next_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _NextTurn] = WeakKeyDictionary()


def _next_turn_of(loop: asyncio.AbstractEventLoop) -> _NextTurn:
    found = _next_turns.get(loop)
    if found is None:
        found = _next_turns[loop] = _NextTurn()
    return found


class _SharedTask:
    """One task that runs functions one after another, for as long as they have nothing to wait for.

    The first one that waits ends the sharing: the task is that one's alone from there on, and its owner's.
    """

    __slots__ = ("_alone", "_owner", "_remaining")

    _owner: _AsyncioTaskOwner

    def __init__(self, remaining: Iterator[_Start]) -> None:
        self._remaining = remaining
        self._alone = False

    def hand_over(self, task: asyncio.Task[None]) -> None:
        self._alone = True
        self._owner.adopt(task)

    async def run(self) -> None:
        for owner, function in self._remaining:
            if owner.left:
                continue
            self._owner = owner
            try:
                await function()
            except (Exception, asyncio.CancelledError) as error:
                if self._alone:
                    raise
                owner.fail(error)
            if self._alone:
                return
