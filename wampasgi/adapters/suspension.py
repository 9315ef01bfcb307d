"""Noticing that an awaitable waits.

Most writes finish without waiting for anything. Whoever has something to do only if one waits cannot know it
beforehand. ``on_suspension`` runs an awaitable up to its first suspension, without a task and without a turn
of the event loop, and then calls a function.
"""

from __future__ import annotations

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


@types.coroutine
def on_suspension(awaitable: Awaitable[T], suspended: Callable[[], None]) -> Generator[Any, Any, T]:
    """Await ``awaitable``, and call ``suspended`` when it suspends for the first time.

    It runs in the task of the caller, on asyncio and trio, as if it were awaited directly.
    """
    steps = awaitable.__await__()
    try:
        waiting = next(steps)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]
    try:
        suspended()
        while True:
            try:
                sent = yield waiting
            except GeneratorExit:
                raise
            except BaseException as error:  # noqa: BLE001 - it is the awaitable's
                waiting = steps.throw(error)
            else:
                waiting = next(steps) if sent is None else steps.send(sent)
    except StopIteration as finished:
        return finished.value  # type: ignore[no-any-return]
    finally:
        steps.close()


async def on_suspension_of(
    function: Callable[[], Coroutine[Any, Any, None]], suspended: Callable[[], None]
) -> None:
    """Run ``function()``, and call ``suspended`` when it suspends for the first time."""
    await on_suspension(function(), suspended)


def nothing() -> None:
    """Do nothing."""
