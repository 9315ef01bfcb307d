"""The transport that a peer reads from and writes to."""

from __future__ import annotations

from typing import Final

#: What the server's ``send`` raises where the peer has gone. OSError is the ASGI specification's word;
#: uvicorn raises RuntimeError from the client's close frame on until it has given us its disconnect event,
#: which the reader gets either way.
GONE: Final = (OSError, RuntimeError)


class Disconnected(Exception):
    """The WebSocket is gone; ``code`` is its close code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"WebSocket disconnected with code {code}")
        self.code = code


def size_on_wire(data: str | bytes) -> int:
    """The bytes that an encoded message takes, without the WebSocket frame around it."""
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())
