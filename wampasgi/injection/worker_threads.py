"""Worker threads for sync handlers and dependencies, without a deadlock if these call others.

anyio's default limiter has 40 tokens. A sync handler holds one while it runs, and if it calls another sync
handler through ``from_thread``, it waits for a second one: with 40 of them, forever. So a call that comes
from inside the process does not use the default limiter:

- A handler that runs in a worker thread lends its token to the calls that it makes. It waits for them anyway.
- Other calls in the process, such as those of a sync route of FastAPI, use a limiter of their own. The
  handlers that hold its tokens lend them in turn, so none of them waits for another token of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from anyio import CapacityLimiter, to_thread
from anyio.lowlevel import RunVar

T = TypeVar("T")

#: The threads that calls in the process may use, beside those of anyio's default limiter.
IN_PROCESS_THREADS: Final = 40

# The limiter of the current call; None means anyio's default.
_limiter: ContextVar[CapacityLimiter | None] = ContextVar("wampasgi_worker_threads", default=None)
# Of each event loop.
_in_process: RunVar[CapacityLimiter] = RunVar("wampasgi_in_process_threads")


@contextmanager
def in_process_call() -> Iterator[None]:
    """Let sync handlers that are called within this use other tokens than the code that calls them."""
    if _limiter.get() is not None:
        # The caller runs in a worker thread and lends its token.
        yield
        return
    try:
        limiter = _in_process.get()
    except LookupError:
        limiter = CapacityLimiter(IN_PROCESS_THREADS)
        _in_process.set(limiter)
    token = _limiter.set(limiter)
    try:
        yield
    finally:
        _limiter.reset(token)


async def call_in_thread(function: Callable[[], T]) -> T:
    """Call a sync function in a worker thread, which lends its token to the calls that the function makes."""
    lent = CapacityLimiter(1)

    def call() -> T:
        # The thread runs in a context of its own, and ``from_thread`` carries it back into the event loop.
        _limiter.set(lent)
        return function()

    return await to_thread.run_sync(call, limiter=_limiter.get())


async def run_in_thread(
    function: Callable[..., Any], positional: Sequence[Any], by_name: Mapping[str, Any]
) -> Any:
    """Call a sync function in a worker thread; if it returns an awaitable, await that in this task."""

    def run() -> tuple[Any]:
        # In a tuple, because Trio does not accept a coroutine from a thread.
        return (function(*positional, **by_name),)

    (value,) = await call_in_thread(run)
    return await value if inspect.isawaitable(value) else value
