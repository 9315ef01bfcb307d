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


class _Bucket:
    """A token bucket: it holds ``burst`` tokens and is refilled at ``rate`` tokens a second."""

    __slots__ = ("_burst", "_left", "_rate", "_refilled_at")

    def __init__(self, rate: float, burst: float) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._refilled_at = monotonic()

    def take(self, tokens: float) -> float:
        """Take tokens, even more than there are, and return the seconds until they are paid."""
        now = monotonic()
        self._left = min(self._burst, self._left + (now - self._refilled_at) * self._rate) - tokens
        self._refilled_at = now
        return max(0.0, -self._left / self._rate)


class Pace:
    """Reads the messages of a session with its limits ``message_rate``, ``byte_rate`` and ``idle_timeout``.

    There is a bucket of ``message_burst`` tokens for messages, and one of ``byte_burst`` tokens for their
    bytes. A message waits until all its tokens are paid, and nothing is read after it, so backpressure slows
    the client down. Its session does not end, because a client cannot know how fast it may send. What a
    message costs beyond that is known only after it was handled (see ``Turn.uncharged_messages``): then the
    next one waits.

    Reading happens inside ``scope``, which is cancelled if no message has come for ``idle_timeout`` seconds.
    Time that is spent in ``without_haste``, or while the session is busy, does not count.
    """

    __slots__ = ("_busy", "_bytes", "_idle", "_messages", "_move_at", "_peer", "scope")

    def __init__(self, peer: Peer, limits: Limits) -> None:
        self._peer = peer
        self._messages: _Bucket | None = None
        if limits.message_rate is not None:
            self._messages = _Bucket(limits.message_rate, limits.message_burst)
        self._bytes: _Bucket | None = None
        if limits.byte_rate is not None:
            self._bytes = _Bucket(limits.byte_rate, limits.byte_burst)
        self._idle = limits.idle_timeout
        self._busy = False
        self._move_at = 0.0
        #: The cancel scope for reading; cancelled when the client is idle.
        self.scope = anyio.CancelScope()
        self._move_deadline()

    @classmethod
    def of(cls, peer: Peer, limits: Limits) -> Pace | None:
        """Return a Pace if a limit requires it, or None. Most sessions are read without one."""
        needed = (limits.message_rate, limits.byte_rate, limits.idle_timeout)
        return None if needed == (None, None, None) else cls(peer, limits)

    async def receive(self) -> Message:
        """Return the next message, as ``Peer.receive`` does.

        The message has been read when it waits for its tokens, so that an end of the session needs none.
        """
        if self._idle is not None and monotonic() >= self._move_at:
            self._move_deadline()
        if self._messages is None and self._bytes is None:
            return await self._peer.receive()
        try:
            message = await self._peer.receive()
        except (InvalidRequest, UnsupportedValue):
            await self._pay()
            raise
        if message.code not in _LAST:
            await self._pay()
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

    async def _pay(self) -> None:
        """Pay for a message that was read, and for what earlier ones have cost."""
        turn = self._peer.turn
        messages, turn.uncharged_messages = 1 + turn.uncharged_messages, 0.0
        size, turn.uncharged_bytes = turn.uncharged_bytes, 0
        for bucket, tokens in (self._messages, messages), (self._bytes, size):
            if bucket is not None:
                wait = bucket.take(tokens)
                # A timer may be early.
                while wait > 0:
                    await self.without_haste(anyio.sleep(wait))
                    wait = bucket.take(0)
