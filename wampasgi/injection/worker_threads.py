"""Worker threads for sync handlers and dependencies, without a deadlock if these call others.

anyio's default limiter has 40 tokens. A sync handler holds one while it runs, and if it calls another sync
handler through ``from_thread``, it waits for a second one: with 40 of them, forever. So a call that comes
from inside the process does not use the default limiter:

- A handler that runs in a worker thread lends its token to the calls that it makes. It waits for them anyway.
- Other calls in the process, such as those of a sync route of FastAPI, use a limiter of their own. The
  handlers that hold its tokens lend them in turn, so none of them waits for another token of it.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from threading import Lock
from typing import Any, Final, TypeVar

from anyio import CancelScope, CapacityLimiter, to_thread
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


class _Call:
    """A call of a function in a worker thread, which is over only when the function has returned."""

    __slots__ = ("_begun", "_function", "_given_up", "_lock", "_over", "_wake")

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._lock = Lock()
        self._begun = False
        self._given_up = False
        self._over = False
        self._wake: Callable[[], object] | None = None

    def run(self) -> Any:
        """Call the function, unless ``give_up`` came first."""
        with self._lock:
            if self._given_up:
                return None
            self._begun = True
        try:
            return self._function()
        finally:
            with self._lock:
                self._over = True
                wake = self._wake
            if wake is not None:
                wake()

    async def give_up(self) -> None:
        """Prevent a call that has not begun; otherwise wait for its end."""
        over = asyncio.Event()
        with self._lock:
            self._given_up = True
            if self._over or not self._begun:
                return
            self._wake = partial(asyncio.get_running_loop().call_soon_threadsafe, over.set)
        cancellation: asyncio.CancelledError | None = None
        while not over.is_set():
            try:
                with CancelScope(shield=True):
                    await over.wait()
            except asyncio.CancelledError as error:
                cancellation = error
        if cancellation is not None:
            raise cancellation


async def run_sync(function: Callable[[], T], limiter: CapacityLimiter | None) -> T:
    """Call a sync function in a worker thread, and return or raise only when it has returned.

    anyio does the same for cancel scopes. ``asyncio.Task.cancel`` makes it leave a running thread behind,
    which then uses dependencies that are already closed.
    """
    call = _Call(function)
    try:
        return await to_thread.run_sync(call.run, limiter=limiter)
    except asyncio.CancelledError:
        await call.give_up()
        raise


async def call_in_thread(function: Callable[[], T]) -> T:
    """Call a sync function in a worker thread, which lends its token to the calls that the function makes."""
    lent = CapacityLimiter(1)

    def call() -> T:
        # The thread runs in a context of its own, and ``from_thread`` carries it back into the event loop.
        _limiter.set(lent)
        return function()

    return await run_sync(call, _limiter.get())


async def run_in_thread(
    function: Callable[..., Any], positional: Sequence[Any], by_name: Mapping[str, Any]
) -> Any:
    """Call a sync function in a worker thread; if it returns an awaitable, await that in this task."""

    def run() -> tuple[Any]:
        # In a tuple, because Trio does not accept a coroutine from a thread.
        return (function(*positional, **by_name),)

    (value,) = await call_in_thread(run)
    return await value if inspect.isawaitable(value) else value
