"""The encoding of frames between the workers of one application: MessagePack with extensions of our own.

A payload that crosses from one worker to another arrives as if both clients were connected to the same
worker: every serializer writes the decoded value as it would have written the original. Plain MessagePack
lacks integers of more than 64 bits and the foreign values of :mod:`~wampasgi.serializers.foreign`, so these
have extension types that MessagePack reserves and that applications therefore do not use.

Values of handlers, such as models, are converted as for clients of the MessagePack serializer. Its result
differs from that of the JSON serializer for two kinds of values:

- objects of a class that inherits from ``str``, ``int``, ``list`` or ``dict`` and also has another form, such
  as the members of an enum with other values;
- the types of one codec. ``orjson.Fragment`` is refused, and ``ormsgpack.Ext`` becomes bytes for JSON and
  CBOR, which refuse it without this codec. The bytes of ``ormsgpack.Fragment`` are written unchecked.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import ormsgpack

from wampasgi.serializers.foreign import (
    ForeignBytes,
    ForeignDict,
    ForeignList,
    ForeignText,
    exceeds_64_bits,
    serialization_error,
    without_origin,
)
from wampasgi.serializers.msgpack_reader import decode_extension

# How errors name this format.
_CARRIER: Final = "the connection to other workers"

_OPTIONS: Final = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
)

# With these options the original of a foreign value is written exactly or not at all.
_ORIGINAL_OPTIONS: Final = (
    _OPTIONS
    | ormsgpack.OPT_NON_STR_KEYS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_UUID
)

# The extension types of this codec. MessagePack reserves the types from -128 to -1, and defines -1.
_INTEGER: Final = -16
_SCALAR: Final = -17
_CONTAINER: Final = -18
_TIMESTAMP: Final = -1

# The position of the type in an encoded extension, by its first byte. It is 1 for all others.
_TYPE_POSITIONS: Final = {0xC7: 2, 0xC8: 3, 0xC9: 5}

# unpackb ignores data after the first value, so each value is read as the first item of a pair, whose second
# item must be this random number.
_PAIR: Final = b"\x92"
_END: Final = secrets.randbits(63) | 1 << 63
_END_ENCODED: Final = ormsgpack.packb(_END)
_EXTRA: Final = "extra data after the value"

# ormsgpack reads 1022 levels, and writes 255 of them at once. The frame around the items needs a few.
_MAX_DEPTH: Final = 740

_LEAVES: Final = frozenset((str, int, float, bool, bytes, type(None)))
_CONTAINERS: Final = frozenset((list, dict))


def encode_item(value: object) -> bytes:
    """Return a value as one MessagePack value. Items can be joined to a frame behind the header of a list.

    Raises UnserializableValue for a value that cannot be serialized. The error names its type.
    """
    try:
        return ormsgpack.packb(value, _default, _OPTIONS)
    except Exception as error:  # noqa: BLE001 (raised below; a value's own code may raise anything)
        failure = error
    if "ecursion" in str(failure):
        # A message of the maximum depth is deeper within an item, and foreign containers take two levels.
        try:
            return _encode_deep(value)
        except Exception as error:  # noqa: BLE001 (as above)
            failure = error
    raise serialization_error(value, _CARRIER, failure) from failure


def decode_frame(data: bytes) -> Any:
    """Return the value of a frame, which consists of plain and foreign values only.

    Raises ValueError for malformed data, for extensions that ``encode_item`` does not write, for nesting of
    more than about 1000 levels, and for data after the value.
    """
    # Origins, which are beside the containers that they belong to, or the exception of the hook, which the
    # codec hides. A list and not an object with a method, which takes a fifth of the time of a short frame.
    found: list[_Origin | Exception] = []
    try:
        decoded, end = ormsgpack.unpackb(
            b"".join((_PAIR, data, _END_ENCODED)), ext_hook=partial(_decode_extension, found)
        )
        if end != _END:
            raise ValueError(_EXTRA)
        if found:
            decoded = _restore_containers(decoded, len(found))
    except ValueError as error:
        reason = found[-1] if found and isinstance(found[-1], Exception) else error
        raise ValueError(f"malformed frame: {reason}") from reason
    return decoded


# Encoding


def _default(value: Any) -> object:
    if isinstance(value, ForeignText | ForeignBytes):
        return _encode_scalar(value)
    if isinstance(value, ForeignDict):
        origin = [value.origin, value.prefix, dict(value.keys_encoded)]
        return [_extension(_CONTAINER, ormsgpack.packb(origin)), dict(value)]
    if isinstance(value, ForeignList):
        origin = [value.origin, value.prefix]
        return [_extension(_CONTAINER, ormsgpack.packb(origin)), list(value)]
    if isinstance(value, int) and exceeds_64_bits(value):
        return _extension(_INTEGER, _integer_bytes(int(value)))
    return without_origin(value)


def _extension(kind: int, data: bytes) -> ormsgpack.Fragment:
    """Return an extension. ``ormsgpack.Ext`` does not allow the reserved types."""
    header = b"\xc9" + len(data).to_bytes(4, "big") + kind.to_bytes(1, "big", signed=True)
    return ormsgpack.Fragment(header + data)


def _integer_bytes(number: int) -> bytes:
    """Return the shortest two's complement form of an integer."""
    bits = (number if number >= 0 else ~number).bit_length()
    return number.to_bytes(bits // 8 + 1, "big", signed=True)


def _encode_scalar(value: ForeignText | ForeignBytes) -> object:
    if value.origin == "msgpack" and _is_usual_extension(value.original):
        return ormsgpack.Fragment(value.original)
    plain = str.__str__(value) if isinstance(value, str) else bytes(value)
    if isinstance(value, str) and not _is_original(value.origin, value.original):
        return plain
    try:
        data = ormsgpack.packb([plain, value.origin, value.original], _default_original, _ORIGINAL_OPTIONS)
    except TypeError:
        # CBOR allows any value as the original of a few obsolete tags. The others see no difference.
        return plain
    return _extension(_SCALAR, data)


def _is_original(origin: str, original: Any) -> bool:
    """Return whether the serializer of the format ``origin`` can write the original of a text."""
    if origin != "cbor":
        return True
    if not isinstance(original, list | tuple) or len(original) != 2:
        return False
    tag = original[0]
    return type(tag) is int and 0 <= tag < 2**64


def _is_usual_extension(original: bytes) -> bool:
    """Return whether the type of an encoded extension is not reserved, or is that of timestamps."""
    kind = original[_TYPE_POSITIONS.get(original[0], 1)]
    return kind < 0x80 or kind == _TIMESTAMP & 0xFF


def _default_original(value: object) -> object:
    if type(value) is int:
        return _extension(_INTEGER, _integer_bytes(value))
    raise TypeError


def _encode_deep(value: object) -> bytes:
    """Encode a value with more levels than ormsgpack writes.

    Not recursive, because the stack of the caller may be deep already.
    """
    parts: list[bytes] = []
    levels: list[Iterator[Any]] = [iter((value,))]
    while levels:
        inner = _write_until_container(levels[-1], parts)
        if inner is None:
            levels.pop()
        elif len(levels) > _MAX_DEPTH:
            raise TypeError("Recursion limit reached")
        else:
            levels.append(inner)
    return b"".join(parts)


def _write_until_container(items: Iterator[Any], parts: list[bytes]) -> Iterator[Any] | None:
    """Write items up to the next list or dict, and its header. Return its items, or None at the end."""
    for given in items:
        # Packing a foreign container could fail at each level, after writing most of its content.
        item: Any = _default(given) if isinstance(given, ForeignList | ForeignDict) else given
        kind = type(item)
        is_list = kind is list or kind is tuple
        if is_list and not _LEAVES.issuperset(map(type, item)):
            parts.append(_header(0x90, b"\xdd", len(item)))
            inner: Iterator[Any] = iter(item)
            return inner
        if kind is dict and not _LEAVES.issuperset(map(type, item.values())):
            parts.append(_header(0x80, b"\xdf", len(item)))
            return _values(item, parts)
        try:
            parts.append(ormsgpack.packb(item, _default, _OPTIONS))
        except TypeError as error:
            if "ecursion" not in str(error):
                raise
            return iter((_converted(item),))
    return None


def _header(short: int, first: bytes, length: int) -> bytes:
    return bytes([short | length]) if length < 0x10 else first + length.to_bytes(4, "big")


def _values(items: dict[str, Any], parts: list[bytes]) -> Iterator[Any]:
    """Yield the values of a dict, and write each key before its value."""
    for key, value in items.items():
        if type(key) is not str:
            raise TypeError("Dict key must be str")
        parts.append(ormsgpack.packb(key))
        yield value


def _converted(value: object) -> object:
    try:
        return _default(value)
    except Exception as error:
        raise TypeError(f"Type is not msgpack serializable: {type(value).__name__}") from error


# Decoding


@dataclass(frozen=True, slots=True, eq=False)
class _Origin:
    """The first item of a pair that stands for a foreign container. The second item is the plain container.

    Not an extension with the content inside, because the codec does not limit the nesting of extensions.
    """

    origin: str
    prefix: bytes
    # None for a list.
    keys_encoded: dict[str, bytes] | None

    def restore(self, content: object) -> ForeignList | ForeignDict:
        if type(content) is list and self.keys_encoded is None:
            return ForeignList(content, self.origin, self.prefix)
        if type(content) is dict and self.keys_encoded is not None:
            return ForeignDict(content, self.origin, self.prefix, self.keys_encoded)
        raise ValueError("the origin of a container does not match the container")


def _decode_extension(found: list[_Origin | Exception], kind: int, data: bytes) -> object:
    """Return the value of an extension. An origin is added to ``found``, and so is any exception."""
    try:
        if kind >= 0 or kind == _TIMESTAMP:
            return decode_extension(kind, data)
        if kind == _SCALAR:
            return _decode_scalar(data)
        if kind != _CONTAINER:
            return _decode_integer(kind, data)
        origin = _decode_origin(data)
    except Exception as error:
        found.append(error)
        raise
    found.append(origin)
    return origin


def _unpack(data: bytes, hook: Callable[[int, bytes], object] | None, option: int | None = None) -> Any:
    """Return the value in an extension."""
    decoded, end = ormsgpack.unpackb(b"".join((_PAIR, data, _END_ENCODED)), ext_hook=hook, option=option)
    if end != _END:
        raise ValueError(_EXTRA)
    return decoded


def _decode_integer(kind: int, data: bytes) -> int:
    if kind != _INTEGER:
        raise ValueError(f"the extension type {kind} is unknown")
    number = int.from_bytes(data, "big", signed=True)
    if not exceeds_64_bits(number) or _integer_bytes(number) != data:
        raise ValueError("an integer is not in its shortest form")
    return number


def _decode_scalar(data: bytes) -> ForeignText | ForeignBytes:
    match _unpack(data, _decode_integer, ormsgpack.OPT_NON_STR_KEYS):
        case [plain, "msgpack", bytes(original)]:
            value = _unpack(original, decode_extension)
            if isinstance(value, ForeignText | ForeignBytes) and value == plain:
                return value
        case [str(text), str(origin), original] if origin != "msgpack" and _is_original(origin, original):
            return ForeignText(text, origin, original)
        case [bytes(content), str(origin), original] if origin != "msgpack":
            return ForeignBytes(content, origin, original)
        case _:
            pass
    raise ValueError("a foreign value must be text or bytes, its origin and its original")


def _decode_origin(data: bytes) -> _Origin:
    match _unpack(data, None):
        case [str(origin), bytes(prefix)]:
            return _Origin(origin, prefix, None)
        case [str(origin), bytes(prefix), dict(keys)] if all(type(key) is bytes for key in keys.values()):
            return _Origin(origin, prefix, keys)
        case _:
            raise ValueError("the origin of a container must be a format, a prefix and encoded keys")


def _restore_containers(decoded: object, origins: int) -> object:
    """Replace the pairs that stand for foreign containers, in place. Not recursive, because of the depth."""
    outermost: list[Any] = [decoded]
    waiting: list[Any] = [outermost]
    while waiting:
        container = waiting.pop()
        is_dict = isinstance(container, dict)
        if _CONTAINERS.isdisjoint(map(type, container.values() if is_dict else container)):
            continue
        for place, item in container.items() if is_dict else enumerate(container):
            if type(item) is list and len(item) == 2 and type(item[0]) is _Origin:
                foreign = container[place] = item[0].restore(item[1])
                origins -= 1
                waiting.append(foreign)
            elif type(item) in _CONTAINERS:
                waiting.append(item)
    if origins:
        raise ValueError("the origin of a container is not beside a container")
    return outermost[0]
