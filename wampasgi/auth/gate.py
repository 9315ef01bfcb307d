"""The gate, which comes after the authenticators."""

from __future__ import annotations

from collections.abc import Awaitable

from wampasgi.auth.login import login_of
from wampasgi.errors import NO_MATCHING_AUTH_METHOD
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.types import ASGIApp, Receive, Scope, Send


class GateMiddleware:
    """Admits authenticated sessions and aborts all others.

    The reason is ``wamp.error.no_matching_auth_method``, unless an authenticator has already aborted the
    session.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    # Not a coroutine function: its coroutine would occupy memory for the lifetime of every session.
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Call the inner app for an authenticated session, or send ABORT."""
        session: Session = scope["wamp.session"]
        peer: Peer = scope["wamp.peer"]
        if session.authenticated and peer.ending is None:
            return self._app(scope, receive, send)
        return _refuse(session, peer, receive, send)


async def _refuse(session: Session, peer: Peer, receive: Receive, send: Send) -> None:
    if peer.ending is None:
        peer.attach(receive, send)
        text = "no authentication method of this realm accepted the session"
        await login_of(session).refuse("no_method", NO_MATCHING_AUTH_METHOD, text)
