"""A connection of the picows transport, without a socket and without a server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Final

import anyio
from anyio.lowlevel import checkpoint
from uvicorn.config import Config
from uvicorn.server import ServerState

from tests.transports.fakes import FakeLoop, FakeTransport, Handle, frames_in
from tests.transports.raw_websocket import Frame, handshake
from wampasgi.transports.picows import WebSocketProtocol
from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send

PATIENCE: Final = 5.0


class LoopWithFakeTimers(FakeLoop):
    """The running event loop of asyncio, whose timers expire if the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()

    def call_soon(self, callback: Callable[..., Any], *args: Any) -> Any:
        return self._loop.call_soon(callback, *args)

    def create_future(self) -> asyncio.Future[Any]:
        return self._loop.create_future()

    def create_task(self, coroutine: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        # A server has none of the variables of the test, such as anyio's name of the library.
        return self._loop.create_task(coroutine, context=Context())


class HeldApp:
    """An application that runs until the test ends it. The test calls its ``receive`` and ``send``."""

    def __init__(self) -> None:
        self.scope: Scope = {}
        self.receive: Receive
        self.send: Send
        #: The result of the application, or its exception.
        self.outcome: asyncio.Future[None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope, self.receive, self.send = scope, receive, send
        self.outcome = asyncio.get_running_loop().create_future()
        await self.outcome

    async def accept(self, **fields: Any) -> None:
        assert await self.receive() == {"type": "websocket.connect"}
        await self.send({"type": "websocket.accept", **fields})

    async def send_text(self, text: str) -> None:
        await self.send({"type": "websocket.send", "text": text})

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await self.send({"type": "websocket.close", "code": code, "reason": reason})

    async def next(self) -> ASGIEvent:
        """Receive the next event, which must not take long."""
        with anyio.fail_after(PATIENCE):
            return await self.receive()

    async def message(self) -> str:
        event = await self.next()
        assert event["type"] == "websocket.receive", event
        text: str = event["text"]
        return text

    async def disconnected(self) -> tuple[int, str]:
        event = await self.next()
        assert event["type"] == "websocket.disconnect", event
        return event["code"], event["reason"]


class PicowsConnection:
    """A protocol and the fakes around it. The test is the event loop's transport, with the client behind it.

    ``options`` are those of uvicorn.Config.
    """

    def __init__(self, app: ASGIApp, *, transport: FakeTransport | None = None, **options: Any) -> None:
        self.loop = LoopWithFakeTimers()
        self.transport = transport or FakeTransport()
        self.state = ServerState()
        defaults = {"lifespan": "off", "log_config": None, "proxy_headers": False, "ws_ping_interval": None}
        config = Config(app, **{**defaults, **options})
        self.protocol = WebSocketProtocol(config, self.state, {}, self.loop.as_loop)
        self.protocol.connection_made(self.transport)

    def request(self, data: bytes | None = None) -> None:
        """Pass on a request, as uvicorn's HTTP protocol does."""
        self.protocol.data_received(handshake() if data is None else data)

    def read(self, *frames: bytes) -> None:
        """Read frames in as few reads as the buffers allow."""
        left = memoryview(b"".join(frames))
        while left:
            assert self.transport.reading, "the transport must not read"
            buffer = self.protocol.get_buffer(-1)
            size = min(len(buffer), len(left))
            buffer[:size] = left[:size]
            self.protocol.buffer_updated(size)
            left = left[size:]

    def frames(self) -> list[Frame]:
        """Return the frames that were written since the last call."""
        return frames_in(self.transport.take())

    def lose(self) -> None:
        """Lose the connection, as the transport reports it."""
        self.transport.closing = True
        self.protocol.connection_lost(None)

    @property
    def timers(self) -> list[Handle]:
        return self.loop.timers


class HeldConnection(PicowsConnection):
    """A connection that a HeldApp serves."""

    def __init__(self, **options: Any) -> None:
        self.app = HeldApp()
        super().__init__(self.app, **options)

    async def start(self, data: bytes | None = None) -> None:
        """Pass on a request, and let the application start."""
        self.request(data)
        await anyio.wait_all_tasks_blocked()

    async def end_app(self, error: BaseException | None = None) -> None:
        """Let the application return or raise."""
        if error is None:
            self.app.outcome.set_result(None)
        else:
            self.app.outcome.set_exception(error)
        with anyio.fail_after(PATIENCE):
            while self.state.tasks:
                await checkpoint()


async def connecting(**options: Any) -> HeldConnection:
    """Return a connection whose application has not answered the handshake."""
    connection = HeldConnection(**options)
    await connection.start()
    return connection


async def opened(**options: Any) -> HeldConnection:
    """Return a connection that is open. Its response is taken."""
    connection = await connecting(**options)
    await connection.app.accept()
    assert connection.transport.take().startswith(b"HTTP/1.1 101 ")
    return connection
