"""The event loop that an application is bound to while something of it runs there."""

from __future__ import annotations

import asyncio
import sys

from wampasgi.errors import ConfigurationError


def running_event_loop() -> object | None:
    """Return an object that stands for the running event loop, or None if none runs in this thread."""
    try:
        loop = asyncio.get_running_loop()
        if asyncio.current_task() is not None:
            return loop
    except RuntimeError:
        loop = None
    # A trio loop may run as a guest of asyncio's.
    if (trio := sys.modules.get("trio")) is not None:
        try:
            token: object = trio.lowlevel.current_trio_token()
        except RuntimeError:
            return loop
        return token
    return loop


class EventLoopBinding:
    """Binds an application to one event loop as long as it serves connections or has listeners there.

    A realm is not thread-safe: an item that another thread or loop puts into a queue wakes no task. So such
    a use raises an exception. Between two runs, as in tests, the application is not bound.
    """

    __slots__ = ("_loop", "_users")

    def __init__(self) -> None:
        self._loop: object | None = None
        self._users = 0

    @property
    def _is_elsewhere(self) -> bool:
        """Return whether the application is bound to another event loop than the running one."""
        return bool(self._users) and running_event_loop() is not self._loop

    def require(self) -> None:
        """Raise ConfigurationError if the application is bound to another event loop than the running one."""
        if self._is_elsewhere:
            raise ConfigurationError(
                "the application is served by two event loops at once, and its realms belong to one: make an "
                "Application for each loop, or run the loops in processes of their own"
            )

    def enter(self) -> None:
        """Bind to the running event loop until ``leave``; raises ConfigurationError if bound to another."""
        self.require()
        if not self._users:
            self._loop = running_event_loop()
        self._users += 1

    def leave(self) -> None:
        """Undo one ``enter``; the last one ends the binding."""
        self._users -= 1
        if not self._users:
            self._loop = None

    def check(self, what: str) -> None:
        """Raise RuntimeError if ``what`` is used outside the event loop that the application is bound to."""
        if self._is_elsewhere:
            raise RuntimeError(
                f"{what} was used outside the event loop that serves the application, where nothing would "
                f"notice it: use anyio.from_thread.run() in a worker thread, and a BlockingPortal of "
                f"anyio.from_thread in other threads. In tests, enter the TestClient, `with client:`, and "
                f"use client.portal.call()"
            )
