"""Revocation of subscriptions by the server, over a WebSocket in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.specification import EVENT, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE, UNSUBSCRIBED
from tests.wamp_client import WAMPClient, connect
from wampasgi import Application, Session

pytestmark = pytest.mark.anyio

REVOCABLE: dict[str, Any] = {"roles": {"subscriber": {"features": {"subscription_revocation": True}}}}
NOT_REVOCABLE: dict[str, Any] = {"roles": {"subscriber": {}}}


async def subscribe(websocket: WAMPClient, topic: str, request_id: int = 1, match: str = "exact") -> int:
    answer = await websocket.ask(SUBSCRIBE, request_id, {"match": match}, topic)
    assert answer[0] == SUBSCRIBED, f"expected SUBSCRIBED, got {answer}"
    subscription_id: int = answer[2]
    return subscription_id


def open_app() -> Application:
    app = Application()
    app.allow_all()
    return app


async def test_revoked_subscription_ends_after_earlier_events_and_can_be_renewed() -> None:
    app = open_app()

    async with connect(app) as websocket:
        welcome = await websocket.join(**REVOCABLE)
        subscription_id = await subscribe(websocket, "t")
        await app.publish("t", "before")
        assert app.revoke_subscription("t", reason="no longer authorized") == 1
        await app.publish("t", "meanwhile")
        messages = [await websocket.receive(), await websocket.receive()]
        await subscribe(websocket, "t", 2)
        await app.publish("t", "after")
        event = await websocket.receive()

    details = {"subscription": subscription_id, "reason": "no longer authorized"}
    assert messages[0][4] == ["before"]
    assert messages[1] == [UNSUBSCRIBED, 0, details]
    assert event[4] == ["after"]
    assert welcome[2]["roles"]["broker"]["features"]["subscription_revocation"] is True


async def test_client_that_did_not_announce_revocation_must_not_be_notified() -> None:
    app = open_app()

    async with connect(app) as aware, connect(app) as unaware:
        await aware.join(**REVOCABLE)
        await unaware.join(**NOT_REVOCABLE)
        for websocket in aware, unaware:
            await subscribe(websocket, "t")
        assert app.revoke_subscription("t") == 2
        assert app.revoke_subscription("t") == 0
        assert (await aware.receive())[:2] == [UNSUBSCRIBED, 0]
        # No message has come before this answer.
        await subscribe(unaware, "other", 2)


async def test_subscription_of_one_session_is_revoked_and_others_keep_theirs() -> None:
    app = open_app()

    async with connect(app) as one, connect(app) as two:
        one_id, _ = (await one.join(**REVOCABLE))[1], await two.join(**REVOCABLE)
        for websocket in one, two:
            await subscribe(websocket, "t.", match="prefix")
        session = app.default_realm.sessions[one_id]
        assert app.revoke_subscription("t", session=session) == 0
        assert app.revoke_subscription("t.", match="prefix", session=session) == 1
        await app.publish("t.x")

        assert (await one.receive())[0] == UNSUBSCRIBED
        assert (await two.receive())[0] == EVENT


def test_session_must_be_given_as_a_session_and_not_as_an_id() -> None:
    app = Application()
    with pytest.raises(TypeError, match=r"revoke_subscription\('news'\): session is 7, it must be a Session"):
        app.revoke_subscription("news", session=7)  # type: ignore[arg-type]


async def test_unsubscribing_a_revoked_subscription_is_no_such_subscription() -> None:
    app = open_app()

    async with connect(app) as websocket:
        await websocket.join(**NOT_REVOCABLE)
        subscription_id = await subscribe(websocket, "t")
        app.revoke_subscription("t")
        answer = await websocket.ask(UNSUBSCRIBE, 2, subscription_id)

    assert answer[4] == "wamp.error.no_such_subscription"


async def test_revocation_causes_a_meta_event() -> None:
    app = open_app()

    async with connect(app) as websocket, connect(app) as observer:
        session_id = (await websocket.join(**NOT_REVOCABLE))[1]
        await observer.join()
        subscription_id = await subscribe(websocket, "t")
        await subscribe(observer, "wamp.subscription.on_unsubscribe")
        app.revoke_subscription("t")
        event = await observer.receive()

    assert event[4] == [session_id, subscription_id]


async def test_second_part_of_the_gatekeeper_runs_for_a_revoked_subscription() -> None:
    app = Application()
    parts: list[str] = []
    ended = anyio.Event()

    @app.topic("t")
    async def gatekeeper() -> AsyncIterator[None]:
        parts.append("first")
        yield
        parts.append("second")
        ended.set()

    async with connect(app) as websocket:
        await websocket.join(**REVOCABLE)
        await subscribe(websocket, "t")
        app.revoke_subscription("t")
        with anyio.fail_after(5):
            await ended.wait()
        assert (await websocket.receive())[:2] == [UNSUBSCRIBED, 0]
        await subscribe(websocket, "t", 2)

    assert parts[:3] == ["first", "second", "first"]


async def test_session_that_is_ending_has_no_subscription_to_revoke() -> None:
    app = Application()
    release, ending, finish = anyio.Event(), anyio.Event(), anyio.Event()

    @app.topic("t")
    async def gatekeeper() -> AsyncIterator[None]:
        await release.wait()
        yield

    async def lifespan(session: Session) -> AsyncIterator[None]:
        yield
        ending.set()
        await finish.wait()

    app.add_session_lifespan_handler(lifespan)
    async with connect(app) as websocket:
        session_id = (await websocket.join(**REVOCABLE))[1]
        await websocket.send(SUBSCRIBE, 1, {}, "t")
        await anyio.wait_all_tasks_blocked()
        await app.default_realm.sessions[session_id].close()
        release.set()
        await anyio.wait_all_tasks_blocked()
        await websocket.disconnect()
        with anyio.fail_after(5):
            await ending.wait()
        assert app.revoke_subscription("t") == 0
        finish.set()
