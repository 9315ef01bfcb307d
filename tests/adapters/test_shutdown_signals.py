from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import anyio
import pytest

from tests.wamp_client import connect
from wampasgi import Application, Limits

pytestmark = pytest.mark.anyio

GOODBYE = [6, {"message": "the server shuts down"}, "wamp.close.system_shutdown"]


@contextmanager
def server_handles_sigterm(handle: Callable[[], object]) -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, lambda number, frame: handle())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_server_hears_of_the_signal_when_the_sessions_have_their_goodbye() -> None:
    app = Application(on_shutdown="goodbye")
    arrived: list[int] = []
    heard = anyio.Event()
    async with connect(app) as websocket:
        await websocket.join()

        def handle() -> None:
            arrived.append(websocket.arrived())
            heard.set()

        with server_handles_sigterm(handle):
            async with app.lifespan():
                signal.raise_signal(signal.SIGTERM)
                with anyio.fail_after(5):
                    await heard.wait()
                assert await websocket.receive() == GOODBYE
                await websocket.send(6, {}, "wamp.close.goodbye_and_out")
                await websocket.wait_served()

    assert arrived == [1]


async def test_server_hears_of_the_signal_when_the_queued_messages_are_written() -> None:
    app = Application()
    app.topic("news")(lambda: None)
    arrived: list[int] = []
    heard = anyio.Event()
    async with connect(app) as client:
        await client.join()
        await client.subscribe("news")

        def handle() -> None:
            arrived.append(client.arrived())
            heard.set()

        with server_handles_sigterm(handle):
            async with app.lifespan():
                await app.publish("news", "last")
                signal.raise_signal(signal.SIGTERM)
                with anyio.fail_after(5):
                    await heard.wait()
                assert await client.event() == ["last"]
                assert (await client.closed())["code"] == 1012
                await client.wait_served()

    assert arrived[0] >= 1


@pytest.mark.parametrize("on_shutdown", ["reconnect", "goodbye"])
async def test_server_hears_of_the_signal_though_a_client_never_reads(
    on_shutdown: Literal["reconnect", "goodbye"],
) -> None:
    app = Application(limits=Limits(close_timeout=0.1), on_shutdown=on_shutdown)
    heard = anyio.Event()
    with server_handles_sigterm(heard.set):
        async with connect(app, buffer_size=0) as websocket:
            await websocket.join()
            async with app.lifespan():
                signal.raise_signal(signal.SIGTERM)
                with anyio.fail_after(5):
                    await heard.wait()
                await websocket.disconnect()


async def test_server_hears_of_a_second_signal_at_once() -> None:
    app = Application()
    heard: list[str] = []
    with server_handles_sigterm(lambda: heard.append("sigterm")):
        async with app.lifespan():
            signal.raise_signal(signal.SIGTERM)
            assert heard == []
            signal.raise_signal(signal.SIGTERM)
            assert heard == ["sigterm", "sigterm"]
            signal.raise_signal(signal.SIGTERM)
            assert heard == ["sigterm"] * 3


async def test_server_hears_of_the_signal_when_the_lifespan_ends_before_it_was_passed_on() -> None:
    heard: list[str] = []
    with server_handles_sigterm(lambda: heard.append("sigterm")):
        async with Application().lifespan():
            signal.raise_signal(signal.SIGTERM)
        assert heard == ["sigterm"]
        signal.raise_signal(signal.SIGTERM)

    assert heard == ["sigterm"] * 2
