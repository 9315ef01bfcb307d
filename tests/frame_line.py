"""A line in memory whose server offers the ASGI extension ``wampasgi.frames``."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import Context, copy_context
from functools import partial
from typing import Any, Literal, TypeAlias

import anyio
import pytest
import trio

from tests.wamp_client import FORMATS, WAMPClient, accepted
from wampasgi.adapters import running_library
from wampasgi.peers.frames import Taker
from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send

#: The way of a message: directly, by the queue of the source, or as an event.
Way: TypeAlias = Literal["direct", "queue", "event"]

#: Marks the frames of the sink, whose payload is the rest.
_MARK = b"\x82!"


def soon() -> Callable[[Callable[[], object]], object]:
    """Return what calls a function in the next turn of the running event loop.

    asyncio calls it outside of all tasks, and without the context variables of the test.
    """
    if running_library() == "asyncio":
        return partial(asyncio.get_running_loop().call_soon, context=Context())
    return trio.lowlevel.current_trio_token().run_sync_soon


@contextmanager
def acting_as(task: asyncio.Task[Any] | None) -> Iterator[None]:
    """Be a task of asyncio, in a callback of its event loop; None on trio, where each callback has a task."""
    if task is None:
        yield
        return
    loop = task.get_loop()
    asyncio._enter_task(loop, task)  # noqa: SLF001 - for those who extend asyncio
    try:
        yield
    finally:
        asyncio._leave_task(loop, task)  # noqa: SLF001


class Source:
    """The messages of a client. They are passed to a taker if there is one, and otherwise kept.

    A taker takes them in the context of the task that waits and, on asyncio, as the current task.
    """

    def __init__(self) -> None:
        self._kept: deque[Any] = deque()
        self._changed = anyio.Event()
        self._taker: tuple[Taker, Context, asyncio.Task[Any] | None] | None = None
        # What a taker has left to its task, in a list.
        self._left: list[Any] = []
        #: The way on which the app has got each message.
        self.ways: list[Way] = []

    def read(self, messages: Iterable[Any]) -> None:
        """Pass on the messages of one read, or the event of the end."""
        if self._taker is not None:
            self._taker[0].begin_turn()
        for message in messages:
            if self._taker is None or isinstance(message, dict):
                self._kept.append(message)
                self._changed.set()
            else:
                self._take(*self._taker, message)

    def _take(self, taker: Taker, context: Context, task: asyncio.Task[Any] | None, message: Any) -> None:
        self.ways.append("direct")
        with acting_as(task):
            left = context.run(taker.take, message)
        if left is not None:
            self._taker = None
            self._left.append(left)
            self._changed.set()

    async def receive(self) -> Any:
        while not self._kept and not self._left:
            self._changed = anyio.Event()
            await self._changed.wait()
        if self._left:
            return self._left.pop()
        if isinstance(self._kept[0], dict):
            # The end is returned again and again.
            return self._kept[0]
        self.ways.append("queue")
        return self._kept.popleft()

    async def receive_with(self, taker: Taker) -> Any:
        if not self._kept and not self._left:
            task = asyncio.current_task() if running_library() == "asyncio" else None
            self._taker = taker, copy_context(), task
        try:
            return await self.receive()
        finally:
            self._taker = None


class Sink:
    """Passes the messages in frames to ``arrive``, unless the client does not read."""

    def __init__(self, arrive: Callable[[bytes], object]) -> None:
        self._arrive = arrive
        self._soon = soon()
        self._readable = anyio.Event()
        self._readable.set()
        self.pending = 0
        self.gone = False

    @staticmethod
    def frame(data: bytes) -> bytes:
        return _MARK + data

    def write(self, framed: bytes) -> bool:
        if not self._readable.is_set():
            return False
        if not self.gone:
            if not self.pending:
                self._soon(self._end_turn)
            self.pending += 1
            assert framed.startswith(_MARK), "it is no frame"
            self._arrive(framed.removeprefix(_MARK))
        return True

    def _end_turn(self) -> None:
        self.pending = 0

    async def drained(self) -> None:
        await self._readable.wait()

    def set_write_timeout(self, seconds: float | None) -> None:
        """Clients may read as slowly as they like."""

    def stop_reading(self) -> None:
        self._readable = anyio.Event()

    def read_again(self) -> None:
        self._readable.set()


class Channel:
    """The server's end of a line: its ASGI callables, and the direct ways beside them."""

    def __init__(self) -> None:
        self._connected = False
        self._binary = False
        self._arriving, self.arrived = anyio.create_memory_object_stream[ASGIEvent](math.inf)
        self.source = Source()
        self.writer = Sink(self._arrive_directly)
        #: The way of each message to the client.
        self.ways: list[Way] = []

    async def receive(self) -> ASGIEvent:
        if not self._connected:
            self._connected = True
            return {"type": "websocket.connect"}
        item = await self.source.receive()
        if isinstance(item, dict):
            return item
        self.source.ways[-1] = "event"
        return {"type": "websocket.receive", "text" if isinstance(item, str) else "bytes": item}

    async def send(self, event: ASGIEvent) -> None:
        await self.writer.drained()
        if self.writer.gone:
            raise OSError("the client has gone")
        if event["type"] == "websocket.send":
            self.ways.append("event")
        elif event["type"] == "websocket.close":
            self.writer.gone = True
        self._arriving.send_nowait(event)

    def sink(self, *, binary: bool) -> Sink:
        self._binary = binary
        return self.writer

    def _arrive_directly(self, data: bytes) -> None:
        self.ways.append("direct")
        field = {"bytes": data} if self._binary else {"text": data.decode()}
        self._arriving.send_nowait({"type": "websocket.send", **field})

    def close(self) -> None:
        self._arriving.close()
        self.arrived.close()


