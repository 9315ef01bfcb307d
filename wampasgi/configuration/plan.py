"""The compiled configuration of a realm: a plan for each handler, and the tables to look them up in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from starlette.middleware import Middleware

from wampasgi.adapters import AsyncSupport
from wampasgi.auth import (
    AnonymousMethod,
    AnonymousMiddleware,
    ChallengeMethod,
    ChallengeMiddleware,
    CustomAuthenticationMiddleware,
    TransportAuthenticationMiddleware,
)
from wampasgi.auth.failed_logins import FailedLogins
from wampasgi.auth.failure_reports import FailureReports
from wampasgi.auth.failures import AuthenticationFailure
from wampasgi.configuration.authorization import Authorization
from wampasgi.configuration.exception_handlers import ExceptionHandlers
from wampasgi.configuration.handlers import Procedure, Subscriber, Topic
from wampasgi.configuration.response_types import FROM_ANNOTATION, compile_response
from wampasgi.configuration.routes import Route, RouteMatch, RouteTable
from wampasgi.configuration.settings import DescriptionAccess, RealmSettings
from wampasgi.errors import ConfigurationError
from wampasgi.event import Event
from wampasgi.injection.callables import UserFunction
from wampasgi.injection.plan import HandlerPlan, Injection, describe
from wampasgi.limits import Limits
from wampasgi.metrics import Counts
from wampasgi.peers.session import Session
from wampasgi.protocol.uris import is_reserved
from wampasgi.router.matching import covers
from wampasgi.router.registrations import Registration
from wampasgi.router.router import Router
from wampasgi.rpc import RPCRequest
from wampasgi.types import ASGIApp, Match

#: The ``@subscriber`` handlers of each match policy and topic.
Subscribers: TypeAlias = Mapping[tuple[Match, str], tuple[Subscriber, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RealmPlan:
    """The compiled configuration of a realm. A session gets a plan when it opens, and keeps it until it ends.

    ``app`` is the realm's middleware stack around the session endpoint. ``provided`` are the arguments that
    every handler of the realm can get; a session adds itself. ``failed_logins`` are those of the realm, which
    all its plans share. ``procedures_at_run_time`` are the procedures
    added with ``Realm.register``; all plans of a realm share this table. ``procedure_for_all`` and
    ``topic_for_all`` are the custom handlers that replace the routes.
    """

    app: ASGIApp
    provided: Mapping[str, Any]
    limits: Limits
    async_support: AsyncSupport | None
    synchronize_requests: bool
    debug: bool
    #: The authentication methods that the realm accepts, as far as they are known.
    authmethods: tuple[str, ...]
    description_access: DescriptionAccess
    authorization: Authorization
    procedures: RouteTable[Procedure]
    procedures_at_run_time: RouteTable[Procedure]
    procedure_for_all: Procedure | None
    topics: RouteTable[Topic]
    topic_for_all: Topic | None
    subscribers: Subscribers
    lifespan_handlers: tuple[HandlerPlan, ...]
    early_lifespan_handlers: tuple[HandlerPlan, ...]
    overflow_handler: HandlerPlan | None
    exception_handlers: ExceptionHandlers | None
    router: Router[Session]
    failed_logins: FailedLogins
    failure_reports: FailureReports | None
    #: True if there are handlers that stay suspended at a ``yield``: lifespan handlers or gatekeepers.
    has_two_part_handlers: bool = field(init=False)
    #: The procedures with an exact URI and no access control. A cache of ``answering`` for nearly all calls.
    open_procedures: Mapping[str, Procedure] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "open_procedures", self._open_procedures())
        topics = [*self.topics, *([self.topic_for_all] if self.topic_for_all is not None else [])]
        two_parts = any(topic.plan.kind == "async_generator" for topic in topics)
        object.__setattr__(self, "has_two_part_handlers", two_parts or bool(self.lifespan_handlers))

    def _open_procedures(self) -> dict[str, Procedure]:
        if self.procedure_for_all or self.synchronize_requests or not self.authorization.silent:
            return {}
        return {
            procedure.route.uri: procedure
            for procedure in self.procedures
            if procedure.route is not None and procedure.route.match == "exact" and procedure.roles is None
        }

    def provided_for(self, session: Session) -> dict[str, Any]:
        """Return the framework's own arguments for the handlers of one session."""
        return {**self.provided, "session": session}

    def answering(self, uri: str) -> Procedure | Registration | None:
        """Return the procedure of the realm, or the registration of clients, that answers a call of ``uri``.

        The best match wins, whether it belongs to the realm or to clients. If that is a procedure that the
        realm got only after this plan was compiled, the result is None. Regular expressions come last,
        because WAMP does not have them, and never match the URIs reserved for the router.
        Spec: Advanced Profile, "Calls matching multiple registrations".
        """
        reserved = is_reserved(uri)
        if self.procedure_for_all is not None and not reserved:
            return self.procedure_for_all
        registration = self.router.dealer.registrations.best(uri)
        if registration is not None:
            if registration.of_realm:
                own = self._own(registration.match, registration.procedure)
                return own if own is not None or reserved else self._best_own(uri)
            return registration
        if reserved:
            return None
        return self.procedures.find_by_regex(uri) or self.procedures_at_run_time.find_by_regex(uri)

    def own_procedure(self, match: RouteMatch, uri: str) -> Procedure | None:
        """Return the realm's own procedure at exactly this URI or pattern, if there is one."""
        return self.procedure_for_all or self._own(match, uri)

    def _best_own(self, uri: str) -> Procedure | None:
        """Return the procedure of this plan, if the router's best one came after the plan."""
        return self.procedures.find(uri) or self.procedures_at_run_time.find(uri)

    def _own(self, match: RouteMatch, uri: str) -> Procedure | None:
        return self.procedures.get(match, uri) or self.procedures_at_run_time.get(match, uri)

    def takes_restricted_calls(self, match: Match, uri: str) -> bool:
        """Return whether a client's registration would get calls of a procedure of the realm with ``roles``.

        It would answer calls that only these roles may make, and anybody could call it.
        """
        return any(
            route.yields_to(match, uri)
            for table in (self.procedures, self.procedures_at_run_time)
            for procedure in table.overlapping(match, uri)
            if (route := procedure.route) is not None and route.roles is not None
        )

    def taking_restricted_calls(self) -> list[Registration]:
        """Return the clients' registrations for which ``takes_restricted_calls`` is true."""
        procedures = [*self.procedures, *self.procedures_at_run_time]
        routes = [procedure.route for procedure in procedures if procedure.route is not None]
        # Most realms have no such route, and there can be many registrations.
        if not any(route.match != "exact" and route.roles is not None for route in routes):
            return []
        return [
            registration
            for registration in self.router.dealer.registrations.by_id.values()
            if not registration.of_realm
            and not registration.private
            and self.takes_restricted_calls(registration.match, registration.procedure)
        ]

    def offered(self) -> Iterator[tuple[Match, str]]:
        """Yield the match policy and URI of each configured procedure that WAMP can describe.

        It cannot describe regular expressions, nor a handler that answers every call.
        """
        if self.procedure_for_all is not None:
            return
        for procedure in self.procedures:
            if procedure.route is not None and procedure.route.match != "regex":
                yield procedure.route.match, procedure.route.uri

    def find_topic(self, uri: str) -> Topic | None:
        """Return the realm's own topic that matches a URI, if there is one.

        Like procedures, routes never match the URIs reserved for the router.
        """
        return self.topic_for_all or (None if is_reserved(uri) else self.topics.find(uri))

    def restricting_topic(self, match: Match, pattern: str, role: str | None) -> Topic | None:
        """Return one of the realm's own topics that keeps a role from subscribing to a pattern, or None.

        Such a topic can match a URI of the pattern, and does not permit patterns to this role.
        """
        if self.topic_for_all is not None:
            topics: Iterator[Topic] = iter((self.topic_for_all,))
        elif covers("prefix", "wamp.", match, pattern):
            return None
        else:
            topics = self.topics.overlapping(match, pattern)
        return next((topic for topic in topics if not topic.permits_patterns(role)), None)

    def permitting_subscribers(self, topic: str, role: str | None) -> bool:
        """Return whether a ``@subscriber`` handler allows clients with this role to publish to a topic."""
        # Most realms have no such handlers, so they skip the lookup.
        return bool(self.subscribers) and any(
            subscriber.takes_from(role)
            for subscription in self.router.broker.matches(topic)
            for subscriber in self.subscribers.get((subscription.match, subscription.topic), ())
        )


