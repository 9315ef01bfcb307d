"""Support for whichever event loop anyio finds running."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

import anyio
from anyio.abc import TaskGroup

from wampasgi.adapters.base import AsyncSupport, TaskOwner


class AnyioAsyncSupport(AsyncSupport):
    """Runs tasks in anyio task groups, on any event loop that anyio supports."""

    def task_owner(self) -> TaskOwner:
        """An owner that is an anyio task group with a cancel scope for each task."""
        return _AnyioTaskOwner()


class _AnyioTaskOwner(TaskOwner):
    __slots__ = ("_group", "_left", "_scopes")

    def __init__(self) -> None:
        self._left = False
        # Of the tasks that are not done. They are shielded: nothing but their owner cancels them, as it is
        # with bare tasks, so that what the server cancels can still be cleared up.
        self._scopes: dict[anyio.CancelScope, None] = {}

    async def __aenter__(self) -> TaskOwner:
        self._group: TaskGroup = anyio.create_task_group()
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
        return await self._group.__aexit__(exc_type, exc, traceback)

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> anyio.CancelScope:
        scope = anyio.CancelScope(shield=True)
        if self._left:
            scope.cancel()
        self._scopes[scope] = None
        self._group.start_soon(self._run, scope, function, args)
        return scope

    async def _run(
        self,
        scope: anyio.CancelScope,
        function: Callable[..., Coroutine[Any, Any, None]],
        args: tuple[Any, ...],
    ) -> None:
        try:
            with scope:
                await function(*args)
        finally:
            del self._scopes[scope]
