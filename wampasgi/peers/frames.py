"""Connections that exchange frames with a session directly, without events and coroutines.

A transport that owns its socket knows more than ASGI can express: when the messages of one read begin and
end, and whether a frame can be written at once. If nothing stands between such a transport and the session,
messages are handled in the callback that has read them, and answers are written together after it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from wampasgi.metrics import Counts


class Taker(Protocol):
    """Handles messages in the callback of the event loop that has read them, while a task waits for them."""

    def begin_turn(self) -> None:
        """Note that other sessions had their turn, because the connection was read again."""

    def take(self, data: Any) -> object | None:
        """Handle a message. Return None, or the object that the task shall get to handle the rest."""


class FrameSource(Protocol):
    """The direct way of messages from a client."""

    def receive(self) -> Awaitable[Any]:
        """Wait for the next message, or for the event that ends the connection."""

    def receive_with(self, taker: Taker) -> Awaitable[Any]:
        """Wait until a message comes that ``taker`` does not handle, and return what it returned for it.

        The messages are taken as if the task that waits did it: in its context, and as the current task. The
        end of the connection is not taken.
        """


class FrameSink(Protocol):
    """The direct way of messages to a client."""

    @property
    def pending(self) -> int:
        """The number of frames that were written in this turn of the event loop."""

    def frame(self, data: bytes) -> bytes:
        """Return a frame with a message. It may be written to other connections of the same kind, too."""

    def write(self, framed: bytes) -> bool:
        """Write a frame by the end of the turn; return False if the client reads too slowly.

        If the client has gone, nothing is written.
        """

    def drained(self) -> Awaitable[None]:
        """Wait until the client has read enough for another frame, or has gone."""

    def set_write_timeout(self, seconds: float | None) -> None:
        """Set the time in which the client must read something while frames wait for it, None for no limit.

        After that its connection is aborted.
        """


class FrameSender:
    """Writes the frames of one session to ``sink``, and counts their messages."""

    __slots__ = ("_counts", "_sink", "_write", "frame")

    def __init__(self, sink: FrameSink, counts: Counts) -> None:
        self._sink = sink
        self._write = sink.write
        self._counts = counts
        #: Returns a frame with a serialized message.
        self.frame: Callable[[bytes], bytes] = sink.frame

    @property
    def pending(self) -> int:
        """The number of frames that were written in this turn of the event loop."""
        return self._sink.pending

    def write_soon(self, framed: bytes, size: int) -> bool:
        """Write a frame whose message has ``size`` bytes; return False if it has to wait."""
        if self._write(framed):
            self._counts.bytes_sent += size
            return True
        return False

    def write_one(self, framed: bytes, size: int) -> Awaitable[None]:
        """Write a frame when the client reads."""
        return self.write((framed,), size)

    async def write(self, frames: Sequence[bytes], size: int) -> None:
        """Write frames whose messages have ``size`` bytes in total, as fast as the client reads."""
        self._counts.bytes_sent += size
        for framed in frames:
            while not self._write(framed):
                await self._sink.drained()
