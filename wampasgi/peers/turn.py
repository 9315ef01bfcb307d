"""Turns: how much of what one session has sent is handled before others are served."""

from __future__ import annotations

from typing import Final

from wampasgi.errors import InvalidURI
from wampasgi.protocol.messages import Message

#: Messages of one session that are handled in a row. A server gives what it has read without waiting, and
#: that may be tens of thousands: meanwhile nobody else would be served.
BURST: Final = 32

#: So many bytes of a long message count as one message more.
_BYTES: Final = 1024


class Turn:
    """What is left of the turn of one session."""

    __slots__ = ("_long", "left")

    def __init__(self) -> None:
        #: Counted down before each message; when there is nothing left, others have their turn.
        self.left = BURST
        # Request id and size of the last message that was long.
        self._long = (0, 0)

    def begin(self) -> None:
        """Begin the next one."""
        self.left = BURST

    def end(self) -> None:
        """Let others have their turn after the message that is being handled, which takes long."""
        self.left = 0

    def took_long(self, message: Message | InvalidURI, size: int) -> None:
        """Count a long message of ``size`` bytes, or one that was refused for its URI."""
        self._long = getattr(message, "request_id", 0), size
        self.left -= size // _BYTES

    def size_of(self, message: Message) -> int:
        """The bytes of the message that is being handled, 0 where it is short."""
        request_id, size = self._long
        return size if request_id and request_id == getattr(message, "request_id", 0) else 0
