"""Sessions that nobody has identified."""

from __future__ import annotations

from collections.abc import Awaitable

from wampasgi.peers.session import Session
from wampasgi.types import ASGIApp, Receive, Scope, Send

_ANONYMOUS = "anonymous"


def _let_in(session: Session) -> None:
    session.accept(authrole=_ANONYMOUS, authmethod=_ANONYMOUS, authprovider="static")


class AnonymousMiddleware:
    """Lets in whoever is not authenticated yet, with a random authid and the role ``anonymous``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    # No coroutine of its own: it would be there for as long as the session lasts.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Mark the session as anonymous and call the app inside."""
        session: Session = scope["wamp.session"]
        if not session.authenticated:
            _let_in(session)
        return self._app(scope, receive, send)


class AnonymousMethod:
    """Lets in, with a random authid and the role ``anonymous``, who has chosen the method ``anonymous``.

    That is also what clients choose that offer no method at all.
    """

    name = _ANONYMOUS

    async def begin(self, session: Session) -> None:
        """Mark the session as anonymous; there is nothing to prove."""
        _let_in(session)
