"""Sessions on the picows transport, which exchange messages with it directly, on a fake transport."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.specification import (
    ABORT,
    CALL,
    ERROR,
    EVENT,
    GOODBYE,
    HELLO,
    PROTOCOL_VIOLATION,
    PUBLISH,
    PUBLISHED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    WELCOME,
)
from tests.transports.picows_connection import PATIENCE, PicowsConnection
from tests.transports.raw_websocket import CLOSE, TEXT, Frame, close_frame, close_payload, frame, handshake
from tests.wamp_client import open_app
from wampasgi import Application, Limits, RPCProgressReport
from wampasgi.types import ASGIApp

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


class SessionConnection(PicowsConnection):
    """A connection with a session on it."""

    async def join(self) -> None:
        self.request(handshake(headers={"Sec-WebSocket-Protocol": "wamp.2.json"}))
        await anyio.wait_all_tasks_blocked()
        assert self.transport.take().startswith(b"HTTP/1.1 101 ")
        [welcome] = await self.ask([HELLO, "default", {"roles": {"caller": {}, "subscriber": {}}}])
        assert welcome[0] == WELCOME

    async def read_messages(self, *messages: Any) -> None:
        """Read messages in one read, in a callback of the event loop as a transport does."""
        frames = [frame(TEXT, json.dumps(message).encode()) for message in messages]
        read = asyncio.Event()

        def read_now() -> None:
            try:
                self.read(*frames)
            finally:
                read.set()

        self.loop.call_soon(read_now)
        await read.wait()

    async def ask(self, *messages: Any) -> list[Any]:
        """Read messages and return all that is written until every task waits."""
        await self.read_messages(*messages)
        await anyio.wait_all_tasks_blocked()
        return self.messages()

    def messages(self) -> list[Any]:
        """Return the messages that were written since the last call."""
        return [json.loads(one.payload) for one in self.frames()]


async def joined(app: ASGIApp, **options: Any) -> SessionConnection:
    connection = SessionConnection(app, **options)
    await connection.join()
    return connection


def publications(count: int) -> list[list[Any]]:
    return [[PUBLISH, number, {"acknowledge": True}, "other"] for number in range(1, count + 1)]


# Writes


async def test_answers_to_the_messages_of_a_read_are_one_write() -> None:
    connection = await joined(open_app())
    await connection.read_messages(*publications(20))

    # They are written before anything else can run.
    assert len(connection.transport.writes) == 1
    assert [message[:2] for message in connection.messages()] == [[PUBLISHED, n] for n in range(1, 21)]


async def test_results_of_a_read_are_one_write() -> None:
    app = open_app()

    @app.procedure("echo")
    async def echo(value: int) -> int:
        return value

    connection = await joined(app)
    await connection.read_messages(*([CALL, n, {}, "echo", [n]] for n in range(1, 21)))
    await anyio.wait_all_tasks_blocked()

    assert len(connection.transport.writes) == 1
    assert connection.messages() == [[RESULT, n, {}, [n]] for n in range(1, 21)]


async def test_events_of_a_turn_are_one_write_for_each_subscriber() -> None:
    app = open_app()
    connections = [await joined(app) for _ in range(3)]
    for connection in connections:
        [answer] = await connection.ask([SUBSCRIBE, 1, {}, "news"])
        assert answer[0] == SUBSCRIBED
    publisher = await joined(app)
    await publisher.read_messages(*([PUBLISH, n, {}, "news", [n]] for n in range(1, 11)))
    await anyio.wait_all_tasks_blocked()

    for connection in connections:
        assert len(connection.transport.writes) == 1
        events = connection.messages()
        assert [(event[0], event[-1]) for event in events] == [(EVENT, [n]) for n in range(1, 11)]


@pytest.mark.parametrize("size", [1, 20_000, 100_000])
async def test_progressive_results_of_any_size_do_not_starve_others(size: int) -> None:
    app, made = open_app(), 0

    @app.procedure("count")
    async def count() -> AsyncIterator[Any]:
        nonlocal made
        for _ in range(100):
            made += 1
            yield RPCProgressReport(("x" * size,))

    connection = await joined(app)
    await connection.read_messages([CALL, 1, {"receive_progress": True}, "count"])
    most = before = 0
    with anyio.fail_after(PATIENCE):
        while made < 100:
            most, before = max(most, made - before), made
            await checkpoint()
    most = max(most, made - before)

    assert most <= 20
    await anyio.wait_all_tasks_blocked()
    assert connection.messages()[-1] == [RESULT, 1, {}]


# Backpressure


async def test_messages_are_queued_while_the_transport_is_full() -> None:
    app = open_app()
    connection = await joined(app)
    await connection.ask([SUBSCRIBE, 1, {}, "news"])
    connection.protocol.pause_writing()
    for number in range(5):
        await app.publish("news", number)
    await anyio.wait_all_tasks_blocked()
    assert connection.transport.writes == []
    connection.protocol.resume_writing()
    await app.publish("news", 5)
    await anyio.wait_all_tasks_blocked()

    assert [message[-1] for message in connection.messages()] == [[number] for number in range(6)]


async def test_client_that_reads_too_slowly_is_aborted_with_1009() -> None:
    app = open_app(limits=Limits(outbound_messages=10))
    connection = await joined(app)
    await connection.ask([SUBSCRIBE, 1, {}, "news"])
    connection.protocol.pause_writing()
    for number in range(50):
        await app.publish("news", number)
    await anyio.wait_all_tasks_blocked()
    connection.protocol.resume_writing()
    await anyio.wait_all_tasks_blocked()

    *events, abort, close = connection.frames()
    assert all(json.loads(event.payload)[0] == EVENT for event in events)
    assert json.loads(abort.payload)[0] == ABORT
    reason = "wamp.error.payload_size_exceeded"
    assert close == Frame(CLOSE, close_payload(1009, reason))
    assert not app.default_realm.sessions


async def test_limit_of_the_application_is_the_time_to_read_something() -> None:
    connection = await joined(open_app(limits=Limits(write_timeout=3)))
    connection.transport.waiting = 100_000
    connection.protocol.pause_writing()
    connection.loop.advance(2.9)
    assert not connection.transport.is_closing()
    connection.loop.advance(0.1)

    assert connection.transport.aborted


async def test_client_may_read_nothing_if_the_application_has_no_limit() -> None:
    connection = await joined(open_app(limits=Limits(write_timeout=None)))
    connection.transport.waiting = 100_000
    connection.protocol.pause_writing()
    connection.loop.advance(1000)

    assert not connection.transport.is_closing()


async def test_client_is_not_read_while_too_many_of_its_requests_wait() -> None:
    app, release = open_app(limits=Limits(requests_in_flight=2)), anyio.Event()

    @app.procedure("wait")
    async def wait() -> None:
        await release.wait()

    connection = await joined(app, ws_max_queue=4)
    sent = 0
    while connection.transport.is_reading() and sent < 1000:
        sent += 1
        await connection.read_messages([CALL, sent, {}, "wait"])
        await anyio.wait_all_tasks_blocked()
    assert sent < 20
    assert connection.transport.writes == []
    release.set()
    await anyio.wait_all_tasks_blocked()

    assert connection.transport.is_reading()
    assert sorted(message[1] for message in connection.messages()) == list(range(1, sent + 1))


# The end


async def test_violation_of_wamp_is_answered_by_abort_and_1002() -> None:
    app = open_app()
    connection = await joined(app)
    await connection.read_messages(*publications(2), [HELLO, "default", {}], *publications(1))
    await anyio.wait_all_tasks_blocked()

    *published, abort, close = connection.frames()
    assert [json.loads(one.payload)[:2] for one in published] == [[PUBLISHED, 1], [PUBLISHED, 2]]
    assert json.loads(abort.payload)[::2] == [ABORT, PROTOCOL_VIOLATION]
    assert close == Frame(CLOSE, close_payload(1002, PROTOCOL_VIOLATION))
    connection.read(close_frame(1002))
    assert connection.transport.is_closing()


async def test_violation_of_rfc_6455_ends_the_session_after_its_messages() -> None:
    app = open_app()
    connection = await joined(app)
    message = frame(TEXT, json.dumps([PUBLISH, 1, {"acknowledge": True}, "other"]).encode())
    connection.read(message, frame(0x3), message)
    await anyio.wait_all_tasks_blocked()

    published, close = connection.frames()
    assert json.loads(published.payload)[0] == PUBLISHED
    assert close.payload[:2] == close_payload(1002)
    assert not app.default_realm.sessions


@pytest.mark.parametrize("end", ["close", "eof", "lost"])
async def test_session_ends_with_its_connection(end: str) -> None:
    app, ended = open_app(), []

    @app.procedure("wait")
    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(end)

    connection = await joined(app)
    await connection.ask([CALL, 1, {}, "wait"])
    if end == "close":
        connection.read(close_frame(1000))
        connection.lose()
    elif end == "eof":
        connection.protocol.eof_received()
        connection.lose()
    else:
        connection.lose()
    with anyio.fail_after(PATIENCE):
        while connection.state.tasks:
            await checkpoint()

    assert ended == [end]
    assert not app.default_realm.sessions
    assert connection.frames() == ([Frame(CLOSE, close_payload(1000))] if end == "close" else [])


async def test_shutdown_ends_the_session() -> None:
    app = open_app()
    connection = await joined(app)
    connection.protocol.shutdown()
    connection.read(close_frame(1012))
    connection.lose()
    with anyio.fail_after(PATIENCE):
        while connection.state.tasks:
            await checkpoint()

    assert not app.default_realm.sessions
    assert connection.frames() == [Frame(CLOSE, close_payload(1012))]


async def test_next_session_follows_on_the_same_connection() -> None:
    connection = await joined(Application())
    await connection.read_messages(
        [GOODBYE, {}, "wamp.close.close_realm"],
        [HELLO, "default", {"roles": {"caller": {}}}],
        [CALL, 1, {}, "unknown"],
    )
    answers: list[Any] = []
    with anyio.fail_after(PATIENCE):
        while len(answers) < 3:
            await checkpoint()
            answers += connection.messages()

    assert [answer[0] for answer in answers] == [GOODBYE, WELCOME, ERROR]
