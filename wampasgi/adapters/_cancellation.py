"""Native cancellation on asyncio, by ``Task.cancel``, beside that of anyio's cancel scopes."""

from __future__ import annotations

import math
from asyncio import CancelledError, Task, current_task
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from anyio import current_effective_deadline

#: The tasks that must not be cancelled now, and whether they are to be cancelled afterwards.
_held: Final[dict[Task[Any], bool]] = {}


def _own_task() -> Task[Any] | None:
    """Return the current task of asyncio, or None on trio."""
    try:
        return current_task()
    except RuntimeError:
        return None


def pending_cancellations() -> int:
    """Return the number of the current task's cancellations that nobody has taken back; 0 on trio."""
    task = _own_task()
    return 0 if task is None else task.cancelling()


@contextmanager
def holding_cancellation() -> Iterator[None]:
    """Hold back ``cancel_task`` for the current task until the block ends.

    This is the shield of a cancel scope for native cancellation. It is for code that must run to its end,
    such as a rollback. Timeouts in the block work, because they cancel the task without ``cancel_task``. On
    trio this does nothing: there, owners cancel by scopes.
    """
    task = _own_task()
    if task is None or task in _held:
        yield
        return
    _held[task] = False
    try:
        yield
    finally:
        if _held.pop(task):
            task.cancel()


def cancel_task(task: Task[Any]) -> None:
    """Cancel a task of asyncio, after it has left ``holding_cancellation`` if it is inside."""
    if task in _held:
        _held[task] = True
    else:
        task.cancel()


def cancel_again(cancellation: BaseException, pending_before: int) -> None:
    """Deliver a cancellation of the current task again at its next suspension.

    Call this before an exception is raised in place of the cancellation, which would be lost otherwise.
    ``pending_before`` is the number of cancellations that were pending before this one came.

    The cancellation is dropped if somebody has taken it back by then: ``asyncio.timeout`` does when it
    expires. ``asyncio.TaskGroup`` solves the same problem on Python 3.13 by cancelling its task at once. On
    older versions that cannot be taken back, and would hit the first thing that is awaited after the timeout.
    """
    # A cancelled scope cancels again by itself, and respects shields. On trio there are only scopes.
    if not isinstance(cancellation, CancelledError) or current_effective_deadline() == -math.inf:
        return
    task = current_task()
    assert task is not None

    def deliver() -> None:
        if task.cancelling() > pending_before:
            # This is the same cancellation, so the number of them must not change.
            task.uncancel()
            task.cancel(*cancellation.args)

    task.get_loop().call_soon(deliver)
