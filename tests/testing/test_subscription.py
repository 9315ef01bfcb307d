"""Events of the test client's subscriptions."""

from __future__ import annotations

import anyio
import pytest

from tests.testing.apps import WELCOME, Backend, scripted
from wampasgi import Application, WAMPError
from wampasgi.client import InvalidResult
from wampasgi.testing import ExpectationFailed, TestClient, WAMPSession


def test_each_subscription_gets_its_events_in_order(
    app: Application, client: TestClient, session: WAMPSession
) -> None:
    chat, news, all_of_it = (
        session.subscribe("chat"),
        session.subscribe("news"),
        session.subscribe("", match="prefix"),
    )
    with client.wamp_session() as other:
        other.publish("chat", 1)
        other.publish("news", 2)
        other.publish("chat", 3, acknowledge=True)

    assert session.call("math.add", 1) == 1
    assert news.next().args == [2]
    assert [event.args for event in chat] == [[1], [3]]
    # The prefix also matches the router's meta events about these sessions and subscriptions.
    published = [(event.topic, event.args) for event in all_of_it if not event.topic.startswith("wamp.")]
    assert published == [("chat", [1]), ("news", [2]), ("chat", [3])]


def test_iteration_waits_for_events_published_by_a_subscriber(app: Application, client: TestClient) -> None:
    @app.subscriber("readings")
    async def on_reading(value: int) -> None:
        for _ in range(20):
            await anyio.lowlevel.checkpoint()
        await app.publish("alarms", value)

    with client.wamp_session() as session:
        alarms = session.subscribe("alarms")
        session.publish("readings", 99)

        assert [event.args for event in alarms] == [[99]]


def test_assert_none_passes_without_events(session: WAMPSession) -> None:
    events = session.subscribe("chat")
    session.publish("chat", "to others")

    events.assert_none()


def test_assert_none_quotes_an_unexpected_event(session: WAMPSession) -> None:
    events = session.subscribe("chat")
    session.publish("chat", "to me", options={"exclude_me": False})

    with pytest.raises(ExpectationFailed, match=r"no event of 'chat', but got\n  Event\(.*'to me'"):
        events.assert_none()


def test_unsubscribed_session_gets_no_more_events(client: TestClient, session: WAMPSession) -> None:
    events = session.subscribe("chat")
    session.publish("chat", "before", options={"exclude_me": False})
    events.unsubscribe()
    session.publish("chat", "after", options={"exclude_me": False})

    assert [event.args for event in events] == [["before"]]
    with pytest.raises(WAMPError, match=r"wamp.error.no_such_subscription"):
        events.unsubscribe()


def test_refused_subscription_and_publication_raise_the_error(backend: Backend) -> None:
    with TestClient(Application(), backend=backend).wamp_session() as session:
        with pytest.raises(WAMPError, match=r"wamp.error.not_authorized"):
            session.subscribe("secret", options={"get_retained": True})
        with pytest.raises(WAMPError, match=r"wamp.error.not_authorized"):
            session.publish("secret", acknowledge=True)
        assert session.publish("secret") is None


def test_events_can_be_read_after_goodbye(session: WAMPSession) -> None:
    events = session.subscribe("chat")
    session.publish("chat", "last", acknowledge=True, options={"exclude_me": False})
    session.goodbye()

    assert [event.args for event in events] == [["last"]]
    events.assert_none()


def test_event_is_converted(session: WAMPSession) -> None:
    events = session.subscribe("chat", event_type=list[int])
    session.publish("chat", ["1"], options={"exclude_me": False})
    session.publish("chat", ["one"], options={"exclude_me": False})

    event = events.next()
    assert (event.args, event.value, event.publisher) == ([["1"]], [1], None)
    with pytest.raises(InvalidResult, match=r"an event of 'chat' does not fit event_type=list\[int\]"):
        events.next()


def test_leaving_a_subscription_unsubscribes(session: WAMPSession) -> None:
    with session.subscribe("chat") as events:
        session.publish("chat", 1, options={"exclude_me": False})
    session.publish("chat", 2, options={"exclude_me": False})

    assert [event.args for event in events] == [[1]]


def test_subscription_that_the_server_ends_fails_a_wait(backend: Backend) -> None:
    revoked = '[35, 0, {"subscription": 5, "reason": "com.app.private"}]'
    app = scripted(WELCOME, "[33, 1, 5]", "[36, 5, 6, {}, [1]]", revoked, '[6, {}, "a.b"]')
    with TestClient(app, backend=backend).wamp_session() as session, session.subscribe("chat") as events:
        session.publish("news")
        session.publish("news")

        assert events.next().args == [1]
        with pytest.raises(ExpectationFailed, match=r"an event of 'chat' .* but the server ended it"):
            events.next()


def test_second_subscription_to_a_topic_shares_its_events(session: WAMPSession) -> None:
    first, second = session.subscribe("chat"), session.subscribe("chat")
    session.publish("chat", 1, options={"exclude_me": False})
    session.publish("chat", 2, options={"exclude_me": False})

    assert (first.next().args, second.next().args) == ([1], [2])


def test_subscription_that_the_server_ends_concerns_no_other_one() -> None:
    revoked = '[35, 0, {"subscription": 5}]'
    app = scripted(WELCOME, "[33, 1, 5]", "[33, 2, 6]", revoked, "[36, 6, 7, {}, [1]]", '[6, {}, "a.b"]')
    with TestClient(app).wamp_session() as session:
        session.subscribe("chat")
        news = session.subscribe("news")
        session.publish("any")
        session.publish("any")

        assert news.next().args == [1]
