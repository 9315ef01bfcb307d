from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from wampasgi import RPCRouteSet, TopicRouteSet
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
