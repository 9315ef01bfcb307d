"""CBOR, the serializer of ``wamp.2.cbor``; it needs the package cbor2, of the extra ``cbor``.

What is carried is what MessagePack carries: strings, bytes, numbers, lists and dicts with text keys. Of the
tags those are read that stand for such a value: date and time, big integers that fit into 64 bits, URI, UUID,
typed array of bytes. All others are refused, references to shared values among them. ``undefined``, which
JavaScript's clients send, is read as None.

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
    # Autobahn, for one, brings cbor2 along and is content with an older one.
    raise ImportError("cbor2 is older than 6.2") from error

# What MessagePack then takes is plain: no subclasses, and nothing that CBOR would have tags for.
_PLAIN: Final = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)

# The first bytes that MessagePack writes of bytes.
_BYTES: Final = (0xC4, 0xC5, 0xC6)

# loads ignores data after the first value: see the pair in the MessagePack serializer. The end is a list,
# because a tag that the client sends last would be read as the tag of the end, and no tag takes a list.
_PAIR = b"\x82"
_END = [secrets.randbits(63) | 1 << 63]
_END_ENCODED = cbor2.dumps(_END)

# The pair is one level, and JSON writes no more than 254.
_MAX_DEPTH = 254

_UNDEFINED = 0xF7


class CBORSerializer:
    """CBOR through cbor2."""

    name = "cbor"
    binary = True

    def encode(self, message: RawMessage) -> bytes:
        """Serialize a message; UnserializableValue names the type of a value that it cannot carry."""
        try:
            packed = ormsgpack.packb(message, None, _PLAIN)
        except TypeError:
            message = ormsgpack.unpackb(pack(message, "CBOR"))
        else:
            # A memoryview may be among the bytes: cbor2 would take it for a list.
            if any(header in packed for header in _BYTES):
                message = ormsgpack.unpackb(packed)
        return cbor2.dumps(message)

    def decode(self, data: Encoded) -> object:
        """Read bytes; RemoteProtocolError for what isn't CBOR, has other types, or goes too deep."""
        if isinstance(data, str):
            raise RemoteProtocolError("CBOR messages are binary, this one is text")
        try:
            decoded, end = cbor2.loads(
                b"".join((_PAIR, data, _END_ENCODED)),
                tag_hook=_refuse_tag,
                semantic_decoders=_TAGS,
                max_depth=_MAX_DEPTH,
                allow_duplicate_keys=False,
                # Others could be made to collide, so that a dict of them takes minutes.
                strict_hashable_types=True,
            )
        except cbor2.CBORDecodeError as error:
            raise RemoteProtocolError(f"malformed CBOR: {error.__cause__ or error}") from error
        if end != _END:
            raise RemoteProtocolError("malformed CBOR: more follows after the message")
        if _UNDEFINED in data:
            decoded = _without_undefined(decoded)
        try:
            ormsgpack.packb(decoded, None, _PLAIN)
        except TypeError as error:
            raise RemoteProtocolError(f"CBOR of this message is nothing that WAMP has: {error}") from error
        return decoded


def _without_undefined(decoded: object) -> object:
    """Replace every ``undefined`` by None, in place, without recursion, because peers choose the depth."""
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
    raise ValueError(f"tag {tag.tag} is nothing that WAMP has")


def _refused(tag: int) -> _Decode:
    def refuse(value: object, _: bool) -> object:
        raise ValueError(f"tag {tag} is nothing that WAMP has")

    return refuse


def _read_as(tag: int, *types: type) -> _Decode:
    """Take the value for what the tag says, if it is of such a type."""

    def read(value: object, _: bool) -> object:
        if type(value) not in types:
            expected = " or ".join(kind.__name__ for kind in types)
            raise ValueError(f"tag {tag} takes {expected}, not {type(value).__name__}")
        return value

    return read


def _integer(tag: int) -> _Decode:
    def read(value: object, _: bool) -> int:
        if type(value) is not bytes or len(value.lstrip(b"\0")) > 8:
            raise ValueError(f"tag {tag} takes the bytes of an integer of no more than 64 bits")
        number = int.from_bytes(value, "big")
        return number if tag == 2 else -1 - number

    return read


def _uuid(value: object, _: bool) -> str:
    if type(value) is not bytes or len(value) != 16:
        raise ValueError("tag 37 takes the 16 bytes of a UUID")
    return str(UUID(bytes=value))


# Those that cbor2 has decoders of its own for, which would make other objects of them.
_OTHER_TAGS: Final = (4, 5, 25, 28, 29, 30, 35, 36, 52, 54, 100, 256, 258, 260, 261, 43000, 55799)

_TAGS: Final[dict[int, _Decode]] = {
    **{tag: _refused(tag) for tag in _OTHER_TAGS},
    0: _read_as(0, str),
    1: _read_as(1, int, float),
    2: _integer(2),
    3: _integer(3),
    32: _read_as(32, str),
    37: _uuid,
    64: _read_as(64, bytes),
    1004: _read_as(1004, str),
}
