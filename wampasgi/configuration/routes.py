"""Routes from URIs to a realm's own handlers, and the tables to look them up in."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Literal, TypeAlias, TypeVar, Unpack, overload

from wampasgi.configuration.response_types import FROM_ANNOTATION
from wampasgi.configuration.route_details import (
    NO_DETAILS,
    Details,
    ProcedureDetails,
    RouteDetails,
    TopicDetails,
    read_details,
)
from wampasgi.configuration.topics import Topic
from wampasgi.errors import ConfigurationError
from wampasgi.injection.callables import require_function
from wampasgi.injection.markers import Dependency
from wampasgi.injection.plan import describe
from wampasgi.protocol.uris import is_reserved, require_pattern
from wampasgi.router.matching import URIMap, covers, overlaps, specificity
from wampasgi.router.permissions import roles_of
from wampasgi.types import Handler, Match

RouteMatch: TypeAlias = Literal["exact", "prefix", "wildcard", "regex"]

H = TypeVar("H", bound=Handler)
T = TypeVar("T")

# Components of a URI, also in the notation of MQTT.
_SEPARATOR = re.compile(r"[./]")
# A component that stands for others in globs, MQTT or NATS, or for a parameter.
_GLOB = re.compile(r"\*+|\+|#|>|\{.*\}|<.*>")
# The end of a pattern that stands for any further components.
_OPEN_END = re.compile(r"(?:\*+|#)$|^>$")

# Flags for a whole regular expression.
_INLINE_FLAGS = re.compile(r"\(\?[aiLmsux]+\)")

_MATCHES = ("exact", "prefix", "wildcard", "regex")


@dataclass(frozen=True, slots=True)
class Route:
    """A handler and the URIs that it answers.

    ``uri`` is a URI, a prefix, a wildcard pattern or a regular expression, depending on ``match``. Only
    ``roles`` may use it; if they are None, the realm's permissions decide. ``flags`` are the flags of a
    compiled regular expression. ``patterns`` is the option of topics that ``TopicRouteSet`` describes, and
    ``response_type`` the one of procedures that ``RPCRouteSet`` describes. ``dependencies`` are evaluated
    before the handler runs. ``details`` are for descriptions of the realm. ``published`` is the Topic that
    the route was declared with.
    """

    uri: str
    match: RouteMatch
    handler: Handler
    roles: frozenset[str] | None = None
    flags: int = 0
    patterns: bool | None = None
    response_type: Any = FROM_ANNOTATION
    dependencies: tuple[Dependency, ...] = ()
    details: Details = NO_DETAILS
    published: Topic[Any] | None = None

    def __post_init__(self) -> None:
        require_function(f"route {self.uri!r}", self.handler)
        where = f"route {self.uri!r} of {describe(self.handler)}"
        if self.match not in _MATCHES:
            raise ConfigurationError(
                f"{where}: match is {self.match!r}, it must be one of {', '.join(_MATCHES)}"
            )
        if self.patterns is not None and not isinstance(self.patterns, bool):
            raise ConfigurationError(f"{where}: patterns is {self.patterns!r}, it must be True or False")
        if self.patterns and self.dependencies:
            raise ConfigurationError(
                f"{where}: with patterns=True, subscriptions to patterns would bypass its dependencies: "
                f"leave out patterns=True, or restrict the topic by roles instead"
            )
        if self.published is not None and self.match != "exact":
            raise ConfigurationError(
                f"{where}: match is {self.match!r}, but a Topic has one URI, to publish to: pass the pattern "
                f"as a str, with event=..."
            )
        if self.match == "regex":
            try:
                self.compile()
            except re.error as error:
                raise ConfigurationError(f"{where}: invalid regular expression: {error}") from error
            return
        refuse_glob(where, self.uri)
        require_pattern(where, self.uri, self.match)
        if is_reserved(self.uri):
            raise ConfigurationError(
                f"{where}: URIs that begin with 'wamp.' are reserved for the router, choose another one"
            )

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags of the route, those of its routers first."""
        return self.details.tags

    @property
    def entry(self) -> tuple[Match, str]:
        """The match policy and URI of a route that is not a regular expression."""
        assert self.match != "regex"
        return self.match, self.uri

    def yields_to(self, match: Match, uri: str) -> bool:
        """Return whether a URI or pattern is a better match than this route, for URIs that match both."""
        return self.match == "regex" or specificity(match, uri) > specificity(*self.entry)

    def compile(self) -> re.Pattern[str]:
        """Return the regular expression of a route with ``match="regex"``."""
        return re.compile(self.uri, self.flags)

    def within(
        self,
        prefix: str,
        roles: frozenset[str] | None,
        tags: tuple[str, ...],
        dependencies: tuple[Dependency, ...],
    ) -> Route:
        """Return this route as a part of a router with a prefix, roles, tags and dependencies.

        A session needs one of ``roles`` in addition to the route's own. Raises ConfigurationError if that
        leaves no role.
        """
        if roles is not None and self.roles is not None:
            common = roles & self.roles
            if not common:
                raise ConfigurationError(
                    f"{self} of {describe(self.handler)} has the roles {sorted(self.roles)} and is included "
                    f"with the roles {sorted(roles)}: nobody could use it"
                )
            roles = common
        return replace(
            self,
            uri=self._prefixed(prefix),
            roles=self.roles if roles is None else roles,
            details=self.details.within(tags),
            dependencies=(*dependencies, *self.dependencies),
        )

    def _prefixed(self, prefix: str) -> str:
        if self.match != "regex" or not prefix:
            return prefix + self.uri
        # Python allows flags for the whole expression only at its beginning.
        flags = _INLINE_FLAGS.match(self.uri)
        inline, pattern = ("", self.uri) if flags is None else (flags[0], self.uri[flags.end() :])
        # The line break ends a comment.
        end = "\n" if self.compile().flags & re.VERBOSE else ""
        return f"{inline}(?-i:{re.escape(prefix)})(?:{pattern}{end})"

    def __str__(self) -> str:
        return f"{self.match} route {self.uri!r}"


