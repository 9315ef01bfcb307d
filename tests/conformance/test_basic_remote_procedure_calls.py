"""Basic Profile, "Remote Procedure Calls"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.vocabulary import PROCEDURE, between_workers, pending_call
from tests.specification import (
    ABORT,
    CALL,
    CANCELED,
    ERROR,
    INTERRUPT,
    INVALID_ARGUMENT,
    INVALID_URI,
    INVOCATION,
    NO_SUCH_PROCEDURE,
    NO_SUCH_REGISTRATION,
    NOT_AUTHORIZED,
    PROCEDURE_ALREADY_EXISTS,
    REGISTER,
    RESULT,
    UNREGISTER,
    UNREGISTERED,
    YIELD,
)
from tests.wamp_client import BASIC, WAMPClient, announcing, clients, open_app
from wampasgi import Application

pytestmark = pytest.mark.anyio


# Registering and unregistering


async def test_registered_procedure_cannot_be_registered_again() -> None:
    async with clients(open_app(), BASIC, BASIC) as [one, other]:
        await one.register(PROCEDURE)
        for client in one, other:
            assert await client.request_error(REGISTER, {}, PROCEDURE) == PROCEDURE_ALREADY_EXISTS


async def test_procedure_of_the_server_cannot_be_registered() -> None:
    app = open_app()

    @app.procedure(PROCEDURE)
    async def procedure() -> None: ...

    async with clients(app, BASIC) as [client]:
        assert await client.request_error(REGISTER, {}, PROCEDURE) == PROCEDURE_ALREADY_EXISTS


async def test_registration_that_is_not_allowed_is_answered_with_not_authorized() -> None:
    async with clients(Application(), BASIC) as [client]:
        assert await client.request_error(REGISTER, {}, PROCEDURE) == NOT_AUTHORIZED


async def test_unregistered_procedure_can_be_registered_by_another() -> None:
    async with clients(open_app(), BASIC, BASIC) as [one, other]:
        registration_id = await one.register(PROCEDURE)
        assert await one.ask(UNREGISTER, 788923562, registration_id) == [UNREGISTERED, 788923562]
        assert await other.request_error(CALL, {}, PROCEDURE) == NO_SUCH_PROCEDURE
        await other.register(PROCEDURE)


async def test_unregister_fails_for_an_unknown_registration_or_that_of_another_session() -> None:
    async with clients(open_app(), BASIC, BASIC) as [one, other]:
        registration_id = await one.register(PROCEDURE)
        for unknown in registration_id, registration_id + 1000:
            assert await other.request_error(UNREGISTER, unknown) == NO_SUCH_REGISTRATION
        await one.request(UNREGISTER, registration_id)
        assert await one.request_error(UNREGISTER, registration_id) == NO_SUCH_REGISTRATION


async def test_pending_invocation_can_be_answered_after_unregister() -> None:
    async with clients(open_app(), BASIC, BASIC) as [caller, callee]:
        registration_id = await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await callee.expect(INVOCATION)
        await callee.request(UNREGISTER, registration_id)
        await callee.send(YIELD, 1, {}, ["done"])

        assert await caller.receive() == [RESULT, 1, {}, ["done"]]


async def test_registration_ends_with_its_session() -> None:
    async with clients(open_app(), BASIC, BASIC) as [caller, callee]:
        registration_id = await callee.register(PROCEDURE)
        await callee.leave()
        await callee.join()
        assert await caller.request_error(CALL, {}, PROCEDURE) == NO_SUCH_PROCEDURE
        assert await callee.request_error(UNREGISTER, registration_id) == NO_SUCH_REGISTRATION


# Calling and invocations


@pytest.mark.parametrize(
    "payload",
    [
        [],
        [["Hello, world!"]],
        [[23, 7]],
        [["johnny"], {"firstname": "John", "surname": "Doe"}],
        [[], {"userid": 123, "karma": 10}],
    ],
    ids=str,
)
async def test_call_becomes_an_invocation_and_yield_a_result(payload: list[Any]) -> None:
    async with clients(open_app(), BASIC, BASIC) as [caller, callee]:
        registration_id = await callee.register(PROCEDURE)
        await caller.send(CALL, 7814135, {}, PROCEDURE, *payload)
        assert await callee.receive() == [INVOCATION, 1, registration_id, {}, *payload]
        await callee.send(YIELD, 1, {}, *payload)
        assert await caller.receive() == [RESULT, 7814135, {}, *payload]
        await caller.expect_nothing()
        await callee.expect_nothing()


async def test_invocation_error_becomes_a_call_error() -> None:
    error = ["com.myapp.error.object_write_protected", ["Object is write protected."], {"severity": 3}]
    async with clients(open_app(), BASIC, BASIC) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 7814135, {}, PROCEDURE)
        await callee.expect(INVOCATION)
        await callee.send(ERROR, INVOCATION, 1, {}, *error)
        assert await caller.receive() == [ERROR, CALL, 7814135, {}, *error]


@between_workers
@pytest.mark.parametrize("error", [INVALID_ARGUMENT, NOT_AUTHORIZED, CANCELED, "a"])
async def test_callee_may_answer_with_any_error_uri(error: str) -> None:
    async with pending_call() as [caller, callee]:
        await callee.send(ERROR, INVOCATION, 1, {}, error)
        assert await caller.receive() == [ERROR, CALL, 1, {}, error]


async def test_call_that_fails_at_the_dealer_is_answered_with_error() -> None:
    async with clients(open_app(), BASIC) as [client]:
        assert await client.request_error(CALL, {}, "com.nobody") == NO_SUCH_PROCEDURE
        assert await client.request_error(CALL, {}, "com..nobody") == INVALID_URI


async def test_call_that_is_not_allowed_is_answered_with_not_authorized() -> None:
    app = Application()
    app.allow(PROCEDURE, "register")
    async with clients(app, BASIC, BASIC) as [caller, callee]:
        await callee.register(PROCEDURE)
        assert await caller.request_error(CALL, {}, PROCEDURE) == NOT_AUTHORIZED
        await callee.expect_nothing()


async def test_caller_may_have_several_calls_outstanding() -> None:
    async with clients(open_app(), BASIC, BASIC) as [caller, callee]:
        await callee.register(PROCEDURE)
        for request_id in 1, 2, 3:
            await caller.send(CALL, request_id, {}, PROCEDURE, [request_id])
        invocations = [await callee.expect(INVOCATION) for _ in range(3)]
        for invocation in reversed(invocations):
            await callee.send(YIELD, invocation[1], {}, invocation[4])

        assert [await caller.receive() for _ in range(3)] == [[RESULT, n, {}, [n]] for n in (3, 2, 1)]


async def test_callers_may_use_the_same_request_ids() -> None:
    async with clients(open_app(), BASIC, BASIC, BASIC) as [one, other, callee]:
        await callee.register(PROCEDURE)
        await one.send(CALL, 1, {}, PROCEDURE, ["one"])
        first = await callee.expect(INVOCATION)
        await other.send(CALL, 1, {}, PROCEDURE, ["other"])
        second = await callee.expect(INVOCATION)
        await callee.send(YIELD, second[1], {}, second[4])
        await callee.send(YIELD, first[1], {}, first[4])

        assert await one.receive() == [RESULT, 1, {}, ["one"]]
        assert await other.receive() == [RESULT, 1, {}, ["other"]]


async def test_session_may_call_its_own_procedure() -> None:
    async with clients(open_app(), BASIC) as [client]:
        await client.register(PROCEDURE)
        await client.send(CALL, 2, {}, PROCEDURE)
        await client.answer_invocation(["self"])
        assert await client.receive() == [RESULT, 2, {}, ["self"]]


# Caller leaving


async def leave(client: WAMPClient, how: str) -> None:
    if how == "goodbye":
        await client.leave()
        return
    if how == "disconnect":
        await client.disconnect()
    elif how == "abort":
        await client.send(ABORT, {}, "com.myapp.error")
    else:
        await client.send()
    await client.wait_served()


each_way_to_leave = pytest.mark.parametrize("how", ["goodbye", "disconnect", "violation", "abort"])


@each_way_to_leave
async def test_callee_is_interrupted_when_the_caller_leaves(how: str) -> None:
    async with pending_call(BASIC, announcing("call_canceling")) as [caller, callee]:
        await leave(caller, how)
        assert await callee.receive() == [INTERRUPT, 1, {"mode": "killnowait"}]
        # A response that the callee sends nevertheless is discarded.
        await callee.send(ERROR, INVOCATION, 1, {}, CANCELED)
        await callee.expect_nothing()


@each_way_to_leave
async def test_callee_without_call_canceling_must_not_be_interrupted_when_the_caller_leaves(how: str) -> None:
    async with pending_call() as [caller, callee]:
        await leave(caller, how)
        await callee.expect_nothing()
        await callee.send(YIELD, 1, {}, ["late"])
        await callee.expect_nothing()


async def test_result_for_a_caller_that_has_left_is_not_sent_to_its_next_session() -> None:
    async with pending_call() as [caller, callee]:
        await caller.leave()
        await caller.join()
        await callee.send(YIELD, 1, {}, ["late"])
        await callee.expect_nothing()
        await caller.expect_nothing()


# Callee leaving


@each_way_to_leave
async def test_caller_gets_canceled_when_the_callee_leaves(how: str) -> None:
    async with clients(open_app(), BASIC, BASIC) as [caller, callee]:
        await callee.register(PROCEDURE)
        for request_id in 1, 2:
            await caller.send(CALL, request_id, {}, PROCEDURE)
            await callee.expect(INVOCATION)
        await callee.send(YIELD, 1, {})
        await caller.expect(RESULT)
        await leave(callee, how)

        await caller.expect_error(CALL, 2, CANCELED)
        await caller.expect_nothing()
