"""Checks and errors that the WebSockets of the client share."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from wampasgi.client.errors import ConnectFailed
from wampasgi.client.wire import WireClosed
from wampasgi.errors import ConfigurationError

if TYPE_CHECKING:
    # It may be missing, and it takes time to import.
    from websockets.exceptions import ConnectionClosed

#: The HTTP statuses after which another attempt may succeed: the server or a proxy has a problem now.
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


def check_url(url: object) -> str:
    """Return a WebSocket URL after checking it. Raises ConfigurationError with advice."""
    if not isinstance(url, str):
        raise ConfigurationError(f"the URL is {url!r}: pass a text such as 'ws://127.0.0.1:8000/'")
    shown = public_url(url)
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        # Its text may quote the part that has the password.
        raise ConfigurationError(f"the URL {shown!r} is invalid: its host or port cannot be read") from error
    if parts.scheme in ("http", "https"):
        raise ConfigurationError(
            f"the URL {shown!r} has the scheme {parts.scheme!r}: use {'ws' + shown[4:]!r}"
        )
    if parts.scheme not in ("ws", "wss"):
        raise ConfigurationError(
            f"the URL {shown!r} must begin with ws:// or wss://, as in 'ws://127.0.0.1:8000/'"
        )
    if not host:
        raise ConfigurationError(f"the URL {shown!r} has no host")
    if parts.fragment:
        raise ConfigurationError(f"the URL {shown!r} has a fragment, which WebSockets do not support")
    return url


def public_url(url: str) -> str:
    """Return a URL without its user name, password and query, which may all be secrets.

    The URL may be invalid. ``?...`` stands for a query.
    """
    shown, has_query, _ = url.partition("?")
    scheme, mark, rest = shown.partition("://") if "://" in shown else ("", "", shown)
    authority, slash, path = rest.partition("/")
    shown = f"{scheme}{mark}{authority.rpartition('@')[2]}{slash}{path}"
    return f"{shown}?..." if has_query else shown


def check_ssl(url: str, context: ssl.SSLContext | None) -> None:
    """Raise ConfigurationError if there is a context for a URL without TLS."""
    if context is not None and not url.startswith("wss:"):
        raise ConfigurationError(f"ssl= needs a URL that begins with wss://, not {public_url(url)!r}")


# Attempts to connect that failed


def refused(url: str, status: int) -> ConnectFailed:
    """Return the error for an HTTP status other than 101."""
    return ConnectFailed(
        f"the server at {url} refused the WebSocket with HTTP status {status}",
        retryable=status in _TRANSIENT,
    )


def no_websocket(url: str, reason: object) -> ConnectFailed:
    """Return the error for an invalid answer to the opening handshake."""
    return ConnectFailed(f"the server at {url} accepts no WebSocket: {reason}")


def no_wamp(url: str, reason: object) -> ConnectFailed:
    """Return the error for a server that negotiates something that was not offered, or nothing."""
    return ConnectFailed(f"the server at {url} speaks no WAMP: {reason}", retryable=False)


def untrusted(url: str, error: ssl.SSLCertVerificationError) -> ConnectFailed:
    """Return the error for an untrusted certificate."""
    return ConnectFailed(
        f"the certificate of the server at {url} is not trusted: {error.verify_message}", retryable=False
    )


def unanswered(url: str, timeout: float | None) -> ConnectFailed:
    """Return the error for an opening handshake that took longer than ``timeout`` seconds."""
    return ConnectFailed(f"waited {timeout or 0:g} s for a WebSocket to {url}")


def no_connection(url: str, reason: object) -> ConnectFailed:
    """Return the error for a server that cannot be reached, or that ends the connection."""
    return ConnectFailed(f"there is no connection to {url}: {reason}")


# Connections that ended


def closed_by_server(code: int, reason: str) -> WireClosed:
    """Return the error for a close frame of the server."""
    return WireClosed(f"the server closed the connection with code {code}{_quoted(reason)}", code=code)


def closed_by_client(code: int, reason: str) -> WireClosed:
    """Return the error for a close frame of this side."""
    return WireClosed(f"the connection was closed with code {code}{_quoted(reason)}", code=code)


def lost(cause: BaseException | None = None) -> WireClosed:
    """Return the error for a connection that ended without a close frame."""
    return WireClosed(f"the connection was lost{f': {cause}' if cause is not None else ''}")


def closed(error: ConnectionClosed) -> WireClosed:
    """Return the error for an end of a WebSocket that websockets reports."""
    if error.rcvd is not None:
        return closed_by_server(error.rcvd.code, error.rcvd.reason)
    if error.sent is not None:
        return closed_by_client(error.sent.code, error.sent.reason)
    return lost(error.__cause__)


def _quoted(reason: str) -> str:
    return f" {reason!r}" if reason else ""
