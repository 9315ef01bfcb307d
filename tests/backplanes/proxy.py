"""A TCP proxy whose connections tests can cut or stall."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast


class _Side(asyncio.Protocol):
    """One end of a proxied connection. It passes data on to the other end."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self.transport: asyncio.Transport | None = None
        self.other: _Side | None = None
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The transports of uvloop are no subclasses.
        self.transport = cast("asyncio.Transport", transport)
        self._proxy.sides.add(self)

    def join(self, other: _Side) -> None:
        self.other = other
        for data in self._early:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        elif self.other.transport is not None and not self._proxy.stalled:
            self.other.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._proxy.sides.discard(self)
        self.transport = None
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class _Accepting(_Side):
    """The end of a client, which connects to the server."""

    def __init__(self, proxy: Proxy, target: int) -> None:
        super().__init__(proxy)
        self._target = target

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._proxy.accepted += 1
        self._proxy.tasks.create_task(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, other = await loop.create_connection(partial(_Side, self._proxy), "127.0.0.1", self._target)
        other.join(self)
        self.join(other)


class Proxy:
    """The state of a proxy."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.tasks = tasks
        self.sides: set[_Side] = set()
        #: The number of connections so far.
        self.accepted = 0
        #: True if data is swallowed while the connections stay open.
        self.stalled = False
        self.port = 0

    def cut(self) -> None:
        """Cut all connections."""
        for side in list(self.sides):
            if side.transport is not None:
                side.transport.abort()


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[Proxy]:
    """Run a proxy for a server on this machine."""
    async with asyncio.TaskGroup() as tasks:
        proxy = Proxy(tasks)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(partial(_Accepting, proxy, port), "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            proxy.cut()
            await server.wait_closed()
