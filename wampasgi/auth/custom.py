"""Authentication by a handler of the application."""

from __future__ import annotations

from wampasgi.auth.handlers import AuthenticationHandler, refuse_failed
from wampasgi.auth.login import Login, login_of
from wampasgi.auth.results import wrong_result
from wampasgi.errors import AUTHENTICATION_FAILED
from wampasgi.injection.plan import HandlerPlan
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.types import ASGIApp, Handler, Receive, Scope, Send


class CustomAuthenticationMiddleware:
    """Calls ``handler``, which awaits ``session.mark_authenticated(...)`` or ``session.abort(...)``.

    If it does neither, fails, or returns anything but None, the session is aborted with
    ``wamp.error.authentication_failed``. A result could contradict the call, as False does.
    """

    #: A realm with this middleware does not accept anonymous sessions by default.
    authenticates = True

    def __init__(self, app: ASGIApp, *, handler: Handler | HandlerPlan) -> None:
        self._app = app
        self._handler = AuthenticationHandler(
            handler,
            expected="nothing, and await session.mark_authenticated(...) or session.abort(...)",
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the handler and, if it accepts the session, call the inner app."""
        session: Session = scope["wamp.session"]
        peer: Peer = scope["wamp.peer"]
        peer.attach(receive, send)
        await self._authenticate(session, peer, login_of(session))
        if peer.ending is None:
            await self._app(scope, receive, send)

    async def _authenticate(self, session: Session, peer: Peer, login: Login) -> None:
        login.method = "custom"
        try:
            if await login.admit():
                await self._decide(session, peer, login)
        finally:
            login.end()

    async def _decide(self, session: Session, peer: Peer, login: Login) -> None:
        """Run the handler, and refuse a session that it has not accepted."""
        try:
            result = await self._handler.call(session)
            if result is not None:
                raise wrong_result(self._handler.description, result, self._handler.expected)
        except Exception as error:  # noqa: BLE001 - refuse_failed logs it
            await refuse_failed(error, by=self._handler.name, session=session, peer=peer)
            return
        if peer.ending is not None:
            # The handler may abort a session for other reasons than its credentials.
            if peer.ending.reason == AUTHENTICATION_FAILED:
                login.note("wrong_proof")
        elif session.authenticated:
            login.succeed()
        else:
            await login.refuse("wrong_proof")
