"""The form in which messages are queued: serialized, as frames, or as lists for a middleware."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any, Final, Protocol, cast

from wampasgi.errors import UnserializableValue
from wampasgi.serializers import Serializer, Subprotocol
from wampasgi.types import RawMessage


@dataclass(frozen=True, slots=True)
class Encoding:
    """Converts messages to the items of a queue.

    ``encode`` returns an item and the size of the message in bytes. It raises UnserializableValue. Peers
    whose encodings have the same ``name`` can share items.
    """

    name: str
    encode: Callable[[RawMessage], tuple[Any, int]]


#: For messages that a middleware gets as lists; their size is unknown.
UNSERIALIZED: Final = Encoding("unserialized", lambda raw: (raw, 0))


@lru_cache
def serialized(subprotocol: Subprotocol) -> Encoding:
    """Return the encoding to text or bytes, the same one for all connections."""
    serializer = subprotocol.serializer
    serialize = _to_bytes(serializer)
    if serializer.binary:

        def encode(raw: RawMessage) -> tuple[Any, int]:
            data = serialize(raw)
            return data, len(data)

    else:

        def encode(raw: RawMessage) -> tuple[Any, int]:
            data = serialize(raw)
            return data.decode(), len(data)

    return Encoding(serializer.name, encode)


@lru_cache
def framed(subprotocol: Subprotocol, frame: Callable[[bytes], bytes]) -> Encoding:
    """Return the encoding to the frames that ``frame`` makes of bytes, the same one for all connections."""
    serialize = _to_bytes(subprotocol.serializer)

    def encode(raw: RawMessage) -> tuple[Any, int]:
        data = serialize(raw)
        return frame(data), len(data)

    # Other frames with the same messages must not be taken for these.
    return Encoding(f"{subprotocol.serializer.name} frames {next(_numbers)}", encode)


_numbers: Final = count(1)


class _TextSerializer(Protocol):
    def encode_utf8(self, message: RawMessage) -> bytes: ...


def _to_bytes(serializer: Serializer) -> Callable[[RawMessage], bytes]:
    if serializer.binary:
        return cast("Callable[[RawMessage], bytes]", serializer.encode)
    if hasattr(serializer, "encode_utf8"):
        return cast("_TextSerializer", serializer).encode_utf8

    def encode(message: RawMessage) -> bytes:
        try:
            return cast("str", serializer.encode(message)).encode()
        except UnicodeEncodeError as error:
            raise UnserializableValue(f"the text of a message has no UTF-8 form: {error}") from error

    return encode
