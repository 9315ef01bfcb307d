"""The meta events of a realm, over WebSockets in memory."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.specification import (
    CALL,
    ERROR,
    EVENT,
    GOODBYE,
    ISO_8601_UTC,
    PUBLISH,
    REGISTER,
    REGISTERED,
    RESULT,
    SUBSCRIBE,
    SUBSCRIBED,
    UNREGISTER,
    UNREGISTERED,
    UNSUBSCRIBE,
    UNSUBSCRIBED,
)
from tests.wamp_client import WAMPClient, clients, trust_hello, trusting_app
from wampasgi import Application, Limits, Realm

pytestmark = pytest.mark.anyio

REGISTRATIONS = [f"wamp.registration.on_{what}" for what in ("create", "register", "unregister", "delete")]
SUBSCRIPTIONS = [f"wamp.subscription.on_{what}" for what in ("create", "subscribe", "unsubscribe", "delete")]


class Watcher:
    """A client that has subscribed to meta events, with the topic of each subscription."""

    def __init__(self, client: WAMPClient) -> None:
        self.client = client
        self._topics: dict[int, str] = {}

    async def watch(self, *topics: str) -> None:
        for topic in topics:
            self._topics[await self.client.subscribe(topic)] = topic.rpartition(".")[2]

    def read(self, message: list[Any]) -> tuple[Any, ...]:
        """Return the end of an event's topic, and its payload."""
        assert message[0] == EVENT, message
        assert message[3] == {}
        assert len(message) == 5, "the payload is positional"
        return (self._topics[message[1]], *message[4])

    async def next(self) -> tuple[Any, ...]:
        return self.read(await self.client.receive())

    async def expect_nothing(self) -> None:
        await self.client.expect_nothing()


async def watching(client: WAMPClient, *topics: str) -> Watcher:
    watcher = Watcher(client)
    await watcher.watch(*topics)
    return watcher


# Sessions


async def test_on_join_has_the_details_of_the_session() -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        watcher = await watching(ann, "wamp.session.on_join")
        async with clients(app, "bob/user") as [bob]:
            names = ("authid", "authrole", "authmethod", "authprovider")
            details = {"session": bob.id, **{name: bob.details[name] for name in names}}
            assert await watcher.next() == ("on_join", details)
            assert (details["authid"], details["authrole"]) == ("bob", "user")
        await watcher.expect_nothing()


async def test_on_leave_has_the_session_id_authid_and_authrole() -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        watcher = await watching(ann, "wamp.session.on_leave")
        async with clients(app, "bob/user") as [bob]:
            pass
        assert await watcher.next() == ("on_leave", bob.id, "bob", "user")
        await watcher.expect_nothing()


async def leave_by_goodbye(bob: WAMPClient, app: Application) -> None:
    await bob.send(GOODBYE, {}, "wamp.close.normal")
    assert (await bob.receive())[0] == GOODBYE


async def leave_by_abort(bob: WAMPClient, app: Application) -> None:
    await bob.send(3, {}, "wamp.close.normal")


async def leave_by_losing_the_connection(bob: WAMPClient, app: Application) -> None:
    await bob.disconnect()


async def leave_by_breaking_the_protocol(bob: WAMPClient, app: Application) -> None:
    await bob.send(2, 1, {})
    assert (await bob.receive())[0] == 3


async def leave_by_being_closed(bob: WAMPClient, app: Application) -> None:
    await app.default_realm.sessions[bob.id].close()
    assert (await bob.receive())[0] == GOODBYE
    await bob.send(GOODBYE, {}, "wamp.close.goodbye_and_out")


async def leave_by_being_aborted(bob: WAMPClient, app: Application) -> None:
    await app.default_realm.sessions[bob.id].abort("com.example.abort")
    assert (await bob.receive())[0] == 3


async def leave_by_being_killed(bob: WAMPClient, app: Application) -> None:
    await app.call("wamp.session.kill", bob.id)
    assert (await bob.receive())[0] == GOODBYE
    await bob.send(GOODBYE, {}, "wamp.close.goodbye_and_out")


WAYS_TO_LEAVE = [
    leave_by_goodbye,
    leave_by_abort,
    leave_by_losing_the_connection,
    leave_by_breaking_the_protocol,
    leave_by_being_closed,
    leave_by_being_aborted,
    leave_by_being_killed,
]


