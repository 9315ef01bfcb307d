"""The end of a WebSocket, in words."""

from __future__ import annotations

from websockets.exceptions import ConnectionClosed

from wampasgi.client.wire import WireClosed


def closed(error: ConnectionClosed) -> WireClosed:
    """Return the error for an end of a WebSocket that websockets reports."""
    received = error.rcvd
    if received is not None:
        reason = f" {received.reason!r}" if received.reason else ""
        return WireClosed(
            f"the server closed the connection with code {received.code}{reason}", code=received.code
        )
    if error.sent is not None:
        reason = f" {error.sent.reason!r}" if error.sent.reason else ""
        return WireClosed(
            f"the connection was closed with code {error.sent.code}{reason}", code=error.sent.code
        )
    cause = error.__cause__
    return WireClosed(f"the connection was lost{f': {cause}' if cause is not None else ''}")
