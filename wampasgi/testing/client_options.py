"""The arguments with which the test clients open sessions of ``wampasgi.client``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wampasgi.client.client import Options
from wampasgi.serializers import Serializer
from wampasgi.types import ASGIApp


def options_of_test(
    app: ASGIApp,
    options: Options,
    *,
    path: str,
    timeout: float,
    serializers: Iterable[Serializer | str] | None,
    headers: Mapping[str, str],
    cookies: Mapping[str, str],
) -> Options:
    """Return the arguments of ``Client`` for ``app``, and those that a test has passed.

    A lost connection is an error at once, because reconnecting would hide it. Raises TypeError for arguments
    that name another application.
    """
    if not options.keys().isdisjoint(("app", "lifespan")):
        raise TypeError("app= and lifespan= are not arguments here: the test client has the application")
    defaults: Options = {
        "path": path,
        "timeout": timeout,
        "connect_timeout": timeout,
        "serializers": serializers,
        "retry": None,
    }
    arguments: Options = {**defaults, **options}
    arguments["app"] = app
    arguments["headers"] = {**headers, **(options.get("headers") or {})}
    arguments["cookies"] = {**cookies, **(options.get("cookies") or {})}
    return arguments
