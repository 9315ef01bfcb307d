"""Pings that find clients which are gone without closing their connection."""

from __future__ import annotations

import random
from asyncio import AbstractEventLoop, TimerHandle
from typing import Protocol


class PingedConnection(Protocol):
    """The connection that is kept alive."""

    @property
    def reading_paused(self) -> bool:
        """Return whether nothing is read from the client, so that its pong cannot come."""

    def ping(self, payload: bytes) -> None:
        """Send a ping."""

    def on_pong_timeout(self) -> None:
        """End the connection of a client that does not answer pings."""


class Keepalive:
    """Pings a client every ``interval`` seconds, and waits ``timeout`` seconds for each pong.

    Without an interval nothing is pinged, and without a timeout pongs do not matter. Time in which nothing is
    read from the client, because the application is busy, does not count.
    """

    __slots__ = ("_connection", "_interval", "_loop", "_payload", "_timeout", "_timer")

    def __init__(
        self,
        loop: AbstractEventLoop,
        interval: float | None,
        timeout: float | None,
        connection: PingedConnection,
    ) -> None:
        self._loop = loop
        self._interval = interval
        self._timeout = timeout
        self._connection = connection
        # The ping without a pong.
        self._payload: bytes | None = None
        self._timer: TimerHandle | None = None

    def start(self) -> None:
        """Begin to send pings."""
        if self._interval:
            self._timer = self._loop.call_later(self._interval, self._ping)

    def stop(self) -> None:
        """Send no more pings, and expect no pongs."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._payload = None

    def on_pong(self, payload: bytes) -> None:
        """Note a pong; those that answer no ping, or an old one, are ignored."""
        if self._payload is not None and payload == self._payload:
            self.stop()
            self.start()

    def _ping(self) -> None:
        self._payload = random.randbytes(4)
        self._connection.ping(self._payload)
        if self._timeout is None:
            self.start()
        else:
            self._timer = self._loop.call_later(self._timeout, self._expire, self._timeout)

    def _expire(self, timeout: float) -> None:
        if self._connection.reading_paused:
            self._timer = self._loop.call_later(timeout, self._expire, timeout)
            return
        self.stop()
        self._connection.on_pong_timeout()
