"""Lookup of built-in serializers, and checks of custom ones."""

from __future__ import annotations

import re
from typing import Final

from wampasgi.errors import ConfigurationError, RemoteProtocolError, UnserializableValue
from wampasgi.serializers.base import Encoded, Serializer
from wampasgi.serializers.json import JSON, JSONSerializer
from wampasgi.serializers.msgpack import MSGPACK, MsgPackSerializer
from wampasgi.types import RawMessage

# The characters that a WebSocket subprotocol may have (RFC 6455, section 4.1), without the batched suffix.
_NAME: Final = re.compile(r"(?!.*\.batched$)[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def installed() -> list[Serializer]:
    """Return the built-in serializers whose packages are installed."""
    found: list[Serializer] = [JSON, MSGPACK]
    try:
        found.append(_cbor())
    except ImportError:
        return found
    return found


def chosen(given: Serializer | str) -> Serializer:
    """Return the serializer for a serializer object or the name of a built-in one.

    Raises ConfigurationError if the name is unknown, if its package is missing or if the object is not a
    serializer.
    """
    return _find_builtin(given) if isinstance(given, str) else _wrap(given)


def _find_builtin(name: str) -> Serializer:
    if name == "cbor":
        try:
            return _cbor()
        except ImportError as error:
            raise ConfigurationError(
                "the serializer 'cbor' needs the package cbor2, 6.2 or newer: pip install 'wampasgi[cbor]'"
            ) from error
    for serializer in (JSON, MSGPACK):
        if serializer.name == name:
            return serializer
    raise ConfigurationError(
        f"unknown serializer {name!r}: use 'json', 'msgpack', 'cbor' or a serializer object"
    )


def _cbor() -> Serializer:
    from wampasgi.serializers.cbor import CBORSerializer

    return CBORSerializer()


def _wrap(serializer: Serializer) -> Serializer:
    """Validate a custom serializer and wrap it so that it raises only the documented exceptions."""
    if type(serializer) in (JSONSerializer, MsgPackSerializer):
        return serializer
    for attribute, kind in (("name", str), ("binary", bool)):
        if not isinstance(getattr(serializer, attribute, None), kind):
            raise ConfigurationError(
                f"the serializer {serializer!r} needs the attribute {attribute!r}, of type {kind.__name__}"
            )
    for method in ("encode", "decode"):
        if not callable(getattr(serializer, method, None)):
            raise ConfigurationError(f"the serializer {serializer!r} needs the method {method!r}")
    if _NAME.fullmatch(serializer.name) is None:
        raise ConfigurationError(
            f"the serializer {serializer!r} has the invalid name {serializer.name!r}: it is part of a "
            "WebSocket subprotocol, so use only letters, digits and -._, and no suffix '.batched'"
        )
    return _CheckedSerializer(serializer)


class _CheckedSerializer:
    """A wrapper that raises only the exceptions that the Serializer protocol documents."""

    def __init__(self, serializer: Serializer) -> None:
        self._serializer = serializer
        self.name = serializer.name
        self.binary = serializer.binary

    def encode(self, message: RawMessage) -> Encoded:
        try:
            encoded = self._serializer.encode(message)
        except UnserializableValue:
            raise
        except Exception as error:
            raise UnserializableValue(f"{self.name} cannot serialize the message: {error}") from error
        if not isinstance(encoded, bytes if self.binary else str):
            expected = "bytes" if self.binary else "str"
            raise UnserializableValue(
                f"the serializer {self.name!r} must return {expected}, got {type(encoded).__name__}"
            )
        return encoded

    def decode(self, data: Encoded) -> object:
        if isinstance(data, str) is self.binary:
            expected, got = ("binary", "text") if self.binary else ("text", "binary")
            raise RemoteProtocolError(f"{self.name} messages must be {expected}, got {got}")
        try:
            return self._serializer.decode(data)
        except RemoteProtocolError:
            raise
        except Exception as error:
            raise RemoteProtocolError(f"malformed {self.name}: {error}") from error
