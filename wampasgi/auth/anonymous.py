"""Sessions that nobody has identified."""

from __future__ import annotations

from wampasgi.session import Session
from wampasgi.types import ASGIApp, Receive, Scope, Send

_ANONYMOUS = "anonymous"


async def _let_in(session: Session) -> None:
    await session.mark_authenticated(authrole=_ANONYMOUS, authmethod=_ANONYMOUS, authprovider="static")


class AnonymousMiddleware:
    """Lets in whoever is not authenticated yet, with a random authid and the role ``anonymous``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Mark the session as anonymous and call the app inside."""
        session: Session = scope["wamp.session"]
        if not session.authenticated:
            await _let_in(session)
        await self._app(scope, receive, send)


class AnonymousMethod:
    """Lets in, with a random authid and the role ``anonymous``, who has chosen the method ``anonymous``.

    That is also what clients choose that offer no method at all.
    """

    name = _ANONYMOUS

    async def begin(self, session: Session) -> None:
        """Mark the session as anonymous; there is nothing to prove."""
        await _let_in(session)
