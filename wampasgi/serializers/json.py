"""The JSON serializer of ``wamp.2.json``.

Bytes are converted as in the specification, see :mod:`~wampasgi.serializers.json_bytes`. Strings that begin
with U+0000 cannot be sent, because peers would read them as bytes. NaN and infinities, which JSON does not
support, become ``null``. Integers of more than 64 bits are sent as they are and read as floats.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson

from wampasgi.errors import RemoteProtocolError, UnserializableValue, UnsupportedValue
from wampasgi.serializers import json_bytes
from wampasgi.serializers.base import SHALLOW, Encoded, check_depth, plain
from wampasgi.serializers.containers import json_exceeds
from wampasgi.serializers.foreign import exceeds_64_bits
from wampasgi.serializers.json_bytes import MARK
from wampasgi.types import RawMessage

# orjson reads invalid memory for a dataclass with an unset slot.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS

_MARK = MARK.encode()

# Shorter texts cannot be nested too deeply.
_SHORT = 400


class JSONSerializer:
    """The JSON serializer, based on orjson."""

    name = "json"
    binary = False

    def encode(self, message: RawMessage) -> str:
        """Serialize a message. UnserializableValue names the type of a value that JSON does not support."""
        return self.encode_utf8(message).decode()

    def encode_utf8(self, message: RawMessage) -> bytes:
        """Serialize a message to the UTF-8 form of its text."""
        try:
            try:
                text = orjson.dumps(message, _default, _OPTIONS)
            except TypeError as error:
                if "64-bit" not in str(error):
                    raise
                text = _dumps_large(message, _default)
            # The mark may also belong to a key or to bytes, so search again in a version with only strings.
            # (Finding one character takes a tenth of the time of finding a longer text.)
            if (
                b"\\" in text
                and _MARK in text
                and json_bytes.has_marked(orjson.loads(_dumps_large(message, _without_bytes)))
            ):
                raise ValueError("a string must not begin with U+0000, which marks binary data in JSON")
        except Exception as error:  # values may run code of their own, which may raise anything
            raise UnserializableValue(f"JSON cannot serialize the message: {error}") from error
        return text

    def exceeds_containers(self, data: Encoded, most: int) -> bool:
        """Return whether a serialized message has more than ``most`` lists and dicts."""
        return isinstance(data, str) and json_exceeds(data, most)

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
    malformed = RemoteProtocolError(f"malformed JSON: {error}")
    # Newer versions of Python read deeper nesting than orjson.
    if "depth limit" in str(error):
        return malformed
    try:
        decoded = json.loads(text, parse_constant=constants.append)
    except (ValueError, RecursionError):
        return malformed
    reason = f"JSON has no {constants[0]}" if constants else str(error)
    return UnsupportedValue(
        f"unsupported value in JSON: {reason}", decoded if isinstance(decoded, list) else ()
    )


def _dumps_large(message: object, default: Callable[[Any], object]) -> bytes:
    """Serialize a message that may have integers of more than 64 bits."""
    return orjson.dumps(
        _with_large_integers(message), lambda value: _with_large_integers(default(value)), _OPTIONS
    )


def _with_large_integers(value: Any) -> object:
    """Return a copy in which the integers that orjson does not write are replaced by their digits."""
    if isinstance(value, int) and exceeds_64_bits(value):
        return orjson.Fragment(str(int(value)))
    if isinstance(value, dict):
        return {key: _with_large_integers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_large_integers(item) for item in value]
    return value


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