# Compiling the settings


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcedureOptions:
    """The options that all procedures of a realm have in common.

    ``timeout`` limits calls by clients, in seconds. ``unpack_results`` spreads lists and mappings over the
    arguments of a result.
    """

    timeout: float | None
    unpack_results: bool


def compile_procedures(
    settings: RealmSettings, injection: Injection, options: ProcedureOptions
) -> RouteTable[Procedure]:
    """Compile the procedures of the realm."""
    table: RouteTable[Procedure] = RouteTable()
    for route in settings.procedures:
        table.add(route, compile_procedure(route, injection, options))
    return table


def compile_procedure(route: Route, injection: Injection, options: ProcedureOptions) -> Procedure:
    """Compile one procedure."""
    plan = injection.read(
        route.handler, {"request": RPCRequest}, takes_payload=True, dependencies=route.dependencies
    )
    response = compile_response(plan, route.response_type, unpack=options.unpack_results)
    return Procedure(plan, route.roles, response, route=route, timeout=options.timeout)


def compile_rpc_handler(
    settings: RealmSettings, injection: Injection, options: ProcedureOptions
) -> Procedure | None:
    """Compile the handler that answers every call, if there is one."""
    if settings.rpc_handler is None:
        return None
    parameters = UserFunction.read(settings.rpc_handler).parameters
    # As in serverwamp, the first parameter gets the request, whatever its name.
    first = parameters[0].name if parameters else "request"
    if first in injection.provided:
        first = "request"
    plan = injection.read(settings.rpc_handler, {"request": RPCRequest, first: RPCRequest})
    response = compile_response(plan, FROM_ANNOTATION, unpack=options.unpack_results)
    return Procedure(plan, None, response, request_name=first, timeout=options.timeout)


