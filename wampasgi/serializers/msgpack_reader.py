"""Reads MessagePack in Python: maps whose keys are not text, and the reason why a message is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final

from wampasgi.protocol.timestamps import from_nanoseconds
from wampasgi.serializers.foreign import ForeignBytes, ForeignText
from wampasgi.serializers.reader import TAG_COST, Budget, Malformed, Reader, Unsupported

_TIMESTAMP: Final = -1


def decode_extension(extension_type: int, data: bytes) -> object:
    """Return the value of an extension.

    A timestamp becomes text, and other types become their bytes. JavaScript clients send type 0 with one zero
    byte for ``undefined``: it is read as None.
    """
    if extension_type == 0 and data == b"\0":
        return None
    encoded = _encode_extension(extension_type, data)
    if extension_type == _TIMESTAMP:
        return ForeignText(_timestamp(data), "msgpack", encoded)
    return ForeignBytes(data, "msgpack", encoded)


def limited_decoder(budget: Budget) -> Callable[[int, bytes], object]:
    """Return ``decode_extension`` for one message with many extensions."""

    def decode_if_few(extension_type: int, data: bytes) -> object:
        decoded = decode_extension(extension_type, data)
        if decoded is not None:
            budget.spend(TAG_COST)
        return decoded

    return decode_if_few


def _encode_extension(extension_type: int, data: bytes) -> bytes:
    length = len(data)
    kind = struct.pack("b", extension_type)
    fixed = _FIXED_LENGTHS.get(length)
    if fixed is not None:
        return fixed + kind + data
    if length < 0x100:
        return struct.pack(">BB", 0xC7, length) + kind + data
    if length < 0x10000:
        return struct.pack(">BH", 0xC8, length) + kind + data
    return struct.pack(">BI", 0xC9, length) + kind + data


_FIXED_LENGTHS: Final[Mapping[int, bytes]] = {1: b"\xd4", 2: b"\xd5", 4: b"\xd6", 8: b"\xd7", 16: b"\xd8"}


def _timestamp(data: bytes) -> str:
    if len(data) == 4:
        seconds, nanoseconds = int.from_bytes(data, "big"), 0
    elif len(data) == 8:
        nanoseconds, seconds = divmod(int.from_bytes(data, "big"), 2**34)
    elif len(data) == 12:
        nanoseconds, seconds = struct.unpack(">Iq", data)
    else:
        raise Unsupported(f"a timestamp must have 4, 8 or 12 bytes, got {len(data)}")
    if nanoseconds >= 10**9:
        raise Unsupported("a timestamp has more than 999999999 nanoseconds")
    try:
        return from_nanoseconds(seconds * 10**9 + nanoseconds)
    except ValueError as error:
        raise Unsupported(f"a timestamp cannot be written as text: {error}") from error


class MsgPackReader(Reader):
    """Reads one MessagePack message."""

    title = "MessagePack"
    format = "msgpack"

    def value(self) -> Any:
        """Read the value at the current position."""
        self.count()
        code = self.byte()
        if code < 0x80:
            return code
        if code < 0x90:
            return self.map(code & 0x0F)
        if code < 0xA0:
            return self.list(code & 0x0F)
        if code < 0xC0:
            return self.text(self.take(code & 0x1F))
        if code >= 0xE0:
            return code - 0x100
        read = _READ.get(code)
        if read is None:
            raise Malformed(f"no value begins with the byte 0x{code:02x}")
        return read(self)


_Read = Callable[[MsgPackReader], Any]


def _number(layout: str) -> _Read:
    number = struct.Struct(layout)
    return lambda reader: number.unpack(reader.take(number.size))[0]


def _extension(length: Callable[[MsgPackReader], int]) -> _Read:
    def read(reader: MsgPackReader) -> object:
        reader.budget.spend(TAG_COST - 1)
        size = length(reader)
        (extension_type,) = struct.unpack("b", reader.take(1))
        return decode_extension(extension_type, reader.take(size))

    return read


_READ: Final[Mapping[int, _Read]] = {
    0xC0: lambda reader: None,
    0xC2: lambda reader: False,
    0xC3: lambda reader: True,
    0xC4: lambda reader: reader.take(reader.unsigned(1)),
    0xC5: lambda reader: reader.take(reader.unsigned(2)),
    0xC6: lambda reader: reader.take(reader.unsigned(4)),
    0xC7: _extension(lambda reader: reader.unsigned(1)),
    0xC8: _extension(lambda reader: reader.unsigned(2)),
    0xC9: _extension(lambda reader: reader.unsigned(4)),
    0xCA: _number(">f"),
    0xCB: _number(">d"),
    0xCC: _number(">B"),
    0xCD: _number(">H"),
    0xCE: _number(">I"),
    0xCF: _number(">Q"),
    0xD0: _number(">b"),
    0xD1: _number(">h"),
    0xD2: _number(">i"),
    0xD3: _number(">q"),
    0xD4: _extension(lambda reader: 1),
    0xD5: _extension(lambda reader: 2),
    0xD6: _extension(lambda reader: 4),
    0xD7: _extension(lambda reader: 8),
    0xD8: _extension(lambda reader: 16),
    0xD9: lambda reader: reader.text(reader.take(reader.unsigned(1))),
    0xDA: lambda reader: reader.text(reader.take(reader.unsigned(2))),
    0xDB: lambda reader: reader.text(reader.take(reader.unsigned(4))),
    0xDC: lambda reader: reader.list(reader.unsigned(2)),
    0xDD: lambda reader: reader.list(reader.unsigned(4)),
    0xDE: lambda reader: reader.map(reader.unsigned(2)),
    0xDF: lambda reader: reader.map(reader.unsigned(4)),
}
