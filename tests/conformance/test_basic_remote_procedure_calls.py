"""Basic Profile, "Remote Procedure Calls"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.clients import (
    CALL,
    CANCELED,
    ERROR,
    GOODBYE,
    INTERRUPT,
    INVALID_URI,
    INVOCATION,
    NO_SUCH_PROCEDURE,
    PROCEDURE,
    REGISTER,
    RESULT,
    UNREGISTER,
    UNREGISTERED,
    YIELD,
    assert_error,
    assert_nothing_came,
    asyncio_only,
    basic_clients,
    joined,
    open_router,
    register,
    roles,
)
from wampasgi import Application

pytestmark = pytest.mark.anyio

NOT_AUTHORIZED = "wamp.error.not_authorized"
NO_SUCH_REGISTRATION = "wamp.error.no_such_registration"
PROCEDURE_ALREADY_EXISTS = "wamp.error.procedure_already_exists"


# Registering and unregistering


async def test_procedure_that_is_registered_cannot_be_registered_again() -> None:
    async with basic_clients(2) as [one, other]:
        await register(one)
        for client in one, other:
            assert_error(await client.ask(REGISTER, 2, {}, PROCEDURE), REGISTER, 2, PROCEDURE_ALREADY_EXISTS)


async def test_procedure_of_the_server_cannot_be_registered() -> None:
    app = open_router()

    @app.procedure(PROCEDURE)
    async def procedure() -> None: ...

    async with basic_clients(1, app) as [client]:
        answer = await client.ask(REGISTER, 1, {}, PROCEDURE)

    assert_error(answer, REGISTER, 1, PROCEDURE_ALREADY_EXISTS)


async def test_registration_that_is_not_allowed_is_answered_with_not_authorized() -> None:
    async with basic_clients(1, Application()) as [client]:
        assert_error(await client.ask(REGISTER, 1, {}, PROCEDURE), REGISTER, 1, NOT_AUTHORIZED)


async def test_unregistered_procedure_can_be_registered_by_another() -> None:
    async with basic_clients(2) as [one, other]:
        registration_id = await register(one)
        assert await one.ask(UNREGISTER, 788923562, registration_id) == [UNREGISTERED, 788923562]
        assert_error(await other.ask(CALL, 1, {}, PROCEDURE), CALL, 1, NO_SUCH_PROCEDURE)
        await register(other)


async def test_unregister_of_an_unknown_or_another_sessions_registration_is_an_error() -> None:
    async with basic_clients(2) as [one, other]:
        registration_id = await register(one)
        for request_id, unknown in enumerate([registration_id, registration_id + 1000], 1):
            answer = await other.ask(UNREGISTER, request_id, unknown)
            assert_error(answer, UNREGISTER, request_id, NO_SUCH_REGISTRATION)
        await one.ask(UNREGISTER, 1, registration_id)
        assert_error(await one.ask(UNREGISTER, 2, registration_id), UNREGISTER, 2, NO_SUCH_REGISTRATION)


async def test_invocation_that_runs_is_answered_after_unregister_too() -> None:
    async with basic_clients(2) as [caller, callee]:
        registration_id = await register(callee)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await callee.receive()
        await callee.ask(UNREGISTER, 2, registration_id)
        await callee.send(YIELD, 1, {}, ["done"])

        assert await caller.receive() == [RESULT, 1, {}, ["done"]]


async def test_registration_ends_with_the_session() -> None:
    async with basic_clients(2) as [caller, callee]:
        registration_id = await register(callee)
        await callee.ask(GOODBYE, {}, "wamp.close.close_realm")
        await callee.join()
        assert_error(await caller.ask(CALL, 1, {}, PROCEDURE), CALL, 1, NO_SUCH_PROCEDURE)
        answer = await callee.ask(UNREGISTER, 1, registration_id)
        assert_error(answer, UNREGISTER, 1, NO_SUCH_REGISTRATION)


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
    async with basic_clients(2) as [caller, callee]:
        registration_id = await register(callee)
        await caller.send(CALL, 7814135, {}, PROCEDURE, *payload)
        assert await callee.receive() == [INVOCATION, 1, registration_id, {}, *payload]
        await callee.send(YIELD, 1, {}, *payload)
        assert await caller.receive() == [RESULT, 7814135, {}, *payload]
        await assert_nothing_came(caller, callee)


async def test_invocation_error_becomes_a_call_error() -> None:
    payload = ["Object is write protected."], {"severity": 3}
    async with basic_clients(2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 7814135, {}, PROCEDURE)
        await callee.receive()
        await callee.send(ERROR, INVOCATION, 1, {}, "com.myapp.error.object_write_protected", *payload)

        assert await caller.receive() == [
            ERROR,
            CALL,
            7814135,
            {},
            "com.myapp.error.object_write_protected",
            *payload,
        ]


@asyncio_only
@pytest.mark.parametrize(
    "error", ["wamp.error.invalid_argument", "wamp.error.not_authorized", "wamp.error.canceled", "a"]
)
async def test_callee_may_answer_with_any_error_uri(error: str) -> None:
    async with basic_clients(2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await callee.receive()
        await callee.send(ERROR, INVOCATION, 1, {}, error)
        assert await caller.receive() == [ERROR, CALL, 1, {}, error]


async def test_call_that_fails_at_the_dealer_is_answered_with_error() -> None:
    async with basic_clients(1) as [client]:
        assert_error(await client.ask(CALL, 1, {}, "com.nobody"), CALL, 1, NO_SUCH_PROCEDURE)
        assert_error(await client.ask(CALL, 2, {}, "com..nobody"), CALL, 2, INVALID_URI)


async def test_call_that_is_not_allowed_is_answered_with_not_authorized() -> None:
    app = Application()
    app.allow(PROCEDURE, "register")
    async with basic_clients(2, app) as [caller, callee]:
        await register(callee)
        assert_error(await caller.ask(CALL, 1, {}, PROCEDURE), CALL, 1, NOT_AUTHORIZED)
        await assert_nothing_came(callee)


async def test_more_than_one_call_may_be_outstanding() -> None:
    async with basic_clients(2) as [caller, callee]:
        await register(callee)
        for request_id in 1, 2, 3:
            await caller.send(CALL, request_id, {}, PROCEDURE, [request_id])
        invocations = [await callee.receive() for _ in range(3)]
        for invocation in reversed(invocations):
            await callee.send(YIELD, invocation[1], {}, invocation[4])

        assert [await caller.receive() for _ in range(3)] == [[RESULT, n, {}, [n]] for n in (3, 2, 1)]


async def test_callers_may_use_the_same_request_ids() -> None:
    async with basic_clients(3) as [one, other, callee]:
        await register(callee)
        await one.send(CALL, 1, {}, PROCEDURE, ["one"])
        first = await callee.receive()
        await other.send(CALL, 1, {}, PROCEDURE, ["other"])
        second = await callee.receive()
        await callee.send(YIELD, second[1], {}, second[4])
        await callee.send(YIELD, first[1], {}, first[4])

        assert await one.receive() == [RESULT, 1, {}, ["one"]]
        assert await other.receive() == [RESULT, 1, {}, ["other"]]


async def test_session_may_call_its_own_procedure() -> None:
    async with basic_clients(1) as [client]:
        await register(client)
        await client.send(CALL, 1, {}, PROCEDURE)
        assert (await client.receive())[0] == INVOCATION
        await client.send(YIELD, 1, {}, ["self"])
        assert await client.receive() == [RESULT, 1, {}, ["self"]]


# Caller leaving


async def leave(client: Any, how: str) -> None:
    if how == "goodbye":
        await client.ask(GOODBYE, {}, "wamp.close.close_realm")
    elif how == "disconnect":
        await client.disconnect()
        await client.wait_served()
    else:
        await client.send(*([] if how == "violation" else [3, {}, "com.myapp.error"]))
        await client.wait_served()


WAYS = pytest.mark.parametrize("how", ["goodbye", "disconnect", "violation", "abort"])


@WAYS
async def test_callee_is_interrupted_when_the_caller_leaves_and_must_not_respond(how: str) -> None:
    async with joined(open_router(), roles(), roles("call_canceling")) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {}, PROCEDURE)
        invocation_id = (await callee.receive())[1]
        await leave(caller, how)
        assert await callee.receive() == [INTERRUPT, invocation_id, {"mode": "killnowait"}]
        # Whatever comes all the same is discarded.
        await callee.send(ERROR, INVOCATION, invocation_id, {}, CANCELED)
        await assert_nothing_came(callee)


@WAYS
async def test_callee_without_call_canceling_must_not_be_interrupted_when_the_caller_leaves(how: str) -> None:
    async with basic_clients(2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {}, PROCEDURE)
        invocation_id = (await callee.receive())[1]
        await leave(caller, how)
        await assert_nothing_came(callee)
        await callee.send(YIELD, invocation_id, {}, ["late"])
        await assert_nothing_came(callee)


async def test_yield_of_a_caller_that_has_left_is_not_sent_to_its_next_session() -> None:
    async with basic_clients(2) as [caller, callee]:
        await register(callee)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await callee.receive()
        await caller.ask(GOODBYE, {}, "wamp.close.close_realm")
        await caller.join()
        await callee.send(YIELD, 1, {}, ["late"])
        await assert_nothing_came(callee, caller)


# Callee leaving


@WAYS
async def test_caller_gets_canceled_when_the_callee_leaves(how: str) -> None:
    async with basic_clients(2) as [caller, callee]:
        await register(callee)
        for request_id in 1, 2:
            await caller.send(CALL, request_id, {}, PROCEDURE)
            await callee.receive()
        await callee.send(YIELD, 1, {})
        assert (await caller.receive())[0] == RESULT
        await leave(callee, how)

        assert_error(await caller.receive(), CALL, 2, CANCELED)
        await assert_nothing_came(caller)
