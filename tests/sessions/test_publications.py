"""Event handlers must not run in the middle of the publication whose event they get."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.specification import EVENT, PUBLISH, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBED
from tests.wamp_client import clients, connect, trusting_app
from tests.websocket import PATIENCE

pytestmark = pytest.mark.anyio

PUBLISHED = 17


async def test_handler_may_stop_listening_to_the_event_that_it_is_given() -> None:
    app = trusting_app()
    events = app.events("com.", match="prefix")

    @app.subscriber("com.a")
    async def on_event(number: int) -> None:
        events.close()

    async with clients(app, "ann") as [ann], events:
        for _ in range(2):
            assert (await ann.request(PUBLISH, {"acknowledge": True}, "com.a", [1]))[0] == PUBLISHED
        # Both had the first event before the handler ran.
        with anyio.fail_after(PATIENCE):
            assert [event.args async for event in events][:1] == [(1,)]


async def test_subscribers_have_the_event_before_a_handler_of_it_takes_their_subscription_away() -> None:
    app = trusting_app()

    @app.subscriber("com.a")
    async def on_event(number: int) -> None:
        app.revoke_subscription("com.a")

    roles: dict[str, Any] = {"subscriber": {"features": {"subscription_revocation": True}}}
    async with connect(app) as subscriber, clients(app, "ann") as [ann]:
        await subscriber.join(roles=roles)
        assert (await subscriber.ask(SUBSCRIBE, 1, {}, "com.a"))[0] == SUBSCRIBED
        assert (await ann.request(PUBLISH, {"acknowledge": True}, "com.a", [1]))[0] == PUBLISHED

        assert [(await subscriber.receive())[0] for _ in range(2)] == [EVENT, UNSUBSCRIBED]
