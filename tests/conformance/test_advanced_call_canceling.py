"""Advanced Profile, "Call Canceling"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.conformance.clients import (
    BASIC_ROLES,
    CALL,
    CANCEL,
    CANCELED,
    ERROR,
    INTERRUPT,
    INVOCATION,
    PROCEDURE,
    RESULT,
    YIELD,
    assert_aborted,
    assert_error,
    assert_nothing_came,
    asyncio_only,
    joined,
    open_router,
    register,
    roles,
)
from tests.websocket import WebSocket
from wampasgi import RPCProgressReport

pytestmark = pytest.mark.anyio

CANCELING = roles("call_canceling")
MODES = ["skip", "kill", "killnowait"]


async def call(caller: WebSocket, callee: WebSocket, request_id: int = 1, **options: Any) -> int:
    """Call, and return the invocation's ID."""
    await caller.send(CALL, request_id, options, PROCEDURE)
    invocation = await callee.receive()
    assert invocation[0] == INVOCATION
    invocation_id: int = invocation[1]
    return invocation_id


async def test_skip_answers_the_caller_at_once_and_leaves_the_callee_alone() -> None:
    async with joined(open_router(), CANCELING, CANCELING) as [caller, callee]:
        await register(callee)
        invocation_id = await call(caller, callee)
        assert_error(await caller.ask(CANCEL, 1, {"mode": "skip"}), CALL, 1, CANCELED)
        await assert_nothing_came(callee)
        await callee.send(YIELD, invocation_id, {}, ["late"])
        await assert_nothing_came(callee, caller)


async def test_kill_interrupts_the_callee_and_the_caller_gets_its_error() -> None:
    async with joined(open_router(), CANCELING, CANCELING) as [caller, callee]:
        await register(callee)
        invocation_id = await call(caller, callee)
        await caller.send(CANCEL, 1, {"mode": "kill"})
        assert await callee.receive() == [INTERRUPT, invocation_id, {"mode": "kill"}]
        # Not before the callee has responded.
        await assert_nothing_came(caller)
        await callee.send(ERROR, INVOCATION, invocation_id, {}, CANCELED, ["cleaned up"])
        assert await caller.receive() == [ERROR, CALL, 1, {}, CANCELED, ["cleaned up"]]


async def test_kill_gives_the_caller_the_result_of_a_callee_that_finishes_first() -> None:
    async with joined(open_router(), CANCELING, CANCELING) as [caller, callee]:
        await register(callee)
        invocation_id = await call(caller, callee)
        await caller.send(CANCEL, 1, {"mode": "kill"})
        await callee.receive()
        await callee.send(YIELD, invocation_id, {}, ["done"])
        assert await caller.receive() == [RESULT, 1, {}, ["done"]]
        # The callee also answers the interrupt, which came too late: nobody is told.
        await callee.send(ERROR, INVOCATION, invocation_id, {}, CANCELED)
        await assert_nothing_came(callee, caller)


async def test_killnowait_answers_the_caller_at_once_and_interrupts_the_callee() -> None:
    async with joined(open_router(), CANCELING, CANCELING) as [caller, callee]:
        await register(callee)
        invocation_id = await call(caller, callee)
        assert_error(await caller.ask(CANCEL, 1, {"mode": "killnowait"}), CALL, 1, CANCELED)
        assert await callee.receive() == [INTERRUPT, invocation_id, {"mode": "killnowait"}]


@pytest.mark.parametrize("mode", ["skip", "killnowait"])
@pytest.mark.parametrize(
    "answers",
    [
        [[YIELD, {}, ["late"]]],
        [[YIELD, {"progress": True}], [YIELD, {"progress": True}], [YIELD, {}]],
        [[ERROR, {}, CANCELED]],
        [],
    ],
    ids=str,
)
async def test_responses_of_the_callee_are_discarded_after_skip_and_killnowait(
    mode: str, answers: list[list[Any]]
) -> None:
    async with joined(open_router(), CANCELING, CANCELING) as [caller, callee]:
        await register(callee)
        invocation_id = await call(caller, callee)
        await caller.ask(CANCEL, 1, {"mode": mode})
        if mode == "killnowait":
            await callee.receive()
        for code, *rest in answers:
            head = [ERROR, INVOCATION] if code == ERROR else [YIELD]
            await callee.send(*head, invocation_id, *rest)
        await assert_nothing_came(callee, caller)
        # The callee is called again as if nothing had been.
        assert await call(caller, callee, 2) == invocation_id + 1


@pytest.mark.parametrize("mode", MODES)
async def test_callee_without_call_canceling_makes_every_mode_skip(mode: str) -> None:
    async with joined(open_router(), CANCELING, BASIC_ROLES) as [caller, callee]:
        await register(callee)
        invocation_id = await call(caller, callee)
        assert_error(await caller.ask(CANCEL, 1, {"mode": mode}), CALL, 1, CANCELED)
        await assert_nothing_came(callee)
        await callee.send(YIELD, invocation_id, {}, ["late"])
        await assert_nothing_came(callee, caller)


