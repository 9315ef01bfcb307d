"""WebSockets of the client whose frames come at inconvenient moments."""

from __future__ import annotations

import json

import anyio
import anyio.lowlevel
import pytest

from tests.client.frame_server import CONTINUATION, Connection, close_frame, frame, frame_server
from tests.specification import EVENT, GOODBYE, SUBSCRIBED
from wampasgi.client import ConnectionClosed, connect

pytestmark = pytest.mark.anyio


async def test_message_does_not_overtake_a_fragmented_one_whenever_it_arrives() -> None:
    count = 5

    async def script(server: Connection) -> None:
        await server.welcome()
        await server.frame()
        await server.send(frame([SUBSCRIBED, 1, 5]))
        for steps in range(count):
            first, second = ([EVENT, 5, 2 * steps + number, {}, [2 * steps + number]] for number in (1, 2))
            encoded = json.dumps(first).encode()
            await server.send(frame(encoded[:5], final=False), frame(encoded[5:], opcode=CONTINUATION))
            for _ in range(steps):
                await anyio.lowlevel.checkpoint()
            await server.send(frame(second))
            await anyio.wait_all_tasks_blocked()
        await server.frame()
        await server.send(close_frame(1000))

    async with (
        frame_server(script) as url,
        connect(url, retry=None) as session,
        session.subscribe("a.topic") as events,
    ):
        received = [(await events.next(timeout=5)).args[0] for _ in range(2 * count)]
        assert received == list(range(1, 2 * count + 1))
        await session.close()


async def test_messages_after_goodbye_are_ignored(caplog: pytest.LogCaptureFixture) -> None:
    async def script(server: Connection) -> None:
        await server.welcome()
        await server.send(frame([GOODBYE, {}, "com.example.enough"]), frame([EVENT]), frame([EVENT]))
        assert await server.close_code() == 1000
        await server.send(close_frame(1000))

    async with frame_server(script) as url, connect(url) as session:
        with pytest.raises(ConnectionClosed, match=r"com\.example\.enough"):
            await session.wait_closed()
    assert caplog.records == []
