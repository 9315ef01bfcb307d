"""Fair scheduling between sessions.

A turn is the messages of one session that are handled in a row, before other sessions run.
"""

from __future__ import annotations

from typing import Final

from wampasgi.errors import InvalidRequest
from wampasgi.protocol.messages import Message

#: The maximum number of messages in a turn. A server returns messages that it has buffered without
#: suspending. There may be tens of thousands, and no other session would run meanwhile.
BURST: Final = 32

#: The number of bytes in a long message that count as one more message.
_BYTES: Final = 1024


class Turn:
    """The rest of one session's turn."""

    __slots__ = ("_held", "_held_size", "_long", "left", "uncharged_bytes", "uncharged_messages")

    def __init__(self) -> None:
        #: The messages left in the turn, counted down before each one. At zero, other sessions run.
        self.left = BURST
        #: The size of the long messages that ``byte_rate`` has not been charged for, in bytes.
        self.uncharged_bytes = 0
        #: The messages that ``message_rate`` has not been charged for, besides those that were read.
        self.uncharged_messages = 0.0
        # The request ID and the size in bytes of the last long message.
        self._long = (0, 0)
        # A message that is handled while others are read, and its size.
        self._held: Message | None = None
        self._held_size = 0

    def begin(self) -> None:
        """Begin the next turn."""
        self.left = BURST

    def end(self) -> None:
        """End the turn after the current message, because it takes long."""
        self.left = 0

    def took_long(self, message: Message | InvalidRequest, size: int) -> None:
        """Count a long message of ``size`` bytes, or one that is refused."""
        self._long = getattr(message, "request_id", 0), size
        self.left -= size // _BYTES
        self.uncharged_bytes += size

    def keep_size(self, message: Message | None, size: int) -> None:
        """Keep the size of one message that is handled while others are read; None ends that."""
        self._held, self._held_size = message, size

    def size_of(self, message: Message) -> int:
        """Return the size in bytes of the message that is being handled, or 0 if it is short."""
        if message is self._held:
            return self._held_size
        request_id, size = self._long
        return size if request_id and request_id == getattr(message, "request_id", 0) else 0
