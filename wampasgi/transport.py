"""A WebSocket seen as a stream of WAMP messages."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence

from wampasgi.errors import PAYLOAD_SIZE_EXCEEDED, RemoteProtocolError
from wampasgi.serializers import Subprotocol
from wampasgi.types import ASGIEvent, RawMessage, Receive, Send

_MAX_CLOSE_REASON = 123


class Disconnected(Exception):
    """The WebSocket is gone; ``code`` is its close code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"WebSocket disconnected with code {code}")
        self.code = code


class WebSocketTransport:
    """Reads and writes WAMP messages on an accepted WebSocket.

    ``receive`` and ``send`` are the ASGI callables of the inner contract, for scope type ``wamp``;
    ``receive_message`` and ``write`` do the same without a dict around each message.
    """

    __slots__ = (
        "_decode",
        "_key",
        "_receive",
        "_received",
        "_send",
        "closed",
        "message_size",
        "subprotocol",
    )

    def __init__(self, receive: Receive, send: Send, subprotocol: Subprotocol) -> None:
        self._receive = receive
        self._send = send
        self._received: deque[object] = deque()
        self._decode = None if subprotocol.batched else subprotocol.serializer.decode
        self._key = "bytes" if subprotocol.serializer.binary else "text"
        self.subprotocol = subprotocol
        #: The largest WebSocket message that is read, in bytes.
        self.message_size = sys.maxsize
        #: No more can be written: the WebSocket was closed by either side.
        self.closed = False

    async def receive_message(self) -> object:
        """The next message as it was decoded, not validated yet.

        Raises Disconnected at the end of the connection and RemoteProtocolError for a frame that is of the
        wrong type, too large, or malformed.
        """
        if self._received:
            return self._received.popleft()
        event = await self._receive()
        if event["type"] != "websocket.receive":
            self.closed = True
            raise Disconnected(event.get("code") or 1005)
        data = event.get(self._key)
        if data is None:
            expected = "binary" if self._key == "bytes" else "text"
            raise RemoteProtocolError(f"{self.subprotocol.name} takes {expected} WebSocket messages only")
        if _size(data) > self.message_size:
            raise RemoteProtocolError(
                f"a WebSocket message of {_size(data)} bytes is over the limit of {self.message_size}",
                uri=PAYLOAD_SIZE_EXCEEDED,
            )
        if self._decode is not None:
            return self._decode(data)
        self._received.extend(self.subprotocol.messages(data))
        return self._received.popleft()

    async def write(self, encoded: Sequence[str | bytes]) -> None:
        """Send messages that the serializer has encoded; a batched subprotocol packs them into one frame."""
        if self.closed:
            return
        try:
            if self.subprotocol.batched:
                await self._send({"type": "websocket.send", self._key: self.subprotocol.frame(encoded)})
                return
            for data in encoded:
                await self._send({"type": "websocket.send", self._key: data})
        except OSError:
            # The ASGI specification's word for a peer that has gone; the reader gets its disconnect event.
            self.closed = True

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the WebSocket; does nothing where it is closed already.

        ``reason`` is cut to the 123 bytes that a close frame has room for (RFC 6455, section 5.5).
        """
        if self.closed:
            return
        self.closed = True
        reason = reason.encode()[:_MAX_CLOSE_REASON].decode(errors="ignore")
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError:
            return

    async def receive(self) -> ASGIEvent:
        """ASGI ``receive`` of the inner contract: a ``wamp.message`` or ``wamp.disconnect`` event."""
        try:
            return {"type": "wamp.message", "message": await self.receive_message()}
        except Disconnected as disconnected:
            return {"type": "wamp.disconnect", "code": disconnected.code}

    async def send(self, event: ASGIEvent) -> None:
        """ASGI ``send`` of the inner contract: takes ``wamp.message`` and ``wamp.close`` events."""
        if event["type"] == "wamp.message":
            message: RawMessage = event["message"]
            await self.write((self.subprotocol.serializer.encode(message),))
        elif event["type"] == "wamp.close":
            await self.close(event.get("code", 1000), event.get("reason", ""))
        else:
            raise ValueError(
                f"send() got an event of type {event['type']!r}: a wamp scope takes "
                f"'wamp.message' and 'wamp.close'"
            )


def _size(data: str | bytes) -> int:
    """The size on the wire; telling whether a text is ASCII costs nothing, its length is its size then."""
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())
