"""What a realm can be configured with."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar, overload

from starlette.middleware import Middleware

from wampasgi.auth import (
    ChallengeMethod,
    CRAAuthRequirement,
    CRAMethod,
    CryptosignMethod,
    SCRAMCredential,
    SCRAMMethod,
    TicketMethod,
)
from wampasgi.configuration.routes import (
    H,
    Route,
    RouteMatch,
    RouteSet,
    RouteTable,
    RPCRouteSet,
    TopicRouteSet,
    require_uri,
)
from wampasgi.errors import ConfigurationError
from wampasgi.injection.callables import UserFunction
from wampasgi.injection.dependencies import DefaultArg
from wampasgi.injection.plan import Injection, describe
from wampasgi.limits import Limits
from wampasgi.protocol.uris import require_pattern
from wampasgi.router.permissions import Permissions, roles_of
from wampasgi.types import Action, Handler, Match

#: Arguments that the framework provides; a default arg of such a name would never be used.
_FRAMEWORK_ARGUMENTS = frozenset({"session", "request", "topic_uri", "event", "realm", "app"})


def checked_middleware(middleware: Iterable[Middleware]) -> tuple[Middleware, ...]:
    """Take ``middleware=``; raises ConfigurationError for what is no Middleware object of Starlette's."""
    given = tuple(middleware)
    for item in given:
        if not isinstance(item, Middleware):
            raise ConfigurationError(
                f"middleware={given!r}: {item!r} must be wrapped, "
                f"starlette.middleware.Middleware(SomeMiddleware, option=...)"
            )
    return given


L = TypeVar("L", bound=Limits | None)


def checked_limits(limits: L) -> L:
    """Take ``limits=``; raises ConfigurationError for anything but Limits."""
    if limits is not None and not isinstance(limits, Limits):
        raise ConfigurationError(f"limits={limits!r}: write limits=Limits(message_size=...)")
    return limits


class RealmSettings:
    """A realm's configuration as it was given; plans are made of it when the realm is built.

    ``changed`` is called after each change. ``keep_history`` takes a topic, its match policy and a number of
    events.
    """

    def __init__(
        self,
        *,
        middleware: Iterable[Middleware],
        limits: Limits | None,
        changed: Callable[[], None],
        keep_history: Callable[[str, Match, int], None],
    ) -> None:
        self.middleware = checked_middleware(middleware)
        self.limits = checked_limits(limits)
        self.changed = changed
        self.keep_history = keep_history
        self.procedures: RouteTable[Route] = RouteTable()
        self.topics: RouteTable[Route] = RouteTable()
        self.subscribers: list[tuple[Match, Route]] = []
        self.route_sets: list[RouteSet] = []
        self.rpc_handler: Handler | None = None
        self.subscription_handler: Handler | None = None
        self.lifespan_handlers: list[Handler] = []
        self.early_lifespan_handlers: list[Handler] = []
        self.overflow_handler: Handler | None = None
        self.default_args: dict[str, DefaultArg] = {}
        self.permissions = Permissions()
        self.authorizer: Handler | None = None
        self.cache_authorizer = False
        self.transport_authenticators: list[Handler] = []
        #: What makes the challenge methods by their names, when the realm is built.
        self.challenge_methods: dict[str, Callable[[Injection], ChallengeMethod]] = {}
        self.authentication_handler: Handler | None = None


