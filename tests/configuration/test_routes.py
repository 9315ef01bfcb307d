from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wampasgi import Application, ConfigurationError, Depends, Realm, RPCRouteSet, TopicRouteSet, WAMPRouter
from wampasgi.configuration.routes import Route, RouteTable
from wampasgi.router.matching import matcher, overlaps
from wampasgi.types import Match


async def one() -> None: ...


async def two() -> None: ...


def test_route_set_is_a_sequence_of_its_routes() -> None:
    routes = RPCRouteSet()
    routes.route("a.b")(one)
    routes.prefix_route("a.", roles="admin")(two)

    assert [route.handler for route in routes] == [one, two]
    assert routes[0].uri == "a.b"
    assert routes[1:][0].roles == frozenset({"admin"})
    assert len(routes) == 2
    assert routes[0] in routes
    assert repr(routes) == "<RPCRouteSet count=2>"


def test_decorators_return_the_handler() -> None:
    routes = TopicRouteSet()

    assert routes.route("a")(one) is one
    assert routes.regex_route("a+")(two) is two


def test_regex_route_keeps_the_flags_of_a_compiled_pattern() -> None:
    routes = RPCRouteSet()
    routes.regex_route(re.compile("docs", re.IGNORECASE))(one)
    table: RouteTable[str] = RouteTable()
    table.add(routes[0], "found")

    assert table.find("DOCS") == "found"
    assert table.find("DOCS.more") is None


def test_table_finds_values_by_uri() -> None:
    table: RouteTable[str] = RouteTable()
    for number, (uri, match) in enumerate(
        [("a.b", "exact"), ("a.", "prefix"), ("a..c", "wildcard"), (".*", "regex")]
    ):
        table.add(Route(uri, match, one), str(number))  # type: ignore[arg-type]

    assert [table.find(uri) for uri in ("a.b", "a.x", "b")] == ["0", "1", "3"]
    assert sorted(table) == ["0", "1", "2", "3"]


def test_wildcard_route_matches_exactly_one_component() -> None:
    table: RouteTable[str] = RouteTable()
    table.add(Route("room..said", "wildcard", one), "room")

    assert table.find("room.5.said") == "room"
    assert table.find("room.5.6.said") is None


def test_removed_route_is_not_found() -> None:
    table: RouteTable[str] = RouteTable()
    table.add(Route("a.b", "exact", one), "exact")
    table.add(Route("a.*", "regex", one), "regex")
    table.add(Route("b.*", "regex", two), "other")
    table.remove("exact", "a.b")

    assert table.get("exact", "a.b") is None
    assert table.find("a.b") == table.get("regex", "a.*") == "regex"
    table.remove("regex", "a.*")
    assert table.get("regex", "a.*") is None
    assert list(table) == ["other"]


def test_regular_expressions_are_tried_in_the_order_of_addition() -> None:
    table: RouteTable[str] = RouteTable()
    table.add(Route("a.b", "exact", one), "exact")
    table.add(Route("a\\..*", "regex", one), "first")
    table.add(Route(".*", "regex", two), "second")

    assert table.find("a.b") == "exact"
    assert table.find_by_regex("a.b") == "first"
    assert table.find_by_regex("b") == "second"
    assert table.get("regex", ".*") == "second"


COMPONENTS = ("a", "ab", "b")
TOPICS = [".".join(parts) for length in (1, 2, 3) for parts in itertools.product(COMPONENTS, repeat=length)]


@st.composite
def patterns(draw: st.DrawFn) -> tuple[Match, str]:
    match: Match = draw(st.sampled_from(("exact", "prefix", "wildcard")))
    components = draw(st.lists(st.sampled_from(COMPONENTS), min_size=1, max_size=3))
    if match == "wildcard":
        components = [draw(st.sampled_from((component, ""))) for component in components]
    uri = ".".join(components)
    return match, uri[: draw(st.integers(0, len(uri)))].replace("..", ".") if match == "prefix" else uri


@given(st.lists(patterns(), max_size=6, unique=True), patterns())
def test_routes_that_overlap_a_pattern_are_those_that_its_uris_can_find(
    routes: list[tuple[Match, str]], pattern: tuple[Match, str]
) -> None:
    table: RouteTable[tuple[Match, str]] = RouteTable()
    for match, uri in routes:
        table.add(Route(uri, match, one), (match, uri))
    overlapping = list(table.overlapping(*pattern))
    is_match = matcher(*pattern)

    found = {table.find(topic) for topic in TOPICS if is_match(topic)} - {None}
    assert found <= set(overlapping)
    assert all(overlaps(*route, *pattern) for route in overlapping)


