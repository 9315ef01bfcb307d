"""The settings of a realm, and the methods that change them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, overload

from starlette.middleware import Middleware

from wampasgi.adapters import AsyncSupport
from wampasgi.adapters.event_loop import EventLoopBinding
from wampasgi.configuration.authentication import AuthenticationSettings, ConfiguresAuthentication
from wampasgi.configuration.handler_settings import ConfiguresHandlers, HandlerSettings
from wampasgi.configuration.method_marks import HandlerKind
from wampasgi.configuration.middleware import checked_middleware
from wampasgi.configuration.overrides import ParentApp
from wampasgi.configuration.routers import DeclaresHandlers, Inclusions
from wampasgi.configuration.routes import (
    H,
    Route,
    RouteSet,
    RouteTable,
    RPCRouteSet,
    TopicRouteSet,
    refuse_glob,
)
from wampasgi.configuration.topics import Publishes
from wampasgi.errors import ConfigurationError
from wampasgi.injection.callables import UserFunction, require_function
from wampasgi.injection.dependencies import DefaultArg
from wampasgi.injection.plan import describe
from wampasgi.limits import Limits
from wampasgi.protocol.uris import require_pattern
from wampasgi.router.permissions import Permissions
from wampasgi.router.router import Router
from wampasgi.types import Action, Handler, Match

#: Arguments that the framework provides. A default arg with such a name would never be used.
_FRAMEWORK_ARGUMENTS = frozenset({"session", "request", "topic_uri", "event", "realm", "app"})


L = TypeVar("L", bound=Limits | None)


def checked_limits(limits: L) -> L:
    """Return ``limits`` unchanged. Raises ConfigurationError for anything but Limits or None."""
    if limits is not None and not isinstance(limits, Limits):
        raise ConfigurationError(f"limits={limits!r}: write limits=Limits(message_size=...)")
    return limits


class RouterMaker(Protocol):
    """Makes the routers of realms that several workers serve."""

    def __call__(
        self,
        key: str,
        *,
        now: Callable[[], str],
        private_registrations: bool,
        testaments_published: Callable[[], Awaitable[None]],
    ) -> Router[Any]:
        """Return the router of the realm that ``key`` names on all workers.

        ``testaments_published`` is run when the realm's handlers have to handle events that no session of
        this worker published.
        """


@dataclass(slots=True)
class DescriptionAccess:
    """The access of clients to the descriptions of an application's realms.

    If it is ``open``, each session may read the description of the part that it may use, unless a rule or the
    authorizer refuses.
    """

    open: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationContext:
    """The settings that a realm takes from its application."""

    app: Any
    event_loop: EventLoopBinding
    limits: Limits
    async_support: AsyncSupport | None
    synchronize_requests: bool
    unpack_results: bool
    debug: bool
    #: The settings for the handlers of all realms.
    handlers: HandlerSettings
    parent: ParentApp = field(default_factory=ParentApp)
    description_access: DescriptionAccess = field(default_factory=DescriptionAccess)
    #: Makes the routers of realms that several workers serve.
    make_router: RouterMaker | None = None


class RealmSettings(AuthenticationSettings):
    """The settings of a realm. They are compiled into a RealmPlan when a plan is needed.

    ``changed`` is called after each change. ``keep_history`` takes a topic, its match policy and the number
    of events to keep. ``mock_secret`` returns the key for mock challenges. ``realm`` publishes the events of
    its topics.
    """

    def __init__(
        self,
        *,
        middleware: Iterable[Middleware],
        limits: Limits | None,
        changed: Callable[[], None],
        keep_history: Callable[[str, Match, int], None],
        mock_secret: Callable[[], bytes],
        realm: Publishes,
        exception_handlers: Mapping[type[Exception], Handler] | None = None,
    ) -> None:
        super().__init__(changed, mock_secret)
        self.realm = realm
        self.handlers = HandlerSettings(changed, exception_handlers)
        self.middleware = checked_middleware(middleware)
        self.limits = checked_limits(limits)
        self.keep_history = keep_history
        self.procedures: RouteTable[Route] = RouteTable()
        self.topics: RouteTable[Route] = RouteTable()
        self.subscribers: list[tuple[Match, Route]] = []
        self.route_sets: list[RouteSet] = []
        self.inclusions: Inclusions = []
        self.rpc_handler: Handler | None = None
        #: A route for all topics.
        self.subscription_handler: Route | None = None
        self.lifespan_handlers: list[Handler] = []
        self.early_lifespan_handlers: list[Handler] = []
        self.overflow_handler: Handler | None = None
        self.default_args: dict[str, DefaultArg] = {}
        self.permissions = Permissions()
        self.authorizer: Handler | None = None
        self.cache_authorizer = False


class ConfiguresRealm(DeclaresHandlers, ConfiguresAuthentication, ConfiguresHandlers):
    """The configuration methods of a realm. An application has them for its default realm.

    Those for all handlers, which come from ConfiguresHandlers, are the application's own.

    Changes apply to sessions that join later. Open sessions keep the configuration that they started with.
    """

    @property
    @abstractmethod
    def settings(self) -> RealmSettings:
        """The settings that the methods below change."""

    # Procedures and topics

    @property
    def _inclusions(self) -> Inclusions:
        return self.settings.inclusions

    def _declare(self, kind: HandlerKind, route: Route) -> None:
        settings = self.settings
        if kind == "subscriber":
            settings.subscribers.append((route.entry[0], route))
        else:
            (settings.procedures if kind == "procedure" else settings.topics).add(route, route)
        if route.published is not None:
            route.published.declare(settings.realm, route.uri)
        settings.changed()

    def add_routes(self, routes: RouteSet) -> None:
        """Add a set of procedures (RPCRouteSet) or topics (TopicRouteSet)."""
        settings = self.settings
        if isinstance(routes, RPCRouteSet):
            table = settings.procedures
        elif isinstance(routes, TopicRouteSet):
            table = settings.topics
        else:
            raise ConfigurationError(f"add_routes got {routes!r}: it takes an RPCRouteSet or a TopicRouteSet")
        if any(routes is added for added in settings.route_sets):
            raise ConfigurationError(f"{routes!r} is already part of this realm: add each route set once")
        for route in routes:
            table.add(route, route)
        settings.route_sets.append(routes)
        settings.changed()

    def add_rpc_routes(self, routes: RPCRouteSet) -> None:
        """Add a set of procedures."""
        if not isinstance(routes, RPCRouteSet):
            raise ConfigurationError(f"add_rpc_routes got {routes!r}: it takes an RPCRouteSet")
        self.add_routes(routes)

    def add_topic_routes(self, routes: TopicRouteSet) -> None:
        """Add a set of topics."""
        if not isinstance(routes, TopicRouteSet):
            raise ConfigurationError(f"add_topic_routes got {routes!r}: it takes a TopicRouteSet")
        self.add_routes(routes)

    def set_rpc_handler(self, handler: Handler) -> None:
        """Let one handler answer every call, in place of the realm's routes.

        It gets the RPCRequest as its first argument. Like any procedure, it can be an async generator
        function. The router still answers calls of URIs that begin with ``wamp.``.
        """
        require_function("set_rpc_handler", handler)
        self.settings.rpc_handler = handler
        self.settings.changed()

    def set_subscription_handler(self, handler: Handler, *, patterns: bool | None = None) -> None:
        """Let one gatekeeper guard every topic, in place of the realm's routes.

        It can have the parameters ``topic_uri`` and ``session``. Clients may not subscribe to patterns,
        unless ``patterns`` is True and a rule or the authorizer allows the pattern. A topic of the router,
        which begins with ``wamp.``, needs a rule, too.
        """
        require_function("set_subscription_handler", handler)
        self.settings.subscription_handler = Route("", "prefix", handler, patterns=patterns)
        self.settings.changed()

    def keep_history(self, topic: str, *, match: Match = "exact", limit: int = 500) -> None:
        """Keep the latest ``limit`` events of a topic or a pattern of topics, from now on.

        Clients that may subscribe to the topic can get them from ``wamp.subscription.get_events``, if they
        may call it. The events are kept in memory, up to ``Limits.history_bytes``. Raises ConfigurationError
        if the topic or pattern is invalid or already has a history, or if the limit is not positive.
        Spec: Advanced Profile, "Event History".
        """
        where = f"keep_history({topic!r}, match={match!r})"
        refuse_glob(where, topic)
        require_pattern(where, topic, match)
        if type(limit) is not int or limit < 1:
            raise ConfigurationError(f"{where}: limit is {limit!r}, it must be an int of at least 1")
        self.settings.keep_history(topic, match, limit)

    # Arguments and lifespan

    def set_default_arg(
        self, name: str, value: Any = None, factory: Callable[..., Any] | None = None
    ) -> None:
        """Pass a value to every handler of the realm that has a parameter ``name``.

        ``factory`` creates a new value each time a handler runs. If it yields the value, it is closed when
        the handler has run.
        """
        if name in _FRAMEWORK_ARGUMENTS:
            raise ConfigurationError(
                f"default arg {name!r} would never be used: wampasgi passes {name!r} itself, "
                f"choose another name"
            )
        self.settings.default_args[name] = DefaultArg(value, factory)
        self.settings.changed()

    def add_session_lifespan_handler(self, handler: H, authenticated_only: bool = True) -> H:
        """Run an async generator function around each session.

        The code before its ``yield`` runs when the session begins, and the rest when it ends. With
        ``authenticated_only=False``, it begins before authentication. Raises ConfigurationError if the
        handler is not an async generator function.
        """
        require_function("add_session_lifespan_handler", handler)
        if UserFunction.read(handler).kind != "async_generator":
            raise ConfigurationError(
                f"lifespan handler {describe(handler)} is not an async generator function: "
                f"write it as `async def` with one `yield` between setup and teardown"
            )
        settings = self.settings
        handlers = settings.lifespan_handlers if authenticated_only else settings.early_lifespan_handlers
        handlers.append(handler)
        settings.changed()
        return handler

    def add_session_state_handler(self, handler: H, authenticated_only: bool = True) -> H:
        """Add a lifespan handler, under serverwamp's name for ``add_session_lifespan_handler``."""
        return self.add_session_lifespan_handler(handler, authenticated_only)

    def on_overflow(self, handler: H) -> H:
        """Decorate the function to run when a client has lost messages because it reads too slowly.

        It can be sync or async, and have the parameters ``session`` and ``dropped``, the number of messages.
        It runs once per overflow: with the policy ``"disconnect"``, when the session is ended; with
        ``"drop_oldest_events"``, when the client has caught up or its session ends. Its exceptions are
        logged. See ``Limits.overflow``.
        """
        require_function("on_overflow", handler)
        if self.settings.overflow_handler is not None:
            raise ConfigurationError(
                f"on_overflow {describe(handler)}: the realm already has "
                f"{describe(self.settings.overflow_handler)}"
            )
        self.settings.overflow_handler = handler
        self.settings.changed()
        return handler

    # Authorization

    def allow(
        self,
        uri: str,
        *actions: Action,
        match: Match = "exact",
        role: str | Collection[str] | None = None,
        disclose: bool = False,
    ) -> None:
        """Allow actions (call, register, publish, subscribe, takeover) on a URI or a pattern of URIs.

        ``takeover`` allows clients that may register to replace the registrations of other sessions.
        ``role`` is one or several roles; None is everybody. A rule for a role refuses all other roles.
        ``disclose`` allows the identity of callers and publishers to be disclosed if they, or callees,
        request it. If several rules match, the most specific one decides.
        """
        refuse_glob(f"allow({uri!r})", uri)
        self.settings.permissions.allow(uri, *actions, match=match, role=role, disclose=disclose)
        self.settings.changed()

    def allow_all(self) -> None:
        """Allow everybody all actions, for a realm whose clients are trusted.

        More specific rules take precedence.
        """
        self.settings.permissions.allow_all()
        self.settings.changed()

    @overload
    def authorizer(self, handler: H) -> H: ...

    @overload
    def authorizer(self, *, cache: bool = False) -> Callable[[H], H]: ...

    def authorizer(self, handler: H | None = None, *, cache: bool = False) -> H | Callable[[H], H]:
        """Decorate the function that decides if no rule does.

        It can have the parameters ``session``, ``action``, ``uri`` and ``options``, and returns a bool. With
        ``cache=True``, its answers are cached for each session, action, URI and match policy, so it must
        ignore the options. The cache of a session is discarded when its identity changes.
        """

        def add(handler: H) -> H:
            require_function("authorizer", handler)
            if self.settings.authorizer is not None:
                raise ConfigurationError(
                    f"authorizer {describe(handler)}: the realm already has "
                    f"{describe(self.settings.authorizer)}"
                )
            self.settings.authorizer = handler
            self.settings.cache_authorizer = cache
            self.settings.changed()
            return handler

        return add if handler is None else add(handler)
