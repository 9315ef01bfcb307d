"""Sessions that are read on while requests wait: for each other, for the authorizer, or for a limit."""

from __future__ import annotations

import anyio
import pytest

from tests.frame_line import Connect
from tests.sessions.reading import CLOSE_REALM, WaitingApp, publications, received
from tests.specification import (
    CALL,
    CANCEL,
    CANCELED,
    ERROR,
    GOODBYE,
    GOODBYE_AND_OUT,
    INVOCATION,
    PUBLISH,
    PUBLISHED,
    RESULT,
    TIMEOUT,
    YIELD,
)
from tests.wamp_client import announcing, open_app
from wampasgi import Application, Limits

pytestmark = pytest.mark.anyio


async def test_cancel_does_not_wait_for_a_synchronized_call(connect_each_way: Connect) -> None:
    app = WaitingApp(synchronize_requests=True)

    async with connect_each_way(app.app) as client:
        await client.send_read(
            [CALL, 1, {}, "wait", [1]],
            [CALL, 2, {}, "wait", [2]],
            [CALL, 3, {}, "wait", [3]],
            [CANCEL, 2, {}],
            [CANCEL, 1, {}],
        )
        await client.expect_error(CALL, 2, CANCELED)
        await client.expect_error(CALL, 1, CANCELED)
        app.release.set()
        assert await client.receive() == [RESULT, 3, {}, [3]]
        # Afterwards, nothing is held any more.
        await client.send_read(*publications(4, 5))
        assert [answer[:2] for answer in await received(client, 2)] == [[PUBLISHED, 4], [PUBLISHED, 5]]

    assert app.ended == [(1, "cancelled"), (3, "finished")]


async def test_cancel_does_not_wait_for_the_authorizer(connect_each_way: Connect) -> None:
    app = Application()

    @app.authorizer
    async def never_decide() -> bool:
        await anyio.sleep_forever()
        return True

    @app.procedure("hello")
    async def hello() -> str:
        return "hello"

    async with connect_each_way(app) as client:
        await client.send_read(
            [CALL, 1, {}, "hello"], [CALL, 2, {}, "hello"], [CANCEL, 1, {}], [CANCEL, 2, {}]
        )
        assert sorted(answer[2:5:2] for answer in await received(client, 2)) == [[1, CANCELED], [2, CANCELED]]
        await client.send_read([GOODBYE, {}, CLOSE_REALM])
        assert await client.receive() == [GOODBYE, {}, GOODBYE_AND_OUT]


async def test_cancel_of_a_call_that_waits_for_others(connect_each_way: Connect) -> None:
    app = WaitingApp(limits=Limits(requests_in_flight=1))

    async with connect_each_way(app.app) as client:
        await client.send_read([CALL, 1, {}, "wait", [1]], [CALL, 2, {}, "wait", [2]], [CANCEL, 2, {}])
        await client.expect_error(CALL, 2, CANCELED)
        await client.send_read([CANCEL, 1, {}], [CALL, 3, {}, "wait", [3]])
        await client.expect_error(CALL, 1, CANCELED)
        app.release.set()
        assert await client.receive() == [RESULT, 3, {}, [3]]

    assert app.began == [1, 3]


async def test_goodbye_waits_for_publications_behind_a_synchronized_call(connect_each_way: Connect) -> None:
    app = WaitingApp(synchronize_requests=True)
    received_events: list[int] = []

    @app.app.subscriber("news")
    async def news(number: int) -> None:
        received_events.append(number)

    async with connect_each_way(app.app) as client:
        await client.send_read(
            [CALL, 1, {}, "wait", [1]],
            [PUBLISH, 2, {"acknowledge": True}, "news", [2]],
            [CALL, 3, {}, "wait", [3]],
            [PUBLISH, 4, {}, "news", [4]],
            [GOODBYE, {}, CLOSE_REALM],
        )
        assert (await client.receive())[:2] == [PUBLISHED, 2]
        assert await client.receive() == [GOODBYE, {}, GOODBYE_AND_OUT]
        await client.join()

    assert sorted(received_events) == [2, 4]
    assert app.ended == [(1, "cancelled")]


async def test_violation_waits_for_publications_behind_a_synchronized_call(connect_each_way: Connect) -> None:
    app = WaitingApp(synchronize_requests=True)

    async with connect_each_way(app.app) as client:
        await client.send_read([CALL, 1, {}, "wait", [1]], *publications(2, 3), "{", *publications(4, 5))
        assert [answer[:2] for answer in await received(client, 2)] == [[PUBLISHED, 2], [PUBLISHED, 3]]
        await client.expect_abort()

    assert app.ended == [(1, "cancelled")]


async def test_disconnect_ends_a_session_that_is_busy(connect_each_way: Connect) -> None:
    app = WaitingApp(synchronize_requests=True)
    published = anyio.Event()

    @app.app.subscriber("news")
    async def news() -> None:
        published.set()

    async with connect_each_way(app.app) as client:
        await client.send_read([CALL, 1, {}, "wait", [1]], [PUBLISH, 2, {}, "news"])
        await client.disconnect()
        await client.wait_served()

    assert app.ended == [(1, "cancelled")]
    assert published.is_set()


