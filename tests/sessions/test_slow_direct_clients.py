"""Clients that read too slowly, if messages are written to them directly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.frame_line import DirectClient, Wrapping, direct_client
from tests.specification import ABORT, CALL, EVENT, GOODBYE, GOODBYE_AND_OUT, PUBLISH, PUBLISHED, RESULT
from tests.wamp_client import open_app
from wampasgi import Application, Limits, RPCProgressReport, Session
from wampasgi.limits import OverflowPolicy

pytestmark = pytest.mark.anyio

#: The length of the queues in these tests.
BOUND = 10
#: Messages that may be written in a row before other tasks run.
SOME = 20


def news_app(overflow: OverflowPolicy = "disconnect", **limits: Any) -> Application:
    app = open_app(limits=Limits(outbound_messages=BOUND, overflow=overflow, **limits))

    @app.procedure("hello")
    async def hello() -> str:
        return "hello"

    return app


async def publish(app: Application, *numbers: int) -> None:
    for number in numbers:
        await app.publish("news", number)


async def events(client: DirectClient, count: int) -> list[Any]:
    return [(await client.event())[0] for _ in range(count)]


# Order


async def test_messages_are_queued_only_while_the_client_does_not_read() -> None:
    app = news_app()

    async with direct_client(app) as client:
        await client.subscribe("news")
        await publish(app, 1, 2)
        # Nothing but a direct way can be so fast.
        assert client.arrived() == 2
        client.stop_reading()
        await publish(app, 3, 4)
        await anyio.wait_all_tasks_blocked()
        assert client.arrived() == 2
        client.read_again()
        assert await events(client, 4) == [1, 2, 3, 4]
        await publish(app, 5)
        assert client.arrived() == 1
        assert await events(client, 1) == [5]
        assert set(client.channel.ways) == {"direct"}


async def test_messages_do_not_overtake_those_in_the_queue() -> None:
    app = news_app()

    async with direct_client(app) as client:
        await client.subscribe("news")
        client.stop_reading()
        await publish(app, 1, 2)
        await anyio.wait_all_tasks_blocked()
        await publish(app, 3)
        client.read_again()
        # The writer has not begun to write again.
        await publish(app, 4)
        await client.send_read([CALL, 1, {}, "hello"])
        await publish(app, 5)
        received = [await client.receive() for _ in range(6)]

    numbers = [message[-1][0] for message in received if message[0] == EVENT]
    assert numbers == [1, 2, 3, 4, 5]
    assert [RESULT, 1, {}, ["hello"]] in received


async def test_goodbye_comes_after_the_messages_in_the_queue() -> None:
    app = news_app()

    async with direct_client(app) as client:
        await client.subscribe("news")
        client.stop_reading()
        await publish(app, 1, 2)
        await client.send_read(
            [PUBLISH, 1, {"acknowledge": True}, "other"], [GOODBYE, {}, "wamp.close.close_realm"]
        )
        await anyio.wait_all_tasks_blocked()
        client.read_again()
        assert await events(client, 2) == [1, 2]
        assert (await client.receive())[0] == PUBLISHED
        assert await client.receive() == [GOODBYE, {}, GOODBYE_AND_OUT]
        # The next session is not affected.
        await client.join()
        await client.subscribe("news")
        await publish(app, 3)
        assert await events(client, 1) == [3]


async def test_slow_client_delays_nobody_else() -> None:
    app = news_app("drop_oldest_events")

    async with (
        direct_client(app) as slow,
        direct_client(app) as quick,
        direct_client(Wrapping(app)) as wrapped,
    ):
        for client in slow, quick, wrapped:
            await client.subscribe("news")
        slow.stop_reading()
        for number in range(100):
            await publish(app, number)
            assert await events(quick, 1) == await events(wrapped, 1) == [number]


async def test_client_that_leaves_while_messages_wait_for_it() -> None:
    app = news_app()

    async with direct_client(app) as client:
        await client.subscribe("news")
        client.stop_reading()
        await publish(app, 1, 2, 3)
        await anyio.wait_all_tasks_blocked()
        await client.disconnect()
        await client.wait_served()
        assert client.arrived() == 0

    assert not app.default_realm.sessions


# Overflow


async def test_overflow_ends_the_session_with_abort() -> None:
    app = news_app("disconnect")
    lost: list[int] = []

    @app.on_overflow
    async def count(session: Session, dropped: int) -> None:
        lost.append(dropped)

    async with direct_client(app) as client:
        await client.subscribe("news")
        await publish(app, 0)
        client.stop_reading()
        await publish(app, *range(1, 50))
        await anyio.wait_all_tasks_blocked()
        client.read_again()
        received = [await client.receive()]
        while received[-1][0] == EVENT:
            received.append(await client.receive())
        assert received.pop()[::2] == [ABORT, "wamp.error.payload_size_exceeded"]
        assert (await client.closed())["code"] == 1009
        await client.wait_served()

    # The messages that were being written are still written.
    numbers = [message[-1][0] for message in received]
    assert numbers == list(range(len(numbers)))
    assert 1 <= len(numbers) < BOUND
    assert lost == [BOUND + 1]
    assert app.metrics()["default"]["overflows"] == {"stretches": 1, "dropped": BOUND + 1}


async def test_session_that_overflows_while_its_messages_are_handled_handles_no_more() -> None:
    app = news_app("disconnect")

    async with direct_client(app) as client, direct_client(app) as subscriber:
        await subscriber.subscribe("news")
        client.stop_reading()
        requests = [[PUBLISH, number, {"acknowledge": True}, "news", [number]] for number in range(1, 31)]
        await client.send_read(*requests)
        await anyio.wait_all_tasks_blocked()
        # The answer to the last one was too much. The writer may hold as many messages as the queue.
        handled = subscriber.arrived()
        assert BOUND < handled <= 2 * (BOUND + 1)
        assert await events(subscriber, handled) == list(range(1, handled + 1))
        client.read_again()
        await client.wait_served()
        assert len(app.default_realm.sessions) == 1


async def test_oldest_events_are_dropped_and_the_loss_is_reported_when_the_client_has_read() -> None:
    app = news_app("drop_oldest_events")
    current: ContextVar[str] = ContextVar("current", default="nothing")
    reports: list[tuple[int, str]] = []

    @app.on_overflow
    async def report(dropped: int) -> None:
        reports.append((dropped, current.get()))

    async with direct_client(app) as client:
        await client.subscribe("news")
        client.stop_reading()
        current.set("the publisher's")
        await publish(app, *range(25))
        await client.send_read([CALL, 1, {}, "hello"])
        await anyio.wait_all_tasks_blocked()
        await publish(app, *range(25, 50))
        [session] = app.default_realm.sessions.values()
        dropped = session.dropped_messages
        assert reports == []
        client.read_again()
        received: list[Any] = []
        while not received or received[-1][-1] != [49]:
            received.append(await client.receive())
        await anyio.wait_all_tasks_blocked()

        numbers = [message[-1][0] for message in received if message[0] == EVENT]
        assert numbers == sorted(numbers)
        assert numbers[-5:] == [45, 46, 47, 48, 49]
        assert len(numbers) + dropped == 50
        assert [RESULT, 1, {}, ["hello"]] in received
        assert reports == [(dropped, "nothing")]

        # Afterwards nothing is lost.
        await publish(app, *range(50, 60))
        assert await events(client, 10) == list(range(50, 60))
        await anyio.wait_all_tasks_blocked()
        assert len(reports) == 1


async def test_fast_client_never_overflows() -> None:
    app = news_app("disconnect")

    async with direct_client(app) as client:
        await client.subscribe("news")
        # All in one turn.
        await publish(app, *range(100))
        assert await events(client, 100) == list(range(100))
        [session] = app.default_realm.sessions.values()
        assert session.dropped_messages == 0


# Senders that wait


def counting_app() -> tuple[Application, Callable[[], int]]:
    """An app with a procedure that has many progressive results, and the number of those it has made."""
    app, made = news_app(), 0

    @app.procedure("count")
    async def count(last: int) -> AsyncIterator[Any]:
        nonlocal made
        for number in range(last):
            made += 1
            yield RPCProgressReport((number,))

    return app, lambda: made


async def test_progressive_results_wait_for_a_slow_client() -> None:
    app, made = counting_app()

    async with direct_client(app) as client:
        client.stop_reading()
        await client.send_read([CALL, 1, {"receive_progress": True}, "count", [100]])
        await anyio.wait_all_tasks_blocked()
        assert 0 < made() <= BOUND
        client.read_again()
        results = [await client.receive() for _ in range(101)]

    assert results == [
        *([RESULT, 1, {"progress": True}, [number]] for number in range(100)),
        [RESULT, 1, {}],
    ]


async def most_per_turn(count: Callable[[], int], until: int) -> int:
    """Return the greatest increase of a number between two turns of another task."""
    most, before = 0, count()
    with anyio.fail_after(5):
        while (now := count()) < until:
            most, before = max(most, now - before), now
            await checkpoint()
    return max(most, count() - before)


async def test_progressive_results_for_a_fast_client_do_not_starve_others() -> None:
    app, made = counting_app()

    async with direct_client(app) as client:
        await client.send_read([CALL, 1, {"receive_progress": True}, "count", [1000]])
        assert await most_per_turn(made, 1000) <= SOME
        results = [await client.receive() for _ in range(1001)]

    assert results[-1] == [RESULT, 1, {}]


@pytest.mark.parametrize("reads", [True, False])
async def test_events_of_a_handler_wait_for_the_client_and_do_not_starve_others(reads: bool) -> None:
    app, made = news_app(), 0

    @app.procedure("flood")
    async def flood(session: Session) -> None:
        nonlocal made
        for number in range(1000):
            await session.send_event("news", [number])
            made += 1

    async with direct_client(app) as client:
        await client.subscribe("news")
        if not reads:
            client.stop_reading()
        await client.send_read([CALL, 1, {}, "flood"])
        if reads:
            assert await most_per_turn(lambda: made, 1000) <= SOME
        else:
            await anyio.wait_all_tasks_blocked()
            assert 0 < made <= BOUND
            client.read_again()
        assert await events(client, 1000) == list(range(1000))
        assert await client.receive() == [RESULT, 1, {}]


async def test_flushed_waits_for_a_slow_client() -> None:
    app = news_app()

    async with direct_client(app) as client, anyio.create_task_group() as tasks:
        await client.subscribe("news")
        [session] = app.default_realm.sessions.values()
        client.stop_reading()
        await publish(app, 1)
        flushed = anyio.Event()

        async def flush() -> None:
            await session.flushed()
            flushed.set()

        tasks.start_soon(flush)
        await anyio.wait_all_tasks_blocked()
        assert not flushed.is_set()
        client.read_again()
        with anyio.fail_after(5):
            await flushed.wait()
        assert client.arrived() == 1


# Counters


async def test_bytes_are_counted_for_both_ways() -> None:
    app = news_app()

    async with direct_client(app) as client:
        before = app.metrics()["default"]["bytes"]
        answer = await client.ask(CALL, 1, {}, "hello")
        client.stop_reading()
        await client.send_read([CALL, 2, {}, "hello"])
        await anyio.wait_all_tasks_blocked()
        client.read_again()
        await client.receive()
        after = app.metrics()["default"]["bytes"]

    assert answer == [RESULT, 1, {}, ["hello"]]
    assert after["sent"] - before["sent"] == 2 * len('[50,1,{},["hello"]]')
    assert after["received"] - before["received"] == 2 * len('[48, 1, {}, "hello"]')
