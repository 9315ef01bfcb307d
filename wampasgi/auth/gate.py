"""The gate behind the authenticators."""

from __future__ import annotations

from collections.abc import Awaitable

from wampasgi.errors import NO_MATCHING_AUTH_METHOD
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.types import ASGIApp, Receive, Scope, Send


class GateMiddleware:
    """Lets authenticated sessions through and aborts all others.

    An aborted session gets ``wamp.error.no_matching_auth_method``, unless an authenticator has aborted it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    # No coroutine of its own: it would be there for as long as the session lasts, in every session.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Call the app inside for an authenticated session, or send ABORT."""
        session: Session = scope["wamp.session"]
        peer: Peer = scope["wamp.peer"]
        if session.authenticated and peer.ending is None:
            return self._app(scope, receive, send)
        return _refuse(peer, receive, send)


async def _refuse(peer: Peer, receive: Receive, send: Send) -> None:
    if peer.ending is None:
        peer.attach(receive, send)
        await peer.refuse(
            NO_MATCHING_AUTH_METHOD, "no authentication method of this realm let the session in"
        )
