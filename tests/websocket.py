"""A WebSocket, by default in memory: an ASGI app on one end, a test on the other, both in one event loop."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, ClassVar, Protocol, TypeVar

import anyio

from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send

#: Longer than anything here takes; a test that hangs fails with what it waited for.
PATIENCE = 5.0


class MemoryLine:
    """Carries the events between a client and the app, without a server."""

    def __init__(
        self, app: ASGIApp, *, subprotocols: Iterable[str], buffer_size: float = math.inf, **scope: Any
    ) -> None:
        self._app = app
        self._scope: Scope = {
            "type": "websocket",
            "asgi": {"version": "3.0"},
            "path": "/",
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"testserver")],
            "client": ("192.0.2.1", 50000),
            "server": ("testserver", 80),
            "scheme": "ws",
            "subprotocols": list(subprotocols),
            **scope,
        }
        self._to_app, self._app_receives = anyio.create_memory_object_stream[ASGIEvent](math.inf)
        self._app_sends, self._from_app = anyio.create_memory_object_stream[ASGIEvent](buffer_size)
        self.served = anyio.Event()

    async def run(self) -> None:
        try:
            await self._app(self._scope, self._app_receives.receive, self._app_sends.send)
        finally:
            self.served.set()

    def close(self) -> None:
        for stream in self._to_app, self._app_receives, self._app_sends, self._from_app:
            stream.close()

    async def send(self, event: ASGIEvent) -> None:
        await self._to_app.send(event)

    async def receive(self) -> ASGIEvent:
        return await self._from_app.receive()

    def arrived(self) -> int:
        return self._from_app.statistics().current_buffer_used

    async def settle(self) -> None:
        """Do nothing: what the app sends has arrived."""


class Line(Protocol):
    """Carries the ASGI events between a client and an app, each from its own point of view.

    Its constructor takes the arguments of `WebSocket`.
    """

    #: Set when the app has returned.
    served: anyio.Event

    async def run(self) -> None:
        """Serve the app until it returns."""

    def close(self) -> None:
        """Release everything, after ``run``."""

    async def send(self, event: ASGIEvent) -> None:
        """Send an event to the app."""

    async def receive(self) -> ASGIEvent:
        """Return the next event that the app has sent."""

    def arrived(self) -> int:
        """Return the number of events that have arrived and were not received yet."""

    async def settle(self) -> None:
        """Wait until everything that the app has sent has arrived, and all workers have handled it."""


class WebSocket:
    """The client's end, in frames and in the ASGI events that carry them."""

    #: Makes the line to the app; tests may replace it.
    line_type: ClassVar[Callable[..., Line]] = MemoryLine
    #: True while other clients of the app are connected to other workers.
    has_other_workers: ClassVar[bool] = False

    def __init__(
        self,
        app: ASGIApp,
        *,
        subprotocols: Iterable[str] = ("wamp.2.json",),
        buffer_size: float = math.inf,
        **scope: Any,
    ) -> None:
        self._line = self.line_type(app, subprotocols=subprotocols, buffer_size=buffer_size, **scope)

    @property
    def served(self) -> anyio.Event:
        """The event that is set when the app has returned."""
        return self._line.served

    async def run(self) -> None:
        await self._line.run()

    def close(self) -> None:
        self._line.close()

    async def send_event(self, event: ASGIEvent) -> None:
        await self._line.send(event)

    async def receive_event(self) -> ASGIEvent:
        with anyio.fail_after(PATIENCE):
            return await self._line.receive()

    def arrived(self) -> int:
        """The number of events that the app has sent and the test has not received yet."""
        return self._line.arrived()

    async def settled(self) -> int:
        """Wait until everything that the app has sent has arrived, and return the number of those events."""
        with anyio.fail_after(PATIENCE):
            await self._line.settle()
        return self._line.arrived()

    async def send_frame(self, data: str | bytes) -> None:
        key = "text" if isinstance(data, str) else "bytes"
        await self.send_event({"type": "websocket.receive", key: data})

    async def disconnect(self, code: int = 1006) -> None:
        await self.send_event({"type": "websocket.disconnect", "code": code})

    async def closed(self) -> ASGIEvent:
        """Wait for the server to close, and return the close event."""
        event = await self.receive_event()
        assert event["type"] == "websocket.close", f"expected a close, got {event}"
        return event

    async def wait_served(self) -> None:
        with anyio.fail_after(PATIENCE):
            await self.served.wait()


W = TypeVar("W", bound=WebSocket)


@asynccontextmanager
async def open_websocket(app: ASGIApp, **scope: Any) -> AsyncIterator[WebSocket]:
    """Open a WebSocket; the first event is the app's answer."""
    async with opened(WebSocket(app, **scope)) as websocket:
        yield websocket


@asynccontextmanager
async def opened(websocket: W) -> AsyncIterator[W]:
    """Send ``websocket.connect``; on leaving, disconnect and wait for the app to return."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(websocket.run)
        await websocket.send_event({"type": "websocket.connect"})
        try:
            yield websocket
        finally:
            with anyio.CancelScope(shield=True):
                await websocket.disconnect()
                with anyio.move_on_after(PATIENCE) as scope_of_wait:
                    await websocket.served.wait()
            websocket.close()
            if scope_of_wait.cancelled_caught:
                tasks.cancel_scope.cancel()
                raise AssertionError("the app did not return after the disconnect")


class PassesOn:
    """A middleware that changes nothing, and yet sees every message."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def pass_on(event: ASGIEvent) -> None:
            await send(event)

        await self._app(scope, receive, pass_on)
