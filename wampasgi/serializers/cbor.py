"""The CBOR serializer of ``wamp.2.cbor``. It needs cbor2, which the extra ``cbor`` installs.

It supports the same values as MessagePack: strings, bytes, numbers, lists and dicts with text keys. The
supported tags are those that represent such a value: dates and times, big integers within 64 bits, URIs,
UUIDs and typed arrays of bytes. All other tags are refused, including references to shared values.
``undefined``, which JavaScript clients send, is read as None.

Spec: Basic Profile, "Serializations"; RFC 8949.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

import cbor2
import ormsgpack

from wampasgi.errors import RemoteProtocolError
from wampasgi.serializers.base import Encoded
from wampasgi.serializers.msgpack import pack
from wampasgi.types import RawMessage

try:
    cbor2.loads(b"\x80", strict_hashable_types=True)
except TypeError as error:
    # An older cbor2 may be installed as a dependency of another package, such as Autobahn.
    raise ImportError("cbor2 is older than 6.2") from error

# With these options MessagePack accepts only plain values: no subclasses and no types with a CBOR tag.
_PLAIN_ONLY: Final = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)

# The first bytes of binary values in MessagePack.
_BINARY_HEADERS: Final = (0xC4, 0xC5, 0xC6)

# loads ignores data after the first value, so the message is read as a pair: see the MessagePack serializer.
# The end marker is a list, because a trailing tag in the message would apply to it and no tag accepts a list.
_PAIR = b"\x82"
_END = [secrets.randbits(63) | 1 << 63]
_END_ENCODED = cbor2.dumps(_END)

# JSON writes at most 254 levels. cbor2 does not count the outermost container, here the pair.
_MAX_DEPTH = 254

_UNDEFINED = 0xF7


class CBORSerializer:
    """The CBOR serializer, based on cbor2."""

    name = "cbor"
    binary = True

    def encode(self, message: RawMessage) -> bytes:
        """Serialize a message. UnserializableValue names the type of a value that is not supported."""
        try:
            packed = ormsgpack.packb(message, None, _PLAIN_ONLY)
        except TypeError:
            message = ormsgpack.unpackb(pack(message, "CBOR"))
        else:
            # A binary value may be a memoryview, which cbor2 would write as a list.
            if any(header in packed for header in _BINARY_HEADERS):
                message = ormsgpack.unpackb(packed)
        return cbor2.dumps(message)

    def decode(self, data: Encoded) -> object:
        """Deserialize bytes. RemoteProtocolError for invalid CBOR, unsupported types and deep nesting."""
        if isinstance(data, str):
            raise RemoteProtocolError("CBOR messages must be binary, got text")
        try:
            decoded, end = cbor2.loads(
                b"".join((_PAIR, data, _END_ENCODED)),
                tag_hook=_refuse_tag,
                semantic_decoders=_TAGS,
                max_depth=_MAX_DEPTH,
                allow_duplicate_keys=False,
                # Keys of other types could be chosen to collide, so that reading a dict takes minutes.
                strict_hashable_types=True,
            )
        except cbor2.CBORDecodeError as error:
            raise RemoteProtocolError(f"malformed CBOR: {error.__cause__ or error}") from error
        if end != _END:
            raise RemoteProtocolError("malformed CBOR: extra data after the message")
        if _UNDEFINED in data:
            decoded = _replace_undefined(decoded)
        try:
            ormsgpack.packb(decoded, None, _PLAIN_ONLY)
        except TypeError as error:
            raise RemoteProtocolError(f"unsupported value in CBOR: {error}") from error
        return decoded


def _replace_undefined(decoded: object) -> object:
    """Replace every ``undefined`` with None, in place. Not recursive, because peers choose the depth."""
    outermost: list[Any] = [decoded]
    waiting: list[Any] = [outermost]
    while waiting:
        container = waiting.pop()
        for place, item in container.items() if type(container) is dict else enumerate(container):
            if item is cbor2.undefined:
                container[place] = None
            elif type(item) is list or type(item) is dict:
                waiting.append(item)
    return outermost[0]


# Tags

_Decode = Callable[[Any, bool], object]


def _refuse_tag(tag: cbor2.CBORTag, _: bool) -> object:
    raise ValueError(f"tag {tag.tag} is not supported")


def _tag_refuser(tag: int) -> _Decode:
    def refuse(value: object, _: bool) -> object:
        raise ValueError(f"tag {tag} is not supported")

    return refuse


def _unchanged_decoder(tag: int, *types: type) -> _Decode:
    """Return a decoder that returns the value unchanged if it has one of these types."""

    def read(value: object, _: bool) -> object:
        if type(value) not in types:
            expected = " or ".join(kind.__name__ for kind in types)
            raise ValueError(f"tag {tag} requires {expected}, got {type(value).__name__}")
        return value

    return read


def _integer_decoder(tag: int) -> _Decode:
    def read(value: object, _: bool) -> int:
        if type(value) is not bytes or len(value.lstrip(b"\0")) > 8:
            raise ValueError(f"tag {tag} requires the bytes of an integer with at most 64 bits")
        number = int.from_bytes(value, "big")
        return number if tag == 2 else -1 - number

    return read


def _decode_uuid(value: object, _: bool) -> str:
    if type(value) is not bytes or len(value) != 16:
        raise ValueError("tag 37 requires the 16 bytes of a UUID")
    return str(UUID(bytes=value))


# The tags that cbor2 itself would decode to other objects.
_REFUSED_TAGS: Final = (4, 5, 25, 28, 29, 30, 35, 36, 52, 54, 100, 256, 258, 260, 261, 43000, 55799)

_TAGS: Final[dict[int, _Decode]] = {
    **{tag: _tag_refuser(tag) for tag in _REFUSED_TAGS},
    0: _unchanged_decoder(0, str),
    1: _unchanged_decoder(1, int, float),
    2: _integer_decoder(2),
    3: _integer_decoder(3),
    32: _unchanged_decoder(32, str),
    37: _decode_uuid,
    64: _unchanged_decoder(64, bytes),
    1004: _unchanged_decoder(1004, str),
}
