"""Calls by the test client's sessions."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, closing
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import aiosqlite
import anyio
import anyio.lowlevel
import pytest

from tests.testing.apps import SOON
from wampasgi import Application, Depends, RPCProgressReport, RPCResult, WAMPError
from wampasgi.client import Contract, InvalidResult
from wampasgi.errors import UnserializableValue
from wampasgi.testing import ExpectationFailed, SessionAborted, TestClient, Timeout, WAMPSession


class Full(WAMPError, uri="com.app.full"):
    """The application has no room."""

    def __init__(self, members: int, *, room: str) -> None:
        super().__init__(members, room=room)


@pytest.mark.parametrize(
    ("args", "kwargs", "result"),
    [
        ((), {}, None),
        ((1,), {}, 1),
        ((1, 2), {}, RPCResult((1, 2))),
        ((), {"a": 1}, RPCResult((), {"a": 1})),
    ],
)
def test_call_returns_the_result(
    session: WAMPSession, args: tuple[Any, ...], kwargs: dict[str, Any], result: object
) -> None:
    assert session.call("echo", *args, **kwargs) == result


def test_call_raises_the_error(session: WAMPSession) -> None:
    with pytest.raises(WAMPError) as caught:
        session.call("fail")

    assert (caught.value.uri, caught.value.args, caught.value.kwargs) == ("com.app.full", (3,), {"room": "a"})
    assert "CALL [48, 1, {}, 'fail']" in caught.value.__notes__[0]


def test_progress_is_reported_before_the_result(session: WAMPSession) -> None:
    reports: list[int] = []

    assert session.call("count", 3, on_progress=reports.append) == 3
    assert reports == [0, 1, 2]


def test_wait_for_progress_of_a_call_that_does_not_receive_it_fails_at_once(session: WAMPSession) -> None:
    pending = session.start_call("count", 3)

    with pytest.raises(ExpectationFailed, match=r"CALL \[.* pass on_progress=\.\.\. or options="):
        pending.next_progress()
    assert pending.result() == 3


def test_final_answer_instead_of_progress_is_reported(session: WAMPSession) -> None:
    pending = session.start_call("math.add", 1, options={"receive_progress": True})

    with pytest.raises(ExpectationFailed, match=r"progress of CALL \[.*but got the final answer Result"):
        pending.next_progress()
    assert pending.result() == 1


def test_results_of_started_calls_can_be_taken_in_any_order(session: WAMPSession) -> None:
    first = session.start_call("count", 2, options={"receive_progress": True})
    second = session.start_call("math.add", 40, 2)

    assert second.result() == 42
    assert (first.next_progress(), first.next_progress()) == (0, 1)
    assert (first.result(), first.result()) == (2, 2)


@pytest.mark.parametrize("mode", ["skip", "kill", "killnowait"])
def test_call_is_cancelled(session: WAMPSession, mode: Literal["skip", "kill", "killnowait"]) -> None:
    pending = session.start_call("forever", on_progress=lambda report: None)
    assert pending.next_progress() == "begun"

    pending.cancel(mode)

    for _ in range(2):
        with pytest.raises(WAMPError, match=r"wamp.error.canceled"):
            pending.result()


class SlowDatabase:
    """A database that needs a thread to connect, and the log of an export that reads it."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def connect(self) -> Iterator[str]:
        time.sleep(0.05)  # not a wait of the test: it makes the database slow
        try:
            yield "connection"
        finally:
            self.log.append("disconnected")

    async def export(self, connection: str, *, progress: bool = True) -> AsyncGenerator[Any, None]:
        self.log.append("begun")
        try:
            if progress:
                yield RPCProgressReport(1)
            await anyio.sleep_forever()
            yield None
        finally:
            self.log.append("interrupted")


async def be_busy() -> None:
    for _ in range(10_000):
        await anyio.lowlevel.checkpoint()


@pytest.fixture
def database(app: Application) -> SlowDatabase:
    database = SlowDatabase()

    @app.procedure("export")
    async def export(connection: str = Depends(database.connect)) -> AsyncIterator[Any]:
        async with aclosing(database.export(connection)) as values:
            async for value in values:
                yield value

    @app.procedure("silent", dependencies=[Depends(be_busy)])
    async def silent() -> None:
        async for _ in database.export("none", progress=False):
            raise AssertionError

    return database


def test_cancel_waits_for_the_first_progress(database: SlowDatabase, session: WAMPSession) -> None:
    reports: list[int] = []
    pending = session.start_call("export", on_progress=reports.append)
    pending.cancel("kill")

    with pytest.raises(WAMPError, match=r"wamp\.error\.canceled"):
        pending.result()
    assert reports == [1]
    assert database.log == ["begun", "interrupted", "disconnected"]


def test_cancel_does_not_wait_for_further_progress(database: SlowDatabase, session: WAMPSession) -> None:
    pending = session.start_call("export", options={"receive_progress": True})
    assert pending.next_progress() == 1

    pending.cancel("kill", timeout=0)

    with pytest.raises(WAMPError, match=r"wamp\.error\.canceled"):
        pending.result()


def test_cancel_of_a_call_without_progress_waits_until_its_handler_runs(
    database: SlowDatabase, session: WAMPSession
) -> None:
    pending = session.start_call("silent")
    pending.cancel("kill")

    with pytest.raises(WAMPError, match=r"wamp\.error\.canceled"):
        pending.result()
    assert database.log == ["begun", "interrupted"]


