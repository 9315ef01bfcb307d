"""Reading a realm's configuration: from the handlers that were given to the plans of how to call them."""

from __future__ import annotations

from starlette.middleware import Middleware

from wampasgi.auth import (
    AnonymousMethod,
    AnonymousMiddleware,
    ChallengeMethod,
    ChallengeMiddleware,
    CustomAuthenticationMiddleware,
    TransportAuthenticationMiddleware,
)
from wampasgi.callables import UserFunction
from wampasgi.calls import Procedure
from wampasgi.configuration import RealmSettings
from wampasgi.errors import ConfigurationError
from wampasgi.events import Event, Subscriber
from wampasgi.handlers import HandlerPlan, describe
from wampasgi.injection import Injection
from wampasgi.overflow import check_overflow_handler
from wampasgi.router.matching import URIMap
from wampasgi.routing import Route, RouteTable
from wampasgi.rpc import RPCRequest
from wampasgi.subscribing import Topic


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
