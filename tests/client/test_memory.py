from __future__ import annotations

from typing import Any

import anyio
import anyio.lowlevel
import pytest

from wampasgi.client.memory import MemoryTransport
from wampasgi.client.waiting import answer_factory
from wampasgi.client.wire import Wire, WireClosed
from wampasgi.errors import ConfigurationError
from wampasgi.serializers import SUBPROTOCOLS
from wampasgi.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio

JSON = {"wamp.2.json": SUBPROTOCOLS["wamp.2.json"]}


async def accept(receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "subprotocol": "wamp.2.json"})


async def test_scope_is_that_of_a_websocket() -> None:
    scopes: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await accept(receive, send)
        assert await receive() == {"type": "websocket.disconnect", "code": 1000, "reason": "bye"}
        assert (await receive())["type"] == "websocket.disconnect"

    headers = [("Cookie", "a=b"), ("X-Tenant", "blue")]
    transport = MemoryTransport(app, subprotocols=JSON, headers=headers, path="/ws?token=1")
    async with transport.open(5) as wire:
        await wire.close(1000, "bye")
    [scope] = scopes
    assert (scope["type"], scope["path"], scope["query_string"]) == ("websocket", "/ws", b"token=1")
    assert scope["subprotocols"] == ["wamp.2.json"]
    assert scope["headers"] == [(b"host", b"testserver"), (b"cookie", b"a=b"), (b"x-tenant", b"blue")]


async def test_message_to_an_app_that_has_closed_is_not_sent() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await send({"type": "websocket.close", "code": 4000, "reason": "enough"})

    async with MemoryTransport(app, subprotocols=JSON).open(5) as wire:
        answer = answer_factory()()
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(WireClosed, match="with code 4000 'enough'"):
            wire.put("[]", answer)
        assert not answer.sent
        with pytest.raises(WireClosed):
            await wire.receive()


async def test_app_that_sends_after_the_end_gets_an_oserror() -> None:
    errors: list[Exception] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        try:
            await send({"type": "websocket.send", "text": "[]"})
        except OSError as error:
            errors.append(error)

    async with MemoryTransport(app, subprotocols=JSON).open(5) as wire:
        await wire.close()
    assert [str(error) for error in errors] == ["the client has closed the WebSocket"]


async def test_senders_wait_for_an_app_that_does_not_receive() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await release.wait()
        while (event := await receive())["type"] == "websocket.receive":
            received.append(event["text"])

    release, received = anyio.Event(), list[str]()

    async def send_all(wire: Wire) -> None:
        for number in range(300):
            waiting = wire.put(str(number))
            if waiting is not None:
                await waiting

    async with MemoryTransport(app, subprotocols=JSON).open(5) as wire:
        with anyio.move_on_after(0.05) as scope:
            await send_all(wire)
        assert scope.cancelled_caught
        release.set()
        await anyio.wait_all_tasks_blocked()
        assert len(received) < 100
        received.clear()
        await send_all(wire)
        await anyio.wait_all_tasks_blocked()
    assert received == [str(number) for number in range(300)]


async def test_app_that_does_not_end_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wampasgi.client.memory._CLOSE_TIMEOUT", 0.01)
    ended: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    async with MemoryTransport(app, subprotocols=JSON).open(5):
        pass
    assert ended == ["cancelled"]


async def test_wrong_app_and_path_are_refused() -> None:
    wrong: Any = "app"
    with pytest.raises(ConfigurationError, match="pass an ASGI application"):
        MemoryTransport(wrong, subprotocols=JSON)
    with pytest.raises(ConfigurationError, match="it must begin with '/'"):
        MemoryTransport(lambda *_: anyio.lowlevel.checkpoint(), subprotocols=JSON, path="ws")
