"""The time that a client has to read what was written to it."""

from __future__ import annotations

import asyncio
from asyncio import AbstractEventLoop, TimerHandle
from collections.abc import Callable


class WriteDeadline:
    """Aborts a connection whose client reads nothing for ``timeout`` seconds, while more waits for it.

    A client that reads slowly makes progress, and is not aborted. ``on_abort`` is called before.
    """

    __slots__ = ("_loop", "_on_abort", "_timeout", "_timer", "_transport", "_waiting")

    def __init__(
        self,
        loop: AbstractEventLoop,
        transport: asyncio.Transport,
        timeout: float | None,
        on_abort: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._timeout = timeout
        self._on_abort = on_abort
        self._timer: TimerHandle | None = None
        # The bytes that waited when the client made progress last.
        self._waiting = 0

    def set_timeout(self, timeout: float | None) -> None:
        """Set the timeout from the next wait on; None turns it off."""
        self._timeout = timeout

    def start(self) -> None:
        """Begin to watch the client, because bytes wait for it."""
        self._waiting = self._transport.get_write_buffer_size()
        if self._timer is None and self._timeout is not None:
            self._timer = self._loop.call_later(self._timeout, self._check)

    def stop(self) -> None:
        """End watching, because the client has read enough, or the connection is lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _check(self) -> None:
        self._timer = None
        if self._transport.get_write_buffer_size() < self._waiting:
            self.start()
        else:
            self._on_abort()
            self._transport.abort()
