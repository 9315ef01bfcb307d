"""A WebSocket seen as a stream of WAMP messages."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Sequence

from wampasgi.errors import PAYLOAD_SIZE_EXCEEDED, RemoteProtocolError
from wampasgi.limits import Limits
from wampasgi.metrics import Counts
from wampasgi.peers.transport import GONE, Disconnected, size_on_wire
from wampasgi.serializers import Subprotocol, check_nesting
from wampasgi.types import ASGIEvent, RawMessage, Receive, Send

_MAX_CLOSE_REASON = 123


class WebSocketTransport:
    """Reads and writes WAMP messages on an accepted WebSocket.

    ``receive`` and ``send`` are the ASGI callables of the inner contract, for scope type ``wamp``;
    ``receive_event`` with ``decode``, and ``write``, do the same without a dict around each message.
    """

    __slots__ = (
        "_batched",
        "_binary",
        "_decode",
        "_handshake_size",
        "_harmless_length",
        "_key",
        "_limits",
        "_send",
        "_waiting",
        "closed",
        "counts",
        "long_size",
        "receive_event",
        "subprotocol",
    )

    def __init__(self, receive: Receive, send: Send, subprotocol: Subprotocol, counts: Counts) -> None:
        #: The ASGI server's own; what it gives is for ``decode``.
        self.receive_event = receive
        self._send = send
        #: Where what is read and written is counted.
        self.counts = counts
        # Messages of a batched frame that come before the next event, the last one first. Each is decoded in
        # its turn, for there can be hundreds of thousands.
        self._waiting: list[str | bytes] = []
        self._batched = subprotocol.batched
        self._decode = subprotocol.serializer.decode
        self._binary = subprotocol.serializer.binary
        self._key = "bytes" if subprotocol.serializer.binary else "text"
        self.subprotocol = subprotocol
        self._limits: Limits | None = None
        # Bytes of HELLO or AUTHENTICATE, as long as these are what comes.
        self._handshake_size = sys.maxsize
        self._harmless_length: float = sys.maxsize
        #: The bytes of the last message if it is so long that it may break a limit; who looks resets it.
        self.long_size = 0
        #: No more can be written: the WebSocket was closed by either side.
        self.closed = False

    def set_limits(self, limits: Limits, *, handshake: bool = False) -> None:
        """Hold what is read from now on to ``message_size``, ``nesting_depth`` and ``uri_length``.

        During the ``handshake`` ``handshake_size`` holds, too, for each message of a batch by itself.
        """
        self._limits = limits
        self._handshake_size = limits.handshake_size if handshake else sys.maxsize
        # What is no longer than this cannot break any of them: no character takes more than four bytes, and
        # each level takes one character at least. So most messages cost one comparison.
        most = max(limits.requests_in_flight, limits.routed_calls, limits.events_waiting)
        # And so many as may wait keep ``requests_bytes``, too.
        lengths = (
            min(limits.message_size, self._handshake_size) // 4,
            limits.nesting_depth,
            limits.uri_length,
            limits.requests_bytes // most,
        )
        self._harmless_length = min(length for length in lengths if length is not None)

    def decode(self, event: ASGIEvent) -> object:
        """The message, or the first one, of a WebSocket event, not validated yet.

        Raises Disconnected at the end of the connection and RemoteProtocolError for a frame that is of the
        wrong type, too large, or malformed.
        """
        if event["type"] != "websocket.receive":
            self.closed = True
            raise Disconnected(event.get("code") or 1005)
        data = event.get(self._key)
        if data is None:
            expected = "binary" if self._key == "bytes" else "text"
            raise RemoteProtocolError(f"{self.subprotocol.name} takes {expected} WebSocket messages only")
        # Telling whether a text is ASCII costs nothing, and its length is its size then.
        length = len(data)
        self.counts.bytes_received += length if self._binary or data.isascii() else size_on_wire(data)
        if length <= self._harmless_length and not self._batched:
            return self._decode(data)
        if length > self._harmless_length:
            self._check_size(data)
        self._waiting = list(reversed(self.subprotocol.split(data)))
        return self._next()

    def _check_size(self, data: str | bytes) -> None:
        assert self._limits is not None, "without limits no length is too long"
        most = self._limits.message_size
        if 4 * len(data) > most and size_on_wire(data) > most:
            raise _too_large("WebSocket message", size_on_wire(data), "message_size", most)

    def _decode_long(self, data: str | bytes) -> object:
        self.long_size = size_on_wire(data)
        if self.long_size > self._handshake_size:
            raise _too_large("message before WELCOME", self.long_size, "handshake_size", self._handshake_size)
        message = self._decode(data)
        depth = None if self._limits is None else self._limits.nesting_depth
        if depth is not None and len(data) > depth:
            check_nesting(message, depth)
        return message

    def _next(self) -> object:
        data = self._waiting.pop()
        return self._decode(data) if len(data) <= self._harmless_length else self._decode_long(data)

    def write_one(self, encoded: str | bytes, size: int) -> Awaitable[None]:
        """What sends one encoded message when it is awaited; raises one of ``GONE`` where the peer has gone.

        Not a coroutine of its own: this is how nearly all messages go out.
        """
        if self._batched:
            encoded = self.subprotocol.frame((encoded,))
            size = size_on_wire(encoded)
        self.counts.bytes_sent += size
        return self._send({"type": "websocket.send", self._key: encoded})

    async def write(self, encoded: Sequence[str | bytes], size: int) -> None:
        """Send messages that the serializer has encoded, ``size`` bytes in all.

        A batched subprotocol packs them into one frame.
        """
        if self.closed:
            return
        if self._batched:
            encoded = (self.subprotocol.frame(encoded),)
            size = size_on_wire(encoded[0])
        self.counts.bytes_sent += size
        send, key = self._send, self._key
        try:
            for data in encoded:
                await send({"type": "websocket.send", key: data})
        except GONE:
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
        except GONE:
            return

    async def receive(self) -> ASGIEvent:
        """ASGI ``receive`` of the inner contract: a ``wamp.message`` or ``wamp.disconnect`` event."""
        try:
            message = self._next() if self._waiting else self.decode(await self.receive_event())
            return {"type": "wamp.message", "message": message}
        except Disconnected as disconnected:
            return {"type": "wamp.disconnect", "code": disconnected.code}

    async def send(self, event: ASGIEvent) -> None:
        """ASGI ``send`` of the inner contract: takes ``wamp.message`` and ``wamp.close`` events."""
        if event["type"] == "wamp.message":
            message: RawMessage = event["message"]
            encoded = self.subprotocol.serializer.encode(message)
            await self.write((encoded,), size_on_wire(encoded))
        elif event["type"] == "wamp.close":
            await self.close(event.get("code", 1000), event.get("reason", ""))
        else:
            raise ValueError(
                f"send() got an event of type {event['type']!r}: a wamp scope takes "
                f"'wamp.message' and 'wamp.close'"
            )


def _too_large(what: str, size: int, limit: str, most: int) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"a {what} of {size} bytes is over the limit {limit} of {most}", uri=PAYLOAD_SIZE_EXCEEDED
    )
