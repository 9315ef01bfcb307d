"""Advanced Profile, "Registration Revocation"."""

from __future__ import annotations

import pytest

from tests.conformance.clients import (
    BASIC_ROLES,
    CALL,
    NO_SUCH_PROCEDURE,
    PROCEDURE,
    RESULT,
    UNREGISTER,
    UNREGISTERED,
    YIELD,
    assert_error,
    assert_nothing_came,
    joined,
    open_router,
    register,
    roles,
)

pytestmark = pytest.mark.anyio

REVOCATION = roles("registration_revocation")


async def test_callee_is_told_which_registration_was_revoked_and_why() -> None:
    app = open_router()
    async with joined(app, REVOCATION) as [callee]:
        registration_id = await register(callee)
        app.revoke_registration(PROCEDURE, reason="moving endpoint to other callee")

        assert await callee.receive() == [
            UNREGISTERED,
            0,
            {"registration": registration_id, "reason": "moving endpoint to other callee"},
        ]


async def test_reason_of_a_revocation_is_optional() -> None:
    app = open_router()
    async with joined(app, REVOCATION) as [callee]:
        registration_id = await register(callee)
        app.revoke_registration(PROCEDURE)
        assert await callee.receive() == [UNREGISTERED, 0, {"registration": registration_id}]


@pytest.mark.parametrize("callee_roles", [BASIC_ROLES, REVOCATION], ids=["basic", "revocation"])
async def test_unregistered_must_not_be_sent_to_a_callee_that_does_not_support_it(
    callee_roles: dict[str, object],
) -> None:
    app = open_router()
    async with joined(app, BASIC_ROLES, callee_roles) as [caller, callee]:
        registration_id = await register(callee)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await callee.receive()
        app.revoke_registration(PROCEDURE)
        if callee_roles is REVOCATION:
            assert (await callee.receive())[0] == UNREGISTERED
        await assert_nothing_came(callee)
        assert_error(await caller.ask(CALL, 2, {}, PROCEDURE), CALL, 2, NO_SUCH_PROCEDURE)
        answer = await callee.ask(UNREGISTER, 1, registration_id)
        assert_error(answer, UNREGISTER, 1, "wamp.error.no_such_registration")
        # What was called before is answered.
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 1, {}]
