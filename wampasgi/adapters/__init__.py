"""Async supports, which run the tasks of an application on asyncio or trio."""

from __future__ import annotations

# Not the module, because the submodule of that name takes its place in this namespace.
from asyncio import Task as AsyncioTask
from asyncio import current_task
from typing import Literal, TypeAlias

from wampasgi.adapters._cancellation import cancel_task, holding_cancellation
from wampasgi.adapters.anyio import AnyioAsyncSupport
from wampasgi.adapters.asyncio import AsyncioAsyncSupport
from wampasgi.adapters.base import AsyncSupport, Task, TaskOwner
from wampasgi.adapters.trio import TrioAsyncSupport
from wampasgi.errors import ConfigurationError

__all__ = [
    "AnyioAsyncSupport",
    "AsyncSupport",
    "AsyncSupportName",
    "AsyncioAsyncSupport",
    "Task",
    "TaskOwner",
    "TrioAsyncSupport",
    "cancel",
    "holding_cancellation",
    "instance_of_support",
    "is_being_cancelled",
    "running_library",
    "support_for_running_loop",
]

#: The names of the framework's own supports, for ``async_support=``.
AsyncSupportName: TypeAlias = Literal["asyncio", "anyio", "trio"]

_BY_NAME: dict[str, type[AsyncSupport]] = {
    "asyncio": AsyncioAsyncSupport,
    "anyio": AnyioAsyncSupport,
    "trio": TrioAsyncSupport,
}
_BY_LIBRARY: dict[str, AsyncSupport] = {"asyncio": AsyncioAsyncSupport(), "trio": TrioAsyncSupport()}


def running_library() -> str:
    """Return the library that runs the current task: ``"asyncio"`` or ``"trio"``."""
    try:
        # None if trio runs as a guest inside asyncio's loop.
        task = current_task()
    except RuntimeError:
        return "trio"
    return "asyncio" if task is not None else "trio"


def cancel(task: Task) -> None:
    """Cancel a task of an owner; while the task closes what its handler has opened, this is held back."""
    if isinstance(task, AsyncioTask):
        cancel_task(task)
    else:
        task.cancel()


def is_being_cancelled() -> bool:
    """Return whether the current task, or a cancel scope around it, was cancelled.

    Call this after asyncio's CancelledError was caught, which a task also gets if it awaits something that
    was cancelled.
    """
    task = current_task()
    return task is None or task.cancelling() > 0


def support_for_running_loop(pinned: AsyncSupport | None) -> AsyncSupport:
    """Return the pinned async support or, without one, the support for the running event loop.

    Raises ConfigurationError if the pinned support is for another library than the server's.
    """
    library = running_library()
    if pinned is None:
        return _BY_LIBRARY[library]
    if pinned.library is not None and pinned.library != library:
        raise ConfigurationError(
            f"the application is pinned to async_support={type(pinned).__name__}, which needs "
            f"{pinned.library}, but the server runs {library}: start a server that runs {pinned.library} "
            f"(hypercorn has --worker-class), or leave async_support out to support both"
        )
    return pinned


def instance_of_support(
    async_support: AsyncSupportName | type[AsyncSupport] | AsyncSupport | None,
) -> AsyncSupport | None:
    """Normalise ``async_support=``, which takes a name, a class, an instance or None.

    Raises ConfigurationError for anything else.
    """
    given = _BY_NAME.get(async_support) if isinstance(async_support, str) else async_support
    instance = given() if isinstance(given, type) else given
    if instance is None and async_support is None:
        return None
    if not isinstance(instance, AsyncSupport):
        raise ConfigurationError(
            f"async_support is {async_support!r}: pass 'asyncio', 'anyio' or 'trio', or AsyncioAsyncSupport, "
            f"AnyioAsyncSupport or TrioAsyncSupport from wampasgi.adapters, as a class or an instance, or "
            f"leave it out"
        )
    return instance
