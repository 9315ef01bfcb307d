"""Authentication by properties of the connection: cookies, headers, addresses, certificates."""

from __future__ import annotations

from collections.abc import Sequence

from wampasgi.auth.handlers import IdentityHandler, refuse_failed
from wampasgi.auth.login import login_of
from wampasgi.injection.plan import HandlerPlan
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.types import ASGIApp, Handler, Receive, Scope, Send


class TransportAuthenticationMiddleware:
    """Calls authenticators, ``async fn(session)``, one after the other until one returns an identity.

    An authenticator inspects ``session.connection`` and returns an identity or None. If all return None, the
    inner authenticators are used. If one fails, the session is aborted with
    ``wamp.error.authentication_failed``. The authid is the identity's; the client's claim is not proven.
    Spec: Advanced Profile, "Transport-level Authentication".
    """

    #: A realm with this middleware does not accept anonymous sessions by default.
    authenticates = True

    def __init__(self, app: ASGIApp, *, authenticators: Sequence[Handler | HandlerPlan]) -> None:
        self._app = app
        self._authenticators = [IdentityHandler(authenticator) for authenticator in authenticators]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the authenticators, then the inner app."""
        session: Session = scope["wamp.session"]
        peer: Peer = scope["wamp.peer"]
        peer.attach(receive, send)
        login_of(session).method = "transport"
        for authenticator in self._authenticators:
            if session.authenticated or peer.ending is not None:
                break
            try:
                identity = await authenticator.find(session)
            except Exception as error:  # noqa: BLE001 - refuse_failed logs it
                await refuse_failed(error, by=authenticator.name, session=session, peer=peer)
                return
            if identity is not None and peer.ending is None:
                await session.mark_authenticated(identity, authmethod="transport", authprovider="dynamic")
        if peer.ending is None:
            await self._app(scope, receive, send)