class ConfiguresRealm(ABC):
    """The configuration methods of a realm; an application has them for its default realm.

    What is changed after the realm has served a session counts for the sessions that join from then on.
    """

    @property
    @abstractmethod
    def settings(self) -> RealmSettings:
        """The configuration that the methods below change."""

    # Procedures and topics

    def procedure(
        self, uri: str, *, match: RouteMatch = "exact", roles: str | Collection[str] | None = None
    ) -> Callable[[H], H]:
        """Decorate a procedure: ``match`` is exact, prefix, wildcard or regex, ``roles`` who may call it."""
        require_uri("@procedure", uri)

        def add(handler: H) -> H:
            route = Route(uri, match, handler, roles_of(roles))
            self.settings.procedures.add(route, route)
            self.settings.changed()
            return handler

        return add

    def topic(
        self, uri: str, *, match: RouteMatch = "exact", roles: str | Collection[str] | None = None
    ) -> Callable[[H], H]:
        """Decorate the gatekeeper of a topic: ``roles`` are those that may subscribe. See TopicRouteSet."""
        require_uri("@topic", uri)

        def add(handler: H) -> H:
            route = Route(uri, match, handler, roles_of(roles))
            self.settings.topics.add(route, route)
            self.settings.changed()
            return handler

        return add

    def subscriber(
        self, topic: str, *, match: Match = "exact", roles: str | Collection[str] | None = None
    ) -> Callable[[H], H]:
        """Decorate a handler of the server's own for the events that clients publish.

        Clients may then publish to these topics, of ``roles`` where given; unless a rule allows more, what
        they publish reaches the server's own subscribers alone. The events of one session are handled in
        order, one at a time. A handler that fails is logged.
        """
        require_uri("@subscriber", topic)

        def add(handler: H) -> H:
            require_pattern(f"subscriber {describe(handler)}", topic, match)
            route = Route(topic, match, handler, roles_of(roles))
            self.settings.subscribers.append((match, route))
            self.settings.changed()
            return handler

        return add

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
            raise ConfigurationError(f"{routes!r} was added to this realm before: add each route set once")
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
        """Let one handler answer every call; the realm's routes are not used then.

        It gets the RPCRequest as its first argument, and is a coroutine function or an async generator
        function like any procedure. What begins with ``wamp.`` is still the router's.
        """
        self.settings.rpc_handler = handler
        self.settings.changed()

    def set_subscription_handler(self, handler: Handler) -> None:
        """Let one gatekeeper, with ``topic_uri`` and ``session``, guard every topic instead of the routes."""
        self.settings.subscription_handler = handler
        self.settings.changed()

    def keep_history(self, topic: str, *, match: Match = "exact", limit: int = 500) -> None:
        """Keep the latest ``limit`` events of a topic or a pattern of topics, from now on.

        Clients that may call ``wamp.subscription.get_events`` and may subscribe to the topic get them there.
        They are in memory, and ``Limits.history_bytes`` bounds their size. Raises ConfigurationError for what
        is no topic or pattern, is kept already, or has no positive limit.
        Spec: Advanced Profile, "Event History".
        """
        where = f"keep_history({topic!r}, match={match!r})"
        require_pattern(where, topic, match)
        if type(limit) is not int or limit < 1:
            raise ConfigurationError(f"{where}: limit is {limit!r}, it must be a number of events, 1 or more")
        self.settings.keep_history(topic, match, limit)

    # Arguments and lifespan

    def set_default_arg(
        self, name: str, value: Any = None, factory: Callable[..., Any] | None = None
    ) -> None:
        """Give every handler of the realm that has a parameter ``name`` this value.

        ``factory`` makes it anew for each run of a handler; one that yields is closed after that.
        """
        if name in _FRAMEWORK_ARGUMENTS:
            raise ConfigurationError(
                f"default arg {name!r} would never be used: wampasgi fills {name!r} itself, "
                f"choose another name"
            )
        self.settings.default_args[name] = DefaultArg(value, factory)
        self.settings.changed()

    def add_session_lifespan_handler(self, handler: H, authenticated_only: bool = True) -> H:
        """Run an async generator function around each session.

        What stands before its ``yield`` runs when the session begins, the rest when it ends. With
        ``authenticated_only=False`` it begins before authentication. Raises ConfigurationError for any other
        kind of function.
        """
        if UserFunction.read(handler).kind != "async_generator":
            raise ConfigurationError(
                f"lifespan handler {describe(handler)} is no async generator function: "
                f"write it as `async def` with one `yield` between its two parts"
            )
        settings = self.settings
        handlers = settings.lifespan_handlers if authenticated_only else settings.early_lifespan_handlers
        handlers.append(handler)
        settings.changed()
        return handler

    def add_session_state_handler(self, handler: H, authenticated_only: bool = True) -> H:
        """The name that ``add_session_lifespan_handler`` has in serverwamp."""
        return self.add_session_lifespan_handler(handler, authenticated_only)

    def on_overflow(self, handler: H) -> H:
        """Decorate the function that is told of a client that has lost messages because it reads too slowly.

        It can have the parameters ``session`` and ``dropped``, the number of messages, and is sync or async.
        It runs once for each stretch of losing them: with the policy ``"disconnect"`` when the session is
        ended, with ``"drop_oldest_events"`` when the client has caught up or its session ends. One that
        fails is logged. See ``Limits.overflow``.
        """
        if self.settings.overflow_handler is not None:
            raise ConfigurationError(
                f"on_overflow {describe(handler)}: the realm has "
                f"{describe(self.settings.overflow_handler)} already"
            )
        self.settings.overflow_handler = handler
        self.settings.changed()
        return handler

    # Who may do what

    def allow(
        self,
        uri: str,
        *actions: Action,
        match: Match = "exact",
        role: str | Collection[str] | None = None,
        disclose: bool = False,
    ) -> None:
        """Allow actions (call, register, publish, subscribe) on a URI or a pattern of URIs.

        ``role`` is the role, or the roles, that it is for; None is everybody. A rule for one role shuts out
        the others. ``disclose`` lets callers and publishers be disclosed when they, or callees, ask for it.
        Of several rules that match, the most specific decides.
        """
        self.settings.permissions.allow(uri, *actions, match=match, role=role, disclose=disclose)
        self.settings.changed()

    def allow_all(self) -> None:
        """Allow everybody everything, for a realm whose clients are trusted.

        More specific rules still count.
        """
        self.settings.permissions.allow_all()
        self.settings.changed()

    @overload
    def authorizer(self, handler: H) -> H: ...

    @overload
    def authorizer(self, *, cache: bool = False) -> Callable[[H], H]: ...

    def authorizer(self, handler: H | None = None, *, cache: bool = False) -> H | Callable[[H], H]:
        """Decorate the function that decides where no rule does.

        It can have the parameters ``session``, ``action``, ``uri`` and ``options``, and returns a bool. With
        ``cache=True`` each session is asked for once for each action, URI and match policy, so its options
        must not matter; a session that gets another identity is asked for anew.
        """

        def add(handler: H) -> H:
            if self.settings.authorizer is not None:
                raise ConfigurationError(
                    f"authorizer {describe(handler)}: the realm has "
                    f"{describe(self.settings.authorizer)} already"
                )
            self.settings.authorizer = handler
            self.settings.cache_authorizer = cache
            self.settings.changed()
            return handler

        return add if handler is None else add(handler)

    # Who is it

    def add_transport_authenticator(self, authenticator: Handler) -> None:
        """Identify sessions by their connection: ``async fn(session)`` returns an identity or None.

        Any number of them are tried in order; the first identity counts.
        """
        self.settings.transport_authenticators.append(authenticator)
        self.settings.changed()

    def set_ticket_authenticator(self, authenticator: Handler) -> None:
        """Identify sessions by a ticket: ``async fn(session, ticket)`` returns an identity or None."""
        self._set_challenge_method(
            "ticket", lambda injection: TicketMethod(injection.read(authenticator, {"ticket": None}))
        )

    def set_cra_handlers(
        self,
        requirement: Handler,
        identity: Handler,
        *,
        unknown: CRAAuthRequirement | None = None,
        mock_secret: bytes | None = None,
    ) -> None:
        """Identify sessions by WAMP-CRA: they sign a challenge with a secret that never travels.

        ``async requirement(session)`` returns the CRAAuthRequirement of ``session.authid``, or None where
        nobody has this name. ``async identity(session)`` is asked after the proof; None denies the session
        with ``wamp.error.authorization_denied``. ``unknown`` and ``mock_secret``: see ``CRAMethod``.
        """
        mocking = mock_secret or secrets.token_bytes(32)
        self._set_challenge_method(
            "wampcra",
            lambda injection: CRAMethod(
                injection.read(requirement),
                injection.read(identity),
                unknown=unknown,
                mock_secret=mocking,
            ),
        )

    def set_scram_handlers(
        self,
        credential: Handler,
        identity: Handler,
        *,
        unknown: SCRAMCredential | None = None,
        mock_secret: bytes | None = None,
    ) -> None:
        """Identify sessions by WAMP-SCRAM: the password is neither sent nor stored.

        ``async credential(session)`` returns the SCRAMCredential of ``session.authid``, which
        ``scram_credential`` has made, or None where nobody has this name. ``async identity(session)`` is
        asked after the proof; None denies the session with ``wamp.error.authorization_denied``. ``unknown``
        and ``mock_secret``: see ``SCRAMMethod``.
        """
        mocking = mock_secret or secrets.token_bytes(32)
        self._set_challenge_method(
            "wamp-scram",
            lambda injection: SCRAMMethod(
                injection.read(credential),
                injection.read(identity),
                unknown=unknown,
                mock_secret=mocking,
            ),
        )

    def set_cryptosign_handlers(self, keys: Handler, identity: Handler) -> None:
        """Identify sessions by their Ed25519 key; needs ``wampasgi[cryptosign]``.

        ``async keys(session)`` returns the hex public keys of ``session.authid``. ``async identity(session)``
        is asked after the proof; None denies the session with ``wamp.error.authorization_denied``.
        """
        self._set_challenge_method(
            "cryptosign",
            lambda injection: CryptosignMethod(injection.read(keys), injection.read(identity)),
        )

    def add_challenge_method(self, method: ChallengeMethod) -> None:
        """Offer one more method with CHALLENGE and AUTHENTICATE: one of yours, by ``auth.ChallengeMethod``.

        Its functions are yours to call, without the default args of the realm.
        """
        self._set_challenge_method(method.name, lambda injection: method)

    def _set_challenge_method(self, name: str, make: Callable[[Injection], ChallengeMethod]) -> None:
        self.settings.challenge_methods[name] = make
        self.settings.changed()

    def set_authentication_handler(self, handler: Handler) -> None:
        """Replace authentication by ``async fn(session)``.

        It awaits ``session.mark_authenticated(...)`` or ``session.abort(...)``.
        """
        self.settings.authentication_handler = handler
        self.settings.changed()
