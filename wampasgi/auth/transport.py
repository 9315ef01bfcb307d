"""Authentication by what the connection shows: cookies, headers, addresses, certificates."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from wampasgi.errors import AUTHENTICATION_FAILED
from wampasgi.handlers import HandlerPlan
from wampasgi.peer import Peer
from wampasgi.session import Session
from wampasgi.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger("wampasgi.auth")


class TransportAuthenticationMiddleware:
    """Asks authenticators one after the other; the first identity that is not None counts.

    Where none gives one, the authenticators inside have their turn. One that fails aborts the session with
    ``wamp.error.authentication_failed``.
    """

    def __init__(self, app: ASGIApp, *, authenticators: Sequence[HandlerPlan]) -> None:
        self._app = app
        self._authenticators = authenticators

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask the authenticators and call the app inside."""
        session: Session = scope["wamp.session"]
        peer: Peer = scope["wamp.peer"]
        peer.attach(receive, send)
        provided = {"session": session, "realm": session.realm, "app": session.realm.app}
        for authenticator in self._authenticators:
            if session.authenticated or peer.ending is not None:
                break
            try:
                identity = await authenticator.call(provided)
            except Exception:
                logger.exception("transport authenticator %s failed for %r", authenticator.name, session)
                await peer.refuse(AUTHENTICATION_FAILED, "authentication failed")
                return
            if identity is not None:
                await session.mark_authenticated(identity, authmethod="transport", authprovider="dynamic")
        if peer.ending is None:
            await self._app(scope, receive, send)
