"""The interface of an async support: it makes owners of tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, ClassVar, Final, Protocol

from wampasgi.adapters.suspension import nothing, on_suspension_of

#: The message of the exception group that leaving an owner raises.
FAILED: Final = "unhandled errors in the tasks of a TaskOwner"


class Task(Protocol):
    """A task that an owner started."""

    def cancel(self) -> Any:
        """Ask the task to stop, and return at once; the owner waits for its end.

        A task that has not begun yet still runs to its first suspension, because it may have something to
        clean up.
        """


class TaskOwner(ABC):
    """An async context manager that owns the tasks it starts.

    Leaving the ``async with`` block cancels the tasks and waits until all of them are done, even if the
    block's own task is cancelled meanwhile. A task that is spawned during that time is cancelled, too, at its
    first suspension. Nothing but their owner, or ``Task.cancel``, cancels the tasks: a cancel scope around
    the block does not reach them.

    Tasks handle their own exceptions. An exception that escapes a task is a bug: it cancels the block, and
    leaving raises an exception group of all that escaped, with the block's own exception first. If no task
    fails, an exception of the block passes through unchanged.

    An exception has precedence over a cancellation that comes at the same time, by ``asyncio.Task.cancel``
    or by a cancel scope. The cancellation is not lost: it is delivered again at the next suspension.
    """

    __slots__ = ()

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
        """Start ``function(*args)`` in a task of its own, in a copy of the caller's context.

        When this returns, the task may have run to its first suspension. If it has run to its end, the
        result is None.
        """

    @abstractmethod
    def spawn_in_owner_context(
        self, function: Callable[..., Coroutine[Any, Any, None]], *args: Any
    ) -> Task | None:
        """Start ``function(*args)`` like ``spawn``, in a copy of the context that the owner was entered in.

        Use it if anybody may be the caller, such as the publisher of an event, whose context variables are
        none of the function's business.
        """

    def spawn_soon(
        self, function: Callable[[], Coroutine[Any, Any, None]], suspended: Callable[[], None] = nothing
    ) -> None:
        """Start ``function()`` in the next turn of the event loop, in a copy of the owner's context.

        The context is that of ``spawn_in_owner_context``. Functions that never suspend may share a task, if
        that costs less; none of them sees context variables that another one has set. ``suspended`` is called
        when the function suspends for the first time.
        """
        self.spawn_in_owner_context(on_suspension_of, function, suspended)


class AsyncSupport(ABC):
    """Runs an application's tasks with one asynchronous library.

    Subclass it to support another way of running tasks, and pass the class or an instance as
    ``async_support=``.
    """

    #: The library whose event loop this support needs. None means any that anyio supports.
    library: ClassVar[str | None] = None

    @abstractmethod
    def task_owner(self) -> TaskOwner:
        """Return a new owner, which has not been entered yet."""
