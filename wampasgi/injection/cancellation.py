"""Cancellation and timeouts of handlers, and errors that they raise while being cancelled."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import anyio

from wampasgi.adapters import holding_cancellation, is_being_cancelled
from wampasgi.errors import TIMEOUT, WAMPError
from wampasgi.logs import LoggedSession, about, logger_named

logger = logger_named("wampasgi.session")

T = TypeVar("T")


def log_failure(name: str, session: LoggedSession | None, error: BaseException) -> None:
    """Log an error that a handler raised while it was being cancelled."""
    logger.error("%s of %r failed while being cancelled", name, session, exc_info=error, extra=about(session))


def checked(error: CancelledError, name: str) -> BaseException:
    """Return a handler's CancelledError, or a RuntimeError if the handler was not cancelled.

    On asyncio, awaiting a cancelled task or future raises CancelledError, too. Passed on, it would end the
    session.
    """
    if is_being_cancelled():
        return error
    failure = RuntimeError(f"{name} was not cancelled, but awaited a task or future that was")
    failure.__cause__ = error
    return failure


def without_errors(
    group: BaseExceptionGroup[BaseException], name: str, session: LoggedSession | None
) -> BaseExceptionGroup[BaseException]:
    """Log the errors in a group that also contains a cancellation, and return the rest of the group.

    On trio, a handler's task group raises both together. The cancellation must reach the scope that requested
    it, and would take the errors past everything that handles errors of handlers. A group with errors only,
    or with none, is returned unchanged.
    """
    errors, rest = group.split(Exception)
    if errors is None or rest is None:
        return group
    log_failure(name, session, errors)
    return rest


async def within(
    timeout: float | None,
    invocation: Awaitable[T],
    *,
    scope: anyio.CancelScope | None = None,
    text: str | None = None,
) -> T:
    """Await a call for at most ``timeout`` seconds, then raise WAMPError ``wamp.error.timeout``.

    Pass a ``scope`` to be able to move its deadline. ``text`` replaces the text of the error.
    """
    with scope or anyio.CancelScope() as limit:
        if timeout is not None:
            limit.deadline = anyio.current_time() + timeout
        return await invocation
    raise WAMPError(TIMEOUT, text or f"the call gave no result within {timeout} s")


@contextmanager
def shielded(closing: anyio.CancelScope) -> Iterator[None]:
    """Let the current task close what a handler has opened, without being cancelled meanwhile.

    ``closing`` is a scope that the task entered before anything was opened; it stays shielded. On asyncio, a
    cancellation by the owner of the task, which a scope cannot keep out, is held back, too.
    """
    closing.shield = True
    with holding_cancellation():
        yield


async def close_iterator(iterator: AsyncIterator[Any], closing: anyio.CancelScope) -> None:
    """Close an async generator, or another iterator with an ``aclose``, ``shielded`` from cancellation."""
    close = getattr(iterator, "aclose", None)
    if close is not None:
        with shielded(closing):
            await close()
