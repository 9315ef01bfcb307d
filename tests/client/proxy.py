"""A TCP proxy in front of a server, which can cut, stall and refuse connections."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.abc import ByteStream, Listener, SocketAttribute
from anyio.streams.tls import TLSListener


class Proxy:
    """Forwards connections to a port on this machine."""

    def __init__(self, port: int) -> None:
        #: The port that connections are forwarded to; a test may change it.
        self.target = port
        self.port = 0
        #: While it is set, new connections are closed at once.
        self.refuses = False
        #: The number of further connections that are closed at once.
        self.refusals = 0
        #: The number of connections that were accepted.
        self.accepted = 0
        self._scopes: set[anyio.CancelScope] = set()
        self._flows = anyio.Event()
        self._flows.set()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/"

    def cut(self) -> None:
        """Close all connections without a closing handshake."""
        for scope in self._scopes:
            scope.cancel()

    def stall(self) -> None:
        """Forward nothing any more on the connections that are open."""
        self._flows = anyio.Event()

    async def handle(self, client: ByteStream) -> None:
        self.accepted += 1
        async with client:
            if self.refuses or self.refusals:
                self.refusals = max(self.refusals - 1, 0)
                return
            try:
                server = await anyio.connect_tcp("127.0.0.1", self.target)
            except OSError:
                return
            async with server:
                with anyio.CancelScope() as scope:
                    self._scopes.add(scope)
                    flows = self._flows
                    async with anyio.create_task_group() as group:
                        group.start_soon(self._pump, client, server, scope, flows)
                        await self._pump(server, client, scope, flows)
                self._scopes.discard(scope)

    async def _pump(
        self, source: ByteStream, sink: ByteStream, scope: anyio.CancelScope, flows: anyio.Event
    ) -> None:
        try:
            async for data in source:
                if self._flows is not flows:
                    await anyio.sleep_forever()
                await sink.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            scope.cancel()
            return
        scope.cancel()


@asynccontextmanager
async def proxy_to(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Proxy]:
    """Run a proxy in front of a port, for clients with TLS if there is a context."""
    proxy = Proxy(port)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    proxy.port = listener.extra(SocketAttribute.local_port)
    serving: Listener[Any] = listener
    if tls is not None:
        serving = TLSListener(listener, tls, standard_compatible=False)
    async with serving, anyio.create_task_group() as group:
        group.start_soon(serving.serve, proxy.handle)
        yield proxy
        group.cancel_scope.cancel()
