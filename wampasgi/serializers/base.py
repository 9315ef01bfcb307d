"""The Serializer protocol and code that all serializers share."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping
from typing import Final, Protocol, TypeAlias, runtime_checkable

import ormsgpack
from pydantic_core import PydanticSerializationError, to_jsonable_python

from wampasgi.errors import RemoteProtocolError
from wampasgi.serializers.json_form import json_form_of, public_fields
from wampasgi.types import RawMessage

#: A serialized message or a WebSocket message: text or bytes, depending on the serializer.
Encoded: TypeAlias = str | bytes


class Serializer(Protocol):
    """Converts messages to text or bytes and back.

    All serializers can encode every message that one of them decoded, so that the router can forward it. The
    only exceptions are strings that JSON would read as binary data.
    """

    @property
    def name(self) -> str:
        """The name of the serializer in the subprotocol: ``"json"`` for ``wamp.2.json``."""

    @property
    def binary(self) -> bool:
        """Return whether messages are bytes, for binary WebSocket messages, and not text."""

    def encode(self, message: RawMessage) -> Encoded:
        """Serialize a message.

        Raises UnserializableValue for a value that this format does not support.
        """

    def decode(self, data: Encoded) -> object:
        """Deserialize data from a peer. The result is not validated; see ``wampasgi.protocol.parsing``.

        Raises RemoteProtocolError for malformed data. UnsupportedValue, a subclass of it, refuses a message
        with a value that cannot be passed on.
        """


@runtime_checkable
class CountingSerializer(Protocol):
    """A serializer that counts the lists and dicts in a message before it builds them."""

    def exceeds_containers(self, data: Encoded, most: int) -> bool:
        """Return whether serialized data has more than ``most`` lists and dicts.

        For data that is malformed or of the wrong type, either answer is right.
        """


def plain(value: object) -> object:
    """Convert a value that codecs do not support to one that they do.

    Codecs call this again for unsupported values inside the result. Pydantic's models and dataclasses take
    their JSON form (see JSONForm). Other dataclasses become dicts of their public fields, sets, deques and
    named tuples become lists, other mappings become dicts. ``Decimal``, ``Path``, ``timedelta`` and others
    become their JSON representation in pydantic. (All codecs write datetimes, UUIDs and enums alike, without
    this function.) Raises TypeError for other values, and any exception of the value's own code.
    """
    form = json_form_of(type(value))
    if form is not None:
        return form.convert(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return public_fields(value)
    if isinstance(value, (set, frozenset, tuple, deque)):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError as error:
        raise TypeError(f"values of the type {type(value).__qualname__} cannot be serialized") from error


# The maximum depth that ormsgpack writes.
_MAX_DEPTH: Final = 255

#: The number of containers up to which a message cannot be nested too deeply.
SHALLOW = 200


def check_depth(decoded: object, containers: int) -> None:
    """Raise RemoteProtocolError if a message is nested too deeply for serializers to write it again.

    Codecs read messages four times as deep as they can write. ``containers`` is an upper bound for the number
    of lists and dicts; messages with few of them are not checked.
    """
    if containers > SHALLOW:
        try:
            # JSON allows one level less than MessagePack, but checking with its codec takes much more memory.
            ormsgpack.packb([decoded], _replace_with_nil, ormsgpack.OPT_PASSTHROUGH_BIG_INT)
        except TypeError as error:
            raise RemoteProtocolError(f"the message is nested too deeply: {error}") from error


def count_bytes(data: bytes, which: bytes) -> int:
    """Return the number of bytes in ``data`` that are one of ``which``."""
    return len(data) - len(data.translate(None, which))


def check_nesting(decoded: object, depth: int) -> None:
    """Raise RemoteProtocolError if a message has more than ``depth`` levels of lists and dicts."""
    probe = decoded
    for _ in range(_MAX_DEPTH - depth):
        probe = [probe]
    try:
        # The codec has a fixed maximum depth and takes a hundredth of the time of a loop in Python. Its other
        # errors are not relevant here.
        ormsgpack.packb(probe, _replace_with_nil, _PROBE_OPTIONS)
    except TypeError as error:
        if "ecursion" in str(error):
            raise RemoteProtocolError(
                f"the message is nested too deeply, over the limit nesting_depth of {depth}"
            ) from error


_PROBE_OPTIONS: Final = ormsgpack.OPT_NON_STR_KEYS | ormsgpack.OPT_PASSTHROUGH_BIG_INT


def _replace_with_nil(value: object) -> None:
    """Replace values that the codec does not support by nil."""
