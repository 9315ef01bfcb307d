"""Topics, their gatekeepers, and events, over a WebSocket in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from pydantic import BaseModel, Field

from tests.specification import (
    CALL,
    ERROR,
    EVENT,
    PUBLISH,
    PUBLISHED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
)
from tests.wamp_client import WAMPClient, connect
from wampasgi import Application, Event, Limits, Realm, Session, SubscribeError, TopicRouteSet
from wampasgi.protocol.ids import MAX_ID

pytestmark = pytest.mark.anyio


async def subscribe(websocket: WAMPClient, topic: str, request_id: int = 1, **options: Any) -> int:
    answer = await websocket.ask(SUBSCRIBE, request_id, options, topic)
    assert answer[0] == SUBSCRIBED, f"expected SUBSCRIBED, got {answer}"
    subscription_id: int = answer[2]
    return subscription_id


# Gatekeepers


async def test_event_that_the_gatekeeper_sends_comes_after_subscribed() -> None:
    app = Application()

    @app.topic("docs.changes")
    async def gatekeeper(session: Session, topic_uri: str) -> AsyncIterator[None]:
        await session.send_event(topic_uri, ("snapshot",), {"rev": 1})
        await anyio.lowlevel.checkpoint()
        await session.send_event(topic_uri, "text is one argument")
        yield

    async with connect(app) as websocket:
        await websocket.join()
        subscription_id = await subscribe(websocket, "docs.changes")
        first, second = await websocket.receive(), await websocket.receive()

    assert first[:2] == [EVENT, subscription_id]
    assert 1 <= first[2] <= MAX_ID
    assert first[3:] == [{}, ["snapshot"], {"rev": 1}]
    assert second[4] == ["text is one argument"]


@pytest.mark.parametrize(
    ("raised", "answer"),
    [
        (SubscribeError("com.app.full", "try later", seats=3), ["com.app.full", ["try later"], {"seats": 3}]),
        (SubscribeError(), ["wamp.error.not_authorized"]),
        (ValueError("internal"), ["wamp.error.runtime_error"]),
    ],
)
@pytest.mark.parametrize("kind", ["generator", "coroutine"])
async def test_gatekeeper_that_raises_refuses_the_subscription(
    raised: Exception, answer: list[Any], kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = Application()
    refusing = True

    if kind == "generator":

        @app.topic("t")
        async def gatekeeper() -> AsyncIterator[None]:
            if refusing:
                raise raised
            yield
    else:

        @app.topic("t")
        async def check() -> None:
            if refusing:
                raise raised

    async with connect(app) as websocket:
        await websocket.join()
        assert await websocket.ask(SUBSCRIBE, 1, {}, "t") == [ERROR, SUBSCRIBE, 1, {}, *answer]
        refusing = False
        await subscribe(websocket, "t")

    assert ("internal" in caplog.text) is isinstance(raised, ValueError)


async def test_gatekeeper_that_returns_before_its_yield_refuses_the_subscription() -> None:
    app = Application()

    @app.topic("t")
    async def gatekeeper(session: Session) -> AsyncIterator[None]:
        if session.authrole == "anonymous":
            return
        yield

    async with connect(app) as websocket:
        await websocket.join()
        assert (await websocket.ask(SUBSCRIBE, 1, {}, "t"))[4] == "wamp.error.runtime_error"


@pytest.mark.parametrize("ending", ["unsubscribe", "goodbye", "disconnect", "abort", "violation"])
async def test_second_part_of_the_gatekeeper_runs_when_the_subscription_ends(ending: str) -> None:
    app = Application()
    ended = anyio.Event()

    @app.topic("t")
    async def gatekeeper() -> AsyncIterator[None]:
        yield
        await anyio.lowlevel.checkpoint()
        ended.set()

    async with connect(app) as websocket:
        await websocket.join()
        subscription_id = await subscribe(websocket, "t")
        if ending == "unsubscribe":
            assert await websocket.ask(UNSUBSCRIBE, 2, subscription_id) == [UNSUBSCRIBED, 2]
        elif ending == "goodbye":
            await websocket.ask(6, {}, "wamp.close.close_realm")
        elif ending == "disconnect":
            await websocket.disconnect()
        elif ending == "abort":
            await websocket.send(3, {}, "com.app.bye")
        else:
            await websocket.send_frame("{")
        with anyio.fail_after(5):
            await ended.wait()


async def test_slow_gatekeeper_delays_nothing_else() -> None:
    app = Application()
    release = anyio.Event()

    @app.topic("slow")
    async def gatekeeper() -> AsyncIterator[None]:
        await release.wait()
        yield

    @app.procedure("release")
    async def let_go() -> None:
        release.set()

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(SUBSCRIBE, 1, {}, "slow")
        answers = [await websocket.ask(CALL, 2, {}, "release"), await websocket.receive()]

    assert sorted(answer[0] for answer in answers) == [SUBSCRIBED, RESULT]


async def test_further_subscriptions_wait_at_the_limit_of_gatekeepers() -> None:
    app = Application(limits=Limits(requests_in_flight=2))
    begun = []
    release = anyio.Event()

    @app.topic("t.", match="prefix")
    async def gatekeeper(topic_uri: str) -> AsyncIterator[None]:
        begun.append(topic_uri)
        await release.wait()
        yield

    async with connect(app) as websocket:
        await websocket.join()
        for number in range(1, 8):
            await websocket.send(SUBSCRIBE, number, {}, f"t.{number}")
        await anyio.wait_all_tasks_blocked()
        at_the_limit = len(begun)
        release.set()
        answers = [await websocket.receive() for _ in range(7)]

    assert at_the_limit == 3
    assert sorted(answer[1] for answer in answers) == list(range(1, 8))


async def test_gatekeeper_in_its_first_part_is_cancelled_when_the_session_ends() -> None:
    app = Application()
    outcome = []

    @app.topic("slow")
    async def gatekeeper() -> AsyncIterator[None]:
        try:
            await anyio.sleep_forever()
        finally:
            outcome.append("given up")
        yield
        outcome.append("second part")

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(SUBSCRIBE, 1, {}, "slow")
        await anyio.wait_all_tasks_blocked()
        await websocket.disconnect()
        await websocket.wait_served()

    assert outcome == ["given up"]


async def test_subscribing_again_answers_the_same_id_and_runs_no_second_gatekeeper() -> None:
    app = Application()
    ran = []
    release = anyio.Event()

    @app.topic("t")
    async def gatekeeper() -> AsyncIterator[None]:
        ran.append(1)
        await release.wait()
        yield

    async with connect(app) as websocket:
        await websocket.join()
        await websocket.send(SUBSCRIBE, 1, {}, "t")
        await websocket.send(SUBSCRIBE, 2, {}, "t")
        await anyio.wait_all_tasks_blocked()
        release.set()
        answers = [await websocket.receive(), await websocket.receive()]
        third = await websocket.ask(SUBSCRIBE, 3, {}, "t")

    assert sorted(answer[1] for answer in answers) == [1, 2]
    assert {answer[2] for answer in [*answers, third]} == {third[2]}
    assert ran == [1]


async def test_topic_routes_are_matched_like_procedure_routes() -> None:
    topics = TopicRouteSet()
    seen = []

    @topics.route("news.local")
    async def exact(topic_uri: str) -> None:
        seen.append(("exact", topic_uri))

    @topics.prefix_route("news.")
    async def prefix(topic_uri: str) -> None:
        seen.append(("prefix", topic_uri))

    @topics.regex_route(r"room\.\d+")
    async def regex(topic_uri: str) -> None:
        seen.append(("regex", topic_uri))

    app = Application()
    app.add_topic_routes(topics)

    async with connect(app) as websocket:
        await websocket.join()
        for topic in "news.local", "news.world", "room.5":
            await subscribe(websocket, topic)
        refused = await websocket.ask(SUBSCRIBE, 9, {}, "room.five")

    assert seen == [("exact", "news.local"), ("prefix", "news.world"), ("regex", "room.5")]
    assert refused[4] == "wamp.error.not_authorized"


async def test_custom_subscription_handler_guards_every_topic() -> None:
    app = Application()

    async def guard(topic_uri: str, session: Session) -> AsyncIterator[None]:
        if topic_uri.startswith("secret."):
            raise SubscribeError("wamp.error.not_authorized")
        yield

    app.set_subscription_handler(guard)

    async with connect(app) as websocket:
        await websocket.join()
        await subscribe(websocket, "open.topic")
        assert (await websocket.ask(SUBSCRIBE, 2, {}, "secret.topic"))[0] == ERROR


# Permissions


async def test_topic_that_is_not_the_realms_own_is_refused_unless_a_rule_allows_it() -> None:
    app = Application()
    app.allow("open.", "subscribe", match="prefix")

    async with connect(app) as websocket:
        await websocket.join()
        refused = await websocket.ask(SUBSCRIBE, 1, {}, "closed.topic")
        await subscribe(websocket, "open.topic")
        await subscribe(websocket, "open.", match="prefix")
        too_wide = await websocket.ask(SUBSCRIBE, 4, {"match": "prefix"}, "o")
        unknown = await websocket.ask(SUBSCRIBE, 5, {"match": "regex"}, "open.topic")

    assert refused[4] == "wamp.error.not_authorized"
    assert too_wide[4] == "wamp.error.not_authorized"
    assert unknown[4] == "wamp.error.invalid_argument"


async def test_session_at_its_limit_of_subscriptions_is_refused_another() -> None:
    app = Application(limits=Limits(subscriptions=2))
    app.allow("t.", "subscribe", match="prefix")

    async with connect(app) as websocket:
        await websocket.join()
        first, second = await subscribe(websocket, "t.1"), await subscribe(websocket, "t.2")
        assert await subscribe(websocket, "t.2") == second
        refused = await websocket.ask(SUBSCRIBE, 3, {}, "t.3")
        await websocket.ask(UNSUBSCRIBE, 4, first)
        await subscribe(websocket, "t.3")

    text = "this session has 2 subscriptions, its limit subscriptions"
    assert refused[4:] == ["wamp.error.unavailable", [text]]


async def test_only_the_roles_of_a_topic_may_subscribe() -> None:
    app = Application()

    @app.topic("staff.news", roles={"staff"})
    async def gatekeeper() -> None: ...

    @app.topic("news", roles="anonymous")
    async def open_gatekeeper() -> None: ...

    async with connect(app) as websocket:
        await websocket.join()
        assert (await websocket.ask(SUBSCRIBE, 1, {}, "staff.news"))[4] == "wamp.error.not_authorized"
        await subscribe(websocket, "news")


async def test_unsubscribing_an_unknown_subscription_is_answered_no_such_subscription() -> None:
    app = Application()
    app.allow("t", "subscribe")

    async with connect(app) as owner, connect(app) as other:
        await owner.join()
        await other.join()
        subscription_id = await subscribe(owner, "t")
        foreign = await other.ask(UNSUBSCRIBE, 1, subscription_id)
        await owner.ask(UNSUBSCRIBE, 2, subscription_id)
        again = await owner.ask(UNSUBSCRIBE, 3, subscription_id)

    for answer in foreign, again:
        assert (answer[:2], answer[4]) == ([ERROR, UNSUBSCRIBE], "wamp.error.no_such_subscription")


# Publishing from the server


async def test_publication_of_the_server_reaches_all_subscribers_until_they_unsubscribe() -> None:
    realm = Realm("r")
    app = Application([realm])
    realm.allow("t", "subscribe")

    async with connect(app) as one, connect(app) as two, connect(app) as elsewhere:
        for websocket, uri in (one, "r"), (two, "r"), (elsewhere, "other"):
            await websocket.join(uri)
        one_id, two_id = await subscribe(one, "t"), await subscribe(two, "t")
        publication_id = await realm.publish("t", 1, rev=2)
        events = [await one.receive(), await two.receive()]
        await two.ask(UNSUBSCRIBE, 2, two_id)
        await realm.publish("t", "second")
        second = await one.receive()

    assert one_id == two_id
    assert events == [[EVENT, one_id, publication_id, {}, [1], {"rev": 2}]] * 2
    assert second[4] == ["second"]


async def test_event_is_sent_in_the_serializer_of_each_subscriber() -> None:
    import ormsgpack

    app = Application()
    app.allow("t", "subscribe")

    async with (
        connect(app) as json_client,
        connect(app, subprotocols=["wamp.2.msgpack"]) as msgpack_client,
    ):
        await json_client.join()
        await subscribe(json_client, "t")
        for message in [1, "r", {"roles": {"subscriber": {}}}], [SUBSCRIBE, 1, {}, "t"]:
            await msgpack_client.send_frame(ormsgpack.packb(message))
            await msgpack_client.receive_event()
        await app.publish("t", b"\x00\xff")
        as_json = await json_client.receive()
        as_msgpack = ormsgpack.unpackb((await msgpack_client.receive_event())["bytes"])

    assert as_json[4] == ["\x00AP8="]
    assert as_msgpack[4] == [b"\x00\xff"]


async def test_event_that_cannot_be_serialized_is_logged_and_dropped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()
    app.allow("t", "subscribe")

    async with connect(app) as websocket:
        await websocket.join()
        await subscribe(websocket, "t")
        await app.publish("t", object())
        await app.publish("t", "fine")
        event = await websocket.receive()

    assert event[4] == ["fine"]
    assert "cannot be serialized" in caplog.text


async def test_publish_options_choose_the_receivers() -> None:
    app = Application()
    app.allow("t", "subscribe")

    async with connect(app) as one, connect(app) as two:
        one_id = (await one.join())[1]
        await two.join()
        for websocket in one, two:
            await subscribe(websocket, "t")
        await app.publish("t", "for one", options={"eligible": [one_id]})
        await app.publish("t", "for two", options={"exclude": [one_id]})

        assert (await one.receive())[4] == ["for one"]
        assert (await two.receive())[4] == ["for two"]


async def test_publishing_to_an_invalid_uri_raises_at_once() -> None:
    with pytest.raises(ValueError, match="not a valid URI"):
        await Application().publish("not a topic")


class Note(BaseModel):
    text: str
    author: str = Field(default="secret", exclude=True)


@pytest.mark.parametrize(
    ("args", "sent"),
    [
        (Note(text="hi"), [{"text": "hi"}]),
        ({"a": 1}, [{"a": 1}]),
        ("text", ["text"]),
        ([Note(text="hi"), 2], [{"text": "hi"}, 2]),
        ((1, [2]), [1, [2]]),
    ],
)
async def test_send_event_takes_a_value_other_than_a_list_or_tuple_as_one_argument(
    args: Any, sent: list[Any]
) -> None:
    app = Application()

    @app.topic("notes")
    async def gatekeeper(session: Session) -> None:
        await session.send_event("notes", args)

    async with connect(app) as websocket:
        await websocket.join()
        await subscribe(websocket, "notes")
        assert (await websocket.receive())[4:] == [sent]


async def test_event_is_not_sent_to_a_session_without_a_subscription() -> None:
    app = Application()
    sent = []

    @app.procedure("send")
    async def send(session: Session) -> None:
        sent.append(await session.send_event("t", ("x",)))

    async with connect(app) as websocket:
        await websocket.join()
        assert await websocket.ask(CALL, 1, {}, "send") == [RESULT, 1, {}]

    assert sent == [False]


# Publishing from clients


async def test_publish_of_a_client_is_refused_by_default() -> None:
    async with connect(Application()) as websocket:
        await websocket.join()
        await websocket.send(PUBLISH, 1, {}, "t")
        answer = await websocket.ask(PUBLISH, 2, {"acknowledge": True}, "t")

    assert answer[:3] == [ERROR, PUBLISH, 2]
    assert answer[4] == "wamp.error.not_authorized"


async def test_publisher_does_not_receive_its_own_event_and_others_do() -> None:
    app = Application()
    app.allow("t", "subscribe", "publish")

    async with connect(app) as publisher, connect(app) as other:
        for websocket in publisher, other:
            await websocket.join()
            await subscribe(websocket, "t")
        answer = await publisher.ask(PUBLISH, 2, {"acknowledge": True}, "t", ["hi"])
        event = await other.receive()
        again = await publisher.ask(PUBLISH, 3, {"acknowledge": True}, "t", ["still no event for me"])

    assert answer[:2] == [PUBLISHED, 2]
    assert event == [EVENT, event[1], answer[2], {}, ["hi"]]
    assert again[0] == PUBLISHED


async def test_disclosure_without_permission_is_refused() -> None:
    app = Application()
    app.allow("t", "subscribe", "publish")
    app.allow("open", "subscribe", "publish", disclose=True)

    async with connect(app) as publisher, connect(app) as other:
        session_id = (await publisher.join())[1]
        await other.join()
        await subscribe(other, "open")
        options = {"acknowledge": True, "disclose_me": True}
        refused = await publisher.ask(PUBLISH, 1, options, "t")
        await publisher.ask(PUBLISH, 2, options, "open")
        event = await other.receive()

    assert refused[4] == "wamp.error.option_disallowed.disclose_me"
    assert event[3]["publisher"] == session_id


async def test_clients_cannot_publish_to_reserved_topics() -> None:
    app = Application()
    app.allow_all()

    async with connect(app) as websocket:
        await websocket.join()
        answer = await websocket.ask(PUBLISH, 1, {"acknowledge": True}, "wamp.session.on_join")

    assert answer[4] == "wamp.error.invalid_uri"


# Payload passthru mode

PASSTHRU = {"features": {"payload_passthru_mode": True}}
PPT = {"ppt_scheme": "wamp", "ppt_serializer": "cbor", "ppt_cipher": "aes256gcm", "ppt_keyid": "k"}


async def test_passthru_publication_without_announcement_must_be_a_protocol_error() -> None:
    app = Application()
    app.allow("t", "subscribe", "publish")

    async with connect(app) as publisher, connect(app) as other:
        await publisher.join()
        await other.join()
        await subscribe(other, "t")
        answer = await publisher.ask(PUBLISH, 1, {**PPT, "acknowledge": True}, "t", ["\x00AQI="])
        await app.publish("t", "later")
        event = await other.receive()

    assert (answer[0], answer[2]) == (3, "wamp.error.protocol_violation")
    assert "payload_passthru_mode" in answer[1]["message"]
    assert event[4] == ["later"]


async def test_passthru_payload_reaches_subscribers_of_every_serializer_untouched() -> None:
    import ormsgpack

    app = Application()
    app.allow("t", "subscribe", "publish")

    # Subscribers that have not announced the mode get the payload, too: the broker does not distinguish them.
    async with (
        connect(app) as publisher,
        connect(app) as json_client,
        connect(app, subprotocols=["wamp.2.msgpack"]) as msgpack_client,
    ):
        welcome = await publisher.join(roles={"publisher": PASSTHRU})
        await json_client.join(roles={"subscriber": {}})
        await subscribe(json_client, "t")
        for message in [1, "default", {"roles": {"subscriber": PASSTHRU}}], [SUBSCRIBE, 1, {}, "t"]:
            await msgpack_client.send_frame(ormsgpack.packb(message))
            await msgpack_client.receive_event()
        await publisher.send(PUBLISH, 1, {**PPT, "exclude_me": False}, "t", ["\x00AQL/"])
        as_json = await json_client.receive()
        as_msgpack = ormsgpack.unpackb((await msgpack_client.receive_event())["bytes"])

    assert welcome[2]["roles"]["broker"]["features"]["payload_passthru_mode"] is True
    assert as_json[3:] == [PPT, ["\x00AQL/"]]
    assert as_msgpack[3:] == [PPT, [b"\x01\x02\xff"]]


async def test_server_publishes_in_passthru_mode() -> None:
    app = Application()
    app.allow("t", "subscribe")

    async with connect(app) as websocket:
        await websocket.join()
        await subscribe(websocket, "t")
        await app.publish("t", b"\x01\x02\xff", options=PPT)
        event = await websocket.receive()

    assert event[3:] == [PPT, ["\x00AQL/"]]


# The server's own subscribers


async def test_subscriber_of_the_server_handles_the_events_of_clients_in_order() -> None:
    app = Application()
    readings: list[Any] = []

    @app.subscriber("sensors.", match="prefix")
    async def on_reading(value: float, event: Event, session: Session, unit: str = "C") -> None:
        await anyio.lowlevel.checkpoint()
        readings.append((event.topic, value, unit, event.publication_id, session.id))

    async with connect(app) as websocket:
        session_id = (await websocket.join())[1]
        await websocket.send(PUBLISH, 1, {}, "sensors.one", [1])
        await websocket.send(PUBLISH, 2, {}, "sensors.two", ["2.5"], {"unit": "K"})
        published = await websocket.ask(PUBLISH, 3, {"acknowledge": True}, "sensors.one", [3])

    assert [reading[:3] for reading in readings] == [
        ("sensors.one", 1, "C"),
        ("sensors.two", 2.5, "K"),
        ("sensors.one", 3, "C"),
    ]
    assert readings[2][3] == published[2]
    assert {reading[4] for reading in readings} == {session_id}


async def test_publication_permitted_only_by_a_server_subscriber_reaches_no_client() -> None:
    app = Application()
    handled = []

    @app.topic("news")
    async def gatekeeper() -> None: ...

    @app.subscriber("news")
    async def on_news(text: str) -> None:
        handled.append(text)

    async with connect(app) as publisher, connect(app) as reader:
        await publisher.join()
        await reader.join()
        await subscribe(reader, "news")
        await publisher.ask(PUBLISH, 1, {"acknowledge": True}, "news", ["fake"])
        await app.publish("news", "true")
        event = await reader.receive()

    assert handled == ["fake", "true"]
    assert event[4] == ["true"]


async def test_only_the_roles_of_a_subscriber_may_publish_to_it() -> None:
    app = Application()
    handled = []

    @app.subscriber("t", roles={"device"})
    async def on_event() -> None:
        handled.append(1)

    async with connect(app) as websocket:
        await websocket.join()
        answer = await websocket.ask(PUBLISH, 1, {"acknowledge": True}, "t")

    assert answer[4] == "wamp.error.not_authorized"
    assert not handled


async def test_published_events_are_handled_even_if_the_publisher_leaves() -> None:
    app = Application()
    handled = []

    @app.subscriber("t")
    async def on_event(number: int) -> None:
        await anyio.lowlevel.checkpoint()
        handled.append(number)

    async with connect(app) as websocket:
        await websocket.join()
        for number in range(5):
            await websocket.send(PUBLISH, number + 1, {}, "t", [number])
        await websocket.send(6, {}, "wamp.close.close_realm")
        await websocket.receive()
        await websocket.disconnect()
        await websocket.wait_served()

    assert handled == list(range(5))


async def test_subscriber_failure_or_invalid_argument_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()
    handled = []

    @app.subscriber("t")
    async def on_event(number: int) -> None:
        handled.append(10 // number)

    async with connect(app) as websocket:
        await websocket.join()
        for request_id, number in enumerate(["no number", 0, 5], start=1):
            await websocket.send(PUBLISH, request_id, {}, "t", [number])
        await websocket.disconnect()
        await websocket.wait_served()

    assert handled == [2]
    assert "does not fit" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def answered_while_events_wait(limits: Limits, text: str) -> int:
    """Publish seven times to a blocked subscriber; return how many are answered before it continues."""
    app = Application(limits=limits)
    release = anyio.Event()
    handled = []

    @app.subscriber("t")
    async def on_event(number: int, text: str) -> None:
        await release.wait()
        handled.append(number)

    async with connect(app) as websocket:
        await websocket.join()
        for number in range(1, 8):
            await websocket.send(PUBLISH, number, {"acknowledge": True}, "t", [number, text])
        await anyio.wait_all_tasks_blocked()
        answered = websocket.arrived()
        release.set()
        answers = [await websocket.receive() for _ in range(7)]
        await websocket.disconnect()
        await websocket.wait_served()

    assert [answer[1] for answer in answers] == list(range(1, 8))
    assert handled == list(range(1, 8))
    return answered


async def test_further_publications_wait_while_too_many_events_wait() -> None:
    # Two events wait, and a third one if the first is being handled already.
    assert await answered_while_events_wait(Limits(events_waiting=2), "short") in (2, 3)


async def test_further_publications_wait_while_waiting_events_exceed_the_byte_limit() -> None:
    # The second event is over the limit, because the one that is being handled counts.
    assert await answered_while_events_wait(Limits(requests_bytes=3000), "x" * 2000) == 2


async def test_wildcard_pattern_with_too_many_components_is_refused() -> None:
    app = Application()
    app.allow_all()
    async with connect(app) as websocket:
        await websocket.join()
        subscribed = await websocket.ask(SUBSCRIBE, 1, {"match": "wildcard"}, "a" + "." * 31)
        refused = await websocket.ask(SUBSCRIBE, 2, {"match": "wildcard"}, "a" + "." * 32)
        as_exact = await websocket.ask(SUBSCRIBE, 3, {}, ".".join("a" * 40))

    assert subscribed[0] == as_exact[0] == SUBSCRIBED
    text = "a wildcard pattern may have at most 32 components, got 33"
    assert refused == [ERROR, SUBSCRIBE, 2, {}, "wamp.error.invalid_uri", [text]]
