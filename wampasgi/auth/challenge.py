"""Authentication by CHALLENGE and AUTHENTICATE."""

from __future__ import annotations

from collections.abc import Sequence

from wampasgi.auth.handlers import FAILED, refuse_failed
from wampasgi.auth.method import Accepted, ChallengeMethod, Exchange, Unsuitable
from wampasgi.errors import AUTHENTICATION_FAILED, RemoteProtocolError
from wampasgi.logs import about, logger_named
from wampasgi.peers.identity import Identity
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.peers.transport import Disconnected
from wampasgi.protocol.messages import Abort, Authenticate, Challenge
from wampasgi.types import ASGIApp, Receive, Scope, Send

logger = logger_named("wampasgi.auth")


class ChallengeMiddleware:
    """Challenges a session by the first method of its choice that the realm offers.

    The client's order in HELLO.Details.authmethods decides; a client that names none has chosen
    ``anonymous``. A wrong proof is answered ABORT ``wamp.error.authentication_failed``, and so is a method
    that fails. A session that offers none of the methods is left to what is inside: at last to the gate.
    Spec: Advanced Profile, "Authentication Methods".
    """

    #: A realm with such a middleware lets nobody in anonymously by itself.
    authenticates = True

    def __init__(self, app: ASGIApp, *, methods: Sequence[ChallengeMethod]) -> None:
        self._app = app
        self._methods = {method.name: method for method in methods}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Challenge the session, unless it is authenticated, and call the app inside."""
        session: Session = scope["wamp.session"]
        peer: Peer = scope["wamp.peer"]
        if not session.authenticated and peer.ending is None:
            peer.attach(receive, send)
            await self._authenticate(session, peer)
        if peer.ending is None:
            await self._app(scope, receive, send)

    async def _authenticate(self, session: Session, peer: Peer) -> None:
        # A name that is there twice gets no second try.
        for name in dict.fromkeys(session.authmethods or ("anonymous",)):
            method = self._methods.get(name)
            if method is None:
                continue
            try:
                exchange = await method.begin(session)
            except Unsuitable as reason:
                logger.info("%s is no method for %r: %s", name, session, reason, extra=about(session))
                continue
            except Exception as error:  # noqa: BLE001 - logged there
                await refuse_failed(error, by=f"{name} authentication", session=session, peer=peer)
                return
            if exchange is not None:
                await self._exchange(name, exchange, session, peer)
            return

    async def _exchange(self, name: str, exchange: Exchange, session: Session, peer: Peer) -> None:
        """Send CHALLENGE, and mark the session as authenticated or refuse it by the answer."""
        secret = ""
        try:
            await peer.send_now(Challenge(name, dict(exchange.extra)))
            answer = await peer.answer()
            if answer is None:
                return
            if isinstance(answer, Abort):
                peer.cut(answer.reason, ended_by="client")
                return
            assert isinstance(answer, Authenticate)
            secret = answer.signature
            accepted = await exchange.verify(answer)
        except RemoteProtocolError:
            raise
        except Disconnected:
            peer.cut(AUTHENTICATION_FAILED, ended_by="client")
        except Exception as error:  # noqa: BLE001 - logged there
            by = f"{name} authentication"
            await refuse_failed(error, by=by, session=session, peer=peer, secrets=(secret,))
        else:
            if accepted is not None:
                await _accept(accepted, name, session)
                return
            logger.warning(
                "%s authentication failed for %r: no valid proof", name, session, extra=about(session)
            )
            await peer.refuse(AUTHENTICATION_FAILED, FAILED)


async def _accept(accepted: Accepted, name: str, session: Session) -> None:
    found = accepted.identity if isinstance(accepted.identity, Identity) else Identity()
    extra = {**(found.authextra or {}), **(accepted.authextra or {})}
    await session.mark_authenticated(
        accepted.identity,
        # Who was asked for a proof of being somebody has proven to be just that.
        authid=accepted.authid or found.authid or session.authid,
        authrole=accepted.authrole,
        authmethod=name,
        authprovider=accepted.authprovider or "dynamic",
        authextra=extra or None,
    )
