"""Events inside the process: `realm.subscribe` and `realm.events`."""

from __future__ import annotations

import math
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
import ormsgpack
import pytest

from tests.specification import PUBLISH, SUBSCRIBE
from tests.wamp_client import WAMPClient, connect
from tests.websocket import PATIENCE
from wampasgi import (
    Application,
    ConfigurationError,
    Depends,
    Event,
    Events,
    Limits,
    Realm,
    Session,
    TrioAsyncSupport,
)
from wampasgi.protocol.ids import SequentialIds
from wampasgi.router.broker import Broker
from wampasgi.sessions.listening import ServerSubscriptions

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def joined(app: Application, realm: str = "default") -> AsyncIterator[WAMPClient]:
    async with connect(app) as websocket:
        await websocket.join(realm)
        yield websocket


async def publish(websocket: WAMPClient, request_id: int, topic: str, *args: Any, **options: Any) -> int:
    answer = await websocket.ask(PUBLISH, request_id, {"acknowledge": True, **options}, topic, list(args))
    assert answer[0] == 17, answer
    publication_id: int = answer[2]
    return publication_id


async def take(events: Events, count: int) -> list[Event]:
    with anyio.fail_after(PATIENCE):
        return [await anext(events) for _ in range(count)]


def payloads(events: Sequence[Event]) -> list[Any]:
    return [event.args[0] for event in events]


