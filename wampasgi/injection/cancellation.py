"""What handlers raise while they are cancelled, beside the cancellation itself."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable
from typing import TypeVar

import anyio

from wampasgi.adapters import is_being_cancelled
from wampasgi.errors import TIMEOUT, WAMPError
from wampasgi.logs import LoggedSession, about, logger_named

logger = logger_named("wampasgi.session")

T = TypeVar("T")


def log_failure(name: str, session: LoggedSession | None, error: BaseException) -> None:
    """Log an error of a handler that nobody waits for any more."""
    logger.error(
        "%s failed while it was cancelled, of %r", name, session, exc_info=error, extra=about(session)
    )


def checked(error: CancelledError, name: str) -> BaseException:
    """What a handler's CancelledError is: cancellation, or an error where nobody has cancelled the handler.

    On asyncio whoever awaits a task or future that was cancelled gets it, too, and it would end the session.
    """
    if is_being_cancelled():
        return error
    failure = RuntimeError(f"{name} awaited what was cancelled, and was not itself")
    failure.__cause__ = error
    return failure


def without_errors(
    group: BaseExceptionGroup[BaseException], name: str, session: LoggedSession | None
) -> BaseExceptionGroup[BaseException]:
    """Take the errors out of a group that has cancellation in it, too, and log them.

    A task group of a handler's raises both together on trio. Cancellation has to go on to whoever asked for
    it, and the errors would go on with it, past all who handle those of handlers. A group of errors alone, or
    of none, is returned as it is.
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
    """Wait for a call for ``timeout`` seconds at most; raises WAMPError ``wamp.error.timeout`` after that.

    Who gives the ``scope`` can move its deadline meanwhile. ``text`` is what the error says.
    """
    with scope or anyio.CancelScope() as limit:
        if timeout is not None:
            limit.deadline = anyio.current_time() + timeout
        return await invocation
    raise WAMPError(TIMEOUT, text or f"the call gave no result within {timeout} s")
