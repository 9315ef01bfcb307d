"""Serving WAMP at one path of a Starlette or FastAPI application."""

from __future__ import annotations

from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound

from wampasgi.errors import ConfigurationError
from wampasgi.types import ASGIApp, Receive, Scope, Send


class WAMPRoute(BaseRoute):
    """A route for exactly this path, over WebSocket and HTTP.

    Starlette's ``Mount("/ws")`` matches ``/ws/`` and not ``/ws``, and redirects no WebSocket; this matches
    what it says. ``name`` is for ``url_path_for``.
    """

    def __init__(self, path: str, app: ASGIApp, *, name: str | None = None) -> None:
        if not path.startswith("/"):
            raise ConfigurationError(f"WAMPRoute path {path!r} must begin with '/'")
        self.path = path
        self.app = app
        self.name = name

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match the path of http and websocket scopes."""
        if scope["type"] in ("http", "websocket") and _path_below_mount(scope) == self.path:
            return Match.FULL, {"endpoint": self.app}
        return Match.NONE, {}

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        """The path, for the route's name."""
        if self.name is None or name != self.name or path_params:
            raise NoMatchFound(name, path_params)
        return URLPath(path=self.path, protocol="websocket")

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a matched scope."""
        await self.app(scope, receive, send)


def _path_below_mount(scope: Scope) -> str:
    """The path as the routes of a mounted application see it: without the root path."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "").rstrip("/")
    return path[len(root_path) :] if path.startswith(root_path + "/") else path
