"""A blocking session with the interface of an asynchronous one, so that the same tests can use both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from functools import partial
from typing import Any

from anyio import to_thread

from wampasgi.client import SyncSession, connect_sync


async def in_thread(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await to_thread.run_sync(partial(function, *args, **kwargs), abandon_on_cancel=True)


@asynccontextmanager
async def entered(manager: AbstractContextManager[Any]) -> AsyncIterator[Any]:
    """Enter and leave a context manager in threads."""
    value = await in_thread(manager.__enter__)
    try:
        yield value
    except BaseException as error:
        await in_thread(manager.__exit__, type(error), error, error.__traceback__)
        raise
    await in_thread(manager.__exit__, None, None, None)


class _Iterable:
    def __init__(self, blocking: Any) -> None:
        self._blocking = blocking

    def __getattr__(self, name: str) -> Any:
        return partial(in_thread, getattr(self._blocking, name))

    def __aiter__(self) -> _Iterable:
        return self

    async def __anext__(self) -> Any:
        item = await in_thread(next, self._blocking, _Iterable)
        if item is _Iterable:
            raise StopAsyncIteration
        return item


class BlockingSession:
    """The facade."""

    def __init__(self, blocking: SyncSession) -> None:
        self._blocking = blocking
        self.call = partial(in_thread, blocking.call)
        self.publish = partial(in_thread, blocking.publish)

    async def register(self, *args: Any, **kwargs: Any) -> Any:
        return _Iterable(await in_thread(self._blocking.register, *args, **kwargs))

    @asynccontextmanager
    async def call_progress(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async with entered(self._blocking.call_progress(*args, **kwargs)) as call:
            yield _Iterable(call)

    @asynccontextmanager
    async def subscribe(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        async with entered(self._blocking.subscribe(*args, **kwargs)) as events:
            yield _Iterable(events)


@asynccontextmanager
async def connect_blocking(url: str | None = None, **options: Any) -> AsyncIterator[BlockingSession]:
    async with entered(connect_sync(url, **options)) as session:
        yield BlockingSession(session)
