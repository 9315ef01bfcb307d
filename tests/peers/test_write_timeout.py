"""Clients that read nothing of what is written to them, over a plain ASGI server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio
import pytest

from tests.wamp_client import connect
from wampasgi import Application, Limits
from wampasgi.adapters import TaskOwner, support_for_running_loop
from wampasgi.peers.outbound import Outbound, WriteTimeout

pytestmark = pytest.mark.anyio

#: In seconds.
TIMEOUT = 0.05


class SlowClient:
    """A client that takes one message each time ``take`` is set."""

    def __init__(self) -> None:
        self.messages_written = 0
        self.stuck = anyio.Event()
        self._taken = anyio.Event()

    def take(self) -> None:
        self._taken.set()
        self._taken = anyio.Event()

    async def write_one(self, item: Any, _: int) -> None:
        await self._taken.wait()
        self.messages_written += 1

    async def write(self, items: Sequence[Any], _: int) -> None:
        for item in items:
            await self.write_one(item, 1)

    def outbound(self, owner: TaskOwner, timeout: float = TIMEOUT) -> Outbound:
        return Outbound(
            self.write,
            self.write_one,
            owner,
            max_messages=100,
            max_size=10_000,
            on_overflow=lambda lost, in_stretch: None,
            write_timeout=WriteTimeout(timeout, self, self.stuck.set),
        )


@pytest.mark.parametrize("messages", [1, 3])
async def test_client_that_reads_nothing_is_stuck(messages: int) -> None:
    client = SlowClient()
    async with support_for_running_loop(None).task_owner() as owner:
        outbound = client.outbound(owner)
        for number in range(messages):
            outbound.put(number, 1)
        with anyio.fail_after(5):
            await client.stuck.wait()
            assert outbound.closed
            # Nobody has to wait for the client any more.
            await outbound.drained()


async def test_task_that_waits_for_a_stuck_client_is_woken() -> None:
    client = SlowClient()
    async with support_for_running_loop(None).task_owner() as owner:
        outbound = client.outbound(owner)
        outbound.put("message", 1)
        with anyio.fail_after(5):
            await outbound.drained()
        assert client.stuck.is_set()


async def test_client_that_makes_progress_is_not_stuck() -> None:
    client = SlowClient()
    async with support_for_running_loop(None).task_owner() as owner:
        outbound = client.outbound(owner, timeout=0.2)
        for number in range(10):
            outbound.put(number, 1)
        for _ in range(10):
            # In all, this takes longer than the timeout.
            with anyio.move_on_after(0.05):
                await client.stuck.wait()
            client.take()
        with anyio.fail_after(5):
            await outbound.drained()
    assert client.messages_written == 10
    assert not client.stuck.is_set()


async def test_session_of_a_client_that_reads_nothing_ends(caplog: pytest.LogCaptureFixture) -> None:
    app = Application(limits=Limits(write_timeout=TIMEOUT, close_timeout=TIMEOUT))
    app.allow("news", "subscribe", "publish")
    async with connect(app, buffer_size=0) as reader:
        await reader.join()
        await reader.subscribe("news")
        [session] = app.default_realm.sessions.values()
        await app.publish("news", "unread")
        with anyio.fail_after(5):
            await session.wait_closed()
            await reader.wait_served()

    assert app.metrics()["default"]["sessions"]["aborted"] == 1
    assert "has read nothing within the limit write_timeout of 0.05 s" in caplog.text


async def test_write_timeout_can_be_turned_off() -> None:
    app = Application(limits=Limits(write_timeout=None))
    app.allow("news", "subscribe", "publish")
    async with connect(app, buffer_size=0) as reader:
        await reader.join()
        await reader.subscribe("news")
        await app.publish("news", "unread for a while")
        [session] = app.default_realm.sessions.values()
        with anyio.move_on_after(3 * TIMEOUT):
            await session.wait_closed()
        assert session.is_open
        assert (await reader.receive())[0] == 36
