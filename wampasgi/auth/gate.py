"""The gate behind the authenticators."""

from __future__ import annotations

from wampasgi.errors import NO_MATCHING_AUTH_METHOD
from wampasgi.peer import Peer
from wampasgi.session import Session
from wampasgi.types import ASGIApp, Receive, Scope, Send


class GateMiddleware:
    """Lets authenticated sessions through and aborts all others.

    An aborted session gets ``wamp.error.no_matching_auth_method``, unless an authenticator has aborted it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the app inside for an authenticated session, or send ABORT."""
        session: Session = scope["wamp.session"]
        peer: Peer = scope["wamp.peer"]
        if peer.ending is not None:
            return
        if session.authenticated:
            await self._app(scope, receive, send)
            return
        peer.attach(receive, send)
        await peer.refuse(
            NO_MATCHING_AUTH_METHOD, "no authentication method of this realm let the session in"
        )
