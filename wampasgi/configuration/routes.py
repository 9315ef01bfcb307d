"""Tables of a realm's own procedures, topics and subscribers, and the URIs they are found by."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeAlias, TypeVar, overload

from wampasgi.errors import ConfigurationError
from wampasgi.injection.plan import describe
from wampasgi.protocol.uris import is_reserved, require_pattern
from wampasgi.router.matching import URIMap
from wampasgi.router.permissions import roles_of
from wampasgi.types import Handler

RouteMatch: TypeAlias = Literal["exact", "prefix", "wildcard", "regex"]

H = TypeVar("H", bound=Handler)
T = TypeVar("T")

_MATCHES = ("exact", "prefix", "wildcard", "regex")


@dataclass(frozen=True, slots=True)
class Route:
    """One handler and the URIs that it answers.

    ``uri`` is a URI, a prefix, a wildcard pattern or a regular expression, as ``match`` says. ``roles`` are
    the only ones that may use it; None leaves that to the realm's permissions. ``flags`` are those of a
    compiled regular expression.
    """

    uri: str
    match: RouteMatch
    handler: Handler
    roles: frozenset[str] | None = None
    flags: int = 0

    def __post_init__(self) -> None:
        where = f"route {self.uri!r} of {describe(self.handler)}"
        if self.match not in _MATCHES:
            raise ConfigurationError(
                f"{where}: match is {self.match!r}, it must be one of {', '.join(_MATCHES)}"
            )
        if not callable(self.handler):
            raise ConfigurationError(f"{where}: the handler must be a function, not {self.handler!r}")
        if self.match == "regex":
            try:
                self.compile()
            except re.error as error:
                raise ConfigurationError(f"{where}: the regular expression is wrong: {error}") from error
            return
        require_pattern(where, self.uri, self.match)
        if is_reserved(self.uri):
            raise ConfigurationError(
                f"{where}: URIs that begin with 'wamp.' are the router's, choose another"
            )

    def compile(self) -> re.Pattern[str]:
        """The regular expression of a route with ``match="regex"``."""
        return re.compile(self.uri, self.flags)

    def __str__(self) -> str:
        return f"{self.match} route {self.uri!r}"


def require_uri(decorator: str, uri: object) -> None:
    """Raise ConfigurationError where a decorator was given the handler itself, or anything else but text."""
    if not isinstance(uri, str):
        got = describe(uri) if callable(uri) else repr(uri)
        raise ConfigurationError(f"{decorator} got {got}: it takes a URI, {decorator}('com.example.uri')")


class RouteSet(Sequence[Route]):
    """A collection of routes, to add to one or more realms."""

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def route(self, uri: str, *, roles: str | Collection[str] | None = None) -> Callable[[H], H]:
        """Decorate the handler of exactly this URI."""
        require_uri("@route", uri)
        return self._adder(uri, "exact", roles)

    def prefix_route(
        self, uri_prefix: str, *, roles: str | Collection[str] | None = None
    ) -> Callable[[H], H]:
        """Decorate the handler of the URIs that begin with ``uri_prefix``; the longest prefix wins."""
        require_uri("@prefix_route", uri_prefix)
        return self._adder(uri_prefix, "prefix", roles)

    def regex_route(
        self, uri_pattern: str | re.Pattern[str], *, roles: str | Collection[str] | None = None
    ) -> Callable[[H], H]:
        """Decorate the handler of the URIs that the regular expression matches as a whole.

        Regular expressions are tried last, in the order in which they were added.
        """
        if isinstance(uri_pattern, re.Pattern):
            return self._adder(uri_pattern.pattern, "regex", roles, flags=uri_pattern.flags)
        require_uri("@regex_route", uri_pattern)
        return self._adder(uri_pattern, "regex", roles)

    def _adder(
        self, uri: str, match: RouteMatch, roles: str | Collection[str] | None, flags: int = 0
    ) -> Callable[[H], H]:
        def add(handler: H) -> H:
            route = Route(uri, match, handler, roles_of(roles), flags)
            for other in self._routes:
                if (other.match, other.uri) == (match, uri):
                    raise _taken(route, other)
            self._routes.append(route)
            return handler

        return add

    def __repr__(self) -> str:
        return f"<{type(self).__name__} count={len(self._routes)}>"

    @overload
    def __getitem__(self, index: int) -> Route: ...
    @overload
    def __getitem__(self, index: slice) -> list[Route]: ...
    def __getitem__(self, index: int | slice) -> Route | list[Route]:
        return self._routes[index]

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)


class RPCRouteSet(RouteSet):
    """Procedures: each handler answers the calls of its URIs."""


class TopicRouteSet(RouteSet):
    """Topics: each handler is the gatekeeper of its URIs.

    A gatekeeper is an async generator function that runs around each subscription: up to its ``yield`` before
    SUBSCRIBED, from there when the subscription ends. It raises SubscribeError to refuse.
    """


class RouteTable(Generic[T]):
    """What a realm has at its URIs: exact URIs first, then prefixes, wildcards and regular expressions.

    Each entry is a route with what was made of it for the realm.
    """

    def __init__(self) -> None:
        self._by_uri: URIMap[tuple[Route, T]] = URIMap()
        self._by_regex: list[tuple[re.Pattern[str], Route, T]] = []

    def add(self, route: Route, value: T) -> None:
        """Add a route; raises ConfigurationError where its URI is taken."""
        if route.match == "regex":
            for pattern, other, _ in self._by_regex:
                if pattern.pattern == route.uri:
                    raise _taken(route, other)
            self._by_regex.append((route.compile(), route, value))
            return
        taken = self._by_uri.get(route.match, route.uri)
        if taken is not None:
            raise _taken(route, taken[0])
        self._by_uri.add(route.match, route.uri, (route, value))

    def find(self, uri: str) -> T | None:
        """What answers this URI, or None."""
        found = self._by_uri.best(uri)
        if found is not None:
            return found[1]
        return self.find_by_regex(uri)

    def find_by_regex(self, uri: str) -> T | None:
        """Return what the first regular expression that matches this URI stands for."""
        for pattern, _, value in self._by_regex:
            if pattern.fullmatch(uri):
                return value
        return None

    def get(self, match: RouteMatch, uri: str) -> T | None:
        """What was added as exactly this policy and URI, None where there is nothing."""
        if match == "regex":
            return next((value for pattern, _, value in self._by_regex if pattern.pattern == uri), None)
        found = self._by_uri.get(match, uri)
        return None if found is None else found[1]

    def remove(self, match: RouteMatch, uri: str) -> None:
        """Remove a route that is there."""
        if match == "regex":
            self._by_regex = [entry for entry in self._by_regex if entry[0].pattern != uri]
        else:
            self._by_uri.remove(match, uri)

    def __iter__(self) -> Iterator[T]:
        for _, value in self._by_uri:
            yield value
        for _, _, value in self._by_regex:
            yield value


def _taken(route: Route, other: Route) -> ConfigurationError:
    return ConfigurationError(
        f"{route} of {describe(route.handler)} is taken by {describe(other.handler)}: "
        f"give one of them another URI"
    )
