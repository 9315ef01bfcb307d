"""The CBOR serializer of ``wamp.2.cbor``. It needs cbor2, which the extra ``cbor`` installs.

Values that other formats do not have are kept for other clients of this serializer, see
:mod:`~wampasgi.serializers.foreign`: maps whose keys are not text, and values with the tags in
:mod:`~wampasgi.serializers.cbor_tags`. Other tags are refused. ``undefined``, which JavaScript clients send,
is read as None.

Spec: Basic Profile, "Serializations"; RFC 8949.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

import cbor2
import ormsgpack

from wampasgi.errors import RemoteProtocolError
from wampasgi.serializers.base import Encoded, count_bytes
from wampasgi.serializers.cbor_reader import CBORReader
from wampasgi.serializers.cbor_tags import TAGS, limited_tags, refuse_tag
from wampasgi.serializers.containers import cbor_exceeds
from wampasgi.serializers.foreign import (
    ForeignBytes,
    ForeignDict,
    ForeignList,
    ForeignText,
    copy_with,
    plain_copy,
)
from wampasgi.serializers.reader import ADDRESS_COST, MAX_VALUES, Budget
from wampasgi.types import RawMessage

try:
    cbor2.loads(b"\x80", strict_hashable_types=True)
except TypeError as error:
    # An older cbor2 may be installed as a dependency of another package, such as Autobahn.
    raise ImportError("cbor2 is older than 6.2") from error

# With these options MessagePack accepts only plain values: no subclasses and no types with a CBOR tag.
_PLAIN_ONLY: Final = (
    ormsgpack.OPT_PASSTHROUGH_DATACLASS
    | ormsgpack.OPT_PASSTHROUGH_DATETIME
    | ormsgpack.OPT_PASSTHROUGH_ENUM
    | ormsgpack.OPT_PASSTHROUGH_SUBCLASS
    | ormsgpack.OPT_PASSTHROUGH_TUPLE
    | ormsgpack.OPT_PASSTHROUGH_UUID
)

_PLAIN_OR_FOREIGN: Final = _PLAIN_ONLY | ormsgpack.OPT_PASSTHROUGH_BIG_INT

# The first bytes of binary values in MessagePack.
_BINARY_HEADERS: Final = (0xC4, 0xC5, 0xC6)

# loads ignores data after the first value, so the message is read as a pair: see the MessagePack serializer.
# The end marker is a list with one item: a trailing tag in the message would apply to it, and no tag leaves
# such a list as it is.
_PAIR = b"\x82"
_END = [secrets.randbits(63) | 1 << 63]
_END_ENCODED = cbor2.dumps(_END)

# JSON writes at most 254 levels. cbor2 does not count the outermost container, here the pair.
_MAX_DEPTH = 254

_UNDEFINED = 0xF7
_UNDEFINED_TYPE = type(cbor2.undefined)

# The first bytes of tags, and the number of them that need not be counted.
_TAG_HEADERS: Final = bytes(range(0xC0, 0xDC))
_FEW_TAGS: Final = MAX_VALUES // ADDRESS_COST


class CBORSerializer:
    """The CBOR serializer, based on cbor2."""

    name = "cbor"
    binary = True

    def encode(self, message: RawMessage) -> bytes:
        """Serialize a message. UnserializableValue names the type of a value that is not supported."""
        try:
            packed = ormsgpack.packb(message, None, _PLAIN_ONLY)
        except TypeError:
            if not _is_plain_or_foreign(message):
                message = plain_copy(message, "CBOR")
            return cbor2.dumps(copy_with(_wrapped, message), default=_encode_foreign)
        # A binary value may be a memoryview, which cbor2 would write as a list.
        if any(header in packed for header in _BINARY_HEADERS):
            message = ormsgpack.unpackb(packed)
        return cbor2.dumps(message)

    def exceeds_containers(self, data: Encoded, most: int) -> bool:
        """Return whether a serialized message has more than ``most`` lists and dicts."""
        return not isinstance(data, str) and cbor_exceeds(bytes(data), most)

    def decode(self, data: Encoded) -> object:
        """Deserialize bytes.

        Raises RemoteProtocolError for invalid CBOR and deep nesting, and UnsupportedValue for a value that
        cannot be passed on.
        """
        if isinstance(data, str):
            raise RemoteProtocolError("CBOR messages must be binary, got text")
        pair = b"".join((_PAIR, data, _END_ENCODED))
        budget, tags = Budget(), TAGS
        if len(data) > _FEW_TAGS and count_bytes(pair, _TAG_HEADERS) > _FEW_TAGS:
            tags = limited_tags(budget)
        try:
            decoded, end = cbor2.loads(
                pair,
                tag_hook=refuse_tag,
                semantic_decoders=tags,
                max_depth=_MAX_DEPTH,
                allow_duplicate_keys=False,
                # Keys of other types could be chosen to collide, so that reading a dict takes minutes.
                strict_hashable_types=True,
            )
        except cbor2.CBORDecodeError:
            return CBORReader(bytes(data), budget).read()
        # A trailing tag would apply to the end marker.
        if type(end) is not list or end != _END:
            raise RemoteProtocolError("malformed CBOR: extra data after the message")
        if _UNDEFINED in data:
            decoded = _replace_undefined(decoded)
        try:
            ormsgpack.packb(decoded, None, _PLAIN_ONLY)
        except TypeError:
            if not _is_plain_or_foreign(decoded):
                return CBORReader(bytes(data), budget).read()
        return decoded


def _is_plain_or_foreign(message: object) -> bool:
    """Return whether a message consists of plain and foreign values only."""
    try:
        ormsgpack.packb(message, _foreign_content, _PLAIN_OR_FOREIGN)
    except TypeError:
        return False
    return True


def _foreign_content(value: object) -> object:
    """Return the values inside a foreign value, to be checked as well; raise TypeError for other values."""
    if isinstance(value, ForeignList):
        return list(value)
    if isinstance(value, ForeignDict):
        return dict(value)
    if isinstance(value, ForeignText | ForeignBytes) or type(value) is int:
        return None
    raise TypeError


def _replace_undefined(decoded: object) -> object:
    """Replace every ``undefined`` with None, in place. Not recursive, because peers choose the depth."""
    outermost: list[Any] = [decoded]
    waiting: list[Any] = [outermost]
    while waiting:
        container = waiting.pop()
        items = container.values() if isinstance(container, dict) else container
        # Most lists have none, and looking at their types takes a third of the time of a loop.
        types = set(map(type, items))
        if _UNDEFINED_TYPE in types and isinstance(container, dict):
            container.update({key: None for key, item in container.items() if item is cbor2.undefined})
        elif _UNDEFINED_TYPE in types:
            container[:] = [None if item is cbor2.undefined else item for item in container]
        if any(issubclass(kind, list | dict) for kind in types):
            waiting += [item for item in items if isinstance(item, list | dict)]
    return outermost[0]


# Foreign values


class _Foreign:
    """A foreign value, for the hook of cbor2.

    With a table of encoders by type, cbor2 takes four times as long for all other values.
    """

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def _wrapped(value: object) -> object:
    # CBOR has integers of any size.
    return value if isinstance(value, int) else _Foreign(value)


def _encode_foreign(encoder: cbor2.CBOREncoder, foreign: _Foreign) -> None:
    _ENCODERS[type(foreign.value)](encoder, foreign.value)


def _encode_text(encoder: cbor2.CBOREncoder, value: ForeignText) -> None:
    if value.origin == "cbor":
        tag, content = value.original
        encoder.encode_semantic(tag, content)
    else:
        encoder.encode_string(str(value))


def _encode_bytes(encoder: cbor2.CBOREncoder, value: ForeignBytes) -> None:
    # No value of CBOR is decoded to ForeignBytes.
    encoder.encode_bytes(bytes(value))


def _encode_list(encoder: cbor2.CBOREncoder, value: ForeignList) -> None:
    if value.origin == "cbor":
        encoder.write(value.prefix)
    encoder.encode_array(list(value))


def _encode_dict(encoder: cbor2.CBOREncoder, value: ForeignDict) -> None:
    is_cbor = value.origin == "cbor"
    if is_cbor:
        encoder.write(value.prefix)
    # Not as a dict with the original keys, which can be chosen to collide.
    encoder.encode_length(5, len(value))
    for key, item in value.items():
        encoded = value.keys_encoded.get(key) if is_cbor else None
        if encoded is None:
            encoder.encode_string(key)
        else:
            encoder.write(encoded)
        encoder.encode(item)


_ENCODERS: Final[dict[type, Any]] = {
    ForeignText: _encode_text,
    ForeignBytes: _encode_bytes,
    ForeignList: _encode_list,
    ForeignDict: _encode_dict,
}
