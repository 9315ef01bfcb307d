"""How fast the messages of one session are read, and for how long none may come."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from time import monotonic
from typing import Final

import anyio

from wampasgi.limits import Limits
from wampasgi.peers.peer import Peer
from wampasgi.protocol.messages import Message

# Moving a deadline costs more than handling a message, so it is moved only now and then: within this part of
# the idle time. The session lives on for that much longer.
_SLACK: Final = 1 / 8


class Pace:
    """Reads the messages of a session as its ``message_rate`` and ``idle_timeout`` say.

    Tokens fill a bucket of ``message_burst`` at ``message_rate`` a second, and each message takes one. A
    session without a token is not read from: what it sends waits in its socket, and so it is slowed down. It
    is not ended for that, for a client cannot know how fast it may send.

    Reading happens inside ``scope``, which is cancelled when no message has come for ``idle_timeout``. What
    is waited for between two messages, with ``without_haste``, does not count.
    """

    __slots__ = ("_burst", "_idle", "_move_at", "_peer", "_rate", "_read_at", "_tokens", "scope")

    def __init__(self, peer: Peer, limits: Limits) -> None:
        self._peer = peer
        self._rate = limits.message_rate
        self._burst = limits.message_burst
        self._tokens: float = self._burst
        self._read_at = monotonic()
        self._idle = limits.idle_timeout
        self._move_at = 0.0
        #: Of the reading that ends when the client is idle.
        self.scope = anyio.CancelScope()
        self._move_deadline()

    @classmethod
    def of(cls, peer: Peer, limits: Limits) -> Pace | None:
        """Make one, where a limit asks for it: most sessions read without."""
        return None if limits.message_rate is None and limits.idle_timeout is None else cls(peer, limits)

    async def receive(self) -> Message:
        """The next message, as ``Peer.receive`` gives it."""
        if self._idle is not None and monotonic() >= self._move_at:
            self._move_deadline()
        if self._rate is not None:
            await self._take_token(self._rate)
        return await self._peer.receive()

    async def without_haste(self, waiting: Awaitable[None]) -> None:
        """Wait for this before the next message is read; meanwhile the client is not idle."""
        if self._idle is None:
            await waiting
            return
        self.scope.deadline = math.inf
        await waiting
        self._move_deadline()

    def _move_deadline(self) -> None:
        if self._idle is not None:
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
