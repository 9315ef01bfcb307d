"""Progressive results: their buffer, their cancellation, and Ctrl-C in the middle of them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.client.scripted_router import Peer, ScriptedRouter
from tests.client.served_app import app
from tests.clients.server_process import ServerProcess
from tests.specification import (
    CALL,
    CANCEL,
    ERROR,
    INVOCATION,
    REGISTER,
    REGISTERED,
    RESULT,
    WELCOME,
    YIELD,
)
from wampasgi import RPCProgressReport
from wampasgi.client import InvalidResult, Invocation, Timeout, WAMPError, connect, connect_sync

pytestmark = pytest.mark.anyio


async def test_call_asks_for_progress_and_ends_with_the_result() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        call = await peer.expect(CALL)
        assert call == [CALL, 1, {"receive_progress": True}, "any", [1], {"b": 2}]
        await peer.send(RESULT, 1, {"progress": True}, [], {"done": 1})
        await peer.send(RESULT, 1, {}, ["final"])
        await peer.until_gone()

    router = ScriptedRouter(script)
    async with connect(app=router) as session, session.call_progress("any", 1, b=2) as call:
        assert [report.kwargs async for report in call] == [{"done": 1}]
        assert await call.result() == "final"
        assert await call.result() == "final"
    assert not router.failures


async def test_result_can_be_awaited_before_the_reports_are_read() -> None:
    async with connect(app=app) as session, session.call_progress("count", 3) as call:
        assert await call.result() == "done"
        assert [report async for report in call] == [0, 1, 2]


async def test_slow_reader_loses_the_oldest_reports_but_not_the_result() -> None:
    async with connect(app=app) as session, session.call_progress("count", 10, buffer=3) as call:
        assert await call.result() == "done"
        assert call.dropped == 7
        assert [report async for report in call] == [7, 8, 9]


async def test_report_that_does_not_fit_its_type_costs_only_itself() -> None:
    async with (
        connect(app=app) as session,
        session.call_progress("count", 2, progress_type=list[int], result_type=str) as call,
    ):
        with pytest.raises(InvalidResult, match="a progressive result of 'count' does not fit progress_type"):
            await anext(call)
        assert await call.result() == "done"


async def test_wait_for_a_report_names_the_procedure() -> None:
    async with connect(app=app) as session, session.call_progress("wait", "report", timeout=0.01) as call:
        with pytest.raises(Timeout, match=r"waited 0\.01 s for a progressive result of 'wait'"):
            await anext(call)
        with pytest.raises(Timeout, match=r"waited 0\.01 s for the result of 'wait'"):
            await call.result()


@pytest.mark.parametrize("mode", ["kill", "killnowait", "skip"])
async def test_canceled_call_raises_the_answer_of_the_router(mode: Any) -> None:
    async with connect(app=app) as session, session.call_progress("forever", f"by {mode}") as call:
        assert await anext(call) == f"by {mode}"
        call.cancel(mode)
        with pytest.raises(WAMPError, match=r"wamp\.error\.canceled"):
            await call.result()
        with pytest.raises(WAMPError, match=r"wamp\.error\.canceled"):
            async for _ in call:
                pass


async def test_leaving_the_call_cancels_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.welcome()
        call = await peer.expect(CALL)
        await peer.send(RESULT, call[1], {"progress": True}, [1])
        assert await peer.receive() == [CANCEL, call[1], {"mode": "killnowait"}]
        await peer.send(RESULT, call[1], {"progress": True}, [2])
        await peer.send(ERROR, CALL, call[1], {}, "wamp.error.canceled")
        await peer.until_gone()

    router = ScriptedRouter(script)
    async with connect(app=router) as session, session.call_progress("any") as call:
        async for report in call:
            assert report == 1
            break
    assert not router.failures


async def test_cancellation_of_the_caller_is_not_swallowed() -> None:
    with anyio.move_on_after(0.05) as scope:
        async with connect(app=app) as session, session.call_progress("forever", "scope") as call:
            async for _ in call:
                pass
    assert scope.cancelled_caught


async def test_router_that_cannot_cancel_gets_no_cancel() -> None:
    async def script(peer: Peer) -> None:
        await peer.receive()
        await peer.send(WELCOME, 1, {"roles": {"dealer": {}}})
        call = await peer.expect(CALL)
        await peer.send(RESULT, call[1], {"progress": True}, [1])
        second = await peer.expect(CALL)
        await peer.send(RESULT, call[1], {}, ["late"])
        await peer.send(RESULT, second[1], {}, ["in time"])
        await peer.until_gone()

    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        async with session.call_progress("any") as call:
            assert await anext(call) == 1
        assert await session.call("another") == "in time"
    assert not router.failures


@pytest.mark.parametrize("kind", ["asyncio", "trio", "blocking"])
def test_ctrl_c_in_the_middle_of_progress_cancels_the_call(kind: str, server: ServerProcess) -> None:
    name = f"interrupted {kind}"
    command = [sys.executable, "-m", "tests.client.interrupted_program", kind, server.url, name]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert program.stdout is not None
    assert program.stdout.readline() == f"{name}\n"
    program.send_signal(signal.SIGINT)
    _, errors = program.communicate(timeout=20)
    assert program.returncode in (-signal.SIGINT, 130), errors
    assert "KeyboardInterrupt" in errors
    assert "never awaited" not in errors
    deadline = time.monotonic() + 5
    with connect_sync(server.url) as session:
        while name not in session.call("canceled"):
            assert time.monotonic() < deadline


# Progressive call invocations


async def test_arguments_are_sent_and_received_in_parts() -> None:
    async def total(invocation: Invocation) -> AsyncIterator[RPCProgressReport | int]:
        total = 0
        async for chunk in invocation.chunks():
            total += sum(chunk.args)
            yield RPCProgressReport(total)
        yield total

    async def ignore(number: int) -> int:
        return number

    async with connect(app=app) as session, connect(app=app) as other:
        await other.register("progress.total", total)
        await other.register("progress.ignore", ignore)
        async with session.call_progress("progress.total", 1, more=True) as call:
            assert await anext(call) == 1
            await call.send(2, 3)
            assert await anext(call) == 6
            await call.send(4, final=True)
            assert await call.result() == 10
        async with session.call_progress("progress.total", 5) as call:
            assert await call.result() == 5
        async with session.call_progress("progress.ignore", 1, more=True) as call:
            await call.send(2)
            assert await call.result() == 1
            await call.send(3, final=True)
        assert await session.call("progress.total", 7) == 7


async def test_parts_after_the_answer_are_ignored_and_too_many_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wampasgi.client.registrations.BUFFER", 2)
    more = {"progress": True}
    done = anyio.Event()

    async def script(peer: Peer) -> None:
        await peer.welcome()
        for procedure_id in 5, 6:
            register = await peer.expect(REGISTER)
            await peer.send(REGISTERED, register[1], procedure_id)
        await peer.send(INVOCATION, 1, 5, more)
        assert await peer.receive() == [YIELD, 1, {}, ["quick"]]
        await peer.send(INVOCATION, 1, 5, more, ["late"])
        await peer.send(INVOCATION, 1, 5, {}, ["last"])
        for _ in range(3):
            await peer.send(INVOCATION, 2, 6, more)
        assert (await peer.receive())[:5] == [ERROR, INVOCATION, 2, {}, "wamp.error.unavailable"]
        done.set()
        await peer.until_gone()

    router = ScriptedRouter(script)
    async with connect(app=router) as session:
        await session.register("quick", lambda: "quick")
        await session.register("slow", anyio.sleep_forever)
        with anyio.fail_after(5):
            await done.wait()
    assert not router.failures


async def test_only_a_call_for_more_takes_further_arguments() -> None:
    async with connect(app=app) as session:
        async with session.call_progress("count", 1) as call:
            with pytest.raises(RuntimeError, match="more=True"):
                await call.send(1)
        with pytest.raises(WAMPError, match="feature_not_supported"):
            async with session.call_progress("count", 1, more=True) as call:
                await call.result()
