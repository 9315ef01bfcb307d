"""The functions that are due in the next turn of an asyncio event loop, and the task that they share.

**The problem.** A session writes its queue in the turn after the one in which a message was put into it, so
that the messages of one turn go out together. One publication may make a thousand queues due at once. A task
for each of them would cost more than the write itself, which usually has nothing to wait for: the transport
takes the message, and the task is over before it has ever suspended. But a write may suspend, in a slow
client's transport or in a middleware. Then it needs a task of its own, which its session can cancel. Only
running it shows which kind it is.

**The design.** ``NextTurn``, one for each event loop, keeps the functions that are due, each with its owner.
Adding the first one schedules ``begin`` for the next turn. ``begin`` starts a shared task eagerly, which
awaits one function after another. As far as cancel scopes, timeouts and ``current_task`` can tell, each of
them is in an ordinary task. If none of them suspends, all have run in this one task when its eager start
returns. If one suspends, the eager start returns early, and the task is handed over: from then on it belongs
to the owner of that function, as if the owner had spawned it. ``begin`` continues with the remaining
functions in another shared task.

**Context variables.** A function runs in a copy of the context that its owner was entered in, not in that of
the caller that added it. A task has one context, so functions can share a task only if their owners have the
same variables, with identical values. Nearly all have: ASGI servers set no context variables, and those that
an application sets while it is imported are inherited by every session. ``current_context`` returns one
object for all of these owners, so that comparing their contexts costs nothing. A shared task runs in a copy
of the context of the first function that is due. Functions with another context get a task of their own. If a
function sets a variable, the shared task ends after it, so that the next function does not see the value.

``Context.run`` could give each function its own context inside one task. But it costs half as much as the
write, and a function that suspends would have to be resumed by hand, because a task resumes its coroutine in
its own context.

**Invariants.**

- Functions begin in the order in which they were added, and each runs to its first suspension before the next
  one begins. All that were added in one turn have begun when ``begin`` returns.
- A shared task that suspends runs that function to its end and no other one. No owner knows the task before
  it suspends, so nobody can cancel it; afterwards exactly one owner does.
- A function begins even if its owner is leaving, because a queue may have something to clean up. The owner
  cancels the task that it is handed, and does not finish leaving before its functions have begun.
- An exception that escapes from a function ends its task and goes to the owner of the function, before or
  after the task is handed over. The next function begins in another task.
- Neither ``begin`` nor a task that was handed over keeps the functions that have begun alive.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, copy_context
from typing import Any, Final, Protocol, TypeAlias
from weakref import WeakKeyDictionary, WeakValueDictionary

# Python 3.11 has no eager tasks: there each function gets a task of its own, and none is ever due.
_EAGERLY: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class Owner(Protocol):
    """The owner of a function that is due."""

    #: The result of ``NextTurn.current_context`` when the owner was entered.
    context: Context

    def spawn_in_owner_context(self, function: Callable[[], Coroutine[Any, Any, None]]) -> Any:
        """Start the function in a task of its own, in a copy of ``context``."""

    def adopt(self, task: asyncio.Task[None]) -> None:
        """Own a task that has begun."""

    def fail(self, error: BaseException) -> None:
        """Record the exception of a function that has not suspended."""


#: An owner, the function to start, and the one to call if that suspends.
_Start: TypeAlias = tuple[Owner, Callable[[], Coroutine[Any, Any, None]], Callable[[], None]]


class NextTurn:
    """The functions that begin in the next turn of one event loop, in order."""

    __slots__ = ("_contexts", "starts")

    def __init__(self) -> None:
        #: Whoever adds the first function of a turn schedules ``begin``.
        self.starts: list[_Start] = []
        # By the ids of their variables and values, which a context keeps alive.
        self._contexts: WeakValueDictionary[tuple[int, ...], Context] = WeakValueDictionary()

    def current_context(self) -> Context:
        """Return a copy of the current context, which is the same object as long as the variables are.

        It is shared, so run code only in copies of it.
        """
        context = copy_context()
        ids = tuple(id(part) for item in context.items() for part in item)
        return self._contexts.setdefault(ids, context)

    def begin(self) -> None:
        """Begin all functions that are due."""
        starts, self.starts = self.starts, []
        context = starts[0][0].context
        loop, remaining = asyncio.get_running_loop(), iter(starts)
        exhausted = False
        while not exhausted:
            shared = _SharedTask(context, remaining)
            task = asyncio.Task(shared.run(), loop=loop, context=shared.context, **_EAGERLY)
            if not task.done():
                shared.hand_over(task)
            elif not task.cancelled() and (failure := task.exception()) is not None:
                shared.owner.fail(failure)
            else:
                # An exhausted iterator drops its list, to which tasks that were handed over still refer.
                exhausted = shared.exhausted


# The values do not refer to their loop, which would keep it alive.
_next_turns: WeakKeyDictionary[AbstractEventLoop, NextTurn] = WeakKeyDictionary()


def next_turn_of(loop: AbstractEventLoop) -> NextTurn:
    """Return the functions that are due in the next turn of this event loop."""
    found = _next_turns.get(loop)
    if found is None:
        found = _next_turns[loop] = NextTurn()
    return found


class _SharedTask:
    """One task that runs functions one after another, until one suspends, fails or sets a variable."""

    __slots__ = (
        "_handed_over",
        "_original",
        "_remaining",
        "_suspended",
        "_variables",
        "context",
        "exhausted",
        "owner",
    )

    #: The owner of the function that has begun last, and the function to call if that suspends.
    owner: Owner
    _suspended: Callable[[], None]

    def __init__(self, context: Context, remaining: Iterator[_Start]) -> None:
        self._original = context
        self._remaining = remaining
        self._handed_over = False
        self._variables = tuple(context.items())
        #: The context of the task.
        self.context = context.copy()
        #: No function remains.
        self.exhausted = False

    def hand_over(self, task: asyncio.Task[None]) -> None:
        """Give the task to the owner of the function that has suspended."""
        self._handed_over = True
        self.owner.adopt(task)
        self._suspended()

    async def run(self) -> None:
        original, context = self._original, self.context
        for owner, function, suspended in self._remaining:
            if owner.context is not original:
                if owner.spawn_in_owner_context(function) is not None:
                    suspended()
                continue
            self.owner = owner
            self._suspended = suspended
            await function()
            # Nearly always there are no variables, which costs least to ask.
            if self._handed_over or (context and self._is_changed()):
                return
        self.exhausted = True

    def _is_changed(self) -> bool:
        """Return whether a function has set a variable."""
        for variable, value in self._variables:
            if variable.get(None) is not value:
                return True
        return len(self.context) != len(self._variables)
