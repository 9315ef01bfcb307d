"""Advanced Profile, "Shared Registration"."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.conformance.clients import (
    CALL,
    INVOCATION,
    NO_SUCH_PROCEDURE,
    PROCEDURE,
    REGISTER,
    REGISTERED,
    RESULT,
    UNREGISTER,
    YIELD,
    assert_error,
    assert_nothing_came,
    asyncio_only,
    joined,
    open_router,
    register,
    roles,
)
from tests.websocket import WebSocket

pytestmark = pytest.mark.anyio

SHARED = roles("shared_registration")
POLICIES = ["single", "roundrobin", "random", "first", "last"]
EXISTS = "wamp.error.procedure_already_exists"


async def who_answers(caller: WebSocket, callees: list[WebSocket], request_id: int) -> int:
    await caller.send(CALL, request_id, {}, PROCEDURE)
    await assert_nothing_came(caller)
    [index] = [index for index, callee in enumerate(callees) if callee.arrived()]
    invocation = await callees[index].receive()
    assert invocation[0] == INVOCATION
    await callees[index].send(YIELD, invocation[1], {})
    assert await caller.receive() == [RESULT, request_id, {}]
    return index


@asyncio_only
@pytest.mark.parametrize(("first", "second"), list(itertools.product([None, *POLICIES], repeat=2)), ids=str)
async def test_policy_of_the_first_registration_decides_about_further_ones(
    first: str | None, second: str | None
) -> None:
    options: list[dict[str, Any]] = [
        {} if policy is None else {"invoke": policy} for policy in (first, second)
    ]
    async with joined(open_router(), SHARED, SHARED) as [one, other]:
        registration_id = await register(one, **options[0])
        answer = await other.ask(REGISTER, 1, options[1], PROCEDURE)
        if first == second and first not in (None, "single"):
            assert answer == [REGISTERED, 1, registration_id]
        else:
            assert_error(answer, REGISTER, 1, EXISTS)


async def test_policy_is_free_again_when_the_last_registration_has_gone() -> None:
    async with joined(open_router(), SHARED, SHARED) as [one, other]:
        registration_id = await register(one, invoke="first")
        await one.ask(UNREGISTER, 2, registration_id)
        await register(other, invoke="roundrobin")


@asyncio_only
@pytest.mark.parametrize("policy", ["", "any", "Single", "round-robin"])
async def test_unknown_policy_is_refused(policy: str) -> None:
    async with joined(open_router(), SHARED) as [client]:
        answer = await client.ask(REGISTER, 1, {"invoke": policy}, PROCEDURE)
        assert_error(answer, REGISTER, 1, "wamp.error.invalid_argument")


@pytest.mark.parametrize(
    ("policy", "order"),
    [("roundrobin", [0, 1, 2, 0, 1, 2, 0]), ("first", [0] * 4), ("last", [2] * 4)],
)
async def test_callees_are_picked_by_the_policy(policy: str, order: list[int]) -> None:
    async with joined(open_router(), *[SHARED] * 4) as [caller, *callees]:
        for callee in callees:
            await register(callee, invoke=policy)
        assert [await who_answers(caller, callees, n) for n in range(1, len(order) + 1)] == order


async def test_random_picks_every_callee_sooner_or_later() -> None:
    async with joined(open_router(), *[SHARED] * 3) as [caller, *callees]:
        for callee in callees:
            await register(callee, invoke="random")
        answered = [await who_answers(caller, callees, n) for n in range(1, 31)]

    assert set(answered) == {0, 1}


@pytest.mark.parametrize(("policy", "leaves", "takes_over"), [("first", 0, 1), ("last", 2, 1)])
async def test_stand_by_takes_over_when_a_callee_leaves(policy: str, leaves: int, takes_over: int) -> None:
    async with joined(open_router(), *[SHARED] * 4) as [caller, *callees]:
        for callee in callees:
            await register(callee, invoke=policy)
        assert await who_answers(caller, callees, 1) == leaves
        await callees[leaves].disconnect()
        await callees[leaves].wait_served()
        staying = [callee for callee in callees if callee is not callees[leaves]]
        assert staying[await who_answers(caller, staying, 2)] is callees[takes_over]


async def test_procedure_exists_as_long_as_one_callee_is_left() -> None:
    async with joined(open_router(), *[SHARED] * 3) as [caller, one, other]:
        ids: list[Any] = [await register(callee, invoke="roundrobin") for callee in (one, other)]
        await one.ask(UNREGISTER, 2, ids[0])
        assert await who_answers(caller, [one, other], 1) == 1
        await other.ask(UNREGISTER, 2, ids[1])
        assert_error(await caller.ask(CALL, 2, {}, PROCEDURE), CALL, 2, NO_SUCH_PROCEDURE)
