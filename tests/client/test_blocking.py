"""Handlers that block the event loop of their client."""

from __future__ import annotations

import logging
import re
import threading
import types
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from time import perf_counter
from typing import Any

import anyio
import pytest
from anyio import to_thread

from tests.client.served_app import app
from tests.clients.server_process import ServerProcess
from wampasgi import RPCProgressReport
from wampasgi.client import Invocation, WAMPError, connect, connect_sync
from wampasgi.client.blocking import BlockingWatch

LIMIT = 0.02


@pytest.fixture
def low_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wampasgi.client.blocking.LIMIT", LIMIT)


def block() -> None:
    """Keep the thread busy for longer than the limit."""
    start = perf_counter()
    while perf_counter() - start < 2 * LIMIT:
        pass


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "wampasgi.client" and "blocked the event loop" in record.getMessage()
    ]


# In a session


@pytest.mark.anyio
@pytest.mark.usefixtures("low_limit")
async def test_procedure_that_blocks_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    async def sleepy(text: str) -> str:
        block()
        await anyio.lowlevel.checkpoint()
        return text

    async with connect(app=app) as session, connect(app=app) as other:
        await other.register("blocking.sleepy", sleepy)
        assert [await session.call("blocking.sleepy", text) for text in "abc"] == ["a", "b", "c"]
    [warning] = warnings(caplog)
    assert re.search(r"sleepy or one of its dependencies blocked the event loop for \d+\.\d s", warning)
    assert "use def instead of async def" in warning


@pytest.mark.anyio
@pytest.mark.usefixtures("low_limit")
async def test_each_step_of_a_handler_is_measured(caplog: pytest.LogCaptureFixture) -> None:
    async def late() -> None:
        await anyio.lowlevel.checkpoint()
        block()
        raise WAMPError("com.example.late")

    async def steps() -> AsyncIterator[RPCProgressReport | str]:
        yield RPCProgressReport(1)
        await anyio.lowlevel.checkpoint()
        block()
        yield RPCProgressReport(2)
        yield "done"

    async with connect(app=app) as session, connect(app=app) as other:
        await other.register("blocking.late", late)
        await other.register("blocking.steps", steps)
        with pytest.raises(WAMPError, match=r"com\.example\.late"):
            await session.call("blocking.late")
        async with session.call_progress("blocking.steps") as call:
            assert [report async for report in call] == [1, 2]
            assert await call.result() == "done"
    assert [text.split(" or one")[0].rpartition(".")[2] for text in warnings(caplog)] == ["late", "steps"]


@pytest.mark.anyio
@pytest.mark.usefixtures("low_limit")
async def test_handlers_that_wait_or_run_in_threads_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def waiting() -> None:
        await to_thread.run_sync(block)

    async with connect(app=app) as session, connect(app=app) as other:
        await other.register("blocking.waiting", waiting)
        await other.register("blocking.thread", block)
        await session.call("blocking.waiting")
        await session.call("blocking.thread")
    assert warnings(caplog) == []


@pytest.mark.usefixtures("low_limit")
def test_everything_that_waited_is_handled_in_order(
    server: ServerProcess, caplog: pytest.LogCaptureFixture
) -> None:
    blocked, release, complete = threading.Event(), threading.Event(), threading.Event()
    events: list[int] = []
    invocations: list[int] = []

    async def on_event(number: int) -> None:
        if number == 0:
            blocked.set()
            assert release.wait(10)
            block()
        events.append(number)
        if number == 30:
            complete.set()

    async def record(number: int) -> int:
        invocations.append(number)
        return number

    with (
        connect_sync(server.url) as session,
        connect_sync(server.url) as other,
        caplog.at_level(logging.WARNING, logger="wampasgi.client"),
    ):
        session.subscribe("blocking.events", on_event)
        session.register("blocking.record", record)
        other.publish("blocking.events", 0, acknowledge=True)
        assert blocked.wait(10)
        with (
            other.call_progress("blocking.record", 0) as first,
            other.call_progress("blocking.record", 1) as call,
        ):
            for number in range(1, 31):
                other.publish("blocking.events", number, acknowledge=True)
            assert (events, invocations) == ([], [])
            release.set()
            assert (first.result(), call.result()) == (0, 1)
        assert complete.wait(10)
        assert session.call("math.add", 1, 2) == 3
    assert events == list(range(31))
    assert invocations == [0, 1]
    assert len(warnings(caplog)) == 1
    assert "on_event" in warnings(caplog)[0]


