"""Which serializers there are: those that come with the framework, and those of its users."""

from __future__ import annotations

import re
from typing import Final

from wampasgi.errors import ConfigurationError, RemoteProtocolError, UnserializableValue
from wampasgi.serializers.base import Encoded, Serializer
from wampasgi.serializers.json import JSON, JSONSerializer
from wampasgi.serializers.msgpack import MSGPACK, MsgPackSerializer
from wampasgi.types import RawMessage

# What a WebSocket subprotocol may be written with (RFC 6455, section 4.1), and no second suffix.
_NAME: Final = re.compile(r"(?!.*\.batched$)[A-Za-z0-9!#$%&'*+.^_`|~-]+")


def installed() -> list[Serializer]:
    """All serializers that come with the framework and whose packages are installed."""
    found: list[Serializer] = [JSON, MSGPACK]
    try:
        found.append(_cbor())
    except ImportError:
        return found
    return found


def chosen(given: Serializer | str) -> Serializer:
    """The serializer that an application is given, by itself or by its name.

    Raises ConfigurationError for a name that is unknown or whose package is missing, and for an object that
    is no serializer.
    """
    return _named(given) if isinstance(given, str) else _checked(given)


def _named(name: str) -> Serializer:
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
        f"there is no serializer {name!r}: name 'json', 'msgpack' or 'cbor', or give one of your own"
    )


def _cbor() -> Serializer:
    from wampasgi.serializers.cbor import CBORSerializer

    return CBORSerializer()


def _checked(serializer: Serializer) -> Serializer:
    """Take a user's serializer, whose exceptions then are those of the framework's."""
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
            f"the serializer {serializer!r} is named {serializer.name!r}: the name is part of a WebSocket "
            "subprotocol's, so it takes letters, digits and -._ alone, and must not end with '.batched'"
        )
    return _Checked(serializer)


class _Checked:
    """A serializer that raises nothing but what the protocol of serializers has."""

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
            raise UnserializableValue(f"{self.name} cannot carry the message: {error}") from error
        if not isinstance(encoded, bytes if self.binary else str):
            expected = "bytes" if self.binary else "str"
            raise UnserializableValue(
                f"the serializer {self.name!r} returned {type(encoded).__name__}: its messages are {expected}"
            )
        return encoded

    def decode(self, data: Encoded) -> object:
        if isinstance(data, str) is self.binary:
            expected, got = ("binary", "text") if self.binary else ("text", "binary")
            raise RemoteProtocolError(f"{self.name} messages are {expected}, this one is {got}")
        try:
            return self._serializer.decode(data)
        except RemoteProtocolError:
            raise
        except Exception as error:
            raise RemoteProtocolError(f"malformed {self.name}: {error}") from error