def require_uri(decorator: str, uri: object) -> None:
    """Raise ConfigurationError unless the argument of a decorator is a string.

    It is the handler if the decorator is used without parentheses.
    """
    if not isinstance(uri, str):
        got = describe(uri) if callable(uri) else repr(uri)
        raise ConfigurationError(f"{decorator} got {got}: it takes a URI, {decorator}('com.example.uri')")


def refuse_glob(where: str, uri: object) -> None:
    """Raise ConfigurationError, prefixed with ``where``, for a pattern that WAMP does not have.

    These are globs (``chat.*``), MQTT's and NATS' wildcards (``chat.#``, ``chat.+``, ``chat.>``) and named
    components (``chat.{room}``, ``chat.<room>``). Most of them are valid URIs, but would match nothing else.
    """
    if not isinstance(uri, str):
        return
    *components, last = _SEPARATOR.split(uri)
    before = ["" if _GLOB.fullmatch(component) else component for component in components]
    if _OPEN_END.search(last) and before == components:
        instead = f'{".".join([*before, _OPEN_END.sub("", last)])!r} and match="prefix"'
    elif before != components or _GLOB.fullmatch(last):
        pattern = ".".join([*before, "" if _GLOB.fullmatch(last) else last])
        instead = f'{pattern!r} and match="wildcard", where an empty component matches any component'
    else:
        return
    raise ConfigurationError(f"{where}: WAMP has no pattern like {uri!r}: write {instead}")


