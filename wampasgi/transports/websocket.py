"""The WebSocket transport, over an ASGI server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from wampasgi.addresses import client_address
from wampasgi.errors import (
    PAYLOAD_SIZE_EXCEEDED,
    PROTOCOL_VIOLATION,
    RUNTIME_ERROR,
    SYSTEM_SHUTDOWN,
    RemoteProtocolError,
)
from wampasgi.logs import escaped, fields, logger_named
from wampasgi.peers.frames import FrameSink, FrameSource
from wampasgi.peers.transport import GONE, Data, Disconnected
from wampasgi.router.admission import Place
from wampasgi.serializers import Subprotocol, negotiate
from wampasgi.sessions.opening import SessionOpener
from wampasgi.transports import close_codes
from wampasgi.transports.frame_channel import frame_channel
from wampasgi.transports.origins import OriginPolicy
from wampasgi.types import Receive, Scope, Send

logger = logger_named("wampasgi.session")

#: The close codes for the reasons of an abnormal end.
_CLOSE_CODES: Final = {
    SYSTEM_SHUTDOWN: close_codes.SERVICE_RESTART,
    PROTOCOL_VIOLATION: close_codes.PROTOCOL_ERROR,
    PAYLOAD_SIZE_EXCEEDED: close_codes.MESSAGE_TOO_BIG,
    RUNTIME_ERROR: close_codes.INTERNAL_ERROR,
}


class WebSocketTransport:
    """An accepted WebSocket. The ``subprotocol`` decides if its messages are text or binary."""

    __slots__ = (
        "_key",
        "_send",
        "_subprotocol",
        "closed",
        "messages_written",
        "receive_event",
        "sink",
        "source",
    )

    def __init__(self, receive: Receive, send: Send, subprotocol: Subprotocol) -> None:
        #: Waits for the next event, which is for ``data``.
        self.receive_event: Callable[[], Awaitable[Any]] = receive
        self._send = send
        self._subprotocol = subprotocol.name
        self._key = "bytes" if subprotocol.serializer.binary else "text"
        #: True if either side has closed the WebSocket.
        self.closed = False
        #: The number of messages that ``write`` has written.
        self.messages_written = 0
        #: The direct ways of messages, if there are any.
        self.source: FrameSource | None = None
        self.sink: FrameSink | None = None

    def data(self, event: Any) -> Data:
        """Return the data of a WebSocket event.

        Raises Disconnected if the event ends the connection, and RemoteProtocolError for a text message if
        the subprotocol is binary, or the reverse.
        """
        if event["type"] != "websocket.receive":
            self.closed = True
            raise Disconnected(event.get("code") or close_codes.NO_CODE)
        data: Data | None = event.get(self._key)
        if data is None:
            raise self._wrong_type()
        return data

    def _wrong_type(self) -> RemoteProtocolError:
        expected = "binary" if self._key == "bytes" else "text"
        return RemoteProtocolError(f"{self._subprotocol} takes only {expected} WebSocket messages")

    def write_one(self, data: Data) -> Awaitable[None]:
        """Return an awaitable that sends one WebSocket message."""
        return self._send({"type": "websocket.send", self._key: data})

    async def write(self, data: Sequence[Data]) -> None:
        """Send WebSocket messages in order. Do nothing if the connection is closed."""
        if self.closed:
            return
        send, key = self._send, self._key
        try:
            for message in data:
                await send({"type": "websocket.send", key: message})
                self.messages_written += 1
        except GONE:
            self.closed = True

    async def close(self, reason: str = "", *, code: int | None = None) -> None:
        """Close the WebSocket. Do nothing if it is already closed.

        By default, the reason decides the close code. The reason is truncated to the size of a close frame.
        """
        if self.closed:
            return
        self.closed = True
        if code is None:
            code = _CLOSE_CODES.get(reason, close_codes.NORMAL)
        reason = close_codes.shortened(reason)
        try:
            await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except GONE:
            return


class DirectWebSocketTransport(WebSocketTransport):
    """An accepted WebSocket whose messages do not come as events, but as they are."""

    __slots__ = ("_type",)

    def __init__(self, source: FrameSource, send: Send, subprotocol: Subprotocol) -> None:
        super().__init__(source.receive, send, subprotocol)
        self.source = source
        self._type: type[Data] = bytes if subprotocol.serializer.binary else str

    def data(self, event: Any) -> Data:
        """Return the data itself, or raise as WebSocketTransport does."""
        if type(event) is self._type:
            return event
        if isinstance(event, (str, bytes)):
            raise self._wrong_type()
        return super().data(event)


def _transport(scope: Scope, receive: Receive, send: Send, subprotocol: Subprotocol) -> WebSocketTransport:
    """Return the transport of an accepted WebSocket, with the direct ways that the server offers."""
    channel = frame_channel(scope)
    if channel is None:
        return WebSocketTransport(receive, send, subprotocol)
    transport: WebSocketTransport
    # A callable that a middleware has wrapped must be used.
    if channel.receive == receive:
        transport = DirectWebSocketTransport(channel.source, send, subprotocol)
    else:
        transport = WebSocketTransport(receive, send, subprotocol)
    if channel.send == send:
        transport.sink = channel.sink(binary=subprotocol.serializer.binary)
    return transport


class WebSocketEndpoint:
    """The ASGI app for the scope type ``websocket``. It accepts WebSockets that speak WAMP.

    ``subprotocols`` are the supported subprotocols, by name. ``origins`` decides which web sites may connect.
    ``opener`` serves the sessions.
    """

    def __init__(
        self, opener: SessionOpener, *, subprotocols: Mapping[str, Subprotocol], origins: OriginPolicy
    ) -> None:
        self._opener = opener
        self._subprotocols = subprotocols
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one WebSocket, with one session after the other, until it is closed."""
        pending = self._opener.enter(scope.get("client"))
        if isinstance(pending, str):
            await self._refuse_connection(scope, receive, send, pending)
            return
        try:
            await self._serve(scope, receive, send, pending)
        finally:
            pending.leave()

    async def _serve(self, scope: Scope, receive: Receive, send: Send, pending: Place) -> None:
        await receive()  # websocket.connect
        refusal = self._origins.refusal(scope)
        if refusal is not None:
            await self._refuse_origin(scope, send, refusal)
            return
        offered = scope.get("subprotocols") or []
        subprotocol = negotiate(offered, self._subprotocols)
        if subprotocol is None:
            await self._refuse_subprotocols(scope, send, offered)
            return
        await send({"type": "websocket.accept", "subprotocol": subprotocol.name})
        await self._opener.serve(scope, _transport(scope, receive, send, subprotocol), subprotocol, pending)

    async def _refuse_connection(self, scope: Scope, receive: Receive, send: Send, reason: str) -> None:
        address = client_address(scope.get("client"))
        logger.warning(
            "WebSocket handshake of %s refused: %s", address, reason, extra=fields(None, None, client=address)
        )
        await receive()  # websocket.connect
        close = (close_codes.TRY_AGAIN_LATER, "too many connections")
        await _deny(scope, send, 503, "Too many connections are being opened. Try again later.", close=close)

    async def _refuse_origin(self, scope: Scope, send: Send, refusal: str) -> None:
        address = client_address(scope.get("client"))
        logger.warning(
            "WebSocket handshake of %s refused: %s",
            address,
            refusal,
            extra=fields(None, None, client=address),
        )
        text = "Pages of this origin may not connect. The log of the server says how to allow it."
        await _deny(scope, send, 403, text, close=(close_codes.POLICY_VIOLATION, "origin not allowed"))

    async def _refuse_subprotocols(self, scope: Scope, send: Send, offered: Sequence[str]) -> None:
        supported, address = ", ".join(self._subprotocols), client_address(scope.get("client"))
        logger.warning(
            "WebSocket handshake of %s refused: it offers the subprotocols [%s], the server speaks [%s]",
            address,
            escaped(", ".join(offered)),
            supported,
            extra=fields(None, None, client=address),
        )
        text = f"This is a WAMP endpoint. Offer one of the WebSocket subprotocols {supported}."
        close = (close_codes.PROTOCOL_ERROR, "no common subprotocol")
        await _deny(scope, send, 400, text, close=close)


async def _deny(scope: Scope, send: Send, status: int, text: str, *, close: tuple[int, str]) -> None:
    """Answer a handshake with an HTTP response.

    A server without the extension for it gets ``close``, a code and a reason, and sends 403 to the client.
    """
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        code, reason = close
        await send({"type": "websocket.close", "code": code, "reason": reason})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": f"{text}\n".encode()})
