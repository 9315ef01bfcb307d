"""WebSocket connections of clients, by the package picows, on asyncio only."""

from __future__ import annotations

import asyncio
import base64
import re
import socket
import ssl
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import anyio
from picows import (
    WSError,
    WSInvalidMessageError,
    WSInvalidStatusError,
    WSParsedURL,
    WSUpgradeResponse,
    ws_connect,
)
from python_socks import ProxyError

from wampasgi._version import __version__
from wampasgi.adapters import running_library
from wampasgi.client.errors import ConnectFailed
from wampasgi.client.picows_wire import BatchingPicowsWire, PicowsWire
from wampasgi.client.websocket_errors import (
    check_ssl,
    check_url,
    no_connection,
    no_wamp,
    no_websocket,
    public_url,
    refused,
    unanswered,
    untrusted,
)
from wampasgi.client.wire import Wire
from wampasgi.errors import ConfigurationError
from wampasgi.serializers.subprotocols import Subprotocol

# Older versions have no socket factories that are coroutines, for example.
if tuple(map(int, version("picows").split(".")[:2])) < (2, 3):
    raise ImportError(f"picows {version('picows')} is too old")

#: The number of redirects to follow.
_MAX_REDIRECTS: Final = 10
_REDIRECTS: Final = frozenset({300, 301, 302, 303, 307, 308})
#: The headers that are not sent to another server than that of the URL.
_SECRET_HEADERS: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
#: The schemes of proxies.
_PROXIES: Final = frozenset({"http", "https", "socks4", "socks5", "socks5h"})
#: The characters that stay as they are in a path and a query.
_SAFE: Final = ":/?#[]@!$&'()*+,;=%"
#: The turns of the event loop in which a transport takes a socket, and in which it closes it.
_TAKING_TURNS: Final = 5
_CLOSING_TURNS: Final = 20


