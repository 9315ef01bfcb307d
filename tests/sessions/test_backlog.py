"""Sessions that are busy or at a limit: what waits, what does not, and how they end."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.specification import (
    CALL,
    CANCEL,
    CLOSE_REALM,
    ERROR,
    GOODBYE,
    INVOCATION,
    PUBLISH,
    PUBLISHED,
    REGISTER,
    REGISTERED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    YIELD,
)
from tests.wamp_client import WAMPClient, announcing, connect
from tests.websocket import PATIENCE
from wampasgi import Application, Limits, RPCRequest, Session

pytestmark = pytest.mark.anyio

CANCELED, TIMEOUT = "wamp.error.canceled", "wamp.error.timeout"

CALLER = announcing("call_canceling", "call_timeout", "progressive_call_results")


class Busy:
    """An app in which something never ends by itself: a way to keep a session busy, by name."""

    WAYS = ("calls", "bytes", "synchronized", "authorizer", "gatekeepers", "events")

    def __init__(self, way: str) -> None:
        limits = {
            "calls": Limits(requests_in_flight=2, teardown_timeout=0.05),
            "bytes": Limits(requests_bytes=1000, teardown_timeout=0.05),
            "gatekeepers": Limits(requests_in_flight=1, teardown_timeout=0.05),
            "events": Limits(events_waiting=1, teardown_timeout=0.05),
        }.get(way, Limits(teardown_timeout=0.05))
        self.way = way
        self.app = app = Application(limits=limits, synchronize_requests=way == "synchronized")
        self.release = anyio.Event()
        self.started: list[Any] = []
        self.cancelled: list[Any] = []

        @app.procedure("wait")
        async def wait(number: int, text: str = "") -> int:
            self.started.append(number)
            try:
                await self.release.wait()
            except anyio.get_cancelled_exc_class():
                self.cancelled.append(number)
                raise
            return number

        @app.topic("guarded.", match="prefix")
        async def gatekeeper() -> None:
            await self.release.wait()

        @app.subscriber("news")
        async def on_news(number: int) -> None:
            await self.release.wait()

        if way == "authorizer":

            @app.authorizer
            async def authorize(session: Session, action: str, uri: str) -> bool:
                if uri == "asked":
                    await self.release.wait()
                return True

    async def keep_busy(self, client: WAMPClient) -> int:
        """Make the session busy; return the next free request ID."""
        text = "x" * 2000 if self.way == "bytes" else ""
        if self.way in ("calls", "bytes", "synchronized"):
            messages: list[list[Any]] = [[CALL, n, {}, "wait", [n, text]] for n in (1, 2, 3)]
        elif self.way == "authorizer":
            messages = [[CALL, 1, {}, "asked"], [CALL, 2, {}, "wait", [2]]]
        elif self.way == "gatekeepers":
            messages = [[SUBSCRIBE, number, {}, f"guarded.{number}"] for number in (1, 2)]
        else:
            messages = [[PUBLISH, number, {}, "news", [number]] for number in (1, 2, 3, 4)]
        for message in messages:
            await client.send(*message)
        await anyio.wait_all_tasks_blocked()
        return len(messages) + 1


@pytest.mark.parametrize("way", Busy.WAYS)
async def test_goodbye_is_answered_while_the_session_is_busy(way: str) -> None:
    busy = Busy(way)
    async with connect(busy.app) as client:
        await client.join()
        await busy.keep_busy(client)
        assert (await client.ask(GOODBYE, {}, CLOSE_REALM))[0] == GOODBYE


@pytest.mark.parametrize("way", Busy.WAYS)
async def test_lost_connection_is_noticed_while_the_session_is_busy(way: str) -> None:
    busy = Busy(way)
    async with connect(busy.app) as client:
        await client.join()
        await busy.keep_busy(client)
        await client.disconnect()
        await client.wait_served()
        assert not busy.app.default_realm.sessions


@pytest.mark.parametrize("way", ["calls", "bytes"])
async def test_lost_connection_is_noticed_when_the_queue_is_full(way: str) -> None:
    busy = Busy(way)
    async with connect(busy.app) as client:
        await client.join()
        text = "x" * 2000 if way == "bytes" else ""
        # One runs or two, as many wait, and the last one is over the limit.
        for number in range(1, 6 if way == "calls" else 4):
            await client.send(CALL, number, {}, "wait", [number, text])
        await anyio.wait_all_tasks_blocked()
        await client.disconnect()
        await client.wait_served()


@pytest.mark.parametrize("way", Busy.WAYS)
async def test_call_that_waits_is_canceled_at_once_and_never_begins(way: str) -> None:
    busy = Busy(way)
    async with connect(busy.app) as client:
        await client.join(**CALLER)
        free = await busy.keep_busy(client)
        begun = list(busy.started)
        waiting = free - 1
        if way in ("gatekeepers", "events"):
            waiting = free
            await client.send(CALL, waiting, {}, "wait", [waiting])
        await client.send(CANCEL, waiting, {"mode": "kill"})
        if way == "events":
            # Calls do not wait for events, unless too many publications do.
            begun += [waiting] if waiting in busy.started else []
        assert (await client.receive())[:5] == [ERROR, CALL, waiting, {}, CANCELED]
        assert busy.started == begun


async def test_handler_that_runs_is_canceled_at_the_limit_and_makes_room() -> None:
    busy = Busy("calls")
    async with connect(busy.app) as client:
        await client.join(**CALLER)
        await busy.keep_busy(client)
        assert busy.started == [1, 2]
        assert (await client.ask(CANCEL, 1, {}))[:5] == [ERROR, CALL, 1, {}, CANCELED]
        await anyio.wait_all_tasks_blocked()
        assert busy.started == [1, 2, 3]
        busy.release.set()
        assert sorted([(await client.receive())[1] for _ in range(2)]) == [2, 3]


async def test_call_that_the_authorizer_is_asked_about_can_be_canceled() -> None:
    busy = Busy("authorizer")

    @busy.app.procedure("asked")
    async def asked() -> None:
        busy.started.append("asked")

    async with connect(busy.app) as client:
        await client.join(**CALLER)
        await busy.keep_busy(client)
        assert (await client.ask(CANCEL, 1, {}))[:5] == [ERROR, CALL, 1, {}, CANCELED]
        busy.release.set()
        # The second call has waited for the decision about the first one.
        assert await client.receive() == [RESULT, 2, {}, [2]]
        assert busy.started == [2]


@pytest.mark.parametrize("way", ["calls", "bytes", "synchronized"])
async def test_calls_that_waited_begin_in_order(way: str) -> None:
    busy = Busy(way)
    async with connect(busy.app) as client:
        await client.join()
        text = "x" * 2000 if way == "bytes" else ""
        for number in range(1, 21):
            await client.send(CALL, number, {}, "wait", [number, text])
        await anyio.wait_all_tasks_blocked()
        busy.release.set()
        answers = [await client.receive() for _ in range(20)]

    assert sorted(answer[3][0] for answer in answers) == list(range(1, 21))
    if way != "calls":
        # Trio begins the tasks of one turn in any order.
        assert busy.started == list(range(1, 21))


async def test_requests_other_than_calls_of_handlers_do_not_wait_for_handlers() -> None:
    busy = Busy("calls")
    busy.app.allow_all()
    async with connect(busy.app) as client, connect(busy.app) as callee:
        await client.join()
        await callee.join()
        assert (await callee.ask(REGISTER, 1, {}, "routed"))[0] == REGISTERED
        free = await busy.keep_busy(client)
        assert (await client.ask(SUBSCRIBE, free, {}, "topic"))[0] == SUBSCRIBED
        assert (await client.ask(PUBLISH, free + 1, {"acknowledge": True}, "topic"))[0] == PUBLISHED
        await client.send(CALL, free + 2, {}, "routed")
        invocation = await callee.receive()
        assert invocation[0] == INVOCATION
        await callee.send(YIELD, invocation[1], {}, ["done"])
        assert await client.receive() == [RESULT, free + 2, {}, ["done"]]
        assert busy.started == [1, 2]


@pytest.mark.parametrize("way", ["calls", "synchronized"])
async def test_request_id_of_a_call_that_waits_is_in_flight(way: str) -> None:
    busy = Busy(way)
    async with connect(busy.app) as client:
        await client.join()
        await busy.keep_busy(client)
        await client.send(CALL, 3, {}, "wait", [30])
        if way == "synchronized":
            busy.release.set()
            answers = [await client.receive() for _ in range(4)]
            assert [answer[0] for answer in answers] == [RESULT] * 4
        else:
            refused = await client.receive()
            assert (refused[:3], refused[4]) == ([ERROR, CALL, 3], "wamp.error.invalid_argument")


@pytest.mark.parametrize("way", ["calls", "bytes", "synchronized", "authorizer"])
async def test_call_that_waits_times_out_and_never_begins(way: str) -> None:
    busy = Busy(way)
    async with connect(busy.app) as client:
        await client.join(**CALLER)
        free = await busy.keep_busy(client)
        answer = await client.ask(CALL, free, {"timeout": 20}, "wait", [free])
        assert answer == [ERROR, CALL, free, {}, TIMEOUT, ["the call gave no result within 0.02 s"]]
        assert free not in busy.started


async def test_timeout_counts_the_time_that_a_call_has_waited() -> None:
    busy = Busy("synchronized")

    @busy.app.procedure("time_left")
    async def time_left(request: RPCRequest) -> float:
        return request.timeout

    async with connect(busy.app) as client:
        await client.join(**CALLER)
        await client.send(CALL, 1, {}, "wait", [1])
        await client.send(CALL, 2, {"timeout": 60_000}, "time_left")
        await anyio.wait_all_tasks_blocked()
        await anyio.sleep(0.02)
        busy.release.set()
        assert await client.receive() == [RESULT, 1, {}, [1]]
        [left] = (await client.receive())[3]

    assert 30 < left < 60


async def test_answer_of_the_caller_is_read_while_its_call_is_handled() -> None:
    app = Application(synchronize_requests=True, limits=Limits(requests_in_flight=1))
    app.allow_all()

    @app.procedure("ask_back")
    async def ask_back(session: Session) -> Any:
        with anyio.fail_after(PATIENCE):
            return await session.call("question")

    async with connect(app) as client:
        await client.join()
        assert (await client.ask(REGISTER, 1, {}, "question"))[0] == REGISTERED
        invocation = await client.ask(CALL, 2, {}, "ask_back")
        assert invocation[0] == INVOCATION
        await client.send(YIELD, invocation[1], {}, ["answer"])
        assert await client.receive() == [RESULT, 2, {}, ["answer"]]


@pytest.mark.parametrize("end", ["GOODBYE", "disconnect"])
async def test_publications_that_wait_are_carried_out_when_the_session_ends(end: str) -> None:
    app = Application()
    handled: list[int] = []
    asked = anyio.Event()
    release = anyio.Event()

    @app.authorizer
    async def authorize(session: Session, action: str, uri: str) -> bool:
        asked.set()
        await release.wait()
        return True

    @app.subscriber("news")
    async def on_news(number: int) -> None:
        handled.append(number)

    async with connect(app) as client:
        await client.join()
        for number in (1, 2, 3):
            await client.send(PUBLISH, number, {}, "news", [number])
        with anyio.fail_after(PATIENCE):
            await asked.wait()
        await (client.send(GOODBYE, {}, CLOSE_REALM) if end == "GOODBYE" else client.disconnect())
        await anyio.wait_all_tasks_blocked()
        release.set()
        if end == "GOODBYE":
            assert (await client.receive())[0] == GOODBYE
            await client.disconnect()
        await client.wait_served()

    assert handled == [1, 2, 3]


async def test_publications_over_the_limit_reach_their_handlers_when_the_session_ends() -> None:
    app = Application(limits=Limits(events_waiting=1))
    handled: list[int] = []
    release = anyio.Event()

    @app.subscriber("news")
    async def on_news(number: int) -> None:
        await release.wait()
        handled.append(number)

    async with connect(app) as client:
        await client.join()
        for number in range(1, 6):
            await client.send(PUBLISH, number, {}, "news", [number])
        await anyio.wait_all_tasks_blocked()
        await client.disconnect()
        await anyio.wait_all_tasks_blocked()
        release.set()
        await client.wait_served()

    assert handled == [1, 2, 3, 4, 5]


async def test_calls_that_wait_are_dropped_when_the_server_says_goodbye() -> None:
    busy = Busy("calls")
    async with connect(busy.app) as client:
        await client.join()
        await busy.keep_busy(client)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(busy.app.close_sessions)
            assert (await client.receive())[0] == GOODBYE
            busy.release.set()
            await anyio.wait_all_tasks_blocked()
            await client.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
    assert busy.started == [1, 2]


@pytest.mark.logs_failure
async def test_request_that_waited_and_breaks_the_protocol_aborts_the_session() -> None:
    busy = Busy("synchronized")
    async with connect(busy.app) as client:
        await client.join()
        await busy.keep_busy(client)
        await client.send(CALL, 4, {"progress": True}, "wait", [4])
        busy.release.set()
        answers = [await client.receive() for _ in range(4)]
    assert answers[-1][2] == "wamp.error.protocol_violation"