class Handled:
    """Records what a handler receives, and waits for it."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._changed = anyio.Event()

    def add(self, value: Any) -> None:
        self.values.append(value)
        self._changed.set()
        self._changed = anyio.Event()

    async def until(self, count: int) -> list[Any]:
        with anyio.fail_after(PATIENCE):
            while len(self.values) < count:
                await self._changed.wait()
        return self.values


# Events


async def test_retained_events_come_first_on_request() -> None:
    app = Application()
    app.allow_all()
    async with joined(app) as websocket:
        await publish(websocket, 1, "sensors.attic", 20, retain=True)
        await publish(websocket, 2, "sensors.cellar", 12, retain=True)
        await publish(websocket, 3, "sensors.attic", 21, retain=True)
        async with (
            app.events("sensors.", match="prefix", get_retained=True) as both,
            app.events("sensors.attic", get_retained=True) as attic,
            app.events("sensors.", match="prefix", buffer=1, get_retained=True) as newest,
            app.events("sensors.attic") as live,
        ):
            await publish(websocket, 4, "sensors.attic", 22)
            kept = await take(both, 3)
            assert [(event.topic, event.args, event.details.get("retained")) for event in kept] == [
                ("sensors.cellar", (12,), True),
                ("sensors.attic", (21,), True),
                ("sensors.attic", (22,), None),
            ]
            assert payloads(await take(attic, 2)) == [21, 22]
            assert payloads(await take(live, 1)) == [22]
            # The buffer has room for one event, which was not read before the next arrived.
            assert (payloads(await take(newest, 1)), newest.dropped) == ([22], 1)


async def test_server_does_not_get_a_retained_event_for_certain_clients() -> None:
    app = Application()
    app.allow_all()
    async with joined(app) as websocket:
        await publish(websocket, 1, "sensors.attic", 20, retain=True)
        await publish(websocket, 2, "sensors.attic", 21, retain=True, eligible_authrole=["anonymous"])
        async with app.events("sensors.attic", get_retained=True) as events:
            await publish(websocket, 3, "sensors.attic", 22)
            assert payloads(await take(events, 2)) == [20, 22]


async def test_handler_gets_retained_events_before_new_ones() -> None:
    app = Application()
    handled = Handled()
    await app.publish("sensors.attic", 21, options={"retain": True})

    async def on_reading(value: int, event: Event) -> None:
        handled.add((event.topic, value))

    async with app.subscribe("sensors.attic", on_reading, get_retained=True):
        await app.publish("sensors.attic", 22)
        await handled.until(2)

    assert handled.values == [("sensors.attic", 21), ("sensors.attic", 22)]


async def test_events_of_server_and_clients_arrive_in_order() -> None:
    app = Application()
    app.allow("sensors.", "publish", match="prefix")

    async with joined(app) as websocket, app.events("sensors.", match="prefix") as events:
        by_server = await app.publish("sensors.attic", 21.5, unit="C")
        by_client = await publish(websocket, 1, "sensors.cellar", 12)
        first, second = await take(events, 2)

    assert first == Event("sensors.attic", (21.5,), {"unit": "C"}, by_server, {"topic": "sensors.attic"})
    assert second == Event("sensors.cellar", (12,), {}, by_client, {"topic": "sensors.cellar"})


async def test_events_of_an_exact_topic_have_the_topic() -> None:
    app = Application()

    async with app.events("news") as events:
        publication_id = await app.publish("news", "rain")
        [event] = await take(events, 1)

    assert event == Event("news", ("rain",), {}, publication_id)


async def test_publication_permitted_only_by_a_server_subscriber_reaches_the_server_alone() -> None:
    app = Application()
    app.allow("t", "subscribe")
    handled = Handled()

    @app.subscriber("t")
    async def on_event(number: int) -> None:
        handled.add(number)

    async with joined(app) as publisher, joined(app) as reader, app.events("t") as events:
        await reader.ask(SUBSCRIBE, 1, {}, "t")
        await publish(publisher, 1, "t", 7)
        [event] = await take(events, 1)
        assert await handled.until(1) == [7]
        await app.publish("t", "for all")
        assert (await reader.receive())[4] == ["for all"]

    assert event.args == (7,)


async def test_listening_permits_no_client_to_publish() -> None:
    app = Application()

    async def on_event() -> None: ...

    async with joined(app) as websocket, app.events("t"), app.subscribe("t", on_event):
        answer = await websocket.ask(PUBLISH, 1, {"acknowledge": True}, "t")

    assert answer[4] == "wamp.error.not_authorized"


async def test_each_listener_gets_each_event_and_cannot_alter_it_for_others() -> None:
    app = Application()
    app.allow("t", "subscribe")

    async with joined(app) as reader, app.events("t") as first, app.events("t", match="prefix") as second:
        await reader.ask(SUBSCRIBE, 1, {}, "t")
        async with app.events("t") as third:
            await app.publish("t", "one", rev=1)
            for events in first, second, third:
                [event] = await take(events, 1)
                assert (event.args, event.kwargs) == (("one",), {"rev": 1})
        await app.publish("t", "two")
        assert payloads(await take(first, 1)) == ["two"]
        assert [(await reader.receive())[4] for _ in range(2)] == [["one"], ["two"]]


async def test_server_is_one_subscriber_of_the_broker_for_all_listeners() -> None:
    broker = Broker(
        next_subscription_id=SequentialIds().for_entry, random_publication_id=lambda: 1, sessions={}
    )
    changes: list[int] = []
    local = ServerSubscriptions(7, broker, changed=lambda: changes.append(len(broker.subscriptions)))

    def listen(topic: str = "t") -> Events:
        return Events(local, topic, "exact", buffer=1, when_full="drop_oldest")

    def subscribers() -> dict[str, list[int]]:
        return {found.topic: list(found.subscribers) for found in broker.subscriptions.values()}

    async with listen():
        async with listen(), listen("u"):
            assert subscribers() == {"t": [7], "u": [7]}
        assert subscribers() == {"t": [7]}
    assert subscribers() == {}
    assert changes == [1, 1, 2, 1, 0]


async def test_server_stays_subscribed_to_the_topics_of_its_handlers() -> None:
    broker = Broker(
        next_subscription_id=SequentialIds().for_entry, random_publication_id=lambda: 1, sessions={}
    )
    local = ServerSubscriptions(7, broker, changed=lambda: None)
    local.keep("t", "exact")

    async with Events(local, "t", "exact", buffer=1, when_full="drop_oldest"):
        pass

    [subscription] = broker.subscriptions.values()
    assert list(subscription.subscribers) == [7]
    assert local.handled(subscription.subscription_id) is subscription


async def test_white_and_blacklists_apply_to_the_server() -> None:
    app = Application()
    app.allow("t", "publish")

    async with joined(app) as websocket, app.events("t") as events:
        await publish(websocket, 1, "t", "listed others", eligible=[1])
        await publish(websocket, 2, "t", "listed a role", eligible_authrole=["anonymous"])
        await publish(websocket, 3, "t", "others shut out", exclude=[1], exclude_authrole=["anonymous"])
        await app.publish("t", "last")
        assert payloads(await take(events, 2)) == ["others shut out", "last"]


async def test_disclosed_publisher_is_in_the_details() -> None:
    app = Application()
    app.allow("t", "publish", disclose=True)

    async with connect(app) as websocket, app.events("t") as events:
        session_id = (await websocket.join())[1]
        await publish(websocket, 1, "t", "hi", disclose_me=True)
        [event] = await take(events, 1)

    assert event.details["publisher"] == session_id


async def test_events_published_before_or_after_are_not_received() -> None:
    app = Application()
    await app.publish("t", "before")

    async with app.events("t") as events:
        await app.publish("t", "meanwhile")
        events.close()
        events.close()
        await app.publish("t", "after")
        with anyio.fail_after(PATIENCE):
            assert payloads([event async for event in events]) == ["meanwhile"]

    assert [event async for event in events] == []


async def test_closing_ends_a_waiting_iteration() -> None:
    app = Application()

    async with app.events("t") as events, anyio.create_task_group() as tasks:

        async def read() -> None:
            assert [event async for event in events] == []

        tasks.start_soon(read)
        await anyio.wait_all_tasks_blocked()
        events.close()


@pytest.mark.parametrize(
    ("when_full", "kept", "dropped"), [("drop_oldest", [2, 3], 2), ("drop_newest", [0, 1], 2)]
)
async def test_full_buffer_drops_the_configured_events_and_counts_them(
    when_full: Any, kept: list[int], dropped: int, caplog: pytest.LogCaptureFixture
) -> None:
    app = Application()

    async with app.events("t", buffer=2, when_full=when_full) as events:
        for number in range(4):
            await app.publish("t", number)
        assert events.dropped == dropped
        assert payloads(await take(events, 2)) == kept
        await app.publish("t", "room again")
        assert payloads(await take(events, 1)) == ["room again"]
        for number in range(3):
            await app.publish("t", number)
        assert events.dropped == dropped + 1

    # Logged once each time that the buffer becomes full.
    assert caplog.text.count("read too slowly") == 2


async def test_slightly_slow_reader_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    app = Application()

    async with app.events("t", buffer=4) as events:
        for number in range(20):
            await app.publish("t", number)
            if number % 2:
                await take(events, 1)
        assert events.dropped > 2

    assert caplog.text.count("read too slowly") == 1


@pytest.mark.parametrize(
    ("topic", "options", "complaint"),
    [
        ("t", {"match": "regex"}, "match is 'regex'"),
        ("no topic", {}, "not a valid URI"),
        ("t", {"buffer": 0}, "buffer is 0"),
        ("t", {"buffer": math.inf}, "buffer is inf"),
        ("t", {"when_full": "block"}, "when_full is 'block'"),
    ],
)
async def test_invalid_arguments_of_events_are_a_configuration_error(
    topic: str, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        Application().events(topic, **options)


async def test_events_must_be_entered_once_before_they_are_read() -> None:
    events = Application().events("t")
    with pytest.raises(RuntimeError, match="was not entered"):
        await anext(events)
    async with events:
        pass
    with pytest.raises(RuntimeError, match="entered before"):
        async with events:
            pass


async def test_listener_gets_meta_events() -> None:
    app = Application()

    async with app.events("wamp.session.", match="prefix") as events:
        async with connect(app) as websocket:
            session_id = (await websocket.join())[1]
        joined, left = await take(events, 2)

    assert joined.topic == "wamp.session.on_join"
    assert joined.args[0]["session"] == session_id
    assert (left.topic, left.args[0]) == ("wamp.session.on_leave", session_id)


async def test_listening_is_a_subscription_in_the_meta_api() -> None:
    app = Application()
    app.allow("wamp.", "call", "subscribe", match="prefix")

    async with joined(app) as websocket:
        await websocket.ask(SUBSCRIBE, 1, {"match": "prefix"}, "wamp.subscription.")
        async with app.events("t"), app.events("t"):
            created, subscribed = [await websocket.receive() for _ in range(2)]
            subscription_id = created[4][1]["id"]
            count = await websocket.ask(48, 2, {}, "wamp.subscription.count_subscribers", [subscription_id])
        ended = [await websocket.receive() for _ in range(2)]

    server_id = created[4][0]
    assert created[3]["topic"] == "wamp.subscription.on_create"
    assert subscribed[3:] == [{"topic": "wamp.subscription.on_subscribe"}, [server_id, subscription_id]]
    assert count[3] == [1]
    assert [event[3]["topic"] for event in ended] == [
        "wamp.subscription.on_unsubscribe",
        "wamp.subscription.on_delete",
    ]


async def test_revoking_a_subscription_does_not_affect_the_server() -> None:
    app = Application()
    app.allow("t", "subscribe")

    async with joined(app) as websocket, app.events("t") as events:
        await websocket.ask(SUBSCRIBE, 1, {}, "t")
        assert app.revoke_subscription("t") == 1
        await app.publish("t", "still here")
        assert payloads(await take(events, 1)) == ["still here"]
        assert app.revoke_subscription("t") == 0


async def test_event_for_the_server_alone_is_not_stored_for_clients() -> None:
    app = Application()
    app.allow("t", "subscribe")
    app.keep_history("t")
    app.allow("wamp.subscription.get_events", "call")

    @app.subscriber("t")
    async def on_event() -> None: ...

    async with joined(app) as publisher, joined(app) as reader, app.events("t") as events:
        await publish(publisher, 1, "t", retain=True)
        await take(events, 1)
        subscribed = await reader.ask(SUBSCRIBE, 1, {"get_retained": True}, "t")
        past = await reader.ask(48, 2, {}, "wamp.subscription.get_events", [subscribed[2]])

    assert (past[0], past[3]) == (50, [])


async def test_encoded_payload_is_passed_as_one_argument() -> None:
    app = Application()
    app.allow("t", "publish")

    async with connect(app, subprotocols=["wamp.2.msgpack"]) as websocket, app.events("t") as events:
        for message in (
            [1, "default", {"roles": {"publisher": {}}}],
            [PUBLISH, 1, {"enc_algo": "own", "acknowledge": True}, "t", b"\x00\x01"],
        ):
            await websocket.send_frame(ormsgpack.packb(message))
            await websocket.receive_event()
        [event] = await take(events, 1)

    assert (event.args, event.kwargs, event.details) == ((b"\x00\x01",), {}, {"enc_algo": "own"})


# Handlers


async def test_handler_gets_typed_and_injected_arguments() -> None:
    app = Application()
    app.set_default_arg("db", "the database")
    handled = Handled()

    async def unit(event: Event) -> str:
        return str(event.kwargs.get("unit", "C"))

    async def on_reading(
        value: float, event: Event, session: Session, realm: Realm, db: str, given: str = Depends(unit)
    ) -> None:
        handled.add((value, event.topic, given, db, realm is app.default_realm, session.is_open))

    async with app.subscribe("sensors.", on_reading, match="prefix") as subscription:
        assert (subscription.topic, subscription.match) == ("sensors.", "prefix")
        await app.publish("sensors.attic", "21.5")
        assert await handled.until(1) == [(21.5, "sensors.attic", "C", "the database", True, False)]


async def test_sync_handler_runs_in_a_thread() -> None:
    app = Application()
    seen: list[int] = []

    def on_event(number: int) -> None:
        assert threading.current_thread() is not threading.main_thread()
        seen.append(number)

    async with app.subscribe("t", on_event):
        await app.publish("t", 1)

    assert seen == [1]


async def test_handler_gets_one_event_at_a_time_and_publishers_do_not_wait() -> None:
    app = Application()
    go_on = anyio.Event()
    handled = Handled()

    async def on_event(number: int) -> None:
        handled.add(("begins", number))
        await go_on.wait()
        handled.add(("ends", number))

    async with app.subscribe("t", on_event):
        for number in range(3):
            await app.publish("t", number)
        await anyio.wait_all_tasks_blocked()
        assert handled.values == [("begins", 0)]
        go_on.set()

    assert handled.values == [(step, number) for number in range(3) for step in ("begins", "ends")]


async def test_handler_failure_or_invalid_argument_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()
    handled: list[int] = []

    async def on_event(number: int) -> None:
        handled.append(10 // number)

    async with app.subscribe("t", on_event):
        publications = [await app.publish("t", number) for number in ("no number", 0, 5)]

    assert handled == [2]
    assert f"topic 't' from publication {publications[0]} does not fit" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_slow_handler_loses_events_instead_of_using_memory() -> None:
    app = Application()
    go_on = anyio.Event()
    handled: list[int] = []

    async def on_event(number: int) -> None:
        await go_on.wait()
        handled.append(number)

    async with app.subscribe("t", on_event, buffer=2, when_full="drop_newest") as subscription:
        await app.publish("t", 0)
        await anyio.wait_all_tasks_blocked()
        for number in range(1, 6):
            await app.publish("t", number)
        assert subscription.dropped == 3
        go_on.set()

    assert handled == [0, 1, 2]


async def test_closed_subscription_handles_buffered_events_only() -> None:
    app = Application()
    handled: list[int] = []

    async def on_event(number: int) -> None:
        await anyio.lowlevel.checkpoint()
        handled.append(number)

    async with app.subscribe("t", on_event) as subscription:
        await app.publish("t", 1)
        await app.publish("t", 2)
        subscription.close()
        await app.publish("t", 3)

    assert handled == [1, 2]


async def test_leaving_waits_for_the_handler_for_a_limited_time(caplog: pytest.LogCaptureFixture) -> None:
    app = Application(limits=Limits(teardown_timeout=0.01))
    ended = []

    async def on_event() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    with anyio.fail_after(PATIENCE):
        async with app.subscribe("t", on_event):
            await app.publish("t")

    assert ended == ["cancelled"]
    assert "on_event" in caplog.text
    assert "0.01 s" in caplog.text


async def test_leaving_by_an_exception_cancels_the_handler_and_raises_the_exception() -> None:
    app = Application()
    begun, ended = anyio.Event(), []

    async def on_event() -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    async def fail_while_it_handles() -> None:
        async with app.subscribe("t", on_event):
            await app.publish("t")
            await begun.wait()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_while_it_handles()
    assert ended == ["cancelled"]


async def test_cancellation_cancels_the_handler_and_is_not_swallowed() -> None:
    app = Application()
    begun, ended = anyio.Event(), []

    async def on_event() -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("cancelled")

    with anyio.CancelScope() as scope:
        async with app.subscribe("t", on_event):
            await app.publish("t")
            await begun.wait()
            scope.cancel()
            await anyio.lowlevel.checkpoint()
            ended.append("not reached")

    assert scope.cancelled_caught
    assert ended == ["cancelled"]


async def test_handler_may_publish_to_its_own_topic() -> None:
    app = Application()
    handled = Handled()

    async def count_down(number: int) -> None:
        handled.add(number)
        if number:
            await app.publish("t", number - 1)

    async with app.subscribe("t", count_down):
        await app.publish("t", 3)
        assert await handled.until(4) == [3, 2, 1, 0]


async def test_handler_that_cannot_be_called_is_a_configuration_error() -> None:
    async def on_event(db: anyio.CancelScope) -> None: ...

    with pytest.raises(ConfigurationError, match="nothing can fill the parameter 'db'"):
        Application().subscribe("t", on_event)
    with pytest.raises(ConfigurationError, match="not part of an application"):
        Realm("alone").subscribe("t", on_event)


async def test_subscription_is_entered_once() -> None:
    async def on_event() -> None: ...

    subscription = Application().subscribe("t", on_event)
    async with subscription:
        pass
    with pytest.raises(RuntimeError, match="entered before"):
        async with subscription:
            pass


async def test_subscription_that_is_never_entered_warns() -> None:
    async def on_event() -> None: ...

    subscription = Application().subscribe("t", on_event)
    with pytest.warns(RuntimeWarning, match="on_event to exact 't'> was never entered"):
        del subscription


async def test_subscription_requires_the_async_library_of_the_application(
    anyio_backend: str,
) -> None:
    async def on_event() -> None: ...

    app = Application(async_support=TrioAsyncSupport)
    if anyio_backend == "trio":
        async with app.subscribe("t", on_event):
            return
    with pytest.raises(ConfigurationError, match="pinned to async_support=TrioAsyncSupport"):
        async with app.subscribe("t", on_event):
            pass
