"""Reads CBOR in Python: maps whose keys are not text, and the reason why a message is refused."""

from __future__ import annotations

import struct
from typing import Any, Final

from wampasgi.serializers.cbor_tags import cost_of, decoder_of
from wampasgi.serializers.reader import Malformed, Reader, Unsupported

# The major types.
_UNSIGNED: Final = 0
_NEGATIVE: Final = 1
_BYTES: Final = 2
_TEXT: Final = 3
_LIST: Final = 4
_MAP: Final = 5
_TAG: Final = 6

# The additional information of a container without a length.
_INDEFINITE: Final = 31
_BREAK: Final = 0xFF

_CONSTANTS: Final = {20: False, 21: True, 22: None, 23: None}
_FLOATS: Final = {25: struct.Struct(">e"), 26: struct.Struct(">f"), 27: struct.Struct(">d")}


class CBORReader(Reader):
    """Reads one CBOR message."""

    title = "CBOR"
    format = "cbor"

    def value(self) -> Any:
        """Read the value at the current position."""
        self.count()
        first = self.byte()
        major, info = first >> 5, first & 31
        if major == _UNSIGNED:
            return self._argument(info)
        if major == _TEXT:
            return self.text(self._string(_TEXT, info))
        if major == _LIST:
            return self.list(self._length(info))
        if major == _MAP:
            return self.map(self._length(info))
        if major == _NEGATIVE:
            return -1 - self._argument(info)
        if major == _BYTES:
            return self._string(_BYTES, info)
        if major == _TAG:
            return self._tagged(self._argument(info))
        return self._simple(info)

    def ended(self) -> bool:
        """Skip the end mark of a container without a length, if it comes next; return whether it did."""
        ended = self.at < len(self.data) and self.data[self.at] == _BREAK
        self.at += ended
        return ended

    def _argument(self, info: int) -> int:
        if info < 24:
            return info
        if info > 27:
            raise Malformed("a length or number is invalid")
        return self.unsigned(1 << (info - 24))

    def _length(self, info: int) -> int | None:
        return None if info == _INDEFINITE else self._argument(info)

    def _string(self, major: int, info: int) -> bytes:
        length = self._length(info)
        if length is not None:
            return self.take(length)
        chunks = []
        while not self.ended():
            self.count()
            chunk = self.byte()
            if chunk >> 5 != major:
                raise Malformed("a string has a chunk of another type")
            chunks.append(self.take(self._argument(chunk & 31)))
            if major == _TEXT:
                self.text(chunks[-1])
        return b"".join(chunks)

    def _tagged(self, tag: int) -> object:
        self.budget.spend(cost_of(tag) - 1)
        self.enter()
        value = self.value()
        self.leave()
        return decoder_of(tag)(value, False)

    def _simple(self, info: int) -> object:
        if info in _CONSTANTS:
            return _CONSTANTS[info]
        layout = _FLOATS.get(info)
        if layout is not None:
            return layout.unpack(self.take(layout.size))[0]
        number = self._argument(info)
        if info == 24 and number < 32:
            raise Malformed("a simple value is invalid")
        raise Unsupported(f"the simple value {number} is not supported")
