"""Routers, which group handlers with a prefix and restrictions, and the decorators that declare handlers."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeAlias, Unpack

from wampasgi.configuration.method_marks import HandlerKind, marked_methods
from wampasgi.configuration.response_types import FROM_ANNOTATION
from wampasgi.configuration.route_details import (
    Details,
    ProcedureDetails,
    RouteDetails,
    TopicDetails,
    read_details,
    tags_of,
)
from wampasgi.configuration.routes import (
    H,
    Route,
    RouteMatch,
    refuse_glob,
    require_uri,
    route_conflict,
)
from wampasgi.configuration.topics import Topic
from wampasgi.errors import ConfigurationError
from wampasgi.injection.callables import require_function
from wampasgi.injection.markers import checked_dependencies
from wampasgi.injection.plan import describe
from wampasgi.protocol.uris import is_reserved, require_pattern
from wampasgi.router.permissions import roles_of
from wampasgi.types import Match

#: The routers and objects that were added, with their prefixes.
Inclusions: TypeAlias = list[tuple[object, str]]

# Components, each with a dot after it.
_PREFIX: Final = re.compile(r"(?:[^\s.#]+\.)*")


class DeclaresHandlers(ABC):
    """The decorators and methods that declare the handlers of procedures, topics and events."""

    @property
    @abstractmethod
    def _inclusions(self) -> Inclusions:
        """The routers and objects whose handlers were added."""

    @abstractmethod
    def _declare(self, kind: HandlerKind, route: Route) -> None:
        """Add a route. Raises ConfigurationError if a procedure or topic has one with the same URI."""

    def procedure(
        self,
        uri: str,
        *,
        match: RouteMatch = "exact",
        roles: str | Collection[str] | None = None,
        response_type: Any = FROM_ANNOTATION,
        dependencies: Iterable[Any] = (),
        **details: Unpack[ProcedureDetails],
    ) -> Callable[[H], H]:
        """Decorate the handler of a procedure.

        ``match`` is exact, prefix, wildcard or regex. If ``roles`` are given, only they may call it.
        ``response_type`` is the type of its results, in place of its return annotation: see RPCRouteSet.
        ``dependencies``, a list of ``Depends``, are evaluated before it. The other arguments describe it:
        ``summary``, ``description``, ``tags``, ``deprecated``, ``include_in_schema``, ``examples`` and
        ``errors``; see docs/descriptions.md.
        """
        require_uri("@procedure", uri)
        where = f"@procedure({uri!r})"
        checked = read_details(where, details, ProcedureDetails)

        def add(handler: H) -> H:
            route = Route(
                uri,
                match,
                handler,
                roles_of(roles),
                response_type=response_type,
                dependencies=checked_dependencies(where, dependencies),
                details=checked,
            )
            self._declare("procedure", route)
            return handler

        return add

    def topic(
        self,
        topic: str | Topic[Any],
        *,
        match: RouteMatch = "exact",
        roles: str | Collection[str] | None = None,
        patterns: bool | None = None,
        dependencies: Iterable[Any] = (),
        **details: Unpack[TopicDetails],
    ) -> Callable[[H], H]:
        """Decorate the gatekeeper of a topic, given by its URI or as a Topic.

        If ``roles`` are given, only they may subscribe. With ``patterns=True``, clients may also subscribe to
        patterns that match the topic, if a rule or the authorizer allows the pattern. The gatekeeper does not
        run for them. See TopicRouteSet. ``dependencies``, a list of ``Depends``, are evaluated before the
        gatekeeper; they exclude ``patterns=True``. The other arguments describe the topic: ``event``, the
        type of its events, and those of ``procedure`` except ``errors``.
        """
        uri, published, checked = _topic_details("@topic", topic, details, TopicDetails)

        def add(handler: H) -> H:
            route = Route(
                uri,
                match,
                handler,
                roles_of(roles),
                patterns=patterns,
                dependencies=checked_dependencies(f"@topic({uri!r})", dependencies),
                details=checked,
                published=published,
            )
            self._declare("topic", route)
            return handler

        return add

    def add_topic(
        self,
        topic: Topic[Any],
        *,
        roles: str | Collection[str] | None = None,
        **details: Unpack[RouteDetails],
    ) -> None:
        """Add a topic that needs no gatekeeper: everybody, or only ``roles``, may subscribe to it.

        Rules decide if clients may subscribe to patterns that match it. The other arguments describe it: see
        ``topic``. Raises ConfigurationError if there is a topic with the same URI.
        """
        if not isinstance(topic, Topic):
            raise ConfigurationError(f"add_topic got {topic!r}: it takes a Topic, Topic(uri, event_type)")
        self.topic(topic, roles=roles, patterns=True, **details)(accept_subscription)

    def subscriber(
        self,
        topic: str | Topic[Any],
        *,
        match: Match = "exact",
        roles: str | Collection[str] | None = None,
        dependencies: Iterable[Any] = (),
        **details: Unpack[RouteDetails],
    ) -> Callable[[H], H]:
        """Decorate a handler of the server for the events that clients publish to a topic or a Topic.

        It allows clients (if ``roles`` are given, only these roles) to publish to the topic. Unless a rule
        allows more, their events reach only the server's own subscribers. The events of each session are
        handled in order, one at a time. Exceptions of the handler are logged. ``dependencies``, a list of
        ``Depends``, are evaluated before it. The other arguments describe it: see ``topic``.
        """
        uri, published, checked = _topic_details("@subscriber", topic, details, RouteDetails)

        def add(handler: H) -> H:
            require_function(f"subscriber {uri!r}", handler)
            refuse_glob(f"subscriber {describe(handler)}", uri)
            require_pattern(f"subscriber {describe(handler)}", uri, match)
            route = Route(
                uri,
                match,
                handler,
                roles_of(roles),
                dependencies=checked_dependencies(f"@subscriber({uri!r})", dependencies),
                details=checked,
                published=published,
            )
            self._declare("subscriber", route)
            return handler

        return add

    def include_router(
        self,
        router: WAMPRouter,
        *,
        prefix: str = "",
        roles: str | Collection[str] | None = None,
        tags: str | Collection[str] = (),
        dependencies: Iterable[Any] = (),
    ) -> None:
        """Add the handlers that a router has now. Handlers that it gets later are not added.

        ``prefix`` comes before the prefix of the router, ``tags`` and ``dependencies`` before its own, and
        ``roles`` restrict its handlers further. Raises ConfigurationError if the router was included before
        with the same prefix, if a URI is already used, or if the roles leave nobody who could use a handler.
        """
        if not isinstance(router, WAMPRouter):
            raise ConfigurationError(
                f"include_router got {router!r}: it takes a WAMPRouter; add_routes takes route sets"
            )
        if router is self:
            raise ConfigurationError(f"include_router: {router!r} cannot include itself")
        self._include("include_router", router, router, prefix, roles, tags, dependencies)

    def add_handlers(
        self,
        instance: object,
        *,
        prefix: str = "",
        roles: str | Collection[str] | None = None,
        tags: str | Collection[str] = (),
        dependencies: Iterable[Any] = (),
    ) -> None:
        """Add the marked methods of an object, in the order of their definition.

        Mark methods with ``wampasgi.procedure``, ``wampasgi.topic`` and ``wampasgi.subscriber``. The methods
        of base classes come first. A method that overrides a marked one has its marks, unless it has marks of
        its own. The other arguments are the same as for ``include_router``. Raises ConfigurationError for a
        class, for an object without marked methods, and for the reasons of ``include_router``.
        """
        methods = WAMPRouter()
        for mark, method in marked_methods("add_handlers", instance):
            getattr(methods, mark.kind)(mark.uri, **mark.options)(method)
        self._include("add_handlers", instance, methods, prefix, roles, tags, dependencies)

    def serve(
        self,
        implementation: object,
        *,
        roles: str | Collection[str] | None = None,
        dependencies: Iterable[Any] = (),
        **details: Unpack[ProcedureDetails],
    ) -> None:
        """Add the procedures of an object that implements a Contract, for clients with ``session.use``.

        The other arguments are the same as for ``procedure``, and apply to all its procedures. Raises
        ConfigurationError if the object implements no contract, or not all of its methods.
        """
        # Most applications implement no contract, so they need not import the client.
        from wampasgi.client.contract import procedures_of

        for uri, method in procedures_of(implementation):
            self.procedure(uri, roles=roles, dependencies=dependencies, **details)(method)

    def _include(
        self,
        where: str,
        included: object,
        router: WAMPRouter,
        prefix: str,
        roles: str | Collection[str] | None,
        tags: str | Collection[str],
        dependencies: Iterable[Any],
    ) -> None:
        _require_prefix(where, prefix)
        if any(included is other and prefix == used for other, used in self._inclusions):
            raise ConfigurationError(
                f"{where}: {included!r} was already added with the prefix {prefix!r}: add it once, or with "
                f"another prefix"
            )
        more = (
            roles_of(roles, f"{where}: roles"),
            tags_of(where, tags),
            checked_dependencies(where, dependencies),
        )
        routes = [(kind, route.within(prefix, *more)) for kind, route in router.declared()]
        for kind, route in routes:
            self._declare(kind, route)
        self._inclusions.append((included, prefix))


class WAMPRouter(DeclaresHandlers):
    """A group of procedures, topics and subscribers that realms, applications and other routers include.

    ``prefix`` comes before the URIs of all its handlers. It is empty or ends with a dot. If ``roles`` are
    given, only they may use the handlers; the ``roles`` of a handler restrict it further. ``tags`` group the
    handlers in descriptions. ``dependencies``, a list of ``Depends``, are evaluated before each handler runs;
    their values are dropped, and an exception keeps the handler from running.

    The same router can be included several times: in several realms, or with several prefixes. Raises
    ConfigurationError for invalid arguments.
    """

    def __init__(
        self,
        *,
        prefix: str = "",
        roles: str | Collection[str] | None = None,
        tags: str | Collection[str] = (),
        dependencies: Iterable[Any] = (),
    ) -> None:
        _require_prefix("WAMPRouter", prefix)
        self.prefix = prefix
        self._roles = roles_of(roles, "WAMPRouter: roles")
        self._tags = tags_of("WAMPRouter", tags)
        self._dependencies = checked_dependencies("WAMPRouter", dependencies)
        self._declared: list[tuple[HandlerKind, Route]] = []
        self._included: Inclusions = []

    @property
    def procedures(self) -> tuple[Route, ...]:
        """The routes of the procedures, with the prefix, roles, tags and dependencies of this router."""
        return self._of_kind("procedure")

    @property
    def topics(self) -> tuple[Route, ...]:
        """The routes of the topics, with the prefix, roles, tags and dependencies of this router."""
        return self._of_kind("topic")

    @property
    def subscribers(self) -> tuple[Route, ...]:
        """The routes of the subscribers, with the prefix, roles, tags and dependencies of this router."""
        return self._of_kind("subscriber")

    def declared(self) -> tuple[tuple[HandlerKind, Route], ...]:
        """Return all routes, each with its kind, in the order in which they were added."""
        return tuple(self._declared)

    def _of_kind(self, kind: HandlerKind) -> tuple[Route, ...]:
        return tuple(route for other, route in self._declared if other == kind)

    @property
    def _inclusions(self) -> Inclusions:
        return self._included

    def _declare(self, kind: HandlerKind, route: Route) -> None:
        added = route.within(self.prefix, self._roles, self._tags, self._dependencies)
        if kind != "subscriber":
            for other in self._of_kind(kind):
                if (other.match, other.uri) == (added.match, added.uri):
                    raise route_conflict(added, other)
        self._declared.append((kind, added))

    def __repr__(self) -> str:
        return f"<WAMPRouter prefix={self.prefix!r} count={len(self._declared)}>"


def _require_prefix(where: str, prefix: object) -> None:
    """Raise ConfigurationError unless ``prefix`` can come before URIs: empty, or components with dots."""
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        problem = f"{where}: prefix is {prefix!r}"
        if isinstance(prefix, str) and _PREFIX.fullmatch(f"{prefix}."):
            raise ConfigurationError(f"{problem}, without a dot at its end: write {prefix + '.'!r}")
        raise ConfigurationError(
            f"{problem}, it must be empty or a string of components, each with a dot after it, without white "
            f"space or '#', such as 'docs.'"
        )
    refuse_glob(f"{where}: prefix", prefix.removesuffix("."))
    if is_reserved(prefix):
        raise ConfigurationError(
            f"{where}: URIs that begin with 'wamp.' are reserved for the router, choose another prefix"
        )


async def _accept() -> None:
    # A docstring would become the description of the topic.
    return


#: The gatekeeper of topics that need none.
accept_subscription: Final = _accept


def _topic_details(
    decorator: str, topic: str | Topic[Any], details: Mapping[str, Any], allowed: type
) -> tuple[str, Topic[Any] | None, Details]:
    """Return the URI and the details of a topic, and the Topic that it was given as, if it was."""
    if not isinstance(topic, Topic):
        require_uri(decorator, topic)
        return topic, None, read_details(f"{decorator}({topic!r})", details, allowed)
    where = f"{decorator}({topic!r})"
    if "event" in details:
        raise ConfigurationError(f"{where}: leave out event=..., because the Topic has the type of events")
    return topic.uri, topic, replace(read_details(where, details, allowed), event=topic.event)