@pytest.mark.anyio
async def test_watched_handler_can_be_cancelled() -> None:
    canceled = anyio.Event()

    async def forever(invocation: Invocation) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            canceled.set()

    async with connect(app=app) as session, connect(app=app) as other:
        await other.register("blocking.forever", forever)
        async with session.call_progress("blocking.forever") as call:
            call.cancel()
            with pytest.raises(WAMPError, match=r"wamp\.error\.canceled"):
                await call.result()
        with anyio.fail_after(5):
            await canceled.wait()


# Without an event loop: the watch passes on what the event loop and the handler exchange


@types.coroutine
def suspend(value: Any) -> Generator[Any, Any, Any]:
    return (yield value)


Watch = Callable[[Coroutine[Any, Any, Any]], Any]


async def awaited(coroutine: Coroutine[Any, Any, Any], watch: BlockingWatch) -> Any:
    return await watch.run(coroutine)


@pytest.fixture(params=["before", "after"])
def watch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> BlockingWatch:
    """A watch before or after its warning."""
    watch = BlockingWatch("handler")
    if request.param == "after":
        with monkeypatch.context() as patched:
            patched.setattr("wampasgi.client.blocking.LIMIT", -1.0)

            async def nothing() -> None:
                """Any step takes too long."""

            with pytest.raises(StopIteration):
                awaited(nothing(), watch).send(None)
    return watch


def test_values_pass_in_both_directions(watch: BlockingWatch) -> None:
    async def handler() -> list[Any]:
        return [await suspend(1), await suspend(2)]

    running = awaited(handler(), watch)
    assert running.send(None) == 1
    assert running.send("a") == 2
    with pytest.raises(StopIteration) as ended:
        running.send("b")
    assert ended.value.value == ["a", "b"]


def test_exceptions_pass_in_both_directions(watch: BlockingWatch) -> None:
    async def handler() -> None:
        try:
            await suspend(1)
        except KeyError as error:
            await suspend(error)
        raise ValueError("of the handler")

    running, thrown = awaited(handler(), watch), KeyError("of the loop")
    assert running.send(None) == 1
    assert running.throw(thrown) is thrown
    with pytest.raises(ValueError, match="of the handler") as raised:
        running.send(None)
    assert raised.value.__context__ is None


def test_exception_that_the_handler_does_not_catch_is_the_same_object(watch: BlockingWatch) -> None:
    async def handler() -> None:
        await suspend(1)

    for thrown in (KeyError("x"), KeyboardInterrupt(), StopAsyncIteration()):
        running = awaited(handler(), watch)
        running.send(None)
        with pytest.raises(type(thrown)) as raised:
            running.throw(thrown)
        assert raised.value is thrown
        assert raised.value.__context__ is None


def test_closing_closes_the_handler(watch: BlockingWatch) -> None:
    seen: list[str] = []

    async def handler() -> None:
        try:
            await suspend(1)
        except GeneratorExit:
            seen.append("closed")
            raise

    running = awaited(handler(), watch)
    running.send(None)
    running.close()
    assert seen == ["closed"]


def test_handler_that_ignores_its_end_is_reported_as_by_await(watch: BlockingWatch) -> None:
    async def handler() -> None:
        try:
            await suspend(1)
        finally:
            await suspend(2)

    running = awaited(handler(), watch)
    running.send(None)
    with pytest.raises(RuntimeError, match="coroutine ignored GeneratorExit"):
        running.close()
