"""Advanced Profile, "Progressive Call Results"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.conformance.vocabulary import PROCEDURE, pending_call
from tests.specification import CALL, CANCEL, CANCELED, ERROR, INTERRUPT, INVOCATION, RESULT, YIELD
from tests.wamp_client import BASIC, announcing, clients, open_app
from wampasgi import RPCErrorResult, RPCProgressReport, RPCResult

pytestmark = pytest.mark.anyio

PROGRESS = announcing("progressive_call_results", "call_canceling")
RECEIVE_PROGRESS = {"receive_progress": True}
MORE = {"progress": True}


@pytest.mark.parametrize(
    "payloads",
    [
        [[["Y2010", 120]]],
        [[]],
        [[["partial 1", 10]], []],
        [[[], {"foo": 10, "bar": "partial 1"}]],
    ],
    ids=str,
)
async def test_progressive_yield_is_sent_to_the_caller_immediately(payloads: list[list[Any]]) -> None:
    async with clients(open_app(), PROGRESS, PROGRESS) as [caller, callee]:
        registration_id = await callee.register(PROCEDURE)
        await caller.send(CALL, 77133, RECEIVE_PROGRESS, PROCEDURE, [2010])
        assert await callee.receive() == [INVOCATION, 1, registration_id, RECEIVE_PROGRESS, [2010]]
        for payload in payloads:
            await callee.send(YIELD, 1, MORE, *payload)
            assert await caller.receive() == [RESULT, 77133, MORE, *payload]
        await callee.send(YIELD, 1, {}, ["Total", 490])
        assert await caller.receive() == [RESULT, 77133, {}, ["Total", 490]]


@pytest.mark.parametrize("progress", [{}, {"progress": False}], ids=str)
async def test_final_result_may_be_empty(progress: dict[str, Any]) -> None:
    async with pending_call(PROGRESS, PROGRESS, **RECEIVE_PROGRESS) as [caller, callee]:
        await callee.send(YIELD, 1, MORE, ["all"])
        await callee.send(YIELD, 1, progress)
        assert await caller.receive() == [RESULT, 1, MORE, ["all"]]
        assert await caller.receive() == [RESULT, 1, {}]


async def test_progressive_call_may_end_with_an_error() -> None:
    async with pending_call(PROGRESS, PROGRESS, **RECEIVE_PROGRESS) as [caller, callee]:
        await callee.send(YIELD, 1, MORE)
        await callee.send(ERROR, INVOCATION, 1, {}, "com.myapp.invalid_revenue_year", [1830])
        assert await caller.receive() == [RESULT, 1, MORE]
        assert await caller.receive() == [ERROR, CALL, 1, {}, "com.myapp.invalid_revenue_year", [1830]]


async def test_callee_is_not_required_to_produce_progressive_results() -> None:
    async with pending_call(PROGRESS, PROGRESS, **RECEIVE_PROGRESS) as [caller, callee]:
        await callee.send(YIELD, 1, {}, ["only"])
        assert await caller.receive() == [RESULT, 1, {}, ["only"]]


@pytest.mark.parametrize("options", [{}, {"receive_progress": False}], ids=str)
async def test_caller_that_did_not_ask_for_progress_gets_only_the_final_result(
    options: dict[str, Any],
) -> None:
    async with clients(open_app(), PROGRESS, PROGRESS) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, options, PROCEDURE)
        assert (await callee.expect(INVOCATION))[3] == {}
        await callee.send(YIELD, 1, MORE, ["unasked"])
        await callee.send(YIELD, 1, {}, ["final"])
        assert await caller.receive() == [RESULT, 1, {}, ["final"]]


@pytest.mark.parametrize(
    "callee_details",
    [BASIC, announcing("call_canceling")],
    ids=["basic", "without progressive_call_results"],
)
async def test_callee_without_the_feature_is_not_asked_for_progress(callee_details: dict[str, Any]) -> None:
    async with clients(open_app(), PROGRESS, callee_details) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, RECEIVE_PROGRESS, PROCEDURE)
        assert (await callee.expect(INVOCATION))[3] == {}
        await callee.send(YIELD, 1, {}, ["only"])
        assert await caller.receive() == [RESULT, 1, {}, ["only"]]


@pytest.mark.parametrize(
    ("answer", "code"),
    [([YIELD, 1, {}], RESULT), ([ERROR, INVOCATION, 1, {}, "com.myapp.error"], ERROR)],
    ids=["yield", "error"],
)
async def test_progress_may_only_be_sent_while_the_invocation_is_ongoing(
    answer: list[Any], code: int
) -> None:
    async with pending_call(PROGRESS, PROGRESS, **RECEIVE_PROGRESS) as [caller, callee]:
        await callee.send(*answer)
        await callee.send(YIELD, 1, MORE)
        await callee.expect_abort()
        await caller.expect(code)
        await caller.expect_nothing()


async def test_callee_is_interrupted_when_the_caller_leaves_between_results() -> None:
    async with pending_call(PROGRESS, PROGRESS, **RECEIVE_PROGRESS) as [caller, callee]:
        await callee.send(YIELD, 1, MORE)
        await caller.expect(RESULT)
        await caller.leave()
        assert await callee.receive() == [INTERRUPT, 1, {"mode": "killnowait"}]
        # Results that the callee had sent before it was interrupted are discarded.
        await callee.send(YIELD, 1, MORE)
        await callee.send(YIELD, 1, {})
        await callee.expect_nothing()


async def test_callee_that_cannot_be_interrupted_is_asked_for_progress() -> None:
    only_results = announcing("progressive_call_results")
    async with pending_call(PROGRESS, only_results, **RECEIVE_PROGRESS) as [caller, callee]:
        await callee.send(YIELD, 1, MORE, ["some"])
        assert await caller.receive() == [RESULT, 1, {"progress": True}, ["some"]]
        await callee.send(YIELD, 1, {}, ["all"])
        assert await caller.receive() == [RESULT, 1, {}, ["all"]]


@pytest.mark.parametrize("leave", [True, False], ids=["caller leaves", "caller cancels"])
async def test_results_of_a_callee_that_cannot_be_interrupted_are_discarded_after_the_call(
    leave: bool,
) -> None:
    only_results = announcing("progressive_call_results")
    async with pending_call(PROGRESS, only_results, **RECEIVE_PROGRESS) as [caller, callee]:
        await callee.send(YIELD, 1, MORE)
        await caller.expect(RESULT)
        if leave:
            await caller.leave()
        else:
            await caller.send(CANCEL, 1, {})
            await caller.expect_error(CALL, 1, CANCELED)
        for options in MORE, MORE, {}:
            await callee.send(YIELD, 1, options)
        await callee.expect_nothing()


async def test_caller_gets_canceled_when_the_callee_leaves_between_results() -> None:
    async with pending_call(PROGRESS, PROGRESS, **RECEIVE_PROGRESS) as [caller, callee]:
        await callee.send(YIELD, 1, MORE)
        await caller.expect(RESULT)
        await callee.disconnect()
        await caller.expect_error(CALL, 1, CANCELED)


async def test_results_of_different_calls_are_not_mixed_up() -> None:
    async with clients(open_app(), PROGRESS, PROGRESS) as [caller, callee]:
        await callee.register(PROCEDURE)
        for request_id in 5, 6:
            await caller.send(CALL, request_id, RECEIVE_PROGRESS, PROCEDURE)
            await callee.expect(INVOCATION)
        for invocation_id, options in (1, MORE), (2, MORE), (1, MORE), (2, {}), (1, {}):
            await callee.send(YIELD, invocation_id, options)

        assert [(await caller.receive())[1:] for _ in range(5)] == [
            [5, MORE],
            [6, MORE],
            [5, MORE],
            [6, {}],
            [5, {}],
        ]


@pytest.mark.parametrize("asks", [True, False])
@pytest.mark.parametrize("fails", [True, False])
async def test_procedure_of_the_server_sends_progress_and_one_final_answer(asks: bool, fails: bool) -> None:
    app = open_app()

    @app.procedure(PROCEDURE)
    async def work() -> AsyncIterator[RPCProgressReport | RPCResult | RPCErrorResult]:
        yield RPCProgressReport(["Y2010", 120])
        yield RPCProgressReport()
        yield RPCErrorResult("com.myapp.error") if fails else RPCResult(["Total"])
        raise AssertionError("the procedure was continued after its final result")

    async with clients(app, PROGRESS) as [caller]:
        await caller.send(CALL, 1, {"receive_progress": asks}, PROCEDURE)
        if asks:
            assert await caller.receive() == [RESULT, 1, MORE, ["Y2010", 120]]
            assert await caller.receive() == [RESULT, 1, MORE]
        final = [ERROR, CALL, 1, {}, "com.myapp.error"] if fails else [RESULT, 1, {}, ["Total"]]
        assert await caller.receive() == final
        await caller.expect_nothing()
