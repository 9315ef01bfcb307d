"""The interface of a transport: a connection that carries serialized WAMP messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias

#: A serialized message or, on a batched transport, several of them.
Data: TypeAlias = str | bytes

#: Raised by an ASGI server's ``send`` when the client has gone. The ASGI specification says OSError; uvicorn
#: raises RuntimeError from the client's close frame on, until it has delivered its disconnect event.
GONE: Final = (OSError, RuntimeError)


class Disconnected(Exception):
    """The connection is gone; ``code`` is its close code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"the connection is closed, with code {code}")
        self.code = code


class Transport(Protocol):
    """A connection that carries serialized WAMP messages both ways, in order.

    A WebSocket is one; RawSocket, long-poll and connections in memory are others. Serialization, batches and
    limits are not its business: a :class:`~wampasgi.peers.message_stream.MessageStream` takes care of these.
    """

    #: Waits for the next event of the connection, which is for ``data``.
    receive_event: Callable[[], Awaitable[Any]]

    @property
    def closed(self) -> bool:
        """Whether either side has closed the connection, so that nothing more can be written."""

    def data(self, event: Any) -> Data:
        """Return the data of an event from ``receive_event``.

        Raises Disconnected at the end of the connection, and RemoteProtocolError for data of a kind that the
        connection does not carry.
        """

    def write_one(self, data: Data) -> Awaitable[None]:
        """Return what sends ``data`` when awaited; that raises one of ``GONE`` if the client has gone."""

    async def write(self, data: Sequence[Data]) -> None:
        """Send several pieces of data in order; does nothing if the client has gone."""

    async def close(self, reason: str = "", *, code: int | None = None) -> None:
        """Close the connection; does nothing if it is closed already.

        ``reason`` is the URI of the reason, and ``code`` a close code of the transport's own; by default the
        transport chooses the code that fits the reason.
        """


def size_on_wire(data: Data) -> int:
    """Return the bytes of a serialized message, without the frame of the transport around it."""
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode())
