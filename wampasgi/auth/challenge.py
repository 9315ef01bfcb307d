"""Authentication by CHALLENGE and AUTHENTICATE."""

from __future__ import annotations

from collections.abc import Sequence

from wampasgi.auth.handlers import refuse_failed
from wampasgi.auth.login import Login, login_of
from wampasgi.auth.method import Accepted, ChallengeMethod, Exchange, Unsuitable
from wampasgi.auth.results import WrongResult, wrong_result
from wampasgi.errors import AUTHENTICATION_FAILED, RemoteProtocolError
from wampasgi.injection.callables import describe
from wampasgi.logs import about, logger_named
from wampasgi.peers.identity import Identity, identity_mistake
from wampasgi.peers.peer import Peer
from wampasgi.peers.session import Session
from wampasgi.peers.transport import Disconnected
from wampasgi.protocol.messages import Abort, Authenticate, Challenge
from wampasgi.types import ASGIApp, Receive, Scope, Send

logger = logger_named("wampasgi.auth")


class ChallengeMiddleware:
    """Challenges a session with the first of its methods that the realm offers.

    The order of HELLO.Details.authmethods decides; a client that names no method has chosen ``anonymous``. A
    wrong proof, or a method that fails, aborts the session with ``wamp.error.authentication_failed``. A
    session with none of the realm's methods is passed on to the inner middleware and finally to the gate.
    Spec: Advanced Profile, "Authentication Methods".
    """

    #: A realm with this middleware does not accept anonymous sessions by default.
    authenticates = True

    def __init__(self, app: ASGIApp, *, methods: Sequence[ChallengeMethod]) -> None:
        self._app = app
        self._methods = {method.name: method for method in methods}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Challenge the session, unless it is authenticated, and call the inner app."""
        session: Session = scope["wamp.session"]
        peer: Peer = scope["wamp.peer"]
        if not session.authenticated and peer.ending is None:
            peer.attach(receive, send)
            await self._authenticate(session, peer, login_of(session))
        if peer.ending is None:
            await self._app(scope, receive, send)

    async def _authenticate(self, session: Session, peer: Peer, login: Login) -> None:
        # Without duplicates, so that no method is tried twice.
        for name in dict.fromkeys(session.authmethods or ("anonymous",)):
            method = self._methods.get(name)
            if method is None:
                continue
            login.method = name
            try:
                exchange = await method.begin(session)
            except Unsuitable as reason:
                logger.info(
                    "%s authentication is not possible for %r: %s",
                    name,
                    session,
                    reason,
                    extra=about(session),
                )
                continue
            except Exception as error:  # noqa: BLE001 - refuse_failed logs it
                await refuse_failed(error, by=f"{name} authentication", session=session, peer=peer)
                return
            if exchange is not None:
                await self._exchange(exchange, session, peer, login)
            return

    async def _exchange(self, exchange: Exchange, session: Session, peer: Peer, login: Login) -> None:
        """Send CHALLENGE and, depending on the answer, accept or refuse the session."""
        secret = ""
        try:
            await peer.send_now(Challenge(login.method, dict(exchange.extra)))
            login.challenged = True
            answer = await peer.answer()
            login.challenged = False
            if answer is None:
                return
            if isinstance(answer, Abort):
                peer.cut(answer.reason, ended_by="client")
                return
            assert isinstance(answer, Authenticate)
            secret = answer.signature
            if not await login.admit():
                return
            accepted = await exchange.verify(answer)
            if accepted is not None:
                _check(accepted, exchange)
                await _accept(accepted, login.method, session)
                login.succeed()
                return
        except RemoteProtocolError:
            login.note("invalid_answer")
            raise
        except Disconnected:
            peer.cut(AUTHENTICATION_FAILED, ended_by="client")
        except Exception as error:  # noqa: BLE001 - refuse_failed logs it
            by = f"{login.method} authentication"
            await refuse_failed(error, by=by, session=session, peer=peer, secrets=(secret,))
        else:
            await login.refuse("wrong_proof" if getattr(exchange, "known", True) else "unknown_authid")
        finally:
            login.end()


def _check(accepted: object, exchange: Exchange) -> None:
    """Raise WrongResult unless a method's exchange has returned an Accepted with an identity."""
    source = describe(exchange.verify)
    if not isinstance(accepted, Accepted):
        raise wrong_result(source, accepted, "Accepted(identity=...), or None for an invalid proof")
    mistake = identity_mistake(accepted.identity)
    if mistake is not None:
        expected = "one with an object that represents the user, such as an Identity"
        raise WrongResult(source, f"an Accepted whose identity is {mistake}", expected)


async def _accept(accepted: Accepted, name: str, session: Session) -> None:
    found = accepted.identity if isinstance(accepted.identity, Identity) else Identity()
    extra = {**(found.authextra or {}), **(accepted.authextra or {})}
    await session.mark_authenticated(
        accepted.identity,
        # Only the method or the identity can tell if the client has proven the authid that it claims.
        authid=accepted.authid or found.authid,
        authrole=accepted.authrole,
        authmethod=name,
        authprovider=accepted.authprovider or "dynamic",
        authextra=extra or None,
    )
