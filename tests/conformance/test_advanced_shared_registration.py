"""Advanced Profile, "Shared Registration"."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.conformance.vocabulary import PROCEDURE, between_workers, busy
from tests.specification import (
    CALL,
    INVALID_ARGUMENT,
    NO_SUCH_PROCEDURE,
    PROCEDURE_ALREADY_EXISTS,
    REGISTER,
    REGISTERED,
    RESULT,
    UNREGISTER,
)
from tests.wamp_client import WAMPClient, announcing, clients, open_app

pytestmark = pytest.mark.anyio

SHARED = announcing("shared_registration")
POLICIES = ["single", "roundrobin", "random", "first", "last"]


async def answering_callee(caller: WAMPClient, callees: list[WAMPClient], request_id: int) -> int:
    """Call, and return the index of the callee that gets the invocation and answers it."""
    await caller.send(CALL, request_id, {}, PROCEDURE)
    await caller.expect_nothing()
    callee = await busy(callees)
    await callee.answer_invocation()
    assert await caller.receive() == [RESULT, request_id, {}]
    return callees.index(callee)


@between_workers
@pytest.mark.parametrize(("first", "second"), list(itertools.product([None, *POLICIES], repeat=2)), ids=str)
async def test_further_callees_must_register_with_the_policy_of_the_first(
    first: str | None, second: str | None
) -> None:
    options: list[dict[str, Any]] = [
        {} if policy is None else {"invoke": policy} for policy in (first, second)
    ]
    async with clients(open_app(), SHARED, SHARED) as [one, other]:
        registration_id = await one.register(PROCEDURE, **options[0])
        await other.send(REGISTER, 1, options[1], PROCEDURE)
        if first == second and first not in (None, "single"):
            assert await other.receive() == [REGISTERED, 1, registration_id]
        else:
            await other.expect_error(REGISTER, 1, PROCEDURE_ALREADY_EXISTS)


async def test_another_policy_may_be_used_when_the_last_callee_has_unregistered() -> None:
    async with clients(open_app(), SHARED, SHARED) as [one, other]:
        registration_id = await one.register(PROCEDURE, invoke="first")
        await one.request(UNREGISTER, registration_id)
        await other.register(PROCEDURE, invoke="roundrobin")


@between_workers
@pytest.mark.parametrize("policy", ["", "any", "Single", "round-robin"])
async def test_unknown_policy_is_refused(policy: str) -> None:
    async with clients(open_app(), SHARED) as [client]:
        assert await client.request_error(REGISTER, {"invoke": policy}, PROCEDURE) == INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("policy", "order"),
    [("roundrobin", [0, 1, 2, 0, 1, 2, 0]), ("first", [0] * 4), ("last", [2] * 4)],
)
async def test_callees_are_picked_by_the_policy(policy: str, order: list[int]) -> None:
    async with clients(open_app(), *[SHARED] * 4) as [caller, *callees]:
        for callee in callees:
            await callee.register(PROCEDURE, invoke=policy)
        assert [await answering_callee(caller, callees, n) for n in range(1, len(order) + 1)] == order


async def test_random_eventually_picks_every_callee() -> None:
    async with clients(open_app(), *[SHARED] * 3) as [caller, *callees]:
        for callee in callees:
            await callee.register(PROCEDURE, invoke="random")
        answered = [await answering_callee(caller, callees, n) for n in range(1, 31)]

    assert set(answered) == {0, 1}


@pytest.mark.parametrize(("policy", "leaves", "takes_over"), [("first", 0, 1), ("last", 2, 1)])
async def test_standby_takes_over_when_a_callee_leaves(policy: str, leaves: int, takes_over: int) -> None:
    async with clients(open_app(), *[SHARED] * 4) as [caller, *callees]:
        for callee in callees:
            await callee.register(PROCEDURE, invoke=policy)
        assert await answering_callee(caller, callees, 1) == leaves
        await callees[leaves].disconnect()
        await callees[leaves].wait_served()
        staying = [callee for callee in callees if callee is not callees[leaves]]
        assert staying[await answering_callee(caller, staying, 2)] is callees[takes_over]


async def test_procedure_exists_while_one_callee_is_left() -> None:
    async with clients(open_app(), *[SHARED] * 3) as [caller, one, other]:
        ids = [await callee.register(PROCEDURE, invoke="roundrobin") for callee in (one, other)]
        await one.request(UNREGISTER, ids[0])
        assert await answering_callee(caller, [one, other], 1) == 1
        await other.request(UNREGISTER, ids[1])
        assert await caller.request_error(CALL, {}, PROCEDURE) == NO_SUCH_PROCEDURE
