"""Permission to subscribe: roles and gatekeepers of routes, which patterns of clients must not bypass."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.restricted_topics import ROUTES, AddRoute, accept, chat_app, exact_route
from tests.specification import CALL, ERROR, NOT_AUTHORIZED, RESULT, SUBSCRIBE, SUBSCRIBED, UNSUBSCRIBE
from tests.wamp_client import clients, open_app
from wampasgi import Application, Session, SubscribeError

pytestmark = pytest.mark.anyio

GET_EVENTS = "wamp.subscription.get_events"
LOOKUP = "wamp.subscription.lookup"

PATTERNS = [
    ("chat.", "prefix"),
    ("chat.moderators", "prefix"),
    ("chat.", "wildcard"),
    # A wildcard pattern without an empty component matches one topic, but is a subscription of its own.
    ("chat.moderators", "wildcard"),
]


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


async def test_history_of_a_guarded_topic_is_closed_again_when_the_session_unsubscribes() -> None:
    app = chat_app()
    app.keep_history("chat.moderators")
    exact_route(app)

    async with clients(app, "ann") as [ann]:
        subscription_id = await ann.subscribe("chat.moderators")
        assert (await ann.request(CALL, {}, GET_EVENTS, [subscription_id]))[0] == RESULT
        await ann.request(UNSUBSCRIBE, subscription_id)
        assert await ann.call_error(GET_EVENTS, subscription_id) == NOT_AUTHORIZED


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
