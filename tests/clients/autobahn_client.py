"""An Autobahn session for tests."""

# Autobahn's signatures have no types.
# mypy: allow-untyped-calls

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from autobahn.asyncio.wamp import ApplicationRunner, ApplicationSession
from autobahn.wamp.exception import ApplicationError
from autobahn.wamp.types import ComponentConfig, SessionDetails

TIMEOUT = 5.0


class Client(ApplicationSession):
    """An Autobahn session that a test controls."""

    def __init__(self) -> None:
        super().__init__(ComponentConfig("default"))
        loop = asyncio.get_running_loop()
        self.joined: asyncio.Future[SessionDetails] = loop.create_future()
        self.disconnected: asyncio.Future[None] = loop.create_future()

    def onJoin(self, details: SessionDetails) -> None:
        self.joined.set_result(details)

    def onDisconnect(self) -> None:
        self.disconnected.set_result(None)


async def result_of(call: Any) -> Any:
    """Wait for the result of a call or another request, at most TIMEOUT seconds."""
    async with asyncio.timeout(TIMEOUT):
        return await call


@asynccontextmanager
async def connected(url: str, serializer: Any) -> AsyncIterator[Client]:
    """Join the default realm; on exit, disconnect and wait until that is done."""
    client = Client()
    runner = ApplicationRunner(url, "default", serializers=[serializer])
    transport, _ = await runner.run(lambda config: client, start_loop=False)
    try:
        async with asyncio.timeout(TIMEOUT):
            await client.joined
        yield client
    finally:
        if not client.disconnected.done():
            client.disconnect()
        async with asyncio.timeout(TIMEOUT):
            await client.disconnected
        transport.close()


async def failure_of(call: Any) -> ApplicationError:
    """Return the ERROR that answers a call, or fail."""
    with pytest.raises(ApplicationError) as failed:
        async with asyncio.timeout(TIMEOUT):
            await call
    return failed.value
