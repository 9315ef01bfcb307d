"""A message that many peers get."""

from __future__ import annotations

from wampasgi.messages import Message
from wampasgi.serializers import Serializer


class EncodedMessage:
    """A message for many peers, encoded once for each serializer among them."""

    __slots__ = ("encoded", "raw")

    def __init__(self, message: Message) -> None:
        self.raw = message.to_list()
        #: What ``encode`` has given, by the serializer's name; None where it cannot be.
        self.encoded: dict[str, str | bytes | None] = {}

    def encode(self, serializer: Serializer) -> str | bytes:
        """The message as this serializer writes it; raises UnserializableValue."""
        encoded = self.encoded[serializer.name] = serializer.encode(self.raw)
        return encoded
