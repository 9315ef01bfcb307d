"""Advanced Profile, "Call Canceling"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.conformance.vocabulary import PROCEDURE, between_workers, pending_call
from tests.specification import CALL, CANCEL, CANCELED, ERROR, INTERRUPT, INVOCATION, RESULT, YIELD
from tests.wamp_client import BASIC, announcing, clients, open_app
from wampasgi import RPCProgressReport

pytestmark = pytest.mark.anyio

CANCELING = announcing("call_canceling")
MODES = ["skip", "kill", "killnowait"]


@pytest.mark.parametrize(
    ("mode", "callee_details"),
    [("skip", CANCELING), *((mode, BASIC) for mode in MODES)],
    ids=["skip", *(f"{mode} without call_canceling" for mode in MODES)],
)
async def test_callee_is_left_alone_with_skip_or_if_it_does_not_support_canceling(
    mode: str, callee_details: dict[str, Any]
) -> None:
    async with pending_call(CANCELING, callee_details) as [caller, callee]:
        await caller.send(CANCEL, 1, {"mode": mode})
        await caller.expect_error(CALL, 1, CANCELED)
        await callee.expect_nothing()
        await callee.send(YIELD, 1, {}, ["late"])
        await callee.expect_nothing()
        await caller.expect_nothing()


async def test_kill_interrupts_the_callee_and_the_caller_gets_its_error() -> None:
    async with pending_call(CANCELING, CANCELING) as [caller, callee]:
        await caller.send(CANCEL, 1, {"mode": "kill"})
        assert await callee.receive() == [INTERRUPT, 1, {"mode": "kill"}]
        # The caller gets no answer before the callee has responded.
        await caller.expect_nothing()
        await callee.send(ERROR, INVOCATION, 1, {}, CANCELED, ["cleaned up"])
        assert await caller.receive() == [ERROR, CALL, 1, {}, CANCELED, ["cleaned up"]]


async def test_kill_gives_the_caller_the_result_of_a_callee_that_finishes_first() -> None:
    async with pending_call(CANCELING, CANCELING) as [caller, callee]:
        await caller.send(CANCEL, 1, {"mode": "kill"})
        await callee.expect(INTERRUPT)
        await callee.send(YIELD, 1, {}, ["done"])
        assert await caller.receive() == [RESULT, 1, {}, ["done"]]
        # The callee also answers the interrupt, which came too late. Nobody gets this answer.
        await callee.send(ERROR, INVOCATION, 1, {}, CANCELED)
        await callee.expect_nothing()
        await caller.expect_nothing()


async def test_killnowait_answers_the_caller_at_once_and_interrupts_the_callee() -> None:
    async with pending_call(CANCELING, CANCELING) as [caller, callee]:
        await caller.send(CANCEL, 1, {"mode": "killnowait"})
        await caller.expect_error(CALL, 1, CANCELED)
        assert await callee.receive() == [INTERRUPT, 1, {"mode": "killnowait"}]


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
    async with pending_call(CANCELING, CANCELING) as [caller, callee]:
        await caller.send(CANCEL, 1, {"mode": mode})
        await caller.expect(ERROR)
        if mode == "killnowait":
            await callee.expect(INTERRUPT)
        for code, *rest in answers:
            head = [ERROR, INVOCATION] if code == ERROR else [YIELD]
            await callee.send(*head, 1, *rest)
        await callee.expect_nothing()
        await caller.expect_nothing()
        # The callee can be called again.
        await caller.send(CALL, 2, {}, PROCEDURE)
        assert (await callee.expect(INVOCATION))[1] == 2


@between_workers
@pytest.mark.parametrize("options", [{}, *({"mode": mode} for mode in MODES)], ids=str)
async def test_cancel_of_an_unknown_or_finished_call_is_not_answered(options: dict[str, Any]) -> None:
    async with clients(open_app(), CANCELING, CANCELING) as [caller, callee]:
        await caller.send(CANCEL, 1, options)
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await callee.answer_invocation()
        assert await caller.receive() == [RESULT, 1, {}]
        await caller.send(CANCEL, 1, options)
        await callee.expect_nothing()
        await caller.expect_nothing()


async def test_cancel_only_affects_calls_of_the_session_that_sends_it() -> None:
    async with clients(open_app(), CANCELING, CANCELING, CANCELING) as [caller, callee, other]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await callee.expect(INVOCATION)
        await other.send(CANCEL, 1, {"mode": "kill"})
        await other.expect_nothing()
        await callee.expect_nothing()
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 1, {}]


async def test_cancel_without_a_mode_ends_the_call_too() -> None:
    async with pending_call(CANCELING, CANCELING) as [caller, _]:
        await caller.send(CANCEL, 1, {})
        await caller.expect_error(CALL, 1, CANCELED)


@between_workers
@pytest.mark.parametrize("mode", ["KILL", "abort", "", 1, True, ["kill"]], ids=str)
async def test_mode_must_be_one_of_the_three(mode: object) -> None:
    async with clients(open_app(), CANCELING) as [caller]:
        await caller.send(CANCEL, 1, {"mode": mode})
        await caller.expect_abort()


async def test_call_is_answered_once_however_often_it_is_canceled() -> None:
    async with pending_call(CANCELING, CANCELING) as [caller, callee]:
        for mode in "kill", "kill", "killnowait", "skip", "kill":
            await caller.send(CANCEL, 1, {"mode": mode})
        await caller.expect_error(CALL, 1, CANCELED)
        await callee.expect(INTERRUPT)
        await callee.send(ERROR, INVOCATION, 1, {}, CANCELED)
        await callee.expect_nothing()
        await caller.expect_nothing()


async def test_caller_that_waits_for_a_killed_callee_gets_canceled_when_the_callee_leaves() -> None:
    async with pending_call(CANCELING, CANCELING) as [caller, callee]:
        await caller.send(CANCEL, 1, {"mode": "kill"})
        await callee.expect(INTERRUPT)
        await callee.disconnect()
        await caller.expect_error(CALL, 1, CANCELED)


# Procedures of the server, for which the router is the callee


@pytest.mark.parametrize("mode", [*MODES, None])
async def test_call_to_a_procedure_of_the_server_is_canceled_in_every_mode(mode: str | None) -> None:
    app = open_app()
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

    async with clients(app, CANCELING) as [caller]:
        await caller.send(CALL, 1, {}, PROCEDURE)
        await started.wait()
        await caller.send(CANCEL, 1, {"mode": mode} if mode else {})
        await caller.expect_error(CALL, 1, CANCELED)
        release.set()
        await ended.wait()
        await caller.expect_nothing()

    assert outcome == ["finished" if mode == "skip" else "interrupted"]


async def test_kill_of_a_call_to_the_server_is_answered_when_the_handler_has_ended() -> None:
    app = open_app()
    started, cleaned = anyio.Event(), anyio.Event()

    @app.procedure(PROCEDURE)
    async def work() -> None:
        started.set()
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await cleaned.wait()

    async with clients(app, CANCELING) as [caller]:
        await caller.send(CALL, 1, {}, PROCEDURE)
        await started.wait()
        await caller.send(CANCEL, 1, {"mode": "kill"})
        await caller.expect_nothing()
        cleaned.set()
        await caller.expect_error(CALL, 1, CANCELED)


async def test_no_progress_follows_the_error_for_a_canceled_call_to_the_server() -> None:
    app = open_app()

    @app.procedure(PROCEDURE)
    async def work() -> AsyncIterator[RPCProgressReport]:
        while True:
            yield RPCProgressReport(["more"])
            await anyio.lowlevel.checkpoint()

    async with clients(app, CANCELING) as [caller]:
        await caller.send(CALL, 1, {"receive_progress": True}, PROCEDURE)
        assert (await caller.receive())[2] == {"progress": True}
        await caller.send(CANCEL, 1, {"mode": "killnowait"})
        while (answer := await caller.receive())[0] == RESULT:
            pass
        assert answer[:5] == [ERROR, CALL, 1, {}, CANCELED]
        await caller.expect_nothing()
