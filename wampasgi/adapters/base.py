"""What a support for an asynchronous library provides: owners of tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, ClassVar, Protocol


class Task(Protocol):
    """A task that an owner started."""

    def cancel(self) -> Any:
        """Ask the task to stop; returns at once, the owner waits for it.

        One that has not begun runs to its first suspension all the same: it may have something to clear up.
        """


class TaskOwner(ABC):
    """An async context manager that owns the tasks it starts.

    Leaving it cancels what still runs and waits until all of it is done, whatever happens meanwhile.
    What it starts must handle its own exceptions: one that escapes is raised on leaving.
    """

    @abstractmethod
    async def __aenter__(self) -> TaskOwner: ...

    @abstractmethod
    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None: ...

    @abstractmethod
    def spawn(self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> Task | None:
        """Start ``function(*args)`` in a task of its own, in a copy of the caller's context variables.

        The task may have run to its first suspension when this returns, or to its end: then it returns None.
        """

    def spawn_soon(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start ``function()`` in the next turn of the event loop.

        Those that have nothing to wait for may share a task then, where that costs less.
        """
        self.spawn(function)


class AsyncSupport(ABC):
    """Runs an application's tasks with one asynchronous library.

    Subclass it to support another way of running tasks; pass the class or an instance as ``async_support=``.
    """

    #: The library whose event loop it needs, or None where any that anyio knows will do.
    library: ClassVar[str | None] = None

    @abstractmethod
    def task_owner(self) -> TaskOwner:
        """A new owner, not entered yet."""
