"""A line over a socket: a uvicorn and a client of `websockets`, both in the event loop of the test."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import anyio
import pytest
import uvicorn
from anyio.lowlevel import checkpoint
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.clients.server_process import PICOWS
from tests.websocket import PATIENCE, WebSocket
from wampasgi import Limits
from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send


@contextlib.asynccontextmanager
async def uvicorn_in_loop(app: ASGIApp) -> AsyncIterator[int]:
    """Serve an app with the transport on picows; the context is the port.

    At the end, the connections must be closed, or about to be. So the shutdown of uvicorn, which takes at
    least 0.1 seconds, is left out.
    """
    # Without handlers of its own, so that uvicorn doesn't change the logging of the other tests.
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        interface="asgi3",
        lifespan="off",
        log_config=None,
        ws=PICOWS,
        ws_ping_interval=None,
        # Otherwise the app warns that it is larger than its own limit.
        ws_max_size=Limits().message_size,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    # Nor the context variables of the test, which include anyio's name of the running library.
    await asyncio.create_task(server.startup(), context=contextvars.Context())
    try:
        [listener] = server.servers
        yield listener.sockets[0].getsockname()[1]
        with anyio.fail_after(PATIENCE):
            while server.server_state.connections or server.server_state.tasks:
                await checkpoint()
    finally:
        listener.close()


class UvicornLine:
    """Connects a client to an app that a uvicorn of its own serves. It has no scope: a request makes one."""

    def __init__(self, app: ASGIApp, *, subprotocols: Iterable[str], buffer_size: float) -> None:
        assert buffer_size == math.inf, "the buffers of sockets are finite"
        self._app = app
        self._subprotocols = [Subprotocol(name) for name in subprotocols]
        self._socket: ClientConnection | None = None
        self._events: asyncio.Queue[ASGIEvent] = asyncio.Queue()
        self._returned = anyio.Event()
        self.served = anyio.Event()

    async def run(self) -> None:
        async with uvicorn_in_loop(self._serve) as port:
            # Without the extension for compression, which the server would decline.
            opening = connect(
                f"ws://127.0.0.1:{port}/",
                subprotocols=self._subprotocols,
                compression=None,
                max_size=None,
                max_queue=None,
                ping_interval=None,
                proxy=None,
            )
            try:
                self._socket = await opening
            except InvalidStatus:
                self._events.put_nowait({"type": "websocket.close", "code": 1006})
            else:
                await self._take_frames(self._socket)
            await self._returned.wait()
        # Not before the client has received everything.
        self.served.set()

    async def _take_frames(self, socket: ClientConnection) -> None:
        self._events.put_nowait({"type": "websocket.accept", "subprotocol": socket.subprotocol})
        try:
            while True:
                data = await socket.recv()
                key = "text" if isinstance(data, str) else "bytes"
                self._events.put_nowait({"type": "websocket.send", key: data})
        except ConnectionClosed as closed:
            if closed.rcvd is not None:
                close = {"type": "websocket.close", "code": closed.rcvd.code, "reason": closed.rcvd.reason}
                self._events.put_nowait(close)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Not a middleware: the app gets the server's own receive and send.
        try:
            await self._app(scope, receive, send)
        finally:
            self._returned.set()

    def close(self) -> None:
        """Do nothing: the socket is closed."""

    async def send(self, event: ASGIEvent) -> None:
        if event["type"] == "websocket.connect":
            return
        socket = self._socket
        if socket is None:
            return
        if event["type"] == "websocket.disconnect":
            socket.transport.abort()
            return
        data: Any = event["text"] if "text" in event else event["bytes"]
        # If the server has closed the connection, it would not read the message.
        with contextlib.suppress(ConnectionClosed):
            await socket.send(data)

    async def receive(self) -> ASGIEvent:
        return await self._events.get()

    def arrived(self) -> int:
        return self._events.qsize()

    async def settle(self) -> None:
        assert self._socket is not None
        await (await self._socket.ping())


@contextlib.contextmanager
def over_uvicorn() -> Iterator[None]:
    """Connect all clients by a UvicornLine while the context is open."""
    before = WebSocket.line_type
    WebSocket.line_type = UvicornLine
    try:
        yield
    finally:
        WebSocket.line_type = before


@pytest.fixture(params=["asyncio", "trio", "picows"])
def anyio_backend(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Run each test in memory on asyncio and trio, and over a uvicorn with the transport on picows.

    The latter is on uvloop, like uvicorn by default. Neither uvicorn nor its client runs on trio. Modules
    whose tests shall do so import this fixture.
    """
    if request.param != "picows":
        yield request.param
        return
    with over_uvicorn():
        yield "asyncio", {"use_uvloop": True}
