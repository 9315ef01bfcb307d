"""SIGTERM while clients do not read, do not finish their messages, or have not even begun."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any, Final

import picows

from tests.clients.server_process import ServerProcess
from tests.soak.client import LARGE, Client, small_socket
from wampasgi.protocol.messages import Publish, Subscribe

#: Seconds for the shutdown: longer than the timeouts for clients that do not answer.
PATIENCE: Final = 20.0
#: The number of clients of each kind.
CLIENTS: Final = 5
#: Messages between two clients that stop to read, so that each is at another point of its queues.
BURST: Final = 20
TOPIC: Final = "chatter"


class Shutdown:
    """The clients that are connected when the server gets SIGTERM."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._readers: list[Client] = []
        self._deaf: list[Client] = []
        self._unfinished: list[Client] = []
        self._violations: list[str] = []

    async def run(self) -> list[str]:
        """Connect the clients, stop the server and return the problems."""
        async with AsyncExitStack() as stack, asyncio.timeout(3 * PATIENCE):
            await self._connect()
            for beginning in (b"", b"GET / HTTP/1.1\r\nHost: a\r\nUpgr"):
                _, writer = await asyncio.open_connection("127.0.0.1", self._server.port)
                stack.callback(writer.close)
                writer.write(beginning)
            started = time.monotonic()
            self._server.terminate()
            try:
                await asyncio.to_thread(self._server.wait_for_exit, PATIENCE)
            except AssertionError:
                return [f"the server did not exit within {PATIENCE} s after SIGTERM"]
            print(f"SIGTERM ended the server in {time.monotonic() - started:.1f} s")
            return await self._problems()

    async def _connect(self) -> None:
        for kind in (self._readers, self._unfinished):
            for _ in range(CLIENTS):
                kind.append(await self._joined())
        for client in self._unfinished:
            client.send_frame(picows.WSMsgType.TEXT, LARGE.encode(), fin=False)
            await client.ping()
        chatter = self._readers[0]
        while len(self._deaf) < CLIENTS:
            client = await self._joined(socket_factory=small_socket)
            await client.request(Subscribe.code, {}, TOPIC)
            client.transport.underlying_transport.pause_reading()
            self._deaf.append(client)
            for _ in range(BURST):
                await chatter.request(Publish.code, {"acknowledge": True}, TOPIC, [LARGE])

    async def _joined(self, **options: Any) -> Client:
        client = Client(lambda client, message: None, on_violation=self._violations.append)
        await client.connect(self._server.url, **options)
        await client.join("guest")
        return client

    async def _problems(self) -> list[str]:
        problems = [f"a client got {violation}" for violation in self._violations]
        for client in (*self._readers, *self._unfinished):
            await client.ended.wait()
            if client.close_code != 1012:
                problems.append(f"a client got the close code {client.close_code} at the shutdown")
        for client in self._deaf:
            client.transport.disconnect(False)
        return problems


def shut_down(server: ServerProcess) -> list[str]:
    """Stop the server while clients are connected, and return the problems."""
    problems = asyncio.run(Shutdown(server).run())
    if not problems and server.wait_for_exit(0) not in (0, -15):
        problems.append("the server did not exit cleanly after SIGTERM")
    return problems
