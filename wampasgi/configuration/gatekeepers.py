"""The gatekeepers of a realm's topics: they are compiled and checked when the realm is."""

from __future__ import annotations

from collections.abc import Iterable
from inspect import formatannotation, isclass
from typing import Any, Final, Never, NoReturn, get_args, get_origin

from wampasgi.configuration.handlers import Topic
from wampasgi.configuration.routes import Route, RouteTable
from wampasgi.configuration.settings import RealmSettings
from wampasgi.errors import ConfigurationError
from wampasgi.injection.annotations import ASYNC_ITERATORS, AWAITABLES, plain_annotation
from wampasgi.injection.callables import EMPTY, return_annotation
from wampasgi.injection.plan import HandlerPlan, Injection, describe
from wampasgi.logs import fields, logger_named
from wampasgi.types import Handler

logger = logger_named("wampasgi.router")

#: The maximum number of rules and of topics that one warning names.
_MOST_NAMED: Final = 5

#: The return annotations that do not contradict a handler that returns nothing.
_NOTHING: Final = (EMPTY, None, type(None), Any, object, NoReturn, Never)


def compile_topics(settings: RealmSettings, injection: Injection) -> RouteTable[Topic]:
    """Compile the topics of the realm, with their gatekeepers.

    Logs a warning if rules allow clients to subscribe to patterns that are refused because of a topic.
    """
    table: RouteTable[Topic] = RouteTable()
    for route in settings.topics:
        table.add(route, _compile_topic(route, injection))
    if settings.subscription_handler is None:
        _warn_of_refused_patterns(settings, settings.topics)
    return table


def compile_subscription_handler(settings: RealmSettings, injection: Injection) -> Topic | None:
    """Compile the gatekeeper of all topics, if there is one.

    Raises ConfigurationError if it replaces a topic with roles or dependencies, which would not be checked.
    """
    route = settings.subscription_handler
    if route is None:
        return None
    for replaced in settings.topics:
        if replaced.roles is not None or replaced.dependencies:
            what = "dependencies would not run" if replaced.roles is None else "roles would not be checked"
            raise ConfigurationError(
                f"the subscription handler {describe(route.handler)} replaces {replaced} of "
                f"{describe(replaced.handler)}, whose {what}: remove one of them"
            )
    table: RouteTable[Route] = RouteTable()
    table.add(route, route)
    _warn_of_refused_patterns(settings, table)
    return _compile_topic(route, injection)


def _compile_topic(route: Route, injection: Injection) -> Topic:
    plan = injection.read(route.handler, {"topic_uri": None}, dependencies=route.dependencies)
    _check_annotation(route.handler, plan)
    return Topic(plan, route.roles, patterns=bool(route.patterns), route=route)


def _check_annotation(handler: Handler, plan: HandlerPlan) -> None:
    """Raise ConfigurationError for a gatekeeper that is annotated to return or yield a value.

    Its author expects that the value counts, for example that False refuses the subscription.
    """
    annotation = plain_annotation(handler if isclass(handler) else return_annotation(handler))
    origin, parameters = get_origin(annotation) or annotation, get_args(annotation)
    verb = "return"
    if plan.kind == "async_generator" and origin in ASYNC_ITERATORS:
        verb, annotation = "yield", plain_annotation(parameters[0]) if parameters else EMPTY
    elif plan.kind == "sync" and origin in AWAITABLES:
        annotation = plain_annotation(parameters[-1]) if parameters else EMPTY
    if annotation in _NOTHING:
        return
    raise ConfigurationError(
        f"gatekeeper {plan.description} is annotated to {verb} {formatannotation(annotation)}: a gatekeeper "
        f"must {verb} nothing; to refuse a subscription, raise SubscribeError"
    )


def _warn_of_refused_patterns(settings: RealmSettings, topics: RouteTable[Route]) -> None:
    """Warn of rules that allow patterns, and of topics because of which these patterns are refused.

    ``allow_all`` is no such rule: nobody who writes it has a certain pattern in mind.
    """
    # By their texts, because handlers may be unhashable.
    refusing: dict[str, Route] = {}
    inviting: list[str] = []
    for match, uri in settings.permissions.patterns("subscribe"):
        found = [route for route in topics.overlapping(match, uri) if route.patterns is None]
        if found:
            inviting.append(f"allow({uri!r}, 'subscribe', match={match!r})")
            refusing.update((str(route), route) for route in found)
    if not refusing:
        return
    logger.warning(
        "%s would let clients subscribe to patterns, but patterns that can match these topics are refused, "
        "because they would bypass the gatekeepers: %s. If patterns may match such a topic, write "
        "patterns=True in its route; patterns=False refuses them without this warning",
        _listed(inviting),
        _listed([f"{name} of {describe(route.handler)}" for name, route in refusing.items()]),
        extra=fields(None, None),
    )


def _listed(texts: Iterable[str]) -> str:
    named = list(texts)
    more = len(named) - _MOST_NAMED
    return ", ".join(named[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
