"""The JSON serializer of ``wamp.2.json``.

Bytes are converted as in the specification, see :mod:`~wampasgi.serializers.json_bytes`. Strings that begin
with U+0000 cannot be sent, because peers would read them as bytes. NaN and infinities, which JSON does not
support, become ``null``. Integers of more than 64 bits are read as floats and cannot be sent.
"""

from __future__ import annotations

import json

import orjson

from wampasgi.errors import RemoteProtocolError, UnserializableValue, UnsupportedValue
from wampasgi.serializers import json_bytes
from wampasgi.serializers.base import SHALLOW, Encoded, check_depth, plain
from wampasgi.serializers.json_bytes import MARK
from wampasgi.types import RawMessage

# orjson reads invalid memory for a dataclass with an unset slot.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS

# Shorter texts cannot be nested too deeply.
_SHORT = 400


class JSONSerializer:
    """The JSON serializer, based on orjson."""

    name = "json"
    binary = False

    def encode(self, message: RawMessage) -> str:
        """Serialize a message. UnserializableValue names the type of a value that JSON does not support."""
        try:
            text = orjson.dumps(message, _default, _OPTIONS).decode()
            # The mark may also belong to a key or to bytes, so search again in a version with only strings.
            # (Finding one character takes a tenth of the time of finding a longer text.)
            if (
                "\\" in text
                and MARK in text
                and json_bytes.has_marked(orjson.loads(orjson.dumps(message, _without_bytes, _OPTIONS)))
            ):
                raise ValueError("a string must not begin with U+0000, which marks binary data in JSON")
        except Exception as error:  # values may run code of their own, which may raise anything
            raise UnserializableValue(f"JSON cannot serialize the message: {error}") from error
        return text

    def decode(self, data: Encoded) -> object:
        """Deserialize text.

        Raises RemoteProtocolError for invalid JSON and deep nesting, and UnsupportedValue for NaN, an
        infinity, a lone surrogate or invalid Base64.
        """
        if not isinstance(data, str):
            raise RemoteProtocolError("JSON messages must be text, got binary")
        try:
            decoded = orjson.loads(data)
        except ValueError as error:
            raise _refusal(data, error) from error
        if len(data) > _SHORT:
            check_depth(decoded, _count(data, "[") + _count(data, "{"))
        if "\\" in data and MARK in data:
            try:
                return json_bytes.restore(decoded)
            except ValueError as error:
                raise UnsupportedValue(
                    f"unsupported value in JSON: {error}", decoded if isinstance(decoded, list) else ()
                ) from error
        return decoded


def _refusal(text: str, error: ValueError) -> RemoteProtocolError:
    """Return the error for text that orjson refuses.

    Python's decoder also reads NaN, infinities and lone surrogates. They are not allowed in JSON, but some
    encoders write them.
    """
    constants: list[str] = []
    try:
        decoded = json.loads(text, parse_constant=constants.append)
    except (ValueError, RecursionError):
        return RemoteProtocolError(f"malformed JSON: {error}")
    reason = f"JSON has no {constants[0]}" if constants else str(error)
    return UnsupportedValue(
        f"unsupported value in JSON: {reason}", decoded if isinstance(decoded, list) else ()
    )


def _count(text: str, character: str) -> int:
    """Count a character up to the relevant number. Counting all would take as long as parsing the text."""
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
