"""A route that serves WAMP at one path of a Starlette or FastAPI application."""

from __future__ import annotations

from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound

from wampasgi.errors import ConfigurationError
from wampasgi.types import ASGIApp, Receive, Scope, Send


class WAMPRoute(BaseRoute):
    """A route that matches exactly one path, for WebSocket and HTTP requests.

    Starlette's ``Mount("/ws")`` matches ``/ws/`` but not ``/ws``, and does not redirect WebSockets. ``name``
    is the route's name for ``url_path_for``.
    """

    def __init__(self, path: str, app: ASGIApp, *, name: str | None = None) -> None:
        if not path.startswith("/"):
            raise ConfigurationError(f"WAMPRoute path {path!r} must begin with '/'")
        self.path = path
        self.app = app
        self.name = name

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match http and websocket scopes by their path."""
        if scope["type"] in ("http", "websocket") and _path_below_mount(scope) == self.path:
            return Match.FULL, {"endpoint": self.app}
        return Match.NONE, {}

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        """Return the path if ``name`` is the name of the route. Otherwise, raise NoMatchFound."""
        if self.name is None or name != self.name or path_params:
            raise NoMatchFound(name, path_params)
        return URLPath(path=self.path, protocol="websocket")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a scope that matches."""
        await self.app(scope, receive, send)


def _path_below_mount(scope: Scope) -> str:
    """Return the path without the root path, as the routes of a mounted application see it."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "").rstrip("/")
    return path[len(root_path) :] if path.startswith(root_path + "/") else path
