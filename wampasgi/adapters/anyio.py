"""Async support for every event loop that anyio supports."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from types import TracebackType
from typing import Any

import anyio
from anyio.abc import TaskGroup

from wampasgi.adapters._cancellation import cancel_again, pending_cancellations
from wampasgi.adapters.base import FAILED, AsyncSupport, TaskOwner


class AnyioAsyncSupport(AsyncSupport):
    """Runs tasks in anyio task groups, on any event loop that anyio supports."""

    def task_owner(self) -> TaskOwner:
        """Return an owner that is an anyio task group with a cancel scope for each task."""
        return _AnyioTaskOwner()


class _AnyioTaskOwner(TaskOwner):
    __slots__ = ("_context", "_failures", "_group", "_left", "_pending_before", "_scopes")

    _context: Context
    _group: TaskGroup
    _pending_before: int

    def __init__(self) -> None:
        self._left = False
        # The scopes of the tasks that are not done. They are shielded, so that a cancelled scope around the
        # session does not reach the tasks before the session has cleaned up.
        self._scopes: dict[anyio.CancelScope, None] = {}
        # The exceptions that have escaped from tasks. The task group gets none of them, because it would wrap
        # that of the block, too, and drop a native cancellation.
        self._failures: list[BaseException] = []

    async def __aenter__(self) -> TaskOwner:
        self._context = copy_context()
        self._pending_before = pending_cancellations()
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._left = True
        for scope in list(self._scopes):
            scope.cancel()
        swallowed, cancellation = False, None
        errors: list[BaseException] = []
        try:
            if isinstance(exc, Exception):
                errors.append(exc)
                await self._group.__aexit__(None, None, None)
            else:
                swallowed = await self._group.__aexit__(exc_type, exc, traceback) or False
        except anyio.get_cancelled_exc_class() as error:
            cancellation = error
        except BaseExceptionGroup as group:
            # The block, or a task, has raised something that is no ``Exception``, such as KeyboardInterrupt.
            if not self._failures:
                raise
            errors.extend(group.exceptions)
        errors += self._failures
        if not errors:
            if cancellation is not None and cancellation is not exc:
                raise cancellation
            return swallowed
        if cancellation is not None:
            cancel_again(cancellation, self._pending_before)
        if not self._failures:
            return False
        raise BaseExceptionGroup(FAILED, errors) from None

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> anyio.CancelScope:
        scope = anyio.CancelScope(shield=True)
        if self._left:
            scope.cancel()
        self._scopes[scope] = None
        self._group.start_soon(self._run, scope, function, args)
        return scope

    def spawn_in_owner_context(
        self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any
    ) -> anyio.CancelScope:
        # The task gets a copy of the context that it is spawned in. That one is a copy as well, because a
        # context cannot be entered again inside itself, and an eager task factory runs the function here.
        return self._context.copy().run(self.spawn, function, *args)

    async def _run(
        self,
        scope: anyio.CancelScope,
        function: Callable[..., Coroutine[Any, Any, None]],
        args: tuple[Any, ...],
    ) -> None:
        try:
            with scope:
                await function(*args)
        except CancelledError:
            # The function has awaited something that was cancelled. A task of asyncio's is done then, while
            # the task group would end the block without a word.
            return
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - raised on leaving
            self._failures.append(error)
            if not self._left:
                self._group.cancel_scope.cancel()
        finally:
            del self._scopes[scope]
