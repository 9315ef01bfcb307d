"""A transport in memory other than a WebSocket: it closes with a reason instead of a close code."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import anyio

from tests.websocket import PATIENCE
from wampasgi.errors import RemoteProtocolError
from wampasgi.peers.transport import Data, Disconnected


class MemoryTransport:
    """One connection, with the server's end and the client's.

    The client sends with ``send``, ``send_data`` and ``hang_up``, and takes what was written with
    ``receive``. Data that the server wrote and the client has not taken is in ``written``.
    """

    def __init__(self, *, binary: bool = False) -> None:
        self._kind = bytes if binary else str
        #: There are no direct ways.
        self.source = self.sink = None
        self.messages_written = 0
        self._events: deque[Data | int] = deque()
        self._arrived: anyio.Event | None = None
        self._changed: anyio.Event | None = None
        self._readable: anyio.Event | None = None
        self._gone = False
        self.receive_event: Callable[[], Awaitable[Any]] = self._receive_event
        self.closed = False
        #: The number of events that the server has asked for.
        self.reads = 0
        self.written: list[Data] = []
        #: The reason, and the code if the server gave one, with which the server has closed the connection.
        self.closed_with: tuple[str, int | None] | None = None

    # The server's end

    async def _receive_event(self) -> Data | int:
        self.reads += 1
        while not self._events:
            self._arrived = anyio.Event()
            await self._arrived.wait()
        return self._events.popleft()

    def data(self, event: Data | int) -> Data:
        if isinstance(event, int):
            self.closed = True
            raise Disconnected(event)
        if not isinstance(event, self._kind):
            raise RemoteProtocolError(f"this connection carries {self._kind.__name__} only")
        return event

    def write_one(self, data: Data) -> Awaitable[None]:
        return self._write((data,))

    async def write(self, data: Sequence[Data]) -> None:
        if not self.closed:
            await self._write(data)

    async def _write(self, data: Sequence[Data]) -> None:
        for piece in data:
            while self._readable is not None:
                await self._readable.wait()
            if self._gone:
                raise ConnectionResetError
            self.written.append(piece)
            self._tell()

    async def close(self, reason: str = "", *, code: int | None = None) -> None:
        if self.closed:
            return
        self.closed = True
        while self._readable is not None:
            await self._readable.wait()
        self.closed_with = reason, code
        self._tell()

    def _tell(self) -> None:
        if self._changed is not None:
            self._changed.set()

    # The client's end

    def send(self, *message: Any) -> None:
        self.send_data(json.dumps(message))

    def send_data(self, data: Data) -> None:
        self._put(data)

    def hang_up(self, code: int = 1006) -> None:
        """End the connection; the server notices it when it reads."""
        self._put(code)

    def break_down(self) -> None:
        """Let every write of the server fail from now on."""
        self._gone = True

    def stop_reading(self) -> None:
        """Block every write of the server, and its close, until ``read_again``."""
        self._readable = anyio.Event()

    def read_again(self) -> None:
        readable, self._readable = self._readable, None
        assert readable is not None, "it has read all the time"
        readable.set()

    def _put(self, event: Data | int) -> None:
        self._events.append(event)
        if self._arrived is not None:
            self._arrived.set()

    async def receive(self) -> Any:
        """Wait for the next message that the server writes."""
        with anyio.fail_after(PATIENCE):
            while not self.written:
                assert self.closed_with is None, f"the server has closed with {self.closed_with}"
                self._changed = anyio.Event()
                await self._changed.wait()
        return json.loads(self.written.pop(0))

    async def ask(self, *message: Any) -> Any:
        self.send(*message)
        return await self.receive()

    async def wait_closed(self) -> tuple[str, int | None]:
        """Wait until the server closes the connection; returns reason and code."""
        with anyio.fail_after(PATIENCE):
            while self.closed_with is None:
                self._changed = anyio.Event()
                await self._changed.wait()
        return self.closed_with

    def messages(self) -> list[Any]:
        """Take all messages that were written so far."""
        taken, self.written = self.written, []
        return [json.loads(data) for data in taken]
