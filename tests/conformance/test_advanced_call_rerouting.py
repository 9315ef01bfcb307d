"""Advanced Profile, "Call Re-Routing"."""

from __future__ import annotations

import pytest

from tests.conformance.clients import (
    CALL,
    ERROR,
    INVOCATION,
    PROCEDURE,
    RESULT,
    YIELD,
    assert_error,
    assert_nothing_came,
    joined,
    open_router,
    register,
    roles,
)
from tests.websocket import WebSocket

pytestmark = pytest.mark.anyio

REROUTE = roles("call_reroute", "shared_registration")
UNAVAILABLE = "wamp.error.unavailable"
NO_AVAILABLE_CALLEE = "wamp.error.no_available_callee"


async def refuse(callee: WebSocket) -> None:
    invocation = await callee.receive()
    assert invocation[0] == INVOCATION
    await callee.send(ERROR, INVOCATION, invocation[1], {}, UNAVAILABLE)


async def accept(callee: WebSocket, answer: str) -> None:
    invocation = await callee.receive()
    assert invocation[0] == INVOCATION
    await callee.send(YIELD, invocation[1], {}, [answer])


async def test_single_responds_with_no_available_callee() -> None:
    async with joined(open_router(), REROUTE, REROUTE) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await refuse(callee)
        assert_error(await caller.receive(), CALL, 1, NO_AVAILABLE_CALLEE)
        await assert_nothing_came(callee)


@pytest.mark.parametrize(
    ("policy", "order"),
    # Three callees; a call before moves the queue of roundrobin on by one.
    [("roundrobin", [1, 2, 0]), ("first", [0, 1, 2]), ("last", [2, 1, 0])],
)
async def test_call_is_rerouted_by_the_rule_of_its_policy(policy: str, order: list[int]) -> None:
    async with joined(open_router(), *[REROUTE] * 4) as [caller, *callees]:
        for callee in callees:
            await register(callee, invoke=policy)
        if policy == "roundrobin":
            await caller.send(CALL, 1, {}, PROCEDURE)
            await accept(callees[0], "before")
            await caller.receive()
        await caller.send(CALL, 2, {}, PROCEDURE, ["payload"], {"a": 1})
        for index in order[:-1]:
            await refuse(callees[index])
        invocation = await callees[order[-1]].receive()
        assert invocation[4:] == [["payload"], {"a": 1}]
        await callees[order[-1]].send(YIELD, invocation[1], {}, ["served"])

        # The caller never gets to know.
        assert await caller.receive() == [RESULT, 2, {}, ["served"]]
        await assert_nothing_came(caller, *callees)


async def test_random_picks_another_registration_each_time() -> None:
    async with joined(open_router(), *[REROUTE] * 4) as [caller, *callees]:
        for callee in callees:
            await register(callee, invoke="random")
        for request_id in range(1, 11):
            await caller.send(CALL, request_id, {}, PROCEDURE)
            for _ in callees:
                await assert_nothing_came(caller)
                [busy] = [callee for callee in callees if callee.arrived()]
                await refuse(busy)
            assert_error(await caller.receive(), CALL, request_id, NO_AVAILABLE_CALLEE)


@pytest.mark.parametrize("policy", ["single", "roundrobin", "random", "first", "last"])
async def test_no_available_callee_must_follow_when_all_have_responded_with_unavailable(policy: str) -> None:
    count = 1 if policy == "single" else 2
    async with joined(open_router(), *[REROUTE] * (count + 1)) as [caller, *callees]:
        for callee in callees:
            await register(callee, invoke=policy)
        await caller.send(CALL, 1, {}, PROCEDURE)
        for _ in callees:
            await assert_nothing_came(caller)
            [busy] = [callee for callee in callees if callee.arrived()]
            await refuse(busy)
        assert_error(await caller.receive(), CALL, 1, NO_AVAILABLE_CALLEE)
        await assert_nothing_came(caller, *callees)


async def test_other_errors_are_not_rerouted() -> None:
    async with joined(open_router(), REROUTE, REROUTE, REROUTE) as [caller, one, other]:
        for callee in one, other:
            await register(callee, invoke="first")
        await caller.send(CALL, 1, {}, PROCEDURE)
        invocation = await one.receive()
        await one.send(ERROR, INVOCATION, invocation[1], {}, "wamp.error.invalid_argument")
        assert_error(await caller.receive(), CALL, 1, "wamp.error.invalid_argument")
        await assert_nothing_came(other)


async def test_unavailable_callee_is_tried_again_with_the_next_call() -> None:
    async with joined(open_router(), REROUTE, REROUTE, REROUTE) as [caller, one, other]:
        for callee in one, other:
            await register(callee, invoke="first")
        await caller.send(CALL, 1, {}, PROCEDURE)
        await refuse(one)
        await accept(other, "other")
        assert (await caller.receive())[3] == ["other"]
        await caller.send(CALL, 2, {}, PROCEDURE)
        await accept(one, "one")
        assert (await caller.receive())[3] == ["one"]
