"""Advanced Profile, "Call Timeouts"."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.conformance.clients import (
    BASIC_ROLES,
    CALL,
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
from wampasgi import RPCProgressReport, RPCResult

pytestmark = pytest.mark.anyio

TIMEOUT = "wamp.error.timeout"
CANCELING = roles("call_canceling")
FORWARDING = roles("call_timeout", "call_canceling")


async def test_timeout_interrupts_a_callee_with_call_canceling_as_killnowait() -> None:
    async with joined(open_router(), BASIC_ROLES, CANCELING) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {"timeout": 5}, PROCEDURE)
        invocation = await callee.receive()
        assert invocation[3] == {}
        assert_error(await caller.receive(), CALL, 1, TIMEOUT)
        assert await callee.receive() == [INTERRUPT, invocation[1], {"mode": "killnowait"}]
        await callee.send(ERROR, INVOCATION, invocation[1], {}, "wamp.error.canceled")
        await assert_nothing_came(callee, caller)


async def test_timeout_leaves_a_callee_without_call_canceling_alone_as_skip() -> None:
    async with joined(open_router(), BASIC_ROLES, BASIC_ROLES) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {"timeout": 5}, PROCEDURE)
        invocation = await callee.receive()
        assert_error(await caller.receive(), CALL, 1, TIMEOUT)
        await assert_nothing_came(callee)
        await callee.send(YIELD, invocation[1], {}, ["late"])
        await assert_nothing_came(callee, caller)


async def test_result_in_time_is_not_followed_by_a_timeout() -> None:
    async with joined(open_router(), BASIC_ROLES, CANCELING) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {"timeout": 400}, PROCEDURE)
        await caller.send(CALL, 2, {"timeout": 420}, PROCEDURE)
        await callee.receive()
        await callee.receive()
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 1, {}]
        # When this has come, the first one's time is over too.
        assert_error(await caller.receive(), CALL, 2, TIMEOUT)
        assert (await callee.receive())[:2] == [INTERRUPT, 2]
        await assert_nothing_came(callee, caller)


@pytest.mark.parametrize("options", [{}, {"timeout": 0}], ids=str)
async def test_timeouts_are_deactivated_by_0_or_no_timeout(options: dict[str, Any]) -> None:
    async with joined(open_router(), BASIC_ROLES, FORWARDING) as [caller, callee]:
        await register(callee, forward_timeout=True)
        await caller.send(CALL, 1, options, PROCEDURE)
        await caller.send(CALL, 2, {"timeout": 1}, "nobody")
        assert (await caller.receive())[0] == ERROR
        assert (await callee.receive())[3] == {}
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 1, {}]


@asyncio_only
@pytest.mark.parametrize("timeout", [-1, 0.5, "100", True, [1]], ids=str)
async def test_timeout_is_a_non_negative_integer(timeout: object) -> None:
    async with joined(open_router(), BASIC_ROLES) as [caller]:
        await caller.send(CALL, 1, {"timeout": timeout}, PROCEDURE)
        await assert_aborted(caller)


async def test_timeout_is_forwarded_to_a_callee_that_registered_so() -> None:
    async with joined(open_router(), BASIC_ROLES, FORWARDING) as [caller, callee]:
        await register(callee, forward_timeout=True)
        await caller.send(CALL, 1, {"timeout": 5}, PROCEDURE)
        invocation = await callee.receive()
        assert invocation[3] == {"timeout": 5}
        # The callee keeps the time; the dealer does not.
        await anyio.sleep(0.02)
        await assert_nothing_came(caller, callee)
        await callee.send(ERROR, INVOCATION, invocation[1], {}, TIMEOUT)
        assert await caller.receive() == [ERROR, CALL, 1, {}, TIMEOUT]


@pytest.mark.parametrize(
    ("callee_roles", "options"),
    [(FORWARDING, {}), (FORWARDING, {"forward_timeout": False}), (CANCELING, {"forward_timeout": True})],
    ids=["not asked for", "refused", "not announced"],
)
async def test_timeout_is_the_dealers_where_it_is_not_forwarded(
    callee_roles: dict[str, Any], options: dict[str, Any]
) -> None:
    async with joined(open_router(), BASIC_ROLES, callee_roles) as [caller, callee]:
        await register(callee, **options)
        await caller.send(CALL, 1, {"timeout": 5}, PROCEDURE)
        assert (await callee.receive())[3] == {}
        assert_error(await caller.receive(), CALL, 1, TIMEOUT)


@asyncio_only
async def test_timeout_of_a_progressive_call_is_the_time_between_its_results() -> None:
    features = roles("progressive_call_results", "call_canceling")
    async with joined(open_router(), features, features) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {"timeout": 600, "receive_progress": True}, PROCEDURE)
        await callee.receive()
        for _ in range(3):
            # Three times this is over the limit.
            await anyio.sleep(0.25)
            await callee.send(YIELD, 1, {"progress": True})
            assert await caller.receive() == [RESULT, 1, {"progress": True}]
        assert_error(await caller.receive(), CALL, 1, TIMEOUT)
        assert (await callee.receive())[0] == INTERRUPT


async def test_timeout_is_the_dealers_again_where_a_call_is_rerouted_to_a_callee_that_does_not_keep_it() -> (
    None
):
    async with joined(open_router(), BASIC_ROLES, FORWARDING, CANCELING) as [caller, keeping, other]:
        await register(keeping, invoke="first", forward_timeout=True)
        await register(other, invoke="first")
        await caller.send(CALL, 1, {"timeout": 20}, PROCEDURE)
        assert (await keeping.receive())[3] == {"timeout": 20}
        await keeping.send(ERROR, INVOCATION, 1, {}, "wamp.error.unavailable")
        assert (await other.receive())[3] == {}
        assert_error(await caller.receive(), CALL, 1, TIMEOUT)
        assert await other.receive() == [INTERRUPT, 1, {"mode": "killnowait"}]


async def test_procedure_of_the_server_times_out_and_is_cancelled() -> None:
    app = open_router()
    cancelled = anyio.Event()

    @app.procedure(PROCEDURE)
    async def work() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    async with joined(app, BASIC_ROLES) as [caller]:
        assert_error(await caller.ask(CALL, 1, {"timeout": 5}, PROCEDURE), CALL, 1, TIMEOUT)
        await cancelled.wait()


@asyncio_only
async def test_timeout_of_a_servers_procedure_is_the_time_between_its_results_too() -> None:
    app = open_router()

    @app.procedure(PROCEDURE)
    async def work() -> AsyncIterator[RPCProgressReport | RPCResult]:
        for number in range(3):
            # Three times this is over the limit.
            await anyio.sleep(0.25)
            yield RPCProgressReport([number])
        await anyio.sleep_forever()

    async with joined(app, roles("progressive_call_results")) as [caller]:
        await caller.send(CALL, 1, {"timeout": 600, "receive_progress": True}, PROCEDURE)
        for number in range(3):
            assert await caller.receive() == [RESULT, 1, {"progress": True}, [number]]
        assert_error(await caller.receive(), CALL, 1, TIMEOUT)
