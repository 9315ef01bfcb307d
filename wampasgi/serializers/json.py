"""JSON, the serializer of ``wamp.2.json``.

Bytes go as the specification has it, see :mod:`~wampasgi.serializers.binary`. That leaves no way to send a
string which begins with U+0000: it would arrive as bytes, so it is refused. NaN and the infinities, which
JSON lacks, become ``null``; integers of more than 64 bits are read as floats and cannot be sent.
"""

from __future__ import annotations

import orjson

from wampasgi.errors import RemoteProtocolError, UnserializableValue
from wampasgi.serializers import json_bytes
from wampasgi.serializers.base import SHALLOW, Encoded, check_depth, plain
from wampasgi.serializers.json_bytes import MARK
from wampasgi.types import RawMessage

# orjson reads a dataclass with slots, one of them unset, from an address that isn't there.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS

# Shorter texts have no room for a nesting that is too deep.
_SHORT = 400


class JSONSerializer:
    """JSON through orjson."""

    name = "json"
    binary = False

    def encode(self, message: RawMessage) -> str:
        """Serialize a message; UnserializableValue names the type of a value that JSON cannot carry."""
        try:
            text = orjson.dumps(message, _default, _OPTIONS).decode()
            # What is found may be a key, or bytes: then only strings are left to look for. (One character is
            # found in a tenth of the time that a longer text takes.)
            if (
                "\\" in text
                and MARK in text
                and json_bytes.has_marked(orjson.loads(orjson.dumps(message, _without_bytes, _OPTIONS)))
            ):
                raise ValueError("a string must not begin with U+0000, which marks binary data in JSON")
        except Exception as error:  # a value's own code runs in it, and may raise anything
            raise UnserializableValue(f"JSON cannot carry the message: {error}") from error
        return text

    def decode(self, data: Encoded) -> object:
        """Read a text; RemoteProtocolError for one that isn't JSON, or goes too deep."""
        if not isinstance(data, str):
            raise RemoteProtocolError("JSON messages are text, this one is binary")
        try:
            decoded = orjson.loads(data)
        except ValueError as error:
            raise RemoteProtocolError(f"malformed JSON: {error}") from error
        if len(data) > _SHORT:
            check_depth(decoded, _count(data, "[") + _count(data, "{"))
        if "\\" in data and MARK in data:
            return json_bytes.restore(decoded)
        return decoded


def _count(text: str, character: str) -> int:
    """Count a character as far as it matters; counting all of them takes as long as reading the text."""
    count, position = 0, text.find(character)
    while position >= 0 and count <= SHALLOW:
        count, position = count + 1, text.find(character, position + 1)
    return count


def _default(value: object) -> object:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return json_bytes.to_string(bytes(value))
    return plain(value)


def _without_bytes(value: object) -> object:
    return None if isinstance(value, (bytes, bytearray, memoryview)) else plain(value)


#: The serializer of ``wamp.2.json``.
JSON = JSONSerializer()
