from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from tests.wamp_client import trust_hello
from wampasgi import (
    Application,
    ConfigurationError,
    Realm,
    RPCErrorResult,
    RPCResult,
    Topic,
    WAMPError,
    WAMPRouter,
    subscriber,
    topic,
)
from wampasgi.testing import TestClient, WAMPSession

Backend = Literal["asyncio", "trio"]


STAFF = {"authextra": {"role": "staff"}}
GUEST = {"authextra": {"role": "guest"}}


class Order(BaseModel):
    number: int
    total: Decimal = Decimal("1.50")


class SecretOrder(Order):
    margin: int = 30


class Foreign:
    """A class that pydantic does not know."""


async def handle(number: int) -> None: ...


async def guard() -> None: ...


# Declaring


@pytest.mark.parametrize("declare", ["add_topic", "topic", "subscriber"])
def test_topic_is_declared_in_an_application(declare: str, backend: Backend) -> None:
    app, changes = Application(), Topic("com.changed", Order)
    app.allow("com.changed", "subscribe")
    add = getattr(app, declare)(changes)
    if add is not None:
        add(guard if declare == "topic" else handle)
    assert received_from(app, changes, Order(number=1), backend=backend) == [{"number": 1, "total": "1.50"}]


def received_from(
    app: Application,
    found: Topic[Any],
    event: Any,
    *,
    backend: Backend = "asyncio",
    topic: str | None = None,
    joined: str = "default",
    **options: Any,
) -> list[Any]:
    """Publish an event inside of a procedure, and return the positional arguments that a subscriber gets."""
    for realm in (app.default_realm, *app.realms.values()):

        @realm.procedure("test.publish")
        async def publish() -> None:
            await found.publish(event, **options)

    with TestClient(app, backend=backend).wamp_session(realm=joined) as session:
        events = session.subscribe(topic or found.uri)
        session.call("test.publish")
        return list(events.next().args)


def test_topic_of_a_router_has_its_prefix(backend: Backend) -> None:
    app, router, changes = Application(), WAMPRouter(prefix="orders."), Topic("changed", int)
    router.add_topic(changes)
    app.include_router(router, prefix="shop.")
    found = received_from(app, changes, 5, topic="shop.orders.changed", backend=backend)
    assert found == [5]
    assert changes.uri == "changed"


def test_marked_methods_declare_topics(backend: Backend) -> None:
    changes, sent = Topic("changed", int), Topic("sent", int)

    class Orders:
        @topic(changes)
        async def guard_changes(self) -> None: ...

        @subscriber(sent)
        async def handle_sent(self, number: int) -> None: ...

    app = Application()
    app.add_handlers(Orders(), prefix="orders.")
    app.allow("orders.sent", "subscribe")
    assert received_from(app, changes, 5, topic="orders.changed", backend=backend) == [5]
    app = Application()
    app.add_handlers(Orders())
    app.allow("sent", "subscribe")
    assert received_from(app, sent, 6, realm=app.default_realm, backend=backend) == [6]


def test_topic_with_a_gatekeeper_and_a_subscriber_is_one_topic(backend: Backend) -> None:
    app, changes = Application(), Topic("com.changed", int)
    app.topic(changes)(guard)
    app.subscriber(changes)(handle)
    assert received_from(app, changes, 1, backend=backend) == [1]


def test_topic_of_several_realms_is_published_in_one(backend: Backend) -> None:
    shop, office = Realm("shop"), Realm("office")
    app, changes = Application([shop, office]), Topic("com.changed", int)
    shop.add_topic(changes)
    office.add_topic(changes)
    assert received_from(app, changes, 1, joined="office", realm=office, backend=backend) == [1]


def test_roles_restrict_the_subscribers(backend: Backend) -> None:
    app, changes = Application(), Topic("com.changed", int)
    app.add_topic(changes, roles="staff")
    app.add_transport_authenticator(trust_hello)
    client = TestClient(app, backend=backend)
    with client.wamp_session(hello=STAFF) as session:
        session.subscribe("com.changed")
    with client.wamp_session(hello=GUEST) as session, pytest.raises(WAMPError) as refused:
        session.subscribe("com.changed")
    assert refused.value.uri == "wamp.error.not_authorized"


def test_rule_opens_patterns_of_a_topic_without_a_gatekeeper(backend: Backend) -> None:
    app, changes = Application(), Topic("com.changed", int)
    app.add_topic(changes)
    app.allow("com.", "subscribe", match="prefix")
    with TestClient(app, backend=backend).wamp_session() as session:
        session.subscribe("com.", match="prefix")


def test_topic_can_be_declared_only_once() -> None:
    app, changes = Application(), Topic("com.changed", int)
    app.add_topic(changes)
    with pytest.raises(ConfigurationError, match=r"'com.changed'.* is already used"):
        app.add_topic(changes)


@pytest.mark.parametrize("uri", ["", "com..changed", "not a URI", 5])
def test_topic_needs_a_valid_uri(uri: Any) -> None:
    with pytest.raises(ConfigurationError, match="Topic"):
        Topic(uri)