@pytest.mark.parametrize("leave", WAYS_TO_LEAVE)
async def test_on_leave_comes_once_however_a_session_ends(leave: Any) -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        watcher = await watching(ann, "wamp.session.on_leave")
        async with clients(app, "bob") as [bob]:
            await leave(bob, app)
            assert await watcher.next() == ("on_leave", bob.id, "bob", "user")
        await watcher.expect_nothing()


async def test_on_leave_is_sent_for_sessions_closed_at_shutdown() -> None:
    app = trusting_app()
    async with clients(app, "ann", "bob") as [ann, bob]:
        watcher = await watching(bob, "wamp.session.on_leave")
        for session in list(app.default_realm.sessions.values()):
            await session.close("wamp.close.system_shutdown")

        assert await watcher.next() == ("on_leave", ann.id, "ann", "user")
        assert (await bob.receive())[0] == GOODBYE


async def test_on_leave_comes_once_if_the_server_cancels_the_session() -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        watcher = await watching(ann, "wamp.session.on_leave", "com.last_words")
        with anyio.CancelScope() as server:
            async with clients(app, "bob") as [bob]:
                await bob.call("wamp.session.add_testament", "com.last_words", ["bye"], {})
                server.cancel()
                await anyio.sleep_forever()
        assert server.cancelled_caught
        assert await watcher.next() == ("last_words", "bye")
        assert await watcher.next() == ("on_leave", bob.id, "bob", "user")
        await watcher.expect_nothing()


async def test_caller_of_kill_gets_the_result_before_the_event() -> None:
    async with clients(trusting_app(), "ann", "bob") as [ann, bob]:
        watcher = await watching(ann, "wamp.session.on_leave")

        assert (await ann.request(CALL, {}, "wamp.session.kill", [bob.id]))[0] == RESULT

        assert await watcher.next() == ("on_leave", bob.id, "bob", "user")


async def test_kill_all_generates_no_session_meta_events() -> None:
    app = trusting_app()
    async with clients(app, "ann", "bob", "cid") as [ann, bob, cid]:
        watcher = await watching(ann, "wamp.session.on_leave")
        also_watching = await watching(cid, "wamp.session.on_leave")

        assert await ann.call("wamp.session.kill_all") == 2

        for client in bob, also_watching.client:
            assert (await client.receive())[0] == GOODBYE
            await client.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
        await watcher.expect_nothing()
        # Sessions that join and leave later cause events.
        async with clients(app, "dan") as [dan]:
            pass
        assert await watcher.next() == ("on_leave", dan.id, "dan", "user")


async def test_session_meta_events_stay_on_their_realm() -> None:
    app = trusting_app()
    other = Realm("other")
    other.allow_all()
    app.add_realm(other)
    async with clients(app, "ann") as [ann]:
        watcher = await watching(ann, "wamp.session.on_join", "wamp.session.on_leave", *SUBSCRIPTIONS)
        await watcher.watch(*REGISTRATIONS)
        async with clients(app, "bob", realm="other") as [bob]:
            await bob.subscribe("com.a")
            await bob.register("com.a")
        await watcher.expect_nothing()


async def test_session_of_the_server_causes_no_on_join() -> None:
    app = trusting_app()

    @app.procedure("com.own")
    async def own() -> None: ...

    async with clients(app, "ann") as [ann]:
        watcher = await watching(ann, "wamp.session.on_join", "wamp.session.on_leave")
        await app.call("com.own")
        await watcher.expect_nothing()


# Subscriptions


async def test_subscription_is_created_before_a_session_is_added_to_it() -> None:
    async with clients(trusting_app(), "ann", "bob") as [ann, bob]:
        watcher = await watching(ann, *SUBSCRIPTIONS)

        subscription_id = await bob.subscribe("com.a", match="prefix")

        what, session_id, details = await watcher.next()
        assert (what, session_id) == ("on_create", bob.id)
        assert re.fullmatch(ISO_8601_UTC, details["created"])
        assert (details["id"], details["uri"], details["match"]) == (subscription_id, "com.a", "prefix")
        assert await watcher.next() == ("on_subscribe", bob.id, subscription_id)
        assert details == await ann.call("wamp.subscription.get", subscription_id)
        await watcher.expect_nothing()


