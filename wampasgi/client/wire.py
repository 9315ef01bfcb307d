"""The interface between a session and what carries its messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Protocol

from wampasgi.client.waiting import Sendable

if TYPE_CHECKING:
    # They import pydantic, which takes longer than the client.
    from wampasgi.serializers.base import Encoded
    from wampasgi.serializers.subprotocols import Subprotocol


class WireClosed(Exception):
    """The connection has ended, with the close ``code`` if there was one."""

    def __init__(self, text: str, *, code: int | None = None) -> None:
        super().__init__(text)
        self.code = code


class Wire(Protocol):
    """An open connection."""

    @property
    def subprotocol(self) -> Subprotocol:
        """The negotiated subprotocol."""

    def put(self, message: Encoded, request: Sendable | None = None) -> Awaitable[None] | None:
        """Send a serialized message after those that were put before.

        Returns None or, if too much is unsent, an awaitable that waits for room; the message is sent anyway.
        Sets ``request.sent`` when the message may have left. Raises WireClosed, and so may the awaitable.
        """

    def put_nowait(self, message: Encoded) -> None:
        """Send a serialized message even if too much is unsent. Drop it if the connection has ended."""

    async def receive(self) -> Encoded:
        """Return the next frame, during the opening handshake. Raises WireClosed."""

    async def run(self, received: Callable[[Encoded], None]) -> None:
        """Pass all further frames to ``received`` until the connection ends. Raises WireClosed then."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection after everything was sent, and return soon if the peer does not answer."""


class Transport(Protocol):
    """Opens connections to one server."""

    @property
    def description(self) -> str:
        """A name of the server for error messages, such as its URL."""

    def open(self, timeout: float | None) -> AbstractAsyncContextManager[Wire]:
        """Open a connection. Leaving the context ends it. Raises ConnectFailed."""