class RouteSet(Sequence[Route]):
    """A sequence of routes that can be added to one or more realms.

    The methods take the keyword arguments of RouteDetails, ProcedureDetails or TopicDetails, too.
    """

    _details: type = RouteDetails

    def __init__(self) -> None:
        self._routes: list[Route] = []

    def route(
        self, uri: str, *, roles: str | Collection[str] | None = None, **details: Unpack[RouteDetails]
    ) -> Callable[[H], H]:
        """Decorate the handler for exactly this URI."""
        require_uri("@route", uri)
        return self._adder(uri, "exact", roles, details)

    def prefix_route(
        self, uri_prefix: str, *, roles: str | Collection[str] | None = None, **details: Unpack[RouteDetails]
    ) -> Callable[[H], H]:
        """Decorate the handler for URIs that begin with ``uri_prefix``. The longest prefix wins."""
        require_uri("@prefix_route", uri_prefix)
        return self._adder(uri_prefix, "prefix", roles, details)

    def regex_route(
        self,
        uri_pattern: str | re.Pattern[str],
        *,
        roles: str | Collection[str] | None = None,
        **details: Unpack[RouteDetails],
    ) -> Callable[[H], H]:
        """Decorate the handler for URIs that fully match a regular expression.

        Regular expressions are tried after all other routes, in the order in which they were added.
        """
        return self._regex_adder(uri_pattern, roles, details)

    def _regex_adder(
        self,
        uri_pattern: str | re.Pattern[str],
        roles: str | Collection[str] | None,
        details: Mapping[str, Any],
        *,
        patterns: bool | None = None,
        response_type: Any = FROM_ANNOTATION,
    ) -> Callable[[H], H]:
        flags = 0
        if isinstance(uri_pattern, re.Pattern):
            flags, uri_pattern = uri_pattern.flags, uri_pattern.pattern
        require_uri("@regex_route", uri_pattern)
        return self._adder(
            uri_pattern, "regex", roles, details, flags=flags, patterns=patterns, response_type=response_type
        )

    def _adder(
        self,
        uri: str,
        match: RouteMatch,
        roles: str | Collection[str] | None,
        details: Mapping[str, Any],
        *,
        flags: int = 0,
        patterns: bool | None = None,
        response_type: Any = FROM_ANNOTATION,
    ) -> Callable[[H], H]:
        checked = read_details(f"route {uri!r}", details, self._details)

        def add(handler: H) -> H:
            route = Route(
                uri, match, handler, roles_of(roles), flags, patterns, response_type, details=checked
            )
            for other in self._routes:
                if (other.match, other.uri) == (match, uri):
                    raise route_conflict(route, other)
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
    """Routes of procedures: each handler answers the calls of its URIs.

    ``response_type`` is the type of the results, in place of the handler's return annotation. It filters
    them: only the parts that it declares are sent. None turns this off.
    """

    _details = ProcedureDetails

    def route(
        self,
        uri: str,
        *,
        roles: str | Collection[str] | None = None,
        response_type: Any = FROM_ANNOTATION,
        **details: Unpack[ProcedureDetails],
    ) -> Callable[[H], H]:
        """Decorate the handler for exactly this URI."""
        require_uri("@route", uri)
        return self._adder(uri, "exact", roles, details, response_type=response_type)

    def prefix_route(
        self,
        uri_prefix: str,
        *,
        roles: str | Collection[str] | None = None,
        response_type: Any = FROM_ANNOTATION,
        **details: Unpack[ProcedureDetails],
    ) -> Callable[[H], H]:
        """Decorate the handler for URIs that begin with ``uri_prefix``. The longest prefix wins."""
        require_uri("@prefix_route", uri_prefix)
        return self._adder(uri_prefix, "prefix", roles, details, response_type=response_type)

    def regex_route(
        self,
        uri_pattern: str | re.Pattern[str],
        *,
        roles: str | Collection[str] | None = None,
        response_type: Any = FROM_ANNOTATION,
        **details: Unpack[ProcedureDetails],
    ) -> Callable[[H], H]:
        """Decorate the handler for URIs that fully match a regular expression.

        Regular expressions are tried after all other routes, in the order in which they were added.
        """
        return self._regex_adder(uri_pattern, roles, details, response_type=response_type)


