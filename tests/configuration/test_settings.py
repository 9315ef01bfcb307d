"""The configuration methods of a realm."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.restricted_topics import accept
from wampasgi import Application, ConfigurationError, Realm, RPCRouteSet, Session, TopicRouteSet
from wampasgi.configuration.settings import ConfiguresRealm, RealmSettings


async def handler() -> None: ...


async def generator() -> AsyncIterator[None]:
    yield


class PlainASGI:
    """ASGI middleware that is not wrapped in Starlette's Middleware."""


def added_twice() -> None:
    routes = RPCRouteSet()
    routes.route("a.b")(handler)
    realm = Realm("r")
    realm.add_routes(routes)
    realm.add_routes(routes)


def one_uri_in_two_route_sets() -> None:
    realm = Realm("r")
    for _ in range(2):
        routes = TopicRouteSet()
        routes.prefix_route("a.")(generator)
        realm.add_routes(routes)


def two_equal_regexes() -> None:
    realm = Realm("r")
    realm.procedure("a+", match="regex")(handler)
    realm.procedure("a+", match="regex")(generator)


def two_authorizers() -> None:
    realm = Realm("r")
    realm.authorizer(handler)
    realm.authorizer(handler)


@pytest.mark.parametrize(
    ("configure", "text"),
    [
        (added_twice, "is already part of this realm"),
        (one_uri_in_two_route_sets, r"prefix route 'a\.' of .* is already used by"),
        (two_equal_regexes, r"regex route 'a\+' .* is already used by"),
        (two_authorizers, "the realm already has .*handler"),
        (lambda: Realm("r", limits=5), "limits=5: write limits=Limits"),  # type: ignore[arg-type]
        (lambda: Realm("r", middleware=[PlainASGI]), "PlainASGI.* must be wrapped"),  # type: ignore[list-item]
        (lambda: Realm("r").procedure("a", match="glob")(handler), "handler.*match is 'glob'"),  # type: ignore[arg-type]
        (lambda: Realm("r").subscriber("a", match="regex")(handler), "handler.*match is 'regex'"),  # type: ignore[arg-type]
        (lambda: Realm("r").procedure(handler), r"@procedure got .*handler \(.*: it takes a URI"),  # type: ignore[arg-type]
        (lambda: Realm("r").topic(generator), "@topic got .*generator"),  # type: ignore[arg-type]
        (lambda: Realm("r").subscriber(handler), "@subscriber got .*handler"),  # type: ignore[arg-type]
        (lambda: Realm("r").procedure("a", roles=())(handler), r"roles is \(\)"),
        (lambda: Realm("r").procedure("a", roles=5)(handler), "roles is 5"),  # type: ignore[arg-type]
        (lambda: Realm("r").procedure("a b")(handler), "handler.*'a b' is not a valid URI"),
        (lambda: Realm("r").procedure("wamp.mine")(handler), "are reserved for the router"),
        (lambda: Realm("r").procedure("(", match="regex")(handler), "invalid regular expression"),
        (lambda: Realm("r").procedure("a")(5), "route 'a' got 5, which is not callable"),  # type: ignore[type-var]
        (lambda: Realm("r").add_routes([handler]), "it takes an RPCRouteSet"),  # type: ignore[arg-type]
        (lambda: Realm("r").add_rpc_routes(TopicRouteSet()), "it takes an RPCRouteSet"),  # type: ignore[arg-type]
        (lambda: Realm("r").add_topic_routes(RPCRouteSet()), "it takes a TopicRouteSet"),  # type: ignore[arg-type]
        (lambda: Realm("r").set_default_arg("session", 1), "default arg 'session' would never be used"),
    ],
)
def test_invalid_setting_raises_immediately(configure: Callable[[], object], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        configure()


@pytest.mark.parametrize("patterns", ["no", 1, accept])
def test_patterns_must_be_a_bool(patterns: Any) -> None:
    with pytest.raises(ConfigurationError, match="patterns is"):
        Application().topic("t", patterns=patterns)(accept)
    with pytest.raises(ConfigurationError, match="patterns is"):
        Application().set_subscription_handler(accept, patterns=patterns)


# Changes


class Configured(ConfiguresRealm):
    """Settings that belong to no realm, and the number of their changes."""

    def __init__(self) -> None:
        self.changes = 0
        self.histories: list[tuple[str, str, int]] = []
        self._settings = RealmSettings(
            mock_secret=lambda: b"secret",
            realm=Realm("r"),
            middleware=[],
            limits=None,
            changed=self._count,
            keep_history=lambda topic, match, limit: self.histories.append((topic, match, limit)),
        )

    @property
    def settings(self) -> RealmSettings:
        return self._settings

    def _count(self) -> None:
        self.changes += 1


class Method:
    """A challenge method that is never used."""

    name = "pin"

    async def begin(self, session: Session) -> Any: ...


@pytest.mark.parametrize(
    "configure",
    [
        lambda realm: realm.procedure("a")(handler),
        lambda realm: realm.topic("a")(generator),
        lambda realm: realm.subscriber("a")(handler),
        lambda realm: realm.add_routes(TopicRouteSet()),
        lambda realm: realm.add_rpc_routes(RPCRouteSet()),
        lambda realm: realm.add_topic_routes(TopicRouteSet()),
        lambda realm: realm.set_rpc_handler(handler),
        lambda realm: realm.set_subscription_handler(generator),
        lambda realm: realm.set_default_arg("database", 1),
        lambda realm: realm.add_session_lifespan_handler(generator),
        lambda realm: realm.add_session_state_handler(generator, False),
        lambda realm: realm.on_overflow(handler),
        lambda realm: realm.allow("a", "call"),
        lambda realm: realm.allow_all(),
        lambda realm: realm.authorizer(handler),
        lambda realm: realm.authorizer(cache=True)(handler),
        lambda realm: realm.add_transport_authenticator(handler),
        lambda realm: realm.set_ticket_authenticator(handler),
        lambda realm: realm.set_cra_handlers(handler, handler),
        lambda realm: realm.set_scram_handlers(handler, handler),
        lambda realm: realm.set_cryptosign_handlers(handler, handler),
        lambda realm: realm.add_challenge_method(Method()),
        lambda realm: realm.set_authentication_handler(handler),
        lambda realm: realm.on_authentication_failed(handler),
    ],
)
def test_each_method_announces_one_change(configure: Callable[[Configured], object]) -> None:
    realm = Configured()
    configure(realm)
    assert realm.changes == 1


def test_refused_setting_changes_nothing() -> None:
    realm = Configured()
    for configure in (
        lambda: realm.procedure("a b")(handler),
        lambda: realm.topic("a", match="wildcard", roles=())(generator),
        lambda: realm.subscriber("a.*")(handler),
        lambda: realm.set_default_arg("request", 1),
        lambda: realm.add_session_lifespan_handler(handler),
        lambda: realm.allow("a.*", "call"),
    ):
        with pytest.raises(ConfigurationError):
            configure()

    assert realm.changes == 0
    assert not [*realm.settings.procedures, *realm.settings.topics, *realm.settings.subscribers]
    assert not realm.settings.default_args
    assert not realm.settings.lifespan_handlers


def test_lifespan_handlers_are_early_if_they_do_not_wait_for_authentication() -> None:
    realm = Configured()
    realm.add_session_lifespan_handler(generator)
    realm.add_session_state_handler(later, authenticated_only=False)

    assert realm.settings.lifespan_handlers == [generator]
    assert realm.settings.early_lifespan_handlers == [later]


async def later() -> AsyncIterator[None]:
    yield


def test_history_is_kept_from_the_moment_of_the_call() -> None:
    realm = Configured()
    realm.keep_history("a")
    realm.keep_history("b.", match="prefix", limit=1)

    assert realm.histories == [("a", "exact", 500), ("b.", "prefix", 1)]
