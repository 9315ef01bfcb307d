"""The base of the readers of binary formats: limits, map keys, and the beginning of a message.

The codecs read nearly all messages. If a codec refuses a message, a reader in Python takes over. It reads
maps whose keys are not text. The codecs must not read these, because a peer could choose keys that collide,
and building such a dict takes minutes. The reader also finds the reason for a refusal, and the request to
refuse.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final, NoReturn

from wampasgi.errors import RemoteProtocolError, UnsupportedValue
from wampasgi.serializers.foreign import ForeignDict, ForeignText

#: The maximum number of values in a message if some of them are decoded in Python, which takes much longer.
MAX_VALUES: Final = 20_000

#: The number of values that a tag or an extension counts as, and that an IP address counts as.
TAG_COST: Final = 5
ADDRESS_COST: Final = 40

# The number of values that a map whose keys are not text counts as, besides its keys and values.
_MAP_COST: Final = 4

# The maximum number of values to read for the beginning of a message.
_MAX_BEGINNING: Final = 100

# The maximum depth that JSON can write.
_MAX_DEPTH: Final = 254

_MAX_QUOTED: Final = 40


class Malformed(Exception):
    """Data that is not a message of the format."""


class Unsupported(Exception):
    """A value that cannot be passed on, in data that may be a message of the format."""


class TooManyValues(Unsupported):
    """More values than may be decoded in Python."""

    def __str__(self) -> str:
        return (
            f"the message has more than {MAX_VALUES} values, the limit for messages with values of this kind;"
            f" a tag or extension counts as {TAG_COST} values, and an IP address as {ADDRESS_COST}"
        )


class Budget:
    """The rest of the values of one message that may be decoded in Python."""

    __slots__ = ("left",)

    def __init__(self, values: int = MAX_VALUES) -> None:
        #: The number of values; below zero if there were too many.
        self.left = values

    def spend(self, values: int) -> None:
        """Count values. Raises Unsupported if there are too many."""
        self.left -= values
        if self.left < 0:
            raise TooManyValues


class Reader:
    """Reads one message from bytes. Subclasses read the values of a format.

    ``title`` is the name of the format in errors, and ``format`` that of its serializer. ``budget`` limits
    the number of values; what the codec has spent of it counts.
    """

    title: str
    format: str

    def __init__(self, data: bytes, budget: Budget | None = None) -> None:
        self.data = data
        self.at = 0
        self.budget = budget or Budget()
        self._depth = 0
        # The outermost list, while it is filled.
        self._outermost: list[Any] | None = None

    def read(self) -> object:
        """Return the message.

        Raises UnsupportedValue with the beginning of the message, or RemoteProtocolError for malformed data.
        """
        if self.budget.left < 0:
            self._refuse()
        # Without the beginning, the session would have to be aborted.
        self.budget.left = max(self.budget.left, _MAX_BEGINNING)
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

    def _refuse(self) -> NoReturn:
        """Refuse a message with too many values by its beginning, without reading the rest."""
        self.budget = Budget(_MAX_BEGINNING)
        with suppress(Unsupported, Malformed):
            self.value()
        raise UnsupportedValue(f"unsupported value in {self.title}: {TooManyValues()}", self._outermost or ())

    def count(self) -> None:
        """Count one more value."""
        self.budget.left -= 1
        if self.budget.left < 0:
            raise TooManyValues

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
        if not encoded:
            return found
        self.budget.spend(_MAP_COST)
        return ForeignDict(found, self.format, b"", encoded)

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