async def test_second_subscriber_causes_no_on_create_and_subscribing_again_no_event() -> None:
    async with clients(trusting_app(), "ann", "bob", "cid") as [ann, bob, cid]:
        subscription_id = await bob.subscribe("com.a")
        watcher = await watching(ann, *SUBSCRIPTIONS)

        await cid.subscribe("com.a")
        await bob.subscribe("com.a")

        assert await watcher.next() == ("on_subscribe", cid.id, subscription_id)
        await watcher.expect_nothing()


async def test_session_is_removed_before_its_subscription_is_deleted() -> None:
    async with clients(trusting_app(), "ann", "bob", "cid") as [ann, bob, cid]:
        subscription_id = await bob.subscribe("com.a")
        await cid.subscribe("com.a")
        watcher = await watching(ann, *SUBSCRIPTIONS)

        await cid.request(UNSUBSCRIBE, subscription_id)
        assert await watcher.next() == ("on_unsubscribe", cid.id, subscription_id)
        await bob.request(UNSUBSCRIBE, subscription_id)

        assert await watcher.next() == ("on_unsubscribe", bob.id, subscription_id)
        assert await watcher.next() == ("on_delete", bob.id, subscription_id)
        await watcher.expect_nothing()


async def test_event_about_a_sessions_own_subscription_follows_its_answer() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        watcher = await watching(ann, *SUBSCRIPTIONS)

        answer = await ann.request(SUBSCRIBE, {}, "com.a")
        assert answer[0] == SUBSCRIBED
        assert (await watcher.next())[:2] == ("on_create", ann.id)
        assert await watcher.next() == ("on_subscribe", ann.id, answer[2])
        assert (await ann.request(UNSUBSCRIBE, answer[2]))[0] == UNSUBSCRIBED
        assert await watcher.next() == ("on_unsubscribe", ann.id, answer[2])
        assert await watcher.next() == ("on_delete", ann.id, answer[2])


async def test_answer_comes_before_the_event_if_a_gatekeeper_accepts_the_session() -> None:
    app = trusting_app()

    @app.topic("com.a")
    async def gatekeeper() -> AsyncIterator[None]:
        yield

    async with clients(app, "ann") as [ann]:
        watcher = await watching(ann, *SUBSCRIPTIONS)
        answer = await ann.request(SUBSCRIBE, {}, "com.a")
        assert answer[0] == SUBSCRIBED
        assert (await watcher.next())[0] == "on_create"
        assert await watcher.next() == ("on_subscribe", ann.id, answer[2])


async def test_session_gets_no_events_about_its_own_meta_subscriptions() -> None:
    async with clients(trusting_app(), "ann", "bob") as [ann, bob]:
        watcher = await watching(ann, *SUBSCRIPTIONS)
        await watcher.expect_nothing()
        on_join = await ann.subscribe("wamp.session.on_join")
        everything = await ann.subscribe("wamp.", match="prefix")
        for subscription_id in on_join, everything:
            await ann.request(UNSUBSCRIBE, subscription_id)
        await watcher.expect_nothing()

        # Other sessions' meta subscriptions cause events.
        on_leave = await bob.subscribe("wamp.session.on_leave")
        assert (await watcher.next())[:2] == ("on_create", bob.id)
        assert await watcher.next() == ("on_subscribe", bob.id, on_leave)


async def test_refused_subscription_causes_no_event() -> None:
    app = Application()
    app.add_transport_authenticator(trust_hello)
    app.allow("wamp.", "subscribe", match="prefix", role="admin")
    async with clients(app, "ann/admin", "bob") as [ann, bob]:
        watcher = await watching(ann, *SUBSCRIPTIONS)
        assert (await bob.request(SUBSCRIBE, {}, "com.a"))[0] == ERROR
        await watcher.expect_nothing()


# Registrations


