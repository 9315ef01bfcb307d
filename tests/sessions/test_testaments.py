"""Testaments, over WebSockets in memory."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from tests.sessions.test_meta_events import WAYS_TO_LEAVE
from tests.specification import CALL, EVENT, GOODBYE
from tests.wamp_client import WAMPClient, clients, trust_hello, trusting_app
from wampasgi import Application, Event, Limits, Session, WAMPError

pytestmark = pytest.mark.anyio

ADD, FLUSH = "wamp.session.add_testament", "wamp.session.flush_testaments"
TOPIC = "com.myapp.mytopic"


async def events(client: WAMPClient, count: int) -> list[Any]:
    return [(await client.event())[0] for _ in range(count)]


# Adding


async def test_testament_is_published_when_its_session_ends() -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        subscription_id = await ann.subscribe(TOPIC)
        async with clients(app, "bob") as [bob]:
            assert await bob.call(ADD, TOPIC, ["Seeya!"], {"my_name": "app1"}) is None
            await ann.expect_nothing()
        message = await ann.receive()
        assert message[:2] == [EVENT, subscription_id]
        assert message[3:] == [{}, ["Seeya!"], {"my_name": "app1"}]
        await ann.expect_nothing()


@pytest.mark.parametrize("leave", WAYS_TO_LEAVE)
async def test_testament_is_published_once_however_a_session_ends(leave: Any) -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        await ann.subscribe(TOPIC)
        async with clients(app, "bob") as [bob]:
            await bob.call(ADD, TOPIC, ["Seeya!"], {})
            await leave(bob, app)
            assert await ann.event() == ["Seeya!"]
        await ann.expect_nothing()


async def test_testaments_are_published_in_order_and_the_detached_ones_first() -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        await ann.subscribe(TOPIC)
        async with clients(app, "bob") as [bob]:
            await bob.call(ADD, TOPIC, ["destroyed 1"], {})
            await bob.call(ADD, TOPIC, ["detached 1"], {}, scope="detached")
            await bob.call(ADD, TOPIC, ["destroyed 2"], {}, scope="destroyed")
            await bob.call(ADD, TOPIC, ["detached 2"], {}, scope="detached")
        assert await events(ann, 4) == ["detached 1", "detached 2", "destroyed 1", "destroyed 2"]


async def test_testament_comes_before_on_leave() -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        await ann.subscribe("wamp.session.on_leave")
        await ann.subscribe(TOPIC)
        async with clients(app, "bob") as [bob]:
            await bob.call(ADD, TOPIC, ["Seeya!"], {})
        assert await ann.event() == ["Seeya!"]
        assert await ann.event() == [bob.id, "bob", "user"]


async def test_kill_all_generates_no_testament_events() -> None:
    async with clients(trusting_app(), "ann", "bob") as [ann, bob]:
        await ann.subscribe(TOPIC)
        await bob.call(ADD, TOPIC, ["Seeya!"], {})

        await ann.call("wamp.session.kill_all")

        assert (await bob.receive())[0] == GOODBYE
        await bob.send(GOODBYE, {}, "wamp.close.goodbye_and_out")
        await ann.expect_nothing()


async def test_next_session_on_the_connection_does_not_inherit_testaments() -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        await ann.subscribe(TOPIC)
        async with clients(app, "bob") as [bob]:
            await bob.call(ADD, TOPIC, ["Seeya!"], {})
            await bob.send(GOODBYE, {}, "wamp.close.normal")
            await bob.receive()
            assert await ann.event() == ["Seeya!"]
            await bob.join()
        await ann.expect_nothing()


# Flushing


@pytest.mark.parametrize(
    ("kwargs", "left"),
    [
        ({}, ["detached"]),
        ({"scope": "destroyed"}, ["detached"]),
        ({"scope": None}, ["detached"]),
        ({"scope": "detached"}, ["destroyed"]),
    ],
)
async def test_flushing_removes_the_testaments_of_one_scope(kwargs: dict[str, Any], left: list[str]) -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        await ann.subscribe(TOPIC)
        async with clients(app, "bob") as [bob]:
            await bob.call(ADD, TOPIC, ["destroyed"], {})
            await bob.call(ADD, TOPIC, ["detached"], {}, scope="detached")
            assert await bob.call(FLUSH, **kwargs) is None
        assert await events(ann, len(left)) == left
        await ann.expect_nothing()


async def test_flushing_keeps_the_testaments_of_others() -> None:
    app = trusting_app()
    async with clients(app, "ann") as [ann]:
        await ann.subscribe(TOPIC)
        async with clients(app, "bob") as [bob]:
            await bob.call(ADD, TOPIC, ["Seeya!"], {})
            await ann.call(FLUSH)
        assert await ann.event() == ["Seeya!"]


async def test_flushing_nothing_is_not_an_error() -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        assert await ann.call(FLUSH) is None
        assert await ann.call(FLUSH, scope="detached") is None


# Publish options


async def test_publish_options_of_a_testament_are_honoured() -> None:
    app = trusting_app()
    async with clients(app, "ann/admin", "cid/user", "dan/admin") as [ann, cid, dan]:
        for client in ann, cid, dan:
            await client.subscribe(TOPIC)
        async with clients(app, "bob/user") as [bob]:
            options = {"eligible_authrole": ["admin"], "exclude": [dan.id], "disclose_me": True}
            ignored = {"acknowledge": True, "exclude_me": False, "eligible_authid": None}
            await bob.call(ADD, TOPIC, [], {}, publish_options={**options, **ignored})
        message = await ann.receive()
        assert message[3] == {
            "publisher": bob.id,
            "publisher_authid": "bob",
            "publisher_authrole": "user",
        }
        await cid.expect_nothing()
        await dan.expect_nothing()


async def test_testament_may_not_disclose_unless_a_rule_permits_it() -> None:
    app = Application()
    app.allow("wamp.", "call", match="prefix")
    app.allow("com.", "publish", match="prefix")
    async with clients(app, "ann") as [ann]:
        options = {"disclose_me": True}
        uri = await ann.call_error(ADD, TOPIC, [], {}, publish_options=options)
        assert uri == "wamp.error.option_disallowed.disclose_me"


# Permissions


@pytest.mark.parametrize("topic", ["", "com..topic", "not a uri", "wamp.session.on_join"])
async def test_topic_of_a_testament_must_be_valid_and_not_reserved(topic: str) -> None:
    async with clients(trusting_app(), "ann") as [ann]:
        assert await ann.call_error(ADD, topic, [], {}) == "wamp.error.invalid_uri"


async def test_topic_of_a_testament_follows_the_uri_check_of_the_application() -> None:
    async with clients(trusting_app(uri_check="strict"), "ann") as [ann]:
        assert await ann.call_error(ADD, "com.MyApp", [], {}) == "wamp.error.invalid_uri"
        assert await ann.call(ADD, "com.myapp", [], {}) is None


async def test_testament_requires_permission_to_publish() -> None:
    app = Application()
    app.add_transport_authenticator(trust_hello)
    app.allow("wamp.", "call", match="prefix")
    app.allow("com.", "subscribe", match="prefix")
    app.allow("com.allowed", "publish", role="user")
    async with clients(app, "ann/admin") as [ann]:
        await ann.subscribe("com.", match="prefix")
        async with clients(app, "bob/user") as [bob]:
            assert await ann.call_error(ADD, "com.allowed", [], {}) == "wamp.error.not_authorized"
            assert await bob.call_error(ADD, "com.other", [], {}) == "wamp.error.not_authorized"
            assert await bob.call(ADD, "com.allowed", ["Seeya!"], {}) is None
        assert await ann.event() == ["Seeya!"]


async def test_authorizer_decides_whether_a_session_may_publish_its_testament() -> None:
    app = Application()
    asked = []

    @app.authorizer
    async def may(session: Session, action: str, uri: str, options: dict[str, Any]) -> bool:
        asked.append((action, uri, options))
        return uri != "com.forbidden"

    async with clients(app, "ann") as [ann]:
        assert await ann.call(ADD, TOPIC, [], {}, publish_options={"exclude_me": True}) is None
        assert await ann.call_error(ADD, "com.forbidden", [], {}) == "wamp.error.not_authorized"
    assert asked == [
        ("call", ADD, {}),
        ("publish", TOPIC, {"exclude_me": True}),
        ("call", ADD, {}),
        ("publish", "com.forbidden", {}),
    ]


async def test_timeout_of_the_call_applies_to_the_authorizer() -> None:
    app = Application()

    @app.authorizer
    async def may(action: str) -> bool:
        if action == "publish":
            await anyio.sleep_forever()
        return True

    async with clients(app, "ann") as [ann]:
        answer = await ann.request(CALL, {"timeout": 1}, ADD, [TOPIC, [], {}])
        assert answer[4] == "wamp.error.timeout"


async def test_number_of_testaments_is_limited() -> None:
    async with clients(trusting_app(limits=Limits(testaments=2)), "ann") as [ann]:
        await ann.call(ADD, TOPIC, [], {})
        await ann.call(ADD, TOPIC, [], {}, scope="detached")

        with pytest.raises(WAMPError) as raised:
            await ann.call(ADD, TOPIC, [], {})

        assert raised.value.uri == "wamp.error.unavailable"
        assert raised.value.args == (["this session has reached the limit testaments of 2"],)
        await ann.call(FLUSH)
        await ann.call(ADD, TOPIC, [], {})


async def test_memory_of_testaments_is_limited() -> None:
    async with clients(trusting_app(limits=Limits(testament_bytes=10_000)), "ann") as [ann]:
        await ann.call(ADD, TOPIC, ["x" * 5000], {})
        with pytest.raises(WAMPError) as raised:
            await ann.call(ADD, TOPIC, ["x" * 5000], {})
        # Lists take far more memory than their length suggests.
        with pytest.raises(WAMPError, match="unavailable"):
            await ann.call(ADD, TOPIC, [[]] * 500, {})
        await ann.call(FLUSH)
        await ann.call(ADD, TOPIC, ["x" * 5000], {})

    text = "the testaments of this session would be over the limit testament_bytes of 10000"
    assert raised.value.uri == "wamp.error.unavailable"
    assert raised.value.args == ([text],)


async def test_server_has_no_testaments() -> None:
    app = Application()
    async with clients(app):
        with pytest.raises(WAMPError, match="no_such_session"):
            await app.call(ADD, TOPIC, [], {})
        assert await app.call(FLUSH) is None


# The server's own subscribers


@pytest.mark.parametrize("leave", WAYS_TO_LEAVE)
async def test_subscriber_of_the_server_gets_testaments_like_publications(leave: Any) -> None:
    app = Application()
    app.add_transport_authenticator(trust_hello)
    app.allow("wamp.", "call", match="prefix")
    got = []

    @app.subscriber(TOPIC)
    async def on_event(text: str, event: Event, session: Session) -> None:
        await anyio.lowlevel.checkpoint()
        got.append((text, event.topic, session.authid))

    async with clients(app, "bob") as [bob]:
        await bob.call(ADD, TOPIC, ["one"], {})
        await bob.call(ADD, TOPIC, ["two"], {})
        await leave(bob, app)
    assert got == [("one", TOPIC, "bob"), ("two", TOPIC, "bob")]
