"""The realm's own session: its event handlers and procedures, and both in the meta API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest

from tests.specification import CALL, ERROR, PUBLISH, REGISTER, RESULT, UNREGISTER, UNREGISTERED
from tests.wamp_client import WAMPClient, clients, connect, trusting_app
from tests.websocket import PATIENCE
from wampasgi import Application, Event, Realm, Session, WAMPError

pytestmark = pytest.mark.anyio

PUBLISHED, INVOCATION, YIELD = 17, 68, 70
EXISTS = "wamp.error.procedure_already_exists"
NO_SUCH_PROCEDURE = "wamp.error.no_such_procedure"

REVOCABLE = {"callee": {"features": {"registration_revocation": True}}, "caller": {}}


@asynccontextmanager
async def callees(app: Application, count: int = 1, **roles: Any) -> AsyncIterator[list[WAMPClient]]:
    """Clients that have joined with these roles."""
    async with AsyncExitStack() as stack:
        joined = []
        for _ in range(count):
            websocket = await stack.enter_async_context(connect(app))
            await websocket.join(roles=roles)
            joined.append(websocket)
        yield joined


# Events that the server publishes


async def test_handler_gets_what_the_server_publishes_in_the_realms_own_session() -> None:
    app = Application()
    handled: list[Any] = []

    @app.subscriber("com.a")
    async def on_event(number: int, event: Event, session: Session, unit: str) -> None:
        with pytest.raises(RuntimeError, match="has no connection"):
            session.connection  # noqa: B018
        handled.append((number, unit, event.topic, event.publication_id, session.id))

    async with clients(app, "ann") as [ann]:
        publication_id = await app.publish("com.a", 21, unit="C")
        [(*values, session_id)] = handled

    assert values == [21, "C", "com.a", publication_id]
    assert session_id != ann.id
    assert session_id not in app.default_realm.sessions


async def test_publish_returns_when_the_handlers_have_ended_one_after_the_other() -> None:
    app = Application()
    handled: list[str] = []

    @app.subscriber("com.", match="prefix")
    async def prefix() -> None:
        handled.append("prefix")

    @app.subscriber("com.a")
    async def first() -> None:
        handled.append("first begins")
        await anyio.wait_all_tasks_blocked()
        handled.append("first ends")

    @app.subscriber("com.a")
    def second() -> None:
        handled.append("second")

    await app.publish("com.a")
    assert handled == ["first begins", "first ends", "second", "prefix"]
    await app.publish("com.b")
    assert handled[4:] == ["prefix"]


async def test_failing_handler_is_logged_and_affects_neither_the_publisher_nor_other_handlers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()
    handled: list[int] = []

    @app.subscriber("com.a")
    async def fails(number: int) -> None:
        raise LookupError("secret detail")

    @app.subscriber("com.a")
    async def raises_an_error(number: int) -> None:
        raise WAMPError("com.myapp.error")

    @app.subscriber("com.a")
    async def wants_text(number: dict[str, int]) -> None:
        raise AssertionError("it does not fit")

    @app.subscriber("com.a")
    async def works(number: int) -> None:
        handled.append(number)

    await app.publish("com.a", 5)

    assert handled == [5]
    messages = [record.getMessage() for record in caplog.records]
    assert [
        name in message for name, message in zip(("fails", "raises", "wants"), messages, strict=True)
    ] == ([True] * 3)
    assert "secret detail" in caplog.text
    assert "does not fit" in messages[2]


async def test_handlers_of_the_server_are_cancelled_with_the_publisher_that_waits_for_them() -> None:
    app = Application()
    ended: list[str] = []

    @app.subscriber("com.a")
    async def stuck() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("stuck")

    with anyio.move_on_after(0.01) as scope:
        await app.publish("com.a")

    assert scope.cancelled_caught
    assert ended == ["stuck"]


async def test_publications_that_are_made_at_once_run_their_own_handlers() -> None:
    app = Application()
    handled: list[int] = []
    open_gates = [anyio.Event() for _ in range(3)]
    returned: list[int] = []

    @app.subscriber("com.a")
    async def on_event(number: int) -> None:
        await open_gates[number].wait()
        handled.append(number)

    async def publish(number: int) -> None:
        await app.publish("com.a", number)
        returned.append(number)

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(publish, number)
        for number in 2, 0, 1:
            open_gates[number].set()
            await anyio.wait_all_tasks_blocked()
            assert returned == handled

    assert handled == [2, 0, 1]


async def test_handler_may_publish_and_waits_for_the_handlers_of_that() -> None:
    app = Application()
    app.allow_all()
    handled: list[str] = []

    @app.subscriber("com.a")
    async def first() -> None:
        await app.publish("com.b", "from the first")
        handled.append("first")

    @app.subscriber("com.b")
    async def second(text: str) -> None:
        handled.append(text)

    async with clients(app, "ann") as [ann]:
        await ann.subscribe("com.b")
        await app.publish("com.a")
        assert handled == ["from the first", "first"]
        assert await ann.event() == ["from the first"]


async def test_roles_of_a_subscriber_are_for_clients_and_not_for_the_server() -> None:
    app = trusting_app()
    handled: list[str] = []

    @app.subscriber("com.a", roles="device")
    async def on_event(text: str) -> None:
        handled.append(text)

    async with clients(app, "ann/device", "bob/guest") as [ann, bob]:
        for client, text in (ann, "device"), (bob, "guest"):
            assert (await client.request(PUBLISH, {"acknowledge": True}, "com.a", [text]))[0] == PUBLISHED
        await app.publish("com.a", "server")

    assert sorted(handled) == ["device", "server"]


@pytest.mark.parametrize(
    ("options", "reaches"),
    [
        ({}, True),
        ({"exclude": [7]}, True),
        ({"exclude_authid": ["ann"], "exclude_authrole": ["user"]}, True),
        ({"eligible": [7]}, False),
        ({"eligible": []}, False),
        ({"eligible_authrole": ["user"]}, False),
        ({"eligible_authid": ["ann"]}, False),
    ],
    ids=str,
)
async def test_lists_of_recipients_count_for_handlers(options: dict[str, Any], reaches: bool) -> None:
    app = Application()
    handled: list[int] = []

    @app.subscriber("com.a")
    async def on_event(number: int) -> None:
        handled.append(number)

    async with clients(app, "ann") as [ann]:
        await app.publish("com.a", 1, options=options)
        assert (await ann.request(PUBLISH, {"acknowledge": True, **options}, "com.a", [2]))[0] == PUBLISHED

    assert handled == ([1, 2] if reaches else [])


async def test_lists_can_name_the_realms_own_session() -> None:
    app = Application()
    handled: list[int] = []

    @app.subscriber("com.a")
    async def on_event(number: int, session: Session) -> None:
        handled.append(number)
        if number == 1:
            await app.publish("com.a", 2, options={"exclude": [session.id]})
            await app.publish("com.a", 3, options={"eligible": [session.id]})

    await app.publish("com.a", 1)

    assert handled == [1, 3]


async def test_handlers_of_every_topic_get_no_meta_events() -> None:
    app = trusting_app()
    handled: list[str] = []

    @app.subscriber("", match="prefix")
    async def every(event: Event, *args: Any) -> None:
        handled.append(event.topic)

    @app.subscriber("..", match="wildcard")
    async def three(event: Event, *args: Any) -> None:
        handled.append(event.topic)

    app.check()
    async with app.events("", match="prefix") as events, clients(app, "ann") as [ann]:
        await ann.subscribe("com.a")
        await app.publish("com.a.b")
        with anyio.fail_after(PATIENCE):
            heard = [(await anext(events)).topic for _ in range(4)]

    assert handled == ["com.a.b", "com.a.b"]
    assert heard == [
        "wamp.session.on_join",
        "wamp.subscription.on_create",
        "wamp.subscription.on_subscribe",
        "com.a.b",
    ]


# The meta API


async def test_handlers_and_procedures_are_those_of_one_session_in_the_meta_api() -> None:
    app = trusting_app()

    @app.subscriber("com.", match="prefix")
    async def on_event() -> None: ...

    @app.procedure("com.own")
    async def own() -> None: ...

    async with clients(app, "ann") as [ann]:
        subscription_id = await ann.call("wamp.subscription.lookup", "com.", {"match": "prefix"})
        registration_id = await ann.call("wamp.registration.lookup", "com.own")
        [server_id] = await ann.call("wamp.subscription.list_subscribers", subscription_id)
        assert await ann.call("wamp.registration.list_callees", registration_id) == [server_id]
        assert await ann.call("wamp.subscription.match", "com.a") == [subscription_id]
        assert await ann.subscribe("com.", match="prefix") == subscription_id
        assert await ann.call("wamp.subscription.list_subscribers", subscription_id) == [server_id, ann.id]
        assert await ann.call_error("wamp.session.get", server_id) == "wamp.error.no_such_session"
        assert await ann.call_error("wamp.session.kill", server_id) == "wamp.error.no_such_session"
        app.revoke_subscription("com.", match="prefix")
        assert await ann.call("wamp.subscription.list_subscribers", subscription_id) == [server_id]


async def test_subscriptions_of_handlers_are_not_counted_as_those_of_clients() -> None:
    app = trusting_app()

    @app.subscriber("com.a")
    async def on_event() -> None: ...

    async with clients(app, "ann") as [ann]:
        await ann.subscribe("com.b")
        await app.publish("com.a")
        metrics = app.default_realm.metrics()
        await ann.subscribe("com.a")
        assert app.default_realm.metrics()["router"]["subscriptions"] == 2

    assert metrics["router"] == {"subscriptions": 1, "registrations": 0}
    assert metrics["events"] == {"published": 1, "sent": 0}


# Procedures that are added later


@pytest.mark.parametrize("match", ["exact", "prefix", "wildcard"])
async def test_configured_procedure_takes_over_the_registration_of_a_client(match: Any) -> None:
    app = trusting_app()
    uri = {"exact": "com.a", "prefix": "com.", "wildcard": "com."}[match]
    async with callees(app, 2, **REVOCABLE) as [ann, bob]:
        registration_id = await ann.register(uri, match=match, invoke="roundrobin")
        assert await bob.register(uri, match=match, invoke="roundrobin") == registration_id

        @app.procedure(uri, match=match)
        async def own() -> str:
            return "own"

        async with clients(app, "cid") as [cid]:
            for client in ann, bob:
                assert await client.receive() == [
                    UNREGISTERED,
                    0,
                    {"registration": registration_id, "reason": EXISTS},
                ]
            assert await cid.call("com.a") == "own"
            assert await app.call("com.a") == "own"
            # The older session does not know the new procedure, and cannot register its own again.
            assert await ann.call_error("com.a") == NO_SUCH_PROCEDURE
            for client in ann, cid:
                assert (await client.request(REGISTER, {"match": match}, uri))[4] == EXISTS
            assert (await ann.request(UNREGISTER, registration_id))[4] == "wamp.error.no_such_registration"


async def test_client_that_did_not_announce_revocation_gets_no_message_about_the_takeover() -> None:
    app = trusting_app()
    async with callees(app, callee={}, caller={}) as [ann]:
        await ann.register("com.a")

        @app.procedure("com.a")
        async def own() -> str:
            return "own"

        assert await app.call("com.a") == "own"
        # Nothing has come before this answer.
        assert await ann.call("wamp.registration.lookup", "com.b") is None


async def test_call_that_a_client_has_been_sent_is_answered_though_its_procedure_is_taken_over() -> None:
    app = trusting_app()
    async with callees(app, callee={}, caller={}) as [callee], clients(app, "ann") as [ann]:
        await callee.register("com.a")
        await ann.send(CALL, 7, {}, "com.a")
        invocation = await callee.receive()

        @app.procedure("com.a")
        async def own() -> str:
            return "own"

        assert await app.call("com.a") == "own"
        await callee.send(YIELD, invocation[1], {}, ["client"])
        assert await ann.receive() == [RESULT, 7, {}, ["client"]]


async def test_procedure_that_sessions_register_for_themselves_is_taken_over_from_all() -> None:
    app = Application()
    realm = Realm("private", client_procedures="session")
    realm.allow_all()
    app.add_realm(realm)
    async with clients(app, "ann", "bob", realm="private") as [ann, bob]:
        for client in ann, bob:
            await client.register("com.a")

        @realm.procedure("com.a")
        async def own() -> str:
            return "own"

        assert await realm.call("com.a") == "own"
        with pytest.raises(WAMPError, match="no_such_procedure"):
            await realm.sessions[ann.id].call("com.a")


@pytest.mark.parametrize("options", [{}, {"receive_progress": True}, {"timeout": 60_000}], ids=str)
async def test_older_session_that_may_call_everything_gets_no_such_procedure_for_a_new_one(
    options: dict[str, Any],
) -> None:
    app = trusting_app()
    async with callees(app, caller={"features": {"progressive_call_results": True}}) as [ann]:

        @app.procedure("com.a")
        async def own() -> str:
            return "own"

        assert await app.call("com.a") == "own"
        answer = await ann.request(CALL, options, "com.a")

    assert answer[:5] == [ERROR, CALL, 1, {}, NO_SUCH_PROCEDURE]


async def test_watchers_are_told_of_procedures_that_are_added_to_the_configuration() -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        await ann.subscribe("wamp.registration.", match="prefix")

        @app.procedure("com.a")
        async def own() -> None: ...

        # It is registered with the next session or server call.
        assert await ann.call("wamp.registration.lookup", "com.a") is None
        await app.call("com.a")
        registration_id = await app.call("wamp.registration.lookup", "com.a")
        created, registered = await ann.event(), await ann.event()

    assert created[1]["id"] == registered[1] == registration_id
    assert created[0] == registered[0] not in (ann.id, None)


async def test_procedure_of_the_configuration_outlives_one_of_the_same_uri_at_run_time() -> None:
    app = trusting_app()

    async def at_run_time() -> str:
        return "at run time"

    app.register("com.a", at_run_time)

    @app.procedure("com.a")
    async def configured() -> str:
        return "configured"

    app.check()
    app.unregister("com.a")

    assert await app.call("com.a") == "configured"
    async with clients(app, "ann") as [ann]:
        assert await ann.call("com.a") == "configured"
        assert await ann.call("wamp.registration.lookup", "com.a") is not None
