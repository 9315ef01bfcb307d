"""Advanced Profile, "Progressive Call Invocations"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.vocabulary import PROCEDURE, between_workers, busy, pending_call
from tests.specification import (
    CALL,
    CANCEL,
    CANCELED,
    ERROR,
    FEATURE_NOT_SUPPORTED,
    INTERRUPT,
    INVOCATION,
    NO_SUCH_PROCEDURE,
    PROTOCOL_VIOLATION,
    RESULT,
    UNAVAILABLE,
    YIELD,
)
from tests.wamp_client import BASIC, announcing, clients, open_app

pytestmark = pytest.mark.anyio

PARTS = announcing(
    "progressive_call_invocations", "progressive_call_results", "call_canceling", "shared_registration"
)
MORE = {"progress": True}


async def test_caller_that_has_not_announced_the_feature_is_aborted() -> None:
    async with clients(open_app(), BASIC, PARTS) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await caller.expect_abort()
        await callee.expect_nothing()


async def test_progress_false_needs_no_announcement() -> None:
    async with clients(open_app(), BASIC, BASIC) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {"progress": False}, PROCEDURE)
        assert (await callee.expect(INVOCATION))[3] == {}


@pytest.mark.parametrize(
    "callee_details",
    [BASIC, announcing("progressive_call_invocations"), announcing("call_canceling")],
    ids=["basic", "without call_canceling", "without progressive_call_invocations"],
)
async def test_call_fails_with_feature_not_supported_if_the_callee_does_not_support_it(
    callee_details: dict[str, Any],
) -> None:
    async with clients(open_app(), PARTS, callee_details) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await caller.expect_error(CALL, 1, FEATURE_NOT_SUPPORTED)
        # Further parts, which may already be on their way, are discarded.
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await caller.expect_nothing()
        await callee.expect_nothing()


@pytest.mark.parametrize("spelling", ["call_canceling", "call_cancelling"])
async def test_callee_may_use_either_spelling_of_call_canceling(spelling: str) -> None:
    callee_details = announcing("progressive_call_invocations", spelling)
    async with clients(open_app(), PARTS, callee_details) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        assert (await callee.expect(INVOCATION))[3] == MORE


async def test_parts_of_a_call_share_one_request_id_on_both_sides() -> None:
    async with clients(open_app(), PARTS, PARTS) as [caller, callee]:
        registration_id = await callee.register(PROCEDURE)
        await caller.send(CALL, 77245, MORE, PROCEDURE, [50.450001, 30.523333])
        await caller.send(CALL, 77245, MORE, PROCEDURE, [], {"a": 1})
        await caller.send(CALL, 77245, {}, PROCEDURE, ["end"])

        assert await callee.receive() == [INVOCATION, 1, registration_id, MORE, [50.450001, 30.523333]]
        assert await callee.receive() == [INVOCATION, 1, registration_id, MORE, [], {"a": 1}]
        assert await callee.receive() == [INVOCATION, 1, registration_id, {}, ["end"]]
        await callee.send(YIELD, 1, {}, ["done"])
        assert await caller.receive() == [RESULT, 77245, {}, ["done"]]


async def test_last_part_may_have_progress_false() -> None:
    async with clients(open_app(), PARTS, PARTS) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await caller.send(CALL, 1, {"progress": False}, PROCEDURE)
        assert [(await callee.expect(INVOCATION))[3] for _ in range(2)] == [MORE, {}]


@between_workers
@pytest.mark.parametrize("policy", ["roundrobin", "random", "first", "last"])
async def test_all_parts_go_to_the_callee_that_got_the_first(policy: str) -> None:
    async with clients(open_app(), PARTS, PARTS, PARTS) as [caller, *callees]:
        for callee in callees:
            await callee.register(PROCEDURE, invoke=policy)
        for request_id in range(1, 5):
            for _ in range(5):
                await caller.send(CALL, request_id, MORE, PROCEDURE)
            await caller.send(CALL, request_id, {}, PROCEDURE)
            await caller.expect_nothing()
            assert sorted([await callee.settled() for callee in callees]) == [0, 6]
            callee = await busy(callees)
            [invocation_id] = {(await callee.expect(INVOCATION))[1] for _ in range(6)}
            await callee.send(YIELD, invocation_id, {})
            assert await caller.receive() == [RESULT, request_id, {}]


async def test_callee_is_interrupted_when_the_caller_leaves_between_parts() -> None:
    async with pending_call(PARTS, PARTS, **MORE) as [caller, callee]:
        await caller.leave()
        assert await callee.receive() == [INTERRUPT, 1, {"mode": "killnowait"}]


async def test_caller_gets_canceled_when_the_callee_leaves_between_parts() -> None:
    async with pending_call(PARTS, PARTS, **MORE) as [caller, callee]:
        await callee.disconnect()
        await caller.expect_error(CALL, 1, CANCELED)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await caller.expect_nothing()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ([YIELD, 1, {}], RESULT),
        ([ERROR, INVOCATION, 1, {}, "com.myapp.error"], ERROR),
        ([ERROR, INVOCATION, 1, {}, UNAVAILABLE], ERROR),
    ],
    ids=["yield", "error", "unavailable"],
)
@pytest.mark.parametrize("checked", [True, False])
async def test_part_that_arrives_after_the_call_has_ended_must_be_discarded(
    answer: list[Any], code: int, checked: bool
) -> None:
    async with clients(open_app(check_request_ids=checked), PARTS, PARTS) as [caller, callee]:
        await callee.register(PROCEDURE)
        for _ in range(2):
            await caller.send(CALL, 1, MORE, PROCEDURE)
            await callee.expect(INVOCATION)
        await callee.send(*answer)
        await caller.expect(code)
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        # The late parts do not affect the sequence of request IDs: 2 comes next.
        await caller.send(CALL, 2, {}, "nobody")
        await caller.expect_error(CALL, 2, NO_SUCH_PROCEDURE)
        assert await callee.settled() == 0


async def test_part_that_arrives_after_the_call_was_canceled_is_discarded() -> None:
    async with pending_call(PARTS, PARTS, **MORE) as [caller, callee]:
        await caller.send(CANCEL, 1, {"mode": "killnowait"})
        await caller.expect_error(CALL, 1, CANCELED)
        await callee.expect(INTERRUPT)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await caller.expect_nothing()
        await callee.expect_nothing()


# Verification of CALL request IDs


async def test_further_parts_do_not_count_in_the_sequence_of_request_ids() -> None:
    async with clients(open_app(check_request_ids=True), PARTS, PARTS) as [caller, callee]:
        await callee.register("foo")
        await callee.register("bar")
        await caller.send(CALL, 1, MORE, "foo")
        await caller.send(CALL, 2, {}, "bar")
        await caller.send(CALL, 1, {}, "foo")
        assert [(await callee.expect(INVOCATION))[1] for _ in range(3)] == [1, 2, 1]
        await caller.send(CALL, 4, {}, "baz")
        await caller.expect_abort()


@between_workers
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
async def test_gap_or_an_id_of_no_progressive_call_is_a_protocol_violation_if_ids_are_checked(
    calls: list[list[Any]],
) -> None:
    async with clients(open_app(check_request_ids=True), PARTS, PARTS) as [caller, callee]:
        await callee.register("foo")
        for request_id, options, procedure in calls:
            await caller.send(CALL, request_id, options, procedure)
        while (answer := await caller.receive())[0] == ERROR:
            assert answer[2] == 1
        assert answer[2] == PROTOCOL_VIOLATION


# With progressive results and options


async def test_call_may_stream_in_both_directions() -> None:
    async with clients(open_app(), PARTS, PARTS) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 9, {"progress": True, "receive_progress": True}, PROCEDURE)
        assert (await callee.expect(INVOCATION))[3] == {"progress": True, "receive_progress": True}
        await callee.send(YIELD, 1, MORE, ["a"])
        assert await caller.receive() == [RESULT, 9, MORE, ["a"]]
        await caller.send(CALL, 9, MORE, PROCEDURE)
        await caller.send(CALL, 9, {}, PROCEDURE)
        assert [(await callee.expect(INVOCATION))[3] for _ in range(2)] == [
            {"progress": True, "receive_progress": True},
            {"receive_progress": True},
        ]
        await callee.send(YIELD, 1, MORE, ["b"])
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 9, MORE, ["b"]]
        assert await caller.receive() == [RESULT, 9, {}]


async def test_options_of_further_parts_must_be_ignored() -> None:
    features = announcing(
        "progressive_call_invocations", "progressive_call_results", "call_canceling", "payload_passthru_mode"
    )
    async with clients(open_app(), features, features) as [caller, callee]:
        await callee.register("com.myapp", match="prefix")
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

        assert [(await callee.expect(INVOCATION))[3] for _ in range(3)] == [
            {**frozen, **MORE},
            {**frozen, **MORE},
            frozen,
        ]


async def test_procedures_of_the_server_do_not_support_it() -> None:
    app = open_app()

    @app.procedure(PROCEDURE)
    async def work() -> None: ...

    async with clients(app, PARTS) as [caller]:
        await caller.send(CALL, 1, MORE, PROCEDURE)
        await caller.expect_error(CALL, 1, FEATURE_NOT_SUPPORTED)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await caller.expect_nothing()