@asyncio_only
@pytest.mark.parametrize("options", [{}, *({"mode": mode} for mode in MODES)], ids=str)
async def test_cancel_of_an_unknown_or_finished_call_is_not_answered(options: dict[str, Any]) -> None:
    async with joined(open_router(), CANCELING, CANCELING) as [caller, callee]:
        await caller.send(CANCEL, 1, options)
        await register(callee)
        await callee.send(YIELD, await call(caller, callee), {})
        assert await caller.receive() == [RESULT, 1, {}]
        await caller.send(CANCEL, 1, options)
        await assert_nothing_came(callee, caller)


async def test_cancel_reaches_only_calls_of_the_session_that_sends_it() -> None:
    async with joined(open_router(), CANCELING, CANCELING, CANCELING) as [caller, callee, other]:
        await register(callee)
        invocation_id = await call(caller, callee)
        await other.send(CANCEL, 1, {"mode": "kill"})
        await assert_nothing_came(other, callee)
        await callee.send(YIELD, invocation_id, {})
        assert await caller.receive() == [RESULT, 1, {}]


async def test_cancel_without_a_mode_ends_the_call_too() -> None:
    async with joined(open_router(), CANCELING, CANCELING) as [caller, callee]:
        await register(callee)
        await call(caller, callee)
        assert_error(await caller.ask(CANCEL, 1, {}), CALL, 1, CANCELED)


@asyncio_only
@pytest.mark.parametrize("mode", ["KILL", "abort", "", 1, True, ["kill"]], ids=str)
async def test_mode_is_one_of_the_three(mode: object) -> None:
    async with joined(open_router(), CANCELING) as [caller]:
        await caller.send(CANCEL, 1, {"mode": mode})
        await assert_aborted(caller)


async def test_call_is_answered_once_however_often_it_is_canceled() -> None:
    async with joined(open_router(), CANCELING, CANCELING) as [caller, callee]:
        await register(callee)
        invocation_id = await call(caller, callee)
        for mode in "kill", "kill", "killnowait", "skip", "kill":
            await caller.send(CANCEL, 1, {"mode": mode})
        assert_error(await caller.receive(), CALL, 1, CANCELED)
        assert (await callee.receive())[0] == INTERRUPT
        await callee.send(ERROR, INVOCATION, invocation_id, {}, CANCELED)
        await assert_nothing_came(callee, caller)


async def test_caller_that_waits_for_a_killed_callee_is_told_when_that_leaves() -> None:
    async with joined(open_router(), CANCELING, CANCELING) as [caller, callee]:
        await register(callee)
        await call(caller, callee)
        await caller.send(CANCEL, 1, {"mode": "kill"})
        await callee.receive()
        await callee.disconnect()
        assert_error(await caller.receive(), CALL, 1, CANCELED)


# Procedures of the server, whose callee is the router itself


@pytest.mark.parametrize("mode", [*MODES, None])
async def test_call_of_a_servers_procedure_is_canceled_in_every_mode(mode: str | None) -> None:
    app = open_router()
    started, release, ended = anyio.Event(), anyio.Event(), anyio.Event()
    outcome: list[str] = []

    @app.procedure(PROCEDURE)
    async def work() -> str:
        started.set()
        try:
            await release.wait()
            outcome.append("finished")
        except BaseException:
            outcome.append("interrupted")
            raise
        finally:
            ended.set()
        return "late"

    async with joined(app, CANCELING) as [caller]:
        await caller.send(CALL, 1, {}, PROCEDURE)
        await started.wait()
        assert_error(await caller.ask(CANCEL, 1, {"mode": mode} if mode else {}), CALL, 1, CANCELED)
        release.set()
        await ended.wait()
        await assert_nothing_came(caller)

    assert outcome == ["finished" if mode == "skip" else "interrupted"]


async def test_kill_of_a_servers_procedure_is_answered_when_its_handler_has_ended() -> None:
    app = open_router()
    started, cleaned = anyio.Event(), anyio.Event()

    @app.procedure(PROCEDURE)
    async def work() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await cleaned.wait()

    async with joined(app, CANCELING) as [caller]:
        await caller.send(CALL, 1, {}, PROCEDURE)
        await started.wait()
        await caller.send(CANCEL, 1, {"mode": "kill"})
        await assert_nothing_came(caller)
        cleaned.set()
        assert_error(await caller.receive(), CALL, 1, CANCELED)


async def test_no_progress_follows_the_error_of_a_canceled_servers_procedure() -> None:
    app = open_router()

    @app.procedure(PROCEDURE)
    async def work() -> AsyncIterator[RPCProgressReport]:
        while True:
            yield RPCProgressReport(["more"])
            await anyio.lowlevel.checkpoint()

    async with joined(app, CANCELING) as [caller]:
        await caller.send(CALL, 1, {"receive_progress": True}, PROCEDURE)
        assert (await caller.receive())[2] == {"progress": True}
        await caller.send(CANCEL, 1, {"mode": "killnowait"})
        while (answer := await caller.receive())[0] == RESULT:
            pass
        assert_error(answer, CALL, 1, CANCELED)
        await assert_nothing_came(caller)
