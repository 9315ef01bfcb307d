"""Turns: how much of what one session has sent is handled before others are served."""

from __future__ import annotations

from typing import Final

from wampasgi.messages import Message

#: Messages of one session that are handled in a row. A server gives what it has read without waiting, and
#: that may be tens of thousands: meanwhile nobody else would be served.
BURST: Final = 32


class Turn:
    """What is left of the turn of one session."""

    __slots__ = ("_long", "left")

    def __init__(self) -> None:
        #: Counted down before each message; at 0 it is the turn of others.
        self.left = BURST
        self._long: tuple[Message, int] | None = None

    def end(self) -> None:
        """Let others have their turn after the message that is being handled, which takes long."""
        self.left = 1

    def begin(self) -> tuple[Message, int] | None:
        """Begin the next one; returns the last message of the one before with its size, where it was long."""
        self.left = BURST
        long, self._long = self._long, None
        return long

    def took_long(self, message: Message, size: int) -> None:
        """Handle no other message in this turn after this one, of so many bytes."""
        self._long = message, size
        self.left = 1

    def size_of(self, message: Message) -> int:
        """The bytes of the message that is being handled, 0 where it is short."""
        return self._long[1] if self._long is not None and self._long[0] is message else 0
