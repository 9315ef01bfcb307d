"""MessagePack, the serializer of ``wamp.2.msgpack``.

Extension types, timestamps among them, are nothing that WAMP has: they are refused. JavaScript's clients send
one all the same for ``undefined``, of type 0 with one zero byte; it is read as None. Integers are those of 64
bits.
"""

from __future__ import annotations

import contextlib
import secrets

import ormsgpack

from wampasgi.errors import RemoteProtocolError, UnserializableValue
from wampasgi.serializers.base import Encoded, check_depth, plain
from wampasgi.types import RawMessage

_OPTIONS = ormsgpack.OPT_PASSTHROUGH_DATACLASS

# unpackb ignores what follows the first value. So the message is read as the first of a pair, and the second
# has to be ours: a number that a peer can't guess, of nine bytes so that no part of them encodes it.
_PAIR = b"\x92"
_END = secrets.randbits(63) | 1 << 63
_END_ENCODED = ormsgpack.packb(_END)

# Shorter messages have no room for a nesting that is too deep.
_SHORT = 200
# The first bytes of arrays and maps.
_CONTAINERS = bytes([*range(0x80, 0xA0), *range(0xDC, 0xE0)])


class MsgPackSerializer:
    """MessagePack through ormsgpack."""

    name = "msgpack"
    binary = True

    def encode(self, message: RawMessage) -> bytes:
        """Serialize a message; UnserializableValue names the type of a value that it cannot carry."""
        return pack(message, "MessagePack")

    def decode(self, data: Encoded) -> object:
        """Read bytes; RemoteProtocolError for what isn't MessagePack, has other types, or goes too deep."""
        if isinstance(data, str):
            raise RemoteProtocolError("MessagePack messages are binary, this one is text")
        pair = b"".join((_PAIR, data, _END_ENCODED))
        try:
            decoded, end = ormsgpack.unpackb(pair, ext_hook=_undefined)
        except ValueError as error:
            raise RemoteProtocolError(f"malformed MessagePack: {error}") from error
        if end != _END:
            raise RemoteProtocolError("malformed MessagePack: more follows after the message")
        if len(data) > _SHORT:
            check_depth(decoded, len(pair) - len(pair.translate(None, _CONTAINERS)))
        return decoded


def pack(message: RawMessage, carrier: str) -> bytes:
    """Serialize a message, whose values are plain then; ``carrier`` is what UnserializableValue names."""
    try:
        return ormsgpack.packb(message, plain, _OPTIONS)
    except Exception as error:  # noqa: BLE001 (raised below: a value's own code may raise anything)
        failure = error
    # Not in the handler, where what it finds would have the failure as its context, and so be a circle.
    failure.__cause__ = _raised_by_value(message)
    raise UnserializableValue(f"{carrier} cannot carry the message: {failure}") from failure


def _undefined(extension_type: int, data: bytes) -> None:
    if (extension_type, data) != (0, b"\0"):
        raise ValueError(f"extension type {extension_type} is nothing that WAMP has")


def _raised_by_value(message: RawMessage) -> Exception | None:
    """Find out what a value's own code raised, which the codec keeps to itself."""
    raised: list[Exception] = []

    def default(value: object) -> object:
        try:
            return plain(value)
        except Exception as error:
            raised.append(error)
            raise

    with contextlib.suppress(Exception):  # the one that is reported already
        ormsgpack.packb(message, default, _OPTIONS)
    return raised[0] if raised else None


#: The serializer of ``wamp.2.msgpack``.
MSGPACK = MsgPackSerializer()
