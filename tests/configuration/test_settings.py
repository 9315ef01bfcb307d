"""The configuration methods of a realm."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.restricted_topics import accept
from wampasgi import Application, ConfigurationError, Realm, RPCRouteSet, TopicRouteSet


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
