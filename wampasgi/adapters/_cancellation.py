"""Native cancellation on asyncio, by ``Task.cancel``, beside that of anyio's cancel scopes."""

from __future__ import annotations

import math
from asyncio import CancelledError, current_task

from anyio import current_effective_deadline


def pending_cancellations() -> int:
    """Return the number of the current task's cancellations that nobody has taken back; 0 on trio."""
    try:
        task = current_task()
    except RuntimeError:
        return 0
    return 0 if task is None else task.cancelling()


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
