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
from wampasgi.configuration.authorization import Authorization
from wampasgi.configuration.handlers import Event, Procedure, Subscriber, Topic
from wampasgi.configuration.routes import Route, RouteMatch, RouteTable, precedence
from wampasgi.configuration.settings import RealmSettings
from wampasgi.errors import ConfigurationError
from wampasgi.injection.callables import UserFunction
from wampasgi.injection.plan import HandlerPlan, Injection, describe
from wampasgi.limits import Limits
from wampasgi.peers.session import Session
from wampasgi.protocol.uris import is_reserved
from wampasgi.router.matching import URIMap
from wampasgi.router.router import JoinedSessions
from wampasgi.rpc import RPCRequest
from wampasgi.types import Match


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
    overflow_handler: HandlerPlan | None
    joined: JoinedSessions
    #: Whether a session can have handlers that run beside it: lifespan handlers, or gatekeepers with a yield.
    has_two_part_handlers: bool = field(init=False)
    #: Those at exact URIs that everybody may call as long as there are no rules.
    open_procedures: Mapping[str, Procedure] = field(init=False)

    def __post_init__(self) -> None:
        found: dict[str, Procedure] = {}
        if not (self.procedure_for_all or self.synchronize_requests or self.authorization.authorizer):
            for procedure in self.procedures:
                if procedure.route is not None and procedure.first and procedure.roles is None:
                    found[procedure.route.uri] = procedure
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


def read_procedures(
    settings: RealmSettings, injection: Injection, timeout: float | None
) -> RouteTable[Procedure]:
    """The procedures of a realm's own; ``timeout`` bounds the calls of clients, in seconds."""
    table: RouteTable[Procedure] = RouteTable()
    for route in settings.procedures:
        table.add(route, read_procedure(route, injection, timeout))
    return table


def read_procedure(route: Route, injection: Injection, timeout: float | None) -> Procedure:
    """One of them."""
    plan = injection.read(route.handler, {"request": RPCRequest}, takes_payload=True)
    return Procedure(plan, route.roles, route=route, timeout=timeout)


def read_rpc_handler(
    settings: RealmSettings, injection: Injection, timeout: float | None
) -> Procedure | None:
    """The one handler that answers every call, if there is one."""
    if settings.rpc_handler is None:
        return None
    parameters = UserFunction.read(settings.rpc_handler).parameters
    # As in serverwamp, the request is the first parameter, whatever its name.
    first = parameters[0].name if parameters else "request"
    if first in injection.provided:
        first = "request"
    plan = injection.read(settings.rpc_handler, {"request": RPCRequest, first: RPCRequest})
    return Procedure(plan, None, request_name=first, timeout=timeout)


def read_topics(settings: RealmSettings, injection: Injection) -> RouteTable[Topic]:
    """The topics of a realm's own, with their gatekeepers."""
    table: RouteTable[Topic] = RouteTable()
    for route in settings.topics:
        table.add(route, Topic(injection.read(route.handler, {"topic_uri": None}), route.roles))
    return table


def read_overflow_handler(settings: RealmSettings, injection: Injection) -> HandlerPlan | None:
    """What is told of clients that read too slowly, if there is something."""
    if settings.overflow_handler is None:
        return None
    return check_overflow_handler(injection.read(settings.overflow_handler, {"dropped": None}))


def read_subscription_handler(settings: RealmSettings, injection: Injection) -> Topic | None:
    """The one gatekeeper of every topic, if there is one."""
    if settings.subscription_handler is None:
        return None
    return Topic(injection.read(settings.subscription_handler, {"topic_uri": None}), None)


def read_subscribers(settings: RealmSettings, injection: Injection) -> URIMap[list[Subscriber]]:
    """The handlers of the server's own for events that clients publish."""
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


def check_overflow_handler(plan: HandlerPlan) -> HandlerPlan:
    """Raise ConfigurationError for an async generator function, which has nothing to yield here."""
    if plan.kind == "async_generator":
        raise ConfigurationError(f"{plan.description} is an async generator function: it must not yield")
    return plan