class FrameLine:
    """Connects a client to an app over a Channel."""

    def __init__(
        self, app: ASGIApp, *, subprotocols: Iterable[str], buffer_size: float = math.inf, **scope: Any
    ) -> None:
        assert buffer_size == math.inf, "clients stop reading by stop_reading()"
        self._app = app
        self.channel = Channel()
        self._scope: Scope = {
            "type": "websocket",
            "path": "/",
            "headers": [],
            "client": ("192.0.2.1", 50000),
            "subprotocols": list(subprotocols),
            "extensions": {"wampasgi.frames": {"channel": self.channel}},
            **scope,
        }
        self._soon = soon()
        self.served = anyio.Event()

    async def run(self) -> None:
        try:
            if running_library() == "trio":
                await self._serve()
            else:
                # A server has none of the variables of the test, such as anyio's name of the library.
                await asyncio.create_task(self._serve(), context=Context())
        finally:
            self.served.set()

    async def _serve(self) -> None:
        await self._app(self._scope, self.channel.receive, self.channel.send)

    def close(self) -> None:
        self.channel.close()

    async def send(self, event: ASGIEvent) -> None:
        if event["type"] == "websocket.disconnect":
            self.channel.writer.gone = True
            self.channel.writer.read_again()
            await self.read([event])
        elif event["type"] == "websocket.receive":
            await self.read([event["text"] if "text" in event else event["bytes"]])

    async def read(self, messages: Sequence[Any]) -> None:
        """Let the server read messages, or the event of the end, in one read."""
        done = anyio.Event()

        def read() -> None:
            self.channel.source.read(messages)
            done.set()

        self._soon(read)
        await done.wait()

    async def receive(self) -> ASGIEvent:
        return await self.channel.arrived.receive()

    def arrived(self) -> int:
        return self.channel.arrived.statistics().current_buffer_used

    async def settle(self) -> None:
        """Do nothing: what the app sends has arrived."""


class DirectClient(WAMPClient):
    """A client of a server that offers the extension."""

    line_type = FrameLine
    _line: FrameLine

    @property
    def channel(self) -> Channel:
        return self._line.channel

    async def send_read(self, *messages: Any) -> None:
        """Send messages, or frames as they are, that the server receives in one read."""
        await self._line.read(
            [one if isinstance(one, (str, bytes)) else self._frame(one) for one in messages]
        )

    def _frame(self, message: Any) -> str | bytes:
        return FORMATS[self.subprotocol].encode(message)

    def stop_reading(self) -> None:
        self.channel.writer.stop_reading()

    def read_again(self) -> None:
        self.channel.writer.read_again()


@asynccontextmanager
async def direct_client(
    app: ASGIApp, realm: str | None = "default", **scope: Any
) -> AsyncIterator[DirectClient]:
    """Open a WebSocket over a FrameLine, and a session on it."""
    async with accepted(DirectClient(app, **scope)) as client:
        if realm is not None:
            await client.join(realm)
            client.channel.ways.clear()
            client.channel.source.ways.clear()
        yield client


class Wrapping:
    """A middleware that wraps both callables, so that nothing can go directly."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def wrapped_receive() -> ASGIEvent:
            return await receive()

        async def wrapped_send(event: ASGIEvent) -> None:
            await send(event)

        await self._app(scope, wrapped_receive, wrapped_send)


Connect: TypeAlias = Callable[[ASGIApp], AbstractAsyncContextManager[DirectClient]]


@pytest.fixture(params=["direct", "event"])
def connect_each_way(request: pytest.FixtureRequest) -> Connect:
    """Opens sessions whose messages go directly or as events. The test runs for each of both ways."""
    way = request.param

    @asynccontextmanager
    async def connect(app: ASGIApp) -> AsyncIterator[DirectClient]:
        async with direct_client(app if way == "direct" else Wrapping(app)) as client:
            yield client
            assert set(client.channel.source.ways) <= {way, "queue"}
            # The server's answers to HELLO are always events.
            assert set(client.channel.ways) <= {way, "event"}

    return connect
