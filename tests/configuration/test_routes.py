from __future__ import annotations

import re

from wampasgi import RPCRouteSet, TopicRouteSet
from wampasgi.configuration.routes import Route, RouteTable


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