class PicowsTransport:
    """Opens WebSockets to a URL. The arguments are those of ``connect``.

    Raises ConfigurationError for ``compression`` and for others that picows does not support.
    """

    def __init__(
        self,
        url: str,
        *,
        subprotocols: Mapping[str, Subprotocol],
        headers: Sequence[tuple[str, str]] = (),
        ssl_context: ssl.SSLContext | None = None,
        compression: bool = False,
        max_size: int | None = None,
        ping_interval: float | None = 20.0,
        proxy: str | bool = True,
    ) -> None:
        self._url = check_url(url)
        #: The URL without user name, password and query.
        self.description = public_url(url)
        check_ssl(url, ssl_context)
        if compression:
            raise ConfigurationError("websocket='picows' does not support compression=True")
        try:
            _ascii_url(urlsplit(url))
            _authorization(urlsplit(url))
        except ValueError as error:
            raise ConfigurationError(f"the URL {self.description!r} is invalid: {error}") from error
        for name, value in headers:
            if not f"{name}{value}".isascii():
                # picows would encode it in UTF-8, and websockets in Latin-1.
                raise ConfigurationError(f"the header {name!r} is not ASCII, as websocket='picows' needs it")
        self._subprotocols = subprotocols
        self._headers = list(headers)
        if not any(name.lower() == "user-agent" for name, _ in headers):
            self._headers.append(("User-Agent", f"wampasgi/{__version__}"))
        self._proxy = _checked_proxy(proxy) if isinstance(proxy, str) else proxy
        self._max_size = sys.maxsize if max_size is None else max_size
        self._options: dict[str, Any] = {
            # The time limit is that of ``open``.
            "websocket_handshake_timeout": None,
            "enable_auto_ping": ping_interval is not None,
            "auto_ping_idle_timeout": ping_interval,
            "auto_ping_reply_timeout": ping_interval,
            # The wire answers pings.
            "enable_auto_pong": False,
            "max_frame_size": self._max_size,
            "max_redirects": 0,
            "ssl_context": ssl_context,
            # It closes connections in other ways than the transports of asyncio and uvloop.
            "use_aiofastnet": False,
        }

    @asynccontextmanager
    async def open(self, timeout: float | None) -> AsyncIterator[Wire]:
        """Open a WebSocket. Raises ConnectFailed, and ConfigurationError on trio."""
        if running_library() != "asyncio":
            raise ConfigurationError("websocket='picows' needs asyncio: leave it out on trio")
        url = self.description
        try:
            with anyio.fail_after(timeout):
                wire = await self._connect()
        except ConnectFailed:
            raise
        except ssl.SSLCertVerificationError as error:
            raise untrusted(url, error) from error
        except TimeoutError as error:
            raise unanswered(url, timeout) from error
        except OSError as error:
            raise no_connection(url, error) from error
        except (WSError, ProxyError) as error:
            raise no_websocket(url, error) from error
        try:
            yield wire
        finally:
            # The closing handshake, if there is one, has been done by ``Wire.close``.
            with anyio.CancelScope(shield=True):
                await wire.abort()

    async def _connect(self) -> PicowsWire:
        """Make attempts until a server does not redirect the client to another URL."""
        url, headers = self._url, self._headers
        for _ in range(_MAX_REDIRECTS):
            parts = urlsplit(url)
            target = _ascii_url(parts)
            offer = [("Sec-WebSocket-Protocol", ", ".join(self._subprotocols)), *_authorization(parts)]
            attempt = _Attempt()
            try:
                return await attempt.make(
                    partial(self._wire, url),
                    target,
                    self._proxy_for(parts),
                    extra_headers=[*offer, *headers],
                    **self._options,
                )
            except (WSInvalidStatusError, WSInvalidMessageError) as error:
                status = _status(error.raw_header)
                location = error.response.headers.get("Location") if error.response is not None else None
                if status in _REDIRECTS and location is not None:
                    url, headers = self._redirected(url, location, headers)
                elif status is None or status == 101:
                    raise
                else:
                    raise refused(self.description, status) from error
        raise no_websocket(self.description, f"more than {_MAX_REDIRECTS} redirects")

    def _redirected(
        self, url: str, location: str, headers: Iterable[tuple[str, str]]
    ) -> tuple[str, list[tuple[str, str]]]:
        """Return the new URL, and the headers that its server may get."""
        old, new_url = urlsplit(url), urljoin(url, location)
        new = urlsplit(new_url)
        shown = public_url(new_url)
        try:
            check_url(new_url)
            _ascii_url(new)
            _authorization(new)
        except ValueError as error:
            raise no_websocket(self.description, f"it redirects to the invalid URL {shown!r}") from error
        if old.scheme == "wss" and new.scheme == "ws":
            raise no_websocket(self.description, f"it redirects to {shown!r}, which has no TLS")
        if (old.scheme, old.hostname, old.port) != (new.scheme, new.hostname, new.port):
            headers = [(name, value) for name, value in headers if name.lower() not in _SECRET_HEADERS]
        return new_url, list(headers)

    def _wire(self, url: str, request: object, response: WSUpgradeResponse) -> PicowsWire:
        """Return a wire for the answer of a server, which may refuse all subprotocols."""
        accepted = response.headers.getall("Sec-WebSocket-Protocol", [])
        if "Sec-WebSocket-Extensions" in response.headers:
            raise no_wamp(public_url(url), "it accepted an extension that was not offered")
        if not accepted:
            names = ", ".join(self._subprotocols)
            raise no_wamp(public_url(url), f"it accepted none of the subprotocols {names}")
        subprotocol = self._subprotocols.get(accepted[0])
        if subprotocol is None or len(accepted) > 1:
            raise no_wamp(public_url(url), f"unsupported subprotocol: {', '.join(accepted)}")
        return (BatchingPicowsWire if subprotocol.batched else PicowsWire)(subprotocol, self._max_size)

    def _proxy_for(self, parts: SplitResult) -> str | None:
        if isinstance(self._proxy, str):
            return self._proxy
        if not self._proxy:
            return None
        secure = parts.scheme == "wss"
        if proxy_bypass(f"{parts.hostname}:{parts.port or (443 if secure else 80)}"):
            return None
        proxies = getproxies()
        for scheme in ("wss", "socks", "https") if secure else ("ws", "socks", "https", "http"):
            found = proxies.get(scheme)
            if found is not None:
                # The settings of operating systems have SOCKS proxies as http:// URLs.
                socks = scheme == "socks" and found.startswith("http://")
                return _checked_proxy(f"socks5{found[4:]}" if socks else found)
        return None


