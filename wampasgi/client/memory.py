"""Connections to an ASGI application in the same process, without a server and without frames on a socket."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint

from wampasgi.adapters import Task, support_for_running_loop
from wampasgi.client.errors import ConnectFailed
from wampasgi.client.waiting import Sendable
from wampasgi.client.wire import Wire, WireClosed
from wampasgi.errors import ConfigurationError
from wampasgi.serializers.base import Encoded
from wampasgi.serializers.subprotocols import Subprotocol
from wampasgi.types import ASGIApp, ASGIEvent, Scope

#: The number of messages that the application has not received, from which on senders wait.
_MAX_UNSENT: Final = 64
#: The number of frames from the application after which other tasks get a turn.
_FRAMES_A_TURN: Final = 32
#: The greatest time to wait for the application when closing, in seconds.
_CLOSE_TIMEOUT: Final = 2.0


class MemoryTransport:
    """Opens WebSockets of an ASGI application in memory. The arguments are those of ``connect``."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        subprotocols: Mapping[str, Subprotocol],
        headers: Sequence[tuple[str, str]] = (),
        path: str = "/",
    ) -> None:
        if not callable(app):
            raise ConfigurationError(f"app is {app!r}: pass an ASGI application")
        if not path.startswith("/"):
            raise ConfigurationError(f"path is {path!r}: it must begin with '/'")
        self.description = f"{getattr(app, '__name__', type(app).__name__)} in memory"
        self._app = app
        self._subprotocols = subprotocols
        self._headers = [(b"host", b"testserver")]
        self._headers += [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
        self._path, _, query = path.partition("?")
        self._query = query.encode()
        #: The state of the application's lifespan, of which each connection gets a copy.
        self.state: dict[str, Any] = {}

    def _scope(self) -> Scope:
        return {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": self._path,
            "raw_path": self._path.encode(),
            "query_string": self._query,
            "root_path": "",
            "headers": list(self._headers),
            "client": ("127.0.0.1", 0),
            "server": ("testserver", 80),
            "subprotocols": list(self._subprotocols),
            "state": dict(self.state),
            "extensions": {"websocket.http.response": {}},
        }

    @asynccontextmanager
    async def open(self, timeout: float | None) -> AsyncIterator[Wire]:
        """Run the application for one WebSocket. Raises ConnectFailed if it does not accept it."""
        wire = MemoryWire()
        async with support_for_running_loop(None).task_owner() as owner:
            task = owner.spawn(wire.serve, self._app, self._scope())
            with anyio.move_on_after(timeout):
                await wire.answered.wait()
            if not wire.answered.is_set():
                raise ConnectFailed(f"waited {timeout or 0:g} s for {self.description} to accept a WebSocket")
            wire.subprotocol = self._negotiated(wire)
            try:
                yield wire
            finally:
                await wire.leave(task)

    def _negotiated(self, wire: MemoryWire) -> Subprotocol:
        if wire.refusal is not None:
            raise ConnectFailed(
                f"{self.description} refused the WebSocket: {wire.refusal}", retryable=False
            ) from wire.app_error
        subprotocol = self._subprotocols.get(wire.accepted or "")
        if subprotocol is None:
            raise ConnectFailed(
                f"{self.description} speaks no WAMP: it accepted the subprotocol {wire.accepted!r} instead of"
                f" {', '.join(self._subprotocols)}",
                retryable=False,
            )
        return subprotocol


class MemoryWire:
    """A WebSocket in memory. The application's frames are handled in its own task, without a queue."""

    subprotocol: Subprotocol

    def __init__(self) -> None:
        #: Set when the application has accepted or refused the WebSocket.
        self.answered = anyio.Event()
        self.accepted: str | None = None
        self.refusal: str | None = None
        self.app_error: Exception | None = None
        self._to_app: deque[ASGIEvent] = deque([{"type": "websocket.connect"}])
        self._app_waits = anyio.Event()
        self._client_waits = anyio.Event()
        self._arrived: deque[Encoded] = deque()
        self._received: Callable[[Encoded], None] | None = None
        self._failure: Exception | None = None
        self._closed: WireClosed | None = None
        self._app_done = anyio.Event()
        self._frames = 0

    # The application's side

    async def serve(self, app: ASGIApp, scope: Scope) -> None:
        """Run the application until it returns."""
        try:
            await app(scope, self._app_receives, self._app_sends)
        except Exception as error:  # noqa: BLE001 - it is the cause of the client's error
            self.app_error = error
            self._end(f"the application failed: {error!r}")
        finally:
            self._end("the application returned without closing the WebSocket")
            if not self.answered.is_set():
                self.refusal = "it returned without accepting it"
                self.answered.set()
            self._app_done.set()

    async def _app_receives(self) -> ASGIEvent:
        if not self._to_app:
            await self._app_waits.wait()
        elif len(self._to_app) > _MAX_UNSENT:
            await checkpoint()
        event = self._to_app.popleft()
        if event["type"] == "websocket.disconnect":
            self._to_app.append(event)
        elif not self._to_app:
            self._app_waits = anyio.Event()
        if len(self._to_app) == _MAX_UNSENT:
            self._wake_client()
        return event

    async def _app_sends(self, event: ASGIEvent) -> None:
        kind = event["type"]
        if kind == "websocket.send":
            if self._closed is not None:
                raise OSError("the client has closed the WebSocket")
            text = event.get("text")
            self._take(event["bytes"] if text is None else text)
            self._frames += 1
            if self._frames % _FRAMES_A_TURN == 0:
                await checkpoint()
        elif kind == "websocket.accept":
            self.accepted = event.get("subprotocol")
            self.answered.set()
        elif kind == "websocket.close":
            if not self.answered.is_set():
                self.refusal = f"it closed it with code {event.get('code', 1000)}"
                self.answered.set()
            reason = f" {event['reason']!r}" if event.get("reason") else ""
            code = event.get("code", 1000)
            self._end(f"the server closed the connection with code {code}{reason}", code)
        elif kind == "websocket.http.response.start":
            self.refusal = f"it answered with HTTP status {event['status']}"
        elif kind == "websocket.http.response.body" and not event.get("more_body"):
            self.answered.set()

    def _take(self, frame: Encoded) -> None:
        if self._failure is not None:
            return
        if self._received is None:
            self._arrived.append(frame)
            self._wake_client()
            return
        try:
            self._received(frame)
        except Exception as error:  # noqa: BLE001 - raised in the client's task, not in the application
            self._failure = error
            self._wake_client()

    def _end(self, text: str, code: int | None = None) -> None:
        if self._closed is None:
            self._closed = WireClosed(text, code=code)
            self._wake_client()
            self._put({"type": "websocket.disconnect", "code": code or 1006, "reason": ""})

    def _put(self, event: ASGIEvent) -> None:
        self._to_app.append(event)
        self._app_waits.set()

    def _wake_client(self) -> None:
        self._client_waits.set()
        self._client_waits = anyio.Event()

    # The client's side

    def put(self, message: Encoded, request: Sendable | None = None) -> Awaitable[None] | None:
        """Hand a message to the application; return an awaitable if too many have not been received."""
        if self._closed is not None:
            raise self._closed
        self.put_nowait(message)
        if request is not None:
            request.sent = True
        return self._room() if len(self._to_app) > _MAX_UNSENT else None

    async def _room(self) -> None:
        while len(self._to_app) > _MAX_UNSENT and self._closed is None:
            await self._client_waits.wait()

    def put_nowait(self, message: Encoded) -> None:
        """Hand a message to the application."""
        if self._closed is None:
            frame = self.subprotocol.frame([message])
            key = "text" if isinstance(frame, str) else "bytes"
            self._put({"type": "websocket.receive", key: frame})

    async def receive(self) -> Encoded:
        """Return the next frame."""
        while not self._arrived:
            if self._closed is not None:
                raise self._closed
            await self._client_waits.wait()
        return self._arrived.popleft()

    async def run(self, received: Callable[[Encoded], None]) -> None:
        """Pass all frames to ``received``, in the application's task."""
        while self._arrived:
            received(self._arrived.popleft())
        self._received = received
        while self._failure is None and self._closed is None:
            await self._client_waits.wait()
        if self._failure is not None:
            raise self._failure
        assert self._closed is not None
        raise self._closed

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the WebSocket, and wait until the application has returned."""
        if self._closed is None:
            self._closed = WireClosed(f"the connection was closed with code {code}", code=code)
            self._wake_client()
            self._put({"type": "websocket.disconnect", "code": code, "reason": reason})
        with anyio.move_on_after(_CLOSE_TIMEOUT):
            await self._app_done.wait()

    async def leave(self, task: Task | None) -> None:
        """End the application, which is cancelled if it does not end by itself."""
        with anyio.CancelScope(shield=True), suppress(WireClosed):
            await self.close(1006)
        if task is not None and not self._app_done.is_set():
            task.cancel()
