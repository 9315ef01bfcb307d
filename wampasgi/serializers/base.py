"""What a serializer is, and what every one of them does alike."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Mapping
from typing import Final, Protocol, TypeAlias

import ormsgpack
from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_jsonable_python

from wampasgi.errors import RemoteProtocolError
from wampasgi.types import RawMessage

#: One serialized message, or one WebSocket message: text or bytes, as the serializer has it.
Encoded: TypeAlias = str | bytes


class Serializer(Protocol):
    """Turns messages into text or bytes, and back.

    What decodes can be encoded again, by this serializer or another, so that no message which one peer sends
    fails on its way to the next; the one exception are strings that JSON takes for binary data.
    """

    @property
    def name(self) -> str:
        """The name within the subprotocol's: ``"json"`` of ``wamp.2.json``."""

    @property
    def binary(self) -> bool:
        """Whether messages are bytes, in binary WebSocket messages; otherwise they are text."""

    def encode(self, message: RawMessage) -> Encoded:
        """Serialize a message.

        Raises UnserializableValue for a value that this format cannot carry.
        """

    def decode(self, data: Encoded) -> object:
        """Read what a peer sent; whether it is a message is for ``parse`` to say.

        Raises RemoteProtocolError for anything malformed.
        """


def plain(value: object) -> object:
    """Turn a value that no codec knows into one that they do, or into parts that come here in their turn.

    Pydantic models are dumped by alias, and keep ``bytes`` as they are; dataclasses become dicts of their
    public fields; sets, deques and named tuples lists; other mappings dicts. ``Decimal``, ``Path``,
    ``timedelta`` and the rest become what pydantic makes of them in JSON. (What the codecs know, datetimes,
    UUIDs and enums, they write alike.) TypeError, or what the value's own code raises, for anything else.
    """
    if isinstance(value, BaseModel):
        return value.model_dump(by_alias=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: getattr(value, name) for name in names if not name.startswith("_")}
    if isinstance(value, (set, frozenset, tuple, deque)):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    try:
        return to_jsonable_python(value)
    except PydanticSerializationError as error:
        raise TypeError(f"there is no plain value for the type {type(value).__qualname__}") from error


# As deep as it writes.
_DEEPEST: Final = 255

#: How many containers a message may have before its depth is measured.
SHALLOW = 200


def check_depth(decoded: object, containers: int) -> None:
    """Raise RemoteProtocolError for a message nested so deeply that no serializer could write it again.

    Codecs read four times as deep as they write. ``containers`` is at least the number of lists and dicts:
    only where so many could be nested too deeply is it tried.
    """
    if containers > SHALLOW:
        try:
            # One level less than it writes is what JSON does, whose codec takes much more memory to try.
            ormsgpack.packb([decoded])
        except TypeError as error:
            raise RemoteProtocolError(f"the message is nested too deeply: {error}") from error


def check_nesting(decoded: object, depth: int) -> None:
    """Raise RemoteProtocolError for a message whose lists and dicts are nested more than ``depth`` deep."""
    probe = decoded
    for _ in range(_DEEPEST - depth):
        probe = [probe]
    try:
        # The codec has a depth of its own, and measures in a hundredth of the time that a loop here would
        # take. What else it does not like of a message is not asked here.
        ormsgpack.packb(probe, _nothing, ormsgpack.OPT_NON_STR_KEYS)
    except TypeError as error:
        if "ecursion" in str(error):
            raise RemoteProtocolError(
                f"the message is nested too deeply, over the limit nesting_depth of {depth}"
            ) from error


def _nothing(value: object) -> None:
    """Stand in for what the codec does not know."""