class TopicRouteSet(RouteSet):
    """Routes of topics: each handler is the gatekeeper of its topics.

    A gatekeeper is an async generator function that runs around each subscription: up to its ``yield`` before
    SUBSCRIBED is sent, and the rest when the subscription ends. It raises SubscribeError to refuse the
    subscription, and returns or yields nothing.

    A gatekeeper does not run for patterns. So clients may subscribe to a pattern that can match one of its
    topics only if the route has ``patterns=True``, a rule or the authorizer allows the pattern, and the
    session has one of the ``roles``. ``patterns=False`` refuses patterns, as by default, but without the
    warning at startup that a rule allows them. A regular expression could match a topic of any pattern.
    """

    _details = TopicDetails

    def route(
        self,
        uri: str,
        *,
        roles: str | Collection[str] | None = None,
        patterns: bool | None = None,
        **details: Unpack[TopicDetails],
    ) -> Callable[[H], H]:
        """Decorate the gatekeeper of exactly this topic."""
        require_uri("@route", uri)
        return self._adder(uri, "exact", roles, details, patterns=patterns)

    def prefix_route(
        self,
        uri_prefix: str,
        *,
        roles: str | Collection[str] | None = None,
        patterns: bool | None = None,
        **details: Unpack[TopicDetails],
    ) -> Callable[[H], H]:
        """Decorate the gatekeeper of topics that begin with ``uri_prefix``. The longest prefix wins."""
        require_uri("@prefix_route", uri_prefix)
        return self._adder(uri_prefix, "prefix", roles, details, patterns=patterns)

    def regex_route(
        self,
        uri_pattern: str | re.Pattern[str],
        *,
        roles: str | Collection[str] | None = None,
        patterns: bool | None = None,
        **details: Unpack[TopicDetails],
    ) -> Callable[[H], H]:
        """Decorate the gatekeeper of topics that fully match a regular expression.

        Regular expressions are tried after all other routes, in the order in which they were added.
        """
        return self._regex_adder(uri_pattern, roles, details, patterns=patterns)


class RouteTable(Generic[T]):
    """A table of routes, each with a value, such as the compiled handler.

    A lookup tries exact URIs first, then prefixes, wildcards and regular expressions.
    """

    def __init__(self) -> None:
        self._by_uri: URIMap[tuple[Route, T]] = URIMap()
        self._by_regex: list[tuple[re.Pattern[str], Route, T]] = []

    def add(self, route: Route, value: T) -> None:
        """Add a route and its value. Raises ConfigurationError if there is a route with the same URI."""
        if route.match == "regex":
            for pattern, other, _ in self._by_regex:
                if pattern.pattern == route.uri:
                    raise route_conflict(route, other)
            self._by_regex.append((route.compile(), route, value))
            return
        existing = self._by_uri.get(route.match, route.uri)
        if existing is not None:
            raise route_conflict(route, existing[0])
        self._by_uri.add(route.match, route.uri, (route, value))

    def find(self, uri: str) -> T | None:
        """Return the value of the route that matches ``uri`` best, or None."""
        found = self._by_uri.best(uri)
        if found is not None:
            return found[1]
        return self.find_by_regex(uri)

    def find_by_regex(self, uri: str) -> T | None:
        """Return the value of the first regular expression that matches ``uri``, or None."""
        for pattern, _, value in self._by_regex:
            if pattern.fullmatch(uri):
                return value
        return None

    def overlapping(self, match: Match, uri: str) -> Iterator[T]:
        """Yield the values of the routes that ``find`` can return for the URIs that match a pattern.

        The best routes come first. If one of them matches all URIs of the pattern, the worse ones are left
        out. Of the regular expressions, all may be returned, because it cannot be decided if one matches a
        URI of the pattern.
        """
        found = [pair for pair in self._by_uri if overlaps(*pair[0].entry, match, uri)]
        found.sort(key=lambda pair: specificity(*pair[0].entry), reverse=True)
        for route, value in found:
            yield value
            if covers(*route.entry, match, uri):
                return
        for pattern, _, value in self._by_regex:
            if match != "exact" or pattern.fullmatch(uri):
                yield value

    def get(self, match: RouteMatch, uri: str) -> T | None:
        """Return the value of the route with exactly this match policy and URI, or None."""
        if match == "regex":
            return next((value for pattern, _, value in self._by_regex if pattern.pattern == uri), None)
        found = self._by_uri.get(match, uri)
        return None if found is None else found[1]

    def remove(self, match: RouteMatch, uri: str) -> None:
        """Remove a route, which must be in the table."""
        if match == "regex":
            self._by_regex = [entry for entry in self._by_regex if entry[0].pattern != uri]
        else:
            self._by_uri.remove(match, uri)

    def __iter__(self) -> Iterator[T]:
        for _, value in self._by_uri:
            yield value
        for _, _, value in self._by_regex:
            yield value


def route_conflict(route: Route, other: Route) -> ConfigurationError:
    """Return the error for two routes with the same URI."""
    return ConfigurationError(
        f"{route} of {describe(route.handler)} is already used by {describe(other.handler)}: "
        f"give one of them another URI"
    )
