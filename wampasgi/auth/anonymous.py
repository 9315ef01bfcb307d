"""Anonymous sessions."""

from __future__ import annotations

from collections.abc import Awaitable

from wampasgi.peers.session import Session
from wampasgi.types import ASGIApp, Receive, Scope, Send

_ANONYMOUS = "anonymous"


def _accept(session: Session) -> None:
    session.accept(authrole=_ANONYMOUS, authmethod=_ANONYMOUS, authprovider="static")


class AnonymousMiddleware:
    """Accepts sessions that are not authenticated yet, with a random authid and the role ``anonymous``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    # Not a coroutine function: its coroutine would occupy memory for the lifetime of every session.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Accept the session as anonymous, unless it is authenticated, and call the inner app."""
        session: Session = scope["wamp.session"]
        if not session.authenticated:
            _accept(session)
        return self._app(scope, receive, send)


class AnonymousMethod:
    """Accepts sessions that choose the method ``anonymous``, with a random authid and the role ``anonymous``.

    Clients that offer no method choose it, too.
    """

    name = _ANONYMOUS

    async def begin(self, session: Session) -> None:
        """Accept the session without a challenge."""
        _accept(session)