def test_cancel_explains_that_progress_is_missing(database: SlowDatabase, session: WAMPSession) -> None:
    pending = session.start_call("silent", on_progress=lambda report: None)

    with pytest.raises(Timeout, match=r"for the first progress of CALL \[.*cancel\(at_once=True\)"):
        pending.cancel(timeout=SOON)
    pending.cancel(at_once=True)
    with pytest.raises(WAMPError, match=r"wamp\.error\.canceled"):
        pending.result()


def test_cancel_of_a_finished_call_has_no_effect(session: WAMPSession) -> None:
    pending = session.start_call("math.add", 1, 2, options={"receive_progress": True})
    pending.cancel()
    assert pending.result() == 3

    pending.cancel()
    assert pending.result() == 3


def test_cancel_after_the_end_of_the_session_fails(session: WAMPSession) -> None:
    pending = session.start_call("forever", options={"receive_progress": True})
    session.send_raw([1])
    pending.cancel(timeout=5)

    with pytest.raises(SessionAborted, match=r"wamp\.error\.protocol_violation"):
        pending.result()


def test_call_that_uses_aiosqlite_can_be_cancelled(tmp_path: Path) -> None:
    app = Application()

    @app.procedure("export")
    async def export() -> AsyncIterator[Any]:
        async with aiosqlite.connect(tmp_path / "exports.db") as database:
            await database.execute("CREATE TABLE IF NOT EXISTS exports (state TEXT)")
            await database.commit()
            yield RPCProgressReport("begun")
            try:
                await anyio.sleep_forever()
            finally:
                await database.execute("INSERT INTO exports VALUES ('interrupted')")
                await database.commit()

    with TestClient(app) as client, client.wamp_session() as session:
        for _ in range(10):
            pending = session.start_call("export", on_progress=lambda report: None)
            pending.cancel("kill")
            with pytest.raises(WAMPError, match=r"wamp\.error\.canceled"):
                pending.result()
    with closing(sqlite3.connect(tmp_path / "exports.db")) as database:
        assert database.execute("SELECT count(*) FROM exports").fetchone() == (10,)


def test_call_options_are_sent(session: WAMPSession) -> None:
    with pytest.raises(WAMPError, match=r"wamp.error.timeout"):
        session.call("forever", options={"timeout": 10})


def test_unserializable_arguments_do_not_use_up_a_request_id(session: WAMPSession) -> None:
    with pytest.raises(UnserializableValue):
        session.call("echo", object())
    with pytest.raises(UnserializableValue):
        session.publish("chat", object(), acknowledge=True)

    assert session.call("math.add", 1) == 1


def test_result_is_converted(session: WAMPSession) -> None:
    assert session.call("echo", "1.50", result_type=Decimal) == Decimal("1.50")
    with pytest.raises(InvalidResult, match=r"the result of 'echo' does not fit result_type=int"):
        session.call("echo", "many", result_type=int)


def test_declared_error_is_raised_as_its_class(client: TestClient) -> None:
    with client.wamp_session(errors=[Full]) as session, pytest.raises(Full) as caught:
        session.call("fail")

    assert (caught.value.args, caught.value.kwargs) == ((3,), {"room": "a"})


def test_iteration_over_a_call_ends_at_its_result(session: WAMPSession) -> None:
    with session.call_progress("count", 3, progress_type=str | int) as call:
        assert list(call) == [0, 1, 2]
        assert call.result() == 3
        assert list(call) == []


def test_iteration_over_a_call_raises_its_error(session: WAMPSession) -> None:
    with session.call_progress("fail") as call, pytest.raises(WAMPError, match=r"com\.app\.full"):
        list(call)


def test_leaving_a_call_before_its_result_cancels_it(database: SlowDatabase, session: WAMPSession) -> None:
    with session.call_progress("export") as call:
        assert next(call) == 1
    session.settle()

    assert database.log == ["begun", "interrupted", "disconnected"]
    with pytest.raises(Timeout, match="nothing else arrived"):
        session.receive_raw(timeout=SOON)


def test_further_arguments_are_sent(client: TestClient) -> None:
    with client.wamp_session() as callee, client.wamp_session() as caller:
        uploads = callee.register("upload")
        call = caller.start_call("upload", "a", options={"progress": True})
        first = uploads.next()
        call.send("b")
        call.send("c", final=True)

        parts = [first, uploads.next(), uploads.next()]
        assert [part.args for part in parts] == [["a"], ["b"], ["c"]]
        assert {part.request_id for part in parts} == {first.request_id}
        first.answer("abc")
        assert call.result() == "abc"


def test_further_arguments_of_a_complete_call_are_refused(session: WAMPSession) -> None:
    call = session.start_call("math.add", 1)

    with pytest.raises(ExpectationFailed, match=r"CALL .* is complete: pass options="):
        call.send(2)


class Math(Contract, prefix="math."):
    async def add(self, a: int, b: int = 0) -> int: ...  # type: ignore[empty-body] # it is a contract


class Counting(Contract):
    def count(self, until: int) -> AsyncIterator[int]: ...  # type: ignore[empty-body]


def test_contract_is_called(session: WAMPSession) -> None:
    assert session.use(Math).add(2, b=3) == 5
    assert list(session.use(Counting).count(2)) == [0, 1, 2]
    with pytest.raises(TypeError, match="unexpected keyword argument 'c'"):
        session.use(Math).add(2, c=3)


def test_leaving_a_call_does_not_wait_for_progress(database: SlowDatabase, session: WAMPSession) -> None:
    with session.call_progress("silent"):
        session.settle()
    session.settle()

    assert database.log == ["begun", "interrupted"]
