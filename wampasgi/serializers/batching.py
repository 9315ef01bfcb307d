"""Several messages in one WebSocket message.

Text messages each end with a record separator; binary ones each begin with their length, four bytes, big
end first. A batch holds one message or more.

Spec: Advanced Profile, "Message Batching".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from wampasgi.errors import LocalProtocolError, RemoteProtocolError
from wampasgi.serializers.base import Encoded

_SEPARATOR: Final = "\x1e"
_LENGTH: Final = 4


def join(frames: Sequence[Encoded], *, binary: bool) -> Encoded:
    """Put serialized messages into a batch."""
    if not frames:
        raise LocalProtocolError("a batch must hold one message or more, got none")
    if binary:
        parts: list[bytes] = []
        for frame in cast("Sequence[bytes]", frames):
            parts += (len(frame).to_bytes(_LENGTH, "big"), frame)
        return b"".join(parts)
    return _SEPARATOR.join((*cast("Sequence[str]", frames), ""))


def split(data: Encoded, *, binary: bool) -> Sequence[Encoded]:
    """Take a batch apart, into serialized messages.

    RemoteProtocolError for one that is empty or malformed, or text instead of binary and the reverse.
    """
    if not data:
        raise RemoteProtocolError("a batch must hold one message or more, got an empty one")
    if isinstance(data, str):
        if binary:
            raise RemoteProtocolError("batches of this subprotocol are binary, this one is text")
        return _split_text(data)
    if not binary:
        raise RemoteProtocolError("batches of this subprotocol are text, this one is binary")
    return _split_bytes(data)


def _split_text(data: str) -> list[str]:
    *frames, rest = data.split(_SEPARATOR)
    if rest:
        raise RemoteProtocolError("a batch must end with a record separator, U+001E")
    return frames


def _split_bytes(data: bytes) -> list[bytes]:
    frames = []
    start = 0
    while start < len(data):
        begin = start + _LENGTH
        end = begin + int.from_bytes(data[start:begin], "big")
        if begin > len(data) or end > len(data):
            raise RemoteProtocolError(f"a batch ends within the message, or its length, at byte {start}")
        frames.append(data[begin:end])
        start = end
    return frames
