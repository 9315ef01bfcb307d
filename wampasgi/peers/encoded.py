"""A message that many peers get."""

from __future__ import annotations

from wampasgi.peers.transport import size_on_wire
from wampasgi.protocol.messages import Message
from wampasgi.serializers import Serializer


class EncodedMessage:
    """A message for many peers, encoded once for each serializer among them."""

    __slots__ = ("encoded", "raw")

    def __init__(self, message: Message) -> None:
        self.raw = message.to_list()
        #: What ``encode`` has given, by the serializer's name; None where it cannot be.
        self.encoded: dict[str, tuple[str | bytes, int] | None] = {}

    def encode(self, serializer: Serializer) -> tuple[str | bytes, int]:
        """The message as this serializer writes it, and its size in bytes; raises UnserializableValue."""
        encoded = serializer.encode(self.raw)
        found = self.encoded[serializer.name] = encoded, size_on_wire(encoded)
        return found
