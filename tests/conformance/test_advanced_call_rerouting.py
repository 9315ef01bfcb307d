"""Advanced Profile, "Call Re-Routing"."""

from __future__ import annotations

import pytest

from tests.conformance.vocabulary import PROCEDURE, busy
from tests.specification import CALL, INVALID_ARGUMENT, NO_AVAILABLE_CALLEE, RESULT, UNAVAILABLE
from tests.wamp_client import announcing, clients, open_app

pytestmark = pytest.mark.anyio

REROUTE = announcing("call_reroute", "shared_registration")


async def test_single_responds_with_no_available_callee() -> None:
    async with clients(open_app(), REROUTE, REROUTE) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await callee.fail_invocation(UNAVAILABLE)
        await caller.expect_error(CALL, 1, NO_AVAILABLE_CALLEE)
        await callee.expect_nothing()


@pytest.mark.parametrize(
    ("policy", "order"),
    # Of three callees; with roundrobin the first one has answered a call before.
    [("roundrobin", [1, 2, 0]), ("first", [0, 1, 2]), ("last", [2, 1, 0])],
)
async def test_call_is_rerouted_by_the_policy_of_its_registration(policy: str, order: list[int]) -> None:
    async with clients(open_app(), *[REROUTE] * 4) as [caller, *callees]:
        for callee in callees:
            await callee.register(PROCEDURE, invoke=policy)
        if policy == "roundrobin":
            await caller.send(CALL, 1, {}, PROCEDURE)
            await callees[0].answer_invocation(["before"])
            await caller.expect(RESULT)
        await caller.send(CALL, 2, {}, PROCEDURE, ["payload"], {"a": 1})
        for index in order[:-1]:
            await callees[index].fail_invocation(UNAVAILABLE)
        invocation = await callees[order[-1]].answer_invocation(["served"])
        assert invocation[4:] == [["payload"], {"a": 1}]

        # The caller does not learn of the other callees.
        assert await caller.receive() == [RESULT, 2, {}, ["served"]]
        await caller.expect_nothing()
        for callee in callees:
            await callee.expect_nothing()


async def test_random_picks_another_registration_each_time() -> None:
    async with clients(open_app(), *[REROUTE] * 4) as [caller, *callees]:
        for callee in callees:
            await callee.register(PROCEDURE, invoke="random")
        for request_id in range(1, 11):
            await caller.send(CALL, request_id, {}, PROCEDURE)
            for _ in callees:
                await caller.expect_nothing()
                await (await busy(callees)).fail_invocation(UNAVAILABLE)
            await caller.expect_error(CALL, request_id, NO_AVAILABLE_CALLEE)


@pytest.mark.parametrize("policy", ["single", "roundrobin", "random", "first", "last"])
async def test_no_available_callee_must_follow_when_all_have_responded_with_unavailable(policy: str) -> None:
    count = 1 if policy == "single" else 2
    async with clients(open_app(), *[REROUTE] * (count + 1)) as [caller, *callees]:
        for callee in callees:
            await callee.register(PROCEDURE, invoke=policy)
        await caller.send(CALL, 1, {}, PROCEDURE)
        for _ in callees:
            await caller.expect_nothing()
            await (await busy(callees)).fail_invocation(UNAVAILABLE)
        await caller.expect_error(CALL, 1, NO_AVAILABLE_CALLEE)
        await caller.expect_nothing()
        for callee in callees:
            await callee.expect_nothing()


async def test_other_errors_are_not_rerouted() -> None:
    async with clients(open_app(), REROUTE, REROUTE, REROUTE) as [caller, one, other]:
        for callee in one, other:
            await callee.register(PROCEDURE, invoke="first")
        await caller.send(CALL, 1, {}, PROCEDURE)
        await one.fail_invocation(INVALID_ARGUMENT)
        await caller.expect_error(CALL, 1, INVALID_ARGUMENT)
        await other.expect_nothing()


async def test_unavailable_callee_is_tried_again_with_the_next_call() -> None:
    async with clients(open_app(), REROUTE, REROUTE, REROUTE) as [caller, one, other]:
        for callee in one, other:
            await callee.register(PROCEDURE, invoke="first")
        await caller.send(CALL, 1, {}, PROCEDURE)
        await one.fail_invocation(UNAVAILABLE)
        await other.answer_invocation(["other"])
        assert (await caller.receive())[3] == ["other"]
        await caller.send(CALL, 2, {}, PROCEDURE)
        await one.answer_invocation(["one"])
        assert (await caller.receive())[3] == ["one"]