async def test_registration_is_created_before_a_session_is_added_to_it() -> None:
    async with clients(trusting_app(), "ann", "bob") as [ann, bob]:
        watcher = await watching(ann, *REGISTRATIONS)

        registration_id = await bob.register("com.a", match="prefix", invoke="random")

        what, session_id, details = await watcher.next()
        assert (what, session_id) == ("on_create", bob.id)
        assert re.fullmatch(ISO_8601_UTC, details["created"])
        assert (details["id"], details["uri"]) == (registration_id, "com.a")
        assert (details["match"], details["invoke"]) == ("prefix", "random")
        assert await watcher.next() == ("on_register", bob.id, registration_id)
        assert details == await ann.call("wamp.registration.get", registration_id)
        await watcher.expect_nothing()


async def test_second_callee_causes_no_on_create() -> None:
    async with clients(trusting_app(), "ann", "bob", "cid") as [ann, bob, cid]:
        registration_id = await bob.register("com.a", invoke="first")
        watcher = await watching(ann, *REGISTRATIONS)

        await cid.register("com.a", invoke="first")
        assert (await bob.request(REGISTER, {"invoke": "last"}, "com.a"))[0] == ERROR

        assert await watcher.next() == ("on_register", cid.id, registration_id)
        await watcher.expect_nothing()


async def test_session_is_removed_before_its_registration_is_deleted() -> None:
    async with clients(trusting_app(), "ann", "bob", "cid") as [ann, bob, cid]:
        registration_id = await bob.register("com.a", invoke="first")
        await cid.register("com.a", invoke="first")
        watcher = await watching(ann, *REGISTRATIONS)

        await bob.request(UNREGISTER, registration_id)
        assert await watcher.next() == ("on_unregister", bob.id, registration_id)
        await cid.request(UNREGISTER, registration_id)

        assert await watcher.next() == ("on_unregister", cid.id, registration_id)
        assert await watcher.next() == ("on_delete", cid.id, registration_id)
        await watcher.expect_nothing()


async def test_event_about_a_sessions_own_registration_follows_its_answer() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        watcher = await watching(ann, *REGISTRATIONS)

        answer = await ann.request(REGISTER, {}, "com.a")
        assert answer[0] == REGISTERED
        assert (await watcher.next())[:2] == ("on_create", ann.id)
        assert await watcher.next() == ("on_register", ann.id, answer[2])
        assert (await ann.request(UNREGISTER, answer[2]))[0] == UNREGISTERED
        assert await watcher.next() == ("on_unregister", ann.id, answer[2])
        assert await watcher.next() == ("on_delete", ann.id, answer[2])


async def test_revoked_registration_causes_events() -> None:
    app = trusting_app()
    async with clients(app, "ann", "bob", "cid") as [ann, bob, cid]:
        registration_id = await bob.register("com.a", invoke="first")
        await cid.register("com.a", invoke="first")
        watcher = await watching(ann, *REGISTRATIONS)

        assert app.default_realm.revoke_registration("com.a") == 2

        assert await watcher.next() == ("on_unregister", bob.id, registration_id)
        assert await watcher.next() == ("on_unregister", cid.id, registration_id)
        assert await watcher.next() == ("on_delete", cid.id, registration_id)


async def test_removed_callee_causes_events_after_the_result() -> None:
    async with clients(trusting_app(), "ann", "bob") as [ann, bob]:
        registration_id = await bob.register("com.a")
        watcher = await watching(ann, *REGISTRATIONS)

        assert await ann.call("wamp.registration.remove_callee", registration_id, bob.id) is None

        assert await watcher.next() == ("on_unregister", bob.id, registration_id)
        assert await watcher.next() == ("on_delete", bob.id, registration_id)


async def test_procedures_that_the_server_adds_at_run_time_cause_events() -> None:
    app = trusting_app()

    async def own() -> None: ...

    async with clients(app, "ann") as [ann]:
        watcher = await watching(ann, *REGISTRATIONS)

        app.default_realm.register("com.own", own)

        what, server_id, details = await watcher.next()
        assert (what, details["uri"], details["invoke"]) == ("on_create", "com.own", "single")
        assert await watcher.next() == ("on_register", server_id, details["id"])
        app.default_realm.unregister("com.own")
        assert await watcher.next() == ("on_unregister", server_id, details["id"])
        assert await watcher.next() == ("on_delete", server_id, details["id"])


# Leaving


