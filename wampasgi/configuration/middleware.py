"""Starlette's Middleware objects, as applications and realms are configured with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from starlette.middleware import Middleware

from wampasgi.errors import ConfigurationError
from wampasgi.types import ASGIApp


def checked_middleware(middleware: Iterable[Middleware]) -> tuple[Middleware, ...]:
    """Return ``middleware`` as a tuple. Raises ConfigurationError unless all are Starlette's Middleware."""
    given = tuple(middleware)
    for item in given:
        if not isinstance(item, Middleware):
            raise ConfigurationError(
                f"middleware={given!r}: {item!r} must be wrapped: "
                f"starlette.middleware.Middleware(SomeMiddleware, option=...)"
            )
    return given


def wrapped(app: ASGIApp, middleware: Sequence[Middleware]) -> ASGIApp:
    """Return the app inside its middleware, outermost first."""
    for wrapper in reversed(middleware):
        app = wrapper.cls(app, *wrapper.args, **wrapper.kwargs)
    return app
