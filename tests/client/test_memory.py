from __future__ import annotations

import logging
from collections.abc import Awaitable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from tests.client.served_app import app
from wampasgi.client import ConnectFailed, Session, connect
from wampasgi.client.memory import MemoryTransport
from wampasgi.client.waiting import answer_factory
from wampasgi.client.wire import Wire, WireClosed
from wampasgi.errors import ConfigurationError
from wampasgi.serializers import SUBPROTOCOLS
from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send

pytestmark = pytest.mark.anyio

JSON = {"wamp.2.json": SUBPROTOCOLS["wamp.2.json"]}


async def accept(receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept", "subprotocol": "wamp.2.json"})


async def test_scope_is_that_of_a_websocket() -> None:
    scopes, received = list[Scope](), list[ASGIEvent]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scopes.append(scope)
        await accept(receive, send)
        received.extend([await receive(), await receive()])

    headers = [("Cookie", "a=b"), ("X-Tenant", "blue")]
    transport = MemoryTransport(app, subprotocols=JSON, headers=headers, path="/ws?token=1")
    async with transport.open(5) as wire:
        await wire.close(1000, "bye")
    assert received == [{"type": "websocket.disconnect", "code": 1000, "reason": "bye"}] * 2
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


def opened(app: ASGIApp) -> AbstractAsyncContextManager[Wire]:
    return MemoryTransport(app, subprotocols=JSON).open(5)


async def test_frames_of_the_app_are_passed_on_in_order_and_in_its_own_task() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        for number in range(3):
            await send({"type": "websocket.send", "text": str(number)})
        await running.wait()
        await send({"type": "websocket.send", "bytes": b"3", "text": None})
        seen.append("sent")
        await send({"type": "websocket.close"})

    running, seen = anyio.Event(), list[Any]()
    async with opened(app) as wire:
        await anyio.wait_all_tasks_blocked()
        assert await wire.receive() == "0"
        async with anyio.create_task_group() as group:

            async def run() -> None:
                with pytest.raises(WireClosed, match=r"the server closed the connection with code 1000$"):
                    await wire.run(seen.append)

            group.start_soon(run)
            await anyio.wait_all_tasks_blocked()
            assert seen == ["1", "2"]
            running.set()
    assert seen == ["1", "2", b"3", "sent"]


async def test_exception_of_the_client_is_raised_in_its_own_task_and_later_frames_are_ignored() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await running.wait()
        for _ in range(2):
            await send({"type": "websocket.send", "text": "frame"})
        seen.append("sent")

    def fail(frame: Any) -> None:
        seen.append(frame)
        raise LookupError(frame)

    running, seen = anyio.Event(), list[Any]()
    async with opened(app) as wire, anyio.create_task_group() as group:

        async def run() -> None:
            with pytest.raises(LookupError, match="frame"):
                await wire.run(fail)

        group.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        running.set()
    assert seen == ["frame", "sent"]


async def test_app_that_sends_much_lets_other_tasks_run() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await running.wait()
        for number in range(100):
            await send({"type": "websocket.send", "text": str(number)})

    running, turns = anyio.Event(), list[int]()
    frames: list[Any] = []
    async with opened(app) as wire, anyio.create_task_group() as group:

        async def run() -> None:
            with pytest.raises(WireClosed, match="the application returned without closing the WebSocket"):
                await wire.run(frames.append)

        async def count() -> None:
            while len(frames) < 100:
                await anyio.lowlevel.checkpoint()
                turns.append(len(frames))

        group.start_soon(run)
        await anyio.wait_all_tasks_blocked()
        group.start_soon(count)
        await anyio.lowlevel.checkpoint()
        running.set()
    assert {32, 64, 96} & set(turns)


async def test_app_that_receives_much_lets_other_tasks_run() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await running.wait()
        while (event := await receive())["type"] == "websocket.receive":
            received.append(event["text"])

    running, turns = anyio.Event(), set[int]()
    received: list[str] = []
    async with opened(app) as wire, anyio.create_task_group() as group:

        async def count() -> None:
            while len(received) < 200:
                turns.add(len(received))
                await anyio.lowlevel.checkpoint()

        for number in range(200):
            wire.put_nowait(str(number))
        group.start_soon(count)
        await anyio.lowlevel.checkpoint()
        running.set()
    assert received == list(map(str, range(200)))
    assert len(turns) > 50


@pytest.mark.parametrize(
    ("events", "refusal"),
    [
        ([], "refused the WebSocket: it returned without accepting it"),
        ([{"type": "websocket.close"}], "refused the WebSocket: it closed it with code 1000"),
        ([{"type": "websocket.close", "code": 4001}], "refused the WebSocket: it closed it with code 4001"),
        (
            [
                {"type": "websocket.http.response.start", "status": 403, "headers": []},
                {"type": "websocket.http.response.body", "body": b"no", "more_body": True},
                {"type": "websocket.http.response.body", "body": b"!"},
            ],
            "refused the WebSocket: it answered with HTTP status 403",
        ),
        ([{"type": "websocket.accept"}], "speaks no WAMP: it accepted the subprotocol None instead of"),
    ],
)
async def test_app_that_refuses_the_websocket_says_why(events: list[ASGIEvent], refusal: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        for event in events:
            await send(event)
            sent.append(event)
            await anyio.lowlevel.checkpoint()
        if events:
            ended.append(await receive())

    sent, ended = list[ASGIEvent](), list[ASGIEvent]()
    with pytest.raises(ConnectFailed) as raised:
        async with opened(app):
            pytest.fail("it must not open")
    assert refusal in str(raised.value)
    assert not raised.value.retryable
    assert sent == events


async def test_end_of_the_app_is_the_reason_for_the_client() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        raise LookupError("no more")

    async with opened(app) as wire:
        async with anyio.create_task_group() as group:

            async def receive() -> None:
                with pytest.raises(WireClosed, match=r"the application failed: LookupError\('no more'\)"):
                    await wire.receive()

            group.start_soon(receive)
            await anyio.wait_all_tasks_blocked()
            assert wire.put("frame") is None
        with pytest.raises(WireClosed, match="the application failed"):
            wire.put("frame")
        wire.put_nowait("frame")
        with anyio.fail_after(1):
            await wire.close()


async def test_senders_that_wait_go_on_when_the_connection_ends() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await waiting.wait()

    waiting = anyio.Event()
    async with opened(app) as wire, anyio.create_task_group() as group:
        room = None
        while room is None:
            room = wire.put("frame")

        async def wait(room: Awaitable[None]) -> None:
            await room

        with anyio.fail_after(5):
            async with anyio.create_task_group() as senders:
                senders.start_soon(wait, room)
                await anyio.wait_all_tasks_blocked()
                waiting.set()
        group.cancel_scope.cancel()


async def test_nothing_follows_goodbye_if_a_subscriber_was_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def read(session: Session) -> None:
        async with session.subscribe("any.topic") as events:
            async for _ in events:
                pass

    with caplog.at_level(logging.WARNING):
        async with connect(app=app) as session, anyio.create_task_group() as tasks:
            tasks.start_soon(read, session)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
    assert caplog.records == []