def test_routes_that_no_uri_of_a_pattern_can_find_do_not_overlap_it() -> None:
    table: RouteTable[str] = RouteTable()
    for name, match, uri in [
        ("any", "prefix", ""),
        ("news", "prefix", "news."),
        ("local", "exact", "news.local"),
        ("said", "wildcard", "news..said"),
        ("regex", "regex", r"news\..*"),
    ]:
        table.add(Route(uri, match, one), name)  # type: ignore[arg-type]

    # Any prefix outranks any wildcard and any regular expression.
    assert list(table.overlapping("prefix", "news.")) == ["local", "news"]
    assert list(table.overlapping("exact", "news.local")) == ["local"]
    assert list(table.overlapping("prefix", "weather.")) == ["any"]
    table.remove("prefix", "")
    assert list(table.overlapping("prefix", "n")) == ["local", "news", "said", "regex"]
    # It cannot be decided if a regular expression matches a URI of a pattern.
    assert list(table.overlapping("prefix", "weather.")) == ["regex"]
    assert list(table.overlapping("exact", "weather.rome")) == []


# Patterns that WAMP does not have


CONFIGURE: list[Callable[[Realm, str], object]] = [
    lambda realm, uri: realm.allow(uri, "publish"),
    lambda realm, uri: realm.allow(uri, "publish", match="prefix"),
    lambda realm, uri: realm.allow(uri, "publish", match="wildcard"),
    lambda realm, uri: realm.keep_history(uri),
    lambda realm, uri: realm.keep_history(uri, match="prefix"),
    lambda realm, uri: realm.procedure(uri)(one),
    lambda realm, uri: realm.procedure(uri, match="prefix")(one),
    lambda realm, uri: realm.topic(uri)(one),
    lambda realm, uri: realm.topic(uri, match="wildcard")(one),
    lambda realm, uri: realm.subscriber(uri)(one),
    lambda realm, uri: Application([realm]).realms["r"].events(uri),
    lambda realm, uri: Application([realm]).realms["r"].subscribe(uri, one),
    lambda realm, uri: RPCRouteSet().route(uri)(one),
    lambda realm, uri: RPCRouteSet().prefix_route(uri)(one),
    lambda realm, uri: TopicRouteSet().route(uri)(one),
]


@pytest.mark.parametrize("configure", CONFIGURE)
@pytest.mark.parametrize(
    ("uri", "instead"),
    [
        ("chat.*", "'chat.' and match=\"prefix\""),
        ("chat.**", "'chat.' and match=\"prefix\""),
        ("chat.#", "'chat.' and match=\"prefix\""),
        ("chat.>", "'chat.' and match=\"prefix\""),
        ("chat*", "'chat' and match=\"prefix\""),
        ("chat/#", "'chat.' and match=\"prefix\""),
        ("*", "'' and match=\"prefix\""),
        ("#", "'' and match=\"prefix\""),
        ("chat.+", "'chat.' and match=\"wildcard\""),
        ("chat.*.said", "'chat..said' and match=\"wildcard\""),
        ("chat/+/said", "'chat..said' and match=\"wildcard\""),
        ("chat.{room}", "'chat.' and match=\"wildcard\""),
        ("chat.<room>.said", "'chat..said' and match=\"wildcard\""),
    ],
)
def test_pattern_of_another_notation_is_refused_with_the_one_of_wamp(
    configure: Callable[[Realm, str], object], uri: str, instead: str
) -> None:
    with pytest.raises(
        ConfigurationError, match=re.escape(f"WAMP has no pattern like {uri!r}: write {instead}")
    ):
        configure(Realm("r"), uri)


@pytest.mark.parametrize("uri", ["chat", "chat.a*b", "chat.+49", "chat.a>b", "a-b/c", "chat.{a", "chat.x{y}"])
def test_uri_with_such_a_character_inside_of_a_component_is_accepted(uri: str) -> None:
    realm = Realm("r")
    realm.allow(uri, "publish")
    realm.procedure(uri)(one)