class _Attempt:
    """One opening handshake, which can be given up at any time.

    picows keeps the connection of a handshake that is cancelled. Therefore this class makes the socket, and
    ends the handshake by shutting it down.
    """

    def __init__(self) -> None:
        self._socket: socket.socket
        self._given_up = False

    async def make(self, factory: Any, url: str, proxy: str | None, **options: Any) -> PicowsWire:
        """Return an open wire, which ``factory`` makes. Raises the errors of ``ws_connect``."""
        self._socket = await _connected_socket(url if proxy is None else proxy)
        opening = asyncio.ensure_future(
            ws_connect(factory, url, proxy=proxy, socket_factory=self._handed_over, **options)
        )
        try:
            await asyncio.wait((opening,))
        except asyncio.CancelledError:
            self._given_up = True
            with anyio.CancelScope(shield=True):
                # uvloop closes a socket twice if the connection ends in the turns in which it takes it.
                for _ in range(_TAKING_TURNS):
                    await asyncio.sleep(0)
                self._shut_down()
                await asyncio.wait((opening,))
                # asyncio reports exceptions that nobody asks for.
                opening.exception()
                await self._close()
            raise
        try:
            _, wire = opening.result()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._close()
            raise
        if not isinstance(wire, PicowsWire):
            # picows returns a closed connection without a listener.
            raise WSError("it closed the connection")
        return wire

    def _handed_over(self, _: WSParsedURL) -> socket.socket:
        if self._given_up:
            # picows would connect a socket again that was shut down.
            raise ConnectionAbortedError("the attempt was given up")
        return self._socket

    async def _close(self) -> None:
        """Let the transport close the socket. It notices the end of the connection and is not reachable."""
        self._shut_down()
        for _ in range(_CLOSING_TURNS):
            if self._socket.fileno() < 0:
                return
            await asyncio.sleep(0)
        # There is no transport.
        self._socket.close()

    def _shut_down(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            # It is closed, or the server has reset the connection.
            return


async def _connected_socket(url: str) -> socket.socket:
    """Return a socket that is connected to the server of a URL. Raises OSError."""
    loop, parts = asyncio.get_running_loop(), urlsplit(url)
    port = parts.port or (443 if parts.scheme in ("wss", "https") else 80)
    failures = []
    for family, kind, protocol, _, address in await loop.getaddrinfo(
        parts.hostname, port, type=socket.SOCK_STREAM
    ):
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        try:
            await loop.sock_connect(made, address)
        except OSError as error:
            made.close()
            failures.append(error)
        except BaseException:
            made.close()
            raise
        else:
            return made
    if len(failures) == 1:
        raise failures[0]
    raise OSError(f"multiple exceptions: {', '.join(map(str, failures))}")


def _ascii_url(parts: SplitResult) -> str:
    """Return a URL as picows takes it: in ASCII and without a user name. Raises ValueError."""
    host = (parts.hostname or "").encode("idna").decode()
    netloc = f"[{host}]" if ":" in host else host
    if parts.port is not None:
        netloc += f":{parts.port}"
    path, query = quote(parts.path, safe=_SAFE), quote(parts.query, safe=_SAFE)
    return urlunsplit((parts.scheme, netloc, path, query, ""))


def _authorization(parts: SplitResult) -> list[tuple[str, str]]:
    """Return the header for the user name and the password of a URL. Raises ValueError."""
    if parts.username is None:
        return []
    if parts.password is None:
        raise ValueError("it has a user name without a password")
    user = f"{unquote(parts.username)}:{unquote(parts.password)}"
    return [("Authorization", f"Basic {base64.b64encode(user.encode()).decode()}")]


def _status(header: bytes | None) -> int | None:
    """Return the status of an HTTP response. picows does not parse those that are not registered."""
    found = re.match(rb"HTTP/1\.1 (\d{3})(?!\d)", header or b"")
    return int(found[1]) if found else None


def _checked_proxy(proxy: str) -> str:
    """Return the URL of a proxy as picows takes it. Raises ConfigurationError."""
    try:
        parts = urlsplit(proxy)
        _ = parts.port
    except ValueError as error:
        raise ConfigurationError(f"the URL of the proxy is invalid: {error}") from error
    if parts.scheme not in _PROXIES or not parts.hostname:
        raise ConfigurationError(
            f"the proxy {public_url(proxy)!r} is invalid: websocket='picows' takes"
            f" URLs that begin with {', '.join(f'{scheme}://' for scheme in sorted(_PROXIES))}"
        )
    # picows lets SOCKS5 proxies resolve names in any case.
    return urlunsplit(parts._replace(scheme="socks5")) if parts.scheme == "socks5h" else proxy
