"""Advanced Profile, "Caller Identification" and "Publisher Identification"."""

from __future__ import annotations

import pytest

from tests.conformance.clients import (
    BASIC_ROLES,
    CALL,
    EVENT,
    INVOCATION,
    PROCEDURE,
    PUBLISH,
    PUBLISHED,
    REGISTER,
    RESULT,
    TOPIC,
    YIELD,
    assert_error,
    assert_nothing_came,
    joined,
    open_router,
    register,
    roles,
    subscribe,
)
from tests.websocket import connect
from wampasgi import Application

pytestmark = pytest.mark.anyio

OPTION_DISALLOWED = "wamp.error.option_disallowed.disclose_me"
FEATURES = roles("caller_identification", "publisher_identification")


def discreet_router() -> Application:
    """A router where everything is allowed but disclosure."""
    app = Application()
    app.allow("com.", "call", "register", "publish", "subscribe", match="prefix")
    return app


async def test_caller_that_asks_for_it_must_be_disclosed_with_its_session_id() -> None:
    app = open_router()
    async with connect(app) as caller, connect(app) as callee:
        _, session_id, details = await caller.join(roles=FEATURES)
        await callee.join(roles=FEATURES)
        registration_id = await register(callee)
        await caller.send(CALL, 1, {"disclose_me": True}, PROCEDURE, ["Hello, world!"])
        assert await callee.receive() == [
            INVOCATION,
            1,
            registration_id,
            {
                "caller": session_id,
                "caller_authid": details["authid"],
                "caller_authrole": details["authrole"],
            },
            ["Hello, world!"],
        ]
        # The next call does not ask.
        await caller.send(CALL, 2, {"disclose_me": False}, PROCEDURE)
        assert (await callee.receive())[3] == {}


async def test_dealer_may_deny_a_callers_request_to_disclose_its_identity() -> None:
    async with joined(discreet_router(), FEATURES, FEATURES) as [caller, callee]:
        await register(callee)
        answer = await caller.ask(CALL, 1, {"disclose_me": True}, PROCEDURE)
        assert_error(answer, CALL, 1, OPTION_DISALLOWED)
        await assert_nothing_came(callee)


async def test_callee_may_request_the_disclosure_of_its_callers() -> None:
    app = open_router()
    async with connect(app) as caller, connect(app) as callee:
        _, session_id, details = await caller.join(roles=BASIC_ROLES)
        await callee.join(roles=FEATURES)
        await register(callee, disclose_caller=True)
        await caller.send(CALL, 1, {}, PROCEDURE)

        assert (await callee.receive())[3] == {
            "caller": session_id,
            "caller_authid": details["authid"],
            "caller_authrole": details["authrole"],
        }


async def test_callee_that_may_not_know_its_callers_cannot_register_so() -> None:
    async with joined(discreet_router(), FEATURES) as [callee]:
        answer = await callee.ask(REGISTER, 1, {"disclose_caller": True}, PROCEDURE)
        assert_error(answer, REGISTER, 1, "wamp.error.option_not_allowed")


async def test_publisher_that_asks_for_it_is_disclosed_with_its_session_id() -> None:
    app = open_router()
    async with connect(app) as publisher, connect(app) as subscriber:
        _, session_id, details = await publisher.join(roles=FEATURES)
        await subscriber.join(roles=BASIC_ROLES)
        subscription_id = await subscribe(subscriber)
        await publisher.send(PUBLISH, 1, {"disclose_me": True}, TOPIC, ["Hello, world!"])
        event = await subscriber.receive()
        assert event[:2] == [EVENT, subscription_id]
        assert event[3:] == [
            {
                "publisher": session_id,
                "publisher_authid": details["authid"],
                "publisher_authrole": details["authrole"],
            },
            ["Hello, world!"],
        ]
        await publisher.send(PUBLISH, 2, {}, TOPIC)
        assert (await subscriber.receive())[3] == {}


async def test_broker_may_deny_a_publishers_request_to_disclose_its_identity() -> None:
    async with joined(discreet_router(), FEATURES, FEATURES) as [publisher, subscriber]:
        await subscribe(subscriber)
        answer = await publisher.ask(PUBLISH, 1, {"disclose_me": True, "acknowledge": True}, TOPIC)
        assert_error(answer, PUBLISH, 1, OPTION_DISALLOWED)
        await publisher.send(PUBLISH, 2, {"disclose_me": True}, TOPIC)
        await assert_nothing_came(publisher, subscriber)
        answer = await publisher.ask(PUBLISH, 3, {"disclose_me": False, "acknowledge": True}, TOPIC)
        assert answer[0] == PUBLISHED


async def test_disclosed_caller_is_named_in_every_part_of_a_progressive_call() -> None:
    features = roles("progressive_call_invocations", "call_canceling", "caller_identification")
    app = open_router()
    async with connect(app) as caller, connect(app) as callee:
        session_id = (await caller.join(roles=features))[1]
        await callee.join(roles=features)
        await register(callee)
        await caller.send(CALL, 1, {"progress": True, "disclose_me": True}, PROCEDURE)
        await caller.send(CALL, 1, {"progress": True}, PROCEDURE)
        await caller.send(CALL, 1, {"disclose_me": False}, PROCEDURE)
        for _ in range(3):
            assert (await callee.receive())[3]["caller"] == session_id
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 1, {}]
