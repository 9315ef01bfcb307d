"""Advanced Profile, "Caller Identification" and "Publisher Identification"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.vocabulary import PROCEDURE, TOPIC
from tests.specification import (
    CALL,
    EVENT,
    INVOCATION,
    OPTION_DISALLOWED_DISCLOSE_ME,
    PUBLISH,
    REGISTER,
    RESULT,
    YIELD,
)
from tests.wamp_client import BASIC, WAMPClient, announcing, clients, open_app
from wampasgi import Application

pytestmark = pytest.mark.anyio

FEATURES = announcing("caller_identification", "publisher_identification")


def discreet_router() -> Application:
    """A router that allows everything but disclosure."""
    app = Application()
    app.allow("com.", "call", "register", "publish", "subscribe", match="prefix")
    return app


def identity_of(client: WAMPClient, role: str) -> dict[str, Any]:
    """Return the details that disclose a client in this role: caller or publisher."""
    return {
        role: client.id,
        f"{role}_authid": client.details["authid"],
        f"{role}_authrole": client.details["authrole"],
    }


async def test_caller_that_requests_disclosure_must_be_disclosed_with_its_session_id() -> None:
    async with clients(open_app(), FEATURES, FEATURES) as [caller, callee]:
        registration_id = await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {"disclose_me": True}, PROCEDURE, ["Hello, world!"])
        assert await callee.receive() == [
            INVOCATION,
            1,
            registration_id,
            identity_of(caller, "caller"),
            ["Hello, world!"],
        ]
        # The next call does not request disclosure.
        await caller.send(CALL, 2, {"disclose_me": False}, PROCEDURE)
        assert (await callee.expect(INVOCATION))[3] == {}


async def test_dealer_may_deny_a_callers_request_to_disclose_its_identity() -> None:
    async with clients(discreet_router(), FEATURES, FEATURES) as [caller, callee]:
        await callee.register(PROCEDURE)
        error = await caller.request_error(CALL, {"disclose_me": True}, PROCEDURE)
        assert error == OPTION_DISALLOWED_DISCLOSE_ME
        await callee.expect_nothing()


async def test_callee_may_request_the_disclosure_of_its_callers() -> None:
    async with clients(open_app(), BASIC, FEATURES) as [caller, callee]:
        await callee.register(PROCEDURE, disclose_caller=True)
        await caller.send(CALL, 1, {}, PROCEDURE)

        assert (await callee.expect(INVOCATION))[3] == identity_of(caller, "caller")


async def test_callee_that_may_not_know_its_callers_cannot_request_their_disclosure() -> None:
    async with clients(discreet_router(), FEATURES) as [callee]:
        error = await callee.request_error(REGISTER, {"disclose_caller": True}, PROCEDURE)
        assert error == "wamp.error.option_not_allowed"


async def test_publisher_that_requests_disclosure_is_disclosed_with_its_session_id() -> None:
    async with clients(open_app(), FEATURES, BASIC) as [publisher, subscriber]:
        subscription_id = await subscriber.subscribe(TOPIC)
        await publisher.send(PUBLISH, 1, {"disclose_me": True}, TOPIC, ["Hello, world!"])
        event = await subscriber.receive()
        assert event[:2] == [EVENT, subscription_id]
        assert event[3:] == [identity_of(publisher, "publisher"), ["Hello, world!"]]
        await publisher.send(PUBLISH, 2, {}, TOPIC)
        assert (await subscriber.expect(EVENT))[3] == {}


async def test_broker_may_deny_a_publishers_request_to_disclose_its_identity() -> None:
    async with clients(discreet_router(), FEATURES, FEATURES) as [publisher, subscriber]:
        await subscriber.subscribe(TOPIC)
        error = await publisher.request_error(PUBLISH, {"disclose_me": True, "acknowledge": True}, TOPIC)
        assert error == OPTION_DISALLOWED_DISCLOSE_ME
        await publisher.send(PUBLISH, 2, {"disclose_me": True}, TOPIC)
        await publisher.expect_nothing()
        await subscriber.expect_nothing()
        await publisher.publish(TOPIC, disclose_me=False)


async def test_every_invocation_of_a_progressive_call_discloses_the_caller() -> None:
    features = announcing("progressive_call_invocations", "call_canceling", "caller_identification")
    async with clients(open_app(), features, features) as [caller, callee]:
        await callee.register(PROCEDURE)
        await caller.send(CALL, 1, {"progress": True, "disclose_me": True}, PROCEDURE)
        await caller.send(CALL, 1, {"progress": True}, PROCEDURE)
        await caller.send(CALL, 1, {"disclose_me": False}, PROCEDURE)
        for _ in range(3):
            assert (await callee.expect(INVOCATION))[3]["caller"] == caller.id
        await callee.send(YIELD, 1, {})
        assert await caller.receive() == [RESULT, 1, {}]
