"""The rate limit and the idle timeout of one session."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from time import monotonic
from typing import Final

import anyio

from wampasgi.errors import InvalidRequest, UnsupportedValue
from wampasgi.limits import Limits
from wampasgi.peers.peer import Peer
from wampasgi.protocol.messages import Abort, Goodbye, Message

# Moving a deadline costs more than handling a message, so it is moved at most once in this fraction of the
# idle timeout. A session may be idle for that much longer.
_SLACK: Final = 1 / 8

#: The messages that end a session.
_LAST: Final = (Goodbye.code, Abort.code)


class Pace:
    """Reads the messages of a session with its limits ``message_rate`` and ``idle_timeout``.

    A bucket of ``message_burst`` tokens is refilled at ``message_rate`` tokens a second, and each message
    takes one. A message without a token waits, and nothing is read after it, so backpressure slows the client
    down. Its session does not end, because a client cannot know how fast it may send.

    Reading happens inside ``scope``, which is cancelled if no message has come for ``idle_timeout`` seconds.
    Time that is spent in ``without_haste``, or while the session is busy, does not count.
    """

    __slots__ = ("_burst", "_busy", "_idle", "_move_at", "_peer", "_rate", "_read_at", "_tokens", "scope")

    def __init__(self, peer: Peer, limits: Limits) -> None:
        self._peer = peer
        self._rate = limits.message_rate
        self._burst = limits.message_burst
        self._tokens: float = self._burst
        self._read_at = monotonic()
        self._idle = limits.idle_timeout
        self._busy = False
        self._move_at = 0.0
        #: The cancel scope for reading; cancelled when the client is idle.
        self.scope = anyio.CancelScope()
        self._move_deadline()

    @classmethod
    def of(cls, peer: Peer, limits: Limits) -> Pace | None:
        """Return a Pace if a limit requires it, or None. Most sessions are read without one."""
        return None if limits.message_rate is None and limits.idle_timeout is None else cls(peer, limits)

    async def receive(self) -> Message:
        """Return the next message, as ``Peer.receive`` does.

        The message has been read when it waits for its token, so that an end of the session needs none.
        """
        if self._idle is not None and monotonic() >= self._move_at:
            self._move_deadline()
        if self._rate is None:
            return await self._peer.receive()
        try:
            message = await self._peer.receive()
        except (InvalidRequest, UnsupportedValue):
            await self._take_token(self._rate)
            raise
        if message.code not in _LAST:
            await self._take_token(self._rate)
        return message

    def set_busy(self, busy: bool) -> None:
        """Set whether the client waits for one of its requests; meanwhile it does not count as idle."""
        self._busy = busy
        if self._idle is not None:
            if busy:
                self.scope.deadline = math.inf
            else:
                self._move_deadline()

    async def without_haste(self, waiting: Awaitable[None]) -> None:
        """Await ``waiting`` before the next message is read; meanwhile the client does not count as idle."""
        if self._idle is None:
            await waiting
            return
        self.scope.deadline = math.inf
        await waiting
        self._move_deadline()

    def _move_deadline(self) -> None:
        if self._idle is not None and not self._busy:
            self._move_at = monotonic() + self._idle * _SLACK
            self.scope.deadline = anyio.current_time() + self._idle * (1 + _SLACK)

    async def _take_token(self, rate: float) -> None:
        now = monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._read_at) * rate)
        self._read_at = now
        while self._tokens < 1:
            await self.without_haste(anyio.sleep((1 - self._tokens) / rate))
            now = monotonic()
            self._tokens = min(self._burst, self._tokens + (now - self._read_at) * rate)
            self._read_at = now
        self._tokens -= 1