def test_topic_needs_a_type_that_pydantic_can_validate() -> None:
    with pytest.raises(ConfigurationError, match=r"pydantic cannot validate events as .*Foreign"):
        Topic("com.changed", Foreign)


def test_topic_has_no_pattern() -> None:
    with pytest.raises(ConfigurationError, match="a Topic has one URI, to publish to"):
        Application().subscriber(Topic("com.changed"), match="prefix")(handle)


def test_event_type_is_that_of_the_topic_alone() -> None:
    with pytest.raises(ConfigurationError, match=r"leave out event=..., because the Topic has the type"):
        Application().topic(Topic("com.changed", int), event=str)


def test_add_topic_takes_a_topic() -> None:
    uri: Any = "com.changed"
    with pytest.raises(ConfigurationError, match=r"add_topic got 'com.changed': it takes a Topic"):
        Application().add_topic(uri)


def test_topic_shows_its_uri() -> None:
    assert repr(Topic("com.changed")) == "<Topic 'com.changed'>"


# Publishing


@pytest.mark.parametrize(
    ("event_type", "event", "args"),
    [
        (Order, Order(number=1), [{"number": 1, "total": "1.50"}]),
        (Order, SecretOrder(number=1), [{"number": 1, "total": "1.50"}]),
        (Order, {"number": 1, "margin": 2}, [{"number": 1, "total": "1.50"}]),
        (list[Order], [SecretOrder(number=1)], [[{"number": 1, "total": "1.50"}]]),
        (tuple[int, str], (1, "a"), [1, "a"]),
        (int | None, None, []),
        (None, None, []),
        (dict[str, int], {"a": 1}, [{"a": 1}]),
        (Any, [1, 2], [[1, 2]]),
    ],
)
def test_event_has_the_json_form_of_its_type(event_type: Any, event: Any, args: list[Any]) -> None:
    app, changes = Application(), Topic("com.changed", event_type)
    app.add_topic(changes)
    assert received_from(app, changes, event) == args


def test_topic_without_a_type_publishes_anything() -> None:
    app, changes = Application(), Topic[Any]("com.changed")
    app.add_topic(changes)
    assert received_from(app, changes, RPCResult((1, "a"))) == [1, "a"]


@pytest.mark.parametrize(
    ("event_type", "event"),
    [(Order, {"total": 1}), (int, "five"), (tuple[int, str], (1,)), (None, 5), (int, None)],
)
@pytest.mark.anyio
async def test_event_of_another_type_is_refused(event_type: Any, event: Any) -> None:
    app, changes = Application(), Topic("com.changed", event_type)
    app.add_topic(changes)
    with pytest.raises(TypeError, match=r"^Topic\('com.changed'\) was given an event that is not valid as"):
        await changes.publish(event)


@pytest.mark.anyio
async def test_error_is_no_event() -> None:
    app, changes = Application(), Topic[Any]("com.changed")
    app.add_topic(changes)
    with pytest.raises(TypeError, match="was given an RPCErrorResult, which is no event"):
        await changes.publish(RPCErrorResult())


@pytest.mark.anyio
async def test_topic_is_published_only_where_it_was_declared() -> None:
    changes, other = Topic("com.changed", int), Realm("other")
    with pytest.raises(ConfigurationError, match="is not part of an application, a realm or a router"):
        await changes.publish(1)
    app = Application([other])
    app.add_topic(changes)
    with pytest.raises(ConfigurationError, match="is not part of realm 'other'"):
        await changes.publish(1, realm=other)
    assert await changes.publish(1, realm=app.default_realm) > 0


@pytest.mark.anyio
async def test_topic_of_several_realms_or_prefixes_is_ambiguous() -> None:
    changes, other = Topic("com.changed", int), Realm("other")
    app = Application([other])
    app.add_topic(changes)
    other.add_topic(changes)
    with pytest.raises(ConfigurationError, match=r"'com.changed' in realm 'default', 'com.changed' in realm"):
        await changes.publish(1)
    router = WAMPRouter(prefix="more.")
    router.add_topic(changes)
    app.include_router(router)
    with pytest.raises(ConfigurationError, match="use one Topic for each prefix"):
        await changes.publish(1, realm=app.default_realm)


def test_options_of_a_publication_are_those_of_publish(backend: Backend) -> None:
    app, changes = Application(), Topic("com.changed", int)
    app.add_topic(changes)
    app.add_transport_authenticator(trust_hello)
    options = {"eligible_authrole": ["staff"]}

    @app.procedure("test.publish")
    async def publish() -> None:
        await changes.publish(1, options=options)
        await changes.publish(2)

    def received(session: WAMPSession) -> list[Any]:
        events = session.subscribe("com.changed")
        session.call("test.publish")
        return list(events.next().args)

    client = TestClient(app, backend=backend)
    with client.wamp_session(hello=STAFF) as session:
        assert received(session) == [1]
    with client.wamp_session(hello=GUEST) as session:
        assert received(session) == [2]
