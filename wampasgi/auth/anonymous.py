"""Realms that let anybody in."""

from __future__ import annotations

import secrets

from wampasgi.session import Session
from wampasgi.types import ASGIApp, Receive, Scope, Send


class AnonymousMiddleware:
    """Lets in whoever is not authenticated yet, with a random authid and the role ``anonymous``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Mark the session as anonymous and call the app inside."""
        session: Session = scope["wamp.session"]
        if not session.authenticated:
            await session.mark_authenticated(
                authid=secrets.token_urlsafe(12),
                authrole="anonymous",
                authmethod="anonymous",
                authprovider="static",
            )
        await self._app(scope, receive, send)
