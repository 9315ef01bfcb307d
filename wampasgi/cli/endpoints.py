"""Finds the path at which an ASGI app serves the WebSockets of an application that it mounts."""

from __future__ import annotations

from typing import Any, Final

from starlette.routing import BaseRoute, Match

from wampasgi.cli.mounted import included_prefix, mounted_applications
from wampasgi.types import Scope

_MAX_DEPTH: Final = 50


def endpoint_path(asgi_app: Any, application: Any) -> str:
    """Return the path for WebSockets, such as ``"/"``, ``"/ws"`` or ``"/teams/{team}/ws"``.

    A route matches exactly its path, but the path of a mount has a slash at its end.
    """
    mounted = [found for found in mounted_applications(asgi_app) if found.application is application]
    path = mounted[0].path if mounted else ""
    candidates = (path, f"{path}/") if path else ("/",)
    for candidate in candidates:
        if "{" not in candidate and _leads_to(asgi_app, application, _scope("websocket", candidate), 0):
            return candidate
    return candidates[0]


def is_used(asgi_app: Any, application: Any, path: str) -> bool:
    """Return whether an ASGI app has a route of its own that answers GET requests of a path."""
    node = _router(asgi_app)
    if node is None:
        return False
    scope = _scope("http", path)
    return any(
        route.matches(scope)[0] is Match.FULL
        and not any(found.application is application for found in mounted_applications(route))
        for route in node.routes
    )


def _leads_to(node: Any, application: Any, scope: Scope, depth: int) -> bool:
    """Return whether a scope is passed on to an application."""
    if node is application:
        return True
    if node is None or depth > _MAX_DEPTH:
        return False
    router = _router(node)
    if router is None:
        return _leads_to(getattr(node, "app", None), application, scope, depth + 1)
    for route in router.routes:
        match, child_scope = route.matches(scope)
        if match is Match.FULL:
            inner, inner_scope = getattr(route, "app", None), {**scope, **child_scope}
            if hasattr(route, "original_router"):
                inner = route.original_router
                inner_scope["path"] = scope["path"].removeprefix(included_prefix(route))
            return _leads_to(inner, application, inner_scope, depth + 1)
    return False


def _router(node: Any) -> Any:
    """Return the app or router with routes that is behind middleware, or None."""
    for _ in range(_MAX_DEPTH):
        # A Mount has the routes of its app, too, but matches the whole path.
        if isinstance(getattr(node, "routes", None), list) and not isinstance(node, BaseRoute):
            return node
        node = vars(node).get("app") if hasattr(node, "__dict__") else None
    return None


def _scope(kind: str, path: str) -> Scope:
    return {
        "type": kind,
        "method": "GET",
        "path": path,
        "root_path": "",
        "query_string": b"",
        "headers": [],
        "path_params": {},
    }
