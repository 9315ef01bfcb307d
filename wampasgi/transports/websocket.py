"""WAMP over WebSockets, as an ASGI server gives them to an application."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from typing import Final

from wampasgi.errors import (
    PAYLOAD_SIZE_EXCEEDED,
    PROTOCOL_VIOLATION,
    RUNTIME_ERROR,
    SYSTEM_SHUTDOWN,
    RemoteProtocolError,
)
from wampasgi.logs import escaped, fields, logger_named
from wampasgi.peers.transport import GONE, Data, Disconnected
from wampasgi.serializers import Subprotocol, negotiate
from wampasgi.sessions.opening import SessionOpener
from wampasgi.types import ASGIEvent, Receive, Scope, Send

logger = logger_named("wampasgi.session")

#: Bytes of the reason in a close frame (RFC 6455, section 5.5).
_MAX_CLOSE_REASON: Final = 123
#: The code of a connection that was closed without one (RFC 6455, section 7.1.5).
_NO_CODE: Final = 1005

#: Close codes (RFC 6455, section 7.4.1) of the reasons that are not a normal end.
_NORMAL: Final = 1000
_CLOSE_CODES: Final = {
    SYSTEM_SHUTDOWN: 1001,
    PROTOCOL_VIOLATION: 1002,
    PAYLOAD_SIZE_EXCEEDED: 1009,
    RUNTIME_ERROR: 1011,
}


class WebSocketTransport:
    """An accepted WebSocket, whose messages are text or binary as ``subprotocol`` says."""

    __slots__ = ("_key", "_send", "_subprotocol", "closed", "receive_event")

    def __init__(self, receive: Receive, send: Send, subprotocol: Subprotocol) -> None:
        #: The server's own ``receive``.
        self.receive_event = receive
        self._send = send
        self._subprotocol = subprotocol.name
        self._key = "bytes" if subprotocol.serializer.binary else "text"
        #: Whether either side has closed the WebSocket.
        self.closed = False

    def data(self, event: ASGIEvent) -> Data:
        """Return the data of a WebSocket event.

        Raises Disconnected at the end of the connection and RemoteProtocolError for a message of the wrong
        type, text or binary.
        """
        if event["type"] != "websocket.receive":
            self.closed = True
            raise Disconnected(event.get("code") or _NO_CODE)
        data: Data | None = event.get(self._key)
        if data is None:
            expected = "binary" if self._key == "bytes" else "text"
            raise RemoteProtocolError(f"{self._subprotocol} takes {expected} WebSocket messages only")
        return data

    def write_one(self, data: Data) -> Awaitable[None]:
        """Return what sends one WebSocket message when it is awaited."""
        return self._send({"type": "websocket.send", self._key: data})

    async def write(self, data: Sequence[Data]) -> None:
        """Send WebSocket messages in order; does nothing if the client has gone."""
        if self.closed:
            return
        send, key = self._send, self._key
        try:
            for message in data:
                await send({"type": "websocket.send", key: message})
        except GONE:
            self.closed = True

    async def close(self, reason: str = "", *, code: int | None = None) -> None:
        """Close the WebSocket; does nothing if it is closed already.

        The code is by default that of the reason. The reason is cut to the bytes that a close frame holds.
        """
        if self.closed:
            return
        self.closed = True
        if code is None:
            code = _CLOSE_CODES.get(reason, _NORMAL)
        reason = reason.encode()[:_MAX_CLOSE_REASON].decode(errors="ignore")
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except GONE:
            return


class WebSocketEndpoint:
    """The ASGI app of scope type ``websocket``: accepts WebSockets that speak WAMP.

    ``subprotocols`` are those to choose from, by name; ``opener`` serves the sessions.
    """

    def __init__(self, opener: SessionOpener, *, subprotocols: Mapping[str, Subprotocol]) -> None:
        self._opener = opener
        self._subprotocols = subprotocols

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket, session after session, until it is closed."""
        await receive()  # websocket.connect
        offered = scope.get("subprotocols") or []
        subprotocol = negotiate(offered, self._subprotocols)
        if subprotocol is None:
            await self._refuse(scope, send, offered)
            return
        await send({"type": "websocket.accept", "subprotocol": subprotocol.name})
        await self._opener.serve(scope, WebSocketTransport(receive, send, subprotocol), subprotocol)

    async def _refuse(self, scope: Scope, send: Send, offered: Sequence[str]) -> None:
        supported = ", ".join(self._subprotocols)
        logger.warning(
            "WebSocket handshake from %s refused: it offers the subprotocols [%s], this server speaks [%s]",
            scope.get("client"),
            escaped(", ".join(offered)),
            supported,
            extra=fields(None, None),
        )
        if "websocket.http.response" not in (scope.get("extensions") or {}):
            code = _CLOSE_CODES[PROTOCOL_VIOLATION]
            await send({"type": "websocket.close", "code": code, "reason": "no common subprotocol"})
            return
        body = f"This is a WAMP endpoint: offer one of the WebSocket subprotocols {supported}.\n".encode()
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        await send({"type": "websocket.http.response.start", "status": 400, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})
