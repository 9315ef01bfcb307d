"""Finds the applications of wampasgi that a Starlette or FastAPI application mounts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from wampasgi.application import Application

_MAX_DEPTH: Final = 50


@dataclass(frozen=True, slots=True)
class MountedApplication:
    """An application and the path at which an ASGI app serves it, empty if the app is the application."""

    application: Application
    path: str


def mounted_applications(asgi_app: Any) -> list[MountedApplication]:
    """Return the applications that are reached through an ASGI app, each once, in the order of its routes.

    This follows routes, mounts, included routers and middleware, but cannot look into functions.
    """
    found: dict[int, MountedApplication] = {}
    for mounted in _reached(asgi_app, "", set(), 0):
        found.setdefault(id(mounted.application), mounted)
    return list(found.values())


def _reached(node: Any, path: str, visited: set[int], depth: int) -> Iterator[MountedApplication]:
    if isinstance(node, Application):
        yield MountedApplication(node, path)
        return
    if id(node) in visited or depth > _MAX_DEPTH or isinstance(node, type):
        return
    visited.add(id(node))
    for child, prefix in _children(node):
        yield from _reached(child, path + prefix, visited, depth + 1)


def included_prefix(route: Any) -> str:
    """Return the prefix with which FastAPI has included a router, empty if this is no such route."""
    prefix = getattr(getattr(route, "include_context", None), "prefix", "")
    return prefix if isinstance(prefix, str) else ""


def _children(node: Any) -> Iterator[tuple[Any, str]]:
    """Yield the apps, routes and routers inside of an app, route, router or middleware, with their paths.

    Nothing of FastAPI is imported, because it may not be installed. Only the attributes of the object itself
    are read: properties of other objects could do anything.
    """
    attributes = getattr(node, "__dict__", {})
    path = attributes.get("path", "")
    prefix = path if isinstance(path, str) else ""
    if "include_context" in attributes:
        prefix = included_prefix(node)
    for name in ("app", "router", "original_router"):
        if name in attributes:
            yield attributes[name], prefix
    routes = attributes.get("routes")
    if isinstance(routes, list):
        for route in routes:
            yield route, prefix
