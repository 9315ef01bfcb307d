"""Retained events, over a WebSocket in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.specification import EVENT, PUBLISH, PUBLISHED, SUBSCRIBE, SUBSCRIBED
from tests.wamp_client import WAMPClient, connect
from wampasgi import Application, Limits, Realm, Session

pytestmark = pytest.mark.anyio

RETAINED = {"retained": True}


def open_app(**settings: Any) -> Application:
    app = Application(**settings)
    app.allow_all()
    return app


async def subscribe(websocket: WAMPClient, topic: str, request_id: int = 1, **options: Any) -> int:
    answer = await websocket.ask(SUBSCRIBE, request_id, options, topic)
    assert answer[0] == SUBSCRIBED, f"expected SUBSCRIBED, got {answer}"
    subscription_id: int = answer[2]
    return subscription_id


async def publish(websocket: WAMPClient, topic: str, *args: Any, request_id: int = 1, **options: Any) -> int:
    answer = await websocket.ask(PUBLISH, request_id, {"acknowledge": True, **options}, topic, args)
    assert answer[0] == PUBLISHED, f"expected PUBLISHED, got {answer}"
    publication_id: int = answer[2]
    return publication_id


async def test_new_subscriber_gets_the_retained_event_after_subscribed_on_request() -> None:
    app = open_app()

    async with connect(app) as publisher, connect(app) as asking, connect(app) as other:
        welcome = await publisher.join()
        publication_id = await publish(publisher, "t", 21, retain=True)
        for websocket in asking, other:
            await websocket.join()
        subscription_id = await subscribe(asking, "t", get_retained=True)
        await subscribe(other, "t")
        await publish(publisher, "t", 22)

        assert await asking.receive() == [EVENT, subscription_id, publication_id, RETAINED, [21]]
        assert (await asking.receive())[3:] == [{}, [22]]
        assert (await other.receive())[3:] == [{}, [22]]

    assert welcome[2]["roles"]["broker"]["features"]["event_retention"] is True


async def test_server_publishes_retained_events_and_clears_them() -> None:
    realm = Realm("r")
    realm.allow("t.", "subscribe", match="prefix")
    app = Application([realm])
    state = {"value": 1}
    await realm.publish("t.state", state, options={"retain": True})
    await realm.publish("t.other", options={"retain": True})
    state["value"] = 2

    async with connect(app) as websocket:
        await websocket.join("r")
        await subscribe(websocket, "t.state", get_retained=True)
        first = await websocket.receive()
        assert realm.clear_retained("t.state") == 1
        assert realm.clear_retained("t.", match="prefix") == 1
        assert realm.clear_retained("t.", match="prefix") == 0
        await subscribe(websocket, "t.", request_id=2, match="prefix", get_retained=True)
        await realm.publish("t.state", "live")
        second = await websocket.receive()

    assert first[3:] == [RETAINED, [{"value": 1}]]
    assert second[4] == ["live"]


async def test_application_clears_the_retained_events_of_its_default_realm() -> None:
    app = open_app()
    await app.publish("t", options={"retain": True})
    assert app.clear_retained("t") == 1


async def test_retained_event_of_a_disclosed_publisher_names_it_after_it_has_left() -> None:
    app = open_app()

    async with connect(app) as publisher, connect(app) as asking:
        session_id = (await publisher.join())[1]
        await publish(publisher, "t", retain=True, disclose_me=True)
        await publisher.disconnect()
        await publisher.wait_served()
        await asking.join()
        await subscribe(asking, "t", get_retained=True)
        event = await asking.receive()

    assert event[3]["publisher"] == session_id
    assert event[3]["publisher_authrole"] == "anonymous"
    assert event[3]["retained"] is True


async def test_lists_and_publisher_exclusion_apply_to_retained_events() -> None:
    app = open_app()

    async with connect(app) as one, connect(app) as two:
        one_id, _ = (await one.join())[1], await two.join()
        await app.publish("t", "for all", options={"retain": True})
        await app.publish("t", "for one", options={"retain": True, "eligible": [one_id]})
        await publish(one, "t", "by one", retain=True)
        for websocket in one, two:
            await subscribe(websocket, "t", 2, get_retained=True)

        assert (await one.receive())[4] == ["for one"]
        assert (await two.receive())[4] == ["by one"]


async def test_pattern_subscription_gets_the_newest_retained_events_in_order() -> None:
    app = open_app(limits=Limits(retained_per_subscribe=2))
    for topic in "t.a", "t.b", "u.a", "t.c":
        await app.publish(topic, topic, options={"retain": True})

    async with connect(app) as websocket:
        await websocket.join()
        await subscribe(websocket, "t.", match="prefix", get_retained=True)
        events = [await websocket.receive(), await websocket.receive()]
        await app.publish("t.d")
        live = await websocket.receive()

    assert [event[3:] for event in events] == [
        [{"topic": "t.b", **RETAINED}, ["t.b"]],
        [{"topic": "t.c", **RETAINED}, ["t.c"]],
    ]
    assert live[3] == {"topic": "t.d"}


async def test_session_is_not_read_before_its_client_has_read_the_requested_retained_events() -> None:
    app = open_app(limits=Limits(outbound_messages=30, close_timeout=0.1))

    async with connect(app) as publisher, connect(app, buffer_size=1) as asking:
        await publisher.join()
        for number in range(20):
            await publish(publisher, f"t.{number}", request_id=number + 1, retain=True)
        await asking.join()
        for request_id in range(1, 6):
            await asking.send(SUBSCRIBE, request_id, {"match": "prefix", "get_retained": True}, "t.")
        await anyio.wait_all_tasks_blocked()
        codes = [(await asking.receive())[0] for _ in range(5 * 21)]

    assert codes == [SUBSCRIBED, *[EVENT] * 20] * 5


async def test_subscribing_again_with_get_retained_sends_the_retained_event_again() -> None:
    app = open_app()
    await app.publish("t", 1, options={"retain": True})

    async with connect(app) as websocket:
        await websocket.join()
        subscription_id = await subscribe(websocket, "t")
        assert await subscribe(websocket, "t", 2, get_retained=True) == subscription_id
        event = await websocket.receive()

    assert event[3:] == [RETAINED, [1]]


async def test_limits_apply_to_retained_events() -> None:
    app = open_app(limits=Limits(retained_events=1))
    app.check()
    await app.publish("t.a", options={"retain": True})
    await app.publish("t.b", options={"retain": True})

    assert app.clear_retained("t.", match="prefix") == 1


async def test_event_for_the_server_alone_is_not_retained() -> None:
    app = Application()
    app.allow("t", "subscribe")

    @app.subscriber("t")
    async def on_event() -> None: ...

    async with connect(app) as websocket:
        await websocket.join()
        await publish(websocket, "t", retain=True)

    assert app.clear_retained("t") == 0


async def test_refused_publication_is_not_retained() -> None:
    app = Application()
    app.allow("t", "subscribe")

    async with connect(app) as websocket:
        await websocket.join()
        answer = await websocket.ask(PUBLISH, 1, {"acknowledge": True, "retain": True}, "t")

    assert answer[4] == "wamp.error.not_authorized"
    assert app.clear_retained("t") == 0


async def test_retained_event_comes_before_events_of_the_gatekeeper() -> None:
    app = Application()

    @app.topic("t")
    async def gatekeeper(session: Session, topic_uri: str) -> AsyncIterator[None]:
        await session.send_event(topic_uri, ["first"])
        await session.send_event(topic_uri, ["second"])
        yield

    await app.publish("t", "retained", options={"retain": True})
    async with connect(app) as websocket:
        await websocket.join()
        await subscribe(websocket, "t", get_retained=True)
        events = [await websocket.receive() for _ in range(3)]

    assert [event[4] for event in events] == [["retained"], ["first"], ["second"]]


async def test_subscription_that_the_gatekeeper_refuses_gets_no_retained_event() -> None:
    app = Application()
    app.allow("open", "subscribe")

    @app.topic("t")
    async def gatekeeper() -> None:
        raise PermissionError

    await app.publish("t", options={"retain": True})
    async with connect(app) as websocket:
        await websocket.join()
        refused = await websocket.ask(SUBSCRIBE, 1, {"get_retained": True}, "t")
        await subscribe(websocket, "open", 2)

    assert refused[4] == "wamp.error.runtime_error"
