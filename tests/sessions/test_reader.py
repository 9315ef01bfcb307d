"""The reader of a session, whose messages come as events or directly from the callback that has read them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.frame_line import Connect, DirectClient, direct_client
from tests.sessions.reading import CLOSE_REALM, WaitingApp, publications, received
from tests.specification import (
    ABORT,
    CALL,
    ERROR,
    GOODBYE,
    GOODBYE_AND_OUT,
    HELLO,
    INVALID_ARGUMENT,
    INVALID_URI,
    PROTOCOL_VIOLATION,
    PUBLISH,
    PUBLISHED,
    RESULT,
    UNSUBSCRIBE,
    WELCOME,
)
from tests.wamp_client import open_app
from wampasgi import Limits, Session
from wampasgi.sessions.publications import Publications
from wampasgi.types import Receive, Scope, Send

pytestmark = pytest.mark.anyio

#: The messages of one session that are handled before other sessions run.
BURST = 32


# Order and turns


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_calls_of_one_read_are_answered_in_order(connect_each_way: Connect) -> None:
    app = open_app()

    @app.procedure("echo")
    async def echo(number: int) -> int:
        return number

    async with connect_each_way(app) as client:
        await client.send_read(*([CALL, number, {}, "echo", [number]] for number in range(1, 1001)))
        assert await received(client, 1000) == [[RESULT, number, {}, [number]] for number in range(1, 1001)]


async def test_requests_of_one_read_are_answered_in_order(connect_each_way: Connect) -> None:
    async with connect_each_way(open_app()) as client:
        await client.send_read(*publications(1, 1000), [UNSUBSCRIBE, 1001, 4711])
        assert [answer[1] for answer in await received(client, 1000)] == list(range(1, 1001))
        assert (await client.receive())[2] == 1001


async def answers_of_each_turn(client: DirectClient, count: int) -> list[int]:
    """Return the numbers of answers that arrive between two turns of another task."""
    turns = [client.arrived()]
    with anyio.fail_after(5):
        while client.arrived() < count:
            await checkpoint()
            turns.append(client.arrived())
    return [later - earlier for earlier, later in pairwise(turns)]


async def test_other_sessions_run_between_the_messages_of_one_read(connect_each_way: Connect) -> None:
    async with connect_each_way(open_app()) as client:
        await client.send_read(*publications(1, 1000))
        assert client.arrived() <= BURST
        # On trio, the order of tasks changes from turn to turn.
        assert max(await answers_of_each_turn(client, 1000)) <= 2 * BURST


async def test_turns_after_the_first_one_are_as_long() -> None:
    async with direct_client(open_app()) as client:
        await client.send_read(*publications(1, 1000))
        assert max(await answers_of_each_turn(client, 1000)) >= BURST - 1


async def test_long_messages_shorten_the_turn_of_their_session(connect_each_way: Connect) -> None:
    app = open_app(limits=Limits(nesting_depth=100))
    long = [[*message, ["x" * 8192]] for message in publications(1, 100)]

    async with connect_each_way(app) as client:
        await client.send_read(*long)
        # Each counts as nine messages.
        assert client.arrived() <= 5
        assert max(await answers_of_each_turn(client, 100)) <= 10


async def test_each_read_begins_a_turn() -> None:
    async with direct_client(open_app()) as client:
        for first in range(1, 1001, 20):
            await client.send_read(*publications(first, first + 19))
            # All of them were handled before anything else could run.
            assert len(await received(client, 20)) == client.channel.source.ways.count("direct") == 20
            client.channel.source.ways.clear()


# Sessions that are ended while their messages are handled


async def test_messages_before_the_end_of_the_connection_are_handled(connect_each_way: Connect) -> None:
    app = WaitingApp()

    async with connect_each_way(app.app) as client, connect_each_way(app.app) as subscriber:
        await subscriber.subscribe("news")
        for number in range(3):
            await client.send_read([PUBLISH, number + 1, {}, "news", [number]])
        await client.disconnect()
        await client.wait_served()
        assert [await subscriber.event() for _ in range(3)] == [[0], [1], [2]]


async def test_cancelled_connection_ends_its_handlers(connect_each_way: Connect) -> None:
    app, scopes = WaitingApp(), []

    async def cancellable(scope: Scope, receive: Receive, send: Send) -> None:
        with anyio.CancelScope() as cancel_scope:
            scopes.append(cancel_scope)
            await app.app(scope, receive, send)

    async with connect_each_way(cancellable) as client:
        await client.send_read([CALL, 1, {}, "wait", [1]])
        await anyio.wait_all_tasks_blocked()
        scopes[0].cancel()
        await client.wait_served()
        # A server may read on.
        await client.send_read([CALL, 2, {}, "wait", [2]])

    assert app.ended == [(1, "cancelled")]
    assert not app.app.default_realm.sessions


Ending: TypeAlias = Callable[[Session], Any]


async def close(session: Session) -> None:
    await session.close("com.myapp.enough", "that is all")


async def disconnect(session: Session) -> None:
    await session.disconnect("com.myapp.enough")


async def kill(session: Session) -> None:
    await session.call("wamp.session.kill", session.id, reason="com.myapp.enough")


@pytest.mark.parametrize("end", [close, disconnect])
async def test_handler_may_end_its_own_session(end: Ending, connect_each_way: Connect) -> None:
    app = open_app()

    @app.procedure("end")
    async def end_session(session: Session) -> None:
        await end(session)

    async with connect_each_way(app) as client, connect_each_way(app) as subscriber:
        await subscriber.subscribe("news")
        await client.send_read([CALL, 1, {}, "end"], *publications(2, 11))
        await anyio.wait_all_tasks_blocked()
        # Handlers begin at once if tasks start eagerly, and otherwise after the messages of the turn.
        published = subscriber.arrived()
        assert published in (0, 10)
        assert [(await client.receive())[0] for _ in range(published)] == [PUBLISHED] * published
        if end is close:
            await client.expect(GOODBYE)
            # Between the two GOODBYEs, messages are ignored.
            await client.send_read(*publications(12, 60), [GOODBYE, {}, GOODBYE_AND_OUT])
            await client.join()
        else:
            await client.closed()
        assert subscriber.arrived() == published


async def test_client_may_kill_its_own_session(connect_each_way: Connect) -> None:
    async with connect_each_way(open_app()) as client:
        await client.send_read(
            [CALL, 1, {}, "wamp.session.kill", [client.id], {"reason": "com.myapp.enough"}],
            *publications(2, 3),
        )
        await client.expect_error(CALL, 1, "wamp.error.no_such_session")
        assert [answer[:2] for answer in await received(client, 2)] == [[PUBLISHED, 2], [PUBLISHED, 3]]


async def test_hello_may_follow_goodbye(connect_each_way: Connect) -> None:
    async with connect_each_way(open_app()) as client:
        await client.send_read(
            *publications(1, 2),
            [GOODBYE, {}, CLOSE_REALM],
            [HELLO, "default", {"roles": {"publisher": {}}}],
            *publications(1, 1),
        )
        answers = await received(client, 5)
        assert [answer[0] for answer in answers] == [PUBLISHED, PUBLISHED, GOODBYE, WELCOME, PUBLISHED]


async def test_abort_of_the_client_ends_its_session(connect_each_way: Connect) -> None:
    app = open_app()

    async with connect_each_way(app) as client:
        await client.send_read(*publications(1, 1), [ABORT, {}, "com.myapp.enough"], *publications(2, 2))
        assert (await client.receive())[:2] == [PUBLISHED, 1]
        assert (await client.closed())["code"] == 1000
        await client.wait_served()


# Invalid messages


@pytest.mark.parametrize(
    "bad",
    [
        b"\x90",
        "{",
        "",
        "[]",
        "[4711]",
        '[48, 0, {}, "a"]',
        '[1, "default", {"roles": {"caller": {}}}]',
        "[" * 300 + "]" * 300,
    ],
    ids=["binary", "malformed", "empty", "no code", "unknown", "request id 0", "HELLO", "nested"],
)
async def test_violation_ends_the_session_after_the_messages_before_it(
    bad: str | bytes, connect_each_way: Connect
) -> None:
    async with connect_each_way(open_app()) as client:
        await client.send_read(*publications(1, 3), bad, *publications(4, 6))
        assert [answer[:2] for answer in await received(client, 3)] == [
            [PUBLISHED, 1],
            [PUBLISHED, 2],
            [PUBLISHED, 3],
        ]
        await client.expect_abort(PROTOCOL_VIOLATION)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ('[16, 2, {"acknowledge": true}, "not a uri"]', INVALID_URI),
        ('[48, 2, {}, "a", [NaN]]', INVALID_ARGUMENT),
        ('[48, 2, {}, "a", ["\\ud800"]]', INVALID_ARGUMENT),
    ],
)
async def test_invalid_request_is_refused_alone(
    bad: str, error: str | None, connect_each_way: Connect
) -> None:
    async with connect_each_way(open_app()) as client:
        await client.send_read(*publications(1, 1), bad, *publications(3, 3))
        first, refusal, last = await received(client, 3)
        assert (first[0], last[0]) == (PUBLISHED, PUBLISHED)
        assert refusal[:3] == [ERROR, int(bad[1:3]), 2]
        assert refusal[4] == error


@pytest.mark.logs_failure
async def test_message_that_cannot_be_handled_aborts_its_session(
    connect_each_way: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(publications: Publications, message: Any) -> None:
        raise ZeroDivisionError("in the router")

    monkeypatch.setattr(Publications, "publish", fail)

    async with connect_each_way(open_app()) as client:
        await client.send_read([UNSUBSCRIBE, 1, 4711], *publications(2, 2), [UNSUBSCRIBE, 3, 4711])
        assert (await client.receive())[:3] == [ERROR, UNSUBSCRIBE, 1]
        await client.expect_abort("wamp.error.runtime_error")

    assert "ZeroDivisionError: in the router" in caplog.text