async def test_leaving_session_is_removed_everywhere_before_on_leave() -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        async with clients(app, "bob") as [bob]:
            kept = await ann.subscribe("com.kept")
            await bob.subscribe("com.kept")
            own = await bob.subscribe("com.own")
            registration_id = await bob.register("com.a")
            watcher = await watching(ann, "wamp.session.on_leave", *SUBSCRIPTIONS[2:], *REGISTRATIONS[2:])
        assert [await watcher.next() for _ in range(6)] == [
            ("on_unsubscribe", bob.id, kept),
            ("on_unsubscribe", bob.id, own),
            ("on_delete", bob.id, own),
            ("on_unregister", bob.id, registration_id),
            ("on_delete", bob.id, registration_id),
            ("on_leave", bob.id, "bob", "user"),
        ]
        await watcher.expect_nothing()


async def test_subscription_accepted_after_the_sessions_end_causes_no_event() -> None:
    app = trusting_app()
    asked, released, ended = anyio.Event(), anyio.Event(), anyio.Event()

    @app.topic("com.slow")
    async def gatekeeper() -> AsyncIterator[None]:
        asked.set()
        await released.wait()
        yield
        ended.set()

    async with clients(app, "ann", "bob") as [ann, bob]:
        watcher = await watching(ann, *SUBSCRIPTIONS)
        before = await ann.call("wamp.subscription.list")
        await bob.send(SUBSCRIBE, 1, {}, "com.slow")
        await asked.wait()
        await app.call("wamp.session.kill", bob.id)
        released.set()
        with anyio.fail_after(5):
            await ended.wait()

        await watcher.expect_nothing()
        assert await ann.call("wamp.subscription.list") == before
        assert (await bob.receive())[0] == GOODBYE


async def test_slow_watcher_is_ended_and_causes_on_leave_itself() -> None:
    app = trusting_app(limits=Limits(outbound_messages=8))
    async with clients(app, "ann") as [ann], clients(app, "bob", buffer_size=0) as [bob]:
        await bob.send(SUBSCRIBE, 1, {"match": "prefix"}, "wamp.registration.")
        await bob.receive()
        watcher = await watching(ann, "wamp.session.on_leave", REGISTRATIONS[1])

        async def own() -> None: ...

        heard: list[tuple[Any, ...]] = []
        for number in range(10):
            app.default_realm.register(f"com.own{number}", own)
            heard.append(await watcher.next())

        heard.append(await watcher.next())
        assert [event[0] for event in heard].count("on_register") == 10
        assert ("on_leave", bob.id, "bob", "user") in heard
        await watcher.expect_nothing()
        while (await bob.receive_event())["type"] != "websocket.close":
            continue


# Permissions


async def test_meta_topics_are_closed_by_default() -> None:
    app = Application()
    app.allow("", "subscribe", match="prefix")
    async with clients(app, "ann") as [ann]:
        for topic in "wamp.session.on_join", *REGISTRATIONS, *SUBSCRIPTIONS:
            answer = await ann.request(SUBSCRIBE, {}, topic)
            assert answer[4] == "wamp.error.not_authorized"


async def test_rule_opens_meta_topics_for_one_role() -> None:
    app = Application()
    app.add_transport_authenticator(trust_hello)
    app.allow("wamp.session.", "subscribe", match="prefix", role="admin")
    async with clients(app, "ann/admin", "bob") as [ann, bob]:
        assert (await bob.request(SUBSCRIBE, {}, "wamp.session.on_join"))[4] == "wamp.error.not_authorized"
        assert (await ann.request(SUBSCRIBE, {}, REGISTRATIONS[0]))[4] == "wamp.error.not_authorized"
        await ann.subscribe("wamp.session.on_join")
        async with clients(app, "cid") as [cid]:
            assert (await ann.event())[0]["session"] == cid.id


async def test_pattern_subscriber_gets_the_topic_of_a_meta_event() -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        subscription_id = await ann.subscribe("wamp.session.", match="prefix")
        async with clients(app, "bob"):
            message = await ann.receive()
        assert message[1] == subscription_id
        assert message[3] == {"topic": "wamp.session.on_join"}
        assert (await ann.receive())[3] == {"topic": "wamp.session.on_leave"}


async def test_clients_cannot_publish_meta_events() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        answer = await ann.request(PUBLISH, {"acknowledge": True}, "wamp.session.on_join")
        assert answer[4] == "wamp.error.invalid_uri"
