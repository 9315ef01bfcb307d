"""Topics with a gatekeeper or roles, in every way that an application can add one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.wamp_client import trust_hello
from wampasgi import Application, TopicRouteSet


async def accept() -> None: ...


def chat_app() -> Application:
    """An app whose clients may subscribe to everything below ``chat.``, and read histories."""
    app = Application()
    app.add_transport_authenticator(trust_hello)
    app.allow("chat.", "subscribe", match="prefix")
    app.allow("wamp.subscription.", "call", match="prefix")
    return app


def exact_route(app: Application, **options: Any) -> None:
    app.topic("chat.moderators", **options)(accept)


def prefix_route(app: Application, **options: Any) -> None:
    app.topic("chat.mod", match="prefix", **options)(accept)


def wildcard_route(app: Application, **options: Any) -> None:
    app.topic(".moderators", match="wildcard", **options)(accept)


def regex_route(app: Application, **options: Any) -> None:
    app.topic(r"chat\.mod.*", match="regex", **options)(accept)


def exact_route_of_a_set(app: Application, **options: Any) -> None:
    topics = TopicRouteSet()
    topics.route("chat.moderators", **options)(accept)
    app.add_routes(topics)


def prefix_route_of_a_set(app: Application, **options: Any) -> None:
    topics = TopicRouteSet()
    topics.prefix_route("chat.mod", **options)(accept)
    app.add_routes(topics)


def regex_route_of_a_set(app: Application, **options: Any) -> None:
    topics = TopicRouteSet()
    topics.regex_route(r"chat\.mod.*", **options)(accept)
    app.add_routes(topics)


AddRoute = Callable[..., None]

ROUTES = [
    exact_route,
    prefix_route,
    wildcard_route,
    regex_route,
    exact_route_of_a_set,
    prefix_route_of_a_set,
    regex_route_of_a_set,
]
