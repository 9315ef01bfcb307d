"""The end of all sessions when the server shuts down."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, TypeAlias

import anyio

from wampasgi.errors import SYSTEM_SHUTDOWN
from wampasgi.limits import Limits
from wampasgi.peers.session import Session

#: The end of sessions at shutdown; see Application.
OnShutdown: TypeAlias = Literal["reconnect", "goodbye"]

_TEXT: Final = "the server shuts down"


async def begin_shutdown(sessions: Collection[Session], on_shutdown: OnShutdown) -> None:
    """Begin to end sessions, without waiting for their clients.

    Browser clients such as autobahn-js and wampy take a GOODBYE as the wish that they stay away. After a
    connection that is closed without one, they reconnect.
    """
    for session in sessions:
        if on_shutdown == "goodbye":
            await session.close(SYSTEM_SHUTDOWN, _TEXT)
        else:
            await session.disconnect(SYSTEM_SHUTDOWN)


async def wait_flushed(sessions: Collection[Session]) -> None:
    """Wait until all queued messages are written. A client that does not read blocks this."""
    for session in sessions:
        await session.flushed()


async def wait_ended(sessions: Collection[Session], limits: Limits) -> None:
    """Wait until sessions that are being closed have ended.

    The wait is limited to ``close_timeout`` for the answers of the clients, plus ``teardown_timeout`` for the
    teardown of the handlers.
    """
    with anyio.move_on_after(limits.close_timeout + limits.teardown_timeout):
        for session in sessions:
            await session.wait_closed()
