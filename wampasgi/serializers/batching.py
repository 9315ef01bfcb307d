"""Batches: several messages in one WebSocket message.

A text message ends with a record separator. A binary message begins with its length, four bytes in big-endian
order. A batch contains at least one message.

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
    """Join serialized messages into a batch."""
    if not frames:
        raise LocalProtocolError("a batch must contain at least one message, got none")
    if binary:
        parts: list[bytes] = []
        for frame in cast("Sequence[bytes]", frames):
            parts += (len(frame).to_bytes(_LENGTH, "big"), frame)
        return b"".join(parts)
    return _SEPARATOR.join((*cast("Sequence[str]", frames), ""))


def split(data: Encoded, *, binary: bool) -> Sequence[Encoded]:
    """Split a batch into serialized messages.

    Raises RemoteProtocolError if the batch is empty, malformed or of the wrong type, text or binary.
    """
    if not data:
        raise RemoteProtocolError("a batch must contain at least one message, got an empty batch")
    if isinstance(data, str):
        if binary:
            raise RemoteProtocolError("batches of this subprotocol must be binary, got text")
        return _split_text(data)
    if not binary:
        raise RemoteProtocolError("batches of this subprotocol must be text, got binary")
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
            raise RemoteProtocolError(f"truncated batch: the message at byte {start} is incomplete")
        frames.append(data[begin:end])
        start = end
    return frames
