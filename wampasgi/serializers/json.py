"""The JSON serializer of ``wamp.2.json``.

Bytes are converted as in the specification, see :mod:`~wampasgi.serializers.json_bytes`. Strings that begin
with U+0000 cannot be sent, because peers would read them as bytes. NaN and infinities, which JSON does not
support, become ``null``. Integers of more than 64 bits are sent as they are and read as floats.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

import orjson

from wampasgi.errors import RemoteProtocolError, UnserializableValue, UnsupportedValue
from wampasgi.serializers import json_bytes
from wampasgi.serializers.base import SHALLOW, Encoded, check_depth, plain
from wampasgi.serializers.containers import json_exceeds
from wampasgi.serializers.foreign import copy_with
from wampasgi.serializers.json_bytes import MARK
from wampasgi.types import RawMessage

# orjson reads invalid memory for a dataclass with an unset slot.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATACLASS

_MARK = MARK.encode()

# Strings that stand for bytes begin with this random text, so that all others can be checked for the mark.
_OWN_MARK_TEXT = f"\x01bytes {secrets.token_hex(16)} "
_OWN_MARK = orjson.dumps(_OWN_MARK_TEXT)[:-1]

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
            text = _dumps(message, _default)
            # Finding one character takes a tenth of the time of finding a longer text.
            if b"\\" in text:
                # The mark may also belong to a key.
                if _MARK in text and json_bytes.has_marked(text):
                    raise ValueError("a string must not begin with U+0000, which marks binary data in JSON")
                text = text.replace(_OWN_MARK, _MARK)
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


def _dumps(message: object, default: Callable[[Any], object]) -> bytes:
    try:
        return orjson.dumps(message, default, _OPTIONS)
    except TypeError as error:
        if "64-bit" not in str(error):
            raise
    return orjson.dumps(copy_with(_without_large, message), default, _OPTIONS)


def _without_large(value: object) -> object:
    """Return an integer that orjson does not write as its digits, and any other value as it is."""
    return orjson.Fragment(str(value)) if isinstance(value, int) else value


def _count(text: str, character: str) -> int:
    """Count a character up to the relevant number. Counting all would take as long as parsing the text."""
    count, position = 0, text.find(character)
    while position >= 0 and count <= SHALLOW:
        count, position = count + 1, text.find(character, position + 1)
    return count


def _default(value: object) -> object:
    if isinstance(value, (bytes, bytearray, memoryview)):
        return json_bytes.to_string(value, mark=_OWN_MARK_TEXT)
    return plain(value)


#: The serializer of ``wamp.2.json``.
JSON = JSONSerializer()
