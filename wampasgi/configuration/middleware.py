"""Starlette's Middleware objects, as applications and realms are configured with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ParamSpec, Protocol

from starlette.middleware import Middleware

from wampasgi.errors import ConfigurationError
from wampasgi.types import ASGIApp

P = ParamSpec("P")


class MiddlewareFactory(Protocol[P]):
    """A middleware class, or a function that wraps an ASGI app."""

    def __call__(self, app: ASGIApp, /, *args: P.args, **kwargs: P.kwargs) -> ASGIApp:
        """Return the app inside the middleware."""


class MiddlewareStack:
    """The middleware around an ASGI app, outermost first. It is built once, on first use."""

    def __init__(self, app: ASGIApp, middleware: Iterable[Middleware]) -> None:
        self._app = app
        self._middleware = list(checked_middleware(middleware))
        self._built: ASGIApp | None = None

    def add(self, factory: MiddlewareFactory[P], *args: P.args, **kwargs: P.kwargs) -> None:
        """Put a middleware around all others.

        Raises ConfigurationError if the stack is built already, and for an object that is no class.
        """
        if isinstance(factory, Middleware) or not callable(factory):
            raise ConfigurationError(
                f"add_middleware got {factory!r}: it takes the class and its options, "
                f"add_middleware(SomeMiddleware, option=...)"
            )
        if self._built is not None:
            raise ConfigurationError(
                f"add_middleware got {factory!r} after the application was started or checked: add it before"
            )
        self._middleware.insert(0, Middleware(factory, *args, **kwargs))

    def build(self) -> ASGIApp:
        """Return the app inside its middleware."""
        if self._built is None:
            self._built = wrapped(self._app, self._middleware)
        return self._built


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
