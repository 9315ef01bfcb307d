"""The interface of a transport: a connection that carries serialized WAMP messages."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import Any, Final, Protocol, TypeAlias

from wampasgi.peers.frames import FrameSink, FrameSource

#: A serialized message or, on a batched transport, several of them.
Data: TypeAlias = str | bytes

#: The exceptions of an ASGI server's ``send`` when the client has gone. The ASGI specification names OSError;
#: uvicorn raises RuntimeError between the client's close frame and its disconnect event.
GONE: Final = (OSError, RuntimeError)


class Disconnected(Exception):
    """The connection is gone; ``code`` is its close code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        return f"the connection is closed, with code {self.code}"


class Transport(Protocol):
    """A connection that carries serialized WAMP messages both ways, in order.

    WebSocket, RawSocket, long-poll and in-memory connections are transports. A
    :class:`~wampasgi.peers.message_stream.MessageStream` adds serialization, batches and limits.
    """

    @property
    def source(self) -> FrameSource | None:
        """The direct way of messages from the client, if there is one."""

    @property
    def sink(self) -> FrameSink | None:
        """The direct way of messages to the client, if there is one."""

    def receive_event(self) -> Awaitable[Any]:
        """Wait for the next event of the connection, which is for ``data``."""

    @property
    def closed(self) -> bool:
        """Return whether either side has closed the connection, so that nothing more can be written."""

    @property
    def messages_written(self) -> int:
        """The number of messages that ``write`` has written."""

    def data(self, event: Any) -> Data:
        """Return the data of an event from ``receive_event``.

        Raises Disconnected at the end of the connection, and RemoteProtocolError for data of a type that the
        connection does not carry.
        """

    def write_one(self, data: Data) -> Awaitable[None]:
        """Return an awaitable that sends ``data``. It raises one of ``GONE`` if the client has gone."""

    async def write(self, data: Sequence[Data]) -> None:
        """Send several pieces of data in order. Does nothing if the client has gone."""

    async def close(self, reason: str = "", *, code: int | None = None) -> None:
        """Close the connection. Does nothing if it is closed already.

        ``reason`` is the URI of the reason, and ``code`` a close code of the transport; by default the
        transport derives the code from the reason.
        """


def size_on_wire(data: Data) -> int:
    """Return the size of a serialized message in bytes, without the framing of the transport."""
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())
