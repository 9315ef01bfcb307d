"""WebSocket connections of clients, by the package websockets, on asyncio and trio."""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Any, Final

import anyio
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    NegotiationError,
)

from wampasgi._version import __version__
from wampasgi.adapters import TaskOwner, running_library, support_for_running_loop
from wampasgi.client.waiting import Sendable
from wampasgi.client.websocket_errors import (
    check_ssl,
    check_url,
    closed,
    no_connection,
    no_wamp,
    no_websocket,
    public_url,
    refused,
    unanswered,
    untrusted,
)
from wampasgi.client.wire import Wire, WireClosed
from wampasgi.errors import ConfigurationError
from wampasgi.serializers.base import Encoded
from wampasgi.serializers.subprotocols import Subprotocol

#: The number of unsent messages, on trio and with batching, from which on senders wait.
_MAX_UNSENT: Final = 64

#: The greatest time to wait for the peer when closing, in seconds.
_CLOSE_TIMEOUT: Final = 2.0


class WebSocketTransport:
    """Opens WebSockets to a URL. The arguments are those of ``connect``."""

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
        self._subprotocols = subprotocols
        self._options: dict[str, Any] = {
            "subprotocols": list(subprotocols),
            "additional_headers": list(headers),
            "user_agent_header": f"wampasgi/{__version__}",
            "compression": "deflate" if compression else None,
            "max_size": max_size,
            "ping_interval": ping_interval,
            "ping_timeout": ping_interval,
            "close_timeout": _CLOSE_TIMEOUT,
            "proxy": proxy or None,
        }
        if ssl_context is not None:
            self._options["ssl"] = ssl_context

    def open(self, timeout: float | None) -> AbstractAsyncContextManager[Wire]:
        """Open a WebSocket. Raises ConnectFailed."""
        return (self._open_asyncio if running_library() == "asyncio" else self._open_trio)(timeout)

    @asynccontextmanager
    async def _open_asyncio(self, timeout: float | None) -> AsyncIterator[Wire]:
        from websockets.asyncio.client import connect

        from wampasgi.client.direct_wire import DirectWire, DispatchingConnection

        with self._errors_explained(timeout):
            socket = await connect(
                self._url,
                **self._options,
                open_timeout=timeout,
                create_connection=DispatchingConnection,
            )
            assert isinstance(socket, DispatchingConnection)
        try:
            subprotocol = self._negotiated(socket.subprotocol)
            async with support_for_running_loop(None).task_owner() as owner:
                if subprotocol.batched:
                    yield QueuedWire(socket, subprotocol, socket.close, owner)
                else:
                    yield DirectWire(socket, subprotocol, owner)
        finally:
            # The closing handshake, if there is one, has been done by ``Wire.close``.
            socket.transport.abort()
            with anyio.CancelScope(shield=True):
                await socket.wait_closed()

    @asynccontextmanager
    async def _open_trio(self, timeout: float | None) -> AsyncIterator[Wire]:
        import trio
        from websockets.trio.client import connect

        opening = connect(self._url, **self._options, open_timeout=timeout)
        with self._errors_explained(timeout):
            try:
                socket = await opening.__aenter__()
            except trio.BrokenResourceError as error:
                # Of TLS. It is no OSError, but has one as its cause.
                raise error.__cause__ or OSError("the connection broke") from error
        try:
            subprotocol = self._negotiated(socket.subprotocol)
            async with support_for_running_loop(None).task_owner() as owner:
                yield QueuedWire(socket, subprotocol, socket.aclose, owner)
        finally:
            # Without a closing handshake: if there is one, ``Wire.close`` has done it. In a cancelled scope,
            # ``socket.aclose`` would leave a frame unsent, which websockets logs as an internal error.
            with anyio.CancelScope(shield=True):
                await trio.aclose_forcefully(socket.stream)
            await opening.__aexit__(None, None, None)

    @contextmanager
    def _errors_explained(self, timeout: float | None) -> Iterator[None]:
        url = self.description
        try:
            yield
        except InvalidStatus as error:
            raise refused(url, error.response.status_code) from error
        except InvalidURI as error:
            raise ConfigurationError(f"the URL {url!r} is invalid: {error}") from error
        except InvalidProxy as error:
            # Its text has the password.
            raise ConfigurationError(f"the proxy for {url!r} is invalid: {error.msg}") from error
        except NegotiationError as error:
            raise no_wamp(url, error) from error
        except InvalidHandshake as error:
            raise no_websocket(url, error) from error
        except ssl.SSLCertVerificationError as error:
            raise untrusted(url, error) from error
        except TimeoutError as error:
            raise unanswered(url, timeout) from error
        except (OSError, EOFError, ConnectionClosed) as error:
            raise no_connection(url, error) from error

    def _negotiated(self, name: str | None) -> Subprotocol:
        if name is None:
            raise no_wamp(
                self.description, f"it accepted none of the subprotocols {', '.join(self._subprotocols)}"
            )
        return self._subprotocols[name]


class QueuedWire:
    """A WebSocket with a task that writes.

    On trio, a write that is cancelled in the middle would break the connection, so senders do not write. With
    batching, all messages that are waiting go into one frame.
    """

    def __init__(
        self,
        socket: Any,
        subprotocol: Subprotocol,
        close: Callable[[int, str], Awaitable[None]],
        owner: TaskOwner,
    ) -> None:
        self._socket = socket
        self._close = close
        self.subprotocol = subprotocol
        self._unsent: deque[tuple[Encoded, Sendable | None]] = deque()
        self._wake = anyio.Event()
        self._drained = anyio.Event()
        self._failure: WireClosed | None = None
        owner.spawn(self._write)

    def put(self, message: Encoded, request: Sendable | None = None) -> Awaitable[None] | None:
        """Queue a message, and return an awaitable if the queue is full."""
        if self._failure is not None:
            raise self._failure
        self._unsent.append((message, request))
        self._wake.set()
        return self._room() if len(self._unsent) > _MAX_UNSENT else None

    def put_nowait(self, message: Encoded) -> None:
        """Queue a message without waiting."""
        if self._failure is None:
            self._unsent.append((message, None))
            self._wake.set()

    async def _room(self) -> None:
        while len(self._unsent) > _MAX_UNSENT and self._failure is None:
            await self._drained.wait()

    async def _write(self) -> None:
        unsent, batched, frame = self._unsent, self.subprotocol.batched, self.subprotocol.frame
        try:
            while True:
                await self._wake.wait()
                while unsent:
                    batch = [unsent.popleft() for _ in range(len(unsent) if batched else 1)]
                    for _, answer in batch:
                        if answer is not None:
                            answer.sent = True
                    await self._socket.send(frame([message for message, _ in batch]))
                self._wake = anyio.Event()
                self._release_senders()
        except ConnectionClosed as error:
            # The task that reads notices the end, too, and fails all requests.
            self._failure = closed(error)
        finally:
            self._release_senders()

    def _release_senders(self) -> None:
        self._drained.set()
        self._drained = anyio.Event()

    async def receive(self) -> Encoded:
        """Return the next frame."""
        try:
            frame: Encoded = await self._socket.recv()
        except ConnectionClosed as error:
            raise closed(error) from error
        return frame

    async def run(self, received: Callable[[Encoded], None]) -> None:
        """Pass all frames to ``received``."""
        while True:
            received(await self.receive())

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with a closing handshake, after the queue was written."""
        with anyio.move_on_after(_CLOSE_TIMEOUT):
            while self._unsent and self._failure is None:
                await self._drained.wait()
        await self._close(code, reason)
