"""The MessagePack serializer of ``wamp.2.msgpack``.

Extension types, including timestamps, are refused, because WAMP does not have such values. The exception is
type 0 with one zero byte, which JavaScript clients send for ``undefined``: it is read as None. Integers are
limited to 64 bits.
"""

from __future__ import annotations

import contextlib
import secrets

import ormsgpack

from wampasgi.errors import RemoteProtocolError, UnserializableValue
from wampasgi.serializers.base import Encoded, check_depth, plain
from wampasgi.types import RawMessage

_OPTIONS = ormsgpack.OPT_PASSTHROUGH_DATACLASS

# unpackb ignores data after the first value. So the message is read as the first item of a pair, whose second
# item must be our end marker. Peers cannot guess this number, and no part of its nine bytes encodes it.
_PAIR = b"\x92"
_END = secrets.randbits(63) | 1 << 63
_END_ENCODED = ormsgpack.packb(_END)

# Shorter messages cannot be nested too deeply.
_SHORT = 200
# The first bytes of arrays and maps.
_CONTAINERS = bytes([*range(0x80, 0xA0), *range(0xDC, 0xE0)])


class MsgPackSerializer:
    """The MessagePack serializer, based on ormsgpack."""

    name = "msgpack"
    binary = True

    def encode(self, message: RawMessage) -> bytes:
        """Serialize a message. UnserializableValue names the type of a value that is not supported."""
        return pack(message, "MessagePack")

    def decode(self, data: Encoded) -> object:
        """Deserialize bytes. RemoteProtocolError for invalid MessagePack, extensions and deep nesting."""
        if isinstance(data, str):
            raise RemoteProtocolError("MessagePack messages must be binary, got text")
        pair = b"".join((_PAIR, data, _END_ENCODED))
        try:
            decoded, end = ormsgpack.unpackb(pair, ext_hook=_decode_extension)
        except ValueError as error:
            raise RemoteProtocolError(f"malformed MessagePack: {error}") from error
        if end != _END:
            raise RemoteProtocolError("malformed MessagePack: extra data after the message")
        if len(data) > _SHORT:
            check_depth(decoded, len(pair) - len(pair.translate(None, _CONTAINERS)))
        return decoded


def pack(message: RawMessage, carrier: str) -> bytes:
    """Serialize a message to MessagePack. ``carrier`` is the format that UnserializableValue names."""
    try:
        return ormsgpack.packb(message, plain, _OPTIONS)
    except Exception as error:  # noqa: BLE001 (raised below; a value's own code may raise anything)
        failure = error
    # Outside the except block: inside it, the cause would get the failure as its context, which is a cycle.
    failure.__cause__ = _find_value_error(message)
    raise UnserializableValue(f"{carrier} cannot serialize the message: {failure}") from failure


def _decode_extension(extension_type: int, data: bytes) -> None:
    if (extension_type, data) != (0, b"\0"):
        raise ValueError(f"extension type {extension_type} is not supported")


def _find_value_error(message: RawMessage) -> Exception | None:
    """Return the exception that a value's own code raised, because the codec hides it."""
    raised: list[Exception] = []

    def default(value: object) -> object:
        try:
            return plain(value)
        except Exception as error:
            raised.append(error)
            raise

    with contextlib.suppress(Exception):  # already reported
        ormsgpack.packb(message, default, _OPTIONS)
    return raised[0] if raised else None


#: The serializer of ``wamp.2.msgpack``.
MSGPACK = MsgPackSerializer()
