"""Advanced Profile, "Progressive Call Invocations"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.clients import (
    BASIC_ROLES,
    CALL,
    CANCEL,
    CANCELED,
    ERROR,
    GOODBYE,
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

pytestmark = pytest.mark.anyio

PARTS = roles(
    "progressive_call_invocations", "progressive_call_results", "call_canceling", "shared_registration"
)
MORE = {"progress": True}
FEATURE_NOT_SUPPORTED = "wamp.error.feature_not_supported"


async def test_caller_that_has_not_announced_the_feature_is_aborted() -> None:
    async with joined(open_router(), BASIC_ROLES, PARTS) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await assert_aborted(caller)
        await assert_nothing_came(callee)


async def test_progress_false_needs_no_announcement() -> None:
    async with joined(open_router(), BASIC_ROLES, BASIC_ROLES) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {"progress": False}, PROCEDURE)
        assert (await callee.receive())[3] == {}


@pytest.mark.parametrize(
    "callee_roles",
    [BASIC_ROLES, roles("progressive_call_invocations"), roles("call_canceling")],
    ids=["basic", "without call_canceling", "without progressive_call_invocations"],
)
async def test_callee_that_does_not_support_it_is_feature_not_supported(callee_roles: dict[str, Any]) -> None:
    async with joined(open_router(), PARTS, callee_roles) as [caller, callee]:
        await register(callee)
        answer = await caller.ask(CALL, 1, MORE, PROCEDURE)
        assert_error(answer, CALL, 1, FEATURE_NOT_SUPPORTED)
        # What was on its way already is discarded.
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await assert_nothing_came(caller, callee)


@pytest.mark.parametrize("spelling", ["call_canceling", "call_cancelling"])
async def test_callee_may_spell_call_canceling_as_the_section_on_progressive_calls_does(
    spelling: str,
) -> None:
    callee_roles = roles("progressive_call_invocations", spelling)
    async with joined(open_router(), PARTS, callee_roles) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        assert (await callee.receive())[3] == MORE


async def test_parts_of_a_call_have_one_request_id_on_both_sides() -> None:
    async with joined(open_router(), PARTS, PARTS) as [caller, callee]:
        registration_id = await register(callee)
        await caller.send(CALL, 77245, MORE, PROCEDURE, [50.450001, 30.523333])
        await caller.send(CALL, 77245, MORE, PROCEDURE, [], {"a": 1})
        await caller.send(CALL, 77245, {}, PROCEDURE, ["end"])

        assert await callee.receive() == [INVOCATION, 1, registration_id, MORE, [50.450001, 30.523333]]
        assert await callee.receive() == [INVOCATION, 1, registration_id, MORE, [], {"a": 1}]
        assert await callee.receive() == [INVOCATION, 1, registration_id, {}, ["end"]]
        await callee.send(YIELD, 1, {}, ["done"])
        assert await caller.receive() == [RESULT, 77245, {}, ["done"]]


async def test_last_part_may_say_progress_false() -> None:
    async with joined(open_router(), PARTS, PARTS) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await caller.send(CALL, 1, {"progress": False}, PROCEDURE)
        assert [(await callee.receive())[3] for _ in range(2)] == [MORE, {}]


@asyncio_only
@pytest.mark.parametrize("policy", ["roundrobin", "random", "first", "last"])
async def test_all_parts_go_to_the_callee_that_got_the_first(policy: str) -> None:
    async with joined(open_router(), PARTS, PARTS, PARTS) as [caller, *callees]:
        for callee in callees:
            await register(callee, invoke=policy)
        for request_id in range(1, 5):
            for _ in range(5):
                await caller.send(CALL, request_id, MORE, PROCEDURE)
            await caller.send(CALL, request_id, {}, PROCEDURE)
            await assert_nothing_came(caller)
            assert sorted(callee.arrived() for callee in callees) == [0, 6]
            [busy] = [callee for callee in callees if callee.arrived()]
            invocation_id = {(await busy.receive())[1] for _ in range(6)}
            await busy.send(YIELD, invocation_id.pop(), {})
            assert await caller.receive() == [RESULT, request_id, {}]


async def test_callee_is_interrupted_when_the_caller_leaves_between_the_parts() -> None:
    async with joined(open_router(), PARTS, PARTS) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await callee.receive()
        await caller.ask(GOODBYE, {}, "wamp.close.close_realm")
        assert await callee.receive() == [INTERRUPT, 1, {"mode": "killnowait"}]


async def test_caller_gets_canceled_when_the_callee_leaves_between_the_parts() -> None:
    async with joined(open_router(), PARTS, PARTS) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await callee.receive()
        await callee.disconnect()
        assert_error(await caller.receive(), CALL, 1, CANCELED)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await assert_nothing_came(caller)


async def end_early(callee: WebSocket, how: str) -> None:
    if how == "yield":
        await callee.send(YIELD, 1, {})
    elif how == "error":
        await callee.send(ERROR, INVOCATION, 1, {}, "com.myapp.error")
    else:
        await callee.send(ERROR, INVOCATION, 1, {}, "wamp.error.unavailable")


@pytest.mark.parametrize("how", ["yield", "error", "unavailable"])
@pytest.mark.parametrize("checked", [True, False])
async def test_part_that_comes_after_the_call_was_completed_must_be_discarded(
    how: str, checked: bool
) -> None:
    async with joined(open_router(check_request_ids=checked), PARTS, PARTS) as [caller, callee]:
        await register(callee, request_id=1)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await callee.receive()
        await callee.receive()
        await end_early(callee, how)
        assert (await caller.receive())[0] == {"yield": RESULT}.get(how, ERROR)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        # It is as if they had not been sent: 2 comes next.
        assert_error(await caller.ask(CALL, 2, {}, "nobody"), CALL, 2, "wamp.error.no_such_procedure")
        assert callee.arrived() == 0


async def test_part_that_comes_after_the_call_was_canceled_is_discarded() -> None:
    async with joined(open_router(), PARTS, PARTS) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await callee.receive()
        assert_error(await caller.ask(CANCEL, 1, {"mode": "killnowait"}), CALL, 1, CANCELED)
        assert (await callee.receive())[0] == INTERRUPT
        await caller.send(CALL, 1, {}, PROCEDURE)
        await assert_nothing_came(caller, callee)


# Verification of CALL request IDs


async def test_parts_are_no_new_requests_in_the_sequence_of_ids() -> None:
    async with joined(open_router(check_request_ids=True), PARTS, PARTS) as [caller, callee]:
        await register(callee, "foo", 1)
        await register(callee, "bar", 2)
        await caller.send(CALL, 1, MORE, "foo")
        await caller.send(CALL, 2, {}, "bar")
        await caller.send(CALL, 1, {}, "foo")
        assert [(await callee.receive())[1] for _ in range(3)] == [1, 2, 1]
        await caller.send(CALL, 4, {}, "baz")
        await assert_aborted(caller)


@asyncio_only
@pytest.mark.parametrize(
    "calls",
    [
        [[1, MORE, "foo"], [3, {}, "foo"]],
        [[1, {}, "foo"], [1, {}, "foo"]],
        [[1, MORE, "foo"], [1, {}, "foo"], [1, {}, "foo"]],
        [[1, {}, "foo"], [2, MORE, "foo"], [1, MORE, "foo"]],
        [[2, MORE, "foo"]],
        [[1, {}, "nobody"], [1, {}, "nobody"]],
        [[1, MORE, "foo"], [1, MORE, "bar"]],
        [[1, MORE, "foo"], [1, MORE, "not a uri"]],
    ],
    ids=str,
)
async def test_gap_or_an_id_of_no_progressive_call_is_a_protocol_violation_where_ids_are_checked(
    calls: list[list[Any]],
) -> None:
    async with joined(open_router(check_request_ids=True), PARTS, PARTS) as [caller, callee]:
        await register(callee, "foo", 1)
        for request_id, options, procedure in calls:
            await caller.send(CALL, request_id, options, procedure)
        while (answer := await caller.receive())[0] == ERROR:
            assert answer[2] == 1
        assert answer[2] == "wamp.error.protocol_violation"


# With progressive results, and options


async def test_two_way_stream() -> None:
    async with joined(open_router(), PARTS, PARTS) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 9, {"progress": True, "receive_progress": True}, PROCEDURE)
        assert (await callee.receive())[3] == {"progress": True, "receive_progress": True}
        await callee.send(YIELD, 1, MORE, ["a"])
        assert await caller.receive() == [RESULT, 9, MORE, ["a"]]
        await caller.send(CALL, 9, MORE, PROCEDURE)
        await caller.send(CALL, 9, {}, PROCEDURE)
        assert [(await callee.receive())[3] for _ in range(2)] == [
            {"progress": True, "receive_progress": True},
            {"receive_progress": True},
        ]
        await callee.send(YIELD, 1, MORE, ["b"])
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 9, MORE, ["b"]]
        assert await caller.receive() == [RESULT, 9, {}]


async def test_options_of_further_parts_must_be_ignored() -> None:
    callee_roles = roles(
        "progressive_call_invocations", "progressive_call_results", "call_canceling", "payload_passthru_mode"
    )
    async with joined(open_router(), callee_roles, callee_roles) as [caller, callee]:
        await register(callee, "com.myapp", match="prefix")
        first = {"progress": True, "ppt_scheme": "x_one", "ppt_serializer": "cbor"}
        await caller.send(CALL, 1, first, PROCEDURE)
        changed = {
            "progress": True,
            "ppt_scheme": "x_other",
            "ppt_keyid": "key",
            "disclose_me": True,
            "receive_progress": True,
            "timeout": 1,
        }
        await caller.send(CALL, 1, changed, PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        frozen = {"procedure": PROCEDURE, "ppt_scheme": "x_one", "ppt_serializer": "cbor"}

        assert [(await callee.receive())[3] for _ in range(3)] == [
            {**frozen, **MORE},
            {**frozen, **MORE},
            frozen,
        ]


async def test_procedure_of_the_server_does_not_support_it() -> None:
    app = open_router()

    @app.procedure(PROCEDURE)
    async def work() -> None: ...

    async with joined(app, PARTS) as [caller]:
        assert_error(await caller.ask(CALL, 1, MORE, PROCEDURE), CALL, 1, FEATURE_NOT_SUPPORTED)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await assert_nothing_came(caller)
