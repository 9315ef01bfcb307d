"""Calls of a realm's own procedures, over a WebSocket in memory."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

import anyio
import pytest
from pydantic import BaseModel

from tests.specification import CALL, CANCEL, ERROR, RESULT, SUBSCRIBE
from tests.wamp_client import WAMPClient, connect
from wampasgi import (
    Application,
    ConnectionClosed,
    Limits,
    Realm,
    RPCErrorResult,
    RPCProgressReport,
    RPCRequest,
    RPCResult,
    RPCRouteSet,
    Session,
    WAMPError,
)

pytestmark = pytest.mark.anyio


async def call(
    websocket: WAMPClient, procedure: str, *args: Any, options: Any = None, **kwargs: Any
) -> list[Any]:
    """Call and return the answer, without the request it belongs to."""
    answer = await websocket.ask(CALL, 1, options or {}, procedure, list(args), kwargs)
    head = 2 if answer[0] == RESULT else 3
    return [answer[0], *answer[head:]]


class Point(BaseModel):
    x: int
    y: int = 0


class NamedPoint(NamedTuple):
    x: int
    y: int


@dataclass
class Size:
    width: int


@pytest.mark.parametrize(
    ("returned", "answer"),
    [
        (None, []),
        (42, [[42]]),
        ("text", [["text"]]),
        (False, [[False]]),
        ((1, 2), [[1, 2]]),
        (NamedPoint(1, 2), [[1, 2]]),
        ([1, [2]], [[[1, [2]]]]),
        ([], [[[]]]),
        ({"a": 1}, [[{"a": 1}]]),
        ({}, [[{}]]),
        ((), []),
        (([1, 2],), [[[1, 2]]]),
        (Point(x=1), [[{"x": 1, "y": 0}]]),
        ([Point(x=1)], [[[{"x": 1, "y": 0}]]]),
        ({"at": Point(x=1)}, [[{"at": {"x": 1, "y": 0}}]]),
        (Size(3), [[{"width": 3}]]),
        (UUID(int=1), [["00000000-0000-0000-0000-000000000001"]]),
        (date(2026, 1, 2), [["2026-01-02"]]),
        (Decimal("1.50"), [["1.50"]]),
        (b"\x00\x01", [["\x00AAE="]]),
        (RPCResult("one argument"), [["one argument"]]),
        (RPCResult([1, 2], {"k": 3}), [[1, 2], {"k": 3}]),
    ],
)
async def test_return_value_becomes_the_result(returned: Any, answer: list[Any]) -> None:
    app = Application()

    @app.procedure("give")
    async def give() -> Any:
        return returned

    async with connect(app) as websocket:
        await websocket.join()
        assert await call(websocket, "give") == [RESULT, {}, *answer]


async def test_exact_route_wins_then_the_longest_prefix_then_regexes_in_order() -> None:
    api = RPCRouteSet()

    @api.regex_route(r"docs\.\d+\.get")
    async def first_regex() -> str:
        return "first regex"

    @api.regex_route(r".*")
    async def second_regex() -> str:
        return "second regex"

    @api.prefix_route("users.")
    async def short_prefix() -> str:
        return "short prefix"

    @api.prefix_route("users.admins.")
    async def long_prefix() -> str:
        return "long prefix"

    @api.route("users.admins.list")
    async def exact(request: RPCRequest) -> str:
        return f"exact {request.uri}"

    app = Application()
    app.add_routes(api)
    expected = {
        "users.admins.list": "exact users.admins.list",
        "users.admins.get": "long prefix",
        "users.get": "short prefix",
        "docs.7.get": "first regex",
        "docs.7.get.all": "second regex",
    }

    async with connect(app) as websocket:
        await websocket.join()
        answers = {uri: (await call(websocket, uri))[2][0] for uri in expected}

    assert answers == expected


async def test_arguments_are_converted_and_invalid_ones_refused_without_running_the_handler() -> None:
    app = Application()
    ran = []

    @app.procedure("docs.get")
    async def get(document_id: UUID, count: int = 1) -> str:
        ran.append(document_id)
        return f"{document_id.int} {count}"

    async with connect(app) as websocket:
        await websocket.join()
        good = await call(websocket, "docs.get", str(UUID(int=5)), count=2)
        bad = await call(websocket, "docs.get", "no uuid")
        injected = await call(websocket, "docs.get", str(UUID(int=5)), session="mine")

    assert good == [RESULT, {}, ["5 2"]]
    assert bad[2] == "wamp.error.invalid_argument"
    assert [error["argument"] for error in bad[4]["errors"]] == ["document_id"]
    assert injected[2] == "wamp.error.invalid_argument"
    assert len(ran) == 1


async def test_unknown_procedure_is_answered_no_such_procedure() -> None:
    async with connect(Application()) as websocket:
        await websocket.join()
        assert (await call(websocket, "nothing"))[2] == "wamp.error.no_such_procedure"


async def test_error_results_and_wamp_errors_are_sent_unchanged() -> None:
    app = Application()

    @app.procedure("returned")
    async def returned() -> RPCErrorResult:
        return RPCErrorResult("com.app.error", ("a",), {"b": 1})

    @app.procedure("raised")
    async def raised() -> None:
        raise WAMPError("com.app.error", "a", b=1)

    async with connect(app) as websocket:
        await websocket.join()
        for procedure in "returned", "raised":
            assert await call(websocket, procedure) == [ERROR, {}, "com.app.error", ["a"], {"b": 1}]


@pytest.mark.parametrize("debug", [False, True])
async def test_unexpected_exception_is_logged_and_hidden_from_the_client_unless_debugging(
    debug: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = Application(debug=debug)

    @app.procedure("fail")
    async def fail() -> None:
        raise LookupError("secret detail")

    async with connect(app) as websocket:
        session_id = (await websocket.join())[1]
        answer = await call(websocket, "fail")
        again = await call(websocket, "fail")

    assert answer == again
    assert answer == [
        ERROR,
        {},
        "wamp.error.runtime_error",
        *([["LookupError: secret detail"]] if debug else []),
    ]
    assert "procedure 'fail' failed" in caplog.text
    assert str(session_id) in caplog.text
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("value", [object(), {1: "int key"}, "\ud800", {"deep": [{2}, object()]}])
async def test_value_that_cannot_be_serialized_is_answered_runtime_error(
    value: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = Application()

    @app.procedure("give")
    async def give() -> Any:
        return [value]

    @app.procedure("error")
    async def error() -> None:
        raise WAMPError("com.app.error", value)

    async with connect(app) as websocket:
        await websocket.join()
        assert await call(websocket, "give") == [ERROR, {}, "wamp.error.runtime_error"]
        assert await call(websocket, "error") == [ERROR, {}, "com.app.error"]

    assert "cannot be serialized" in caplog.text


async def test_sync_handler_runs_in_a_worker_thread() -> None:
    import threading

    app = Application()
    loop_thread = threading.get_ident()

    @app.procedure("where")
    def where() -> bool:
        return threading.get_ident() == loop_thread

    async with connect(app) as websocket:
        await websocket.join()
        assert await call(websocket, "where") == [RESULT, {}, [False]]


# Progressive results


async def count(to: int) -> AsyncIterator[Any]:
    for number in range(to):
        yield RPCProgressReport((number,))
    yield "final"
    yield RPCProgressReport(("never seen",))


async def test_progress_goes_to_a_caller_that_requested_it_and_nothing_follows_the_final_result() -> None:
    app = Application()
    app.procedure("count")(count)

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(CALL, 1, {"receive_progress": True}, "count", [2])
        asked = [await websocket.receive() for _ in range(3)]
        not_asked = await websocket.ask(CALL, 2, {}, "count", [2])

    assert asked == [
        [RESULT, 1, {"progress": True}, [0]],
        [RESULT, 1, {"progress": True}, [1]],
        [RESULT, 1, {}, ["final"]],
    ]
    assert not_asked == [RESULT, 2, {}, ["final"]]


async def test_generator_is_closed_at_once_after_its_final_result() -> None:
    app = Application()
    closed = []

    @app.procedure("generate")
    async def generate() -> AsyncIterator[Any]:
        try:
            yield RPCErrorResult("com.app.error")
            closed.append("went on")
        finally:
            closed.append("closed")

    async with connect(app) as websocket:
        await websocket.join()
        assert await call(websocket, "generate") == [ERROR, {}, "com.app.error"]

    assert closed == ["closed"]


async def test_generator_without_a_final_value_answers_an_empty_result() -> None:
    app = Application()

    @app.procedure("generate")
    async def generate() -> AsyncIterator[Any]:
        yield RPCProgressReport(("only progress",))

    async with connect(app) as websocket:
        await websocket.join()
        assert await call(websocket, "generate") == [RESULT, {}]


async def test_generator_that_fails_after_progress_answers_runtime_error() -> None:
    app = Application()

    @app.procedure("generate")
    async def generate() -> AsyncIterator[Any]:
        yield RPCProgressReport((1,))
        raise ValueError

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(CALL, 1, {"receive_progress": True}, "generate")
        assert await websocket.receive() == [RESULT, 1, {"progress": True}, [1]]
        assert await websocket.receive() == [ERROR, CALL, 1, {}, "wamp.error.runtime_error"]


async def test_handler_may_return_an_async_iterator_of_reports() -> None:
    app = Application()

    @app.procedure("count")
    async def counting() -> AsyncIterator[Any]:
        return count(1)

    async with connect(app) as websocket:
        await websocket.join()
        assert await call(websocket, "count") == [RESULT, {}, ["final"]]


async def test_progress_waits_for_a_slow_caller() -> None:
    app = Application()
    sent = 0

    @app.procedure("flood")
    async def flood() -> AsyncIterator[Any]:
        nonlocal sent
        for number in range(100):
            sent = number
            yield RPCProgressReport((number,))

    async with connect(app, buffer_size=1) as websocket:
        await websocket.join()
        await websocket.send(CALL, 1, {"receive_progress": True}, "flood")
        await anyio.wait_all_tasks_blocked()
        assert sent < 10
        received = [await websocket.receive() for _ in range(101)]

    assert [message[3][0] for message in received[:-1]] == list(range(100))


async def test_other_tasks_run_between_two_progress_reports_with_many_values() -> None:
    app = Application()
    turns, turns_at_report = 0, []

    @app.procedure("flood")
    async def flood() -> AsyncIterator[Any]:
        for _ in range(8):
            turns_at_report.append(turns)
            yield RPCProgressReport(([0] * 2000,))

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(count_turns)
        async with connect(app) as websocket:
            await websocket.join()
            await websocket.send(CALL, 1, {"receive_progress": True}, "flood")
            for _ in range(9):
                await websocket.receive()
        tasks.cancel_scope.cancel()

    # Trio runs the tasks of a turn in random order, so two reports may see the same number, but not three.
    pairs = zip(turns_at_report, turns_at_report[2:], strict=False)
    assert all(later > earlier for earlier, later in pairs)


# Concurrency


async def test_calls_of_one_session_run_concurrently() -> None:
    app = Application()
    released = anyio.Event()

    @app.procedure("wait")
    async def wait() -> None:
        await released.wait()

    @app.procedure("release")
    async def release() -> None:
        released.set()

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(CALL, 1, {}, "wait")
        await websocket.send(CALL, 2, {}, "release")
        answers = [await websocket.receive(), await websocket.receive()]

    assert sorted(answers) == [[RESULT, 1, {}], [RESULT, 2, {}]]


async def test_synchronized_requests_are_answered_one_by_one() -> None:
    app = Application(synchronize_requests=True)
    running: list[int] = []

    @app.procedure("work")
    async def work(number: int) -> tuple[int, int]:
        running.append(number)
        await anyio.wait_all_tasks_blocked()
        running.remove(number)
        return len(running), number

    async with connect(app) as websocket:
        await websocket.join()
        for number in 1, 2, 3:
            await websocket.send(CALL, number, {}, "work", [number])
        answers = [await websocket.receive() for _ in range(3)]

    assert answers == [[RESULT, number, {}, [0, number]] for number in (1, 2, 3)]


async def test_further_calls_wait_at_the_limit_of_requests() -> None:
    app = Application(limits=Limits(requests_in_flight=2))
    started: list[int] = []
    release = anyio.Event()

    @app.procedure("wait")
    async def wait(number: int) -> None:
        started.append(number)
        await release.wait()

    async with connect(app) as websocket:
        await websocket.join()
        for number in range(1, 6):
            await websocket.send(CALL, number, {}, "wait", [number])
        await anyio.wait_all_tasks_blocked()
        at_the_limit = list(started)
        release.set()
        answers = [await websocket.receive() for _ in range(5)]

    assert at_the_limit == [1, 2]
    assert sorted(answer[1] for answer in answers) == [1, 2, 3, 4, 5]


async def test_further_calls_wait_while_calls_exceed_the_byte_limit() -> None:
    app = Application(limits=Limits(requests_bytes=5000))
    started: list[int] = []
    releases = [anyio.Event(), anyio.Event()]

    @app.procedure("wait")
    async def wait(number: int, text: str) -> None:
        started.append(number)
        await releases[number > 2].wait()

    async with connect(app) as websocket:
        await websocket.join()
        for number in range(1, 5):
            await websocket.send(CALL, number, {}, "wait", [number, "x" * 2000])
        await anyio.wait_all_tasks_blocked()
        at_the_limit = list(started)
        releases[0].set()
        answers = [await websocket.receive() for _ in range(2)]
        await anyio.wait_all_tasks_blocked()
        with_room = list(started)
        releases[1].set()
        answers += [await websocket.receive() for _ in range(2)]

    # The third call is over the limit: the fourth waits.
    assert at_the_limit == [1, 2, 3]
    assert with_room == [1, 2, 3, 4]
    assert sorted(answer[1] for answer in answers) == [1, 2, 3, 4]


async def test_call_in_flight_is_cancelled_when_the_session_ends_and_its_cleanup_runs() -> None:
    app = Application()
    cleaned_up = []

    @app.procedure("wait")
    async def wait() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.lowlevel.checkpoint()
            cleaned_up.append(True)

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(CALL, 1, {}, "wait")
        await anyio.wait_all_tasks_blocked()
        await websocket.disconnect()
        await websocket.wait_served()

    assert cleaned_up == [True]


async def test_handler_may_use_cancel_scopes_and_task_groups_of_its_own() -> None:
    app = Application()

    @app.procedure("structured")
    async def structured() -> str:
        done = []

        async def work() -> None:
            await anyio.lowlevel.checkpoint()
            done.append(1)

        with anyio.move_on_after(0) as scope:
            await anyio.sleep_forever()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            tasks.start_soon(work)
        return f"{scope.cancelled_caught} {len(done)}"

    async with connect(app) as websocket:
        await websocket.join()
        assert await call(websocket, "structured") == [RESULT, {}, ["True 2"]]


# Cancelling and timeouts


@pytest.mark.parametrize("mode", ["kill", "killnowait", "skip", None])
async def test_cancelled_call_is_answered_canceled(mode: str | None) -> None:
    app = Application()
    outcome = []
    release = anyio.Event()

    @app.procedure("wait")
    async def wait() -> None:
        try:
            await release.wait()
            outcome.append("finished")
        except anyio.get_cancelled_exc_class():
            outcome.append("cancelled")
            raise

    @app.procedure("ping")
    async def ping() -> None: ...

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(CALL, 1, {}, "wait")
        answer = await websocket.ask(CANCEL, 1, {} if mode is None else {"mode": mode})
        release.set()
        await anyio.wait_all_tasks_blocked()
        # There is no other answer to the call.
        pong = await websocket.ask(CALL, 2, {}, "ping")

    assert answer == [ERROR, CALL, 1, {}, "wamp.error.canceled"]
    assert pong == [RESULT, 2, {}]
    assert outcome == ["finished" if mode == "skip" else "cancelled"]


async def test_killed_call_that_finishes_anyway_answers_its_result() -> None:
    app = Application()

    @app.procedure("stubborn")
    async def stubborn() -> str:
        with anyio.CancelScope() as scope:
            try:
                await anyio.sleep_forever()
            finally:
                scope.cancel()
        return "never"

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(CALL, 1, {}, "stubborn")
        await anyio.wait_all_tasks_blocked()
        answer = await websocket.ask(CANCEL, 1, {"mode": "kill"})

    assert answer[:3] == [ERROR, CALL, 1]


async def test_cancel_of_a_call_that_is_not_in_flight_is_ignored() -> None:
    app = Application()

    @app.procedure("ping")
    async def ping() -> None: ...

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(CANCEL, 17, {})
        assert await websocket.ask(CALL, 1, {}, "ping") == [RESULT, 1, {}]


async def test_call_over_its_timeout_is_cancelled_and_answered_timeout() -> None:
    app = Application()
    cancelled = []

    @app.procedure("wait")
    async def wait(request: RPCRequest) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(request.timeout)

    async with connect(app) as websocket:
        await websocket.join()
        answer = await call(websocket, "wait", options={"timeout": 50})

    assert answer[2] == "wamp.error.timeout"
    assert cancelled == [0.05]


# Custom handlers and local calls


async def test_custom_rpc_handler_answers_every_call() -> None:
    app = Application()

    async def handle(rpc_request: RPCRequest, session: Session) -> RPCResult:
        return RPCResult((rpc_request.uri, *rpc_request.args), {"same": rpc_request.session is session})

    app.set_rpc_handler(handle)

    async with connect(app) as websocket:
        await websocket.join()
        assert await call(websocket, "any.thing", 1) == [RESULT, {}, ["any.thing", 1], {"same": True}]


async def test_custom_rpc_handler_may_use_any_name_for_the_request() -> None:
    app = Application()

    async def handle(incoming):  # type: ignore[no-untyped-def]
        yield RPCProgressReport((incoming.uri,))
        yield RPCResult((incoming.uri,))

    app.set_rpc_handler(handle)

    async with connect(app) as websocket:
        await websocket.join()
        assert await call(websocket, "any.thing") == [RESULT, {}, ["any.thing"]]


async def test_server_calls_a_procedure_of_its_own_realm() -> None:
    realm = Realm("r")
    app = Application([realm])

    @realm.procedure("add")
    async def add(a: int, b: int) -> int:
        return a + b

    @realm.procedure("who")
    async def who(session: Session) -> str:
        with pytest.raises(RuntimeError, match="has no connection"):
            session.connection  # noqa: B018
        return session.realm_uri

    @realm.procedure("error")
    async def error() -> RPCErrorResult:
        return RPCErrorResult("com.app.error", ("x",))

    assert await realm.call("add", 1, b="2") == 3
    assert await realm.call("who") == "r"
    with pytest.raises(WAMPError) as raised:
        await realm.call("error")
    assert (raised.value.uri, raised.value.args) == ("com.app.error", ("x",))
    with pytest.raises(WAMPError, match="no_such_procedure"):
        await app.call("add", 1, 2)


async def test_local_call_over_its_timeout_raises_timeout() -> None:
    app = Application()

    @app.procedure("wait")
    async def wait() -> None:
        await anyio.sleep_forever()

    with pytest.raises(WAMPError, match=r"wamp\.error\.timeout"):
        await app.call("wait", timeout=0.01)


async def test_failing_call_is_logged_with_procedure_and_session_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()

    @app.procedure("fail")
    async def fail() -> None:
        raise ValueError

    async with connect(app) as websocket:
        await websocket.join()
        await call(websocket, "fail")

    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.parametrize(
    "message", [[CALL, 1, {}, "late"], [SUBSCRIBE, 1, {}, "late"]], ids=["call", "topic"]
)
async def test_handler_that_uses_its_session_just_after_the_end_has_not_failed(
    message: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    app = Application()
    raised = []

    @app.topic("late")
    @app.procedure("late")
    async def late(session: Session) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            try:
                await session.send_event("late", ["goodbye"])
            except ConnectionClosed as closed:
                raised.append(closed)
                raise

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(*message)
        await anyio.wait_all_tasks_blocked()
        await websocket.disconnect()
        await websocket.wait_served()

    assert len(raised) == 1
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_disclosure_of_a_caller_without_permission_is_refused() -> None:
    app = Application()
    app.allow("open", "call", disclose=True)

    @app.procedure("closed")
    async def closed() -> None: ...

    @app.procedure("open")
    async def opened(request: RPCRequest) -> bool:
        return request.disclose_caller

    async with connect(app) as websocket:
        await websocket.join()
        refused = await call(websocket, "closed", options={"disclose_me": True})
        allowed = await call(websocket, "open", options={"disclose_me": True})
        not_asked = await call(websocket, "closed", options={"disclose_me": False})

    assert refused[2] == "wamp.error.option_disallowed.disclose_me"
    assert allowed == [RESULT, {}, [True]]
    assert not_asked == [RESULT, {}]