async def test_goodbye_does_not_wait_for_the_authorizer(connect_each_way: Connect) -> None:
    app = Application()

    @app.authorizer
    async def never_decide() -> bool:
        await anyio.sleep_forever()
        return True

    @app.procedure("hello")
    async def hello() -> str:
        return "hello"

    async with connect_each_way(app) as client:
        await client.send_read([CALL, 1, {}, "hello"], [CALL, 2, {}, "hello"], [GOODBYE, {}, CLOSE_REALM])
        assert await client.receive() == [GOODBYE, {}, GOODBYE_AND_OUT]


async def test_goodbye_cancels_calls_that_wait_for_others(connect_each_way: Connect) -> None:
    app = WaitingApp(limits=Limits(requests_in_flight=1))

    async with connect_each_way(app.app) as client:
        await client.send_read(
            *([CALL, number, {}, "wait", [number]] for number in (1, 2)),
            *publications(3, 3),
            [GOODBYE, {}, CLOSE_REALM],
        )
        assert (await client.receive())[:2] == [PUBLISHED, 3]
        assert await client.receive() == [GOODBYE, {}, GOODBYE_AND_OUT]
        await client.join()

    assert app.began in ([1], [])
    assert app.ended == [(number, "cancelled") for number in app.began]


async def test_more_requests_than_may_wait_pause_the_client(connect_each_way: Connect) -> None:
    app = WaitingApp(limits=Limits(requests_in_flight=2))

    async with connect_each_way(app.app) as client:
        await client.send_read(
            *([CALL, number, {}, "wait", [number]] for number in range(1, 11)), *publications(11, 12)
        )
        await anyio.wait_all_tasks_blocked()
        # The publications are behind calls that were not read.
        assert client.arrived() == 0
        app.release.set()
        answers = await received(client, 12)

    assert sorted(answer[1] for answer in answers) == list(range(1, 13))
    assert sorted(app.began) == list(range(1, 11))


# Deadlines


async def test_call_of_another_client_times_out(connect_each_way: Connect) -> None:
    app = open_app()

    async with connect_each_way(app) as callee, connect_each_way(app) as caller:
        await callee.register("callee")
        await caller.send_read([CALL, 1, {"timeout": 20}, "callee"], [CALL, 2, {}, "callee"])
        await callee.expect(INVOCATION)
        await callee.answer_invocation(["second"])
        answers = await received(caller, 2)

    assert [RESULT, 2, {}, ["second"]] in answers
    [error] = [answer for answer in answers if answer[0] == ERROR]
    assert (error[1:3], error[4]) == ([CALL, 1], TIMEOUT)


async def test_progressive_results_of_another_client_are_forwarded(connect_each_way: Connect) -> None:
    app = open_app()

    async with connect_each_way(app) as callee, connect_each_way(app) as caller:
        for client in callee, caller:
            await client.leave()
            await client.join(**announcing("progressive_call_results", "call_canceling"))
        await callee.register("callee")
        await caller.send_read([CALL, 1, {"receive_progress": True}, "callee"])
        _, invocation, *_ = await callee.expect(INVOCATION)
        await callee.send_read(
            *([YIELD, invocation, {"progress": True}, [number]] for number in range(5)),
            [YIELD, invocation, {}, ["all"]],
        )
        results = [[RESULT, 1, {"progress": True}, [number]] for number in range(5)]
        assert await received(caller, 6) == [*results, [RESULT, 1, {}, ["all"]]]


async def test_call_that_waits_for_others_times_out(connect_each_way: Connect) -> None:
    app = WaitingApp(limits=Limits(requests_in_flight=1))

    async with connect_each_way(app.app) as client:
        await client.send_read([CALL, 1, {}, "wait", [1]], [CALL, 2, {"timeout": 20}, "wait", [2]])
        await client.expect_error(CALL, 2, TIMEOUT)
        app.release.set()
        assert await client.receive() == [RESULT, 1, {}, [1]]

    assert app.began == [1]


# The pace of a session


async def test_rate_limit_applies_to_the_messages_of_one_read(connect_each_way: Connect) -> None:
    app = open_app(limits=Limits(message_rate=4, message_burst=3))

    async with connect_each_way(app) as client:
        await client.send_read(*publications(1, 4))
        await anyio.wait_all_tasks_blocked()
        assert client.arrived() == 3


async def test_idle_client_gets_goodbye(connect_each_way: Connect) -> None:
    app = open_app(limits=Limits(idle_timeout=0.05, message_rate=1000))

    async with connect_each_way(app) as client:
        await client.send_read(*publications(1, 3))
        await received(client, 3)
        assert (await client.expect(GOODBYE))[2] == TIMEOUT
        await client.send_read(*publications(4, 5), [GOODBYE, {}, GOODBYE_AND_OUT])
        await client.join()