def compile_overflow_handler(settings: RealmSettings, injection: Injection) -> HandlerPlan | None:
    """Compile the ``on_overflow`` handler, if there is one.

    Raises ConfigurationError if it is an async generator function, because it has nothing to yield.
    """
    if settings.overflow_handler is None:
        return None
    plan = injection.read(settings.overflow_handler, {"dropped": None})
    if plan.kind == "async_generator":
        raise ConfigurationError(f"{plan.description} is an async generator function: it must not yield")
    return plan


def compile_failure_reports(
    settings: RealmSettings, injection: Injection, limits: Limits, counts: Counts
) -> FailureReports | None:
    """Compile the ``on_authentication_failed`` handler, if there is one.

    Raises ConfigurationError if it is an async generator function, because it has nothing to yield.
    """
    if settings.authentication_failed_handler is None:
        return None
    provided = {"failure": AuthenticationFailure, "dropped": None}
    plan = injection.read(settings.authentication_failed_handler, provided)
    if plan.kind == "async_generator":
        raise ConfigurationError(f"{plan.description} is an async generator function: it must not yield")
    return FailureReports(plan, counts=counts, timeout=limits.teardown_timeout)


def compile_subscribers(settings: RealmSettings, injection: Injection) -> Subscribers:
    """Compile the ``@subscriber`` handlers."""
    found: dict[tuple[Match, str], tuple[Subscriber, ...]] = {}
    for match, route in settings.subscribers:
        plan = injection.read(
            route.handler, {"event": Event}, takes_payload=True, dependencies=route.dependencies
        )
        key = match, route.uri
        found[key] = (*found.get(key, ()), Subscriber(plan, route.roles, route))
    return found


def authmethods_of(settings: RealmSettings, *, allow_anonymous: bool | None) -> tuple[str, ...]:
    """Return the names of the authentication methods that a realm accepts.

    Those of an authentication handler, and of middleware of the user's own, are not known.
    """
    if settings.authentication_handler is not None:
        return ()
    names = [*(["transport"] if settings.transport_authenticators else []), *settings.challenge_methods]
    by_default = not names and not _has_authenticating_middleware(settings)
    if by_default if allow_anonymous is None else allow_anonymous:
        names.append(AnonymousMethod.name)
    return tuple(names)


def _has_authenticating_middleware(settings: RealmSettings) -> bool:
    return any(getattr(middleware.cls, "authenticates", False) for middleware in settings.middleware)


def compile_authenticators(
    settings: RealmSettings, injection: Injection, *, allow_anonymous: bool | None
) -> list[Middleware]:
    """Compile the authenticators, outermost first.

    The gate inside them aborts sessions that none of them authenticates.
    """
    if settings.authentication_handler is not None:
        if settings.transport_authenticators or settings.challenge_methods or allow_anonymous:
            raise ConfigurationError(
                f"authentication handler {describe(settings.authentication_handler)} replaces all other "
                f"authentication of its realm: leave out the other methods and allow_anonymous"
            )
        handler = injection.read(settings.authentication_handler)
        return [Middleware(CustomAuthenticationMiddleware, handler=handler)]
    stack: list[Middleware] = []
    if settings.transport_authenticators:
        plans = [injection.read(handler) for handler in settings.transport_authenticators]
        stack.append(Middleware(TransportAuthenticationMiddleware, authenticators=plans))
    methods: list[ChallengeMethod] = [make(injection) for make in settings.challenge_methods.values()]
    if not (stack or methods or _has_authenticating_middleware(settings)):
        return [] if allow_anonymous is False else [Middleware(AnonymousMiddleware)]
    if allow_anonymous:
        methods.append(AnonymousMethod())
    if methods:
        stack.append(Middleware(ChallengeMiddleware, methods=methods))
    return stack