def test_regular_expression_may_look_like_a_glob() -> None:
    Realm("r").procedure(r"chat\..*", match="regex")(one)


# Handlers that pass unnoticed and then fail


async def generator() -> AsyncIterator[int]:
    yield 1


@pytest.mark.parametrize(
    "configure",
    [
        lambda app: app.subscriber("t")(generator),
        lambda app: app.on_overflow(generator),
        lambda app: app.on_authentication_failed(generator),
        lambda app: app.authorizer(generator),
        lambda app: app.add_transport_authenticator(generator),
        lambda app: app.set_ticket_authenticator(generator),
        lambda app: app.set_cra_handlers(generator, one),
        lambda app: app.set_cra_handlers(one, generator),
        lambda app: app.set_scram_handlers(one, generator),
        lambda app: app.set_cryptosign_handlers(generator, one),
        lambda app: app.set_authentication_handler(generator),
        lambda app: app.subscribe("t", generator),
    ],
)
def test_async_generator_function_is_refused_for_handlers_that_must_not_yield(
    configure: Callable[[Application], object],
) -> None:
    def configure_and_check() -> None:
        app = Application()
        configure(app)
        app.check()

    with pytest.raises(ConfigurationError, match=r"generator \(.*:\d+\) is an async generator function"):
        configure_and_check()


SETTERS: list[Callable[[Application, Any], object]] = [
    lambda app, handler: app.procedure("p")(handler),
    lambda app, handler: app.topic("t")(handler),
    lambda app, handler: app.subscriber("t")(handler),
    lambda app, handler: RPCRouteSet().route("p")(handler),
    lambda app, handler: TopicRouteSet().prefix_route("t")(handler),
    lambda app, handler: WAMPRouter().procedure("p")(handler),
    lambda app, handler: WAMPRouter().topic("t")(handler),
    lambda app, handler: WAMPRouter().subscriber("t")(handler),
    lambda app, handler: app.set_rpc_handler(handler),
    lambda app, handler: app.set_subscription_handler(handler),
    lambda app, handler: app.add_session_lifespan_handler(handler),
    lambda app, handler: app.on_overflow(handler),
    lambda app, handler: app.on_authentication_failed(handler),
    lambda app, handler: app.authorizer(handler),
    lambda app, handler: app.add_transport_authenticator(handler),
    lambda app, handler: app.set_ticket_authenticator(handler),
    lambda app, handler: app.set_cra_handlers(handler, one),
    lambda app, handler: app.set_scram_handlers(one, handler),
    lambda app, handler: app.set_cryptosign_handlers(one, handler),
    lambda app, handler: app.set_authentication_handler(handler),
    lambda app, handler: app.set_default_arg("db", factory=handler),
    lambda app, handler: app.register("p", handler),
    lambda app, handler: app.subscribe("t", handler),
]


@pytest.mark.parametrize("configure", SETTERS)
def test_coroutine_or_other_object_as_a_handler_is_refused_immediately(
    configure: Callable[[Application, Any], object],
) -> None:
    with pytest.raises(ConfigurationError, match=r"got the coroutine that a call of one \(.*:\d+\) returned"):
        configure(Application(), one())
    with pytest.raises(ConfigurationError, match="got 5, which is not callable: pass a function"):
        configure(Application(), 5)


def test_coroutine_as_a_default_arg_is_refused_with_advice() -> None:
    for value in (one(), generator()):
        with pytest.raises(
            ConfigurationError, match=r"a default arg got the .* pass the function itself, as factory="
        ):
            Realm("r").set_default_arg("db", value)


def test_coroutine_as_a_dependency_is_refused() -> None:
    app = Application()

    @app.procedure("p")
    async def procedure(db: Any = Depends(one())) -> None: ...  # type: ignore[arg-type]  # noqa: B008

    with pytest.raises(
        ConfigurationError, match=r"Depends of the parameter 'db' got the coroutine that a call of one"
    ):
        app.check()


def test_procedure_that_is_decorated_in_a_class_is_refused_at_startup() -> None:
    app = Application()

    class Cart:
        @app.procedure("cart.add")
        async def add(self, item: int) -> None: ...

    with pytest.raises(ConfigurationError, match=r"Cart\.add \(.*:\d+\) is a method without its object"):
        app.check()
