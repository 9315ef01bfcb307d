"""Advanced Profile, "Registration Revocation"."""

from __future__ import annotations

import pytest

from tests.conformance.vocabulary import PROCEDURE
from tests.specification import (
    CALL,
    INVOCATION,
    NO_SUCH_PROCEDURE,
    NO_SUCH_REGISTRATION,
    RESULT,
    UNREGISTER,
    UNREGISTERED,
    YIELD,
)
from tests.wamp_client import BASIC, announcing, clients, open_app

pytestmark = pytest.mark.anyio

REVOCATION = announcing("registration_revocation")


async def test_callee_gets_the_registration_and_the_reason_of_a_revocation() -> None:
    app = open_app()
    async with clients(app, REVOCATION) as [callee]:
        registration_id = await callee.register(PROCEDURE)
        app.revoke_registration(PROCEDURE, reason="moving endpoint to other callee")

        assert await callee.receive() == [
            UNREGISTERED,
            0,
            {"registration": registration_id, "reason": "moving endpoint to other callee"},
        ]


async def test_reason_of_a_revocation_is_optional() -> None:
    app = open_app()
    async with clients(app, REVOCATION) as [callee]:
        registration_id = await callee.register(PROCEDURE)
        app.revoke_registration(PROCEDURE)
        assert await callee.receive() == [UNREGISTERED, 0, {"registration": registration_id}]


@pytest.mark.parametrize("supported", [False, True], ids=["basic", "revocation"])
async def test_unregistered_must_only_be_sent_to_a_callee_that_supports_it(supported: bool) -> None:
    app = open_app()
    async with clients(app, BASIC, REVOCATION if supported else BASIC) as [caller, callee]:
        registration_id = await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {}, PROCEDURE)
        await callee.expect(INVOCATION)
        app.revoke_registration(PROCEDURE)
        if supported:
            await callee.expect(UNREGISTERED)
        await callee.expect_nothing()
        await caller.send(CALL, 2, {}, PROCEDURE)
        await caller.expect_error(CALL, 2, NO_SUCH_PROCEDURE)
        assert await callee.request_error(UNREGISTER, registration_id) == NO_SUCH_REGISTRATION
        # The callee can still answer the call from before.
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 1, {}]
