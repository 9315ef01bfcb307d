"""Authentication that an application does by itself."""

from __future__ import annotations

import logging

from wampasgi.errors import AUTHENTICATION_FAILED
from wampasgi.handlers import HandlerPlan
from wampasgi.peer import Peer
from wampasgi.session import Session
from wampasgi.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger("wampasgi.auth")


class CustomAuthenticationMiddleware:
    """Asks a handler that awaits ``session.mark_authenticated(...)`` or ``session.abort(...)``.

    One that does neither, or fails, leaves the session aborted with ``wamp.error.authentication_failed``.
    """

    def __init__(self, app: ASGIApp, *, handler: HandlerPlan) -> None:
        self._app = app
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the handler and call the app inside if it has accepted the session."""
        session: Session = scope["wamp.session"]
        peer: Peer = scope["wamp.peer"]
        peer.attach(receive, send)
        try:
            await self._handler.call({"session": session, "realm": session.realm, "app": session.realm.app})
        except Exception:
            logger.exception("%s failed for %r", self._handler.name, session)
            await peer.refuse(AUTHENTICATION_FAILED)
        if session.authenticated:
            await self._app(scope, receive, send)
        else:
            await peer.refuse(AUTHENTICATION_FAILED, "authentication failed")
