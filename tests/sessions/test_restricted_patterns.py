"""Roles and gatekeepers of routes, which patterns of clients must not bypass, over a WebSocket in memory."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.specification import CALL, ERROR, NOT_AUTHORIZED, REGISTER, REGISTERED, SUBSCRIBE, SUBSCRIBED
from tests.wamp_client import clients, open_app, trust_hello
from wampasgi import (
    Application,
    ConfigurationError,
    Realm,
    RPCRouteSet,
    Session,
    SubscribeError,
    TopicRouteSet,
)

pytestmark = pytest.mark.anyio

GET_EVENTS = "wamp.subscription.get_events"
LOOKUP = "wamp.subscription.lookup"


async def accept() -> None: ...


def chat_app() -> Application:
    """An app whose clients may subscribe to everything below ``chat.``, and read histories."""
    app = Application()
    app.add_transport_authenticator(trust_hello)
    app.allow("chat.", "subscribe", match="prefix")
    app.allow("wamp.subscription.", "call", match="prefix")
    return app


def exact_route(app: Application, **options: Any) -> None:
    app.topic("chat.moderators", **options)(accept)


def prefix_route(app: Application, **options: Any) -> None:
    app.topic("chat.mod", match="prefix", **options)(accept)


def wildcard_route(app: Application, **options: Any) -> None:
    app.topic(".moderators", match="wildcard", **options)(accept)


def regex_route(app: Application, **options: Any) -> None:
    app.topic(r"chat\.mod.*", match="regex", **options)(accept)


def exact_route_of_a_set(app: Application, **options: Any) -> None:
    topics = TopicRouteSet()
    topics.route("chat.moderators", **options)(accept)
    app.add_routes(topics)


def prefix_route_of_a_set(app: Application, **options: Any) -> None:
    topics = TopicRouteSet()
    topics.prefix_route("chat.mod", **options)(accept)
    app.add_routes(topics)


def regex_route_of_a_set(app: Application, **options: Any) -> None:
    topics = TopicRouteSet()
    topics.regex_route(r"chat\.mod.*", **options)(accept)
    app.add_routes(topics)


ROUTES = [
    exact_route,
    prefix_route,
    wildcard_route,
    regex_route,
    exact_route_of_a_set,
    prefix_route_of_a_set,
    regex_route_of_a_set,
]

PATTERNS = [
    ("chat.", "prefix"),
    ("chat.moderators", "prefix"),
    ("chat.", "wildcard"),
    # A wildcard pattern without an empty component matches one topic, but is a subscription of its own.
    ("chat.moderators", "wildcard"),
]

AddRoute = Callable[..., None]


# Subscriptions


@pytest.mark.parametrize("add_route", ROUTES)
@pytest.mark.parametrize(("pattern", "match"), PATTERNS)
async def test_pattern_that_can_match_a_topic_of_the_realm_is_refused(
    add_route: AddRoute, pattern: str, match: str
) -> None:
    app = chat_app()
    add_route(app, roles="moderator")

    async with clients(app, "ann/moderator", "bob/member") as joined:
        answers = [
            await client.request_error(SUBSCRIBE, {"match": match, "get_retained": True}, pattern)
            for client in joined
        ]

    # The gatekeeper would have to run for each topic, so that its roles may not use patterns, either.
    assert answers == [NOT_AUTHORIZED] * 2


@pytest.mark.parametrize("add_route", ROUTES)
@pytest.mark.parametrize(("pattern", "match"), PATTERNS)
async def test_topic_can_permit_patterns_to_its_roles(add_route: AddRoute, pattern: str, match: str) -> None:
    app = chat_app()
    add_route(app, roles="moderator", patterns=True)

    async with clients(app, "ann/moderator", "bob/member") as (ann, bob):
        await ann.subscribe(pattern, match=match)
        refused = await bob.request_error(SUBSCRIBE, {"match": match}, pattern)
        await app.publish("chat.moderators", "secret")
        assert await ann.event() == ["secret"]
        await bob.expect_nothing()

    assert refused == NOT_AUTHORIZED


async def test_topic_without_roles_can_permit_patterns_to_everybody() -> None:
    app = chat_app()
    app.topic("chat.lobby", patterns=True)(accept)

    async with clients(app, "ann") as [ann]:
        await ann.subscribe("chat.", match="prefix")


async def test_topic_that_permits_patterns_still_needs_a_rule_for_them() -> None:
    app = Application()
    app.topic("news.local", patterns=True)(accept)

    async with clients(app, {}) as [client]:
        assert await client.request_error(SUBSCRIBE, {"match": "prefix"}, "news.local") == NOT_AUTHORIZED


async def test_pattern_that_matches_no_topic_of_the_realm_is_decided_by_the_rules() -> None:
    app = chat_app()
    app.topic("chat.moderators", roles="moderator")(accept)
    app.topic("chat..log", match="wildcard")(accept)

    async with clients(app, "bob") as [bob]:
        await bob.subscribe("chat.lobby.said.", match="prefix")
        await bob.subscribe("chat..said", match="wildcard")


async def test_only_the_routes_that_can_apply_to_a_topic_of_the_pattern_restrict_it() -> None:
    app = chat_app()
    app.topic("chat.", match="prefix", roles="moderator")(accept)
    app.topic("chat.open.", match="prefix", patterns=True)(accept)
    app.topic("chat.open.hidden", roles="moderator")(accept)

    async with clients(app, "bob/member") as [bob]:
        await bob.subscribe("chat.open.rooms.", match="prefix")
        hidden = await bob.request_error(SUBSCRIBE, {"match": "prefix"}, "chat.open.")
        others = await bob.request_error(SUBSCRIBE, {"match": "prefix"}, "chat.o")

    assert [hidden, others] == [NOT_AUTHORIZED] * 2


async def test_gatekeeper_is_not_bypassed_by_a_pattern() -> None:
    app = chat_app()

    @app.topic("chat.team.", match="prefix")
    async def members_only(topic_uri: str, session: Session) -> AsyncIterator[None]:
        if not topic_uri.endswith(str(session.authid)):
            raise SubscribeError
        yield

    async with clients(app, "ann") as [ann]:
        await ann.subscribe("chat.team.ann")
        foreign = await ann.request_error(SUBSCRIBE, {}, "chat.team.bob")
        as_pattern = await ann.request_error(SUBSCRIBE, {"match": "prefix"}, "chat.team.bob")

    assert [foreign, as_pattern] == [NOT_AUTHORIZED] * 2


async def test_authorizer_does_not_open_a_restricted_topic_to_patterns() -> None:
    app = Application()
    asked = []

    @app.authorizer
    async def may(uri: str) -> bool:
        asked.append(uri)
        return True

    app.topic("chat.moderators")(accept)

    async with clients(app, {}) as [client]:
        refused = await client.request_error(SUBSCRIBE, {"match": "prefix"}, "chat.")
        await client.subscribe("chat.lobby", match="prefix")

    assert refused == NOT_AUTHORIZED
    assert asked == ["chat.lobby"]


async def test_roles_and_gatekeepers_restrict_patterns_even_if_everything_is_allowed() -> None:
    app = open_app()
    app.topic("chat.moderators", roles="moderator")(accept)
    app.topic("news")(accept)
    app.topic("chat.lobby", patterns=True)(accept)

    async with clients(app, {}) as [client]:
        refused = [
            await client.request_error(SUBSCRIBE, {"match": match}, pattern)
            for pattern, match in [("", "prefix"), ("chat.", "prefix"), ("", "wildcard"), (".", "wildcard")]
        ]
        await client.subscribe("chat.lobby", match="prefix")
        await client.subscribe("weather.", match="prefix")

    assert refused == [NOT_AUTHORIZED] * 4


@pytest.mark.parametrize("patterns", [None, False, True])
async def test_gatekeeper_of_all_topics_restricts_patterns(patterns: bool | None) -> None:
    app = open_app()
    app.set_subscription_handler(accept, patterns=patterns)

    async with clients(app, {}) as [client]:
        answer = await client.request(SUBSCRIBE, {"match": "prefix"}, "weather.")
        await client.subscribe("weather.rome")

    assert answer[0] == (SUBSCRIBED if patterns else ERROR)


async def test_refused_pattern_is_logged_with_the_topic_that_restricts_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "wampasgi.session")
    app = chat_app()
    exact_route(app)

    async with clients(app, "ann") as [ann]:
        await ann.request_error(SUBSCRIBE, {"match": "prefix"}, "chat.")

    [text] = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert "accept (" in text
    assert "patterns=True" in text


# Retained events and event history


@pytest.mark.parametrize("add_route", ROUTES)
@pytest.mark.parametrize(("pattern", "match"), PATTERNS)
async def test_history_of_a_pattern_is_closed_to_sessions_that_may_not_subscribe_to_it(
    add_route: AddRoute, pattern: str, match: Any
) -> None:
    app = chat_app()
    app.keep_history(pattern, match=match)
    add_route(app, roles="moderator", patterns=True)
    await app.publish("chat.moderators", "secret")

    async with clients(app, "ann/moderator", "bob/member") as (ann, bob):
        subscription_id = await bob.call(LOOKUP, pattern, {"match": match})
        refused = await bob.call_error(GET_EVENTS, subscription_id)
        answer = await ann.request(CALL, {}, GET_EVENTS, [subscription_id])

    assert refused == NOT_AUTHORIZED
    assert [event["args"] for event in answer[3]] == [["secret"]]


async def test_history_of_a_pattern_over_a_gatekeeper_is_closed() -> None:
    app = chat_app()
    app.keep_history("chat.", match="prefix")
    exact_route(app)

    async with clients(app, "ann") as [ann]:
        subscription_id = await ann.call(LOOKUP, "chat.", {"match": "prefix"})
        assert await ann.call_error(GET_EVENTS, subscription_id) == NOT_AUTHORIZED


async def test_authorizer_of_a_history_gets_the_match_policy() -> None:
    app = Application()
    app.allow("wamp.subscription.", "call", match="prefix")
    app.keep_history("chat.", match="prefix")
    asked = []

    @app.authorizer
    async def may(uri: str, options: dict[str, Any]) -> bool:
        asked.append((uri, options))
        return False

    async with clients(app, {}) as [client]:
        subscription_id = await client.call(LOOKUP, "chat.", {"match": "prefix"})
        await client.call_error(GET_EVENTS, subscription_id)

    assert asked == [("chat.", {"match": "prefix"})]


# The router's own topics


@pytest.mark.parametrize("add_route", ["prefix", "regex", "all"])
async def test_route_does_not_open_the_topics_of_the_router(add_route: str) -> None:
    app = Application()
    if add_route == "prefix":
        app.topic("w", match="prefix")(accept)
    elif add_route == "regex":
        app.topic(".*", match="regex")(accept)
    else:
        app.set_subscription_handler(accept)

    async with clients(app, {}) as [client]:
        await client.subscribe("weather")
        assert await client.request_error(SUBSCRIBE, {}, "wamp.session.on_join") == NOT_AUTHORIZED


async def test_routes_do_not_restrict_patterns_of_the_routers_own_topics() -> None:
    app = Application()
    app.allow("wamp.", "subscribe", match="prefix")
    app.topic(r"room\.\d+", match="regex")(accept)

    async with clients(app, {}) as [client]:
        await client.subscribe("wamp.session.", match="prefix")
        await client.subscribe("wamp..on_join", match="wildcard")


async def test_gatekeeper_of_all_topics_guards_the_topics_of_the_router_too() -> None:
    app = open_app()

    async def refuse() -> None:
        raise SubscribeError

    app.set_subscription_handler(refuse)

    async with clients(app, {}) as [client]:
        assert await client.request_error(SUBSCRIBE, {}, "wamp.session.on_join") == NOT_AUTHORIZED


# Registrations


def prefix_procedure(app: Application) -> None:
    app.procedure("users.", match="prefix", roles="admin")(accept)


def wildcard_procedure(app: Application) -> None:
    app.procedure("users.", match="wildcard", roles="admin")(accept)


def regex_procedure(app: Application) -> None:
    app.procedure(r"users\.\w+", match="regex", roles="admin")(accept)


def prefix_procedure_of_a_set(app: Application) -> None:
    procedures = RPCRouteSet()
    procedures.prefix_route("users.", roles="admin")(accept)
    app.add_routes(procedures)


def prefix_procedure_at_run_time(app: Application) -> None:
    app.register("users.", accept, match="prefix", roles="admin")


def regex_procedure_at_run_time(app: Application) -> None:
    app.register(r"users\.\w+", accept, match="regex", roles="admin")


RESTRICTED_PROCEDURES = [
    prefix_procedure,
    wildcard_procedure,
    regex_procedure,
    prefix_procedure_of_a_set,
    prefix_procedure_at_run_time,
    regex_procedure_at_run_time,
]


def plugin_app() -> Application:
    app = Application()
    app.add_transport_authenticator(trust_hello)
    app.allow("users", "register", "call", match="prefix")
    return app


@pytest.mark.parametrize("add_procedure", RESTRICTED_PROCEDURES)
@pytest.mark.parametrize("role", ["admin", "plugin"])
async def test_client_cannot_take_the_calls_of_a_procedure_with_roles(
    add_procedure: Callable[[Application], None], role: str
) -> None:
    app = plugin_app()
    add_procedure(app)

    async with clients(app, f"eve/{role}", "root/admin", "bob/member") as (eve, root, bob):
        assert await eve.request_error(REGISTER, {}, "users.delete") == NOT_AUTHORIZED
        await root.call("users.delete")
        assert await bob.call_error("users.delete") == NOT_AUTHORIZED


@pytest.mark.parametrize(
    ("procedure", "match", "pattern", "pattern_match"),
    [
        ("users.", "prefix", "users.delete", "prefix"),
        ("users.", "wildcard", "users.", "prefix"),
        ("users..delete", "wildcard", "users.a.delete", "wildcard"),
        ("users..", "wildcard", "users..delete", "wildcard"),
        (r"users\.\w+", "regex", "users.", "prefix"),
        (r"users\.\w+", "regex", "users.", "wildcard"),
    ],
)
async def test_client_cannot_take_calls_with_a_pattern(
    procedure: str, match: Any, pattern: str, pattern_match: str
) -> None:
    app = plugin_app()
    app.procedure(procedure, match=match, roles="admin")(accept)

    async with clients(app, "eve") as [eve]:
        refused = await eve.request_error(REGISTER, {"match": pattern_match}, pattern)

    assert refused == NOT_AUTHORIZED


@pytest.mark.parametrize(
    ("procedure", "match", "pattern", "pattern_match"),
    [
        ("users.delete", "exact", "users.", "prefix"),
        ("users.delete", "exact", "users.delete", "wildcard"),
        ("users.secret.", "prefix", "users.", "prefix"),
        ("users.secret.", "prefix", "users..x", "wildcard"),
        ("users..delete", "wildcard", "users..create", "wildcard"),
        ("users..delete", "wildcard", "users.delete", "exact"),
        (r"users\.\d+", "regex", "users.x", "exact"),
    ],
)
async def test_client_may_register_a_pattern_that_takes_no_restricted_call(
    procedure: str, match: Any, pattern: str, pattern_match: str
) -> None:
    app = plugin_app()
    app.procedure(procedure, match=match, roles="admin")(accept)

    async with clients(app, "eve") as [eve]:
        await eve.register(pattern, match=pattern_match)


async def test_client_may_register_below_a_pattern_without_roles() -> None:
    app = plugin_app()
    app.procedure("users.", match="prefix")(accept)
    app.procedure("", match="prefix", roles="admin")(accept)

    async with clients(app, "plugin") as [plugin]:
        await plugin.register("users.find")


async def test_client_procedures_of_a_session_cannot_take_calls_and_stay_possible() -> None:
    realm = Realm("desk", client_procedures="session")
    app = Application([realm])
    realm.procedure("ui.", match="prefix", roles="admin")(accept)

    async with clients(app, {}, realm="desk") as [client]:
        await client.register("ui.confirm")
        assert await client.call_error("ui.confirm") == NOT_AUTHORIZED


@pytest.mark.parametrize("match", ["prefix", "regex"])
async def test_restricted_procedure_added_at_run_time_revokes_registrations_that_take_its_calls(
    match: Any,
) -> None:
    app = plugin_app()

    async with clients(app, "plugin", "bob/member", "root/admin") as (plugin, bob, root):
        assert (await plugin.request(REGISTER, {}, "users.find"))[0] == REGISTERED
        await plugin.register("users", match="prefix")
        app.register("users." if match == "prefix" else r"users\..*", accept, match=match, roles="admin")
        assert await bob.call_error("users.find") == NOT_AUTHORIZED
        await root.call("users.find")


async def test_new_configuration_revokes_registrations_that_take_restricted_calls() -> None:
    app = plugin_app()

    async with clients(app, "plugin") as [plugin]:
        await plugin.register("users.find")
        prefix_procedure(app)
        async with clients(app, "bob/member", "root/admin") as (bob, root):
            assert await bob.call_error("users.find") == NOT_AUTHORIZED
            await root.call("users.find")


# Startup


def warnings_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


@pytest.mark.parametrize("add_route", ROUTES)
def test_rule_for_patterns_over_a_restricted_topic_is_a_warning_at_startup(
    add_route: AddRoute, caplog: pytest.LogCaptureFixture
) -> None:
    app = chat_app()
    add_route(app, roles="moderator")
    app.check()
    app.check()

    [warning] = warnings_of(caplog)
    assert "allow('chat.', 'subscribe', match='prefix')" in warning
    assert "chat" in warning
    assert "accept (" in warning
    assert "patterns=True" in warning


@pytest.mark.parametrize("add_route", ROUTES)
@pytest.mark.parametrize("patterns", [False, True])
def test_topic_that_says_whether_patterns_may_include_it_causes_no_warning(
    add_route: AddRoute, patterns: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = chat_app()
    add_route(app, roles="moderator", patterns=patterns)
    app.check()

    assert warnings_of(caplog) == []


def test_rules_for_single_topics_or_other_topics_or_actions_cause_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = open_app()
    app.allow("chat.moderators", "subscribe")
    app.allow("chat.", "publish", match="prefix")
    app.allow("news.", "subscribe", match="prefix")
    exact_route(app, roles="moderator")
    app.check()

    assert warnings_of(caplog) == []


def test_rule_for_patterns_over_a_gatekeeper_of_all_topics_is_a_warning_at_startup(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Application()
    app.allow("", "subscribe", match="prefix")
    app.set_subscription_handler(accept)
    app.check()

    [warning] = warnings_of(caplog)
    assert "allow('', 'subscribe', match='prefix')" in warning
    assert "accept (" in warning


def test_many_restricted_topics_are_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    app = chat_app()
    app.allow("chat.room.", "subscribe", match="prefix")
    for number in range(100):
        app.topic(f"chat.room.{number}")(accept)
    app.check()

    [warning] = warnings_of(caplog)
    assert "95 more" in warning
    assert len(warning) < 3000


@pytest.mark.parametrize("patterns", ["no", 1, accept])
def test_patterns_must_be_a_bool(patterns: Any) -> None:
    with pytest.raises(ConfigurationError, match="patterns is"):
        Application().topic("t", patterns=patterns)(accept)
    with pytest.raises(ConfigurationError, match="patterns is"):
        Application().set_subscription_handler(accept, patterns=patterns)


def test_roles_of_a_topic_that_a_gatekeeper_of_all_topics_replaces_are_an_error_at_startup() -> None:
    app = Application()
    exact_route(app, roles="moderator")
    app.set_subscription_handler(accept)

    with pytest.raises(ConfigurationError, match=r"'chat.moderators'.*roles"):
        app.check()
