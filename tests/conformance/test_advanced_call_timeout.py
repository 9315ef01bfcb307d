"""Advanced Profile, "Call Timeouts"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.conformance.vocabulary import PROCEDURE, between_workers, pending_call
from tests.specification import (
    CALL,
    CANCELED,
    ERROR,
    INTERRUPT,
    INVOCATION,
    RESULT,
    TIMEOUT,
    UNAVAILABLE,
    YIELD,
)
from tests.wamp_client import BASIC, announcing, clients, open_app
from wampasgi import RPCProgressReport, RPCResult

pytestmark = pytest.mark.anyio

CANCELING = announcing("call_canceling")
FORWARDING = announcing("call_timeout", "call_canceling")


async def test_timeout_acts_as_killnowait_on_a_callee_with_call_canceling() -> None:
    async with clients(open_app(), BASIC, CANCELING) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {"timeout": 5}, PROCEDURE)
        invocation = await callee.expect(INVOCATION)
        assert invocation[3] == {}
        await caller.expect_error(CALL, 1, TIMEOUT)
        assert await callee.receive() == [INTERRUPT, invocation[1], {"mode": "killnowait"}]
        await callee.send(ERROR, INVOCATION, invocation[1], {}, CANCELED)
        await callee.expect_nothing()
        await caller.expect_nothing()


async def test_timeout_acts_as_skip_on_a_callee_without_call_canceling() -> None:
    async with pending_call(BASIC, BASIC, timeout=5) as [caller, callee]:
        await caller.expect_error(CALL, 1, TIMEOUT)
        await callee.expect_nothing()
        await callee.send(YIELD, 1, {}, ["late"])
        await callee.expect_nothing()
        await caller.expect_nothing()


async def test_result_in_time_is_not_followed_by_a_timeout() -> None:
    async with clients(open_app(), BASIC, CANCELING) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {"timeout": 400}, PROCEDURE)
        await caller.send(CALL, 2, {"timeout": 420}, PROCEDURE)
        for _ in range(2):
            await callee.expect(INVOCATION)
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 1, {}]
        # When this has come, the timeout of the first call has passed, too.
        await caller.expect_error(CALL, 2, TIMEOUT)
        assert (await callee.receive())[:2] == [INTERRUPT, 2]
        await callee.expect_nothing()
        await caller.expect_nothing()


@pytest.mark.parametrize("options", [{}, {"timeout": 0}], ids=str)
async def test_call_with_timeout_0_or_without_a_timeout_never_times_out(options: dict[str, Any]) -> None:
    async with clients(open_app(), BASIC, FORWARDING) as [caller, callee]:
        await callee.register(PROCEDURE, forward_timeout=True)
        await caller.send(CALL, 1, options, PROCEDURE)
        await caller.send(CALL, 2, {"timeout": 1}, "nobody")
        await caller.expect(ERROR)
        assert (await callee.expect(INVOCATION))[3] == {}
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 1, {}]


@between_workers
@pytest.mark.parametrize("timeout", [-1, 0.5, "100", True, [1]], ids=str)
async def test_timeout_must_be_a_non_negative_integer(timeout: object) -> None:
    async with clients(open_app(), BASIC) as [caller]:
        await caller.send(CALL, 1, {"timeout": timeout}, PROCEDURE)
        await caller.expect_abort()


async def test_timeout_is_forwarded_to_a_callee_that_registered_with_forward_timeout() -> None:
    async with clients(open_app(), BASIC, FORWARDING) as [caller, callee]:
        await callee.register(PROCEDURE, forward_timeout=True)
        await caller.send(CALL, 1, {"timeout": 5}, PROCEDURE)
        invocation = await callee.expect(INVOCATION)
        assert invocation[3] == {"timeout": 5}
        # The callee enforces the timeout; the dealer does not.
        await anyio.sleep(0.02)
        await caller.expect_nothing()
        await callee.expect_nothing()
        await callee.send(ERROR, INVOCATION, invocation[1], {}, TIMEOUT)
        assert await caller.receive() == [ERROR, CALL, 1, {}, TIMEOUT]


@pytest.mark.parametrize(
    ("callee_details", "options"),
    [(FORWARDING, {}), (FORWARDING, {"forward_timeout": False}), (CANCELING, {"forward_timeout": True})],
    ids=["not asked for", "refused", "not announced"],
)
async def test_dealer_enforces_a_timeout_that_it_does_not_forward(
    callee_details: dict[str, Any], options: dict[str, Any]
) -> None:
    async with clients(open_app(), BASIC, callee_details) as [caller, callee]:
        await callee.register(PROCEDURE, **options)
        await caller.send(CALL, 1, {"timeout": 5}, PROCEDURE)
        assert (await callee.expect(INVOCATION))[3] == {}
        await caller.expect_error(CALL, 1, TIMEOUT)


@between_workers
async def test_timeout_of_a_progressive_call_is_the_time_between_results() -> None:
    features = announcing("progressive_call_results", "call_canceling")
    async with pending_call(features, features, timeout=600, receive_progress=True) as [caller, callee]:
        for _ in range(3):
            # The three pauses together are longer than the timeout.
            await anyio.sleep(0.25)
            await callee.send(YIELD, 1, {"progress": True})
            assert await caller.receive() == [RESULT, 1, {"progress": True}]
        await caller.expect_error(CALL, 1, TIMEOUT)
        await callee.expect(INTERRUPT)


async def test_dealer_enforces_the_timeout_of_a_call_rerouted_to_a_callee_that_does_not() -> None:
    async with clients(open_app(), BASIC, FORWARDING, CANCELING) as [caller, enforcing, other]:
        await enforcing.register(PROCEDURE, invoke="first", forward_timeout=True)
        await other.register(PROCEDURE, invoke="first")
        await caller.send(CALL, 1, {"timeout": 20}, PROCEDURE)
        assert (await enforcing.expect(INVOCATION))[3] == {"timeout": 20}
        await enforcing.send(ERROR, INVOCATION, 1, {}, UNAVAILABLE)
        assert (await other.expect(INVOCATION))[3] == {}
        await caller.expect_error(CALL, 1, TIMEOUT)
        assert await other.receive() == [INTERRUPT, 1, {"mode": "killnowait"}]


async def test_procedure_of_the_server_is_cancelled_when_it_times_out() -> None:
    app = open_app()
    cancelled = anyio.Event()

    @app.procedure(PROCEDURE)
    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async with clients(app, BASIC) as [caller]:
        assert await caller.request_error(CALL, {"timeout": 5}, PROCEDURE) == TIMEOUT
        await cancelled.wait()


@between_workers
async def test_timeout_of_a_progressive_call_to_the_server_is_the_time_between_results() -> None:
    app = open_app()

    @app.procedure(PROCEDURE)
    async def work() -> AsyncIterator[RPCProgressReport | RPCResult]:
        for number in range(3):
            # The three pauses together are longer than the timeout.
            await anyio.sleep(0.25)
            yield RPCProgressReport([number])
        await anyio.sleep_forever()

    async with clients(app, announcing("progressive_call_results")) as [caller]:
        await caller.send(CALL, 1, {"timeout": 600, "receive_progress": True}, PROCEDURE)
        for number in range(3):
            assert await caller.receive() == [RESULT, 1, {"progress": True}, [number]]
        await caller.expect_error(CALL, 1, TIMEOUT)
