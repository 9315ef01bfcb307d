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
    __slots__ = ("_group",)

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
        self._group.cancel_scope.cancel()
        return await self._group.__aexit__(exc_type, exc, traceback)

    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> anyio.CancelScope:
        scope = anyio.CancelScope()
        self._group.start_soon(_run, scope, function, args)
        return scope


async def _run(
    scope: anyio.CancelScope, function: Callable[..., Coroutine[Any, Any, None]], args: tuple[Any, ...]
) -> None:
    with scope:
        await function(*args)
