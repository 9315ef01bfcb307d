"""Clients that read too slowly, and their effect on others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint

from tests.specification import ABORT, CALL, EVENT, RESULT, SUBSCRIBE
from tests.wamp_client import WAMPClient, connect
from wampasgi import Application, ConfigurationError, Limits, Realm, RPCProgressReport, Session
from wampasgi.limits import OverflowPolicy

anyio_test = pytest.mark.anyio


def news_app(overflow: OverflowPolicy, **limits: Any) -> Application:
    app = Application(limits=Limits(outbound_messages=10, overflow=overflow, **limits))
    app.allow("news", "subscribe")

    @app.procedure("hello")
    async def hello() -> str:
        return "hello"

    return app


async def subscribed(websocket: WAMPClient) -> None:
    await websocket.join()
    await websocket.ask(SUBSCRIBE, 1, {}, "news")


@anyio_test
async def test_slow_client_gets_an_abort_if_it_still_reads() -> None:
    app = news_app("disconnect")

    async with connect(app, buffer_size=1) as websocket:
        await subscribed(websocket)
        for number in range(50):
            await app.publish("news", number)
        received = []
        while (message := await websocket.receive())[0] == EVENT:
            received.append(message[4][0])
        close = await websocket.closed()

    assert received == list(range(len(received)))
    text = (
        "this client reads too slowly: its queue is over the limit outbound_messages of 10, "
        "or outbound_bytes of 16777216"
    )
    assert message == [ABORT, {"message": text}, "wamp.error.payload_size_exceeded"]
    assert close["code"] == 1009


@anyio_test
async def test_slow_client_loses_the_oldest_events_and_keeps_its_session() -> None:
    app = news_app("drop_oldest_events")
    sessions: list[Session] = []

    @app.on_overflow
    async def lost(session: Session, dropped: int) -> None:
        sessions.append(session)
        counts.append(dropped)

    counts: list[int] = []
    async with connect(app, buffer_size=1) as websocket:
        await subscribed(websocket)
        await websocket.send(CALL, 2, {}, "hello")
        for number in range(50):
            await app.publish("news", number)
        (session,) = app.default_realm.sessions.values()
        assert session.dropped_messages > 30
        assert counts == []
        received: list[Any] = []
        while not received or received[-1] != 49:
            message = await websocket.receive()
            received.append(message[4][0] if message[0] == EVENT else "hello")
        await anyio.wait_all_tasks_blocked()
        assert counts == [session.dropped_messages]
        assert sessions == [session]
        metrics = app.metrics()["default"]

    assert "hello" in received
    events = [number for number in received if number != "hello"]
    assert events == sorted(events)
    assert len(events) + counts[0] == 50
    assert metrics["overflows"] == {"stretches": 1, "dropped": counts[0]}


@anyio_test
async def test_overflow_is_reported_before_the_session_that_it_ends_is_over() -> None:
    app = news_app("disconnect", close_timeout=0.05)
    reported: list[tuple[bool, int]] = []
    served = anyio.Event()

    @app.on_overflow
    async def lost(session: Session, dropped: int, realm: Realm) -> None:
        await checkpoint()
        assert session.id not in realm.sessions, "it has begun to end"
        reported.append((served.is_set(), dropped))

    async with connect(app, buffer_size=1) as websocket:
        served = websocket.served
        await subscribed(websocket)
        for number in range(50):
            await app.publish("news", number)
        await websocket.wait_served()

    assert reported == [(False, 11)]
    assert app.metrics()["default"]["overflows"] == {"stretches": 1, "dropped": 11}


@anyio_test
async def test_report_of_an_overflow_does_not_see_the_context_variables_of_the_publisher() -> None:
    current: ContextVar[str] = ContextVar("current", default="nothing")
    app = news_app("disconnect", close_timeout=0.05)
    seen: list[str] = []

    @app.on_overflow
    async def lost() -> None:
        seen.append(current.get())

    async with connect(app, buffer_size=1) as websocket:
        await subscribed(websocket)
        current.set("the publisher's")
        for number in range(50):
            await app.publish("news", number)
        await websocket.wait_served()

    assert seen == ["nothing"]


@anyio_test
async def test_overflow_of_a_client_that_never_reads_again_is_reported_when_its_session_ends() -> None:
    app = news_app("drop_oldest_events", close_timeout=0.05)
    reported: list[int] = []
    app.on_overflow(_reporter(reported))

    async with connect(app, buffer_size=1) as websocket:
        await subscribed(websocket)
        for number in range(50):
            await app.publish("news", number)
        assert reported == []
        await websocket.disconnect()
        await websocket.wait_served()

    assert len(reported) == 1
    assert reported[0] > 30


def _reporter(reported: list[int]) -> Any:
    def report(dropped: int) -> None:
        reported.append(dropped)

    return report


@anyio_test
async def test_overflow_handler_that_fails_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = news_app("disconnect", close_timeout=0.05)

    @app.on_overflow
    async def lost(dropped: int) -> None:
        raise ZeroDivisionError("in the handler")

    async with connect(app, buffer_size=1) as websocket:
        await subscribed(websocket)
        for number in range(50):
            await app.publish("news", number)
        await websocket.wait_served()

    assert "ZeroDivisionError: in the handler" in caplog.text


@anyio_test
async def test_too_many_waiting_results_end_the_session_under_either_policy() -> None:
    app = news_app("drop_oldest_events", close_timeout=0.05)

    async with connect(app, buffer_size=1) as websocket:
        await subscribed(websocket)
        for number in range(2, 40):
            await websocket.send(CALL, number, {}, "hello")
        received = []
        while (message := await websocket.receive())[0] == RESULT:
            received.append(message[1])

    assert message[0] == ABORT
    assert len(received) < 38


@anyio_test
async def test_publishing_does_not_wait_for_subscribers() -> None:
    policies: tuple[OverflowPolicy, ...] = ("disconnect", "drop_oldest_events")
    for policy in policies:
        app = news_app(policy, close_timeout=0.05)
        async with connect(app, buffer_size=0) as stuck, connect(app) as quick:
            await subscribed(stuck)
            await subscribed(quick)
            with anyio.fail_after(5):
                for number in range(100):
                    await app.publish("news", number)
            assert [(await quick.receive())[4][0] for _ in range(100)] == list(range(100))


@anyio_test
async def test_generator_waits_for_a_caller_that_stops_reading_and_loses_nothing() -> None:
    app = Application(limits=Limits(outbound_messages=5))
    made = 0

    @app.procedure("count")
    async def count() -> AsyncIterator[Any]:
        nonlocal made
        for number in range(100):
            made = number
            yield RPCProgressReport((number,))

    async with connect(app, buffer_size=1) as websocket:
        await websocket.join()
        await websocket.send(CALL, 1, {"receive_progress": True}, "count")
        for expected in range(0, 100, 10):
            await anyio.wait_all_tasks_blocked()
            # The caller reads no further, so the generator produces only what the buffers hold.
            assert made <= expected + 5
            for number in range(expected, expected + 10):
                assert await websocket.receive() == [RESULT, 1, {"progress": True}, [number]]
        assert await websocket.receive() == [RESULT, 1, {}]


def test_second_overflow_handler_is_refused() -> None:
    realm = Realm("r")
    realm.on_overflow(_reporter([]))

    with pytest.raises(ConfigurationError, match=r"the realm already has .*report"):
        realm.on_overflow(_reporter([]))


def test_overflow_handler_that_yields_is_refused() -> None:
    app = Application()

    @app.on_overflow
    async def lost(dropped: int) -> AsyncIterator[None]:
        yield

    with pytest.raises(ConfigurationError, match="must not yield"):
        app.check()
