"""The MessagePack serializer of ``wamp.2.msgpack``.

Values that other formats do not have are kept for other clients of this serializer, see
:mod:`~wampasgi.serializers.foreign`: maps whose keys are not text, timestamps and other extension types.
Integers of more than 64 bits, which MessagePack does not have, become text.
"""

from __future__ import annotations

import secrets
from typing import Any

import ormsgpack

from wampasgi.errors import RemoteProtocolError
from wampasgi.serializers.base import Encoded, check_depth, count_bytes
from wampasgi.serializers.containers import msgpack_exceeds
from wampasgi.serializers.foreign import (
    ForeignBytes,
    ForeignDict,
    ForeignText,
    serialization_error,
    without_origin,
)
from wampasgi.serializers.msgpack_reader import MsgPackReader, decode_extension, limited_decoder
from wampasgi.serializers.reader import MAX_VALUES, TAG_COST, Budget
from wampasgi.types import RawMessage

_OPTIONS = (
    ormsgpack.OPT_PASSTHROUGH_BIG_INT
    | ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
)

# unpackb ignores data after the first value. So the message is read as the first item of a pair, whose second
# item must be our end marker. Peers cannot guess this number, and no part of its nine bytes encodes it.
_PAIR = b"\x92"
_END = secrets.randbits(63) | 1 << 63
_END_ENCODED = ormsgpack.packb(_END)

# Shorter messages cannot be nested too deeply.
_SHORT = 200
# The first bytes of extensions, and the number of them that need not be counted.
_EXTENSIONS = bytes([*range(0xC7, 0xCA), *range(0xD4, 0xD9)])
_FEW_EXTENSIONS = MAX_VALUES // TAG_COST
# The first bytes of arrays and maps.
_CONTAINERS = bytes([*range(0x80, 0xA0), *range(0xDC, 0xE0)])


class MsgPackSerializer:
    """The MessagePack serializer, based on ormsgpack."""

    name = "msgpack"
    binary = True

    def encode(self, message: RawMessage) -> bytes:
        """Serialize a message. UnserializableValue names the type of a value that is not supported."""
        try:
            return ormsgpack.packb(message, _default, _OPTIONS)
        except Exception as error:  # noqa: BLE001 (raised below; a value's own code may raise anything)
            failure = error
        raise serialization_error(message, "MessagePack", failure) from failure

    def exceeds_containers(self, data: Encoded, most: int) -> bool:
        """Return whether a serialized message has more than ``most`` lists and dicts."""
        return not isinstance(data, str) and msgpack_exceeds(bytes(data), most)

    def decode(self, data: Encoded) -> object:
        """Deserialize bytes.

        Raises RemoteProtocolError for invalid MessagePack and deep nesting, and UnsupportedValue for a value
        that cannot be passed on.
        """
        if isinstance(data, str):
            raise RemoteProtocolError("MessagePack messages must be binary, got text")
        pair = b"".join((_PAIR, data, _END_ENCODED))
        budget = Budget()
        may_have_many = len(data) > _FEW_EXTENSIONS and count_bytes(pair, _EXTENSIONS) > _FEW_EXTENSIONS
        hook = limited_decoder(budget) if may_have_many else decode_extension
        try:
            decoded, end = ormsgpack.unpackb(pair, ext_hook=hook)
        except ValueError:
            return MsgPackReader(bytes(data), budget).read()
        if end != _END:
            raise RemoteProtocolError("malformed MessagePack: extra data after the message")
        if len(data) > _SHORT:
            check_depth(decoded, count_bytes(pair, _CONTAINERS))
        return decoded


def _default(value: Any) -> object:
    if isinstance(value, ForeignText | ForeignBytes) and value.origin == "msgpack":
        return ormsgpack.Fragment(value.original)
    if isinstance(value, ForeignDict) and value.origin == "msgpack":
        # Not as a dict with the original keys, which can be chosen to collide.
        parts = [value.prefix, _map_header(len(value))]
        for key, item in value.items():
            parts.append(value.keys_encoded.get(key) or ormsgpack.packb(key))
            parts.append(ormsgpack.packb(item, _default, _OPTIONS))
        return ormsgpack.Fragment(b"".join(parts))
    return without_origin(value)


def _map_header(length: int) -> bytes:
    if length < 0x10:
        return bytes([0x80 | length])
    return b"\xde" + length.to_bytes(2, "big") if length < 0x10000 else b"\xdf" + length.to_bytes(4, "big")


#: The serializer of ``wamp.2.msgpack``.
MSGPACK = MsgPackSerializer()
