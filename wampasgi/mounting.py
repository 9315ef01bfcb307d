"""A route that serves WAMP at one path of a Starlette or FastAPI application."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from starlette.routing import Match, WebSocketRoute, get_name

from wampasgi.addresses import client_address
from wampasgi.errors import ConfigurationError
from wampasgi.logs import fields, logger_named
from wampasgi.types import ASGIApp, Receive, Scope, Send

logger = logger_named("wampasgi.session")

#: RFC 6455, section 7.4.1.
_POLICY_VIOLATION: Final = 1008


class WAMPRoute(WebSocketRoute):
    """A route that matches exactly one path, for WebSocket and HTTP requests.

    Starlette's ``Mount("/ws")`` matches ``/ws/`` but not ``/ws``, and does not redirect WebSockets. ``path``
    may have parameters, as in ``/teams/{team:int}/ws``: see ``session.connection.path_params``. ``name`` is
    the route's name for ``url_path_for``.

    FastAPI's ``include_router`` copies the route for WebSockets, but not for HTTP requests. FastAPI's
    ``dependencies`` do not run for it. If they stand around it, it refuses all WebSockets, because they may
    have been meant to guard it; ``ignore_dependencies`` says that the realms authenticate their sessions.
    """

    def __init__(
        self, path: str, app: ASGIApp, *, name: str | None = None, ignore_dependencies: bool = False
    ) -> None:
        if not path.startswith("/"):
            raise ConfigurationError(f"WAMPRoute path {path!r} must begin with '/'")
        endpoint = _Endpoint(path, app, ignore_dependencies=ignore_dependencies)
        super().__init__(path, endpoint, name=get_name(app) if name is None else name)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match http and websocket scopes by their path."""
        if scope["type"] == "http":
            scope = {**scope, "type": "websocket"}
        return super().matches(scope)


class _Endpoint:
    """The ASGI app of a WAMPRoute.

    It is an object, because Starlette and FastAPI would call a function with a WebSocket instead of a scope.
    It is also the only part of the route that ``include_router`` keeps. ``app`` is public, as in Starlette's
    routes and middleware, so that the command line finds it.
    """

    def __init__(self, path: str, app: ASGIApp, *, ignore_dependencies: bool) -> None:
        self._path = path
        self.app = app
        self._ignore_dependencies = ignore_dependencies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        guarded = not self._ignore_dependencies and any(_dependencies(scope))
        if scope["type"] != "websocket" or not guarded:
            await self.app(scope, receive, send)
            return
        address = client_address(scope.get("client"))
        logger.error(
            "a WebSocket from %s is refused: the dependencies=[...] of the FastAPI app or router do not run "
            "for WAMPRoute(%r), and may have been meant to guard it. Authenticate sessions in their realm, "
            "as with add_transport_authenticator, and write WAMPRoute(..., ignore_dependencies=True)",
            address,
            self._path,
            extra=fields(None, None, client=address),
        )
        await receive()  # websocket.connect
        # Servers answer 403 to a WebSocket that is closed before it was accepted.
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": "not authorized"})


def _dependencies(scope: Scope) -> Iterator[Any]:
    """Yield the FastAPI dependencies around the route of a scope, as far as the scope tells them.

    Nothing of FastAPI is imported, because it may not be installed. Versions of FastAPI that copy the routes
    of a router into the app leave no trace of the router.
    """
    router = getattr(scope.get("app"), "router", None)
    yield from getattr(router, "dependencies", None) or ()
    included = (scope.get("fastapi") or {}).get("included_router")
    for part in ("include_context", "original_router"):
        yield from getattr(getattr(included, part, None), "dependencies", None) or ()
