"""Advanced Profile, "Authorization"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.vocabulary import PROCEDURE, TOPIC, asyncio_only
from tests.specification import CALL, INVOCATION, NOT_AUTHORIZED, PUBLISH, REGISTER, SUBSCRIBE
from tests.wamp_client import BASIC, clients
from wampasgi import Application

pytestmark = pytest.mark.anyio

ACTIONS: dict[str, list[Any]] = {
    "register": [REGISTER, 1, {}, "com.myapp.new"],
    "call": [CALL, 1, {}, PROCEDURE],
    "subscribe": [SUBSCRIBE, 1, {}, TOPIC],
    "publish": [PUBLISH, 1, {"acknowledge": True}, TOPIC],
}


@asyncio_only
@pytest.mark.parametrize("allowed", ACTIONS)
@pytest.mark.parametrize("action", ACTIONS)
async def test_each_action_on_a_uri_is_allowed_or_denied_separately(allowed: str, action: str) -> None:
    app = Application()

    @app.authorizer
    async def may(action: str, uri: str) -> bool:
        return action == allowed or (action == "register" and uri == PROCEDURE)

    async with clients(app, BASIC, BASIC) as [client, callee]:
        await callee.register(PROCEDURE)
        await client.send(*ACTIONS[action])
        if action != allowed:
            await client.expect_error(ACTIONS[action][0], 1, NOT_AUTHORIZED)
            await callee.expect_nothing()
        elif action == "call":
            await callee.expect(INVOCATION)
        else:
            assert (await client.receive())[:2] == [ACTIONS[action][0] + 1, 1]


@asyncio_only
@pytest.mark.parametrize("match", ["prefix", "wildcard"])
async def test_pattern_that_matches_more_than_is_allowed_is_denied(match: str) -> None:
    app = Application()
    app.allow("com.myapp.", "subscribe", "register", match="prefix")
    async with clients(app, BASIC) as [client]:
        pattern = "com." if match == "prefix" else "com..a"
        for code in SUBSCRIBE, REGISTER:
            assert await client.request_error(code, {"match": match}, pattern) == NOT_AUTHORIZED


async def test_subscriber_receives_events_for_a_topic_that_it_was_allowed_to_subscribe_to() -> None:
    app = Application()
    app.allow(TOPIC, "subscribe", "publish")
    async with clients(app, BASIC, BASIC) as [publisher, subscriber]:
        subscription_id = await subscriber.subscribe(TOPIC)
        await publisher.send(PUBLISH, 1, {}, TOPIC)
        assert (await subscriber.receive())[1] == subscription_id
