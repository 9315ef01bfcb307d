"""Advanced Profile, "Authorization"."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.clients import (
    CALL,
    INVOCATION,
    PROCEDURE,
    PUBLISH,
    REGISTER,
    SUBSCRIBE,
    TOPIC,
    assert_error,
    assert_nothing_came,
    asyncio_only,
    basic_clients,
    register,
    subscribe,
)
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
async def test_each_action_on_a_uri_is_allowed_or_denied_by_itself(allowed: str, action: str) -> None:
    app = Application()

    @app.authorizer
    async def may(action: str, uri: str) -> bool:
        return action == allowed or (action == "register" and uri == PROCEDURE)

    async with basic_clients(2, app) as [client, callee]:
        await register(callee)
        await client.send(*ACTIONS[action])
        if action != allowed:
            answer = await client.receive()
            assert_error(answer, ACTIONS[action][0], 1, "wamp.error.not_authorized")
            await assert_nothing_came(callee)
        elif action == "call":
            assert (await callee.receive())[0] == INVOCATION
        else:
            assert (await client.receive())[:2] == [ACTIONS[action][0] + 1, 1]


@asyncio_only
@pytest.mark.parametrize("match", ["prefix", "wildcard"])
async def test_pattern_that_matches_more_than_is_allowed_is_denied(match: str) -> None:
    app = Application()
    app.allow("com.myapp.", "subscribe", "register", match="prefix")
    async with basic_clients(1, app) as [client]:
        pattern = "com." if match == "prefix" else "com..a"
        for code in SUBSCRIBE, REGISTER:
            answer = await client.ask(code, 1, {"match": match}, pattern)
            assert_error(answer, code, 1, "wamp.error.not_authorized")


async def test_subscriber_keeps_receiving_what_it_was_allowed_to() -> None:
    app = Application()
    app.allow(TOPIC, "subscribe", "publish")
    async with basic_clients(2, app) as [publisher, subscriber]:
        subscription_id = await subscribe(subscriber)
        await publisher.send(PUBLISH, 1, {}, TOPIC)
        assert (await subscriber.receive())[1] == subscription_id
