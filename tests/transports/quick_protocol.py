"""The WebSocket protocols of the tests with a short timeout for the closing handshake."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from wampasgi.transports.picows import WebSocketProtocol

#: In seconds.
CLOSE_TIMEOUT = 0.2


class QuickProtocol(WebSocketProtocol):
    """The picows transport."""

    close_timeout = CLOSE_TIMEOUT


class QuickUvicornProtocol(WebSocketsSansIOProtocol):
    """uvicorn's own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = CLOSE_TIMEOUT
