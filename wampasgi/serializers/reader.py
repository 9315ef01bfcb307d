"""The base of the readers of binary formats: limits, map keys, and the beginning of a message.

The codecs read nearly all messages. If a codec refuses a message, a reader in Python takes over. It reads
maps whose keys are not text. The codecs must not read these, because a peer could choose keys that collide,
and building such a dict takes minutes. The reader also finds the reason for a refusal, and the request to
refuse.
"""

from __future__ import annotations

from typing import Any, Final

from wampasgi.errors import RemoteProtocolError, UnsupportedValue
from wampasgi.serializers.foreign import ForeignDict, ForeignText

#: The maximum number of values in a message that is read in Python, because that takes much longer.
MAX_VALUES: Final = 100_000

# The maximum depth that JSON can write.
_MAX_DEPTH: Final = 254

_MAX_QUOTED: Final = 40


class Malformed(Exception):
    """Data that is not a message of the format."""


class Unsupported(Exception):
    """A value that cannot be passed on, in data that may be a message of the format."""


class Reader:
    """Reads one message from bytes. Subclasses read the values of a format.

    ``title`` is the name of the format in errors, and ``format`` that of its serializer.
    """

    title: str
    format: str

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0
        self._left = MAX_VALUES
        self._depth = 0
        # The outermost list, while it is filled.
        self._outermost: list[Any] | None = None

    def read(self) -> object:
        """Return the message.

        Raises UnsupportedValue with the beginning of the message, or RemoteProtocolError for malformed data.
        """
        try:
            message = self.value()
            if self.at != len(self.data):
                raise Malformed("extra data after the message")
        except Unsupported as error:
            raise UnsupportedValue(
                f"unsupported value in {self.title}: {error}", self._outermost or ()
            ) from error
        except Malformed as error:
            raise RemoteProtocolError(f"malformed {self.title}: {error}") from error
        return message

    def value(self) -> Any:
        """Read the value at the current position."""
        raise NotImplementedError

    def count(self) -> None:
        """Count one more value."""
        self._left -= 1
        if self._left < 0:
            raise Unsupported(
                f"the message has more than {MAX_VALUES} values, "
                "which is the limit for messages with values of this kind"
            )

    def byte(self) -> int:
        """Read one byte."""
        if self.at >= len(self.data):
            raise Malformed("the data is truncated")
        self.at += 1
        return self.data[self.at - 1]

    def take(self, length: int) -> bytes:
        """Read some bytes."""
        end = self.at + length
        if end > len(self.data):
            raise Malformed("the data is truncated")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def unsigned(self, length: int) -> int:
        """Read an unsigned integer of ``length`` bytes."""
        return int.from_bytes(self.take(length), "big")

    def text(self, data: bytes) -> str:
        """Decode a string."""
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise Unsupported("a string is not valid UTF-8") from error

    def enter(self) -> None:
        """Begin to read a container."""
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise Malformed(f"the message is nested too deeply, over {_MAX_DEPTH} levels")

    def leave(self) -> None:
        """End reading a container."""
        self._depth -= 1

    def list(self, length: int | None) -> list[Any]:
        """Read the items of a list; without a length, up to the end mark of the format."""
        items: list[Any] = []
        if self._outermost is None:
            self._outermost = items
        self.enter()
        while not self.ended() if length is None else len(items) < length:
            items.append(self.value())
        self.leave()
        return items

    def map(self, length: int | None) -> dict[str, Any]:
        """Read the keys and values of a map; without a length, up to the end mark of the format."""
        found: dict[str, Any] = {}
        encoded: dict[str, bytes] = {}
        # A map at the top has no list around it, so it is no message.
        if self._outermost is None:
            self._outermost = []
        self.enter()
        while not self.ended() if length is None else len(found) < length:
            begin = self.at
            key = self.value()
            text = key if type(key) is str else _key_text(key)
            if type(key) is not str:
                encoded[text] = self.data[begin : self.at]
            if text in found:
                raise Unsupported(f"a map has two keys with the text {text[:_MAX_QUOTED]!r}")
            found[text] = self.value()
        self.leave()
        return ForeignDict(found, self.format, b"", encoded) if encoded else found

    def ended(self) -> bool:
        """Skip the end mark of a container without a length, if it comes next; return whether it did.

        Formats whose containers all have a length need not implement it.
        """
        raise NotImplementedError


def _key_text(key: object) -> str:
    """Return the text that stands for a map key that is not text."""
    if isinstance(key, bool):
        return "true" if key else "false"
    if isinstance(key, ForeignText | int | float):
        return str(key)
    raise Unsupported(f"a map key must be text, a number or a boolean, got {type(key).__name__}")
