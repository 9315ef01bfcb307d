"""What a realm's configuration comes to: plans and tables, ready to serve sessions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

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
from wampasgi.authorization import Authorization
from wampasgi.callables import UserFunction
from wampasgi.calls import Procedure
from wampasgi.configuration import RealmSettings
from wampasgi.errors import ConfigurationError
from wampasgi.events import Event, Subscriber
from wampasgi.handlers import HandlerPlan, describe
from wampasgi.injection import Injection
from wampasgi.joined import JoinedSessions
from wampasgi.limits import Limits
from wampasgi.router.matching import URIMap
from wampasgi.routing import Route, RouteMatch, RouteTable, precedence
from wampasgi.rpc import RPCRequest
from wampasgi.session import Session
from wampasgi.subscribing import Topic
from wampasgi.types import Match
from wampasgi.uris import is_reserved


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltRealm:
    """A realm whose configuration has been read: every handler has its plan.

    ``provided`` are the arguments that every handler of the realm can get; a session adds itself.
    ``procedures_at_run_time`` is the realm's, and the same in whatever is built of its configuration.
    ``procedure_for_all`` and ``topic_for_all`` are the custom handlers that replace the routes.
    """

    provided: Mapping[str, Any]
    limits: Limits
    async_support: AsyncSupport | None
    synchronize_requests: bool
    debug: bool
    authorization: Authorization
    procedures: RouteTable[Procedure]
    procedures_at_run_time: RouteTable[Procedure]
    procedure_for_all: Procedure | None
    topics: RouteTable[Topic]
    topic_for_all: Topic | None
    subscribers: URIMap[list[Subscriber]]
    lifespan_handlers: tuple[HandlerPlan, ...]
    early_lifespan_handlers: tuple[HandlerPlan, ...]
    joined: JoinedSessions
    #: Whether a session can have handlers that run beside it: lifespan handlers, or gatekeepers with a yield.
    has_two_part_handlers: bool = field(init=False)
    #: Those at exact URIs that everybody may call as long as there are no rules.
    open_procedures: Mapping[str, Procedure] = field(init=False)

    def __post_init__(self) -> None:
        procedures = self.procedures.exact
        if self.procedure_for_all or self.synchronize_requests or self.authorization.authorizer:
            procedures = {}
        found = {uri: procedure for uri, procedure in procedures.items() if procedure.roles is None}
        object.__setattr__(self, "open_procedures", found)
        topics = [*self.topics, *([self.topic_for_all] if self.topic_for_all is not None else [])]
        two_parts = any(topic.plan.kind == "async_generator" for topic in topics)
        object.__setattr__(self, "has_two_part_handlers", two_parts or bool(self.lifespan_handlers))

    def provided_for(self, session: Session) -> dict[str, Any]:
        """The framework's own arguments for handlers of one session."""
        return {**self.provided, "session": session}

    def find_procedure(self, uri: str) -> Procedure | None:
        """The realm's own procedure that a call of this URI goes to.

        None where there is none, and where what a client has registered comes first by the specification's
        order: exact, then the longest prefix, then the best wildcard; a regular expression comes last. What
        is the router's is nobody else's, whatever the pattern.
        Spec: Advanced Profile, "Calls matching multiple registrations".
        """
        found = self.procedure_for_all or self.procedures.find(uri)
        if found is not None and found.first:
            return found
        if is_reserved(uri):
            return None
        if self.procedure_for_all is not None:
            return self.procedure_for_all
        at_run_time = self.procedures_at_run_time.find(uri)
        if found is at_run_time is None:
            return None
        candidates = [candidate for candidate in (found, at_run_time) if candidate is not None]
        own = max(candidates, key=_precedence, default=None)
        registration = self.joined.dealer.registrations.best(uri)
        if own is None or registration is None:
            return own
        return own if _precedence(own) > precedence(registration.match, registration.procedure) else None

    def own_procedure(self, match: RouteMatch, uri: str) -> Procedure | None:
        """What exactly this URI, or pattern of URIs, is of the realm's own procedures, None for nothing."""
        return (
            self.procedure_for_all
            or self.procedures.get(match, uri)
            or self.procedures_at_run_time.get(match, uri)
        )

    def offered(self) -> Iterator[tuple[Match, str]]:
        """The realm's own procedures that a match policy and a URI describe; regular expressions are none."""
        if self.procedure_for_all is not None:
            return
        for procedure in (*self.procedures, *self.procedures_at_run_time):
            if procedure.route is not None and procedure.route.match != "regex":
                yield procedure.route.match, procedure.route.uri

    def find_topic(self, uri: str) -> Topic | None:
        """The realm's own topic at a URI."""
        return self.topic_for_all or self.topics.find(uri)


