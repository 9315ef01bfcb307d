"""Values of one serialization format that the other formats do not have, such as a decimal in CBOR.

Such a value is decoded to the plain value that stands for it in all formats: the text of a decimal, the list
of a set. The classes in this module are these plain values. Each remembers how it was encoded, so that the
serializer of the same format can restore the original for another client. All other serializers, and the
code of the application, see only the plain value.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from sys import getsizeof
from typing import Any, Final, Self

import ormsgpack

from wampasgi.errors import UnserializableValue
from wampasgi.serializers.base import plain

#: The largest integer that is decoded, in bytes. Converting an integer to text takes quadratic time.
MAX_INTEGER_BYTES: Final = 1024


class ForeignText(str):
    """Text that stands for a value of the format ``origin``.

    ``original`` is that value as the serializer of the format needs it to write it: in CBOR the tag and the
    value under it, in MessagePack the encoded value.
    """

    __slots__ = ("origin", "original")

    origin: str
    original: Any

    def __new__(cls, text: str, origin: str, original: Any) -> Self:
        """Make the text with its origin."""
        self = super().__new__(cls, text)
        self.origin = origin
        self.original = original
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return str(self), self.origin, self.original

    def __sizeof__(self) -> int:
        return super().__sizeof__() + _size(self.original)


class ForeignBytes(bytes):
    """Bytes that stand for a value of the format ``origin``; see ForeignText."""

    origin: str
    original: Any

    def __new__(cls, value: bytes, origin: str, original: Any) -> Self:
        """Make the bytes with their origin."""
        self = super().__new__(cls, value)
        self.origin = origin
        self.original = original
        return self

    def __getnewargs__(self) -> tuple[Any, ...]:
        return bytes(self), self.origin, self.original

    def __sizeof__(self) -> int:
        return super().__sizeof__() + getsizeof(self.__dict__) + _size(self.original)


def _size(value: Any) -> int:
    """Return the size in memory of a value and of the values in it."""
    if isinstance(value, dict):
        return getsizeof(value) + sum(map(_size, value)) + sum(map(_size, value.values()))
    if isinstance(value, list | tuple):
        return getsizeof(value) + sum(map(_size, value))
    return getsizeof(value)


class ForeignList(list[Any]):
    """A list that stands for a value of one format, such as a set.

    ``prefix`` is what the format writes before the list.
    """

    __slots__ = ("origin", "prefix")

    def __init__(self, items: Iterable[Any] = (), origin: str = "", prefix: bytes = b"") -> None:
        super().__init__(items)
        self.origin = origin
        self.prefix = prefix

    def __copy__(self) -> ForeignList:
        return ForeignList(self, self.origin, self.prefix)


class ForeignDict(dict[str, Any]):
    """A dict that stands for a map of one format whose keys are not all text.

    ``prefix`` is what the format writes before the map. ``keys_encoded`` contains the original of each key
    that is not text, by the text that stands for it.
    """

    __slots__ = ("keys_encoded", "origin", "prefix")

    def __init__(
        self,
        items: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
        origin: str = "",
        prefix: bytes = b"",
        keys_encoded: Mapping[str, bytes] | None = None,
    ) -> None:
        super().__init__(items)
        self.origin = origin
        self.prefix = prefix
        self.keys_encoded: Mapping[str, bytes] = keys_encoded or {}

    def __copy__(self) -> ForeignDict:
        return ForeignDict(self, self.origin, self.prefix, self.keys_encoded)

    def __sizeof__(self) -> int:
        return (
            super().__sizeof__()
            + getsizeof(self.keys_encoded)
            + sum(map(getsizeof, self.keys_encoded.values()))
        )


def exceeds_64_bits(number: int) -> bool:
    """Return whether MessagePack has no such integer."""
    return not -(2**63) <= number < 2**64


def without_origin(value: Any) -> Any:
    """Return the plain value of a foreign value or of a subclass of a plain type.

    All other values are converted by ``plain``, except that integers of more than 64 bits become text.
    """
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, list):
        return list(value)
    if isinstance(value, int):
        return str(int(value)) if exceeds_64_bits(value) else int(value)
    return plain(value)


# Copies

_COPY_OPTIONS: Final = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
)

# The extension types of placeholders: for a value as it is, and for a container with its content.
_VALUE: Final = 0
_CONTAINER: Final = 1


class _Copier:
    """Copies values by serializing them to MessagePack, with placeholders for those that it does not have.

    ``replace`` replaces foreign values and the integers of more than 64 bits.
    """

    def __init__(self, replace: Callable[[Any], Any] | None = None) -> None:
        self._replacement = replace
        # The values that the placeholders name by their index.
        self._kept: list[Any] = []

    def pack(self, value: object) -> bytes:
        return ormsgpack.packb(value, self._replace, _COPY_OPTIONS)

    def unpack(self, data: bytes) -> Any:
        return ormsgpack.unpackb(data, ext_hook=self._restore)

    def _replace(self, value: Any) -> Any:
        if isinstance(value, ForeignList):
            return self._placeholder(_CONTAINER, value, self.pack(list(value)))
        if isinstance(value, ForeignDict):
            return self._placeholder(_CONTAINER, value, self.pack(dict(value)))
        if isinstance(value, ForeignText | ForeignBytes):
            return self._placeholder(_VALUE, value)
        if isinstance(value, int) and exceeds_64_bits(value):
            return self._placeholder(_VALUE, int(value))
        return without_origin(value)

    def _placeholder(self, kind: int, value: object, content: bytes = b"") -> ormsgpack.Ext:
        self._kept.append(value)
        return ormsgpack.Ext(kind, (len(self._kept) - 1).to_bytes(4, "big") + content)

    def _restore(self, kind: int, data: bytes) -> Any:
        kept = self._kept[int.from_bytes(data[:4], "big")]
        if kind == _CONTAINER:
            content = self.unpack(data[4:])
            if isinstance(kept, ForeignList):
                kept = ForeignList(content, kept.origin, kept.prefix)
            else:
                kept = ForeignDict(content, kept.origin, kept.prefix, kept.keys_encoded)
        return kept if self._replacement is None else self._replacement(kept)


def copy_with(replace: Callable[[Any], Any], value: object) -> Any:
    """Return a copy of a value in which ``replace`` has replaced the foreign values.

    It also replaces integers of more than 64 bits. Raises an exception for a value that cannot be serialized.
    """
    copier = _Copier(replace)
    return copier.unpack(copier.pack(value))


def plain_copy(value: object, carrier: str) -> Any:
    """Return a copy of a value that consists of plain and foreign values only, as after decoding.

    Raises UnserializableValue, whose text names the format ``carrier``, if a value cannot be serialized.
    """
    copier = _Copier()
    try:
        packed = copier.pack(value)
    except Exception as error:  # noqa: BLE001 (raised below; a value's own code may raise anything)
        failure = error
    else:
        return copier.unpack(packed)
    raise serialization_error(value, carrier, failure) from failure


def serialization_error(value: object, carrier: str, failure: Exception) -> UnserializableValue:
    """Return the error for a value that ``carrier`` cannot serialize, with its cause.

    Call it outside of the ``except`` block for ``failure``. Inside it, the cause would get the failure as its
    context, which is a cycle.
    """
    failure.__cause__ = _find_value_error(value)
    return UnserializableValue(f"{carrier} cannot serialize the message: {failure}")


def _find_value_error(value: object) -> Exception | None:
    """Return the exception that a value's own code raised, because the codec hides it."""
    raised: list[Exception] = []

    def default(value: object) -> object:
        try:
            return without_origin(value)
        except Exception as error:
            raised.append(error)
            raise

    with contextlib.suppress(Exception):  # already reported
        ormsgpack.packb(value, default, _COPY_OPTIONS)
    return raised[0] if raised else None
