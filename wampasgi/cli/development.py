"""The ASGI app that ``wampasgi dev`` serves: the user's app, with the page beside it."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Final

from wampasgi.cli.app_loading import LoadedApplication, load_application
from wampasgi.cli.endpoints import endpoint_path, is_used
from wampasgi.cli.errors import CommandError
from wampasgi.cli.output import say
from wampasgi.explorer import Explorer, docs_scope
from wampasgi.types import ASGIApp, ASGIEvent, Receive, Scope, Send

#: The variables in which the command tells the server's process about the app and the path of the page. The
#: process is a new one after each change of the code.
APP_VARIABLE: Final = "WAMPASGI_DEV_APP"
DOCS_VARIABLE: Final = "WAMPASGI_DEV_DOCS"

#: The paths that are tried for the page. FastAPI has a page of its own at the first one.
_DOCS_PATHS: Final = ("/docs", "/wamp-docs")
#: The answers of apps that have nothing at a path. 426 is that of an Application.
_NOTHING: Final = (404, 426)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The paths of the page and of the endpoint for WAMP clients on the server."""

    docs: str
    endpoint: str


def places(loaded: LoadedApplication, docs_url: str | None) -> Places:
    """Return the places of an app. ``docs_url`` is the path that the page must have, None for a free one."""
    if docs_url is None:
        free = (path for path in _DOCS_PATHS if not is_used(loaded.asgi_app, loaded.application, path))
        docs_url = next(free, _DOCS_PATHS[-1])
    return Places(docs=docs_url, endpoint=endpoint_path(loaded.asgi_app, loaded.application))


def create_app() -> ASGIApp:
    """Return the app that the environment names, with the page. uvicorn calls this in each new process.

    Exits with the status 1 if the app cannot be imported. uvicorn then waits for the next change.
    """
    try:
        loaded = load_application(os.environ[APP_VARIABLE])
    except CommandError as error:
        say(str(error))
        sys.exit(1)
    return WithPage(loaded, places(loaded, os.environ.get(DOCS_VARIABLE)))


class WithPage:
    """An ASGI app with the page at a path where the app itself has nothing.

    An app that has the page there already keeps its own.
    """

    def __init__(self, loaded: LoadedApplication, found: Places) -> None:
        self._app = loaded.asgi_app
        self._docs_url = found.docs
        self._page = Explorer(loaded.application, ws_url=found.endpoint)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve any scope."""
        # A lifespan scope has no path.
        page = docs_scope(scope, self._docs_url) if scope["type"] == "http" else None
        if page is None:
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        await self._app({**scope}, receive, answer.send)
        if answer.is_nothing:
            await self._page(page, receive, send)


class _Answer:
    """The answer of an app, which is not sent on if the app has nothing at the path."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.is_nothing = False

    async def send(self, event: ASGIEvent) -> None:
        if event["type"] == "http.response.start" and event["status"] in _NOTHING:
            self.is_nothing = True
        if not self.is_nothing:
            await self._send(event)