def _precedence(procedure: Procedure) -> tuple[int, tuple[int, ...]]:
    assert procedure.route is not None
    return precedence(procedure.route.match, procedure.route.uri)


def read_settings(
    settings: RealmSettings,
    injection: Injection,
    *,
    provided: Mapping[str, Any],
    limits: Limits,
    async_support: AsyncSupport | None,
    synchronize_requests: bool,
    debug: bool,
    procedures_at_run_time: RouteTable[Procedure],
    joined: JoinedSessions,
) -> BuiltRealm:
    """Read the handlers of a realm; raises ConfigurationError for one with a parameter nothing can fill."""
    authorizer = settings.authorizer and injection.read(
        settings.authorizer, {"action": None, "uri": None, "options": None}
    )
    return BuiltRealm(
        provided=provided,
        limits=limits,
        async_support=async_support,
        synchronize_requests=synchronize_requests,
        debug=debug,
        authorization=Authorization(settings.permissions, authorizer, cache=settings.cache_authorizer),
        procedures=_read_procedures(settings, injection),
        procedures_at_run_time=procedures_at_run_time,
        procedure_for_all=_read_rpc_handler(settings, injection),
        topics=_read_topics(settings, injection),
        topic_for_all=_read_subscription_handler(settings, injection),
        subscribers=_read_subscribers(settings, injection),
        lifespan_handlers=tuple(injection.read(handler) for handler in settings.lifespan_handlers),
        early_lifespan_handlers=tuple(
            injection.read(handler) for handler in settings.early_lifespan_handlers
        ),
        joined=joined,
    )


def read_authenticators(
    settings: RealmSettings, injection: Injection, *, allow_anonymous: bool | None
) -> list[Middleware]:
    """What finds out who a session is, outermost first; the gate stops whom none of them has let in."""
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
    authenticates = any(getattr(middleware.cls, "authenticates", False) for middleware in settings.middleware)
    if not (stack or methods or authenticates):
        return [] if allow_anonymous is False else [Middleware(AnonymousMiddleware)]
    if allow_anonymous:
        methods.append(AnonymousMethod())
    if methods:
        stack.append(Middleware(ChallengeMiddleware, methods=methods))
    return stack


def _read_procedures(settings: RealmSettings, injection: Injection) -> RouteTable[Procedure]:
    table: RouteTable[Procedure] = RouteTable()
    for route in settings.procedures:
        table.add(route, read_procedure(route, injection))
    return table


def read_procedure(route: Route, injection: Injection) -> Procedure:
    """Read the handler of a procedure; raises ConfigurationError for one that cannot be called."""
    plan = injection.read(route.handler, {"request": RPCRequest}, takes_payload=True)
    return Procedure(plan, route.roles, route=route)


def _read_rpc_handler(settings: RealmSettings, injection: Injection) -> Procedure | None:
    if settings.rpc_handler is None:
        return None
    parameters = UserFunction.read(settings.rpc_handler).parameters
    # As in serverwamp, the request is the first parameter, whatever its name.
    first = parameters[0].name if parameters else "request"
    if first in injection.provided:
        first = "request"
    plan = injection.read(settings.rpc_handler, {"request": RPCRequest, first: RPCRequest})
    return Procedure(plan, None, request_name=first)


def _read_topics(settings: RealmSettings, injection: Injection) -> RouteTable[Topic]:
    table: RouteTable[Topic] = RouteTable()
    for route in settings.topics:
        table.add(route, Topic(injection.read(route.handler, {"topic_uri": None}), route.roles))
    return table


def _read_subscription_handler(settings: RealmSettings, injection: Injection) -> Topic | None:
    if settings.subscription_handler is None:
        return None
    return Topic(injection.read(settings.subscription_handler, {"topic_uri": None}), None)


def _read_subscribers(settings: RealmSettings, injection: Injection) -> URIMap[list[Subscriber]]:
    table: URIMap[list[Subscriber]] = URIMap()
    for match, route in settings.subscribers:
        plan = injection.read(route.handler, {"event": Event}, takes_payload=True)
        subscriber = Subscriber(plan, route.roles)
        at_topic = table.get(match, route.uri)
        if at_topic is None:
            table.add(match, route.uri, [subscriber])
        else:
            at_topic.append(subscriber)
    return table
