"""Authentication that an application does by itself."""

from __future__ import annotations

from wampasgi.auth.handlers import FAILED, AuthenticationHandler, refuse_failed
from wampasgi.errors import AUTHENTICATION_FAILED
from wampasgi.injection.plan import HandlerPlan
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.types import ASGIApp, Handler, Receive, Scope, Send


class CustomAuthenticationMiddleware:
    """Asks ``handler``, which awaits ``session.mark_authenticated(...)`` or ``session.abort(...)``.

    One that does neither, or fails, leaves the session aborted with ``wamp.error.authentication_failed``.
    """

    #: A realm with such a middleware lets nobody in anonymously by itself.
    authenticates = True

    def __init__(self, app: ASGIApp, *, handler: Handler | HandlerPlan) -> None:
        self._app = app
        self._handler = AuthenticationHandler(handler)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the handler and call the app inside if it has accepted the session."""
        session: Session = scope["wamp.session"]
        peer: Peer = scope["wamp.peer"]
        peer.attach(receive, send)
        try:
            await self._handler.call(session)
        except Exception as error:  # noqa: BLE001 - logged there
            await refuse_failed(error, by=self._handler.name, session=session, peer=peer)
            return
        if peer.ending is not None:
            return
        if session.authenticated:
            await self._app(scope, receive, send)
        else:
            await peer.refuse(AUTHENTICATION_FAILED, FAILED)
