"""WAMP messages on a transport: serialization, batches and the limits for received messages."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Sequence
from typing import Any, Final, Literal

from wampasgi.addresses import client_address
from wampasgi.errors import PAYLOAD_SIZE_EXCEEDED, RemoteProtocolError
from wampasgi.limits import Limits
from wampasgi.metrics import Counts
from wampasgi.peers.frames import FrameSink, FrameSource
from wampasgi.peers.transport import Data, Disconnected, Transport, size_on_wire
from wampasgi.serializers import Subprotocol, check_nesting, decoded_exceeds, values_exceed
from wampasgi.types import ASGIEvent, RawMessage

#: The number of elements that a message of any type has at most.
_MOST_ELEMENTS: Final = 7


class MessageStream:
    """Reads and writes the messages of one connection, session after session.

    ``receive`` and ``send`` are the ASGI callables of the inner contract, for scope type ``wamp``.
    ``receive_event`` with ``decode``, and ``write_one`` and ``write``, do the same without wrapping each
    message in a dict. ``client`` is the client in the ASGI scope, for the log.
    """

    __slots__ = (
        "_batched",
        "_client",
        "_data",
        "_decode",
        "_handshake_size",
        "_harmless_length",
        "_limits",
        "_waiting",
        "_write_one",
        "counts",
        "long_size",
        "receive_event",
        "subprotocol",
        "transport",
    )

    def __init__(
        self,
        transport: Transport,
        subprotocol: Subprotocol,
        counts: Counts,
        *,
        client: Sequence[Any] | None = None,
    ) -> None:
        self.transport = transport
        self.subprotocol = subprotocol
        #: Counters of the bytes read and written.
        self.counts = counts
        self._client = client
        #: Waits for the next event of the transport, to be passed to ``decode``.
        self.receive_event = transport.receive_event
        self._data = transport.data
        self._write_one = transport.write_one
        self._decode = subprotocol.serializer.decode
        self._batched = subprotocol.batched
        # The messages of a batch that have not been read yet, last one first. They are decoded one by one,
        # because a batch can hold hundreds of thousands.
        # None on connections without batches.
        self._waiting: list[Data] | None = None
        self._limits: Limits | None = None
        # The maximum size of a message during the handshake, in bytes.
        self._handshake_size = sys.maxsize
        self._harmless_length: float = sys.maxsize
        #: The size in bytes of the last message if it is so long that it may exceed a limit, or if all sizes
        #: count; the reader resets it.
        self.long_size = 0

    def set_limits(self, limits: Limits, *, handshake: bool = False) -> None:
        """Enforce the limits for a message and its contents from now on.

        During the ``handshake``, ``handshake_size`` applies to each message, too.
        """
        self._limits = limits
        self._handshake_size = limits.handshake_size if handshake else sys.maxsize
        # A message that is no longer than this cannot exceed any of the limits: a character takes at most
        # four bytes, and each level of nesting and each value takes at least one character. So most messages
        # cost one comparison.
        most = max(limits.requests_in_flight, limits.routed_calls, limits.events_waiting)
        # A full queue of such messages stays below ``requests_bytes``, too.
        lengths = (
            min(limits.message_size, self._handshake_size) // 4,
            limits.nesting_depth,
            limits.containers,
            limits.arguments,
            limits.values,
            limits.uri_length,
            limits.requests_bytes // most,
        )
        # For ``byte_rate``, the size of every message counts.
        is_counted = limits.byte_rate is not None
        self._harmless_length = 0 if is_counted else min(length for length in lengths if length is not None)

    @property
    def client_address(self) -> str | None:
        """The address of the client for the log, None if it is unknown."""
        return client_address(self._client)

    # The direct ways, which have no batches

    @property
    def source(self) -> FrameSource | None:
        """The direct way of messages from the client; its items are for ``decode``."""
        return None if self._batched else self.transport.source

    @property
    def sink(self) -> FrameSink | None:
        """The direct way of messages to the client."""
        return None if self._batched else self.transport.sink

    # Reading

    def decode(self, event: Any) -> object:
        """Return the message, or the first message of a batch, of an event; it is not validated yet.

        Raises Disconnected at the end of the connection, and RemoteProtocolError for data that is of the
        wrong type, too large, or malformed.
        """
        data = self._data(event)
        length = len(data)
        # isascii() is fast, and an ASCII text is as long as its encoded form.
        self.counts.bytes_received += length if type(data) is bytes or data.isascii() else size_on_wire(data)
        if length <= self._harmless_length and not self._batched:
            return self._decode(data)
        if length > self._harmless_length:
            self._check_size(data)
        self._waiting = list(reversed(self.subprotocol.split(data)))
        return self._next()

    def _check_size(self, data: Data) -> None:
        assert self._limits is not None, "without limits no length is too long"
        most = self._limits.message_size
        if 4 * len(data) > most and size_on_wire(data) > most:
            raise _too_large("WebSocket message", size_on_wire(data), "message_size", most)

    def _decode_long(self, data: Data) -> object:
        self.long_size = size_on_wire(data)
        if self.long_size > self._handshake_size:
            raise _too_large("message before WELCOME", self.long_size, "handshake_size", self._handshake_size)
        return self._decode(data) if self._limits is None else self._decode_checked(data, self._limits)

    def _decode_checked(self, data: Data, limits: Limits) -> object:
        """Decode a message whose contents may exceed a limit."""
        length = len(data)
        if limits.containers is None or length <= limits.containers:
            message = self._decode(data)
        else:
            message = self._decode_counted(data, limits.containers)
        if limits.arguments is not None and length > limits.arguments:
            _check_arguments(message, limits.arguments)
        if limits.values is not None and length > limits.values and values_exceed(message, limits.values):
            raise _too_many("values", limits.values)
        if limits.nesting_depth is not None and length > limits.nesting_depth:
            check_nesting(message, limits.nesting_depth)
        return message

    def _decode_counted(self, data: Data, containers: int) -> object:
        """Decode a message with at most so many lists and dicts."""
        exceeds = self.subprotocol.exceeds_containers
        message = None
        if exceeds is None:
            message = self._decode(data)
            too_many = decoded_exceeds(message, containers)
        else:
            too_many = exceeds(data, containers)
        if too_many:
            raise _too_many("containers", containers)
        return message if exceeds is None else self._decode(data)

    def _next(self) -> object:
        assert self._waiting, "there is a message left"
        data = self._waiting.pop()
        return self._decode(data) if len(data) <= self._harmless_length else self._decode_long(data)

    # Writing

    def write_one(self, encoded: Data, size: int) -> Awaitable[None]:
        """Return an awaitable that sends one serialized message.

        It raises one of ``GONE`` if the client has gone. Nearly all messages are sent this way, so it avoids
        a coroutine of its own.
        """
        if self._batched:
            encoded = self.subprotocol.frame((encoded,))
            size = size_on_wire(encoded)
        self.counts.bytes_sent += size
        return self._write_one(encoded)

    async def write(self, encoded: Sequence[Data], size: int) -> None:
        """Send serialized messages of ``size`` bytes in total; a batched subprotocol packs them together."""
        if self.transport.closed:
            return
        if self._batched:
            encoded = (self.subprotocol.frame(encoded),)
            size = size_on_wire(encoded[0])
        self.counts.bytes_sent += size
        await self.transport.write(encoded)

    # The inner ASGI contract

    async def receive(self) -> ASGIEvent:
        """ASGI ``receive``: return a ``wamp.message`` or ``wamp.disconnect`` event."""
        try:
            message = self._next() if self._waiting else self.decode(await self.receive_event())
            return {"type": "wamp.message", "message": message}
        except Disconnected as disconnected:
            return {"type": "wamp.disconnect", "code": disconnected.code}

    async def send(self, event: ASGIEvent) -> None:
        """ASGI ``send``: take a ``wamp.message`` or ``wamp.close`` event."""
        if event["type"] == "wamp.message":
            message: RawMessage = event["message"]
            encoded = self.subprotocol.serializer.encode(message)
            await self.write((encoded,), size_on_wire(encoded))
        elif event["type"] == "wamp.close":
            await self.transport.close(event.get("reason", ""), code=event.get("code", 1000))
        else:
            raise ValueError(
                f"send() got an event of type {event['type']!r}: a wamp scope takes "
                f"'wamp.message' and 'wamp.close'"
            )


def message_of(event: ASGIEvent) -> object:
    """Return the message of an event of the inner contract; raises Disconnected if it has none."""
    if event["type"] == "wamp.message":
        return event["message"]
    raise Disconnected(event.get("code", 1005))


def _too_large(what: str, size: int, limit: str, most: int) -> RemoteProtocolError:
    return RemoteProtocolError(
        f"a {what} of {size} bytes is over the limit {limit} of {most}", uri=PAYLOAD_SIZE_EXCEEDED
    )


def _check_arguments(message: object, most: int) -> None:
    """Raise RemoteProtocolError if the lists and dicts directly in a message have too many items."""
    beginning = message[:_MOST_ELEMENTS] if isinstance(message, list) else ()
    parts = [part for part in beginning if isinstance(part, list | dict)]
    if sum(map(len, parts)) > most:
        raise _too_many("arguments", most)


def _too_many(limit: Literal["arguments", "containers", "values"], most: int) -> RemoteProtocolError:
    what = "lists and dicts" if limit == "containers" else limit
    return RemoteProtocolError(
        f"a message has more {what} than the limit {limit} of {most}", uri=PAYLOAD_SIZE_EXCEEDED
    )
