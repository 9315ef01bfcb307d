"""The event history, over a WebSocket in memory."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from tests.specification import CALL, ERROR, PUBLISH, PUBLISHED, RESULT, SUBSCRIBE
from tests.wamp_client import WAMPClient, connect
from wampasgi import Application, ConfigurationError, Limits, Realm, RPCResult, WAMPError
from wampasgi.errors import UnserializableValue
from wampasgi.protocol.timestamps import nanoseconds
from wampasgi.types import Match

pytestmark = pytest.mark.anyio

GET_EVENTS, LOOKUP = "wamp.subscription.get_events", "wamp.subscription.lookup"


def open_app(**settings: Any) -> Application:
    app = Application(**settings)
    app.allow_all()
    return app


async def lookup(websocket: WAMPClient, topic: str, match: Match = "exact") -> int:
    answer = await websocket.ask(CALL, 901, {}, LOOKUP, [topic, {"match": match}])
    assert answer[0] == RESULT, f"expected RESULT, got {answer}"
    subscription_id: int = answer[3][0]
    return subscription_id


async def get_events(websocket: WAMPClient, subscription_id: int, **filters: Any) -> list[dict[str, Any]]:
    answer = await websocket.ask(CALL, 902, {}, GET_EVENTS, [subscription_id], filters)
    assert answer[0] == RESULT, f"expected RESULT, got {answer}"
    events: list[dict[str, Any]] = answer[3]
    return events


async def server_events(app: Application) -> list[dict[str, Any]]:
    """Return the history of topic t as the server gets it."""
    result = await app.call(GET_EVENTS, await app.call(LOOKUP, "t"))
    assert isinstance(result, RPCResult)
    return list(result.args)


async def refused(websocket: WAMPClient, *args: Any, **filters: Any) -> list[Any]:
    answer = await websocket.ask(CALL, 903, {}, GET_EVENTS, list(args), filters)
    assert answer[0] == ERROR, f"expected ERROR, got {answer}"
    return answer[4:]


async def publish(websocket: WAMPClient, topic: str, *args: Any, **options: Any) -> int:
    answer = await websocket.ask(PUBLISH, 904, {"acknowledge": True, **options}, topic, args)
    assert answer[0] == PUBLISHED, f"expected PUBLISHED, got {answer}"
    publication_id: int = answer[2]
    return publication_id


async def test_client_gets_events_that_were_published_before_it_joined() -> None:
    app = open_app()
    app.keep_history("com.chat.", match="prefix", limit=2)
    await app.publish("com.chat.a", "too old")
    await app.publish("com.chat.b", "hello", mood="fine")

    async with connect(app) as publisher, connect(app) as late:
        welcome = await publisher.join()
        publication_id = await publish(publisher, "com.chat.a", disclose_me=True)
        await late.join()
        subscription_id = await lookup(late, "com.chat.", "prefix")
        first, second = await get_events(late, subscription_id)

    assert set(first) == {"timestamp", "subscription", "publication", "details", "args", "kwargs"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["timestamp"])
    assert nanoseconds(first["timestamp"]) is not None
    assert first["subscription"] == subscription_id
    assert (first["details"], first["args"], first["kwargs"]) == (
        {"topic": "com.chat.b"},
        ["hello"],
        {"mood": "fine"},
    )
    assert second["publication"] == publication_id
    assert second["details"]["publisher_authrole"] == "anonymous"
    assert welcome[2]["roles"]["broker"]["features"]["event_history"] is True


async def test_history_can_be_read_in_pages() -> None:
    app = open_app()
    app.keep_history("t")
    for number in range(5):
        await app.publish("t", number)

    async with connect(app) as websocket:
        await websocket.join()
        subscription_id = await lookup(websocket, "t")
        pages, last, more = [], None, True
        while more:
            filters = {"limit": 2, "after_publication": last}
            answer = await websocket.ask(CALL, 1, {}, GET_EVENTS, [subscription_id], filters)
            pages.append([event["args"][0] for event in answer[3]])
            last, more = answer[3][-1]["publication"], answer[4]["more"]
        newest = await get_events(websocket, subscription_id, limit=1, reverse=True)

    assert pages == [[0, 1], [2, 3], [4]]
    assert newest[0]["args"] == [4]


async def test_history_of_a_subscription_without_one_is_empty() -> None:
    app = open_app()
    app.keep_history("t")

    async with connect(app) as websocket:
        await websocket.join()
        subscription_id = (await websocket.ask(SUBSCRIBE, 1, {}, "other"))[2]
        await app.publish("other", options={"eligible": []})
        assert await get_events(websocket, subscription_id) == []
        assert await get_events(websocket, await lookup(websocket, "t")) == []


async def test_history_of_an_unknown_subscription_is_no_such_subscription() -> None:
    async with connect(open_app()) as websocket:
        await websocket.join()
        assert (await refused(websocket, 12345))[0] == "wamp.error.no_such_subscription"


@pytest.mark.parametrize(
    ("args", "filters", "argument"),
    [
        ([], {}, "subscription"),
        (["1"], {}, "subscription"),
        ([1], {"reverse": 1}, "reverse"),
        ([1], {"limit": 0}, "limit"),
        ([1], {"limit": True}, "limit"),
        ([1], {"limit": "5"}, "limit"),
        ([1], {"from_time": "yesterday"}, "from_time"),
        ([1], {"after_time": 5}, "after_time"),
        ([1], {"before_time": "2026-02-30T00:00:00Z"}, "before_time"),
        ([1], {"until_time": "2026-11-23T10:00:00"}, "until_time"),
        ([1], {"topic": 5}, "topic"),
        ([1], {"topic": "no topic"}, "topic"),
        ([1], {"from_publication": -1}, "from_publication"),
        ([1], {"after_publication": "x"}, "after_publication"),
        ([1], {"before_publication": 0}, "before_publication"),
        ([1], {"until_publication": 1.5}, "until_publication"),
        ([1], {"untill_time": "2026-11-23T10:00:00Z"}, "untill_time"),
    ],
)
async def test_error_names_the_invalid_argument(
    args: list[Any], filters: dict[str, Any], argument: str
) -> None:
    app = open_app()
    app.keep_history("t")

    async with connect(app) as websocket:
        await websocket.join()
        uri, texts, details = await refused(websocket, *args, **filters)

    assert uri == "wamp.error.invalid_argument"
    assert argument in texts[0]
    assert [error["argument"] for error in details["errors"]] == [argument]


async def test_filters_that_are_null_are_ignored() -> None:
    app = open_app()
    app.keep_history("t")
    await app.publish("t", 1)
    names = ["reverse", "limit", "topic", "from_time", "until_publication"]

    async with connect(app) as websocket:
        await websocket.join()
        events = await get_events(websocket, await lookup(websocket, "t"), **dict.fromkeys(names))

    assert [event["args"] for event in events] == [[1]]


# Permissions


async def test_history_requires_permission_to_call_and_to_subscribe() -> None:
    app = Application()
    app.allow("t", "subscribe", role="member")
    app.allow("open", "subscribe")
    app.allow(LOOKUP, "call")
    app.keep_history("t")
    app.keep_history("open")

    async with connect(app) as websocket:
        await websocket.join()
        closed_id, open_id = await lookup(websocket, "t"), await lookup(websocket, "open")
        may_not_call = await refused(websocket, open_id)
    app.allow(GET_EVENTS, "call")
    async with connect(app) as websocket:
        await websocket.join()
        may_not_subscribe = await refused(websocket, closed_id)
        assert await get_events(websocket, open_id) == []

    assert may_not_call[0] == may_not_subscribe[0] == "wamp.error.not_authorized"


async def test_authorizer_decides_whether_the_session_may_subscribe() -> None:
    app = Application()
    app.allow("wamp.subscription.", "call", match="prefix")
    app.keep_history("t.", match="prefix")
    asked = []

    @app.authorizer
    async def may(action: str, uri: str) -> bool:
        asked.append((action, uri))
        return False

    async with connect(app) as websocket:
        await websocket.join()
        answer = await refused(websocket, await lookup(websocket, "t.", "prefix"))

    assert answer[0] == "wamp.error.not_authorized"
    assert asked == [("subscribe", "t.")]


async def test_history_of_a_guarded_topic_is_open_to_its_subscribers_only() -> None:
    app = Application()
    app.allow("wamp.subscription.", "call", match="prefix")
    app.keep_history("t")
    await app.publish("t", "secret")

    @app.topic("t")
    async def gatekeeper() -> AsyncIterator[None]:
        yield

    async with connect(app) as websocket:
        await websocket.join()
        subscription_id = await lookup(websocket, "t")
        before = await refused(websocket, subscription_id)
        await websocket.ask(SUBSCRIBE, 1, {}, "t")
        events = await get_events(websocket, subscription_id)

    assert before[0] == "wamp.error.not_authorized"
    assert events[0]["args"] == ["secret"]


async def test_role_lists_apply_to_the_calling_session_but_not_to_the_server() -> None:
    app = open_app()
    app.keep_history("t")
    await app.publish("t", "for staff", options={"eligible_authrole": ["staff"]})
    await app.publish("t", "for all", options={"exclude_authrole": ["staff"]})
    await app.publish("t", "for one", options={"eligible": [5]})

    async with connect(app) as websocket:
        await websocket.join()
        events = await get_events(websocket, await lookup(websocket, "t"))
    for_server = await server_events(app)

    assert [event["args"] for event in events] == [["for all"]]
    assert [event["args"] for event in for_server] == [["for staff"], ["for all"]]
    with pytest.raises(WAMPError, match="no_such_subscription"):
        await app.call(GET_EVENTS, 12345)


async def test_publisher_finds_its_own_events_in_the_history() -> None:
    app = open_app()
    app.keep_history("t")

    async with connect(app) as websocket:
        await websocket.join()
        publication_id = await publish(websocket, "t", "mine")
        (event,) = await get_events(websocket, await lookup(websocket, "t"))

    assert event["publication"] == publication_id


async def test_event_for_the_server_alone_is_not_in_the_history() -> None:
    app = Application()
    app.keep_history("t")

    @app.subscriber("t")
    async def on_event() -> None: ...

    async with connect(app) as websocket:
        await websocket.join()
        await publish(websocket, "t", "for the server")

    assert await server_events(app) == []


# Storage


async def test_subscription_with_history_outlives_its_subscribers_and_is_shown_by_the_meta_api() -> None:
    app = open_app()
    app.keep_history("t")

    async with connect(app) as websocket:
        await websocket.join()
        subscription_id = await lookup(websocket, "t")
        assert (await websocket.ask(SUBSCRIBE, 1, {}, "t"))[2] == subscription_id
        await websocket.ask(34, 2, subscription_id)
        details = (await websocket.ask(CALL, 3, {}, "wamp.subscription.get", [subscription_id]))[3][0]
        count = (await websocket.ask(CALL, 4, {}, "wamp.subscription.count_subscribers", [subscription_id]))[
            3
        ]

    assert details == {"id": subscription_id, "created": details["created"], "uri": "t", "match": "exact"}
    assert nanoseconds(details["created"]) is not None
    assert count == [0]


async def test_history_holds_events_as_published_and_is_limited_in_bytes() -> None:
    app = open_app(limits=Limits(history_bytes=10_000))
    app.check()
    app.keep_history("t")
    message = {"text": "first"}
    await app.publish("t", "x" * 9_000)
    await app.publish("t", message)
    message["text"] = "changed"
    await app.publish("t", "x" * 20_000)

    (event,) = await server_events(app)

    assert event["args"] == [{"text": "first"}]


async def test_event_that_cannot_be_serialized_is_not_stored() -> None:
    app = open_app()
    app.keep_history("t")
    with pytest.raises(UnserializableValue, match="object"):
        await app.publish("t", object())
    with pytest.raises(UnserializableValue, match="object"):
        await app.publish("other", object(), options={"retain": True})
    await app.publish("t", {UUID(int=1)}, b"\x00")

    assert app.clear_retained("", match="prefix") == 0
    assert [event["args"] for event in await server_events(app)] == [[[str(UUID(int=1))], b"\x00"]]


async def test_encoded_payload_is_stored_unchanged() -> None:
    import ormsgpack

    app = open_app()
    app.keep_history("t")

    async with connect(app, subprotocols=["wamp.2.msgpack"]) as websocket:
        for message in (
            [1, "r", {"roles": {"publisher": {}}}],
            [PUBLISH, 1, {"acknowledge": True, "enc_algo": "x"}, "t", b"\x01"],
        ):
            await websocket.send_frame(ormsgpack.packb(message))
            await websocket.receive_event()

    (event,) = await server_events(app)
    assert (event["payload"], event["details"]) == (b"\x01", {"enc_algo": "x"})
    assert "args" not in event


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"topic": "no topic"}, "not a valid URI"),
        ({"topic": "com..a"}, "not a valid URI"),
        ({"topic": "t", "match": "regex"}, "match is 'regex', it must be one of"),
        ({"topic": "t", "limit": 0}, "limit is 0"),
        ({"topic": "t", "limit": 1.5}, "limit is 1.5"),
        ({"topic": "t", "limit": True}, "limit is True"),
        ({"topic": "kept"}, "called before"),
    ],
)
def test_invalid_history_is_a_configuration_error(arguments: dict[str, Any], reason: str) -> None:
    realm = Realm("r")
    realm.keep_history("kept")
    with pytest.raises(ConfigurationError, match=reason):
        realm.keep_history(**arguments)
